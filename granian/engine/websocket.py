"""One WebSocket on its socket: the Channel that takes an HTTP/1 connection's place after a 101.

Before ``accept`` the HTTP/1 connection still serves the socket, and a refusal is its ordinary
answer; from ``accept`` on this object does. Octets go through ``wire.websocket.session``; here are
time, flow and the socket. Everything runs on the thread that owns it. RFC 6455.

The application is called from the poller's stack alone: what a verb of its own brings about (a
message that was waiting, the loss of the transport) is posted. Not for HTTP/2.

Phases::

    OFFERED   the handshake waits for the application's answer; HTTP/1 has the socket
    OPEN      messages both ways
    CLOSING   our close is sent, the peer's awaited
    ENDING    nothing more is to be sent but what the kernel has not taken yet
    LINGER    half-closed: what the peer still sends is dropped
    CLOSED    the descriptor is gone

    OFFERED -accept-> OPEN;  OFFERED -refusal, loss-> CLOSED
    OPEN -close, drain-> CLOSING;  OPEN, CLOSING -peer's close, breach-> ENDING
    ENDING -all sent-> LINGER;  LINGER -peer's end, deadline-> CLOSED
    any -loss, deadline-> CLOSED
"""

import socket
from typing import TYPE_CHECKING, List, Optional

from .._typing import Message
from ..errors import AppError
from ..wire.head import RequestHead
from ..wire.http1.writer import encode_switch
from ..wire.waist import Fields
from ..wire.websocket.handshake import VERSION_FIELD, Offer, answer, read_offer, wanted
from ..wire.websocket.session import CLOSED as SESSION_CLOSED
from ..wire.websocket.session import Session, is_sendable
from .connection import HIGH_WATER, Connection
from .deadlines import NEVER
from .poller import READ, Newcomer
from .runtime import DRAINING

if TYPE_CHECKING:
    from .http1 import Http1Connection

__all__ = ["VERSION_FIELD", "WebsocketConnection", "upgrade"]

OFFERED, OPEN, CLOSING, ENDING, LINGER, CLOSED = range(6)

PHASE_NAMES = ("offered", "open", "closing", "ending", "lingering", "closed")

CLOSE_TIME = 5.0
"""Seconds a peer has to answer our close; then the socket is closed without (section 7.1.1)."""

RESTART = 1012
"""Close code of a server that stops or reloads: the client may come back at once."""

LOST = 1006
"""What the application is told of a connection that ended without a close (section 7.1.5)."""

TURN = 256
"""Messages delivered before other connections have their turn."""

PARTING = 16
"""Receives granted to a peer that has gone while its messages were not being taken."""

KEEP_ALIVE_IDLE = 3600
"""Seconds after which TCP asks whether a silent peer is still there."""


def upgrade(http: "Http1Connection", head: RequestHead) -> bool:
    """Start a WebSocket if the head asks for one; False when it does not.

    Raises:
        PeerError: It does, but not as RFC 6455 section 4.2.1 says.
    """
    if not wanted(head):
        return False
    offer = read_offer(head, http.runtime.plan.websocket.compression)
    channel = WebsocketConnection(http, offer)
    http.runtime.application.begin_websocket(channel, head, offer.subprotocols)
    if channel.phase == OFFERED:
        if http.closed:
            channel.handler.on_disconnect()
        else:
            http.handler = channel.handler
    return True


class WebsocketConnection(Connection):
    """A WebSocket, as a Channel to the interface above (``wire.waist``)."""

    __slots__ = ("_awaited", "_continuing", "_http", "_hung_up", "_offer", "_paused", "session")

    def __init__(self, http: "Http1Connection", offer: Offer) -> None:
        super().__init__(Newcomer(http.sock, http.client, http.server), http.runtime)
        self.context = http.context
        self.phase = OFFERED
        self.session = Session(http.runtime.plan.websocket, offer.deflate)
        self._http: Optional[Http1Connection] = http
        self._offer = offer
        self._paused = False
        self._continuing = False
        self._hung_up = False
        self._awaited = False

    # answering the handshake

    def accept(self, subprotocol: Optional[str], headers: Fields) -> None:
        """See ``waist.Channel.accept``."""
        http = self._http
        if http is None:
            return
        http.send_gathered()  # the answer before; it may find the peer lost
        if not http.answerable:
            return
        runtime = self.runtime
        fields = answer(self._offer, subprotocol, headers)
        octets = encode_switch(fields, runtime.writer.date)
        data = http.hand_over(self)
        self._http = None
        self.phase = OPEN
        runtime.counters.requests_handled += 1
        runtime.counters.websockets_handled += 1
        self._keep_alive()
        self.watch(self.events | READ)
        self.transmit(octets)
        self._arm_ping()
        if data:
            self.session.feed(data)
            self._continue_later()
        if runtime.state == DRAINING:
            self.drain()

    def _keep_alive(self) -> None:
        """Let TCP find out about a peer that vanished without a word."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if hasattr(socket, "TCP_KEEPIDLE"):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE)
        except OSError:
            pass  # a Unix socket, whose peer cannot vanish

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """See ``waist.Channel``: refuse the handshake."""
        if self._http is not None:
            self._http.respond(status, headers, body)
            self._refused()

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Channel``: begin a refusal."""
        return self._http is not None and self._http.start(status, headers, data)

    def write(self, data: bytes) -> bool:
        """See ``waist.Channel``: send more of a refusal."""
        return self._http is not None and self._http.write(data)

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Channel``: end a refusal."""
        if self._http is not None:
            self._http.finish(trailers, data)
            self._refused()

    def inform(self, status: int, headers: Fields) -> None:
        """See ``waist.Responder.inform``."""
        if self._http is not None:
            self._http.inform(status, headers)

    def abort(self) -> None:
        """Break off the refusal, or the connection."""
        if self._http is not None:
            self._http.abort()
            self._refused()
        elif not self.closed:
            self.reset()

    def _refused(self) -> None:
        self._http = None
        self.phase = CLOSED
        self.fd = -1  # HTTP/1 keeps it

    # receiving

    def on_readable(self) -> None:  # hot
        """Receive once and deliver what it completes."""
        if self._paused or self._continuing:
            # The application has enough in hand: leave the octets to the kernel.
            if self._paused:
                self.watch(self.events & ~READ)
            return
        try:
            data = self.recv(65_536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._vanish()
        elif self.phase < ENDING:
            if self._awaited:
                # Any octet shows that the peer lives.
                self._awaited = False
                self._arm_ping()
            self._deliver(data)

    def _deliver(self, data: bytes = b"") -> None:  # hot
        """Give messages to the application until there are none, or it has enough."""
        session = self.session
        next_message = session.next_message
        on_message = self.handler.on_message if self.handler is not None else None
        turn = TURN
        message = next_message(data)
        while True:
            if session.replies:
                self._reply()
            if message is None or on_message is None:
                break
            on_message(message)
            turn -= 1
            if not session.held or self._paused or self.fd < 0 or not turn:
                break
            message = next_message()
        if session.phase == SESSION_CLOSED:
            self._end()
        elif not turn or session.unfinished:
            session.unfinished = False
            self._continue_later()

    def _reply(self) -> None:
        """Send pongs and closes; a peer that reads none of them is not read from either."""
        replies = self.session.replies
        octets = b"".join(replies)
        replies.clear()
        self.transmit(octets)
        if self.out_size > HIGH_WATER and self.session.phase != SESSION_CLOSED:
            self.watch(self.events & ~READ)

    def _continue_later(self) -> None:
        """Go on in a turn of its own: not on the application's stack, and after others."""
        if not self._continuing:
            self._continuing = True
            self.runtime.post_to(self, self._continue)

    def _continue(self) -> None:
        self._continuing = False
        if self._paused or self.phase not in (OPEN, CLOSING):
            return
        self._deliver()
        if self._hung_up and not self._paused and not self._continuing:
            self._vanish()

    def pause(self) -> None:
        """See ``waist.Channel.pause``."""
        self._paused = True

    def resume(self) -> None:
        """See ``waist.Channel.resume``."""
        if self._paused:
            self._paused = False
            if not self.closed:
                self.watch(self.events | READ)
            self._continue_later()

    # sending

    def send(self, message: Message) -> bool:  # hot
        """See ``waist.Channel.send``."""
        if self.phase != OPEN:
            return False
        data = self.session.encode(message)
        if self.out_size or self.poller.gathering:
            self.dispatch(data)
            return self.out_size > HIGH_WATER
        self.poller.gathering = self.poller.followers_wait
        # The next lines are ``transmit``, in line.
        try:
            sent = self.send_octets(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.lose()
            return False
        if sent != len(data):
            self.hold_back(data, sent)
            return self.out_size > HIGH_WATER
        return False

    def close_with(self, code: Optional[int], reason: str = "") -> None:
        """Start the closing handshake; without a code, the reason is not sent either."""
        if self.phase != OPEN:
            return
        if code is not None and not is_sendable(code):
            raise AppError(f"{code} cannot be sent as the code of a close")
        self.phase = CLOSING
        self.transmit(self.session.encode_close(code, reason))
        if self._hung_up:
            self.runtime.post_to(self, self._vanish)
        elif not self.closed:
            self.resume()
            self.watch(self.events | READ)
            if not self.out_size:
                # With octets unsent the write deadline holds, so that a slow peer gets them all.
                self.arm(CLOSE_TIME)

    def on_drained(self) -> None:
        """Go on after the kernel took what was unsent."""
        if self.phase == OPEN:
            if not self.out_size:
                self.deadline = NEVER
                self._arm_ping()
            if not self._paused:
                self.watch(self.events | READ)
            if self.handler is not None:
                self.handler.on_writable()
        elif self.phase == CLOSING and not self.out_size:
            self.arm(CLOSE_TIME)

    # time

    def _arm_ping(self) -> None:
        interval = self.runtime.plan.websocket.ping_interval
        if interval is not None and not self.out_size and self.phase == OPEN:
            self.arm(interval)

    def on_deadline(self) -> None:
        """See the phases: each has one thing that may take too long."""
        if self.phase != OPEN:
            self.lose()
        elif self.out_size:
            self.reset()
        elif self._paused:
            # A pong may be waiting behind messages that the application has not taken yet.
            self._awaited = False
            self._arm_ping()
        elif self._awaited:
            self.lose()
        else:
            self._awaited = True
            self.transmit(self.session.encode_ping())
            if not self.out_size:
                self.arm(self.runtime.plan.websocket.ping_timeout)

    # the end

    def _end(self) -> None:
        """Both sides have closed, or the peer was failed: tell, send the rest, and half-close."""
        session = self.session
        self.phase = ENDING
        if session.failed:
            self.runtime.counters.websockets_err += 1
        self._lost(session.close_code, session.close_reason, not session.failed)
        if self.closed:
            return
        if self.out_size or self.gathered:
            self.closing = True
        else:
            self.linger()

    def linger(self) -> None:
        """See ``Connection.linger``."""
        self.phase = LINGER
        if not self.half_close(self.runtime.linger_time):
            self.lose()

    def on_hangup(self) -> None:
        """Keep what a peer sent before it left, for an application that is still busy."""
        pieces: List[bytes] = []
        try:
            while len(pieces) < PARTING:
                data = self.recv(65_536)
                if not data:
                    break
                pieces.append(data)
        except OSError:
            pass  # reset: what had come by then is all there is
        if self.phase == OPEN:
            self.session.feed(b"".join(pieces))
            self._continue_later()
        self.lose()

    def on_lost(self) -> None:
        """Tell the application, in a turn of its own: it may be the one that is sending.

        What was received and not taken yet comes before.
        """
        if self.phase == OPEN and (self._paused or self._continuing):
            self._hung_up = True
        elif self.phase != OFFERED:
            self.runtime.post_to(self, self._vanish)

    def _vanish(self) -> None:
        """Close and tell: the transport is lost, or all that it brought has been delivered."""
        self.close()
        self.phase = CLOSED
        self._lost(LOST, "", False)

    def _lost(self, code: int, reason: str, left: bool) -> None:
        """Tell the application that it is over, once."""
        handler, self.handler = self.handler, None
        if handler is not None:
            handler.on_close(code, reason, left)

    @property
    def idle(self) -> bool:
        """Tell whether closing now would lose nothing: an open WebSocket is never idle."""
        return False

    def disconnect_streams(self) -> None:
        """The same as draining: its client is told, and so is the application."""
        self.drain()

    def drain(self, grace: float = 0.0) -> None:
        """Tell peer and application that the server restarts; the peer has a moment to answer."""
        if self.phase == OPEN:
            self.close_with(RESTART)
            self._lost(RESTART, "", False)
