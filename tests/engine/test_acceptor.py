"""The acceptor, turn by turn over real listeners, under a clock that moves when told."""

import errno
import os
import select
import socket

import pytest

from granian.engine import acceptor as module
from granian.engine.acceptor import Acceptor
from granian.engine.poller import create_poller
from granian.engine.wakeup import Wakeup
from tests.support.fakes import FakeClock
from tests.support.servers import wait_until

linux = pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")


class Runtime:
    """What the acceptor needs of a runtime: a poller, and somebody to post to."""

    def __init__(self):
        self.poller = create_poller(lambda newcomer: None, lambda: None)
        self.wakeup = Wakeup()
        self.poller.adopt(self.wakeup)
        self.posted = []
        self.stopped = False

    def post(self, call):
        self.posted.append(call.__name__)

    def shed_idle(self):
        """Posted when there is no room."""

    def end_when_empty(self):
        """Posted when the acceptor has ended."""

    @property
    def newcomers(self):
        return list(self.poller.newcomers.values())

    def serve(self, newcomer):
        """Take a newcomer as the poller does with its first octets."""
        del self.poller.newcomers[newcomer.fd]
        self.poller.connections[newcomer.fd] = newcomer

    def end(self, newcomer):
        """Close a served connection."""
        del self.poller.connections[newcomer.fd]
        newcomer.sock.close()

    def close(self):
        for newcomer in (*self.newcomers, *self.poller.connections.values()):
            if newcomer is not self.wakeup:
                newcomer.sock.close()
        self.poller.close()
        self.wakeup.close()


class Clock(FakeClock):
    """Stands for the module ``time``."""

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class FailingListener:
    """A listening socket whose next accepts fail."""

    def __init__(self, sock, *numbers):
        self.sock = sock
        self.numbers = list(numbers)

    def _accept(self):
        if self.numbers:
            number = self.numbers.pop(0)
            raise OSError(number, os.strerror(number))
        return self.sock._accept()

    def fileno(self):
        return self.sock.fileno()


class Door:
    """An acceptor in the test's hands, and the clients before it."""

    def __init__(self, limit=100, runtimes=1, silence=30.0, address="127.0.0.1", shared=False):
        self.listener = socket.socket()
        self.listener.bind((address, 0))
        self.listener.listen(64)
        self.runtimes = [Runtime() for _ in range(runtimes)]
        self.acceptor = Acceptor([self.listener], self.runtimes, limit, silence, shared)
        self.acceptor._selector.register(self.acceptor._wakeup.fd, 1, None)
        self.acceptor._listen(True)
        self.clients = []

    @property
    def runtime(self):
        return self.runtimes[0]

    @property
    def newcomers(self):
        return [newcomer for runtime in self.runtimes for newcomer in runtime.newcomers]

    def connect(self, count=1, data=b""):
        for _ in range(count):
            client = socket.create_connection(("127.0.0.1", self.listener.getsockname()[1]))
            client.settimeout(1)
            client.sendall(data)
            self.clients.append(client)
        return client

    def turn(self):
        self.acceptor._wakeup.post(lambda: None)
        self.acceptor._turn()

    def fail_with(self, *numbers):
        (listener,) = self.acceptor._listeners
        listener.sock = FailingListener(listener.sock, *numbers)

    def close(self):
        self.acceptor.close()
        for runtime in self.runtimes:
            runtime.close()
        for sock in (*self.clients, self.listener):
            sock.close()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def prompt(request, monkeypatch):
    """Have the kernel hold nobody back, but in the tests that are about that."""
    if "deferred" not in request.fixturenames:
        monkeypatch.setattr(module, "_DEFERRED", 0)


@pytest.fixture
def deferred():
    """Leave to the kernel what it does."""


@pytest.fixture
def door(clock):
    doors = []

    def door(**options):
        doors.append(Door(**options))
        return doors[-1]

    yield door
    for one in doors:
        one.close()


def is_closed(client):
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


# accepting


def test_a_connection_is_offered_with_its_addresses(door):
    one = door()
    client = one.connect()
    one.turn()
    (newcomer,) = one.newcomers
    assert newcomer.client == client.getsockname()
    assert newcomer.server == client.getpeername()
    assert newcomer.sock.gettimeout() == 0
    assert newcomer.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_wildcard_listener_asks_each_connection(door):
    one = door(address="0.0.0.0")
    client = one.connect()
    one.turn()
    assert one.newcomers[0].server == client.getpeername()


def test_unix_sockets_have_a_path_and_no_client(clock, tmp_path):
    path = str(tmp_path / "socket")
    runtime = Runtime()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        acceptor = Acceptor([listener], [runtime], 10, 30.0)
        client.connect(path)
        acceptor._accept(acceptor._listeners[0])
        (newcomer,) = runtime.newcomers
        assert (newcomer.client, newcomer.server) == (None, (path, 0))
        acceptor.close()
        runtime.close()


def test_a_path_that_a_peer_has_bound_is_no_address_of_a_client(clock, tmp_path):
    runtime = Runtime()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        client.bind(str(tmp_path / "peer"))
        acceptor = Acceptor([listener], [runtime], 10, 30.0)
        client.connect(str(tmp_path / "socket"))
        acceptor._accept(acceptor._listeners[0])
        assert runtime.newcomers[0].client is None
        acceptor.close()
        runtime.close()


def test_options_are_set_where_they_are_not_inherited(door, monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "freebsd14")
    one = door()
    one.connect()
    one.turn()
    assert one.newcomers[0].sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_batch_is_accepted_in_one_turn(door):
    one = door()
    one.connect(20)
    one.turn()
    assert len(one.newcomers) == 20


def test_a_busy_worker_lets_connections_gather(door, clock):
    one = door()
    one.runtime.poller.busy_since = clock.now
    one.connect()
    before = clock.now
    one.turn()
    assert clock.now > before
    assert len(one.newcomers) == 1


# who gets it


def test_the_least_loaded_runtime_is_chosen(door):
    one = door(runtimes=3)
    one.connect(9)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [3, 3, 3]


def test_a_runtime_that_is_stuck_gets_nothing(door, clock):
    one = door(runtimes=2)
    one.runtimes[0].poller.busy_since = clock.now - 1.0
    one.connect(4)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [0, 4]


def test_when_all_are_stuck_they_share(door, clock):
    one = door(runtimes=2)
    for runtime in one.runtimes:
        runtime.poller.busy_since = clock.now - 1.0
    one.connect(4)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [2, 2]


def test_of_two_with_the_same_load_the_waiting_one_is_chosen(door, clock):
    one = door(runtimes=2)
    one.runtimes[0].poller.busy_since = clock.now
    one.connect(1)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [0, 1]


def test_who_waits_for_a_runtime_that_proves_stuck_goes_to_another(door, clock):
    one = door(runtimes=2)
    busy, free = one.runtimes
    busy.poller.busy_since = free.poller.busy_since = clock.now
    one.connect(2, b"x")
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [1, 1]
    free.poller.busy_since = 0.0
    clock.advance(module._STUCK * 1.5)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [0, 2]


def test_who_waits_for_the_only_runtimes_there_are_is_looked_at_again(door, clock):
    one = door(runtimes=2)
    for runtime in one.runtimes:
        runtime.poller.busy_since = clock.now
    one.connect(2, b"x")
    one.turn()
    clock.advance(module._STUCK * 1.5)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [1, 1]
    one.runtimes[1].poller.busy_since = 0.0
    clock.advance(module._STUCK * 1.5)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [0, 2]


def test_who_cannot_be_given_to_another_is_closed(door, clock):
    one = door(runtimes=2)
    busy, free = one.runtimes
    busy.poller.busy_since = free.poller.busy_since = clock.now
    one.connect(1)
    one.turn()
    free.poller.busy_since = 0.0
    free.poller.close()
    clock.advance(module._STUCK * 1.5)
    one.turn()
    assert busy.newcomers == []
    assert one.clients[0].recv(1) == b""


def test_a_worker_that_is_stuck_leaves_who_waits_to_the_others(door, clock):
    one = door(shared=True)
    one.runtime.poller.busy_since = clock.now - 1.0
    one.connect(1, b"x")
    one.turn()
    assert one.newcomers == []
    one.runtime.poller.busy_since = 0.0
    clock.advance(module._LATE)
    one.turn()
    one.turn()
    assert len(one.newcomers) == 1


# limits


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_than_the_limit_is_accepted(door, limit):
    one = door(limit=limit)
    one.connect(limit + 2, b"x")
    one.turn()
    assert len(one.newcomers) == limit
    one.turn()
    assert len(one.newcomers) == limit
    assert "shed_idle" in one.runtime.posted
    assert not one.acceptor._listening


def test_a_closed_connection_makes_room(door):
    one = door(limit=2)
    one.connect(3, b"x")
    one.turn()
    for newcomer in one.newcomers:
        one.runtime.serve(newcomer)
    one.turn()
    assert one.newcomers == []
    one.runtime.end(next(iter(list(one.runtime.poller.connections.values())[1:])))
    one.acceptor.on_closed()
    one.turn()
    one.turn()
    assert len(one.newcomers) == 1


def test_a_full_worker_does_not_spin_and_asks_again(door, clock):
    one = door(limit=1)
    one.connect(2, b"x")
    one.turn()
    one.turn()
    assert 0.1 < one.acceptor._wait_time() < 0.3
    one.runtime.posted.clear()
    clock.advance(0.3)
    one.turn()
    one.turn()
    assert one.runtime.posted == ["shed_idle"]


def test_who_is_silent_gives_way_to_who_knocks(door, clock):
    one = door(limit=2)
    silent = one.connect()
    one.connect(data=b"x")
    one.turn()
    clock.advance(1.0)
    one.connect(data=b"y")
    one.turn()
    assert is_closed(silent)
    assert len(one.newcomers) == 2
    assert "shed_idle" not in one.runtime.posted


def test_who_has_just_come_may_be_silent_for_a_moment(door):
    one = door(limit=1)
    one.connect(2)
    one.turn()
    one.turn()
    assert len(one.newcomers) == 1
    assert one.runtime.posted == ["shed_idle"]


# silence


def test_a_silent_connection_is_closed_in_time(door, clock):
    one = door(silence=30.0)
    silent = one.connect()
    one.turn()
    assert one.acceptor._wait_time() == pytest.approx(30.0)
    clock.advance(29.9)
    one.turn()
    assert len(one.newcomers) == 1
    clock.advance(0.2)
    one.turn()
    assert one.newcomers == []
    assert is_closed(silent)
    assert one.acceptor._wait_time() is None


def test_a_connection_that_has_spoken_is_the_runtimes(door, clock):
    one = door()
    one.connect(data=b"x")
    one.turn()
    (newcomer,) = one.newcomers
    one.runtime.serve(newcomer)
    clock.advance(31.0)
    one.turn()
    assert newcomer.sock.fileno() >= 0


def test_a_descriptor_that_was_given_out_again_is_left_alone(door, clock):
    one = door()
    one.connect()
    one.turn()
    (first,) = one.newcomers
    one.runtime.serve(first)
    clock.advance(10.0)
    one.connect()
    one.runtime.end(first)
    one.turn()
    (second,) = one.newcomers
    assert second.fd == first.fd
    clock.advance(21.0)
    one.turn()
    assert one.newcomers == [second]


def test_one_silent_connection_keeps_no_others_in_memory(door):
    one = door(limit=10_000)
    one.connect()
    one.turn()
    (silent,) = one.newcomers
    for _ in range(40):
        one.connect(32)
        one.turn()
        for newcomer in one.newcomers:
            if newcomer is not silent:
                one.runtime.serve(newcomer)
                one.runtime.end(newcomer)
        while len(one.clients) > 1:
            one.clients.pop().close()
    assert len(one.acceptor._silent) <= 600
    assert one.newcomers == [silent]


# what goes wrong


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_accepting_pauses(door, clock, caplog, number):
    one = door()
    one.fail_with(number)
    one.connect()
    one.turn()
    assert one.newcomers == []
    assert one.runtime.posted == ["shed_idle"]
    assert caplog.messages == [f"Cannot accept connections: {os.strerror(number)}; trying again"]
    assert 0.1 <= one.acceptor._wait_time() <= 1.0
    clock.advance(0.1)
    one.acceptor.on_closed()
    one.turn()
    assert not one.acceptor._listening
    clock.advance(0.2)
    one.turn()
    one.turn()
    assert len(one.newcomers) == 1


def test_the_warning_is_not_repeated_at_once(door, clock, caplog):
    one = door()
    one.fail_with(*[errno.EMFILE] * 10)
    one.connect()
    for _ in range(5):
        one.turn()
        clock.advance(1.0)
        one.turn()
    assert len(caplog.messages) == 1
    clock.advance(10.0)
    one.turn()
    one.turn()
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
def test_a_connection_that_died_in_the_backlog_is_skipped(door, number):
    one = door()
    one.fail_with(number, number)
    one.connect()
    one.turn()
    assert len(one.newcomers) == 1


def test_a_connection_that_cannot_be_watched_is_closed(door, monkeypatch):
    one = door()
    client = one.connect()

    def offer(newcomer):
        raise OSError(errno.ENOSPC, "too many watches")

    monkeypatch.setattr(one.runtime.poller, "offer", offer)
    one.turn()
    assert is_closed(client)
    one.turn()


# who has spoken


@linux
def test_of_many_those_who_have_spoken_are_served_without_being_watched(door):
    one = door()
    one.connect(2, b"x")
    silent = one.connect()
    one.turn()
    assert len(one.newcomers) == 3
    assert one.runtime.posted == ["_nothing"], "told once for all of them"
    assert len(one.runtime.poller._ready) == 2
    assert silent.getsockname() not in [each.client for each in one.runtime.poller._ready]


@linux
def test_every_runtime_that_got_some_is_told(door):
    one = door(runtimes=3)
    one.connect(5, b"x")
    one.turn()
    assert [runtime.posted for runtime in one.runtimes] == [["_nothing"]] * 3


def test_one_alone_is_watched(door):
    one = door()
    one.connect(1, b"x")
    one.turn()
    assert len(one.newcomers) == 1
    assert one.runtime.posted == []


@linux
def test_one_who_has_spoken_can_be_taken_back(door, clock):
    one = door(runtimes=2)
    one.connect(4, b"x")
    one.runtimes[0].poller.busy_since = clock.now - 0.001
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [2, 2]
    clock.advance(module._STUCK)
    one.turn()
    assert [len(runtime.newcomers) for runtime in one.runtimes] == [0, 4]


@linux
def test_one_taken_back_may_come_to_the_same_runtime_again(door, clock, monkeypatch):
    one = door(runtimes=2)
    one.connect(4, b"x")
    stuck, _ = one.runtimes
    stuck.poller.busy_since = clock.now - 0.001
    one.turn()
    monkeypatch.setattr(one.acceptor, "_choose", lambda: stuck)  # free again at this moment
    clock.advance(module._STUCK)
    one.turn()
    served = []

    class Served:
        def __init__(self, newcomer):
            self.fd, self.sock, self.events = newcomer.fd, newcomer.sock, 1
            self.heard = []
            stuck.poller.replace(self)
            served.append(self)

        def on_readable(self):
            self.heard.append(self.sock.recv(10))

        def lose(self):
            self.heard.append("lost")

    stuck.poller.welcome = Served
    stuck.poller._greet_ready(0.0)  # the end of the turn in which it was stuck
    for _ in range(3):
        stuck.poller.select(0)
    assert [connection.heard for connection in served] == [[b"x"]] * 2
    assert stuck.newcomers == []


@linux
def test_the_kernel_holds_back_who_says_nothing(deferred, door):
    one = door()
    silent = one.connect()
    client = one.connect(data=b"x")
    one.turn()
    assert [each.client for each in one.newcomers] == [client.getsockname()]
    silent.sendall(b"x")
    one.turn()
    assert len(one.newcomers) == 2


# the thread


@pytest.fixture
def running():
    """A started acceptor, without the fake clock."""
    one = Door()
    one.acceptor._selector.unregister(one.acceptor._wakeup.fd)
    one.acceptor._listen(False)
    one.acceptor.offering = True
    yield one
    one.acceptor.stop()
    if one.acceptor.ident is not None:
        one.acceptor.join(5)
    one.close()


def test_the_thread_accepts_until_it_is_stopped(running):
    running.acceptor.start()
    client = running.connect()
    running.acceptor.stop()
    running.acceptor.join(5)
    assert not running.acceptor.is_alive()
    assert running.acceptor.listening_ended.is_set()
    assert not running.acceptor.offering
    assert running.runtime.posted == ["end_when_empty"]
    assert is_closed(client)
    assert running.listener.fileno() >= 0


def test_what_waits_in_the_backlog_is_accepted_before_the_end(running):
    client = running.connect(data=b"x")
    running.acceptor.stop()
    running.acceptor._stopping = False

    def select(timeout):
        running.acceptor._stopping = True
        return []

    running.acceptor._selector.select = select
    running.acceptor.run()
    (newcomer,) = running.newcomers
    assert newcomer.client == client.getsockname()
    assert newcomer.sock.fileno() >= 0, "it has spoken: the runtime will serve it"


def test_what_waits_in_the_backlog_is_left_to_the_worker_that_follows(running):
    client = running.connect(data=b"x")
    running.acceptor._listen(True)
    running.acceptor.stop(0.5, followed=True)
    running.acceptor._leave()
    assert running.newcomers == []
    sock, address = running.listener.accept()
    assert address == client.getsockname()
    sock.close()


def test_a_failure_of_ours_costs_a_moment_and_is_logged(running, monkeypatch, caplog):
    monkeypatch.setattr(module, "_PAUSE", 0.001)
    forget, failures = running.acceptor._forget_spoken, [MemoryError()]

    def fail():
        if failures:
            raise failures.pop()
        forget()

    monkeypatch.setattr(running.acceptor, "_forget_spoken", fail)
    running.acceptor.start()
    running.connect(1, b"x")
    wait_until(lambda: not failures, what="a failure")
    running.connect(1, b"x")
    wait_until(lambda: len(running.newcomers) == 2, what="a newcomer after it")
    assert running.acceptor.is_alive()
    assert caplog.text.count("Accepting failed") == 1


def test_who_wakes_first_leaves_some_to_the_other_workers(door):
    one = door(shared=True)
    one.connect(module._FEW + 4, b"x")
    one.turn()
    assert len(one.newcomers) == module._FEW
    one.turn()
    assert len(one.newcomers) == module._FEW + 4


@linux
def test_a_request_that_crosses_the_end_is_accepted(deferred, running, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    client = running.connect()
    running.acceptor._listen(True)
    monkeypatch.setattr(clock, "sleep", lambda _: client.sendall(b"x") or clock.advance(0.004))
    running.acceptor._leave()
    (newcomer,) = running.newcomers
    assert newcomer.client == client.getsockname()
    assert newcomer.sock.fileno() >= 0


def test_a_backlog_of_several_batches_is_accepted_at_the_end(running, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 3)
    running.connect(10, b"x")
    running.acceptor._listen(True)
    running.acceptor._leave()
    assert len(running.newcomers) == 10


def test_a_listener_that_fails_for_good_does_not_hold_up_the_end(running, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    running.acceptor._listen(True)
    running.fail_with(*[errno.EINVAL] * 10_000)
    running.acceptor._leave()
    assert running.acceptor.listening_ended.is_set()
    assert clock.now >= module._CROSSING


def test_a_runtime_that_has_stopped_serves_nobody(running):
    client = running.connect(data=b"x")
    running.runtime.stopped = True
    running.acceptor._listen(True)
    running.acceptor._leave()
    assert is_closed(client)


def test_who_is_silent_at_the_end_has_the_grace(running, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    client = running.connect()
    running.acceptor._accept(running.acceptor._listeners[0])
    running.acceptor._grace = 5.0
    turns = []

    def select(timeout):
        turns.append(timeout)
        clock.advance(timeout)

    running.acceptor._selector.select = select
    running.acceptor._leave()
    assert sum(turns) == pytest.approx(5.0)
    assert is_closed(client)


def test_a_second_stop_ends_the_grace(running, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    running.connect()
    running.acceptor._accept(running.acceptor._listeners[0])
    running.acceptor._grace = 3600.0
    running.acceptor._selector.select = lambda timeout: running.acceptor.stop()
    running.acceptor._leave()
    assert running.newcomers == []


def test_who_speaks_in_the_grace_ends_the_wait(running, monkeypatch):
    running.connect()
    running.acceptor._accept(running.acceptor._listeners[0])
    running.acceptor._grace = 3600.0
    (newcomer,) = running.newcomers
    running.acceptor._selector.select = lambda timeout: running.runtime.serve(newcomer)
    running.acceptor._leave()
    assert newcomer.sock.fileno() >= 0


def test_one_that_never_ran_gives_back_its_descriptors():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        Acceptor([listener], [], 1, 1.0).close()
        if before is not None:
            assert set(os.listdir("/proc/self/fd")) <= before
