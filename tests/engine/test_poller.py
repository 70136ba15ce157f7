"""Both kinds of poller, on socket pairs: readiness goes to its owner, and nowhere else."""

import select
import selectors
import signal
import socket
import time

import pytest

from granian.engine import poller as module
from granian.engine.poller import (
    ERRORS,
    READ,
    WRITE,
    EpollPoller,
    Newcomer,
    SelectorPoller,
    create_poller,
)
from tests.support.fakes import FakeClock
from tests.support.wire import tcp_pair

KINDS = [SelectorPoller] + ([EpollPoller] if hasattr(select, "epoll") else [])


class Recorder:
    """A connection that writes down what it is told."""

    def __init__(self, sock):
        self.sock = sock
        self.fd = sock.fileno()
        self.log = []
        self.deadline = self.check = float("inf")
        self.fail = False

    def _record(self, event):
        self.log.append(event)
        if self.fail:
            raise ValueError(event)

    def on_readable(self):
        self._record("readable")

    def on_writable(self):
        self._record("writable")

    def on_hangup(self):
        self._record("hangup")

    def on_deadline(self):
        self._record("deadline")

    def lose(self):
        self.log.append("lose")

    def take(self):
        log, self.log = self.log, []
        return log


class Room:
    """A poller, its clock, and pairs of sockets."""

    def __init__(self, kind):
        self.clock = FakeClock()
        self.welcomed = []
        self.seconds = 0
        self.welcome = self.welcomed.append
        self.poller = kind(lambda newcomer: self.welcome(newcomer), self._on_second, self.clock)
        self.sockets = []

    def _on_second(self):
        self.seconds += 1

    def pair(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.sockets += [ours, theirs]
        return ours, theirs

    def adopted(self, events=READ):
        ours, theirs = self.pair()
        connection = Recorder(ours)
        self.poller.adopt(connection, events)
        return connection, theirs

    def newcomer(self):
        ours, theirs = self.pair()
        newcomer = Newcomer(ours, ("peer", 1), ("self", 2))
        self.poller.offer(newcomer)
        return newcomer, theirs

    def close(self):
        for sock in self.sockets:
            sock.close()
        self.poller.close()


@pytest.fixture(params=KINDS)
def room(request):
    room = Room(request.param)
    yield room
    room.close()


# own connections


def test_a_readable_connection_is_served_and_not_returned(room):
    connection, theirs = room.adopted()
    assert room.poller.select(0) == []
    assert connection.take() == []
    theirs.send(b"x")
    assert room.poller.select(0) == []
    assert connection.take() == ["readable"]
    room.poller.select(0)
    assert connection.take() == ["readable"], "level-triggered"


def test_writability_is_told_while_it_is_watched(room):
    connection, _ = room.adopted()
    room.poller.watch(connection, READ | WRITE)
    room.poller.select(0)
    assert connection.take() == ["writable"]
    room.poller.watch(connection, READ)
    room.poller.select(0)
    assert connection.take() == []


def test_both_in_one_turn_writable_first(room):
    connection, theirs = room.adopted(READ | WRITE)
    theirs.send(b"x")
    room.poller.select(0)
    assert connection.take() == ["writable", "readable"]


def test_a_connection_that_closes_when_writable_is_not_read(room):
    connection, theirs = room.adopted(READ | WRITE)
    theirs.send(b"x")

    def close():
        connection.log.append("closed")
        room.poller.forget(connection)
        connection.fd = -1

    connection.on_writable = close
    room.poller.select(0)
    assert connection.take() == ["closed"]


def test_nothing_is_read_while_nothing_is_asked(room):
    connection, theirs = room.adopted()
    room.poller.watch(connection, 0)
    theirs.send(b"x")
    room.poller.select(0)
    assert connection.take() == []
    room.poller.watch(connection, READ)
    room.poller.select(0)
    assert connection.take() == ["readable"]


def test_watching_may_stop_twice_and_begin_with_writing(room):
    connection, _ = room.adopted()
    room.poller.watch(connection, 0)
    room.poller.watch(connection, ERRORS)
    room.poller.watch(connection, WRITE)
    room.poller.select(0)
    assert connection.take() == ["writable"]


def test_a_forgotten_connection_is_not_served(room):
    connection, theirs = room.adopted()
    room.poller.forget(connection)
    room.poller.forget(connection)
    theirs.send(b"x")
    assert room.poller.select(0) == []
    assert connection.take() == []


def test_a_replaced_connection_hands_over_its_descriptor(room):
    connection, theirs = room.adopted()
    heir = Recorder(connection.sock)
    room.poller.replace(heir)
    theirs.send(b"x")
    room.poller.select(0)
    assert (connection.take(), heir.take()) == ([], ["readable"])


def test_a_connection_closed_by_another_in_the_same_turn_is_not_served(room):
    first, second = room.adopted(), room.adopted()
    for _, theirs in (first, second):
        theirs.send(b"x")
    served = []

    def serve(connection, other):
        def on_readable():
            served.append(connection)
            room.poller.forget(other)

        return on_readable

    first[0].on_readable = serve(first[0], second[0])
    second[0].on_readable = serve(second[0], first[0])
    room.poller.select(0)
    assert len(served) == 1


def test_a_connection_that_fails_is_lost_and_the_others_served(room, caplog):
    (broken, theirs), (whole, others) = room.adopted(), room.adopted()
    broken.fail = True
    theirs.send(b"x")
    others.send(b"x")
    room.poller.select(0)
    assert broken.take() == ["readable", "lose"]
    assert whole.take() == ["readable"]
    assert caplog.text.count("A connection failed in the server") == 1


def test_a_connection_that_fails_twice_is_survived(room, caplog):
    broken, theirs = room.adopted()
    broken.fail = True
    broken.lose = lambda: 1 / 0
    theirs.send(b"x")
    room.poller.select(0)
    assert "ZeroDivisionError" in caplog.text


# deadlines and time


def test_the_clock_is_read_once_a_turn(room):
    room.clock.advance(5.0)
    room.poller.select(0)
    assert room.poller.now == room.poller.busy_since == room.clock.now


def test_deadlines_expire_after_readiness(room):
    connection, theirs = room.adopted()
    room.poller.deadlines.arm(connection, room.clock.now + 3.0)
    theirs.send(b"x")
    room.clock.advance(3.0)
    room.poller.select(0)
    assert connection.take() == ["readable", "deadline"]


def test_a_deadline_that_fails_loses_its_connection_alone(room, caplog):
    broken, _ = room.adopted()
    broken.fail = True
    room.poller.deadlines.arm(broken, room.clock.now)
    room.poller.select(0)
    assert broken.take() == ["deadline", "lose"]


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_wait_ends_with_the_next_deadline(room, timeout):
    connection, _ = room.adopted()
    room.poller.deadlines.arm(connection, room.poller.now + 0.001)
    room.clock.advance(1.0)
    room.poller.select(timeout)
    assert connection.take() == ["deadline"]


def test_a_wait_that_is_shorter_than_the_next_deadline_is_kept(room):
    connection, _ = room.adopted()
    room.poller.deadlines.arm(connection, room.poller.now + 60.0)
    assert room.poller.select(0.001) == []


def test_a_deadline_in_the_past_is_no_wait(room):
    connection, _ = room.adopted()
    room.poller.deadlines.arm(connection, room.poller.now - 5.0)
    room.poller.select(None)
    assert connection.take() == ["deadline"]


def test_seconds_are_told_while_something_happens(room):
    for elapsed, seconds in ((0.0, 1), (0.5, 1), (0.6, 2), (10.0, 3)):
        room.clock.advance(elapsed)
        room.poller.select(0)
        assert room.seconds == seconds


# newcomers


def test_a_newcomer_is_welcomed_with_its_first_octets(room):
    newcomer, theirs = room.newcomer()
    room.poller.select(0)
    assert room.welcomed == []
    theirs.send(b"x")
    assert room.poller.select(0) == []
    assert room.welcomed == [newcomer]
    assert room.poller.newcomers == {}
    assert (newcomer.client, newcomer.server) == (("peer", 1), ("self", 2))


def test_a_newcomer_that_cannot_be_watched_is_not_waited_for(room, monkeypatch):
    def full(fd, events):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room.poller, "_watch_new", full)
    with pytest.raises(OSError, match="No space"):
        room.newcomer()
    assert room.poller.newcomers == {}


def test_a_newcomer_can_be_withdrawn_once(room):
    newcomer, theirs = room.newcomer()
    assert room.poller.withdraw(newcomer) is True
    assert room.poller.withdraw(newcomer) is False
    theirs.send(b"x")
    room.poller.select(0)
    assert room.welcomed == []


def test_a_welcomed_newcomer_cannot_be_withdrawn(room):
    newcomer, theirs = room.newcomer()
    theirs.send(b"x")
    room.poller.select(0)
    assert room.poller.withdraw(newcomer) is False


def test_another_newcomer_with_the_same_descriptor_stays(room):
    newcomer, _ = room.newcomer()
    older = Newcomer(newcomer.sock, None, None)
    assert room.poller.withdraw(older) is False
    assert room.poller.newcomers == {newcomer.fd: newcomer}


@pytest.mark.parametrize("error", [OSError, MemoryError, ValueError])
def test_a_newcomer_that_cannot_be_served_is_closed(room, caplog, error):
    def welcome(newcomer):
        raise error

    room.welcome = welcome
    newcomer, theirs = room.newcomer()
    theirs.send(b"x")
    room.poller.select(0)
    assert newcomer.sock.fileno() == -1
    assert caplog.text.count("A connection could not be served") == 1
    assert room.poller.select(0) == []


def test_a_newcomer_that_was_closed_by_what_failed_is_forgotten(room):
    def welcome(newcomer):
        newcomer.sock.close()
        raise OSError(107, "Transport endpoint is not connected")

    room.welcome = welcome
    newcomer, theirs = room.newcomer()
    theirs.send(b"x")
    room.poller.select(0)
    room.welcome = room.welcomed.append
    other, theirs = room.newcomer()
    assert other.fd == newcomer.fd, "given out again"
    theirs.send(b"x")
    room.poller.select(0)
    assert room.welcomed == [other]


def test_a_newcomer_whose_peer_has_left_is_the_peers_affair(room, caplog):
    def welcome(newcomer):
        raise ConnectionResetError("the peer has left")

    room.welcome = welcome
    newcomer, theirs = room.newcomer()
    theirs.send(b"x")
    with caplog.at_level("INFO"):
        room.poller.select(0)
    assert caplog.text == ""
    assert newcomer.sock.fileno() == -1


def test_a_newcomer_that_fails_as_a_connection_is_lost_as_one(room, caplog):
    made = []

    def welcome(newcomer):
        made.append(Recorder(newcomer.sock))
        room.poller.replace(made[0])
        raise ValueError

    room.welcome = welcome
    theirs = room.newcomer()[1]
    theirs.send(b"x")
    room.poller.select(0)
    assert made[0].take() == ["lose"]


# foreign descriptors


def test_foreign_readiness_is_returned_with_its_key(room):
    ours, theirs = room.pair()
    key = room.poller.register(ours, READ, "data")
    assert room.poller.select(0) == []
    theirs.send(b"x")
    assert room.poller.select(0) == [(key, READ)]
    assert (key.fileobj, key.fd, key.events, key.data) == (ours, ours.fileno(), READ, "data")


def test_foreign_events_are_those_asked_for(room):
    ours, theirs = room.pair()
    theirs.send(b"x")
    key = room.poller.register(ours, WRITE)
    assert room.poller.select(0) == [(key, WRITE)]
    key = room.poller.modify(ours, READ | WRITE, "new")
    assert room.poller.select(0) == [(key, READ | WRITE)]
    assert key.data == "new"
    assert room.poller.modify(ours, READ | WRITE).data is None


def test_a_foreign_end_is_readiness(room):
    ours, theirs = room.pair()
    key = room.poller.register(ours, READ | WRITE)
    theirs.close()
    assert room.poller.select(0) == [(key, READ | WRITE)]


def test_the_map_is_of_foreign_descriptors_alone(room):
    room.adopted()
    ours, _ = room.pair()
    key = room.poller.register(ours, READ)
    assert dict(room.poller.get_map()) == {ours.fileno(): key}
    assert room.poller.get_key(ours.fileno()) == key
    assert room.poller.unregister(ours) == key
    assert dict(room.poller.get_map()) == {}
    assert room.poller.select(0) == []


def test_a_descriptor_is_registered_once(room):
    ours, _ = room.pair()
    room.poller.register(ours, READ)
    with pytest.raises(KeyError, match="already registered"):
        room.poller.register(ours.fileno(), READ)


def test_what_was_closed_can_still_be_unregistered(room):
    ours, _ = room.pair()
    key = room.poller.register(ours, READ)
    ours.close()
    assert room.poller.unregister(ours) == key


@pytest.mark.parametrize("call", ["unregister", "modify"])
def test_what_is_not_registered_is_said_so(room, call):
    ours, _ = room.pair()
    arguments = [READ] if call == "modify" else []
    with pytest.raises(KeyError, match="not registered"):
        getattr(room.poller, call)(ours, *arguments)
    ours.close()
    with pytest.raises(KeyError, match="not registered"):
        getattr(room.poller, call)(ours, *arguments)


def test_a_descriptor_that_is_none_is_refused(room):
    ours, _ = room.pair()
    ours.close()
    with pytest.raises(ValueError, match="invalid"):
        room.poller.register(ours, READ)


def test_a_poller_is_a_selector(room):
    assert isinstance(room.poller, selectors.BaseSelector)
    ours, _ = room.pair()
    room.poller.register(ours, READ)
    room.poller.close()
    assert dict(room.poller.get_map()) == {}


# what only epoll tells


@pytest.fixture
def epoll():
    if EpollPoller not in KINDS:
        pytest.skip("no epoll here")
    room = Room(EpollPoller)
    yield room
    for sock in room.sockets:
        sock.close()
    room.poller.close()


def pair_over_tcp(room):
    ours, theirs = tcp_pair()
    ours.setblocking(False)
    room.sockets += [ours, theirs]
    return ours, theirs


@pytest.mark.parametrize("pair", [Room.pair, pair_over_tcp])
def test_the_peers_end_is_told_while_nothing_is_asked(epoll, pair):
    ours, theirs = pair(epoll)
    connection = Recorder(ours)
    epoll.poller.adopt(connection)
    epoll.poller.watch(connection, 0)
    epoll.poller.select(0)
    assert connection.take() == []
    theirs.shutdown(socket.SHUT_WR)
    epoll.poller.select(1)
    assert connection.take() == ["hangup"]


@pytest.mark.parametrize("pair", [Room.pair, pair_over_tcp])
def test_an_end_that_is_known_is_not_told_again_but_a_failure_is(epoll, pair):
    ours, theirs = pair(epoll)
    connection = Recorder(ours)
    epoll.poller.adopt(connection)
    theirs.shutdown(socket.SHUT_WR)
    epoll.poller.watch(connection, ERRORS)
    epoll.poller.select(0)
    assert connection.take() == []
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()
    epoll.poller.select(1)
    assert connection.take() == ["hangup"]


def test_the_interest_list_has_a_descriptor_of_its_own(epoll):
    connection, theirs = epoll.adopted()
    theirs.send(b"x")
    assert select.select([epoll.poller.fileno()], [], [], 1)[0]
    assert connection.take() == []


def test_create_poller_takes_the_best_there_is(monkeypatch):
    best = create_poller(lambda newcomer: None, lambda: None)
    assert isinstance(best, KINDS[-1])
    best.close()
    monkeypatch.delattr(module.select, "epoll", raising=False)
    other = create_poller(lambda newcomer: None, lambda: None)
    assert isinstance(other, SelectorPoller)
    other.close()


def test_signals_do_not_break_a_wait(room):
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        assert room.poller.select(0.003) == []
    finally:
        signal.signal(signal.SIGALRM, previous)


# newcomers that have spoken


class Interest:
    """An interest list that writes down what is asked of it."""

    def __init__(self, epoll, log):
        self.epoll = epoll
        self.log = log
        self.closed = False

    def register(self, fd, mask):
        self.log.append(("register", fd, mask))
        self.epoll.register(fd, mask)

    def modify(self, fd, mask):
        self.log.append(("modify", fd, mask))
        self.epoll.modify(fd, mask)

    def unregister(self, fd):
        self.log.append(("unregister", fd))
        self.epoll.unregister(fd)

    def close(self):
        self.epoll.close()


class Spoken(Room):
    """A room whose newcomers are welcomed as recorders, in the order of ``made``."""

    def __init__(self):
        super().__init__(EpollPoller)
        self.made = []
        self.welcome = self.make

    def make(self, newcomer):
        connection = Recorder(newcomer.sock)
        connection.events = READ
        self.made.append(connection)
        self.poller.replace(connection)

    def ready(self, data=b"x"):
        ours, theirs = self.pair()
        theirs.send(data)
        newcomer = Newcomer(ours, ("peer", 1), ("self", 2))
        self.poller.offer_ready(newcomer)
        return newcomer, theirs


@pytest.fixture
def spoken():
    if EpollPoller not in KINDS:
        pytest.skip("needs epoll")
    room = Spoken()
    yield room
    room.close()


def test_who_has_spoken_is_welcomed_in_the_next_turn_and_watched_from_its_end(spoken):
    newcomer, _ = spoken.ready()
    assert spoken.poller.newcomers == {newcomer.fd: newcomer}
    spoken.poller.select(0)
    (connection,) = spoken.made
    assert (spoken.poller.newcomers, connection.take()) == ({}, [])
    spoken.poller.select(0)
    assert connection.take() == ["readable"]


def test_who_is_served_to_the_end_was_never_watched(spoken, monkeypatch):
    watched = []
    monkeypatch.setattr(spoken.poller, "_epoll", Interest(spoken.poller._epoll, watched))

    def serve(newcomer):
        spoken.make(newcomer)
        spoken.poller.forget(spoken.made[0])
        newcomer.sock.close()

    spoken.welcome = serve
    spoken.ready()
    spoken.poller.select(0)
    assert watched == []


def test_what_it_asked_for_meanwhile_is_watched_then(spoken, monkeypatch):
    watched = []
    monkeypatch.setattr(spoken.poller, "_epoll", Interest(spoken.poller._epoll, watched))

    def serve(newcomer):
        spoken.make(newcomer)
        spoken.made[0].events = READ | WRITE
        spoken.poller.watch(spoken.made[0], READ | WRITE)

    spoken.welcome = serve
    newcomer, _ = spoken.ready()
    spoken.poller.select(0)
    assert watched == [("register", newcomer.fd, 1 | 4)]
    spoken.poller.watch(spoken.made[0], READ)
    assert watched[1:] == [("modify", newcomer.fd, 1)]


def test_who_has_spoken_and_was_withdrawn_is_not_welcomed(spoken):
    newcomer, _ = spoken.ready()
    assert spoken.poller.withdraw(newcomer) is True
    spoken.poller.select(0)
    assert spoken.made == []


def test_a_withdrawn_one_does_not_take_its_descriptors_next_owner_along(spoken):
    withdrawn, _ = spoken.ready()
    spoken.poller.withdraw(withdrawn)
    other = Newcomer(withdrawn.sock, None, None)
    spoken.poller.offer(other)

    class Watched(dict):
        """The acceptor may look at any moment: who is missing is not watched for silence."""

        def pop(self, *_):
            raise AssertionError("taken out, if only for a moment")

    spoken.poller.newcomers = Watched(spoken.poller.newcomers)
    spoken.poller._greet_ready(0.0)
    assert spoken.made == []
    assert spoken.poller.newcomers == {other.fd: other}


def test_a_stale_withdrawal_does_not_hide_one_that_is_being_greeted(spoken):
    stale, _ = spoken.ready()
    spoken.poller.select(0)
    spoken.poller.forget(spoken.made[0])  # served and closed; its descriptor is given out again
    current = Newcomer(stale.sock, None, None)
    spoken.poller.offer_ready(current)

    class Newcomers(dict):
        """The runtime's thread has its turn when the acceptor's has taken something out."""

        interrupted = False

        def pop(self, *args):
            taken = super().pop(*args)
            if not self.interrupted:
                self.interrupted = True
                spoken.poller._greet_ready(0.0)
            return taken

    spoken.poller.newcomers = Newcomers(spoken.poller.newcomers)
    assert spoken.poller.withdraw(stale) is False
    spoken.poller.select(0)
    assert len(spoken.made) == 2
    assert spoken.poller.newcomers == {}


def test_who_comes_while_others_are_welcomed_has_the_next_turn(spoken):
    def serve(newcomer):
        spoken.make(newcomer)
        if len(spoken.made) < 3:
            spoken.ready()

    spoken.welcome = serve
    spoken.ready()
    spoken.poller._greet_ready(0.0)
    assert len(spoken.made) == 1


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_of_a_crowd_some_have_the_next_turn_and_it_comes_at_once(spoken, monkeypatch, timeout):
    monkeypatch.setattr(module, "MOST", 2)
    for _ in range(3):
        spoken.ready()
    assert spoken.poller.select(0) == []
    assert len(spoken.made) == 2, "a loop's callbacks are not to wait for a whole crowd"
    assert spoken.poller.has_more()
    for connection in spoken.made:
        spoken.poller.forget(connection)
    spoken.poller.select(timeout)
    assert len(spoken.made) == 3
    assert not spoken.poller.has_more()


def test_the_answers_of_many_newcomers_leave_together(spoken):
    spoken.poller.select(0)
    spoken.clock.advance(module._CAUTION * module._LONG)
    seen = []
    spoken.welcome = lambda newcomer: (
        spoken.make(newcomer),
        seen.append(spoken.poller.gathering),
    )
    spoken.ready()
    spoken.ready()
    spoken.poller.select(0)
    assert seen == [True, True]
    spoken.ready()
    spoken.poller.select(0)  # with the two others, which are still readable
    assert seen == [True, True, True]


def test_one_that_cannot_be_watched_is_lost(spoken, monkeypatch, caplog):
    class Full(Interest):
        def register(self, fd, mask):
            raise OSError(28, "No space left on device")

    spoken.ready()
    monkeypatch.setattr(spoken.poller, "_epoll", Full(spoken.poller._epoll, []))
    spoken.poller.select(0)
    assert spoken.made[0].take() == ["lose"]
    assert caplog.text.count("A connection failed in the server") == 1


@pytest.mark.parametrize("error", [OSError, MemoryError, ValueError])
def test_one_that_has_spoken_and_cannot_be_served_is_closed(spoken, error):
    def welcome(newcomer):
        raise error

    spoken.welcome = welcome
    newcomer, _ = spoken.ready()
    spoken.poller.select(0)
    assert newcomer.sock.fileno() == -1
    assert spoken.poller.select(0) == []


def test_one_that_was_closed_by_what_failed_is_forgotten(spoken, monkeypatch):
    # As ``ssl`` does with a socket whose peer has left: it detaches it, and closes what it made.
    watched = []
    monkeypatch.setattr(spoken.poller, "_epoll", Interest(spoken.poller._epoll, watched))

    def welcome(newcomer):
        newcomer.sock.close()
        raise OSError(107, "Transport endpoint is not connected")

    spoken.welcome = welcome
    spoken.ready()
    assert spoken.poller.select(0) == []
    assert watched == []
    assert spoken.poller._unwatched == set()


def test_a_closed_poller_takes_nobody(spoken):
    spoken.poller.close()
    with pytest.raises(ValueError, match="closed"):
        spoken.ready()


# answers of one turn


class Answering(Recorder):
    """Keeps an answer back where that is allowed, as connections do."""

    def __init__(self, sock, room, sent):
        super().__init__(sock)
        self.room = room
        self.sent = sent
        self.takes = 0.0
        self.before = None
        self.closing, self.out_size = False, 0

    def on_readable(self):
        self.sock.recv(100)
        self.room.clock.now += self.takes
        self.before = list(self.sent)
        self.answer()

    def answer(self):
        poller = self.room.poller
        if poller.gathering:
            poller.gather(self)
        else:
            poller.gathering = poller.followers_wait
            self.send_gathered()

    def send_gathered(self):
        self.sent.append(self)
        if self.fail:
            raise ValueError


@pytest.fixture
def crowd(room):
    """Three connections that have all been asked, when the application is known to be quick."""
    room.poller.select(0)
    room.clock.advance(module._CAUTION * module._LONG)
    sent = []
    connections = []
    for _ in range(3):
        ours, theirs = room.pair()
        connection = Answering(ours, room, sent)
        room.poller.adopt(connection)
        theirs.send(b"x")
        connections.append(connection)
        connection.theirs = theirs
    return connections


def test_answers_of_one_turn_leave_at_its_end(room, crowd):
    room.poller.select(0)
    assert [connection.before for connection in crowd] == [[], [], []]
    assert sorted(map(id, crowd[0].sent)) == sorted(map(id, crowd))
    assert not room.poller.gathering


def test_a_single_connection_waits_for_nobody(room, crowd):
    room.poller.select(0)
    crowd[0].sent.clear()
    crowd[0].theirs.send(b"x")
    crowd[0].on_readable, seen = (lambda: seen.append(room.poller.gathering)), []
    room.poller.select(0)
    assert seen == [False]


def test_until_an_application_has_shown_that_it_is_quick_nothing_waits(room):
    seen = []
    for _ in range(2):
        connection, theirs = room.adopted()
        connection.on_readable = lambda: seen.append(room.poller.gathering)
        theirs.send(b"x")
    room.poller.select(0)
    assert seen == [False, False]


def test_a_failed_send_takes_no_other_answer_away(room, crowd):
    for connection in crowd:
        connection.fail = True
    room.poller.select(0)
    assert len(crowd[0].sent) == 3
    assert [connection.take() for connection in crowd] == [["lose"]] * 3


def test_what_waited_for_a_millisecond_is_sent(room, crowd):
    for connection in crowd:
        connection.takes = module.WAIT * 1.5
    room.poller.select(0)
    assert sorted(len(connection.before) for connection in crowd) == [0, 1, 2]


def test_an_application_that_blocks_is_not_waited_for(room, crowd):
    for connection in crowd:
        connection.takes = module._LONG * 2
    room.poller.select(0)
    assert sorted(len(connection.before) for connection in crowd) == [0, 1, 2]
    seen = []
    for connection in crowd:
        connection.takes = 0.0
        connection.on_readable = lambda: seen.append(room.poller.gathering)
        connection.theirs.send(b"x")
    room.poller.select(0)
    assert seen == [False] * 3
    room.clock.advance(module._LONG * 3 * module._CAUTION)
    seen.clear()
    room.poller.select(0)
    assert seen == [True] * 3


# answers that a loop's callbacks give between two turns


@pytest.fixture
def callbacks(room, crowd):
    """The crowd between two turns of a loop that has been quick for long."""
    room.poller.drive_loop()
    room.poller.select(0)
    crowd[0].sent.clear()
    return crowd


def test_the_first_answer_of_the_callbacks_leaves_at_once_and_the_others_together(room, callbacks):
    sent = callbacks[0].sent
    for connection in callbacks:
        connection.answer()
        assert sent == callbacks[:1]
    room.poller.select(0)
    assert sent == callbacks


def test_each_round_of_callbacks_has_a_first_answer(room, callbacks):
    for connection in callbacks:
        connection.answer()
        assert callbacks[0].sent[-1] is connection
        room.poller.select(0)


def test_where_no_loop_comes_back_no_answer_waits(room, crowd):
    room.poller.select(0)
    crowd[0].sent.clear()
    for connection in crowd:
        connection.answer()
    assert crowd[0].sent == crowd


def test_slow_callbacks_are_not_waited_for(room, callbacks):
    sent = callbacks[0].sent
    callbacks[0].answer()
    callbacks[1].answer()
    room.clock.now += module._SLOW * 2
    room.poller.select(0)
    sent.clear()
    for connection in callbacks:
        connection.answer()
    assert sent == callbacks
    room.clock.now += module._SLOW * 3 * module._CAUTION
    room.poller.select(0)
    sent.clear()
    for connection in callbacks:
        connection.answer()
    assert sent == callbacks[:1]


def lost(connection):
    connection.fd = -1


def ended(connection):
    connection.closing = True


def held_back(connection):
    connection.out_size = 1


def failing(connection):
    raise ValueError


@pytest.mark.parametrize("happens", [lost, ended, held_back, failing])
def test_who_may_have_been_told_of_an_end_before_a_wait_has_the_loop_look_again(
    room, callbacks, happens
):
    """What the application asked of its loop then is newer than the wait that the loop chose."""
    fd = callbacks[1].fd
    callbacks[1].send_gathered = lambda: happens(callbacks[1])
    callbacks[0].answer()
    callbacks[1].answer()
    begun = time.monotonic()
    room.poller.select(5)
    assert time.monotonic() - begun < 1
    callbacks[1].fd = fd


def test_a_turn_after_the_callbacks_gathers_by_its_own_rule(room, callbacks):
    callbacks[0].answer()
    seen = []
    callbacks[1].on_readable = lambda: seen.append(
        (room.poller.gathering, room.poller.followers_wait)
    )
    callbacks[1].theirs.send(b"x")
    room.poller.select(0)
    assert seen == [(False, False)]
