"""One WebSocket on a stream of HTTP/2: a Channel above, the stream's Handler below.

The stream is a tunnel of octets once its CONNECT is answered with 200; frames, messages and
limits are those of ``wire.websocket.session``, as on HTTP/1. Flow is the stream's: its window is
given back as the application takes messages. Time is the connection's, and everything runs on the
thread that owns it. RFC 8441; RFC 6455 section 7 for the end, an END_STREAM standing for the end
of the TCP connection.

Phases::

    OFFERED -accept-> OPEN;  OFFERED -refusal, reset-> CLOSED
    OPEN -close, drain-> CLOSING;  OPEN, CLOSING -peer's close, breach, end, reset-> CLOSED
"""

from typing import TYPE_CHECKING, Any, Optional

from .._typing import Message
from ..errors import AppError, PeerError
from ..wire.head import RequestHead
from ..wire.http2.stream import STREAMING
from ..wire.waist import Fields
from ..wire.websocket.handshake import Offer, answer, read_offer, wanted
from ..wire.websocket.session import CLOSED as SESSION_CLOSED
from ..wire.websocket.session import Session, is_sendable
from .deadlines import NEVER
from .runtime import DRAINING
from .websocket import CLOSE_TIME, LOST, RESTART, TURN

if TYPE_CHECKING:
    from .http2 import Http2Connection, Http2Stream

OFFERED, OPEN, CLOSING, CLOSED = range(4)

_VERSION = (b"sec-websocket-version", b"13")


def upgrade(stream: "Http2Stream", head: RequestHead, connection: "Http2Connection") -> None:
    """Start a WebSocket on a stream whose request is an extended CONNECT."""
    runtime = connection.runtime
    if not wanted(head) or runtime.plan.interface == "wsgi":
        stream.respond(501, (), b"")
        return
    try:
        offer = read_offer(head, runtime.plan.websocket.compression)
    except PeerError as error:
        runtime.log_refusal(connection, error)
        stream.respond(error.status, (_VERSION,) if error.status == 426 else (), b"")
        return
    channel = stream.handler = WebsocketStream(stream, offer, connection)
    runtime.application.begin_websocket(channel, head, offer.subprotocols)


class WebsocketStream:
    """A WebSocket, as a Channel to the interface above and a Handler to the stream below.

    Attributes:
        due: When ``on_late`` is to be called, in the poller's clock.
    """

    __slots__ = (
        "_awaited",
        "_connection",
        "_continuing",
        "_offer",
        "_over",
        "_paused",
        "_pinged",
        "_stream",
        "_taken",
        "client",
        "context",
        "due",
        "handler",
        "phase",
        "scheme",
        "server",
        "session",
        "tls",
    )

    def __init__(self, stream: "Http2Stream", offer: Offer, connection: "Http2Connection") -> None:
        self.client = connection.client
        self.server = connection.server
        self.scheme = connection.scheme
        self.tls = connection.tls
        self.context = connection.context
        self.handler: Any = None
        self.phase = OFFERED
        self.session = Session(connection.runtime.plan.websocket, offer.deflate)
        self._connection = connection
        self._stream = stream
        self._offer = offer
        self._paused = False
        self._continuing = False
        self._over = False
        self._pinged = False
        self._awaited = False
        self._taken = 0
        self.due = NEVER

    # answering the handshake

    def accept(self, subprotocol: Optional[str], headers: Fields) -> None:
        """See ``waist.Channel.accept``."""
        if self.phase != OFFERED:
            return
        connection = self._connection
        self._stream.start(200, answer(self._offer, subprotocol, headers))
        self.phase = OPEN
        connection.websockets.add(self)
        connection.counters.websockets_handled += 1
        self._give_back()
        self._arm_ping()
        self._continue_later()
        if connection.runtime.state == DRAINING:
            self.drain()

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """See ``waist.Channel``: refuse the handshake."""
        if self.phase == OFFERED:
            self._stream.respond(status, headers, body)
            self.phase = CLOSED

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Channel``: begin a refusal."""
        return self.phase == OFFERED and self._stream.start(status, headers, data)

    def write(self, data: bytes) -> bool:
        """See ``waist.Channel``: send more of a refusal."""
        return self.phase == OFFERED and self._stream.write(data)

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Channel``: end a refusal."""
        if self.phase == OFFERED:
            self._stream.finish(trailers, data)
            self.phase = CLOSED

    def inform(self, status: int, headers: Fields) -> None:
        """See ``waist.Responder.inform``."""
        if self.phase == OFFERED:
            self._stream.inform(status, headers)

    def abort(self) -> None:
        """See ``waist.Responder.abort``."""
        self._stream.abort()

    @property
    def sock(self) -> Any:
        """See ``Http2Stream.sock``."""
        return self._connection.sock

    @property
    def closed(self) -> bool:
        """Tell that nothing sent can reach the peer any more."""
        return self._stream.closed

    # what the stream calls

    def on_body(self, data: bytes, last: bool) -> None:  # hot
        """Take octets of the tunnel; its end without a close is a loss."""
        self._taken += len(data)
        self._awaited = False
        self._over = last
        if self.phase == CLOSED:
            return
        self.session.feed(data)
        if self.phase != OFFERED and not self._paused and not self._continuing:
            self._deliver()

    def on_writable(self) -> None:
        """See ``waist.Handler``."""
        if self.handler is not None:
            self.handler.on_writable()

    def on_disconnect(self) -> None:
        """The stream was reset, or its connection is lost."""
        if self.phase == OFFERED:
            self.phase = CLOSED
            handler, self.handler = self.handler, None
            if handler is not None:
                handler.on_disconnect()
        elif self.phase != CLOSED:
            self._end(LOST, "", False)

    # receiving

    def _deliver(self) -> None:  # hot
        session = self.session
        turn = TURN
        message = session.next_message()
        while True:
            if session.replies:
                self._stream.write(b"".join(session.replies))
                session.replies.clear()
            if message is None or self.handler is None:
                break
            self.handler.on_message(message)
            turn -= 1
            if self._paused or self.phase == CLOSED or not turn:
                break
            message = session.next_message()
        if session.phase == SESSION_CLOSED:
            if session.failed:
                self._connection.counters.websockets_err += 1
            self._end(session.close_code, session.close_reason, not session.failed)
        elif not turn or session.unfinished:
            session.unfinished = False
            self._continue_later()
        elif not self._paused and self.phase != CLOSED:
            if self._over:
                # The peer's half has ended without a close, and all it brought is delivered.
                self._end(LOST, "", False)
            else:
                self._give_back()

    def _give_back(self) -> None:
        """Let the peer send as much as was taken; it may be silent as long as it likes."""
        stream = self._stream
        if stream.phase <= STREAMING:
            taken, self._taken = self._taken, 0
            stream.want_body(taken)
            stream.wants_body = False

    def _continue_later(self) -> None:
        """Go on in a turn of its own: not on the application's stack, and after others."""
        if not self._continuing:
            self._continuing = True
            self._connection.runtime.post_to(self._connection, self._continue)

    def _continue(self) -> None:
        self._continuing = False
        if not self._paused and self.phase in (OPEN, CLOSING):
            self._deliver()

    def pause(self) -> None:
        """See ``waist.Channel.pause``."""
        self._paused = True

    def resume(self) -> None:
        """See ``waist.Channel.resume``."""
        if self._paused:
            self._paused = False
            self._continue_later()

    # sending

    def send(self, message: Message) -> bool:  # hot
        """See ``waist.Channel.send``."""
        if self.phase != OPEN:
            return False
        return self._stream.write(self.session.encode(message))

    def close_with(self, code: Optional[int], reason: str = "") -> None:
        """See ``waist.Channel.close_with``."""
        if self.phase != OPEN:
            return
        if code is not None and not is_sendable(code):
            raise AppError(f"{code} cannot be sent as the code of a close")
        self.phase = CLOSING
        self._stream.write(self.session.encode_close(code, reason))
        self.resume()
        self._expect(CLOSE_TIME)

    # time

    def _expect(self, seconds: float) -> None:
        self.due = self._connection.expect(seconds)

    def _arm_ping(self) -> None:
        interval = self._connection.runtime.plan.websocket.ping_interval
        if interval is not None and self.phase == OPEN:
            self._expect(interval)

    def on_late(self) -> None:
        """A ping is due, or its answer or that of a close did not come in time."""
        self.due = NEVER
        if self._stream.queued:
            # It still reads, or the session's write deadline ends it.
            self._expect(CLOSE_TIME)
        elif self.phase != OPEN:
            self._end(LOST, "", False)
        elif self._pinged:
            self._pinged = False
            if self._awaited and not self._paused:
                self._end(LOST, "", False)
            else:
                self._arm_ping()
        else:
            self._pinged = self._awaited = True
            self._stream.write(self.session.encode_ping())
            self._expect(self._connection.runtime.plan.websocket.ping_timeout)

    # the end

    def _end(self, code: int, reason: str, left: bool) -> None:
        """Tell the application, once, and end our half of the tunnel, or break it off."""
        self.phase = CLOSED
        self._connection.websockets.discard(self)
        if self.session.phase == SESSION_CLOSED:
            self._stream.finish()
        else:
            self._stream.cancel()
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_close(code, reason, left)

    def drain(self) -> None:
        """Tell peer and application that the server restarts; the peer has a moment to answer."""
        if self.phase == OPEN:
            self.close_with(RESTART)
            handler, self.handler = self.handler, None
            if handler is not None:
                handler.on_close(RESTART, "", False)
