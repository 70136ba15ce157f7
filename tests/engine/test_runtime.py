"""A worker's engine from start to end: real threads and loopback sockets, nobody sleeps."""

import asyncio
import importlib
import logging
import os
import signal
import socket
import threading

import pytest

from granian.engine import runtime as module
from granian.engine.runtime import DRAINING, SERVING, STARTING, STOPPED, Counters, Engine, Runtime
from granian.errors import FatalError, PeerError
from granian.plan import Http1Plan, WorkerPlan
from tests.support.lines import get, post
from tests.support.wire import Wire


async def hello(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": threading.current_thread().name.encode()})


class Gate:
    """An ASGI application that answers when it is let, and says what it saw.

    Attributes:
        entered: Set when a request is in work.
        log: The types of what it received, and exceptions it ended with.
    """

    def __init__(self):
        self.entered = threading.Event()
        self.told = threading.Event()
        self.log = []
        self._open = None

    async def __call__(self, scope, receive, send):
        self._loop = asyncio.get_event_loop()
        self._open = self._loop.create_future()
        self.entered.set()
        watch = asyncio.ensure_future(self._watch(receive))
        try:
            await self._open
            await hello(scope, receive, send)
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            watch.cancel()

    async def _watch(self, receive):
        while True:
            self.log.append((await receive())["type"])
            if self.log[-1] == "http.disconnect":
                self.told.set()
                return

    def open(self):
        self._loop.call_soon_threadsafe(self._open.set_result, None)


class Serving:
    """An engine behind a listener on loopback."""

    def __init__(self, target=hello, **plan):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        plan.setdefault("interface", "asginl")
        self.engine = Engine(WorkerPlan(loop="asyncio", **plan), target, [self.listener])
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            # Else the kernel would hold back for a second who is silent.
            self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)

    def __enter__(self):
        self.engine.start()
        return self

    def __exit__(self, *_):
        self.engine.halt()
        ended = self.engine.join(5)
        self.listener.close()
        assert ended, self.engine.describe()

    @property
    def runtime(self):
        return self.engine.runtimes[0]

    def connect(self):
        return Wire(self.listener.getsockname(), 5)

    def settle(self):
        """Return when the runtimes have done all that was posted before."""
        for runtime in self.engine.runtimes:
            done = threading.Event()
            runtime.post(done.set)
            assert done.wait(5)


# serving


def test_requests_are_answered_on_the_runtimes_thread():
    with Serving() as serving, serving.connect() as client:
        assert serving.runtime.state == SERVING
        assert client.exchange(get()).body == b"granian-runtime-1"
        assert client.exchange(get()).body == b"granian-runtime-1"
        assert serving.engine.connection_count == 1


def test_connections_are_shared_among_the_runtimes():
    with Serving(runtime_threads=3) as serving:
        clients = [serving.connect() for _ in range(9)]
        names = [client.exchange(get()).body for client in clients]
        for client in clients:
            client.sock.close()
    assert {names.count(b"granian-runtime-%d" % (i + 1)) for i in range(3)} == {3}


def test_runtime_mode_has_one_loop():
    with Serving(runtime_threads=3, runtime_mode="mt") as serving:
        (runtime,) = serving.engine.runtimes
        assert runtime.loop is not None
        names = {thread.name for thread in threading.enumerate()}
        assert {"granian-runtime-1", "granian-io-2", "granian-io-3"} <= names
        assert "granian-io-4" not in names


def test_half_closed_clients_get_their_answers():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client:
        client.send(get()).finish()
        assert gate.entered.wait(5)
        assert gate.told.wait(5)
        gate.open()
        client.read_to_end()
        assert client.responses()[0].whole


def test_a_half_closed_upload_that_nobody_reads_yet_is_read_later():
    gate = threading.Event()
    lengths = []

    async def app(scope, receive, send):
        await asyncio.get_event_loop().run_in_executor(None, gate.wait, 5)
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            more = message["more_body"]
        lengths.append(total)
        await hello(scope, receive, send)

    with Serving(app) as serving, serving.connect() as client:
        client.send(post(b"x" * 150_000)).finish()
        serving.settle()
        gate.set()
        client.read_to_end()
        assert client.responses()[0].whole
    assert lengths == [150_000]


def test_counters_are_summed():
    with Serving(runtime_threads=2) as serving:
        for _ in range(4):
            with serving.connect() as client:
                client.exchange(get())
        with serving.connect() as client:
            client.send(b"\0\r\n\r\n").read_until(b"400")
        counters = serving.engine.counters
    assert counters["requests_handled"] == 4
    assert counters["connections_handled"] == 5
    assert counters["connections_err"] == 1
    assert set(counters) == {
        *Counters.__slots__,
        "connections_active",
        "requests_in_flight",
    }


def test_the_state_can_be_described():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client, serving.connect():
        client.send(get())
        assert gate.entered.wait(5)
        serving.settle()
        described = serving.engine.describe()
        assert described["phases"] == {"http1 serving": 1}
        assert described["connections"] >= 1
        assert "granian-runtime-1" in described["threads"]
        (one,) = described["runtimes"]
        assert (one["index"], one["connections"], one["tasks"]) == (1, 1, 1)
        assert one["lag_ms"] >= 0.0
        gate.open()
        client.read_until(b"granian-runtime-1")


def test_lag_is_how_long_a_loop_leaves_others_waiting():
    entered, leave = threading.Event(), threading.Event()

    def hold():
        entered.set()
        leave.wait(5)

    with Serving() as serving:
        serving.runtime.post(hold)
        assert entered.wait(5)
        assert serving.engine.measure_lags(0.01)[0] >= 0.01
        leave.set()
        serving.settle()
        (lag,) = serving.engine.measure_lags(5)
        assert 0.0 <= lag < 5


@pytest.mark.parametrize(
    ("name", "kind", "phase", "said"),
    [
        ("http1", "Http1Connection", "IDLE", "http1 idle"),
        ("http1", "Http1Connection", "CLOSED", "http1 closed"),
        ("http2", "Http2Connection", "LINGER", "http2 lingering"),
        ("tls", "TlsHandshake", "SHAKING", "tls handshaking"),
        ("websocket", "WebsocketConnection", "OPEN", "websocket open"),
    ],
)
def test_phases_have_names(name, kind, phase, said):
    protocol = importlib.import_module(f"granian.engine.{name}")
    connection = object.__new__(getattr(protocol, kind))
    connection.phase = getattr(protocol, phase)
    assert module.phase_name(connection) == said


def test_the_date_is_renewed_every_second(monkeypatch):
    with Serving() as serving, serving.connect() as client:
        client.exchange(get())
        monkeypatch.setattr(module.time, "time", lambda: 0.0)
        serving.runtime.poller._next_second = 0.0
        response = client.exchange(get())
    assert (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT") in response.headers


def test_refusals_are_logged_for_those_who_look(caplog):
    caplog.set_level(logging.INFO, "_granian")
    with Serving() as serving:
        error = PeerError(400, "no request line")
        serving.runtime.log_refusal(_Client(), error)
        assert caplog.messages == []
        caplog.set_level(logging.DEBUG, "_granian")
        serving.runtime.log_refusal(_Client(), error)
    assert caplog.messages[0] == "Refused ('10.0.0.1', 1) with 400: no request line"


class _Client:
    client = ("10.0.0.1", 1)


# start


def failing(when):
    async def app(scope, receive, send):
        await receive()
        if when == "failed":
            await send({"type": "lifespan.startup.failed", "message": "no"})
        raise RuntimeError

    return app


def test_a_failed_startup_is_fatal_and_nothing_is_left(caplog):
    serving = Serving(failing("failed"), interface="asgi", runtime_threads=2)
    with pytest.raises(FatalError, match="lifespan startup failed"):
        serving.engine.start()
    assert serving.engine.join(5)
    serving.engine.acceptor.close()
    serving.listener.close()


def test_one_runtime_that_fails_stops_the_others():
    lock = threading.Lock()
    seen = []

    async def app(scope, receive, send):
        with lock:
            seen.append(1)
            second = len(seen) == 2
        await receive()
        if second:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    serving = Serving(app, interface="asgi", runtime_threads=2)
    with pytest.raises(FatalError):
        serving.engine.start()
    assert serving.engine.join(5)
    serving.engine.acceptor.close()
    serving.listener.close()


def test_an_error_of_the_server_at_start_is_fatal_too(monkeypatch, caplog):
    serving = Serving()

    def run():
        raise ZeroDivisionError

    monkeypatch.setattr(serving.runtime, "_run_loop", run)
    with pytest.raises(FatalError, match="could not be started") as caught:
        serving.engine.start()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "A runtime failed" in caplog.text
    serving.engine.acceptor.close()
    serving.listener.close()


def test_a_runtime_that_fails_while_it_serves_ends_the_worker(caplog):
    with Serving(runtime_threads=2) as serving:
        clients = [serving.connect(), serving.connect()]
        for client in clients:
            client.exchange(get())

        def fail():
            raise SystemExit(1)

        serving.engine.runtimes[0].post(fail)
        assert serving.engine.join(5)
        for client in clients:
            client.read_to_end()
            client.sock.close()
        assert isinstance(serving.engine.runtimes[0].failure, SystemExit)
        assert {runtime.state for runtime in serving.engine.runtimes} == {STOPPED}


def lifespan_log(log):
    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await hello(scope, receive, send)
            return
        log.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        log.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    return app


def test_each_loop_has_a_lifespan_around_its_serving():
    log = []
    with Serving(lifespan_log(log), interface="asgi", runtime_threads=2) as serving:
        assert log == ["lifespan.startup"] * 2
        with serving.connect() as client:
            client.exchange(get())
        serving.engine.drain()
        assert serving.engine.join(5)
    assert log[2:] == ["lifespan.shutdown"] * 2


def test_wsgi_needs_no_loop():
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"wsgi"]

    with Serving(app, interface="wsgi", runtime_threads=4) as serving:
        assert len(serving.engine.runtimes) == 1
        assert serving.runtime.loop is None
        with serving.connect() as client:
            assert client.exchange(get()).body == b"wsgi"
        serving.engine.drain()
        assert serving.engine.join(5)


# drain


def test_drain_ends_when_nothing_is_left():
    with Serving() as serving:
        serving.engine.drain()
        serving.engine.drain()
        assert serving.engine.join(5)
        assert serving.runtime.state == STOPPED
        assert serving.listener.fileno() >= 0


@pytest.mark.parametrize(("grace", "followed"), [(0.0, False), (0.5, True)])
def test_a_grace_means_that_another_worker_follows(monkeypatch, grace, followed):
    told = []
    with Serving() as serving:
        stop = serving.engine.acceptor.stop

        def note(grace, followed):
            told.append(followed)
            stop(grace, followed)

        monkeypatch.setattr(serving.engine.acceptor, "stop", note)
        serving.engine.drain(grace)
        monkeypatch.undo()
    assert told == [followed]


def test_drain_closes_idle_connections():
    with Serving() as serving, serving.connect() as client:
        client.exchange(get())
        serving.engine.drain()
        client.read_to_end()
        assert serving.engine.join(5)


def test_drain_waits_for_the_answers_in_work():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client:
        client.send(get())
        assert gate.entered.wait(5)
        serving.engine.drain()
        serving.settle()
        assert serving.runtime.state == DRAINING
        assert not serving.engine.join(0)
        gate.open()
        client.read_to_end()
        (response,) = client.responses()
        assert (b"connection", b"close") in response.headers
        assert serving.engine.join(5)


def test_drain_answers_who_spoke_before_it():
    with Serving() as serving, serving.connect() as client:
        client.send(get())
        serving.engine.drain()
        client.read_to_end()
        assert [response.status for response in client.responses()] == [200]


def test_drain_does_not_wait_for_the_silent():
    with Serving() as serving, serving.connect() as client:
        serving.engine.drain()
        client.read_to_end()
        assert client.responses() == []
        assert serving.engine.join(5)


def test_drain_waits_for_tasks_after_their_answers():
    done = threading.Event()
    finish = []

    async def app(scope, receive, send):
        await hello(scope, receive, send)
        future = asyncio.get_event_loop().create_future()
        finish.append((asyncio.get_event_loop(), future))
        await future
        done.set()

    with Serving(app) as serving, serving.connect() as client:
        client.exchange(get())
        client.sock.close()
        serving.engine.drain()
        assert serving.engine.acceptor.listening_ended.wait(5)
        serving.engine.acceptor.join(5)
        serving.settle()
        assert serving.runtime.thread.is_alive()
        loop, future = finish[0]
        loop.call_soon_threadsafe(future.set_result, None)
        assert serving.engine.join(5)
    assert done.is_set()


def test_a_drain_during_startup_is_kept():
    starting, go = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        await receive()
        starting.set()
        await asyncio.get_event_loop().run_in_executor(None, go.wait, 5)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    serving = Serving(app, interface="asgi")
    starter = threading.Thread(target=serving.engine.start)
    starter.start()
    assert starting.wait(5)
    assert serving.runtime.state == STARTING
    serving.engine.drain()
    serving.settle()
    go.set()
    starter.join(5)
    assert serving.engine.join(5)
    assert serving.runtime.failure is None
    serving.listener.close()


def test_the_pause_of_an_idle_connection_is_its_grace():
    with Serving() as serving, serving.connect() as client:
        client.exchange(get())
        serving.engine.drain(30.0)
        serving.settle()
        (connection,) = serving.runtime.connections()
        assert connection.deadline > serving.runtime.poller.now + 20.0
        client.send(get()).read_to_end()
        assert (b"connection", b"close") in client.responses()[-1].headers


# halt and what is less


def test_halt_drops_everything():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client, serving.connect() as silent:
        client.send(get())
        assert gate.entered.wait(5)
        serving.engine.halt()
        serving.engine.halt()
        assert serving.engine.join(5)
        client.read_to_end()
        silent.read_to_end()
        assert client.responses() == []
    assert "cancelled" in gate.log


def test_running_tasks_can_be_cancelled():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client:
        client.send(get())
        assert gate.entered.wait(5)
        serving.engine.cancel_tasks()
        assert b"500" in client.read_until(b"Internal server error")
        assert gate.log[-1] == "cancelled"


def test_running_exchanges_can_be_told_that_their_client_has_gone():
    gate = Gate()
    with Serving(gate) as serving, serving.connect() as client:
        client.send(get())
        assert gate.entered.wait(5)
        serving.engine.disconnect_streams()
        assert gate.told.wait(5)
        gate.open()
        client.read_until(b"granian-runtime-1")


def test_the_longest_idle_is_shed_first():
    with Serving() as serving, serving.connect() as older, serving.connect() as younger:
        older.exchange(get())
        younger.exchange(get())
        older.exchange(get())
        serving.runtime.post(serving.runtime.shed_idle)
        younger.read_to_end()
        assert older.exchange(get()).status == 200


def test_a_full_worker_makes_room_for_who_knocks():
    with Serving(backpressure=1) as serving, serving.connect() as first:
        first.exchange(get())
        with serving.connect() as second:
            assert second.exchange(get()).status == 200
        first.read_to_end()


def test_a_silent_connection_has_a_deadline():
    plan = Http1Plan(header_read_timeout=0.02)
    with Serving(http1=plan) as serving, serving.connect() as silent, serving.connect() as partial:
        partial.send(b"GET")
        silent.read_to_end()
        assert b"408" in partial.read_to_end()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be counted")
def test_no_descriptor_outlives_the_engine():
    def count():
        return len(os.listdir("/proc/self/fd"))

    before = count()
    with Serving(runtime_threads=2) as serving:
        for _ in range(3):
            with serving.connect() as client:
                client.exchange(get())
        with serving.connect() as client:
            client.exchange(get())
            serving.engine.drain()
            client.read_to_end()
            assert serving.engine.join(5)
    assert count() <= before


def test_join_says_when_time_ran_out():
    with Serving() as serving:
        assert serving.engine.join(0) is False


def test_a_runtime_knows_its_state():
    with Serving() as serving:
        runtime = serving.runtime
        assert isinstance(runtime, Runtime)
        assert not runtime.draining
        assert not runtime.stopped
        assert runtime.connections() == []
    assert runtime.stopped


def test_signals_do_not_reach_the_runtimes():
    # Threads other than the main one never run Python's handlers; a wait of theirs goes on.
    seen = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: seen.append(threading.current_thread()))
    try:
        with Serving() as serving, serving.connect() as client:
            os.kill(os.getpid(), signal.SIGUSR1)
            assert client.exchange(get()).status == 200
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [threading.main_thread()]
