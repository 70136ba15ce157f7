"""Deadlines under a clock that is a number."""

import random

import pytest

from granian.engine.deadlines import NEVER, Deadlines


class Timed:
    """What a deadline needs of a connection."""

    def __init__(self, name="", on_deadline=None):
        self.name = name
        self.deadline = self.check = NEVER
        self.expired = []
        self.now = 0.0
        self.action = on_deadline

    def on_deadline(self):
        self.expired.append(self.name)
        if self.action is not None:
            self.action()


@pytest.fixture
def deadlines():
    return Deadlines()


def test_what_is_due_expires_once(deadlines):
    connection = Timed()
    deadlines.arm(connection, 10.0)
    deadlines.expire(9.9)
    assert connection.expired == []
    deadlines.expire(10.0)
    deadlines.expire(100.0)
    assert len(connection.expired) == 1
    assert connection.deadline == connection.check == NEVER


def test_they_expire_in_the_order_of_their_deadlines(deadlines):
    order = []
    connections = [Timed(name) for name in "abc"]
    for connection, deadline in zip(connections, (3.0, 1.0, 2.0)):
        connection.expired = order
        deadlines.arm(connection, deadline)
    deadlines.expire(5.0)
    assert order == ["b", "c", "a"]


def test_equal_deadlines_expire_as_they_were_armed(deadlines):
    order = []
    for name in "abc":
        connection = Timed(name)
        connection.expired = order
        deadlines.arm(connection, 1.0)
    deadlines.expire(1.0)
    assert order == ["a", "b", "c"]


def test_a_later_deadline_costs_no_entry(deadlines):
    connection = Timed()
    deadlines.arm(connection, 10.0)
    for deadline in range(11, 1000):
        deadlines.arm(connection, float(deadline))
    assert len(deadlines.heap) == 1
    deadlines.expire(500.0)
    assert connection.expired == []
    deadlines.expire(999.0)
    assert len(connection.expired) == 1


def test_an_earlier_deadline_counts(deadlines):
    connection = Timed()
    deadlines.arm(connection, 10.0)
    deadlines.arm(connection, 5.0)
    deadlines.expire(5.0)
    assert len(connection.expired) == 1
    deadlines.expire(10.0)
    assert len(connection.expired) == 1


def test_a_lifted_deadline_does_not_expire(deadlines):
    connection = Timed()
    deadlines.arm(connection, 10.0)
    connection.deadline = NEVER
    deadlines.expire(10.0)
    assert connection.expired == []
    assert connection.check == NEVER
    deadlines.arm(connection, 20.0)
    deadlines.expire(20.0)
    assert len(connection.expired) == 1


def test_a_discarded_connection_does_not_expire(deadlines):
    connection = Timed()
    deadlines.arm(connection, 10.0)
    deadlines.discard(connection)
    deadlines.discard(connection)
    deadlines.expire(10.0)
    assert connection.expired == []


def test_a_deadline_may_be_set_when_one_expires(deadlines):
    connection = Timed()
    connection.action = lambda: deadlines.arm(connection, 20.0)
    deadlines.arm(connection, 10.0)
    deadlines.expire(10.0)
    assert connection.deadline == 20.0
    connection.action = None
    deadlines.expire(20.0)
    assert len(connection.expired) == 2


def test_others_may_be_discarded_when_one_expires(deadlines):
    others = [Timed() for _ in range(200)]
    first = Timed(on_deadline=lambda: [deadlines.discard(other) for other in others])
    deadlines.arm(first, 1.0)
    for other in others:
        deadlines.arm(other, 2.0)
    deadlines.expire(3.0)
    assert not any(other.expired for other in others)


def test_entries_left_behind_are_swept(deadlines):
    lasting = Timed()
    deadlines.arm(lasting, 5.0)
    for _ in range(10_000):
        connection = Timed()
        deadlines.arm(connection, 30.0)
        deadlines.discard(connection)
        assert len(deadlines.heap) < 200
    deadlines.expire(5.0)
    assert len(lasting.expired) == 1


def test_one_that_fails_does_not_keep_the_others(deadlines):
    def fail():
        raise ValueError

    failed = []
    broken, whole = Timed(on_deadline=fail), Timed()
    deadlines.arm(broken, 1.0)
    deadlines.arm(whole, 2.0)
    deadlines.expire(3.0, failed.append)
    assert failed == [broken]
    assert len(whole.expired) == 1


def test_a_failure_that_nobody_takes_is_raised(deadlines):
    def fail():
        raise ZeroDivisionError

    deadlines.arm(Timed(on_deadline=fail), 1.0)
    with pytest.raises(ZeroDivisionError):
        deadlines.expire(1.0)


@pytest.mark.parametrize("seed", range(10))
def test_any_sequence_agrees_with_a_plain_table(deadlines, seed):
    chance = random.Random(seed)
    connections = [Timed(name) for name in range(20)]
    table = {}
    now = 0.0
    for _ in range(2_000):
        connection = chance.choice(connections)
        what = chance.random()
        if what < 0.5:
            deadline = now + chance.choice((1.0, 5.0, 30.0))
            deadlines.arm(connection, deadline)
            table[connection] = deadline
        elif what < 0.6:
            deadlines.discard(connection)
            table.pop(connection, None)
        elif what < 0.7:
            connection.deadline = NEVER
            table.pop(connection, None)
        else:
            now += chance.random()
            due = {connection for connection, deadline in table.items() if deadline <= now}
            deadlines.expire(now)
            assert {connection for connection in connections if connection.expired} == due
            for connection in due:
                assert len(connection.expired) == 1
                connection.expired.clear()
                del table[connection]
