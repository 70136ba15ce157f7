"""Both ends of an HTTP/2 connection without sockets: our session, and h2 as its client.

And a client with a socket, frame by frame, that goes on where h2 would not.
"""

import socket
import ssl
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Decoder as PlainDecoder
from hpack import Encoder

from granian.plan import WorkerPlan
from granian.wire.http2.codes import (
    ACK,
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
)
from granian.wire.http2.compression import Decoder, Lexicon
from granian.wire.http2.session import Session
from granian.wire.http2.stream import Stream

REQUEST = (
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"example"),
)
POST = ((b":method", b"POST"), *REQUEST[1:])
GREETING = PREFACE + frame(SETTINGS, 0, 0)


class RecordingStream(Stream):
    """A stream that writes down what it is told; ``script`` may answer at once."""

    __slots__ = ("events", "head", "script")

    def on_request(self, head, body, complete):
        self.head = head
        ended = complete and not body
        self.events = [("request", head.method, head.path, tuple(head.headers), ended)]
        self.session_log().append(self)
        self.script = self.session_script()
        if self.script:
            self.script(self, "request")
        if body or (complete and not ended):
            self.on_data(body, complete)

    def session_log(self):
        return self.session.lexicon.opened

    def session_script(self):
        return self.session.lexicon.script

    def on_data(self, data, last):
        self.events.append(("data", bytes(data), last))
        if self.script:
            self.script(self, "data")

    def on_reset(self):
        self.events.append(("reset",))

    def on_writable(self):
        self.events.append(("writable",))
        if self.script:
            self.script(self, "writable")


class RecordingLexicon(Lexicon):
    __slots__ = ("opened", "script")


class Server:
    """A session with its clock, and what it has sent."""

    def __init__(self, script=None, lane=True, greet=True, plan=None, **http2):
        plan = plan or WorkerPlan()
        plan = plan._replace(http2=plan.http2._replace(**http2))
        lexicon = RecordingLexicon()
        lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
        lexicon.opened = []
        lexicon.script = script
        self.opened = lexicon.opened
        self.wakes = 0
        self.now = 100.0
        self.session = Session(plan, lexicon, RecordingStream, self.wake, self.now, lane=lane)
        self.sent = b""
        self.encoder = Encoder()
        self.decoder = Decoder(Lexicon(), 1 << 20, 1000)
        if greet:
            self.feed(GREETING)
            self.take()

    def wake(self):
        self.wakes += 1

    def feed(self, data):
        self.session.feed(data, self.now)
        self.sent += self.session.collect(0)

    def take(self):
        """Frames sent since the last call, as (kind, flags, stream, payload)."""
        self.sent += self.session.collect(0)
        frames = []
        data, self.sent = self.sent, b""
        at = 0
        while at < len(data):
            high, low, kind, flags, number = FRAME_HEADER.unpack_from(data, at)
            at += 9 + (high << 16 | low)
            frames.append((kind, flags, number, data[at - (high << 16 | low) : at]))
        return frames

    def block(self, *fields):
        return self.encoder.encode(fields)

    def request(self, number=1, fields=REQUEST, last=True):
        """Send a request in one HEADERS frame."""
        flags = END_HEADERS | (END_STREAM if last else 0)
        self.feed(frame(HEADERS, flags, number, self.block(*fields)))

    def goaway(self):
        """The code of the GOAWAY that was sent, or None."""
        return next((int.from_bytes(f[3][4:8], "big") for f in self.take() if f[0] == GOAWAY), None)

    def reset(self, number=1):
        """The code of the RST_STREAM that was sent on a stream, or None."""
        return next(
            (
                int.from_bytes(f[3], "big")
                for f in self.take()
                if f[0] == RST_STREAM and f[2] == number
            ),
            None,
        )

    def responses(self):
        """Response heads sent: stream to its fields."""
        return {f[2]: dict(self.decoder.decode(f[3])) for f in self.take() if f[0] == HEADERS}


class Client:
    """h2 as a client, wired to a server."""

    def __init__(self, server):
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.events = []
        self.exchange()

    def exchange(self):
        """Carry octets both ways until both fall silent."""
        while True:
            data = self.h2.data_to_send()
            if data:
                self.server.session.feed(data, self.server.now)
            self.server.sent += self.server.session.collect(0)
            answer, self.server.sent = self.server.sent, b""
            if answer:
                self.events += self.h2.receive_data(answer)
            if not data and not answer:
                return

    def get(self, number, fields=REQUEST, last=True):
        self.h2.send_headers(number, fields, end_stream=last)
        self.exchange()

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


class Http2Wire:
    """A raw HTTP/2 connection; a context manager.

    Pings are answered unless ``answers_pings`` is False; windows are not given back, so bodies
    are to be short.

    Attributes:
        frames: What came so far, as (kind, flags, stream, payload).
        ended: The server has closed its side.
    """

    def __init__(self, address, context=None, wait=10.0, greeting=GREETING):
        self.sock = socket.create_connection(address, timeout=wait)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
            assert self.sock.selected_alpn_protocol() == "h2"
        self.wait = wait
        self.frames = []
        self.ended = False
        self.answers_pings = True
        self._rest = b""
        self._encoder, self._decoder = Encoder(), PlainDecoder()
        self._heads = {}
        self.sock.sendall(greeting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def request(self, number=1, path="/", method="GET", last=True):
        """Send a request's head."""
        fields = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")]
        flags = END_HEADERS | (END_STREAM if last else 0)
        self.send(frame(HEADERS, flags, number, self._encoder.encode(fields)))

    def data(self, number, octets, last=False):
        """Send a piece of a request's body."""
        self.send(frame(DATA, END_STREAM if last else 0, number, octets))

    def send(self, octets):
        self.sock.sendall(octets)

    def until(self, condition):
        """Read until ``condition()`` is true; return what it returned."""
        deadline = time.monotonic() + self.wait
        while True:
            found = condition()
            if found:
                return found
            assert not self.ended, f"ended after {self.frames[-5:]}"
            assert time.monotonic() < deadline, f"waited in vain, have {self.frames[-5:]}"
            self.step()

    def step(self):
        """Read once."""
        try:
            data = self.sock.recv(65_536)
        except ssl.SSLEOFError:
            data = b""
        self.ended = not data
        self._rest += data
        while len(self._rest) >= 9:
            high, low, kind, flags, number = FRAME_HEADER.unpack_from(self._rest)
            end = 9 + (high << 16 | low)
            if len(self._rest) < end:
                break
            payload, self._rest = self._rest[9:end], self._rest[end:]
            self.frames.append((kind, flags, number, payload))
            if kind == HEADERS:  # each once and in order: the table depends on it
                fields = self._decoder.decode(payload, raw=True)
                self._heads.setdefault(number, []).append(fields)
            elif kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK and self.answers_pings:
                self.send(frame(PING, ACK, 0, payload))

    def of(self, kind, number=0):
        """The frames of a kind that came on a stream."""
        return [found for found in self.frames if found[0] == kind and found[2] == number]

    def heads(self, number):
        """The field sections that came on a stream: interim responses, the final one, trailers."""
        return self._heads.get(number, [])

    def body(self, number):
        """The content that came on a stream."""
        return b"".join(found[3] for found in self.of(DATA, number))

    def complete(self, number):
        """Tell that the server has ended its half of a stream as it should."""
        return any(
            found[0] in (HEADERS, DATA) and found[2] == number and found[1] & END_STREAM
            for found in self.frames
        )

    def goaways(self):
        """What came in GOAWAY frames, as (last stream, code)."""
        return [
            (int.from_bytes(found[3][:4], "big"), int.from_bytes(found[3][4:8], "big"))
            for found in self.of(GOAWAY)
        ]
