"""Conformance, section by section: what h2spec asks of a server, and what it leaves out.

Each case feeds octets to a greeted session whose application answers every request at once
(``answer``) or never (``silent``), and names the outcome: a GOAWAY with one of these codes, a
RST_STREAM with one of these codes, or a response. Outcomes that the RFC leaves to us are the
stricter ones unless they would cost more than one stream.
"""

import struct

import pytest

from granian.wire.http2.codes import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_MAX,
    WINDOW_UPDATE,
    frame,
    rst_stream,
    window_update,
)
from granian.wire.http2.session import CLOSED, OPEN
from tests.support.http2 import POST, REQUEST, Server

END = END_HEADERS | END_STREAM


def answer(stream, what):
    """Answer a GET at once, anything else at the end of its body."""
    ended = stream.events[-1][-1] is True
    if stream.head.method == "GET" or ended:
        stream.respond(200, [], b"x" * 5)


def setting(code, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HL", code, value))


def request(server, number=1, fields=REQUEST, flags=END, extra=b"", tail=b""):
    return frame(HEADERS, flags, number, extra + server.block(*fields) + tail)


def ended(server):
    """A request by itself: its answer is on its way when the next octets are read."""
    server.feed(request(server))
    return b""


def goaway(*codes):
    def check(server):
        assert server.goaway() in codes
        assert server.session.phase == CLOSED

    return check


def reset(*codes, number=1):
    def check(server):
        assert server.reset(number) in codes
        assert server.session.phase == OPEN
        server.request(101)  # the connection lives on

    return check


def responds(number=1, status=b"200"):
    def check(server):
        assert server.responses()[number][b":status"] == status

    return check


def lives(server):
    assert not [f for f in server.take() if f[0] in (GOAWAY, RST_STREAM)]
    assert server.session.phase == OPEN


def pongs(server):
    assert (PING, ACK, 0, b"h2spec\0\0") in server.take()
    assert server.session.phase == OPEN


PONG = frame(PING, 0, 0, b"h2spec\0\0")


def case(section, name, script, octets, outcome):
    return pytest.param(script, octets, outcome, id=f"{section} {name}")


silent = None

CASES = [
    # 3.4 is in test_session: it begins before the greeting
    case("4.1", "unknown type is ignored", silent, lambda s: frame(0x16, 0, 0, b"x") + PONG, pongs),
    case(
        "4.1",
        "undefined flags are ignored",
        silent,
        lambda s: frame(PING, 0x16, 0, b"h2spec\0\0"),
        pongs,
    ),
    case(
        "4.1",
        "reserved bit is ignored",
        silent,
        lambda s: frame(PING, 0, 1 << 31, b"h2spec\0\0"),
        pongs,
    ),
    case(
        "4.2",
        "DATA of 2^14",
        answer,
        lambda s: request(s, 1, POST, END_HEADERS) + frame(DATA, END_STREAM, 1, bytes(16384)),
        responds(),
    ),
    case(
        "4.2",
        "DATA beyond",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + frame(DATA, 0, 1, bytes(16385)),
        goaway(FRAME_SIZE_ERROR),
    ),
    case(
        "4.2",
        "HEADERS beyond",
        silent,
        lambda s: frame(HEADERS, END, 1, bytes(16385)),
        goaway(FRAME_SIZE_ERROR),
    ),
    case(
        "4.3",
        "bad block",
        silent,
        lambda s: frame(HEADERS, END, 1, b"\x40\x00"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "4.3",
        "PRIORITY inside a block",
        silent,
        lambda s: request(s, 1, flags=END_STREAM) + frame(PRIORITY, 0, 1, bytes(5)),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "4.3",
        "HEADERS of another stream inside a block",
        silent,
        lambda s: request(s, 1, flags=END_STREAM) + request(s, 3),
        goaway(PROTOCOL_ERROR),
    ),
    # 5.1 idle
    case(
        "5.1",
        "idle: DATA",
        silent,
        lambda s: frame(DATA, END_STREAM, 1, b"x"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.1", "idle: RST_STREAM", silent, lambda s: rst_stream(1, CANCEL), goaway(PROTOCOL_ERROR)
    ),
    case(
        "5.1",
        "idle: WINDOW_UPDATE",
        silent,
        lambda s: window_update(1, 100),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.1",
        "idle: CONTINUATION",
        silent,
        lambda s: frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.1",
        "idle: PRIORITY",
        silent,
        lambda s: frame(PRIORITY, 0, 1, b"\0\0\0\0\x10") + PONG,
        pongs,
    ),
    # 5.1 open
    case(
        "5.1",
        "open: DATA",
        answer,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + frame(DATA, 0, 1, b"x")
            + frame(DATA, END_STREAM, 1, b"x")
        ),
        responds(),
    ),
    case(
        "5.1",
        "open: trailers",
        answer,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + frame(DATA, 0, 1, b"x")
            + request(s, 1, [(b"x-sum", b"1")])
        ),
        responds(),
    ),
    case(
        "5.1",
        "open: HEADERS without END_STREAM",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + request(s, 1, [(b"x-sum", b"1")], END_HEADERS),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "5.1",
        "open: RST_STREAM",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + rst_stream(1, CANCEL) + PONG,
        pongs,
    ),
    # 5.1 half-closed (remote)
    case(
        "5.1",
        "half-closed: DATA",
        silent,
        lambda s: request(s) + frame(DATA, END_STREAM, 1, b"x"),
        reset(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "half-closed: HEADERS",
        silent,
        lambda s: request(s) + request(s),
        reset(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "half-closed: CONTINUATION",
        silent,
        lambda s: request(s) + frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
        goaway(STREAM_CLOSED, PROTOCOL_ERROR),
    ),
    case(
        "5.1",
        "half-closed: WINDOW_UPDATE",
        silent,
        lambda s: request(s) + window_update(1, 1),
        lives,
    ),
    case(
        "5.1",
        "half-closed: PRIORITY",
        silent,
        lambda s: request(s) + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        lives,
    ),
    # 5.1 closed
    case(
        "5.1",
        "closed by reset: DATA",
        silent,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + rst_stream(1, CANCEL)
            + frame(DATA, END_STREAM, 1, b"x")
        ),
        reset(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "closed by reset: HEADERS",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + rst_stream(1, CANCEL) + request(s),
        reset(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "closed by reset: CONTINUATION",
        silent,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + rst_stream(1, CANCEL)
            + frame(CONTINUATION, END_HEADERS, 1, b"\x82")
        ),
        goaway(STREAM_CLOSED, PROTOCOL_ERROR),
    ),
    case(
        "5.1",
        "closed by end: DATA",
        answer,
        lambda s: ended(s) + frame(DATA, END_STREAM, 1, b"x"),
        reset(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "closed by end: HEADERS",
        answer,
        lambda s: ended(s) + request(s),
        goaway(STREAM_CLOSED),
    ),
    case(
        "5.1",
        "closed by end: CONTINUATION",
        answer,
        lambda s: ended(s) + frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
        goaway(STREAM_CLOSED, PROTOCOL_ERROR),
    ),
    case("5.1", "closed: WINDOW_UPDATE", answer, lambda s: ended(s) + window_update(1, 1), lives),
    case("5.1", "closed: RST_STREAM", answer, lambda s: ended(s) + rst_stream(1, CANCEL), lives),
    case(
        "5.1",
        "closed: PRIORITY",
        answer,
        lambda s: ended(s) + frame(PRIORITY, 0, 1, b"\0\0\0\0\x10"),
        lives,
    ),
    # 5.1.1, 5.1.2
    case("5.1.1", "even number", silent, lambda s: request(s, 2), goaway(PROTOCOL_ERROR)),
    case(
        "5.1.1",
        "smaller number",
        silent,
        lambda s: request(s, 5) + request(s, 3),
        goaway(PROTOCOL_ERROR),
    ),
    # 5.3.1: the tree is ignored, but not what cannot be
    case(
        "5.3.1",
        "HEADERS depends on itself",
        silent,
        lambda s: request(s, flags=END | PRIORITY_FLAG, extra=b"\0\0\0\1\xff"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.3.1",
        "PRIORITY depends on itself",
        silent,
        lambda s: request(s) + frame(PRIORITY, 0, 1, b"\0\0\0\1\xff"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.5",
        "unknown frame inside a block",
        silent,
        lambda s: request(s, flags=END_STREAM) + frame(0x16, 0, 0),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "5.5",
        "unknown frame on a stream",
        answer,
        lambda s: request(s) + frame(0x16, 0, 1, b"x"),
        responds(),
    ),
    # 6.1
    case("6.1", "stream 0", silent, lambda s: frame(DATA, 0, 0, b"x"), goaway(PROTOCOL_ERROR)),
    case(
        "6.1",
        "padding longer than the payload",
        silent,
        lambda s: (
            request(s, 1, POST, END_HEADERS) + frame(DATA, PADDED | END_STREAM, 1, b"\x06test")
        ),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.1",
        "padding as long as the payload",
        answer,
        lambda s: (
            request(s, 1, POST, END_HEADERS) + frame(DATA, PADDED | END_STREAM, 1, b"\x04test")
        ),
        responds(),
    ),
    case(
        "6.1",
        "no pad length",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + frame(DATA, PADDED, 1),
        goaway(PROTOCOL_ERROR, FRAME_SIZE_ERROR),
    ),
    # 6.2
    case("6.2", "stream 0", silent, lambda s: request(s, 0), goaway(PROTOCOL_ERROR)),
    case(
        "6.2",
        "priority",
        answer,
        lambda s: request(s, flags=END | PRIORITY_FLAG, extra=b"\0\0\0\0\xff"),
        responds(),
    ),
    case(
        "6.2",
        "padding",
        answer,
        lambda s: request(s, flags=END | PADDED, extra=b"\x02", tail=b"\0\0"),
        responds(),
    ),
    case(
        "6.2",
        "padding and priority",
        answer,
        lambda s: request(
            s, flags=END | PADDED | PRIORITY_FLAG, extra=b"\x02\0\0\0\0\xff", tail=b"\0\0"
        ),
        responds(),
    ),
    case(
        "6.2",
        "padding longer than the payload",
        silent,
        lambda s: request(s, flags=END | PADDED, extra=b"\xf0"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.2",
        "priority cut short",
        silent,
        lambda s: frame(HEADERS, END | PRIORITY_FLAG, 1, b"\0\0"),
        goaway(PROTOCOL_ERROR, FRAME_SIZE_ERROR),
    ),
    # 6.3
    case(
        "6.3", "stream 0", silent, lambda s: frame(PRIORITY, 0, 0, bytes(5)), goaway(PROTOCOL_ERROR)
    ),
    case(
        "6.3",
        "wrong size",
        silent,
        lambda s: request(s) + frame(PRIORITY, 0, 1, bytes(4)),
        reset(FRAME_SIZE_ERROR),
    ),
    # 6.4
    case("6.4", "stream 0", silent, lambda s: rst_stream(0, CANCEL), goaway(PROTOCOL_ERROR)),
    case("6.4", "idle", silent, lambda s: rst_stream(1, CANCEL), goaway(PROTOCOL_ERROR)),
    case(
        "6.4",
        "wrong size",
        silent,
        lambda s: request(s) + frame(RST_STREAM, 0, 1, bytes(3)),
        goaway(FRAME_SIZE_ERROR),
    ),
    # 6.5
    case(
        "6.5",
        "ACK with payload",
        silent,
        lambda s: frame(SETTINGS, ACK, 0, bytes(6)),
        goaway(FRAME_SIZE_ERROR),
    ),
    case(
        "6.5",
        "on a stream",
        silent,
        lambda s: frame(SETTINGS, 0, 1, bytes(6)),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.5",
        "wrong size",
        silent,
        lambda s: frame(SETTINGS, 0, 0, bytes(3)),
        goaway(FRAME_SIZE_ERROR),
    ),
    case("6.5.2", "ENABLE_PUSH 2", silent, lambda s: setting(2, 2), goaway(PROTOCOL_ERROR)),
    case(
        "6.5.2",
        "INITIAL_WINDOW_SIZE beyond",
        silent,
        lambda s: setting(4, 1 << 31),
        goaway(FLOW_CONTROL_ERROR),
    ),
    case(
        "6.5.2", "MAX_FRAME_SIZE below", silent, lambda s: setting(5, 16383), goaway(PROTOCOL_ERROR)
    ),
    case(
        "6.5.2",
        "MAX_FRAME_SIZE beyond",
        silent,
        lambda s: setting(5, 1 << 24),
        goaway(PROTOCOL_ERROR),
    ),
    case("6.5.2", "unknown", silent, lambda s: setting(0xFF, 1) + PONG, pongs),
    # 6.6, 8.4
    case(
        "6.6",
        "from a client",
        silent,
        lambda s: request(s) + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82"),
        goaway(PROTOCOL_ERROR),
    ),
    # 6.7
    case("6.7", "answered", silent, lambda s: PONG, pongs),
    case(
        "6.7",
        "ACK is not answered",
        silent,
        lambda s: frame(PING, ACK, 0, b"invalid\0") + PONG,
        pongs,
    ),
    case(
        "6.7", "on a stream", silent, lambda s: frame(PING, 0, 1, bytes(8)), goaway(PROTOCOL_ERROR)
    ),
    case(
        "6.7", "wrong size", silent, lambda s: frame(PING, 0, 0, bytes(6)), goaway(FRAME_SIZE_ERROR)
    ),
    # 6.8
    case(
        "6.8",
        "on a stream",
        silent,
        lambda s: frame(GOAWAY, 0, 1, bytes(8)),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.8",
        "an open stream is finished",
        answer,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + frame(GOAWAY, 0, 0, bytes(8))
            + frame(DATA, END_STREAM, 1, b"x")
        ),
        responds(),
    ),
    # 6.9
    case("6.9", "increment 0", silent, lambda s: window_update(0, 0), goaway(PROTOCOL_ERROR)),
    case(
        "6.9",
        "increment 0 on a stream",
        silent,
        lambda s: request(s) + window_update(1, 0),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "6.9",
        "wrong size",
        silent,
        lambda s: frame(WINDOW_UPDATE, 0, 0, bytes(3)),
        goaway(FRAME_SIZE_ERROR),
    ),
    case(
        "6.9.1",
        "beyond 2^31-1",
        silent,
        lambda s: window_update(0, WINDOW_MAX) + window_update(0, WINDOW_MAX),
        goaway(FLOW_CONTROL_ERROR),
    ),
    case(
        "6.9.1",
        "beyond 2^31-1 on a stream",
        silent,
        lambda s: request(s) + window_update(1, WINDOW_MAX),
        reset(FLOW_CONTROL_ERROR),
    ),
    # 6.10
    case(
        "6.10",
        "several CONTINUATION",
        answer,
        lambda s: (
            request(s, flags=END_STREAM)
            + frame(CONTINUATION, 0, 1)
            + frame(CONTINUATION, END_HEADERS, 1, s.block((b"x", b"y")))
        ),
        responds(),
    ),
    case(
        "6.10",
        "after END_HEADERS",
        silent,
        lambda s: request(s) + frame(CONTINUATION, END_HEADERS, 1, b"\x82"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.10",
        "stream 0",
        silent,
        lambda s: request(s, flags=END_STREAM) + frame(CONTINUATION, END_HEADERS, 0, b"\x82"),
        goaway(PROTOCOL_ERROR),
    ),
    case(
        "6.10",
        "after DATA",
        silent,
        lambda s: (
            request(s, 1, POST, END_HEADERS)
            + frame(DATA, 0, 1, b"x")
            + frame(CONTINUATION, END_HEADERS, 1, b"\x82")
        ),
        goaway(PROTOCOL_ERROR),
    ),
    # 7
    case(
        "7",
        "unknown code in GOAWAY",
        silent,
        lambda s: request(s) + frame(GOAWAY, 0, 0, struct.pack(">LL", 0, 0xFF)) + PONG,
        pongs,
    ),
    case(
        "7",
        "unknown code in RST_STREAM",
        silent,
        lambda s: request(s) + rst_stream(1, 0xFF) + PONG,
        pongs,
    ),
    # 8
    case(
        "8.1",
        "second HEADERS without END_STREAM",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + request(s, 1, [(b"x", b"y")], END_HEADERS),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.1",
        "HEAD",
        answer,
        lambda s: request(s, 1, [(b":method", b"GET"), *REQUEST[1:]]),
        responds(),
    ),
    case(
        "8.1.1",
        "content-length and one DATA",
        silent,
        lambda s: (
            request(s, 1, [*POST, (b"content-length", b"1")], END_HEADERS)
            + frame(DATA, END_STREAM, 1, b"test")
        ),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.1.1",
        "content-length and more DATA",
        silent,
        lambda s: (
            request(s, 1, [*POST, (b"content-length", b"1")], END_HEADERS)
            + frame(DATA, 0, 1, b"te")
            + frame(DATA, END_STREAM, 1, b"st")
        ),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.1.1",
        "content-length and too little",
        silent,
        lambda s: (
            request(s, 1, [*POST, (b"content-length", b"9")], END_HEADERS)
            + frame(DATA, END_STREAM, 1, b"test")
        ),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.1.1",
        "content-length, too little, trailers",
        silent,
        lambda s: (
            request(s, 1, [*POST, (b"content-length", b"9")], END_HEADERS)
            + frame(DATA, 0, 1, b"test")
            + request(s, 1, [(b"x", b"y")])
        ),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.1.1",
        "content-length and no body",
        silent,
        lambda s: request(s, 1, [*POST, (b"content-length", b"1")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.2.1",
        "upper case",
        silent,
        lambda s: request(s, 1, [*REQUEST, (b"X-TEST", b"1")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.2.2",
        "connection",
        silent,
        lambda s: request(s, 1, [*REQUEST, (b"connection", b"keep-alive")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.2.2",
        "te",
        silent,
        lambda s: request(s, 1, [*REQUEST, (b"trailers", b"x"), (b"te", b"trailers, deflate")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.3",
        "unknown pseudo-field",
        silent,
        lambda s: request(s, 1, [*REQUEST, (b":test", b"1")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.3",
        ":status in a request",
        silent,
        lambda s: request(s, 1, [*REQUEST, (b":status", b"200")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.3",
        "pseudo-field in trailers",
        silent,
        lambda s: request(s, 1, POST, END_HEADERS) + request(s, 1, [(b":method", b"GET")]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.3",
        "pseudo-field after a field",
        silent,
        lambda s: request(s, 1, [(b"x", b"y"), *REQUEST]),
        reset(PROTOCOL_ERROR),
    ),
    case(
        "8.3.1",
        "empty :path",
        silent,
        lambda s: request(s, 1, [*REQUEST[:2], (b":path", b""), REQUEST[3]]),
        reset(PROTOCOL_ERROR),
    ),
    *(
        case(
            "8.3.1",
            f"no {name.decode()}",
            silent,
            lambda s, name=name: request(s, 1, [f for f in REQUEST if f[0] != name]),
            reset(PROTOCOL_ERROR),
        )
        for name in (b":method", b":scheme", b":path")
    ),
    *(
        case(
            "8.3.1",
            f"{field[0].decode()} twice",
            silent,
            lambda s, field=field: request(s, 1, [*REQUEST, field]),
            reset(PROTOCOL_ERROR),
        )
        for field in REQUEST[:3]
    ),
    # HPACK
    case(
        "7541 2.3.3",
        "index beyond the table, indexed",
        silent,
        lambda s: request(s, tail=b"\xc6"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 2.3.3",
        "index beyond the table, literal",
        silent,
        lambda s: request(s, tail=b"\x7f\x06\x01x"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 4.2",
        "table size update at the end",
        silent,
        lambda s: request(s, tail=b"\x20"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 5.2",
        "padding beyond 7 bits",
        silent,
        lambda s: request(s, tail=b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 5.2",
        "padding of zeros",
        silent,
        lambda s: request(s, tail=b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 5.2",
        "EOS in a string",
        silent,
        lambda s: request(s, tail=b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f"),
        goaway(COMPRESSION_ERROR),
    ),
    case(
        "7541 6.1", "index 0", silent, lambda s: request(s, tail=b"\x80"), goaway(COMPRESSION_ERROR)
    ),
    case(
        "7541 6.3",
        "table size beyond the setting",
        silent,
        lambda s: frame(HEADERS, END, 1, b"\x3f\xe2\x1f" + s.block(*REQUEST)),
        goaway(COMPRESSION_ERROR),
    ),
]


@pytest.mark.parametrize(("script", "octets", "outcome"), CASES)
def test_case(serve, script, octets, outcome):
    server = serve(script)
    server.feed(octets(server))
    outcome(server)


def test_5_4_1_what_follows_a_fault_is_not_read(serve):
    server = serve(answer)
    server.feed(frame(PING, 0, 1, bytes(8)) + request(server))
    assert server.goaway() == PROTOCOL_ERROR
    server.feed(request(server, 3))
    assert server.opened == []
    assert server.take() == []


def test_5_1_2_more_streams_than_allowed_at_once(serve):
    server = serve(max_concurrent_streams=10)
    for i in range(11):
        server.feed(request(server, 2 * i + 1))
    assert server.reset(21) == 7


def test_6_5_3_values_are_applied_in_order(serve):
    server = serve(answer)
    server.feed(frame(SETTINGS, 0, 0, struct.pack(">HLHL", 4, 100, 4, 1)) + request(server))
    frames = server.take()
    assert (SETTINGS, ACK, 0, b"") in frames
    assert [f[3] for f in frames if f[0] == DATA] == [b"x"]


def test_6_9_2_a_window_changed_after_the_request(serve):
    server = serve(answer)
    server.feed(setting(4, 0) + request(server))
    assert [f for f in server.take() if f[0] == DATA] == []
    server.feed(setting(4, 1))
    assert [f[3] for f in server.take() if f[0] == DATA] == [b"x"]


def test_3_4_nothing_but_the_preface(lane):
    server = Server(lane=lane, greet=False)
    server.feed(b"INVALID CONNECTION PREFACE\r\n\r\n")
    assert server.goaway() == PROTOCOL_ERROR
    server = Server(lane=lane, greet=False)
    server.feed(PREFACE[:-1])
    server.feed(PREFACE[-1:] + frame(SETTINGS, 0, 0))
    assert server.take()[0][0] == SETTINGS
