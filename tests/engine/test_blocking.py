import threading

import pytest

from granian.engine.blocking import BlockingThreads, begin_blocking
from granian.errors import AppError
from granian.plan import WorkerPlan
from granian.wire.http2.codes import DATA, END_STREAM, SETTINGS, frame, rst_stream, window_update
from tests.engine.test_http2 import body_of, frames, greeted, read, request
from tests.support.engine import ScriptedRuntime
from tests.support.http2 import POST


class Blocking:
    """A runtime whose application runs on other threads while the test is the connection's."""

    def __init__(self, application, threads=4):
        self.runtime = ScriptedRuntime(plan=WorkerPlan(blocking_threads=threads))
        self.runtime.application.begin = self.begin
        self.application = application
        self.done = []
        self.posted = threading.Event()
        post = self.runtime.post

        def noted(call):
            post(call)
            self.posted.set()

        self.runtime.post = noted
        self.runtime.stream_begin = begin_blocking(self.runtime)
        self.connection = greeted(self.runtime)

    def begin(self, responder, head, body, complete):
        responder.handler = self
        try:
            self.done.append(self.application(responder, head, complete))
        except Exception as error:
            self.done.append(error)
        self.posted.set()

    def on_disconnect(self):
        self.disconnected = True

    def run(self, count=1):
        """Serve posted calls until so many applications have returned; the octets sent."""
        while len(self.done) < count:
            assert self.posted.wait(5)
            self.posted.clear()
            self.runtime.turn()
        self.runtime.turn()
        return frames(self.connection.sock.take())


def test_an_answer():
    blocking = Blocking(lambda responder, head, complete: responder.respond(200, [], b"hello"))
    read(blocking.connection, request())
    assert body_of(blocking.run()) == b"hello"


def test_an_error_of_the_application_reaches_it():
    blocking = Blocking(lambda responder, *_: responder.respond(99, [], b""))
    read(blocking.connection, request())
    blocking.run()
    assert isinstance(blocking.done[0], AppError)


EXPECTING = (*POST, (b"expect", b"100-continue"))


def test_a_small_body_is_gathered_without_a_thread():
    seen = []

    def application(responder, head, complete):
        seen.append(complete)
        responder.respond(200, [], b"")

    blocking = Blocking(application)
    read(blocking.connection, request(1, POST, last=False))
    read(blocking.connection, frame(DATA, 0, 1, b"one"))
    assert not blocking.posted.is_set()
    read(blocking.connection, frame(DATA, END_STREAM, 1, b"two"))
    blocking.run()
    assert seen == [True]


def test_a_body_is_pulled_as_it_comes():
    def application(responder, head, complete):
        assert not complete
        pieces = []
        while True:
            piece = responder.pull_body()
            pieces.append(piece)
            if not piece:
                break
        responder.start(200, [], b"got ")
        responder.write(b"".join(pieces))
        responder.finish()

    blocking = Blocking(application)
    read(blocking.connection, request(1, EXPECTING, last=False))
    read(blocking.connection, frame(DATA, 0, 1, b"one"))
    read(blocking.connection, frame(DATA, END_STREAM, 1, b"two"))
    assert body_of(blocking.run()) == b"got onetwo"


def test_a_reset_wakes_who_pulls():
    blocking = Blocking(lambda responder, *_: responder.pull_body())
    read(blocking.connection, request(1, EXPECTING, last=False))
    assert blocking.posted.wait(5)
    read(blocking.connection, rst_stream(1, 8))
    blocking.run()
    assert isinstance(blocking.done[0], ConnectionError)
    assert blocking.disconnected


def test_a_writer_waits_for_its_peer():
    def application(responder, head, complete):
        responder.start(200, [])
        for _ in range(10):
            if responder.write(bytes(50_000)):
                responder.wait_writable()
        responder.finish()

    blocking = Blocking(application)
    read(blocking.connection, frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0"))
    read(blocking.connection, request())
    while not blocking.connection.session.streams[1].waiting:
        assert blocking.posted.wait(5)
        blocking.posted.clear()
        blocking.runtime.turn()
    assert blocking.done == []
    blocking.connection.sock.take()
    sent = read(blocking.connection, window_update(1, 1 << 20) + window_update(0, 1 << 20))
    assert len(body_of(sent + blocking.run())) == 500_000


def test_a_waiting_writer_hears_of_a_reset():
    def application(responder, head, complete):
        responder.start(200, [])
        while not responder.write(bytes(50_000)):
            pass
        responder.wait_writable()

    blocking = Blocking(application)
    read(blocking.connection, frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0"))
    read(blocking.connection, request())
    while not (
        1 in blocking.connection.session.streams and blocking.connection.session.streams[1].waiting
    ):
        assert blocking.posted.wait(5)
        blocking.posted.clear()
        blocking.runtime.turn()
    read(blocking.connection, rst_stream(1, 8))
    blocking.run()
    assert isinstance(blocking.done[0], ConnectionError)


def test_the_crews_of_a_worker_lend_the_same_threads_to_streams():
    runtime = ScriptedRuntime(plan=WorkerPlan(blocking_threads=2))
    begin_blocking(runtime)
    threads = runtime.engine.stream_threads
    sibling = ScriptedRuntime(plan=runtime.plan)
    sibling.engine = runtime.engine
    begin_blocking(sibling)
    assert runtime.engine.stream_threads is threads is not None


def test_one_blocked_stream_does_not_stop_the_others():
    release = threading.Event()

    def application(responder, head, complete):
        if head.method == "POST":
            assert release.wait(5)
        responder.respond(200, [], head.method.encode())

    blocking = Blocking(application)
    read(blocking.connection, request(1, POST) + request(3))
    assert body_of(blocking.run(1), 3) == b"GET"
    release.set()
    assert body_of(blocking.run(2), 1) == b"POST"


def test_who_left_while_waiting_for_a_thread_is_not_served():
    release = threading.Event()

    def application(responder, head, complete):
        assert release.wait(5)
        responder.respond(200, [], b"")

    blocking = Blocking(application, threads=1)
    read(blocking.connection, request(1) + request(3) + rst_stream(3, 8))
    release.set()
    blocking.run(1)
    read(blocking.connection, request(5))
    blocking.run(2)  # by the one thread, after what it was given before
    assert len(blocking.done) == 2


def test_the_facts_of_the_peer():
    seen = []

    def application(responder, head, complete):
        seen.append((responder.scheme, responder.client, responder.server, responder.tls))
        seen.append((responder.closed, responder.context["peer"].scheme))
        responder.inform(103, [])
        responder.abort()

    blocking = Blocking(application)
    read(blocking.connection, request())
    blocking.run()
    assert seen == [
        ("http", ("127.0.0.1", 50_000), ("127.0.0.1", 8_000), None),
        (False, "http"),
    ]


def test_nobody_waits_for_a_runtime_that_has_stopped(monkeypatch):
    monkeypatch.setattr("granian.engine.blocking._LOOK", 0.01)
    blocking = Blocking(lambda responder, *_: responder.respond(200, [], b""))
    blocking.runtime.stopped = True
    read(blocking.connection, request())
    while not blocking.done:
        assert blocking.posted.wait(5)
        blocking.posted.clear()
    assert isinstance(blocking.done[0], ConnectionError)


def test_threads_grow_on_demand_and_leave():
    threads = BlockingThreads(2, 0.02)
    gate = threading.Barrier(3)
    names = []

    def work():
        names.append(threading.current_thread())
        gate.wait(5)

    for _ in range(2):
        threads.run(work)
    threads.run(lambda: names.append(threading.current_thread()))
    gate.wait(5)
    for thread in set(names):
        thread.join(5)
    assert len(names) == 3
    assert len(set(names)) == 2
    assert threads._count == 0
    again = threading.Event()
    threads.run(again.set)
    assert again.wait(5)


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_threads_than_allowed(count):
    threads = BlockingThreads(count, 0.02)
    running, most, lock = 0, 0, threading.Lock()
    done = threading.Semaphore(0)

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        done.release()

    for _ in range(50):
        threads.run(work)
    for _ in range(50):
        assert done.acquire(timeout=5)
    assert most <= count
