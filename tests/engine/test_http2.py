import gc
import math
import os
import struct
import weakref

import pytest

from granian.engine.http2 import CLOSED, LINGER, SERVING
from granian.engine.poller import READ
from granian.plan import WorkerPlan
from granian.wire.http2.codes import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    rst_stream,
    window_update,
)
from granian.wire.http2.session import Session
from tests.support.engine import ScriptedRuntime
from tests.support.http2 import GREETING, POST, REQUEST, Server


def request(number=1, fields=REQUEST, last=True):
    block = Server().block(*fields)
    return frame(HEADERS, END_HEADERS | (END_STREAM if last else 0), number, block)


def frames(octets):
    found, at = [], 0
    while at < len(octets):
        high, low, kind, flags, number = FRAME_HEADER.unpack_from(octets, at)
        size = high << 16 | low
        found.append((kind, flags, number, octets[at + 9 : at + 9 + size]))
        at += 9 + size
    return found


def hello(responder, head, body, complete):
    responder.respond(200, [(b"content-type", b"text/plain")], b"hello")


def read(connection, octets):
    connection.sock.feed(octets)
    connection.on_readable()
    return frames(connection.sock.take())


@pytest.fixture
def runtime():
    return ScriptedRuntime()


def greeted(runtime):
    connection = runtime.connect("h2")
    read(connection, GREETING)
    return connection


def body_of(sent, number=1):
    return b"".join(f[3] for f in sent if f[0] == DATA and f[2] == number)


def test_many_answers_leave_in_one_send():
    runtime = ScriptedRuntime(hello)
    connection = greeted(runtime)
    connection.sock.sends.clear()
    sent = read(connection, b"".join(request(number) for number in (1, 3, 5, 7)))
    assert len(connection.sock.sends) == 1
    assert [f[2] for f in sent if f[0] == DATA] == [1, 3, 5, 7]
    assert runtime.counters.requests_handled == 4


def test_an_exchange_is_not_kept_alive_by_its_stream():
    runtime = ScriptedRuntime(hello)
    connection = greeted(runtime)
    read(connection, request())
    handler = weakref.ref(runtime.application.begun.pop())
    assert handler() is None


def test_answers_after_the_turn_leave_together(runtime):
    connection = greeted(runtime)
    read(connection, request(1) + request(3))
    for handler in runtime.application.begun:
        handler.responder.respond(200, [], b"late")
    assert connection.sock.take() == b""
    assert len(runtime.posted) == 1
    runtime.turn()
    assert body_of(frames(connection.sock.take()), 3) == b"late"


def test_between_two_turns_the_first_answer_leaves_and_the_next_may_wait(runtime):
    connection = greeted(runtime)
    read(connection, request(1) + request(3))
    first, second = runtime.application.begun
    with runtime.poller.callbacks():
        first.responder.respond(200, [], b"first")
        connection.flush()
        assert body_of(frames(connection.sock.take()), 1) == b"first"
        second.responder.respond(200, [], b"second")
        connection.flush()
        assert connection.sock.take() == b""
    assert body_of(frames(connection.sock.take()), 3) == b"second"


def test_a_body_reaches_its_handler(runtime):
    connection = greeted(runtime)
    read(connection, request(1, POST, last=False))
    read(connection, frame(DATA, 0, 1, b"one") + frame(DATA, END_STREAM, 1, b"two"))
    [handler] = runtime.application.begun
    assert handler.events == [("body", b"one", False), ("body", b"two", True)]


def test_a_stream_knows_its_peer(runtime):
    connection = greeted(runtime)
    read(connection, request())
    stream = runtime.application.begun[0].responder
    assert stream.scheme == "http"
    assert stream.client == ("127.0.0.1", 50_000)
    assert stream.server == ("127.0.0.1", 8_000)
    assert stream.tls is None
    assert stream.context == {"peer": connection}
    assert not stream.closed


def test_a_reset_is_a_disconnect_once(runtime):
    connection = greeted(runtime)
    read(connection, request(1))
    read(connection, rst_stream(1, 8))
    [handler] = runtime.application.begun
    assert handler.events == [("disconnect",)]
    assert handler.responder.closed
    connection.lose()
    assert handler.events == [("disconnect",)]


def test_the_end_of_the_transport_is_a_disconnect(runtime):
    connection = greeted(runtime)
    read(connection, request(1) + request(3))
    connection.sock.feed(b"")
    connection.on_readable()
    assert connection.phase == CLOSED
    assert [handler.events for handler in runtime.application.begun] == [[("disconnect",)]] * 2
    assert runtime.closed == [connection]


def test_a_closed_connection_keeps_no_session_and_a_session_no_collector_busy(monkeypatch):
    class Observed(Session):
        __slots__ = ("__weakref__",)

    monkeypatch.setattr("granian.engine.http2.Session", Observed)
    runtime = ScriptedRuntime(hello)
    connection = greeted(runtime)
    read(connection, request(1))
    runtime.application.script = None
    read(connection, request(3))
    [first, second] = runtime.application.begun
    assert first.responder is not second.responder
    session = weakref.ref(connection.session)
    gc.disable()
    try:
        connection.lose()
        # As long as an application runs on, it holds its stream, and what a stream may ask.
        assert second.responder.client == ("127.0.0.1", 50_000)
        second.responder.respond(200, [], b"too late")
        runtime.turn()
        del first, second
        runtime.application.begun.clear()
        assert session() is None
    finally:
        gc.enable()
    # The deadlines and whoever else still knows the connection may call it.
    connection.flush()
    connection.drain()
    connection.disconnect_streams()
    connection.on_deadline()
    assert not connection.idle


def test_a_fault_says_goaway_and_lingers(runtime):
    connection = greeted(runtime)
    sent = read(connection, frame(PING, 0, 1, bytes(8)))
    assert sent[-1][0] == GOAWAY
    assert connection.phase == LINGER
    assert connection.sock.half_closed
    read(connection, b"whatever still comes")
    runtime.poller.pass_time(6)
    assert connection.phase == CLOSED
    assert runtime.counters.connections_err == 1


def test_a_fault_is_counted_once_however_long_its_goaway_takes(runtime):
    connection = greeted(runtime)
    connection.sock.room = 5
    connection.sock.feed(frame(PING, 0, 1, bytes(8)))
    connection.on_readable()
    assert connection.out_size
    connection.flush()
    assert runtime.counters.connections_err == 1
    connection.sock.room = None
    connection.on_writable()
    assert connection.phase == LINGER
    assert runtime.counters.connections_err == 1


def test_a_peer_that_does_not_read_is_not_read_from_and_reset_in_the_end():
    runtime = ScriptedRuntime(lambda responder, *_: responder.respond(200, [], b"x" * 60_000))
    connection = greeted(runtime)
    read(connection, window_update(0, 1 << 30))
    connection.sock.room = 1000
    read(connection, request(1) + request(3))
    assert connection.out_size > 65_536
    assert not runtime.poller.watched[-1] & READ
    runtime.poller.pass_time(59)
    assert connection.phase == SERVING
    for _ in range(20):
        runtime.poller.pass_time(5)
    assert connection.phase == CLOSED


def test_it_reads_again_once_the_peer_does():
    runtime = ScriptedRuntime(lambda responder, *_: responder.respond(200, [], b"x" * 60_000))
    connection = greeted(runtime)
    read(connection, window_update(0, 1 << 30))
    connection.sock.room = 1000
    connection.sock.feed(request(1) + request(3))
    connection.on_readable()
    got = connection.sock.drain(None)
    connection.on_writable()
    got += connection.sock.take()
    assert connection.out_size == 0
    assert connection.events == READ
    assert len(body_of(frames(got))) == 60_000


def test_a_large_answer_is_cut_as_the_transport_takes_it():
    runtime = ScriptedRuntime(lambda responder, *_: responder.respond(200, [], b"x" * 1_000_000))
    connection = greeted(runtime)
    read(connection, frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 30)))
    read(connection, window_update(0, 1 << 30))
    connection.sock.feed(request())
    connection.on_readable()
    got = connection.sock.take()
    assert 262_144 <= len(got) < 300_000
    assert len(runtime.posted) == 1  # others have their turn in between
    runtime.turn()
    got += connection.sock.take()
    assert len(body_of(frames(got))) == 1_000_000
    assert frames(got)[-1][1] == END_STREAM


def test_a_file(runtime, tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789" * 30_000)
    connection = greeted(runtime)
    read(connection, frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 30)))
    read(connection, window_update(0, 1 << 30) + request())
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    stream = runtime.application.begun[0].responder
    stream.respond_file(200, [(b"content-type", b"x")], descriptor, 5, 299_000)
    runtime.turn()
    sent = frames(connection.sock.take())
    assert body_of(sent) == (b"0123456789" * 30_000)[5:299_005]
    assert sent[-1][1] == END_STREAM
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_a_file_that_shrinks_breaks_the_stream(runtime, tmp_path):
    (tmp_path / "file").write_bytes(b"short")
    connection = greeted(runtime)
    read(connection, request())
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    runtime.application.begun[0].responder.respond_file(200, [], descriptor, 0, 100)
    runtime.turn()
    assert frames(connection.sock.take())[-1][0] == RST_STREAM
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_a_file_nobody_waits_for_is_closed(runtime, tmp_path):
    (tmp_path / "file").write_bytes(bytes(1_000_000))
    connection = greeted(runtime)
    read(connection, frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 0)) + request())
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    runtime.application.begun[0].responder.respond_file(200, [], descriptor, 0, 1_000_000)
    read(connection, rst_stream(1, 8))
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_drain_finishes_what_is_open(runtime):
    connection = greeted(runtime)
    read(connection, request())
    connection.drain()
    [goaway, ping] = frames(connection.sock.take())
    assert (goaway[0], ping[0]) == (GOAWAY, PING)
    read(connection, frame(PING, 1, 0, ping[3]))
    assert connection.phase == SERVING
    runtime.application.begun[0].responder.respond(200, [], b"last")
    runtime.turn()
    assert body_of(frames(connection.sock.take())) == b"last"
    assert connection.phase == LINGER


def test_drain_of_an_idle_connection_whose_peer_is_silent(runtime):
    connection = greeted(runtime)
    connection.drain()
    runtime.poller.pass_time(1.1)
    assert connection.phase == LINGER


def test_streams_can_be_told_that_time_is_over(runtime):
    connection = greeted(runtime)
    read(connection, request())
    connection.disconnect_streams()
    assert runtime.application.begun[0].events == [("disconnect",)]


def test_a_silent_peer_is_ended(runtime):
    connection = runtime.connect("h2")
    runtime.poller.pass_time(11)
    assert connection.phase == LINGER


def test_a_websocket_is_looked_at_when_it_asked_to_be(runtime):
    class Channel:
        def __init__(self, seconds):
            self.due = connection.expect(seconds)
            connection.websockets.add(self)

        def on_late(self):
            late.append(self.due)
            self.due = math.inf

    late = []
    connection = greeted(runtime)
    start = runtime.poller.now
    near, far = Channel(0.5), Channel(2.0)
    runtime.poller.pass_time(0.4)
    assert late == []
    runtime.poller.pass_time(0.2)
    assert late == [start + 0.5]
    near.due = connection.expect(5.0)
    runtime.poller.pass_time(1.5)
    assert late == [start + 0.5, start + 2.0]
    assert far.due == math.inf
    read(connection, request())
    assert connection.phase == SERVING


def test_the_preface_on_a_port_that_speaks_both():
    runtime = ScriptedRuntime(hello)
    connection = runtime.connect()
    connection.sock.feed(GREETING + request())
    connection.on_readable()
    successor = runtime.poller.connections[99]
    assert type(successor).__name__ == "Http2Connection"
    assert body_of(frames(connection.sock.take())) == b"hello"
    assert len(runtime.application.disconnected) == 1


def test_the_preface_octet_by_octet():
    runtime = ScriptedRuntime(hello)
    connection = runtime.connect()
    for octet in GREETING + request():
        runtime.poller.connections[99].sock.feed(bytes([octet]))
        runtime.poller.connections[99].on_readable()
    assert body_of(frames(connection.sock.take())) == b"hello"


def test_a_preface_cut_short_waits_no_longer_than_a_head():
    runtime = ScriptedRuntime()
    connection = runtime.connect()
    read_nothing = connection.sock.feed
    read_nothing(PREFACE[:20])
    connection.on_readable()
    runtime.poller.pass_time(31)
    assert connection.sock.take().startswith(b"HTTP/1.1 408")


def test_no_preface_where_only_http1_is_spoken():
    runtime = ScriptedRuntime(hello, WorkerPlan(http="1"))
    connection = runtime.connect()
    connection.sock.feed(GREETING)
    connection.on_readable()
    assert connection.sock.take().startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))


def test_no_preface_after_a_request():
    runtime = ScriptedRuntime(hello)
    connection = runtime.connect()
    connection.sock.feed(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    connection.on_readable()
    connection.sock.take()
    connection.sock.feed(GREETING)
    connection.on_readable()
    assert connection.sock.take().startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))


def test_http1_where_only_http2_is_spoken():
    runtime = ScriptedRuntime(hello, WorkerPlan(http="2"))
    connection = runtime.connect()
    connection.sock.feed(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    connection.on_readable()
    assert frames(connection.sock.take())[-1][0] == GOAWAY
