"""One WebSocket on its socket, walked through every phase by octets, verbs and the clock."""

import errno

import pytest

from granian.engine import websocket
from granian.engine.connection import HIGH_WATER, LINGER_TIME
from granian.engine.runtime import DRAINING
from granian.engine.websocket import CLOSE_TIME, PHASE_NAMES, TURN
from granian.errors import AppError
from granian.plan import WebsocketPlan, WorkerPlan
from granian.wire.websocket.session import JUDGED
from tests.support.runtime import DATE, Served
from tests.support.wire import parse as parse_http

from ..wire.websocket.peer import (
    BINARY,
    PING,
    TEXT,
    close,
    deflate,
    frame,
    header,
    parse,
)

OFFER = (
    b"GET /chat HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
WRITE_TIME = 60.0


class RecordingSocketHandler:
    """A handler that writes down what it is told; ``on_each`` plays the application."""

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


class Upgraded(Served):
    """A connection whose peer asks for a WebSocket; ``script`` answers the handshake."""

    def __init__(self, script=None, plan=None, **options):
        super().__init__(
            plan=WorkerPlan(interface="asgi", websocket=plan or WebsocketPlan()), **options
        )
        self.application.begin_websocket = self.begin_websocket
        self.http = self.connection
        self.script = script
        self.channel = None

    def begin_websocket(self, channel, head, subprotocols):
        self.channel = channel
        self.head, self.subprotocols = head, subprotocols
        channel.handler = RecordingSocketHandler(self.log)
        self.handler = channel.handler
        if self.script is not None:
            self.script(channel)

    @property
    def phase(self):
        return PHASE_NAMES[self.channel.phase]

    def receive(self, *data):
        """The peer sends; whoever serves the descriptor now is told while that is watched."""
        self.sock.feed(*data)
        turns = 0
        while self.sock.script and self.poller.watched.get(self.fd, 0) & 1:
            self.poller.connections[self.fd].on_readable()
            turns += 1
            if turns > 1000:
                break
        return self

    def offer(self, *lines, rest=b""):
        head = OFFER + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
        return self.receive(head + rest)

    def frames(self):
        return parse(self.sent())

    def drain(self, room=None):
        taken = self.sock.drain(room)
        while self.poller.watched.get(self.fd, 0) & 2 and self.sock.room != 0:
            self.poller.connections[self.fd].on_writable()
            taken += self.sock.take()
        return taken


def accept(channel):
    channel.accept(None, ())


def opened(plan=None, lines=(), **options):
    served = Upgraded(accept, plan, **options).offer(*lines)
    served.sent()
    return served


# handshake


def test_accept_answers_with_a_101():
    served = Upgraded(lambda channel: channel.accept("chat", [(b"X-Name", b"1")]))
    served.offer(b"Sec-WebSocket-Protocol: chat, other")
    assert served.sent() == (
        b"HTTP/1.1 101 Switching Protocols\r\n" + DATE + b"upgrade: websocket\r\n"
        b"connection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"sec-websocket-protocol: chat\r\nx-name: 1\r\n\r\n"
    )
    assert served.subprotocols == ["chat", "other"]
    assert served.phase == "open"
    assert served.poller.connections[served.fd] is served.channel
    assert served.runtime.counters.websockets_handled == 1
    assert served.runtime.counters.requests_handled == 1
    assert served.http.closed
    assert not served.sock.closed


def test_accept_later_and_only_once():
    served = Upgraded().offer()
    assert served.phase == "offered"
    assert served.sent() == b""
    served.channel.accept(None, ())
    assert served.sent().startswith(b"HTTP/1.1 101 ")
    served.channel.accept(None, ())
    served.channel.respond(403, (), b"")
    assert not served.channel.start(403, ())
    assert not served.channel.write(b"late")
    served.channel.finish()
    served.channel.inform(103, ())
    assert served.sent() == b""


def test_illegal_fields_change_nothing():
    served = Upgraded().offer()
    for subprotocol, fields in [(None, [(b"a", b"b\r\nc")]), (None, [(1, 2)]), ("a b", ())]:
        with pytest.raises(AppError):
            served.channel.accept(subprotocol, fields)
    assert served.sent() == b""
    served.channel.accept(None, ())
    assert served.phase == "open"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400),
        ((b"GET", b"POST"), 400),
        ((b"Version: 13", b"Version: 8"), 426),
        ((b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
    ],
)
def test_handshakes_that_are_refused(change, status):
    served = Upgraded().receive(OFFER.replace(*change) + b"\r\n")
    assert served.channel is None
    [response] = parse_http(served.sent(), ["GET"], True)
    assert response.status == status
    assert response.get(b"sec-websocket-version") == (b"13" if status == 426 else None)
    assert response.says_close
    assert served.runtime.refusals == [status]


def test_without_websockets_it_is_a_request():
    served = Upgraded()
    served.runtime.plan = served.runtime.plan._replace(websockets=False)
    served.offer()
    assert served.channel is None
    assert served.log == [("begin", b"", True)]


@pytest.mark.parametrize(
    "change",
    [
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Connection: Upgrade\r\n", b""),
        (b"HTTP/1.1", b"HTTP/1.0"),  # RFC 9110 section 7.8: ignored there
    ],
)
def test_without_an_upgrade_it_is_a_request(change):
    served = Upgraded().receive(OFFER.replace(*change) + b"\r\n")
    assert served.channel is None
    assert served.log[0] == ("begin", b"", True)


def test_a_denial_is_a_response_and_the_connection_lives_on():
    served = Upgraded(lambda channel: channel.respond(403, [(b"a", b"b")], b"no"))
    served.offer()
    [response] = parse_http(served.sent(), ["GET"])
    assert (response.status, response.body) == (403, b"no")
    assert served.channel.closed
    assert not served.sock.closed
    served.receive(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    assert served.log == [("begin", b"", True)]


def test_a_denial_streamed():
    served = Upgraded().offer()
    channel = served.channel
    assert not channel.start(401, (), b"a")
    channel.write(b"b")
    channel.finish((), b"c")
    [response] = parse_http(served.sent(), ["GET"])
    assert (response.status, response.body) == (401, b"abc")
    channel.accept(None, ())
    assert served.sent() == b""


def test_a_denial_broken_off_ends_the_connection():
    served = Upgraded().offer()
    served.channel.start(401, ())
    served.channel.abort()
    assert not parse_http(served.sent(), ["GET"], True)[0].whole
    assert served.channel.phase == websocket.CLOSED


def test_a_peer_that_leaves_before_the_answer():
    served = Upgraded().offer().end()
    assert ("disconnected",) in served.log
    served.channel.accept(None, ())
    assert b"101" not in served.sent()


def test_frames_sent_with_the_head_are_delivered_in_a_turn_of_their_own():
    served = Upgraded(accept).offer(rest=frame(TEXT, "early"))
    assert served.log == []
    served.run_posted()
    assert served.log == ["early"]


def test_frames_sent_before_the_answer_wait_for_it():
    served = Upgraded().offer().receive(frame(TEXT, "early"))
    served.channel.accept(None, ())
    served.run_posted()
    assert served.log == ["early"]


def test_what_http_has_not_sent_yet_goes_first():
    served = Upgraded(room=10).offer()
    served.channel.inform(103, [(b"link", b"x")])
    served.channel.accept(None, ())
    sent = served.drain()
    assert sent.startswith(b"HTTP/1.1 103 ")
    assert sent.count(b"HTTP/1.1") == 2


def test_accepting_while_the_server_stops_is_followed_by_its_close():
    served = Upgraded().offer()
    served.runtime.state = DRAINING
    served.channel.accept(None, ())
    sent = served.sent()
    assert parse(sent[sent.index(b"\r\n\r\n") + 4 :]) == [(0x88, b"\x03\xf4")]
    assert served.log == [("closed", 1012, "")]


# messages


def test_messages_both_ways():
    served = opened()
    served.receive(frame(TEXT, "one") + frame(BINARY, b"two"), frame(PING, b"p"))
    assert served.log == ["one", b"two"]
    assert not served.channel.send("three")
    assert not served.channel.send(b"four")
    assert served.frames() == [(0x8A, b"p"), (0x81, b"three"), (0x82, b"four")]


def test_a_pong_leaves_before_the_next_message_is_handled():
    served = opened()
    served.handler.on_each = served.channel.send
    served.receive(frame(PING, b"p") + frame(TEXT, "t"))
    assert served.frames() == [(0x8A, b"p"), (0x81, b"t")]


def test_compression_is_used_when_agreed_on():
    served = opened(lines=(b"Sec-WebSocket-Extensions: permessage-deflate",))
    served.receive(frame(TEXT, deflate(b"packed"), rsv=4))
    assert served.log == ["packed"]
    served.channel.send("x" * 1000)
    [(first, payload)] = served.frames()
    assert first == 0xC1
    assert len(payload) < 100


def test_compression_switched_off_is_not_agreed_on():
    served = Upgraded(accept, WebsocketPlan(compression=False))
    served.offer(b"Sec-WebSocket-Extensions: permessage-deflate")
    assert b"extensions" not in served.sent()


def test_an_application_that_has_enough_stops_the_reading():
    served = opened()
    served.handler.on_each = lambda message: served.channel.pause()
    served.receive(frame(TEXT, "1") + frame(TEXT, "2"), frame(TEXT, "3"))
    assert served.log == ["1"]
    assert served.watched == "-"
    served.channel.resume()
    assert served.log == ["1"], "delivered within a verb"
    served.run_posted()
    assert served.log == ["1", "2"]
    served.handler.on_each = lambda message: None
    served.channel.resume()
    served.run_posted().receive()
    assert served.log == ["1", "2", "3"]
    assert served.watched == "r"


def test_many_messages_are_delivered_in_turns():
    served = opened()
    served.receive(frame(TEXT, "x") * (TURN + 5))
    assert len(served.log) == TURN
    served.sock.feed(frame(TEXT, "last"))
    served.channel.on_readable()
    assert len(served.log) == TURN, "read on before what it has was delivered"
    served.run_posted()
    assert len(served.log) == TURN + 5
    served.receive()
    assert served.log[-1] == "last"


def test_a_flood_of_pings_is_answered_in_turns():
    served = opened()
    served.receive(frame(PING, b"p") * 1000)
    answered = len(served.frames())
    assert 0 < answered < 100
    for _ in range(20):
        served.run_posted()
    assert answered + len(served.frames()) == 1000


def test_a_slow_peer_is_waited_for_and_then_cut_off():
    served = opened()
    served.sock.room = 1000
    assert served.channel.send(bytes(HIGH_WATER + 2000))
    assert served.watched == "rw"
    served.drain()
    assert ("writable",) in served.log
    assert served.watched == "r"
    served.sock.room = 0
    served.channel.send(bytes(100))
    served.poller.advance(WRITE_TIME + 1)
    served.run_posted()
    assert served.log[-1] == ("closed", 1006, "")
    assert served.sock.closed


def test_unread_pongs_stop_the_reading():
    served = opened()
    served.sock.room = 0
    ping = frame(PING, bytes(125))
    served.receive(*[ping * 100] * 20)
    while served.runtime.posted and served.watched == "rw":
        served.run_posted().receive()
    assert served.channel.out_size <= HIGH_WATER + JUDGED * 127
    assert served.watched == "w"
    served.drain()
    assert served.watched == "r"


# the end


def test_the_peers_close_is_answered_and_the_connection_half_closed():
    served = opened().receive(close(4000, b"bye") + frame(TEXT, "late"))
    assert served.frames() == [(0x88, b"\x0f\xa0")]
    assert served.log == [("left", 4000, "bye")]
    assert served.phase == "lingering"
    assert served.sock.half_closed
    served.receive(frame(TEXT, "later")).end()
    assert served.phase == "closed"
    assert served.log == [("left", 4000, "bye"), ("closed",)]
    assert served.runtime.closed == [served.channel]


def test_a_peer_that_does_not_end_after_its_close_is_cut_off():
    served = opened().receive(close(1000))
    served.poller.advance(LINGER_TIME + 1)
    assert served.sock.closed


def test_our_close_waits_for_the_peers():
    served = opened()
    served.channel.close_with(4001, "done")
    assert served.frames() == [(0x88, b"\x0f\xa1done")]
    assert served.phase == "closing"
    assert not served.channel.send("late")
    served.channel.close_with(1000)
    served.receive(frame(TEXT, "dropped") + frame(PING))
    assert served.log == []
    served.receive(close(4001))
    assert served.frames() == []
    assert served.log == [("left", 4001, "")]
    assert served.phase == "lingering"


def test_our_close_reads_on_behind_a_pause():
    served = opened()
    served.handler.on_each = lambda message: served.channel.pause()
    served.receive(frame(TEXT, "1") + frame(TEXT, "2") + close(1000), b"")
    served.channel.close_with(1000)
    served.run_posted().receive()
    assert served.log == ["1", ("left", 1000, ""), ("closed",)]


def test_a_close_within_a_message_sees_the_peers_behind_it():
    served = opened()
    served.handler.on_each = lambda message: served.channel.close_with(1000)
    served.receive(frame(TEXT, "1") + frame(TEXT, "2") + close(1000))
    assert served.log == ["1", ("left", 1000, "")]
    assert served.phase == "lingering"


def test_a_peer_that_does_not_answer_our_close_is_cut_off():
    served = opened()
    served.channel.close_with(None)
    assert served.frames() == [(0x88, b"")]
    served.poller.advance(CLOSE_TIME + 1)
    served.run_posted()
    assert served.sock.closed
    assert served.log == [("closed",), ("closed", 1006, "")]


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
def test_codes_that_must_not_be_sent(code):
    served = opened()
    with pytest.raises(AppError):
        served.channel.close_with(code)
    assert served.phase == "open"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"bare", mask=False), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (header(BINARY, 1 << 30), 1009),
    ],
)
def test_breaches_are_closed_with_their_code(sent, code):
    served = opened().receive(sent + frame(TEXT, "after"))
    assert served.frames() == [(0x88, code.to_bytes(2, "big"))]
    assert served.log == [("closed", code, "")]
    assert served.phase == "lingering"
    assert served.runtime.counters.websockets_err == 1


def test_a_peers_close_is_no_breach_whatever_its_code():
    served = opened().receive(close(1009))
    assert served.frames() == [(0x88, b"\x03\xf1")]
    assert served.log == [("left", 1009, "")]
    assert served.runtime.counters.websockets_err == 0


def test_the_last_octets_leave_before_the_half_close():
    served = opened()
    served.sock.room = 0
    served.channel.send(bytes(500))
    served.receive(close(1000))
    assert served.phase == "ending"
    assert parse(served.drain())[-1] == (0x88, b"\x03\xe8")
    assert served.phase == "lingering"
    served = opened()
    served.sock.room = 0
    served.receive(close(1000))
    served.poller.advance(WRITE_TIME + 1)
    assert served.sock.closed


def test_a_slow_peer_gets_all_before_our_close():
    served = opened()
    served.sock.room = 0
    served.channel.send(bytes(50_000))
    served.channel.close_with(1000)
    for _ in range(5):
        served.poller.advance(CLOSE_TIME + 1)
        served.sock.room = 5000
        served.channel.on_writable()
        assert not served.sock.closed
    served.drain()
    served.poller.advance(CLOSE_TIME + 1)
    assert served.sock.closed


@pytest.mark.parametrize("event", [b"", ConnectionResetError(errno.ECONNRESET, "reset")])
def test_a_lost_transport_is_a_1006_at_once(event):
    served = opened().receive(frame(TEXT, "last"), event)
    assert served.log == ["last", ("closed",), ("closed", 1006, "")]
    assert served.phase == "closed"


def test_a_transport_lost_in_a_verb_is_told_in_a_turn_of_its_own():
    served = opened()
    served.sock.send_error = BrokenPipeError(errno.EPIPE, "gone")
    assert not served.channel.send("lost")
    assert served.log == [("closed",)]
    served.run_posted()
    assert served.log == [("closed",), ("closed", 1006, "")]
    assert not served.channel.send("lost")


def test_what_a_peer_sent_before_it_left_reaches_a_busy_application():
    served = opened()
    served.handler.on_each = lambda message: served.channel.pause()
    served.receive(frame(TEXT, "1"), frame(TEXT, "2") + frame(TEXT, "3"), b"")
    assert served.watched == "-"
    served.channel.on_hangup()
    served.run_posted()
    assert served.sock.closed
    assert served.log == ["1", ("closed",)]
    served.channel.resume()
    served.run_posted()
    served.handler.on_each = lambda message: None
    served.channel.send("to nobody")
    served.channel.resume()
    served.run_posted()
    assert served.log == ["1", ("closed",), "2", "3", ("closed", 1006, "")]


def test_an_application_that_closes_after_the_peer_left():
    served = opened()
    served.handler.on_each = lambda message: served.channel.pause()
    served.receive(frame(TEXT, "1"), frame(TEXT, "2"), b"")
    served.channel.on_hangup()
    served.channel.close_with(1000)
    served.run_posted()
    assert served.log == ["1", ("closed",), ("closed", 1006, "")]


def test_abort_resets():
    served = opened()
    served.channel.abort()
    served.run_posted()
    assert served.sock.closed
    assert served.log[-1] == ("closed", 1006, "")


@pytest.mark.parametrize("how", ["drain", "disconnect_streams"])
def test_draining_tells_both_sides(how):
    served = opened()
    getattr(served.channel, how)()
    assert served.frames() == [(0x88, b"\x03\xf4")]
    assert served.log == [("closed", 1012, "")]
    assert not served.channel.idle
    served.receive(close(1012)).end()
    assert served.sock.closed
    assert served.log == [("closed", 1012, ""), ("closed",)]
    served.channel.drain()


# time

PINGS = WebsocketPlan(ping_interval=20.0, ping_timeout=5.0)


def test_pings_are_off_unless_asked_for():
    served = opened()
    served.poller.advance(100_000)
    assert served.sent() == b""
    assert served.phase == "open"


def test_a_silent_peer_is_asked_and_given_up():
    served = opened(PINGS)
    served.poller.advance(21)
    assert served.frames() == [(0x89, b"")]
    served.poller.advance(6)
    served.run_posted()
    assert served.sock.closed
    assert served.log[-1] == ("closed", 1006, "")


def test_any_octet_shows_that_the_peer_lives():
    served = opened(PINGS)
    served.poller.advance(21)
    served.receive(frame(TEXT, "alive")[:2])
    served.poller.advance(6)
    assert not served.sock.closed
    served.poller.advance(20)
    assert served.frames() == [(0x89, b""), (0x89, b"")]


def test_a_paused_peer_is_not_blamed_for_its_silence():
    served = opened(PINGS)
    served.handler.on_each = lambda message: served.channel.pause()
    served.poller.advance(21)
    served.receive(frame(TEXT, "1"), frame(TEXT, "2"))
    served.sent()
    for _ in range(3):
        served.poller.advance(21)
    assert not served.sock.closed
    assert served.sent() == b""


def test_pings_go_on_after_a_slow_write():
    served = opened(PINGS)
    served.sock.room = 0
    served.channel.send(bytes(1000))
    served.poller.advance(21)
    served.drain()
    served.poller.advance(21)
    assert served.frames() == [(0x89, b"")]


def test_between_two_turns_the_first_message_leaves_and_the_next_may_wait():
    served = opened()
    with served.poller.callbacks():
        served.channel.send("first")
        assert served.sent() == frame(TEXT, b"first", mask=False)
        served.channel.send("second")
        assert served.sent() == b""
    assert served.sent() == frame(TEXT, b"second", mask=False)


def behind_an_answer(**options):
    """A handshake behind a request whose answer waits for the end of the turn."""
    served = Upgraded(accept, **options)
    served.application.scripts.append(lambda http, *_: http.respond(200, (), bytes(1000)))
    with served.poller.turn():
        served.receive(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        yield served
        served.offer()
    yield served


def test_an_answer_that_waited_leaves_before_the_handshake():
    *_, served = behind_an_answer()
    sent = served.sent()
    assert sent.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 101" in sent
    assert served.phase == "open"


def test_an_answer_that_waited_is_not_left_unsent_for_ever_after_the_handshake():
    *_, served = behind_an_answer(room=100)
    assert served.phase == "open"
    served.poller.advance(WRITE_TIME + 1)
    served.run_posted()
    assert served.sock.closed
    assert served.phase == "closed"


def test_a_peer_that_is_found_lost_at_its_handshake_is_closed_once():
    steps = behind_an_answer()
    served = next(steps)
    served.sock.send_error = ConnectionResetError(errno.ECONNRESET, "lost")
    next(steps)
    served.run_posted()
    assert served.sock.closed
    assert served.runtime.closed == [served.http]
    assert served.fd not in served.poller.connections
    assert ("disconnected",) in served.log
