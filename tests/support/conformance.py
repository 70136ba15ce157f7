"""A client that breaks HTTP/2 on purpose, and judges what a server makes of it.

A case is a row: its section, a few words, and a function of the ``Peer`` that gives its steps in
order; they follow those of ``Peer.hello`` unless it says otherwise. A step is octets to send, or a
verdict: a function of the peer that reads until it knows, and asserts. Verdicts ask for more than
the frames that they wait for: after an error of a stream the connection must go on, after an error
of the connection it must end in order.
"""

import struct

import pytest
from hpack.hpack import encode_integer
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from granian.wire.http2.codes import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from tests.support.http2 import Http2Wire

# As long as h2spec waits, and less than any deadline of the server's on an open connection: what
# it does because time is up is no answer.
WAIT = 2.0

END = END_HEADERS | END_STREAM
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW_SIZE, FRAME_SIZE, LIST_SIZE = range(1, 7)
_INITIAL = {TABLE_SIZE: 4096, FRAME_SIZE: 16_384}  # RFC 9113 section 6.5.2

BODY = b"hello"
EOS = 256  # the symbol that no string may contain, RFC 7541 section 5.2

# Lengths that a frame may have, RFC 9113 section 6. The kinds that are missing a server has no
# business to send to a client that has not asked for them.
_LENGTHS = {
    DATA: range(16_385),
    HEADERS: range(1, 16_385),
    RST_STREAM: (4,),
    SETTINGS: range(0, 16_385, 6),
    PING: (8,),
    GOAWAY: range(8, 16_385),
    WINDOW_UPDATE: (4,),
    CONTINUATION: range(16_385),
}


class Peer(Http2Wire):
    """A client's end of one connection.

    Args:
        server: The running server.
        context: Of TLS, or None.
        path: What requests ask for; answered with 200 and ``BODY``.
        together: Octets between two verdicts leave in one piece, not step by step.

    Attributes:
        settings_sent: How many SETTINGS the server has to acknowledge.
    """

    def __init__(self, server, context, path, together):
        super().__init__(server.address, context, WAIT, b"")
        self._path = path
        self._together = together
        self._scheme = server.scheme
        self._authority = f"{server.host}:{server.port}"
        self._fences = 0
        self.settings_sent = 0

    def __repr__(self):
        pace = "in one piece" if self._together else "step by step"
        return f"<{self._path} {pace}, ended: {self.ended}, came: {self.frames}>"

    def play(self, steps):
        """Take steps."""
        octets = b""
        for step in steps:
            if callable(step):
                self.send(octets)
                octets = b""
                step(self)
                continue
            self.settings_sent += step[3] == SETTINGS and not step[4] & ACK
            if self._together:
                octets += step
            else:
                self.send(step)
        assert callable(step), "a case ends with a verdict"
        self.check_frames()

    def check_frames(self):
        """See that the server has sent whole frames, such as a server may send."""
        for kind, _, number, payload in self.frames:
            assert len(payload) in _LENGTHS.get(kind, ()), (kind, payload)
            assert kind == WINDOW_UPDATE or (number == 0) == (kind in (SETTINGS, PING, GOAWAY))
        assert sum(1 for f in self.frames if f[0] == SETTINGS and not f[1] & ACK) == 1
        assert not self.ended or not self._rest, f"ended within a frame: {self._rest}"

    # what the server has said

    @property
    def announced(self):
        """The settings of the server."""
        first = next(found for found in self.of(SETTINGS) if not found[1] & ACK)
        return {**_INITIAL, **dict(struct.iter_unpack(">HL", first[3]))}

    def resets(self):
        """RST_STREAM frames that came, as (stream, code)."""
        return [(f[2], int.from_bytes(f[3], "big")) for f in self.frames if f[0] == RST_STREAM]

    def acknowledgements(self):
        """Count the SETTINGS of ours that are in force."""
        return sum(1 for found in self.of(SETTINGS) if found[1] & ACK)

    def sizes(self):
        """The lengths of the DATA frames that came on stream 1."""
        return [len(found[3]) for found in self.of(DATA, 1)]

    def fence(self):
        """Read all that the server had to say to what it was sent, and see it alive."""
        self._fences += 1
        payload = b"fence%3d" % self._fences
        self.send(frame(PING, 0, 0, payload))
        self.until(lambda: (PING, ACK, 0, payload) in self.frames)
        assert not self.goaways()

    # what is sent

    def hello(self):
        """The steps that begin a connection."""
        return PREFACE, settings((WINDOW_SIZE, 65_535)), greeted, acknowledged

    def fields(self, method="GET", path=None):
        """The ordinary fields of a request."""
        return [
            (":method", method),
            (":scheme", self._scheme),
            (":path", self._path if path is None else path),
            (":authority", self._authority),
        ]

    def block(self, *fields):
        """Encode fields."""
        return self._encoder.encode(fields)

    def headers(self, fields, number=1, flags=END):
        """Render HEADERS of any fields."""
        return frame(HEADERS, flags, number, self.block(*fields))

    def get(self, number=1, *more, flags=END, before=b"", after=b""):
        """Render the HEADERS of a GET, with more fields, and with octets around its block."""
        block = self.block(*self.fields(), *more)
        return frame(HEADERS, flags, number, before + block + after)

    def post(self, *more, flags=END_HEADERS):
        """Render the HEADERS of a POST on stream 1."""
        return self.headers([*self.fields("POST"), *more], flags=flags)


# Frames.


def settings(*values):
    """Render SETTINGS of (setting, value)."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HL", *value) for value in values))


def piece(octets=b"test", flags=END_STREAM):
    """Render DATA on stream 1."""
    return frame(DATA, flags, 1, octets)


def continuation(block, flags=END_HEADERS, number=1):
    """Render a CONTINUATION."""
    return frame(CONTINUATION, flags, number, block)


def dependency(parent=0, weight=256, exclusive=False):
    """Render a priority in the sense of RFC 7540 section 6.3."""
    return struct.pack(">LB", parent | exclusive << 31, weight - 1)


def priority(number=1, parent=0, weight=256, exclusive=False):
    """Render a PRIORITY."""
    return frame(PRIORITY, 0, number, dependency(parent, weight, exclusive))


# Pieces of header blocks.


def integer(value, bits, first=0):
    """Encode a number behind the bits of ``first``, RFC 7541 section 5.1."""
    octets = encode_integer(value, bits)
    octets[0] |= first
    return bytes(octets)


def plain(octets):
    """Encode a string as it is, RFC 7541 section 5.2."""
    return integer(len(octets), 7) + octets


def huffman(symbols, tail=""):
    """Encode a string in Huffman's code.

    Args:
        symbols: Octets, and ``EOS``.
        tail: Bits that follow the last symbol; none for the right padding.
    """
    bits = "".join(f"{REQUEST_CODES[s]:0{REQUEST_CODES_LENGTH[s]}b}" for s in symbols)
    bits += tail or "1" * (-len(bits) % 8)
    size, odd = divmod(len(bits), 8)
    assert not odd
    return integer(size, 7, 0x80) + int(bits, 2).to_bytes(size, "big")


def resized(size):
    """Say that the table has so many octets from here on, RFC 7541 section 6.3."""
    return integer(size, 5, 0x20)


# Verdicts.


def greeted(peer):
    """The first thing that the server says are its settings."""
    kind, flags, number, _ = peer.until(lambda: peer.frames and peer.frames[0])
    assert (kind, flags & ACK, number) == (SETTINGS, 0, 0)


def acknowledged(peer):
    """All settings sent are in force."""
    peer.until(lambda: peer.acknowledgements() == peer.settings_sent)


def lives(peer):
    """Nothing was wrong with what was sent."""
    peer.fence()
    assert not peer.resets()


def in_force(peer):
    """The settings are acknowledged, and nothing was wrong with them."""
    acknowledged(peer)
    lives(peer)


def lives_or_leaves(peer):
    """A PING was answered, or the server has taken its leave in order."""
    peer.until(lambda: peer.ended or peer.of(PING))
    assert not peer.resets()
    assert all(code == NO_ERROR for _, code in peer.goaways())


def completed(peer):
    """Stream 1 is closed, with its response whole."""
    peer.until(lambda: peer.complete(1))
    assert not peer.goaways()
    assert not peer.resets()


def answered(peer, body=BODY):
    """The request on stream 1 was understood."""
    completed(peer)
    (head,) = peer.heads(1)
    assert dict(head)[b":status"] == b"200"
    assert peer.body(1) == body
    lives(peer)


def answered_without_content(peer):
    """As ``answered``, for HEAD."""
    answered(peer, b"")
    assert not peer.sizes()


def pongs(payload):
    """One PING was answered, with the octets it had."""

    def verdict(peer):
        peer.until(lambda: peer.of(PING))
        assert peer.of(PING) == [(PING, ACK, 0, payload)]
        lives(peer)

    return verdict


def sends(*sizes):
    """The response on stream 1 has come so far, in frames of these sizes, and goes no further."""

    def verdict(peer):
        peer.until(lambda: len(peer.sizes()) >= len(sizes))
        lives(peer)
        assert peer.sizes() == list(sizes)
        assert not peer.complete(1)

    return verdict


def stream_error(*codes, number=1):
    """The stream was reset with one of these codes, and the connection goes on."""

    def verdict(peer):
        peer.until(lambda: number in dict(peer.resets()))
        peer.fence()
        ((found, code),) = peer.resets()
        assert found == number
        assert code in codes

    return verdict


def connection_error(*codes, last=(0, 1, 3, 5)):
    """The connection ended in order, after one GOAWAY, with one of these codes."""

    def verdict(peer):
        peer.until(lambda: peer.ended)
        ((found, code),) = peer.goaways()
        assert code in codes
        assert found in last
        assert peer.frames[-1][0] == GOAWAY
        assert not peer.resets()

    return verdict


def either_error(*codes):
    """``stream_error`` where the stream is still open on our side, else ``connection_error``."""

    def verdict(peer):
        peer.until(lambda: peer.resets() or peer.goaways())
        kind = connection_error if peer.goaways() else stream_error
        kind(*codes)(peer)

    return verdict


def table(suite):
    """Begin a table of cases; return it, and what adds a row to it."""
    rows = []

    def case(section, words, steps, hello=True):
        rows.append(pytest.param(steps, hello, id=f"{suite} {section} {words}"))

    return rows, case
