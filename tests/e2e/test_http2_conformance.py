"""The 147 cases of h2spec in strict mode, over real sockets, on each port that speaks HTTP/2.

Each is judged at least as strictly as there (``tests.support.conformance``), step by step and with
its frames in one piece, on a resource that answers before it reads and on one that reads first.
Where HTTP/1 is spoken too, what is no preface belongs to HTTP/1: there it is 146.

Cases bear the numbers of RFC 9113 and RFC 7541; what RFC 9113 has dropped, those of RFC 7540.
"""

import socket
import ssl

import pytest

from granian.wire.http2.codes import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
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
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_MAX,
    WINDOW_UPDATE,
    frame,
    rst_stream,
    window_update,
)
from tests.support.certs import path as cert
from tests.support.conformance import (
    ENABLE_PUSH,
    END,
    EOS,
    FRAME_SIZE,
    LIST_SIZE,
    MAX_STREAMS,
    TABLE_SIZE,
    WINDOW_SIZE,
    Peer,
    answered,
    answered_without_content,
    completed,
    connection_error,
    continuation,
    dependency,
    either_error,
    greeted,
    huffman,
    in_force,
    integer,
    lives_or_leaves,
    piece,
    plain,
    pongs,
    priority,
    resized,
    sends,
    settings,
    stream_error,
    table,
)
from tests.support.servers import GranianServer

LONG = "x" * 4000  # five such values do not fit into a frame, not even in Huffman's code
NOTE = ("x-note", LONG)
NAMELESS = 0xFF  # a setting, and an error code, that nobody has defined
NO_PREFACE = b"NO PREFACE, BUT A LINE\r\n\r\n"

PROBE = frame(PING, 0, 0, b"conform!")
PONG = pongs(b"conform!")
UNKNOWN = frame(0x16, 0, 0, bytes(8))
STRAY_PING = frame(PING, 0, 3, bytes(8))

BROKEN = connection_error(PROTOCOL_ERROR)
MISSIZED = connection_error(FRAME_SIZE_ERROR)
OVERFLOWN = connection_error(FLOW_CONTROL_ERROR)
UNREADABLE = connection_error(COMPRESSION_ERROR)
MISPLACED = connection_error(PROTOCOL_ERROR, STREAM_CLOSED)
CLOSED = either_error(STREAM_CLOSED)
MALFORMED = stream_error(PROTOCOL_ERROR)


def beginning(peer):
    """A client says what it has to say first, and no more."""
    return PREFACE, settings((WINDOW_SIZE, 65_535)), greeted


def cut(peer, *ends):
    """A block in pieces."""
    block = peer.block(*peer.fields())
    yield frame(HEADERS, END_STREAM, 1, block[: ends[0]])
    for start, stop in zip(ends, (*ends[1:], None)):
        yield continuation(block[start:stop], 0 if stop else END_HEADERS)
    yield answered


def interrupted(peer, another):
    """A block in two frames, with a frame between them that ``another`` makes."""
    return peer.get(flags=0), another(), continuation(peer.block(NOTE)), BROKEN


def taken_back(peer):
    """A request, and its reset."""
    return peer.get(flags=END_HEADERS), rst_stream(1, CANCEL)


# What any server is to understand.

GENERIC, case = table("generic")

case("3.4", "the preface is answered", beginning, hello=False)

case("5.1", "PRIORITY, idle", lambda p: (priority(), PROBE, PONG))
case(
    "5.1",
    "WINDOW_UPDATE, half-closed",
    lambda p: (settings((WINDOW_SIZE, 0)), p.get(), window_update(1, 1), sends(1)),
)
case(
    "5.1",
    "PRIORITY, half-closed",
    lambda p: (settings((WINDOW_SIZE, 0)), p.get(), priority(), window_update(1, 1), sends(1)),
)
case("5.1", "RST_STREAM, half-closed", lambda p: (p.get(), rst_stream(1, CANCEL), PROBE, PONG))
case("5.1", "PRIORITY, closed", lambda p: (p.get(), completed, priority(), PROBE, PONG))

case("6.1", "DATA", lambda p: (p.post(), piece(), answered))
case("6.1", "DATA twice", lambda p: (p.post(), piece(flags=0), piece(), answered))
case(
    "6.1",
    "DATA with padding",
    lambda p: (p.post(), piece(b"\5test" + bytes(5), PADDED | END_STREAM), answered),
)

case("6.2", "HEADERS", lambda p: (p.get(), answered))
case(
    "6.2",
    "HEADERS with padding",
    lambda p: (p.get(flags=END | PADDED, before=b"\x08", after=bytes(8)), answered),
)
case(
    "6.2",
    "HEADERS with a priority",
    lambda p: (p.get(flags=END | PRIORITY_FLAG, before=dependency()), answered),
)

case("6.3", "PRIORITY of weight 1", lambda p: (priority(weight=1), p.get(), answered))
case("6.3", "PRIORITY of weight 256", lambda p: (priority(), p.get(), answered))
case("6.3", "PRIORITY with a parent", lambda p: (priority(3, 1, 1), p.get(), answered))
case("6.3", "PRIORITY, exclusive", lambda p: (priority(1, 0, 1, True), p.get(), answered))
case("6.3", "PRIORITY of a stream further on", lambda p: (priority(3), p.get(), answered))

case("6.4", "RST_STREAM", lambda p: (*taken_back(p), PROBE, PONG))
case(
    "6.5",
    "SETTINGS of every kind",
    lambda p: (
        settings(
            (TABLE_SIZE, 4096),
            (ENABLE_PUSH, 1),
            (MAX_STREAMS, 100),
            (WINDOW_SIZE, 65_535),
            (FRAME_SIZE, 16_384),
            (LIST_SIZE, 100),
        ),
        in_force,
    ),
)
case("6.7", "PING", lambda p: (PROBE, PONG))
case(
    "6.8",
    "GOAWAY",
    lambda p: (frame(GOAWAY, 0, 0, bytes(8) + b"farewell"), PROBE, lives_or_leaves),
)
case("6.9", "WINDOW_UPDATE of the connection", lambda p: (window_update(0, 1), PROBE, PONG))
case("6.9", "WINDOW_UPDATE of a stream", lambda p: (p.get(), window_update(1, 1), answered))
case("6.10", "CONTINUATION", lambda p: cut(p, 5))
case("6.10", "CONTINUATION twice", lambda p: cut(p, 5, 10))

case("8.1", "GET", lambda p: (p.get(), answered))
case("8.1", "HEAD", lambda p: (p.headers(p.fields("HEAD")), answered_without_content))
case("8.1", "POST", lambda p: (p.post(), piece(), answered))
case(
    "8.1",
    "POST with trailers",
    lambda p: (
        p.post(("trailer", "x-sum")),
        piece(flags=0),
        p.headers([("x-sum", "ok")]),
        answered,
    ),
)

case("7541 6.1", "indexed field", lambda p: (p.get(after=b"\xba"), answered))


def literals(section, words, first, bits):
    """Four cases of a field in a literal: a name of the table or a new one, coded or not.

    A name of the table goes in full, as a careless encoder has it, and by its index (``accept``).
    """
    for code, string in (("", plain), (" in Huffman's code", huffman)):
        known = bytes([first]) + string(b"user-agent") + string(b"conform")
        known += integer(19, bits, first) + string(b"*/*")
        new = bytes([first]) + string(b"x-test") + string(b"conform")
        case(section, f"{words}, known name{code}", lambda p, f=known: (p.get(after=f), answered))
        case(section, f"{words}, new name{code}", lambda p, f=new: (p.get(after=f), answered))


literals("7541 6.2.1", "literal, to be indexed", 0x40, 6)
literals("7541 6.2.2", "literal, not indexed", 0x00, 4)
literals("7541 6.2.3", "literal, never indexed", 0x10, 4)
case("7541 6.3", "size of the table", lambda p: (p.get(before=resized(128)), answered))
case(
    "7541 4.2",
    "size of the table twice",
    lambda p: (p.get(before=resized(128) + resized(4096)), answered),
)


# What a server is to see, and how it is to take it: RFC 9113.

HTTP2, case = table("http2")

case("3.4", "the first frame", beginning, hello=False)
case("3.4", "no preface", lambda p: (NO_PREFACE, BROKEN), hello=False)

case("4.1", "unknown type", lambda p: (UNKNOWN, PROBE, PONG))
case("4.1", "undefined flags", lambda p: (frame(PING, 0x16, 0, b"conform!"), PONG))
case("4.1", "reserved bit", lambda p: (frame(PING, 0x16, 1 << 31, b"conform!"), PONG))

case(
    "4.2",
    "DATA of the largest size",
    lambda p: (p.post(), piece(b"x" * p.announced[FRAME_SIZE]), answered),
)
case(
    "4.2",
    "DATA beyond the largest size",
    lambda p: (p.post(), piece(b"x" * (p.announced[FRAME_SIZE] + 1)), MISSIZED),
)


def oversized(peer):
    """HEADERS with a block too large for a frame."""
    octets = peer.get(1, *((f"x-note-{i}", LONG) for i in range(5)))
    assert len(octets) - 9 > peer.announced[FRAME_SIZE]
    return octets, MISSIZED


case("4.2", "HEADERS beyond the largest size", oversized)

case("4.3", "half a literal", lambda p: (frame(HEADERS, END, 1, b"\x40"), UNREADABLE))
case("4.3", "PRIORITY within a block", lambda p: interrupted(p, priority))
case("4.3", "HEADERS within a block", lambda p: interrupted(p, lambda: p.get(3)))

case("5.1", "DATA, idle", lambda p: (piece(), BROKEN))
case("5.1", "RST_STREAM, idle", lambda p: (rst_stream(1, CANCEL), BROKEN))
case("5.1", "WINDOW_UPDATE, idle", lambda p: (window_update(1, 100), BROKEN))
case("5.1", "CONTINUATION, idle", lambda p: (continuation(p.block(*p.fields())), BROKEN))
case("5.1", "DATA, half-closed", lambda p: (p.get(), piece(), CLOSED))
case("5.1", "HEADERS, half-closed", lambda p: (p.get(), p.get(), CLOSED))
case(
    "5.1",
    "CONTINUATION, half-closed",
    lambda p: (p.get(), continuation(p.block(*p.fields())), MISPLACED),
)
case("5.1", "DATA after RST_STREAM", lambda p: (*taken_back(p), piece(), CLOSED))
case("5.1", "HEADERS after RST_STREAM", lambda p: (*taken_back(p), p.get(), CLOSED))
case(
    "5.1",
    "CONTINUATION after RST_STREAM",
    lambda p: (*taken_back(p), continuation(p.block(NOTE)), MISPLACED),
)
case("5.1", "DATA, closed", lambda p: (p.get(), completed, piece(), CLOSED))
case(
    "5.1",
    "HEADERS, closed",
    lambda p: (p.get(), completed, p.get(), connection_error(STREAM_CLOSED)),
)
case(
    "5.1",
    "CONTINUATION, closed",
    lambda p: (p.get(), completed, continuation(p.block(NOTE)), MISPLACED),
)

case("5.1.1", "an even number", lambda p: (p.get(2), BROKEN))
case("5.1.1", "a number below the last", lambda p: (p.get(5), p.get(3), BROKEN))


def one_too_many(peer):
    """More requests than the server takes at once, kept open by windows without room."""
    allowed = peer.announced[MAX_STREAMS]
    yield settings((WINDOW_SIZE, 0))
    for i in range(allowed + 1):
        yield peer.get(2 * i + 1)
    yield stream_error(PROTOCOL_ERROR, REFUSED_STREAM, number=2 * allowed + 1)


case("5.1.2", "one stream too many", one_too_many)

# An error of the stream, but an idle stream has no RST_STREAM: so it is one of the connection.
case(
    "7540 5.3.1",
    "HEADERS of a stream that is its own parent",
    lambda p: (p.get(flags=END | PRIORITY_FLAG, before=dependency(1)), BROKEN),
)
case(
    "7540 5.3.1",
    "PRIORITY of a stream that is its own parent",
    lambda p: (priority(1, 1), BROKEN),
)

case("5.4.1", "the end of the connection", lambda p: (STRAY_PING, BROKEN))
case(
    "5.4.1",
    "GOAWAY before the end (strict)",
    lambda p: (STRAY_PING, connection_error(PROTOCOL_ERROR, last=(0,))),
)

case("5.5", "an extension's frame", lambda p: (UNKNOWN, PROBE, PONG))
case(
    "5.5",
    "an extension's frame within a block",
    lambda p: (p.get(flags=END_STREAM), UNKNOWN, BROKEN),
)

case("6.1", "DATA on stream 0", lambda p: (frame(DATA, END_STREAM, 0, b"test"), BROKEN))
case("6.1", "DATA after the last", lambda p: (p.post(flags=END), piece(), CLOSED))
case(
    "6.1",
    "DATA with too much padding",
    lambda p: (
        p.post(("content-length", "4")),
        piece(b"\x06test", PADDED | END_STREAM),
        BROKEN,
    ),
)


def overpadded(peer):
    """HEADERS with more padding than there are octets."""
    block = peer.block(*peer.fields())
    return frame(HEADERS, END | PADDED, 1, bytes([len(block) + 2]) + block), BROKEN


case("6.2", "PRIORITY instead of CONTINUATION", lambda p: interrupted(p, priority))
case("6.2", "HEADERS instead of CONTINUATION", lambda p: interrupted(p, lambda: p.get(3)))
case("6.2", "HEADERS on stream 0", lambda p: (p.get(0), BROKEN))
case("6.2", "HEADERS with too much padding", overpadded)

case("6.3", "PRIORITY on stream 0", lambda p: (priority(0), BROKEN))
case(
    "6.3",
    "PRIORITY of four octets",
    lambda p: (p.get(), frame(PRIORITY, 0, 1, bytes(4)), stream_error(FRAME_SIZE_ERROR)),
)

case("6.4", "RST_STREAM on stream 0", lambda p: (rst_stream(0, CANCEL), BROKEN))
case("6.4", "RST_STREAM of an idle stream", lambda p: (rst_stream(1, CANCEL), BROKEN))
case(
    "6.4",
    "RST_STREAM of three octets",
    lambda p: (p.get(), frame(RST_STREAM, 0, 1, bytes(3)), MISSIZED),
)

case("6.5", "ACK with a payload", lambda p: (frame(SETTINGS, ACK, 0, b"\0"), MISSIZED))
case("6.5", "SETTINGS on a stream", lambda p: (frame(SETTINGS, 0, 1, b"\0\3\0\0\0d"), BROKEN))
case("6.5", "SETTINGS of three octets", lambda p: (frame(SETTINGS, 0, 0, b"\0\3\0"), MISSIZED))


case("6.5.2", "ENABLE_PUSH of 2", lambda p: (settings((ENABLE_PUSH, 2)), BROKEN))
case(
    "6.5.2",
    "INITIAL_WINDOW_SIZE of 2^31",
    lambda p: (settings((WINDOW_SIZE, 1 << 31)), OVERFLOWN),
)
case("6.5.2", "MAX_FRAME_SIZE of 2^14 - 1", lambda p: (settings((FRAME_SIZE, 16_383)), BROKEN))
case("6.5.2", "MAX_FRAME_SIZE of 2^24", lambda p: (settings((FRAME_SIZE, 1 << 24)), BROKEN))
case("6.5.2", "an unknown setting", lambda p: (settings((NAMELESS, 1)), PROBE, PONG))

case(
    "6.5.3",
    "one setting twice",
    lambda p: (settings((WINDOW_SIZE, 100), (WINDOW_SIZE, 1)), in_force, p.get(), sends(1)),
)
case("6.5.3", "SETTINGS are acknowledged", lambda p: (settings((ENABLE_PUSH, 0)), in_force))

case("6.7", "PING is answered", lambda p: (PROBE, PONG))
case("6.7", "ACK is not", lambda p: (frame(PING, ACK, 0, b"unasked!"), PROBE, PONG))
case("6.7", "PING on a stream", lambda p: (frame(PING, 0, 1, bytes(8)), BROKEN))
case("6.7", "PING of six octets", lambda p: (frame(PING, 0, 0, bytes(6)), MISSIZED))

case("6.8", "GOAWAY on a stream", lambda p: (frame(GOAWAY, 0, 1, bytes(8)), BROKEN))

case("6.9", "WINDOW_UPDATE of 0", lambda p: (window_update(0, 0), BROKEN))
case(
    "6.9",
    "WINDOW_UPDATE of 0 on a stream",
    lambda p: (p.get(flags=END_HEADERS), window_update(1, 0), MALFORMED),
)
case(
    "6.9",
    "WINDOW_UPDATE of three octets",
    lambda p: (frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), MISSIZED),
)

case(
    "6.9.1",
    "a window of one octet",
    lambda p: (settings((WINDOW_SIZE, 1)), in_force, p.get(), sends(1)),
)
case(
    "6.9.1",
    "a window beyond 2^31 - 1",
    lambda p: (window_update(0, WINDOW_MAX), window_update(0, WINDOW_MAX), OVERFLOWN),
)
case(
    "6.9.1",
    "a stream's window beyond 2^31 - 1",
    lambda p: (
        p.get(flags=END_HEADERS),
        window_update(1, WINDOW_MAX),
        window_update(1, WINDOW_MAX),
        stream_error(FLOW_CONTROL_ERROR),
    ),
)

case(
    "6.9.2",
    "a window that a setting opens",
    lambda p: (
        settings((WINDOW_SIZE, 0)),
        in_force,
        p.get(),
        settings((WINDOW_SIZE, 1)),
        sends(1),
    ),
)
case(
    "6.9.2",
    "a window below 0",
    lambda p: (
        settings((WINDOW_SIZE, 3)),
        in_force,
        p.get(),
        sends(3),
        settings((WINDOW_SIZE, 2)),
        in_force,
        window_update(1, 2),
        sends(3, 1),
    ),
)
case(
    "6.9.2",
    "a setting beyond 2^31 - 1",
    lambda p: (frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0"), OVERFLOWN),
)

case(
    "6.10",
    "CONTINUATION twice after HEADERS",
    lambda p: (
        p.get(flags=END_STREAM),
        continuation(p.block(NOTE), 0),
        continuation(p.block(NOTE)),
        answered,
    ),
)
case(
    "6.10",
    "CONTINUATION and another frame",
    lambda p: (p.post(flags=0), continuation(p.block(NOTE), 0), piece(), BROKEN),
)
case(
    "6.10",
    "CONTINUATION on stream 0",
    lambda p: (p.get(flags=END_STREAM), continuation(p.block(NOTE), number=0), BROKEN),
)
case(
    "6.10",
    "CONTINUATION after whole HEADERS",
    lambda p: (p.get(), continuation(p.block(NOTE)), BROKEN),
)
case(
    "6.10",
    "CONTINUATION after the last",
    lambda p: (
        p.get(flags=END_STREAM),
        continuation(p.block(NOTE)),
        continuation(p.block(NOTE)),
        BROKEN,
    ),
)
case(
    "6.10",
    "CONTINUATION after DATA",
    lambda p: (
        p.post(flags=0),
        piece(),
        continuation(p.block(NOTE), 0),
        continuation(p.block(NOTE), number=0),
        BROKEN,
    ),
)

case(
    "7",
    "GOAWAY with an unknown code",
    lambda p: (frame(GOAWAY, 0, 0, bytes(7) + bytes([NAMELESS])), PROBE, lives_or_leaves),
)
case(
    "7",
    "RST_STREAM with an unknown code",
    lambda p: (p.post(), rst_stream(1, NAMELESS), PROBE, PONG),
)


def trailed(peer, field):
    """Trailers that do not end their stream."""
    return peer.post(), piece(flags=0), peer.headers([field], flags=END_HEADERS), MALFORMED


def lacking(*names):
    """A GET without some of its fields."""
    return lambda p: (p.headers([f for f in p.fields() if f[0] not in names]), MALFORMED)


case("8.1", "trailers that are not the end", lambda p: trailed(p, ("x-sum", "ok")))
case("8.2.1", "a name in upper case", lambda p: (p.get(1, ("X-TEST", "ok")), MALFORMED))
case("8.3", "an unknown pseudo-field", lambda p: (p.get(1, (":test", "ok")), MALFORMED))
case("8.3", "a pseudo-field of responses", lambda p: (p.get(1, (":status", "200")), MALFORMED))
case("8.3", "a pseudo-field in trailers", lambda p: trailed(p, (":method", "POST")))
case(
    "8.3",
    "a pseudo-field after others",
    lambda p: (p.headers([("x-test", "ok"), *p.fields()]), MALFORMED),
)
case(
    "8.2.2",
    "a field of the connection",
    lambda p: (p.get(1, ("connection", "keep-alive")), MALFORMED),
)
case(
    "8.2.2",
    "te of more than trailers",
    lambda p: (p.get(1, ("trailers", "test"), ("te", "trailers, deflate")), MALFORMED),
)
case("8.3.1", "an empty path", lambda p: (p.headers(p.fields(path="")), MALFORMED))
case("8.3.1", "no method", lacking(":method"))
case("8.3.1", "no scheme", lacking(":scheme"))
case("8.3.1", "no path", lacking(":path"))
case("8.3.1", "two methods", lambda p: (p.get(1, p.fields()[0]), MALFORMED))
case("8.3.1", "two schemes", lambda p: (p.get(1, p.fields()[1]), MALFORMED))
case("8.3.1", "two paths", lambda p: (p.get(1, p.fields()[2]), MALFORMED))
case(
    "8.1.1",
    "content-length against one DATA",
    lambda p: (p.post(("content-length", "1")), piece(), MALFORMED),
)
case(
    "8.1.1",
    "content-length against two DATA",
    lambda p: (p.post(("content-length", "1")), piece(flags=0), piece(), MALFORMED),
)
case(
    "8.4",
    "PUSH_PROMISE",
    lambda p: (
        frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\3" + p.block(*p.fields())),
        BROKEN,
    ),
)


# And RFC 7541.

HPACK, case = table("hpack")

BEYOND = 70  # past the static table and the one field that a request adds


def ended(octets):
    """A GET whose block ends with these octets."""
    return lambda p: (p.get(after=octets), UNREADABLE)


def valued(string):
    """A GET with a field whose value is encoded like this."""
    return ended(b"\0" + huffman(b"x-test") + string)


case("2.3.3", "an index beyond the tables", ended(integer(BEYOND, 7, 0x80)))
case("2.3.3", "a name beyond the tables", ended(integer(BEYOND, 6, 0x40) + b"\0"))
case("4.2", "size of the table at the end", ended(resized(1)))
case("5.2", "padding of an octet more", valued(huffman(b"test", "1" * 12)))
case("5.2", "padding of zeros", valued(huffman(b"test", "0" * 4)))
case("5.2", "the symbol of the end", valued(huffman((*b"tes", EOS, *b"t"))))
case("6.1", "the index 0", ended(b"\x80"))
case(
    "6.3",
    "size of the table beyond the limit",
    lambda p: (p.get(before=resized(p.announced[TABLE_SIZE] + 1)), UNREADABLE),
)


CASES = [*GENERIC, *HTTP2, *HPACK]
TLS = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key")}
PORTS = {"clear": {"http": "2"}, "tls": TLS, "auto": {}}


@pytest.fixture(scope="module", params=PORTS)
def port(request):
    """A server, and its clients' context of TLS."""
    context = None
    if request.param == "tls":
        context = ssl.create_default_context(cafile=cert("ca"))
        context.set_alpn_protocols(["h2"])
    with GranianServer("tests.apps.streams:asgi", **PORTS[request.param]) as server:
        yield server, context


@pytest.mark.parametrize(("steps", "hello"), CASES)
def test_case(port, steps, hello, request):
    if request.node.callspec.id == "auto-http2 3.4 no preface":
        hear_of_http1(port[0])
        return
    for path in ("/early", "/"):
        for together in (False, True):
            with Peer(*port, path, together) as peer:
                if hello:
                    peer.play(peer.hello())
                peer.play(steps(peer))


def hear_of_http1(server):
    """What is no preface is refused as HTTP/1: the case that h2spec fails on such a port."""
    with socket.create_connection(server.address, timeout=2.0) as sock:
        sock.sendall(NO_PREFACE)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_the_cases_are_as_many_as_those_of_h2spec():
    assert (len(GENERIC), len(HTTP2), len(HPACK)) == (44, 95, 8)
    assert len({row.id for row in CASES}) == 147
