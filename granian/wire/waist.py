"""The interfaces that face each other: protocols below, applications above.

A protocol (``engine.http1``, ``engine.http2``) implements ``Responder`` and, after an upgrade,
``Channel``. An interface (ASGI, RSGI, WSGI, static files) implements ``Application``, which makes
one ``Handler`` or ``SocketHandler`` per exchange. Any of the first pairs with any of the second.

Everything here is called on the thread that owns the connection. A verb never raises because the
peer has gone: it does nothing, and ``on_disconnect`` tells. It raises ``AppError`` when what the
application gave must not reach the wire; nothing has been sent then.
"""

from typing import Any, Iterable, Optional, Protocol, Sequence, Tuple

from .._typing import Address, Message
from .head import RequestHead

Fields = Iterable[Tuple[bytes, bytes]]
"""Response fields as an interface passes them down: names in any case, not yet validated."""


class Peer(Protocol):
    """What is known of a connection while it lives."""

    scheme: str
    client: Optional[Address]
    server: Optional[Address]
    tls: Optional[Any]


class Responder(Peer, Protocol):
    """The down side of one exchange: how a response reaches the peer.

    ``context`` holds what ``Application.connect`` returned; ``handler`` is set by
    ``Application.begin`` before it runs anything of the application's. ``closed`` tells that
    nothing sent can reach the peer any more; an ended or half-closed request does not close.
    """

    closed: bool
    context: Any
    handler: Any

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """Send a whole response and end the exchange.

        The length is added where the status and the method allow one; a body that must not be
        sent (HEAD, 204, 304) is dropped. A length given by the application that is not the
        body's is an ``AppError`` for HEAD-less responses.
        """

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """Send ``count`` octets of an open regular file from ``offset``; ends the exchange.

        Takes ownership of the descriptor, unless it raises ``AppError``: then the caller still
        has it. A file that shrinks meanwhile breaks the connection visibly.
        """

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """Begin a streamed response, with its first piece if it is at hand: one write for both.

        Framed by content-length if the application gave one, else chunked or close-delimited.
        Returns as ``write`` does.
        """

    def write(self, data: bytes) -> bool:
        """Send a piece; return True when the caller should wait for ``on_writable``."""

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """End a streamed response, with its last piece if it is at hand: one write for both.

        A body shorter than announced breaks the connection and is an ``AppError``.
        """

    def inform(self, status: int, headers: Fields) -> None:
        """Send an interim response such as 103 (RFC 9110 section 15.2); not to HTTP/1.0 peers."""

    def want_body(self, consumed: int) -> None:
        """The application waits for body octets, having taken ``consumed`` since the last call.

        Sends 100 Continue once where it is expected and lets the peer send more.
        """

    def abort(self) -> None:
        """Break off so that the peer can see it: reset the stream or close without an end."""


class BlockingResponder(Responder, Protocol):
    """A responder whose handler runs on a thread that may wait (WSGI)."""

    def pull_body(self) -> bytes:
        """Wait for the next piece of the body and return it; empty at its end.

        Raises:
            ConnectionError: The peer left, or sent nothing for the body read timeout.
        """

    def wait_writable(self) -> None:
        """Wait until less than the low-water mark is unsent; raises ``ConnectionError``."""


class Handler(Protocol):
    """The up side of one exchange.

    Nothing is called after ``finish``, ``abort`` or a whole response, except ``on_disconnect``.
    """

    def on_body(self, data: bytes, last: bool) -> None:
        """Take the next body octets; ``last`` marks the end (``data`` may then be empty)."""

    def on_writable(self) -> None:
        """What ``write`` asked to wait for has happened."""

    def on_disconnect(self) -> None:
        """The peer is gone, or this stream was reset; called at most once."""


class Channel(Responder, Protocol):
    """The down side of a WebSocket: HTTP until ``accept``, messages after it.

    Before ``accept`` the verbs of ``Responder`` send a refusal (any status; RFC 6455
    section 4.2.2), after it they must not be used. On HTTP/2 ``accept`` is a 200 (RFC 8441).
    """

    def accept(self, subprotocol: Optional[str], headers: Fields) -> None:
        """Complete the handshake; messages may arrive from now on."""

    def send(self, message: Message) -> bool:
        """Send one text or binary message; True when the caller should wait for on_writable."""

    def close_with(self, code: Optional[int], reason: str = "") -> None:
        """Start the closing handshake (RFC 6455 section 7.1.2); None sends no code.

        An ``AppError`` if the code may not be sent (section 7.4).
        """

    def pause(self) -> None:
        """Stop reading from the peer: the application has enough messages in hand."""

    def resume(self) -> None:
        """Read again."""


class SocketHandler(Protocol):
    """The up side of a WebSocket; called from the poller's stack, never within a verb."""

    def on_message(self, message: Message) -> None:
        """Take one whole message."""

    def on_writable(self) -> None:
        """What ``send`` asked to wait for has happened."""

    def on_close(self, code: int, reason: str, left: bool) -> None:
        """The connection is over. Called once.

        Args:
            code: 1005 for a close without one, 1006 for a lost transport.
            reason: What the peer gave.
            left: The code is from the peer's close; else its own breach, a loss or a shutdown.
        """

    def on_disconnect(self) -> None:
        """The peer left before the handshake was answered. Called once, instead of on_close."""


class Application(Protocol):
    """An interface around the user's application; one per runtime thread."""

    def connect(self, peer: Peer) -> Any:
        """Make what is constant for a connection (its scope template); kept as ``context``."""

    def disconnect(self, context: Any) -> None:
        """The connection that ``context`` was made for is closed; called once.

        After the ``on_disconnect`` of its exchanges. RSGI watchers outlive their exchange until
        then.
        """

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        """Start one exchange: set ``responder.handler``, run the application.

        Args:
            responder: Where the answer goes.
            head: The request head; its list of fields now belongs to the application.
            body: Body octets already at hand, possibly all of them.
            complete: No more body follows; ``on_body`` will not be called.
        """

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """Start one WebSocket: set ``channel.handler``, run the application."""
