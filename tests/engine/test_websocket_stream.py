"""One WebSocket on a stream of HTTP/2, between a stream and an application that write down."""

from types import SimpleNamespace

import pytest

from granian.engine import websocket_stream
from granian.engine.deadlines import NEVER
from granian.engine.runtime import DRAINING, SERVING, Counters
from granian.engine.websocket import CLOSE_TIME, TURN
from granian.errors import AppError
from granian.plan import WebsocketPlan, WorkerPlan
from granian.wire.http2.stream import AWAITING, BROKEN, COMPLETE, STREAMING
from tests.support.responder import FakeResponder, make_head

from ..wire.websocket.peer import BINARY, PING, TEXT, close, frame, header, parse


class FakeStream(FakeResponder):
    """A stream that writes down what it is told."""

    phase = AWAITING
    wants_body = False
    queued = 0

    def respond(self, status, headers, body):
        super().respond(status, headers, body)
        self.phase = COMPLETE

    def start(self, status, headers, data=b""):
        self.phase = STREAMING
        return super().start(status, headers, data)

    def finish(self, trailers=(), data=b""):
        self.events.append(("finish", data))
        self.phase = COMPLETE

    def want_body(self, consumed):
        super().want_body(consumed)
        self.wants_body = True

    def cancel(self):
        self.events.append(("cancel",))
        self.phase = BROKEN


class Handler:
    def __init__(self, log):
        self.log = log
        self.on_each = lambda message: None

    def on_message(self, message):
        self.log.append(message)
        self.on_each(message)

    def on_writable(self):
        self.log.append(("writable",))

    def on_close(self, code, reason, left):
        self.log.append(("left" if left else "closed", code, reason))

    def on_disconnect(self):
        self.log.append(("disconnected",))


class Tunnel:
    """A stream whose peer asks for a WebSocket; ``accept`` answers at once if wanted."""

    def __init__(self, accept=True, plan=None, fields=(), upgrade=b"websocket"):
        self.accept = accept
        self.log, self.posted, self.refused = [], [], []
        self.channel = None
        self.runtime = SimpleNamespace(
            plan=WorkerPlan(interface="asgi", websocket=plan or WebsocketPlan()),
            state=SERVING,
            application=self,
            post_to=lambda connection, call: self.posted.append(call),
            log_refusal=lambda connection, error: self.refused.append(error.status),
        )
        self.connection = SimpleNamespace(
            client=("c", 1),
            server=("s", 2),
            scheme="https",
            tls={},
            expect=lambda seconds: seconds,  # it is zero o'clock
            context="context",
            runtime=self.runtime,
            counters=Counters(),
            websockets=set(),
        )
        self.stream = FakeStream()
        version = () if fields else ((b"sec-websocket-version", b"13"),)
        head = make_head("CONNECT", b"/", [*fields, *version], "2", upgrade=upgrade)
        websocket_stream.upgrade(self.stream, head, self.connection)

    def begin_websocket(self, channel, head, subprotocols):
        self.channel = channel
        self.handler = channel.handler = Handler(self.log)
        if self.accept:
            channel.accept(None, ())
            self.turn()
            self.stream.events.clear()

    def turn(self):
        posted, self.posted[:] = list(self.posted), []
        for call in posted:
            call()

    def expire(self):
        """Call what is due at some time; return that time, in seconds from when it was set."""
        due, self.channel.due = self.channel.due, NEVER
        self.channel.on_late()
        return due

    def receive(self, data, last=False):
        self.channel.on_body(data, last)
        return self

    @property
    def frames(self):
        written = b"".join(event[1] for event in self.stream.events if event[0] == "write")
        return parse(written)


def test_what_the_application_sees_of_its_peer():
    channel = Tunnel().channel
    assert (channel.client, channel.server) == (("c", 1), ("s", 2))
    assert (channel.scheme, channel.tls, channel.context) == ("https", {}, "context")
    assert not channel.closed


def test_accept_is_a_200():
    tunnel = Tunnel(accept=False)
    tunnel.channel.accept("chat", [(b"x", b"y")])
    tunnel.channel.accept(None, ())
    fields = [(b"sec-websocket-protocol", b"chat"), (b"x", b"y")]
    assert tunnel.stream.events[0] == ("start", 200, fields, b"")
    assert tunnel.stream.names.count("start") == 1
    assert tunnel.connection.websockets == {tunnel.channel}
    assert tunnel.connection.counters.websockets_handled == 1
    assert not tunnel.stream.wants_body, "an idle WebSocket would time out as a slow body"


@pytest.mark.parametrize(
    ("options", "status", "headers"),
    [
        ({"upgrade": b"connect-udp"}, 501, []),
        ({"fields": [(b"a", b"b")]}, 426, [(b"sec-websocket-version", b"13")]),
    ],
)
def test_refusals_of_the_server(options, status, headers):
    tunnel = Tunnel(**options)
    assert tunnel.channel is None
    assert tunnel.stream.events == [("respond", status, headers, b"")]


def test_refusals_of_the_application():
    tunnel = Tunnel(accept=False)
    tunnel.channel.inform(103, ())
    tunnel.channel.respond(403, (), b"no")
    tunnel.channel.accept(None, ())
    tunnel.channel.respond(404, (), b"")
    assert tunnel.stream.names == ["inform", "respond"]
    tunnel = Tunnel(accept=False)
    tunnel.channel.start(401, (), b"a")
    tunnel.channel.write(b"b")
    tunnel.channel.finish((), b"c")
    tunnel.channel.write(b"late")
    assert tunnel.stream.names == ["start", "write", "finish"]
    tunnel.channel.abort()
    assert tunnel.stream.names[-1] == "abort"


def test_a_peer_that_leaves_before_the_answer():
    tunnel = Tunnel(accept=False)
    tunnel.channel.on_disconnect()
    tunnel.channel.accept(None, ())
    assert tunnel.log == [("disconnected",)]
    assert not tunnel.stream.events


def test_messages_both_ways_and_window_for_what_was_taken():
    tunnel = Tunnel()
    octets = frame(TEXT, "one") + frame(BINARY, b"two") + frame(PING, b"p")
    tunnel.receive(octets)
    assert tunnel.log == ["one", b"two"]
    assert not tunnel.channel.send("three")
    assert tunnel.frames == [(0x8A, b"p"), (0x81, b"three")]
    assert ("want_body", len(octets)) in tunnel.stream.events
    tunnel.stream.blocked = True
    assert tunnel.channel.send("four")
    tunnel.channel.on_writable()
    assert tunnel.log[-1] == ("writable",)


def test_frames_before_the_answer_wait_for_it():
    tunnel = Tunnel(accept=False)
    tunnel.receive(frame(TEXT, "early"), True)
    tunnel.channel.accept(None, ())
    assert tunnel.log == []
    tunnel.turn()
    assert tunnel.log == ["early", ("closed", 1006, "")]


def test_a_pause_keeps_the_window_closed():
    tunnel = Tunnel()
    tunnel.handler.on_each = lambda message: tunnel.channel.pause()
    tunnel.receive(frame(TEXT, "1") + frame(TEXT, "2"))
    tunnel.receive(b"", True)
    assert tunnel.log == ["1"]
    assert "want_body" not in tunnel.stream.names
    tunnel.handler.on_each = lambda message: None
    tunnel.channel.resume()
    assert tunnel.log == ["1"], "delivered within a verb"
    tunnel.turn()
    assert tunnel.log == ["1", "2", ("closed", 1006, "")]


def test_many_messages_are_delivered_in_turns():
    tunnel = Tunnel()
    tunnel.receive(frame(TEXT, "x") * (TURN + 3))
    assert len(tunnel.log) == TURN
    tunnel.receive(frame(TEXT, "last"))
    tunnel.turn()
    assert tunnel.log[TURN:] == ["x", "x", "x", "last"]


def test_the_peers_close_ends_the_stream():
    tunnel = Tunnel().receive(close(4000, b"bye") + frame(TEXT, "late"))
    assert tunnel.frames == [(0x88, b"\x0f\xa0")]
    assert tunnel.stream.names[-1] == "finish"
    assert tunnel.log == [("left", 4000, "bye")]
    assert not tunnel.connection.websockets
    tunnel.receive(b"more", True)
    assert not tunnel.channel.send("late")


def test_our_close_waits_for_the_peers():
    tunnel = Tunnel()
    tunnel.channel.close_with(4001, "done")
    tunnel.channel.close_with(1000)
    assert tunnel.frames == [(0x88, b"\x0f\xa1done")]
    tunnel.receive(frame(TEXT, "dropped") + close(4001))
    assert tunnel.log == [("left", 4001, "")]
    assert tunnel.stream.names[-1] == "finish"
    assert tunnel.connection.websockets == set()


def test_a_peer_that_does_not_answer_our_close_is_reset():
    tunnel = Tunnel()
    tunnel.channel.close_with(None)
    assert tunnel.expire() == CLOSE_TIME
    assert tunnel.stream.names[-1] == "cancel"
    assert tunnel.log == [("closed", 1006, "")]


def test_a_slow_peer_gets_all_before_our_close():
    tunnel = Tunnel()
    tunnel.stream.queued = 100
    tunnel.channel.close_with(1000)
    assert tunnel.expire() == CLOSE_TIME
    assert tunnel.log == []
    tunnel.stream.queued = 0
    assert tunnel.expire() == CLOSE_TIME
    assert tunnel.log == [("closed", 1006, "")]


def test_codes_that_must_not_be_sent():
    tunnel = Tunnel()
    with pytest.raises(AppError):
        tunnel.channel.close_with(1005)


def test_breaches():
    tunnel = Tunnel().receive(header(BINARY, 1 << 40))
    assert tunnel.frames == [(0x88, b"\x03\xf1")]
    assert tunnel.stream.names[-1] == "finish"
    assert tunnel.log == [("closed", 1009, "")]
    assert tunnel.connection.counters.websockets_err == 1


def test_a_peers_close_is_no_breach_whatever_its_code():
    tunnel = Tunnel().receive(close(1009))
    assert tunnel.log == [("left", 1009, "")]
    assert tunnel.connection.counters.websockets_err == 0


@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_lost_stream_is_a_1006(how):
    tunnel = Tunnel()
    if how == "reset":
        tunnel.channel.on_disconnect()
    else:
        tunnel.receive(frame(TEXT, "x")[:3], True)
    assert tunnel.log == [("closed", 1006, "")]
    tunnel.channel.on_disconnect()
    assert len(tunnel.log) == 1


def test_draining_tells_both_sides():
    tunnel = Tunnel()
    tunnel.channel.drain()
    tunnel.channel.drain()
    assert tunnel.frames == [(0x88, b"\x03\xf4")]
    assert tunnel.log == [("closed", 1012, "")]
    tunnel = Tunnel(accept=False)
    tunnel.runtime.state = DRAINING
    tunnel.channel.accept(None, ())
    assert tunnel.frames == [(0x88, b"\x03\xf4")]


def test_pings():
    tunnel = Tunnel(plan=WebsocketPlan(ping_interval=20.0, ping_timeout=5.0))
    assert tunnel.expire() == 20.0
    assert tunnel.frames == [(0x89, b"")]
    tunnel.receive(frame(TEXT, "alive")[:2])
    assert tunnel.expire() == 5.0
    assert tunnel.expire() == 20.0
    assert tunnel.expire() == 5.0
    assert tunnel.stream.names[-1] == "cancel"
    assert tunnel.log == [("closed", 1006, "")]


def test_a_paused_peer_is_not_blamed_for_its_silence():
    tunnel = Tunnel(plan=WebsocketPlan(ping_interval=20.0, ping_timeout=5.0))
    tunnel.channel.pause()
    for expected in (20.0, 5.0, 20.0, 5.0):
        assert tunnel.expire() == expected
    assert tunnel.log == []
