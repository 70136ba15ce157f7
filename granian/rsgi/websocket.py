"""One RSGI WebSocket: the protocol an application answers the handshake with, and its transport.

Runs on the thread of the application's loop. Every awaitable has started when it is returned
(RSGI, "awaitables are eager"). The protocol object faces down as the exchange's SocketHandler.

Phases::

    CONNECTING -accept-> OPEN -close, return-> CLOSED -> receive: ProtocolClosed
    CONNECTING -close, return-> CLOSED
    OPEN -the peer's close-> LEFT      receive: the close message once, then ProtocolClosed
    CONNECTING, OPEN -lost, breach, shutdown-> LEFT      receive: ProtocolClosed

Spec: RSGI 1.6. Departure for safety: sends wait for a slow peer, and a peer is not read from while
the application has ``QUEUE`` messages in hand.
"""

import asyncio
from collections import deque
from enum import Enum
from time import monotonic, time
from typing import Any, Callable, Deque, List, Optional, Type, Union

from .._typing import Message
from .._waiter import Waiter, new_waiter
from ..log import logger
from .errors import ProtocolClosed, ProtocolError
from .http import Target, _fail, _octets
from .scope import WebsocketScope

CONNECTING, OPEN, LEFT, CLOSED = range(4)

QUEUE = 32
"""Messages held for an application that does not ask for them."""

RESUME = 16
"""Messages held at which the peer is read from again."""

INTERNAL_ERROR = 1011


class WebsocketMessageType(int, Enum):
    """What ``WebsocketMessage.kind`` may be, as numbers."""

    close = 0
    bytes = 1
    string = 2


class WebsocketMessage:
    """What a transport received.

    Attributes:
        kind: 0 for the peer's close, 1 for octets, 2 for text.
        data: The payload; a close has none.
    """

    __slots__ = ("data", "kind")

    kind: int
    data: Message

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {WebsocketMessageType(self.kind).name}>"


class WebsocketProtocol:
    """What an application accepts or refuses a WebSocket with."""

    __slots__ = (
        "_channel",
        "_loop",
        "_messages",
        "_paused",
        "_phase",
        "_receiver",
        "_senders",
        "_sent",
    )

    def __init__(self, channel: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._phase = CONNECTING
        self._messages: Deque[WebsocketMessage] = deque()
        self._receiver: Optional[Waiter] = None
        self._senders: Optional[List[Waiter]] = None
        self._paused = False
        # One finished awaitable for all sends that need not wait.
        self._sent: asyncio.Future[None] = asyncio.Future(loop=loop)
        self._sent.set_result(None)

    # what the application calls

    def accept(self) -> "asyncio.Future[WebsocketTransport]":
        """Complete the handshake and give the transport.

        Raises:
            ProtocolError: From the awaitable: answered before, or the peer has gone.
        """
        future: asyncio.Future[WebsocketTransport] = asyncio.Future(loop=self._loop)
        if self._phase != CONNECTING:
            _fail_with(future, ProtocolError())
            return future
        self._channel.accept(None, ())
        self._phase = OPEN
        self.on_answered(101)
        future.set_result(WebsocketTransport(self))
        return future

    def close(self, status: Optional[int] = None) -> None:
        """Refuse the handshake with an HTTP status, or close what was accepted; once.

        Args:
            status: Of the refusal, 403 if None; after ``accept`` it is not used.
        """
        if self._phase == CONNECTING:
            if status is not None and not 200 <= status <= 999:
                raise ValueError(f"{status} is not the status of a response")
            self._refuse(403 if status is None else status)
        elif self._phase == OPEN:
            self._channel.close_with(None)
            self._end(CLOSED)

    def _refuse(self, status: int) -> None:
        self._phase = CLOSED
        self._channel.respond(status, (), b"")
        self.on_answered(status)

    # what its transport calls

    def receive(self) -> "asyncio.Future[WebsocketMessage]":
        """See ``WebsocketTransport.receive``."""
        messages = self._messages
        if messages:
            future: asyncio.Future[WebsocketMessage] = asyncio.Future(loop=self._loop)
            future.set_result(messages.popleft())
            if self._paused and len(messages) <= RESUME:
                self._paused = False
                self._channel.resume()
            return future
        waiter = new_waiter(self._loop)
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            _fail_with(waiter, ProtocolError())
        elif self._phase != OPEN:
            _fail(waiter)
        else:
            self._receiver = waiter
        return waiter

    def send(self, message: Message) -> "asyncio.Future[None]":
        """See ``WebsocketTransport.send_bytes``."""
        if self._phase == OPEN and not self._channel.send(message):
            return self._sent
        waiter = new_waiter(self._loop)
        if self._phase == CLOSED:
            _fail_with(waiter, ProtocolError())
        elif self._phase == LEFT:
            _fail(waiter)
        elif self._senders is None:
            self._senders = [waiter]
        else:
            self._senders.append(waiter)
        return waiter

    # what the channel calls

    def on_message(self, message: Message) -> None:  # hot
        """See ``waist.SocketHandler``."""
        item = WebsocketMessage()
        item.kind = 2 if message.__class__ is str else 1
        item.data = message
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            self._receiver = None
            receiver.fire(item)
            return
        messages = self._messages
        messages.append(item)
        if len(messages) >= QUEUE and not self._paused:
            self._paused = True
            self._channel.pause()

    def on_writable(self) -> None:
        """See ``waist.SocketHandler``."""
        senders, self._senders = self._senders, None
        for waiter in senders or ():
            if not waiter.done():
                waiter.fire(None)

    def on_close(self, code: int, reason: str, left: bool) -> None:
        """See ``waist.SocketHandler``."""
        if self._phase != OPEN:
            return
        receiver, item = None, WebsocketMessage()
        if left:
            item.kind = 0
            receiver, self._receiver = self._receiver, None
            if receiver is None or receiver.done():
                receiver = None
                self._messages.append(item)
        self._end(LEFT)
        if receiver is not None:
            receiver.fire(item)

    def on_disconnect(self) -> None:
        """See ``waist.SocketHandler``."""
        if self._phase < LEFT:
            self._end(LEFT)

    def _end(self, phase: int) -> None:
        """Fail whoever waits; what was received before the peer's end may still be taken."""
        if self._phase >= LEFT:
            return
        self._phase = phase
        if phase == CLOSED:
            self._messages.clear()
        receiver, self._receiver = self._receiver, None
        if receiver is not None and not receiver.done():
            _fail(receiver)
        senders, self._senders = self._senders, None
        for waiter in senders or ():
            if not waiter.done():
                _fail(waiter)

    # how it begins and ends

    def on_answered(self, status: int) -> None:
        """The handshake was answered; a logged protocol writes its line."""

    async def serve(self, target: Target, scope: WebsocketScope) -> None:
        """Call the application and see to it that the WebSocket has an end."""
        failed = False
        try:
            await target(scope, self)
        except BaseException as error:
            failed = True
            if isinstance(error, GeneratorExit):
                raise
            # Nothing of the application's went wrong if it just does not survive the end.
            if self._phase < LEFT or not isinstance(
                error, (asyncio.CancelledError, ProtocolClosed)
            ):
                logger.error("Application callable raised an exception", exc_info=error)
        if self._phase == CONNECTING:
            self._refuse(500 if failed else 403)
        elif self._phase == OPEN:
            self._channel.close_with(INTERNAL_ERROR if failed else None)
            self._end(CLOSED)


class WebsocketTransport:
    """Messages of an accepted WebSocket."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: WebsocketProtocol) -> None:
        self._protocol = protocol

    def receive(self) -> "asyncio.Future[WebsocketMessage]":
        """Take the next message; the peer's close is one, and the last.

        Raises:
            ProtocolError: From the awaitable: another call still waits.
            ProtocolClosed: From the awaitable: the WebSocket is over.
        """
        return self._protocol.receive()

    def send_bytes(self, data: Union[bytes, bytearray]) -> "asyncio.Future[None]":
        """Send octets; the awaitable waits for a slow peer.

        Raises:
            ProtocolError: From the awaitable: the application has closed it.
            ProtocolClosed: From the awaitable: the peer has gone.
        """
        return self._protocol.send(data if type(data) is bytes else _octets(data))

    def send_str(self, data: str) -> "asyncio.Future[None]":
        """Send text; fails as ``send_bytes`` does."""
        if not isinstance(data, str):
            raise TypeError(f"text is str, not {type(data).__name__}")
        return self._protocol.send(data)


def logged_websocket(line: Callable[..., None]) -> Type[WebsocketProtocol]:
    """Return the protocol class that also writes an access line for the handshake's answer.

    Args:
        line: From ``granian.log.log_request_builder``.
    """

    class LoggedWebsocketProtocol(WebsocketProtocol):
        __slots__ = ("_scope", "_started", "_ticks")

        async def serve(self, target: Target, scope: WebsocketScope) -> None:
            self._scope, self._started, self._ticks = scope, time(), monotonic()
            await super().serve(target, scope)

        def on_answered(self, status: int) -> None:
            atoms = {**self._scope.log_atoms(), "responder": self._channel}
            line(self._started, self._ticks, atoms, status)

    return LoggedWebsocketProtocol


def _fail_with(future: "asyncio.Future[Any]", error: Exception) -> None:
    future.set_exception(error)
    # Looked at once, so that an application which never awaits it leaves no complaint behind.
    future.exception()
