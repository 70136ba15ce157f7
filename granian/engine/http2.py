"""One HTTP/2 connection: a session of ``wire.http2`` on a socket, a stream per exchange.

``Http2Stream`` is the Responder of its exchange; the verbs are its base's. Octets that streams
queue leave once a turn in one send. Everything runs on the thread that owns the connection.
RFC 9113.

Phases::

    SERVING   the session lives
    LINGER    the session has ended: half-closed, what the peer still sends is dropped
    CLOSED    the descriptor is gone

    SERVING -session closed, all sent-> LINGER -end, deadline-> CLOSED
    any -lost, reset-> CLOSED
"""

import os
import threading
from typing import TYPE_CHECKING, Any, Optional, Set, Tuple

from .._typing import Address
from ..errors import AppError
from ..wire.head import RequestHead
from ..wire.http2 import session as wire
from ..wire.http2.clocks import PREFACE_TIMEOUT
from ..wire.http2.compression import Lexicon
from ..wire.http2.session import Session
from ..wire.http2.stream import AWAITING, STREAMING, Fields, Stream
from .connection import HIGH_WATER, Connection
from .poller import READ, Newcomer

if TYPE_CHECKING:
    from .runtime import Runtime
    from .websocket_stream import WebsocketStream

SERVING, LINGER, CLOSED = range(3)

PHASE_NAMES = ("serving", "lingering", "closed")

_PARTING_TIME = 0.5  # seconds in which a peer that left in order may close its side
_PIECE = 65_536  # octets of a file read ahead of the peer


class Http2Stream(Stream):
    """A stream with an application at its other end."""

    __slots__ = ("_file", "context")

    context: Any
    _file: Tuple[int, int, int]

    # what an interface asks of a peer

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return str(self.session.owner.scheme)

    @property
    def client(self) -> Optional[Address]:
        """The peer's address."""
        client: Optional[Address] = self.session.owner.client
        return client

    @property
    def server(self) -> Optional[Address]:
        """Our own address."""
        server: Optional[Address] = self.session.owner.server
        return server

    @property
    def sock(self) -> Any:
        """The connection's socket: what visits follow (``Runtime.visit``)."""
        return self.session.owner.sock

    @property
    def tls(self) -> Optional[Any]:  # the ASGI extension's dictionary
        """What is known of the connection's security."""
        return self.session.owner.tls

    # hooks of the session

    def on_request(self, head: RequestHead, body: bytes, complete: bool) -> None:  # hot
        """Begin the exchange."""
        connection = self.session.owner
        self.context = connection.context
        self.handler = None
        if head.upgrade is not None:
            connection.open_tunnel(self, head, complete)
            if body:
                self.on_data(body, complete)
            return
        connection.begin(self, head, body, complete)

    def on_data(self, data: bytes, last: bool) -> None:
        """Pass body octets on."""
        if self.handler is not None:
            self.handler.on_body(data, last)

    def on_reset(self) -> None:
        """Tell the application that its peer is gone, and let go of it."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_disconnect()

    def on_writable(self) -> None:
        """Let the application write again."""
        if self.handler is not None:
            self.handler.on_writable()

    # files

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """See ``waist.Responder.respond_file``."""
        if self.phase != AWAITING:
            os.close(descriptor)
            return
        fields = list(headers)
        for name, value in fields:
            if name.lower() == b"content-length" and value.strip() != b"%d" % count:
                raise AppError("content-length is not the number of octets of the file")
        self.start(status, [*fields, (b"content-length", b"%d" % count)])
        if self.head_only or not count:
            os.close(descriptor)
            self.finish()
            return
        self.handler = _FileSource(self, descriptor, offset, count)
        self.handler.on_writable()


class _FileSource:
    """The handler that takes the application's place while a file is sent."""

    __slots__ = ("_count", "_descriptor", "_offset", "_stream")

    def __init__(self, stream: Http2Stream, descriptor: int, offset: int, count: int) -> None:
        self._stream = stream
        self._descriptor = descriptor
        self._offset = offset
        self._count = count

    def on_writable(self) -> None:
        """Read ahead until the stream asks to wait, or all is read."""
        stream = self._stream
        while stream.phase == STREAMING:
            try:
                data = os.pread(self._descriptor, min(self._count, _PIECE), self._offset)
            except OSError:
                data = b""
            if not data:
                # The file shrank under us: the announced length can no longer be kept.
                stream.abort()
                return
            self._offset += len(data)
            self._count -= len(data)
            if not self._count:
                self._close()
                stream.finish((), data)
                return
            if stream.write(data):
                return

    def on_body(self, data: bytes, last: bool) -> None:
        """Nobody reads the request any more."""

    def on_disconnect(self) -> None:
        """The stream is broken."""
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


_preparing = threading.Lock()  # several threads may meet the first HTTP/2 clients of a runtime


def _prepare(runtime: "Runtime") -> Lexicon:
    """Make what this runtime's HTTP/2 connections share, with the first of them."""
    with _preparing:
        if runtime.lexicon is None:
            lexicon = Lexicon()
            lexicon.set_date(runtime.writer.date[6:-2])
            if runtime.plan.interface == "wsgi":
                from .blocking import begin_blocking

                runtime.stream_begin = begin_blocking(runtime)
            else:
                runtime.stream_begin = runtime.application.begin
            runtime.lexicon = lexicon
        return runtime.lexicon


class Http2Connection(Connection):
    """A connection that speaks HTTP/2."""

    __slots__ = ("_moved_at", "begin", "call_soon", "counters", "session", "websockets")

    def __init__(self, newcomer: Newcomer, runtime: "Runtime") -> None:
        super().__init__(newcomer, runtime)
        self.phase = SERVING
        lexicon = runtime.lexicon or _prepare(runtime)
        self.begin = runtime.stream_begin
        self.call_soon = runtime.call_soon
        self.counters = runtime.counters
        self._moved_at = self.poller.now
        self.websockets: Set[WebsocketStream] = set()
        self.session = Session(
            runtime.plan,
            lexicon,
            Http2Stream,
            self.schedule,
            self.poller.now,
            owner=self,
        )
        self.context = runtime.application.connect(self)
        self.arm(PREFACE_TIMEOUT)

    def open_tunnel(self, stream: Http2Stream, head: RequestHead, complete: bool) -> None:
        """Answer an extended CONNECT (RFC 8441)."""
        from . import websocket_stream

        if complete:
            stream.respond(400, (), b"")  # a tunnel that has ended already
        else:
            websocket_stream.upgrade(stream, head, self)

    # readiness

    def on_readable(self) -> None:  # hot: counted by test_budget
        """Receive once, serve the frames, send what they led to."""
        try:
            data = self.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.lose()
            return
        if not data:
            self.lose()
        elif self.phase == SERVING:
            session = self.session
            if session.phase > wire.GREETING:
                session.feed(data, self.poller.now)
                self.flush()
            else:
                self.feed(data)

    def feed(self, data: bytes) -> None:
        """Serve octets that begin the connection, perhaps received by another protocol."""
        self.session.feed(data, self.poller.now)
        self._arm_check()
        self.flush()

    def schedule(self) -> None:
        """Flush after this turn: other streams may have something to send by then."""
        if self.call_soon is None:
            self.runtime.post_to(self, self.flush)
        else:
            self.call_soon(self.flush)

    def flush(self) -> None:  # hot
        """Send what the streams have queued, as far as the transport has room."""
        if self.phase != SERVING:
            return
        session = self.session
        data = session.collect(self.out_size + len(self.gathered))
        if session.completed:
            self.counters.requests_handled += session.completed
            session.completed = 0
        if data:
            if self.out_size or self.poller.gathering:
                self.dispatch(data)
                if self.phase != SERVING:
                    return
            else:
                self.poller.gathering = self.poller.followers_wait
                try:
                    sent = self.send_octets(data)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError:
                    self.lose()
                    return
                if sent != len(data):
                    self.hold_back(data, sent)
            if self.out_size > HIGH_WATER:
                # A peer that does not read what it asked for is not read from either.
                self.watch(self.events & ~READ)
        if session.phase == wire.CLOSED:
            self._end()
        elif session.more and not self.out_size:
            self.schedule()

    def hold_back(self, data: bytes, sent: int) -> None:
        """See ``Connection.hold_back``; the session's own clocks run on."""
        self._moved_at = self.poller.now
        super().hold_back(data, sent)
        self._arm_check()

    def on_writable(self) -> None:
        """Send more of what was kept."""
        before = self.out_size
        super().on_writable()
        if self.phase == SERVING and self.out_size != before:
            self._moved_at = self.poller.now
            self._arm_check()

    def on_drained(self) -> None:
        """Read again, and cut more frames for the room there is."""
        if self.phase == SERVING:
            self.watch(self.events | READ)
            self.session.now = self.poller.now
            self.flush()

    def on_hangup(self) -> None:
        """The peer is gone."""
        self.lose()

    # time

    def _arm_check(self) -> None:
        """Have the session look at its clocks before long."""
        now = self.poller.now
        due = self.session.tick(now)
        if self.out_size:
            due = min(due, self.runtime.plan.write_timeout)
        for channel in self.websockets:
            due = min(due, channel.due - now)
        self.arm(due)

    def expect(self, seconds: float) -> float:
        """Return when these seconds have passed; the WebSockets are looked at then."""
        due = self.poller.now + seconds
        if due < self.deadline:
            self.arm(seconds)
        return due

    def on_deadline(self) -> None:
        """See to what may take too long."""
        if self.phase != SERVING:
            self.lose()
        elif self.out_size and self.poller.now - self._moved_at >= self.runtime.plan.write_timeout:
            self.reset()
        else:
            now = self.poller.now
            for channel in [channel for channel in self.websockets if channel.due <= now]:
                channel.on_late()
            if self.phase == SERVING:
                self._arm_check()
                self.flush()

    # the end

    def _end(self) -> None:
        """Close after what is unsent."""
        if self.session.code != 0 and not self.closing:
            self.counters.connections_err += 1
        if self.out_size or self.gathered:
            self.closing = True
        else:
            self.linger()

    def linger(self) -> None:
        """See ``Connection.linger``: the peer should read the GOAWAY before it sees the end."""
        self.phase = LINGER
        # A peer that was asked to leave has little on its way; one at fault may be flooding.
        if not self.half_close(self.runtime.linger_time if self.session.code else _PARTING_TIME):
            self.lose()

    def on_lost(self) -> None:
        """Break every stream, and let go of the session: it refers back to us.

        What is still to come for this object finds CLOSED before it looks for the session.
        """
        self.phase = CLOSED
        self.session.lost()
        del self.session

    @property
    def idle(self) -> bool:
        """Tell whether closing now would lose nothing of the peer's."""
        unsent = self.out_size or self.gathered
        return self.phase == SERVING and not (self.session.streams or unsent)

    def drain(self, grace: float = 0.0) -> None:
        """Announce the end; streams that are open finish."""
        if self.phase == LINGER:
            self.lose()
        elif self.phase == SERVING:
            session = self.session
            for channel in list(self.websockets):
                channel.drain()
            session.drain(self.poller.now)
            self.flush()
            if self.phase == SERVING:
                self._arm_check()

    def disconnect_streams(self) -> None:
        """Tell the applications of open streams that their client is gone, though it is not."""
        if self.phase == CLOSED:
            return
        for stream in list(self.session.streams.values()):
            if stream.handler is not None:
                stream.handler.on_disconnect()
