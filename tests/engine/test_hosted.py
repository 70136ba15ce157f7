"""A poller of which one thread is the host, step by step; then the threads that stand in for it."""

import contextlib
import socket
import threading

import pytest

from granian.engine import hosted as module
from granian.engine.deadlines import NEVER
from granian.engine.hosted import HostedPoller, StandIns, create_hosted_runtimes
from granian.engine.poller import READ, WRITE, Newcomer
from granian.engine.runtime import Runtime
from tests.support.room import Guest, Room
from tests.support.servers import wait_until


class Visitor(Guest):
    """A connection that is idle unless the test says otherwise."""

    def __init__(self, room, sock=None):
        super().__init__(room, sock)
        self.idle = True
        self.handler = "an exchange's"
        self.thread = None

    def on_readable(self):
        self.thread = threading.current_thread()
        super().on_readable()

    def close(self):
        if self.fd >= 0:
            self.idle = False
        super().close()


class HostRoom(Room):
    """A hosted poller whose host is the test's thread."""

    kind = Visitor

    def __init__(self):
        self.posted = []
        super().__init__()
        self.poller.attend()

    def make_poller(self):
        return HostedPoller(self.welcome, self.on_second, self.posted.append)

    def guest(self, **facts):
        guest = super().guest()
        for name, value in facts.items():
            setattr(guest, name, value)
        return guest

    def hold(self):
        """Have the host begin an exchange; return the connection, which is held from then on."""
        guest = self.guest()
        guest.during = self.begin
        guest.far.send(b"begin")
        self.turn()
        guest.during = None
        assert self.poller.held[guest.fd] is guest
        assert guest.fd not in self.poller.armed
        return guest

    def begin(self, guest):
        guest.idle = False
        self.poller.begun.add(guest.sock)

    def turn(self):
        """One round of the loop."""
        self.poller.front.select(0)

    def run_posted(self):
        while self.posted:
            self.posted.pop(0)()

    def elsewhere(self, call):
        """Call on another thread; return what it returns."""
        results = []
        thread = threading.Thread(target=lambda: results.append(call()), name="another")
        thread.start()
        thread.join(5)
        return results[0]

    def serve_elsewhere(self):
        """Have another thread serve what is ready."""
        self.elsewhere(lambda: self.poller.select(0))


@pytest.fixture
def room():
    room = HostRoom()
    yield room
    room.close()


def test_the_loop_serves_what_is_ready(room):
    guest = room.guest()
    for octets in (b"one", b"two"):
        guest.far.send(octets)
        room.turn()
        assert guest.calls[-1] == ("readable", octets)
        assert room.poller.armed[guest.fd] is guest
    assert room.poller.led == 4


def test_another_thread_serves_it_too(room):
    guest = room.guest()
    guest.far.send(b"one")
    room.serve_elsewhere()
    assert guest.calls == [("readable", b"one")]
    assert guest.thread.name == "another"
    assert room.poller.led == 0


def test_foreign_descriptors_are_the_loops(room):
    near, far = socket.socketpair()
    with near, far:
        key = room.poller.front.register(near, READ, "foreign")
        far.send(b"x")
        assert room.poller.front.select(0) == [(key, READ)]
        room.poller.front.unregister(near)


def test_newcomers_are_served(room):
    near, far = socket.socketpair()
    near.setblocking(False)
    room.poller.offer(Newcomer(near, None, None))
    far.send(b"hello")
    room.turn()
    (guest,) = room.guests
    assert guest.calls == [("readable", b"hello")]
    far.close()


def test_a_connection_is_held_until_it_is_idle(room):
    guest = room.hold()
    guest.far.send(b"more")
    room.turn()
    assert room.poller.held[guest.fd] is guest
    guest.idle = True
    guest.far.send(b"the end")
    room.turn()
    assert room.poller.armed[guest.fd] is guest
    assert not room.poller.held
    assert not room.poller.begun
    assert guest.handler is None


def test_what_others_have_begun_is_not_held(room):
    guest = room.guest(idle=False)
    guest.far.send(b"part")
    room.turn()
    assert room.poller.armed[guest.fd] is guest
    assert guest.handler == "an exchange's"


def test_others_leave_what_is_held_to_the_host(room):
    guest = room.hold()
    guest.far.send(b"more")
    room.serve_elsewhere()
    assert len(guest.calls) == 1
    assert room.poller.collect(0.0) == [], "it is muted: nobody turns round and round"
    room.run_posted()
    room.turn()
    assert guest.calls[-1] == ("readable", b"more")
    assert guest.thread is threading.current_thread()


def test_what_the_host_takes_up_again_in_that_moment_is_not_left_muted(room):
    """It is served while another thread has its event, and held before that thread mutes it."""
    guest = room.hold()
    del room.poller.held[guest.fd]
    guest.far.send(b"more")
    ((fd, event),) = room.poller.collect(0.0)
    modify = room.poller._modify

    def late(fd, mask):
        room.poller.held[fd] = guest  # the host looked before it is marked as muted
        return modify(fd, mask)

    room.poller._modify = late
    room.elsewhere(lambda: room.poller.serve(fd, event))
    room.poller._modify = modify
    room.run_posted()
    room.turn()
    assert guest.calls[-1] == ("readable", b"more")


def test_what_was_left_to_the_host_may_be_idle_by_then(room):
    guest = room.hold()
    guest.far.send(b"more")
    room.serve_elsewhere()
    guest.idle = True
    room.poller.settle()
    room.run_posted()
    room.serve_elsewhere()
    assert guest.calls[-1] == ("readable", b"more")


def test_what_has_become_idle_is_let_go(room):
    busy, guest = room.hold(), room.hold()
    guest.idle = True
    room.poller.settle()
    assert room.poller.armed == {guest.fd: guest}
    assert room.poller.held == {busy.fd: busy}


def test_what_is_held_is_watched_at_once(room):
    guest = room.hold()
    guest.events = READ | WRITE
    room.poller.watch(guest, READ | WRITE)
    room.turn()
    assert guest.calls[-1] == "writable"
    guest.events = READ
    room.poller.watch(guest, READ)
    room.turn()
    assert guest.calls.count("writable") == 1


def test_another_may_take_the_place_of_what_is_held(room):
    guest = room.hold()
    heir = Visitor(room, guest.sock)
    heir.idle = False
    guest.fd = -1
    room.poller.replace(heir)
    room.guests.append(heir)
    guest.far.send(b"for the heir")
    room.turn()
    assert heir.calls == [("readable", b"for the heir")]
    assert room.poller.held[heir.fd] is heir
    heir.close()
    assert not room.poller.held
    assert not room.poller.begun


def test_the_host_visits_what_it_holds(room):
    guest = room.hold()
    seen = []
    room.poller.visit(guest, seen.append)
    assert seen == [guest]
    assert room.poller.held[guest.fd] is guest


def test_others_leave_visits_to_the_host(room):
    guest = room.hold()
    seen = []
    room.elsewhere(lambda: room.poller.visit(guest, seen.append))
    assert seen == []
    room.run_posted()
    assert seen == [guest]


def test_a_visit_may_end_what_made_it_held(room):
    guest = room.hold()
    room.poller.visit(guest, lambda visited: setattr(visited, "idle", True))
    assert room.poller.armed[guest.fd] is guest


def test_a_connection_that_closes_is_forgotten(room):
    guest = room.hold()
    fd = guest.fd
    guest.close()
    assert fd not in room.poller.held
    assert not room.poller.begun
    seen = []
    room.poller.visit(guest, seen.append)
    assert seen == [guest]


# answers


def gather(octets):
    """What a connection does in its turn that keeps its answer back."""

    def during(guest):
        assert guest.room.poller.gathering
        guest.gathered += octets
        guest.idle = False
        guest.room.poller.gather(guest)

    return during


def finish(guest):
    """What sending it brings about."""
    Guest.send_gathered(guest)
    guest.idle = True


def test_answers_of_a_turn_leave_together(room):
    room.poller._prompt_until = 0.0
    guests = [room.guest(during=gather(b"answer")) for _ in range(3)]
    order = []
    for guest in guests:
        guest.send_gathered = lambda guest=guest: (order.append(len(order)), finish(guest))
        guest.far.send(b"x")
    served = []
    serve = room.poller.serve
    room.poller.serve = lambda fd, event: (serve(fd, event), served.append(list(order)))
    room.turn()
    assert served == [[], [], []], "none was sent before the last was served"
    assert order == [0, 1, 2]
    for guest in guests:
        assert guest.far.recv(10) == b"answer"
        assert room.poller.armed[guest.fd] is guest
    assert not room.poller.gathering


def test_an_answer_to_another_connection_leaves_too(room):
    room.poller._prompt_until = 0.0
    other = room.hold()

    def during(guest):
        other.gathered += b"to all"
        room.poller.gather(other)

    guests = [room.guest(during=during) for _ in range(2)]
    for guest in guests:
        guest.far.send(b"x")
    room.turn()
    assert other.far.recv(20) == b"to allto all"
    assert room.poller.held[other.fd] is other


def test_an_answer_that_finds_its_peer_gone_hurts_nobody(room):
    room.poller._prompt_until = 0.0
    guests = [room.guest(during=gather(b"answer")) for _ in range(2)]
    guests[0].send_gathered = guests[0].close
    guests[1].send_gathered = lambda: finish(guests[1])
    for guest in guests:
        guest.far.send(b"x")
    room.turn()
    assert guests[0].closed
    assert guests[1].far.recv(10) == b"answer"
    assert list(room.poller.armed) == [guests[1].fd]


def test_what_another_thread_gathers_leaves_when_it_lets_go(room):
    guest = room.guest()
    guest.during = lambda guest: (setattr(guest, "gathered", b"now"), room.poller.gather(guest))
    guest.far.send(b"x")
    room.serve_elsewhere()
    assert guest.far.recv(10) == b"now"
    assert room.poller.armed[guest.fd] is guest


# time


def arm(guest, seconds):
    guest.deadline = guest.room.poller.now + seconds
    if guest.deadline < guest.check:
        guest.room.poller.deadlines.push(guest)


def test_the_loop_waits_no_longer_than_the_first_deadline(room):
    guest = room.guest()
    arm(guest, 0.01)
    assert room.poller._lead.deadline == guest.deadline
    for _ in range(3):
        guest.far.send(b"x")
        room.turn()
    assert len(room.poller.front.deadlines.heap) == 1, "it is expected once"
    assert 0.0 < room.poller.patience() <= 0.01
    wait_until(lambda: (room.poller.front.select(5), "deadline" in guest.calls)[1])
    assert room.poller.patience() is None
    assert room.poller._lead.deadline == NEVER


def test_a_deadline_of_another_thread_wakes_the_loop(room):
    guest = room.guest()
    room.elsewhere(lambda: arm(guest, 0.01))
    assert room.poller._lead.deadline == NEVER
    wait_until(lambda: (room.poller.front.select(5), "deadline" in guest.calls)[1])


def test_only_the_host_ends_what_is_held(room):
    guest = room.hold()
    arm(guest, 0.0)
    room.serve_elsewhere()
    assert "deadline" not in guest.calls
    guest.check = NEVER
    arm(guest, 0.0)
    room.turn()
    assert guest.calls[-1] == "deadline"
    assert room.poller.held[guest.fd] is guest


# the further threads


@contextlib.contextmanager
def standing_in(room, count):
    stand_ins = StandIns(room.poller, count)
    stand_ins.start()
    try:
        yield stand_ins
    finally:
        stand_ins.stop()
        stand_ins.join(5)
        assert not any(thread.is_alive() for thread in stand_ins._threads)


def test_another_thread_stands_in_for_a_host_that_does_not_come(room):
    guest = room.guest()
    with standing_in(room, 1):
        for octets in (b"one", b"two"):
            guest.far.send(octets)
            wait_until(lambda octets=octets: ("readable", octets) in guest.calls)
    assert guest.thread.name == "granian-io-2"


def test_the_next_stands_in_for_one_that_is_held_up(room):
    gate = threading.Event()
    slow, quick = room.guest(during=lambda _: gate.wait(10)), room.guest()
    with standing_in(room, 2):
        slow.far.send(b"slow")
        wait_until(lambda: slow.calls)
        quick.far.send(b"quick")
        wait_until(lambda: quick.calls)
        gate.set()
    assert {slow.thread.name, quick.thread.name} == {"granian-io-2", "granian-io-3"}


def test_what_is_due_calls_for_somebody_too(room):
    guest = room.guest()
    with standing_in(room, 1):
        room.elsewhere(lambda: arm(guest, 0.01))
        wait_until(lambda: "deadline" in guest.calls)


def test_nobody_stands_in_for_a_host_that_comes(room, monkeypatch):
    """It is looked for whenever something was ready, and found to have come."""
    slept = []

    class Time:
        @staticmethod
        def sleep(seconds):
            slept.append(seconds)
            if len(slept) < 8:
                if len(slept) % 2:
                    room.turn()
                guest.far.send(b"more")

    monkeypatch.setattr(module, "time", Time)
    guest = room.guest()
    guest.far.send(b"first")
    stand_ins = StandIns(room.poller, 0)
    with module.selectors.DefaultSelector() as selector:
        selector.register(room.poller.fileno(), READ)
        stand_ins._wait_until_late(selector)
    # In every second tick it did not come, which may be because there was nothing to come for.
    assert slept == [module.TICK] * 9
    stand_ins.stop()
    stand_ins.join(0)


def test_the_hosts_return_ends_it(room):
    """One octet is served in its place; for the next, the host is back."""
    guest = room.guest()
    stand_ins = StandIns(room.poller, 0)
    waits = []

    class Selector:
        def select(self, timeout=None):
            waits.append(timeout)
            guest.far.send(b"second")
            room.poller.led += 1

    guest.far.send(b"first")
    room.elsewhere(lambda: stand_ins._stand_in(Selector()))
    assert guest.calls == [("readable", b"first")]
    assert waits == [None]
    stand_ins.stop()
    stand_ins.join(0)


def test_a_failure_in_a_thread_is_logged_and_survived(room, caplog):
    guest = room.guest()
    collect, failures = room.poller.collect, [OSError("a disk on fire")]

    def fail(seconds, batch):
        if failures:
            raise failures.pop()
        return collect(seconds, batch)

    room.poller.collect = fail
    with standing_in(room, 1):
        guest.far.send(b"one")
        wait_until(lambda: guest.calls)
    assert "a disk on fire" in caplog.text


def test_those_threads_serve_that_can_be_had(room, monkeypatch, caplog):
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "granian-io-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    guest = room.guest()
    with standing_in(room, 3) as stand_ins:
        assert [thread.name for thread in stand_ins._threads] == ["granian-io-2"]
        guest.far.send(b"one")
        wait_until(lambda: guest.calls)
    assert "Only 2 runtime threads can be had: can't start new thread" in caplog.text


def test_without_a_poller_that_can_be_waited_on_there_is_one_thread(monkeypatch):
    made = []

    class Bare(Runtime):
        def __init__(self, engine, index):
            made.append((engine, index))

    monkeypatch.setattr(module, "Runtime", Bare)
    monkeypatch.setattr(module.selectors, "DefaultSelector", object)
    (runtime,) = create_hosted_runtimes("engine", 4)
    assert type(runtime) is Bare
    assert made == [("engine", 0)]
