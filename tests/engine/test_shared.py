"""The shared poller with real descriptors and a clock that stands still; no threads of its own."""

import select
import socket
import threading

import pytest

from granian.engine import shared
from granian.engine.poller import ERRORS, READ, WRITE, Newcomer
from granian.engine.shared import IN, OUT, RDHUP
from tests.support.room import Guest, Room


@pytest.fixture(params=["epoll", "no epoll"])
def room(request, monkeypatch):
    if request.param == "no epoll":
        monkeypatch.delattr(shared.select, "epoll", raising=False)
    room = Room()
    yield room
    room.close()


@pytest.fixture
def turns():
    room = Room()
    yield room
    room.close()


def test_a_ready_connection_is_served_and_armed_again(room):
    guest = room.guest()
    for octets in (b"one", b"two"):
        guest.far.send(octets)
        room.turn()
        assert room.poller.armed[guest.fd] is guest
    assert guest.calls == [("readable", b"one"), ("readable", b"two")]


def test_an_owned_connection_is_served_by_nobody_else(room):
    guest = room.guest()
    assert room.poller.take(guest)
    assert not room.poller.take(guest)
    guest.far.send(b"early")
    for _ in range(3):
        room.turn()
    assert guest.calls == []
    room.poller.release(guest, guest.fd)
    room.turn()
    assert guest.calls == [("readable", b"early")]


def test_what_comes_while_it_is_served_is_not_lost(room):
    guest = room.guest()

    def serve(served):
        served.during = None
        served.far.send(b"second")
        # Another thread polls meanwhile and sees it.
        room.turn()

    guest.during = serve
    guest.far.send(b"first")
    for _ in range(3):
        room.turn()
    assert guest.calls == [("readable", b"first"), ("readable", b"second")]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="counts calls of epoll")
def test_an_ordinary_release_makes_no_system_call(turns):
    guest = turns.guest()
    turns.poller._modify = None
    assert turns.poller.take(guest)
    turns.poller.release(guest, guest.fd)


def test_write_interest_is_applied_by_the_release(room):
    guest = room.guest()
    assert room.poller.take(guest)
    guest.events = READ | WRITE
    room.poller.watch(guest, guest.events)
    room.poller.release(guest, guest.fd)
    room.turn()
    assert guest.calls == ["writable"]
    guest.events = READ
    assert room.poller.take(guest)
    room.poller.release(guest, guest.fd)
    room.turn()
    assert guest.calls == ["writable"]


def test_a_connection_that_closes_is_forgotten(room):
    guest = room.guest()
    guest.during = Guest.close
    guest.far.send(b"bye")
    fd = guest.fd
    room.turn()
    assert fd not in room.poller.armed
    assert fd not in room.poller.connections
    room.poller.release(guest, fd)
    assert fd not in room.poller.armed


def test_a_newcomer_is_welcomed_once(room):
    near, far = socket.socketpair()
    room.poller.offer(Newcomer(near, None, None))
    room.turn()
    assert room.guests == []
    far.send(b"hello")
    room.turn()
    room.turn()
    (guest,) = room.guests
    assert guest.calls == [("readable", b"hello")]
    far.send(b"again")
    room.turn()
    assert guest.calls[1:] == [("readable", b"again")]
    far.close()


def test_a_newcomer_that_fails_costs_only_itself(room, caplog):
    near, far = socket.socketpair()
    room.poller.welcome = lambda newcomer: 1 / 0
    room.poller.offer(Newcomer(near, None, None))
    far.send(b"hello")
    room.turn()
    assert "could not be served" in caplog.text
    assert near.fileno() == -1
    far.close()


def test_a_connection_that_fails_is_closed(room, caplog):
    guest = room.guest()
    guest.during = lambda _: 1 / 0
    guest.far.send(b"x")
    room.turn()
    assert guest.closed
    assert "was closed" in caplog.text


def test_a_connection_that_became_another_is_armed_as_that(room):
    guest = room.guest()
    guest.during = become
    guest.far.send(b"upgrade")
    room.turn()
    heir = room.guests[-1]
    assert room.poller.armed[heir.fd] is heir
    guest.far.send(b"more")
    room.turn()
    assert heir.calls == [("readable", b"more")]


def test_the_heir_of_somebody_elses_descriptor_is_not_armed(room):
    guest = room.guest()
    assert room.poller.take(guest)
    fd, guest.fd = guest.fd, -1
    stranger = Guest(room, guest.near)
    thread = threading.Thread(target=room.poller.replace, args=(stranger,))
    thread.start()
    thread.join()
    room.poller.release(guest, fd)
    assert fd not in room.poller.armed
    room.guests.append(stranger)


def test_posted_calls_are_run(room):
    calls = []
    room.wakeup.post(lambda: calls.append(1))
    room.turn()
    assert calls == [1]


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="a hang-up without reading")
def test_a_hangup_is_seen_without_reading(turns):
    guest = turns.guest()
    assert turns.poller.take(guest)
    guest.events = 0
    turns.poller.release(guest, guest.fd)
    turns.turn()
    guest.far.close()
    turns.turn()
    assert guest.calls == ["hangup"]


def test_the_end_of_a_peer_whose_end_is_known_is_no_hangup(room):
    guest = room.guest()
    assert room.poller.take(guest)
    guest.events = ERRORS
    room.poller.release(guest, guest.fd)
    guest.far.shutdown(socket.SHUT_WR)
    room.turn()
    assert guest.calls == []


@pytest.mark.skipif(not hasattr(select, "poll"), reason="asks the kernel again")
def test_a_hangup_of_a_former_owner_of_the_descriptor_is_ignored(turns):
    guest = turns.guest()
    turns.poller.serve(guest.fd, RDHUP)
    assert guest.calls == []
    turns.poller.serve(guest.fd, IN | OUT | RDHUP) if guest.far.send(b"x") else None
    assert guest.calls == ["writable", ("readable", b"x")]


# visits


def test_a_visit_happens_at_once_where_nobody_owns(room):
    guest, seen = room.guest(), []
    room.poller.visit(guest, seen.append)
    assert seen == [guest]
    assert room.poller.armed[guest.fd] is guest


def test_visits_wait_for_the_owner_in_order(room):
    guest, seen = room.guest(), []
    assert room.poller.take(guest)
    for number in range(3):
        room.poller.visit(guest, lambda _, number=number: seen.append(number))
    assert seen == []
    room.poller.release(guest, guest.fd)
    assert seen == [0, 1, 2]
    assert room.poller.armed[guest.fd] is guest


def test_a_visitor_may_visit_and_fail(room, caplog):
    guest, seen = room.guest(), []
    room.poller.visit(guest, lambda _: room.poller.visit(guest, seen.append))
    assert seen == [guest]
    room.poller.visit(guest, lambda _: 1 / 0)
    assert guest.closed


def become(served):
    """Let another guest serve the socket of one, as its owner would."""
    heir = Guest(served.room, served.near)
    served.room.guests.append(heir)
    served.fd = -1
    served.room.poller.replace(heir)


def test_visits_follow_the_socket_to_what_serves_it_now(room):
    guest, seen = room.guest(), []
    fd = guest.fd
    assert room.poller.take(guest)
    room.poller.visit(guest, seen.append)
    become(guest)
    room.poller.visit(guest, seen.append)
    assert seen == []
    room.poller.release(guest, fd)
    heir = room.guests[-1]
    assert seen == [heir, heir]
    room.poller.visit(guest, seen.append)
    assert seen == [heir, heir, heir]
    assert room.poller.armed[fd] is heir


def test_a_visit_to_who_has_become_another_waits_for_the_owner(room):
    guest, seen = room.guest(), []
    fd = guest.fd
    assert room.poller.take(guest)
    become(guest)
    room.poller.release(guest, fd)
    heir = room.guests[-1]
    assert room.poller.take(heir)
    room.poller.visit(guest, seen.append)
    assert seen == []
    room.poller.release(heir, fd)
    assert seen == [heir]


def test_a_visitor_meets_the_time_it_is(room):
    guest, seen = room.guest(), []
    room.clock.now += 60.0  # in which nobody polled
    room.poller.visit(guest, lambda _: seen.append(room.poller.now))
    assert seen == [room.clock.now]


def test_what_a_visitor_changes_between_the_arming_and_its_call_holds(room, monkeypatch):
    guest, modify = room.guest(), room.poller._modify
    assert room.poller.take(guest)
    guest.far.send(b"x")
    room.turn()  # nobody may serve it: with threads that take turns it is muted
    guest.events = 0

    def wait_for_more(visited):
        visited.events = READ

    def late_modify(fd, mask):
        if guest.events != READ and fd in room.poller.armed:
            room.poller.visit(guest, wait_for_more)
        return modify(fd, mask)

    monkeypatch.setattr(room.poller, "_modify", late_modify)
    room.poller.release(guest, guest.fd)
    assert guest.events == READ
    room.turn()
    assert guest.calls == [("readable", b"x")]


def test_visits_to_the_closed_are_not_lost(room):
    guest, seen = room.guest(), []
    assert room.poller.take(guest)
    room.poller.visit(guest, lambda _: seen.append("before"))
    fd = guest.fd
    guest.close()
    room.poller.release(guest, fd)
    room.poller.visit(guest, lambda _: seen.append("after"))
    assert seen == ["before", "after"]


# deadlines


def arm(room, guest, seconds):
    guest.deadline = room.poller.now + seconds
    if guest.deadline < guest.check:
        room.poller.deadlines.push(guest)


def test_a_deadline_is_kept(room):
    guest = room.guest()
    arm(room, guest, 5.0)
    room.clock.advance(4.9)
    room.turn()
    assert guest.calls == []
    room.clock.advance(0.2)
    room.turn()
    assert guest.calls == ["deadline"]
    assert room.poller.armed[guest.fd] is guest


def test_a_deadline_that_moved_is_looked_at_later(room):
    guest = room.guest()
    arm(room, guest, 5.0)
    arm(room, guest, 20.0)
    room.clock.advance(6.0)
    room.turn()
    assert guest.calls == []
    room.clock.advance(15.0)
    room.turn()
    assert guest.calls == ["deadline"]


def test_an_owned_connection_does_not_expire_nor_lose_its_deadline(room):
    guest = room.guest()
    arm(room, guest, 5.0)
    assert room.poller.take(guest)
    room.clock.advance(6.0)
    room.turn()
    room.turn()
    assert guest.calls == []
    room.poller.release(guest, guest.fd)
    room.clock.advance(1.1)
    room.turn()
    assert guest.calls == ["deadline"]


def test_a_long_call_does_not_count_as_idle_time(room):
    guest = room.guest()

    def serve(served):
        arm(room, served, 30.0)
        room.clock.advance(60.0)

    guest.during = serve
    guest.far.send(b"x")
    room.turn()
    guest.calls.clear()
    room.turn()
    assert guest.calls == []
    room.clock.advance(30.1)
    room.turn()
    assert guest.calls == ["deadline"]


def test_a_closed_connection_is_forgotten_by_the_deadlines(room):
    guest = room.guest()
    arm(room, guest, 5.0)
    guest.close()
    room.clock.advance(6.0)
    room.turn()
    assert guest.calls == []
    assert room.poller.deadlines.heap == []


def test_a_nearer_deadline_interrupts_the_wait(room):
    guest = room.guest()
    woken = []
    room.poller.deadlines._nudge = lambda: woken.append(1)
    arm(room, guest, 30.0)
    assert woken == [1]
    other = room.guest()
    arm(room, other, 60.0)
    assert woken == [1]


def test_once_a_second(room):
    room.turn()
    room.turn()
    assert room.seconds == 1
    room.clock.advance(1.5)
    room.turn()
    assert room.seconds == 2


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="a poller that another can wait for")
def test_a_borrowed_poller_is_served_until_it_is_given_back(turns):
    lender = Room()
    guest, own = lender.guest(), turns.guest()
    turns.poller.borrow(lender.poller)
    turns.poller.borrow(lender.poller)  # and again by who did not know
    guest.far.send(b"lent")
    own.far.send(b"own")
    turns.turn()
    assert guest.calls == [("readable", b"lent")]
    assert own.calls == [("readable", b"own")]
    assert lender.poller.armed[guest.fd] is guest
    turns.poller.give_back(lender.poller)
    guest.far.send(b"more")
    turns.turn()
    assert len(guest.calls) == 1
    lender.turn()
    assert guest.calls[1:] == [("readable", b"more")]
    turns.poller.borrow(lender.poller)
    guest.during = gathering
    guest.far.send(b"ask")
    turns.turn()
    assert guest.far.recv(100) == b"answer"
    lender.close()
    turns.turn()
    turns.poller.borrow(lender.poller)  # it has closed


def test_visits_may_follow_each_other_for_long(room):
    guest, seen = room.guest(), []

    def again(visited):
        seen.append(1)
        if len(seen) < 3000:
            room.poller.visit(visited, again)

    room.poller.visit(guest, again)
    assert len(seen) == 3000
    assert room.poller.armed[guest.fd] is guest


# answers that wait for others


def gathering(guest):
    guest.gathered = b"answer"


def test_who_has_an_answer_to_send_is_not_armed_before(turns):
    guest = turns.guest()
    guest.during = gathering
    guest.far.send(b"x")
    turns.turn()
    assert guest.fd not in turns.poller.armed
    turns.poller.send_gathered()
    assert guest.far.recv(100) == b"answer"
    assert turns.poller.armed[guest.fd] is guest


def test_another_thread_may_send_what_was_gathered(turns):
    guest = turns.guest()
    guest.during = gathering
    guest.far.send(b"x")
    turns.turn()
    helper = threading.Thread(target=turns.poller.send_gathered)
    helper.start()
    helper.join(5)
    assert guest.far.recv(100) == b"answer"
    assert turns.poller.armed[guest.fd] is guest


def test_a_visitor_comes_after_the_answer(turns):
    guest = turns.guest()
    guest.during = gathering
    guest.far.send(b"x")
    turns.turn()
    seen = []
    turns.poller.visit(guest, lambda visited: seen.append(visited.gathered))
    assert seen == []
    turns.poller.send_gathered()
    assert seen == [b""]


def test_what_a_visitor_leaves_unsent_is_sent_before_the_connection_is_armed(turns):
    guest = turns.guest()
    turns.poller.visit(guest, gathering)
    assert guest.far.recv(100) == b"answer"
    assert turns.poller.armed[guest.fd] is guest


def test_an_answer_that_cannot_be_sent_closes_its_connection_alone(turns):
    guest, other = turns.guest(), turns.guest()
    for each in (guest, other):
        each.during = gathering
        each.far.send(b"x")
    turns.turn()

    def fail():
        raise ValueError

    guest.send_gathered = fail
    turns.poller.send_gathered()
    assert guest.closed
    assert other.far.recv(100) == b"answer"
