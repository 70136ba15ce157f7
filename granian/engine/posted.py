"""Exchanges begun by another thread than the application's: the ``runtime`` mode, see ``hosted``.

Each is a ``PostedExchange``: to the connection it is the Handler, to the application the
Responder. What the connection tells is posted to the application's thread. What the application
asks for is done by its own thread where nobody owns the connection just then, else by who does,
when it lets go. Neither side can tell. What an application must not send is refused when it is
asked for; a wrong length is found by the connection, and logged.
"""

import logging
import os
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence, Set, Tuple

from .._typing import Message
from ..errors import AppError
from ..wire.head import RequestHead
from ..wire.waist import Fields
from ..wire.websocket.session import is_sendable
from .connection import HIGH_WATER

if TYPE_CHECKING:
    from .runtime import Runtime

_log = logging.getLogger("_granian")


class PostedExchange:
    """Handler of a connection that any thread may own, Responder of an application on one.

    Args:
        below: The connection's side, with the connection's ``sock``.
        runtime: Whose connection it is, and whose thread is the application's.

    Attributes:
        handler: The application's side, set by its ``begin``.
        closed: Nothing sent can arrive any more, as far as this side has heard.
    """

    __slots__ = (
        "_below",
        "_blocked",
        "_posted",
        "_runtime",
        "_taken",
        "_waiting",
        "client",
        "closed",
        "context",
        "handler",
        "scheme",
        "server",
        "tls",
    )

    def __init__(self, below: Any, runtime: "Runtime") -> None:
        self._below = below
        self._runtime = runtime
        self._posted = 0  # octets sent by the application, and those that the connection took:
        self._taken = 0  # each counted by one side
        self._blocked = False
        self._waiting = False
        self.client = below.client
        self.closed = False
        self.context = below.context
        self.handler: Any = None
        self.scheme = below.scheme
        self.server = below.server
        self.tls = below.tls

    # the application's thread

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """See ``waist.Responder.respond``."""
        fields = self._checked(status, headers)
        self._down(self._below.respond, status, fields, body)

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """See ``waist.Responder.respond_file``."""
        fields = tuple(headers)
        length = self._runtime.writer.read_fields(status, fields).length
        if length is not None and length != count:
            raise AppError("content-length is not the number of octets of the file")
        self._visit(partial(self._send_file, status, fields, descriptor, offset, count))

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Responder.start``."""
        return self._send(
            self._below.start, len(data), status, self._checked(status, headers), data
        )

    def write(self, data: bytes) -> bool:
        """See ``waist.Responder.write``."""
        return self._send(self._below.write, len(data), data)

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Responder.finish``."""
        self._down(self._below.finish, tuple(trailers), data)

    def inform(self, status: int, headers: Fields) -> None:
        """See ``waist.Responder.inform``."""
        self._down(self._below.inform, status, tuple(headers))

    def want_body(self, consumed: int) -> None:
        """See ``waist.Responder.want_body``."""
        self._down(self._below.want_body, consumed)

    def abort(self) -> None:
        """See ``waist.Responder.abort``."""
        self._down(self._below.abort)

    def _checked(self, status: int, headers: Fields) -> Tuple[Tuple[bytes, bytes], ...]:
        fields = tuple(headers)
        self._runtime.writer.read_fields(status, fields)
        return fields

    def _down(self, verb: Callable[..., Any], *args: Any) -> None:
        self._visit(partial(self._do, verb, args))

    def _visit(self, call: Callable[[], None]) -> None:
        self._runtime.visit(self._below, lambda _: call())

    def _send(self, verb: Callable[..., bool], size: int, *args: Any) -> bool:
        self._posted += size
        self._visit(partial(self._do_send, verb, size, args))
        # In this order: whoever makes room after the next line sees that somebody waits for it.
        self._waiting = True
        if self._is_full():
            return True
        self._waiting = False
        return False

    def _is_full(self) -> bool:
        return self._blocked or self._posted - self._taken > HIGH_WATER

    def _tell_writable(self) -> None:
        self.handler.on_writable()

    def _tell_body(self, data: bytes, last: bool) -> None:
        self.handler.on_body(data, last)

    def _tell_disconnect(self, closed: bool) -> None:
        self.closed = closed
        self.handler.on_disconnect()

    # who owns the connection

    def _do(self, verb: Callable[..., Any], args: Tuple[Any, ...]) -> Any:
        """Do what was posted, unless its exchange is over: the responder may serve the next."""
        if self._below.handler is not self:
            return None
        try:
            return verb(*args)
        except AppError as error:
            _log.error("A response went wrong: %s", error)
            return None

    def _do_send(self, verb: Callable[..., bool], size: int, args: Tuple[Any, ...]) -> None:
        self._blocked = bool(self._do(verb, args))
        self._taken += size
        self._tell_room()

    def _send_file(
        self, status: int, fields: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        if self._below.handler is self:
            self._below.respond_file(status, fields, descriptor, offset, count)
        else:
            os.close(descriptor)

    def _tell_room(self) -> None:
        if self._waiting and not self._is_full():
            self._waiting = False
            self._runtime.post(self._tell_writable)

    def on_body(self, data: bytes, last: bool) -> None:
        """See ``waist.Handler.on_body``."""
        self._runtime.post(partial(self._tell_body, data, last))

    def on_writable(self) -> None:
        """See ``waist.Handler.on_writable``."""
        self._blocked = False
        self._tell_room()

    def on_disconnect(self) -> None:
        """See ``waist.Handler.on_disconnect``."""
        self._runtime.post(partial(self._tell_disconnect, self._below.closed))


class PostedChannel(PostedExchange):
    """The same for a WebSocket: ``waist.SocketHandler`` below, ``waist.Channel`` above."""

    __slots__ = ()

    # the application's thread

    def accept(self, subprotocol: Optional[str], headers: Fields) -> None:
        """See ``waist.Channel.accept``."""
        self._down(self._below.accept, subprotocol, self._checked(200, headers))

    def send(self, message: Message) -> bool:
        """See ``waist.Channel.send``."""
        return self._send(self._below.send, len(message), message)

    def close_with(self, code: Optional[int], reason: str = "") -> None:
        """See ``waist.Channel.close_with``."""
        if code is not None and not is_sendable(code):
            raise AppError(f"{code} cannot be sent as the code of a close")
        self._down(self._below.close_with, code, reason)

    def pause(self) -> None:
        """See ``waist.Channel.pause``."""
        self._down(self._below.pause)

    def resume(self) -> None:
        """See ``waist.Channel.resume``."""
        self._down(self._below.resume)

    def _tell_message(self, message: Message) -> None:
        self.handler.on_message(message)

    def _tell_close(self, code: int, reason: str, left: bool) -> None:
        self.closed = True
        self.handler.on_close(code, reason, left)

    # who owns the connection

    def on_message(self, message: Message) -> None:
        """See ``waist.SocketHandler.on_message``."""
        self._runtime.post(partial(self._tell_message, message))

    def on_close(self, code: int, reason: str, left: bool) -> None:
        """See ``waist.SocketHandler.on_close``."""
        self._runtime.post(partial(self._tell_close, code, reason, left))


class HostedApplication:
    """The ``waist.Application`` of a runtime whose loop is the thread that makes this.

    What that thread begins is the application's own exchange; what another does is posted.

    Args:
        application: Of that thread.
        runtime: Whose connections begin exchanges here.
        begun: Gets the sockets of those on which that thread has begun any.
    """

    def __init__(self, application: Any, runtime: "Runtime", begun: Set[Any]) -> None:
        self._application = application
        self._begin = application.begin
        self._begun = begun
        self._host = get_ident()
        self._runtime = runtime
        self.connect = application.connect

    def disconnect(self, context: Any) -> None:
        """See ``waist.Application.disconnect``."""
        if get_ident() == self._host:
            self._application.disconnect(context)
        else:
            self._runtime.post(partial(self._application.disconnect, context))

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:  # hot
        """See ``waist.Application.begin``."""
        if get_ident() == self._host:
            self._begun.add(responder.sock)
            self._begin(responder, head, body, complete)
            return
        exchange = responder.handler = PostedExchange(responder, self._runtime)
        self._runtime.post(partial(self._begin, exchange, head, body, complete))

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """See ``waist.Application.begin_websocket``."""
        begin = self._application.begin_websocket
        if get_ident() == self._host:
            self._begun.add(channel.sock)
            begin(channel, head, subprotocols)
            return
        posted = channel.handler = PostedChannel(channel, self._runtime)
        self._runtime.post(partial(begin, posted, head, subprotocols))
