"""Exchanges whose application lives on another thread: the ``runtime`` mode of async interfaces.

A worker in this mode has one application loop, on its first runtime, which also serves
connections of its own. The further runtimes do I/O and protocol only. Each of their exchanges is
a ``PostedExchange``: to the connection it is the Handler, to the application the Responder, and
it posts what one asks of the other. Neither side can tell. What an application must not send is
refused on its own thread; a wrong length is found on the other, and logged.
"""

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Tuple

from .._typing import Message
from ..errors import AppError
from ..wire.head import RequestHead
from ..wire.waist import Fields
from ..wire.websocket.session import is_sendable
from .connection import HIGH_WATER
from .runtime import Runtime

if TYPE_CHECKING:
    from .runtime import Engine

_log = logging.getLogger("_granian")


class PostedExchange:
    """Handler of a connection on one thread, Responder of an application on another.

    Attributes:
        handler: The application's side, set by its ``begin``.
        closed: Nothing sent can arrive any more, as far as this side has heard.
    """

    __slots__ = (
        "_below",
        "_blocked",
        "_host",
        "_io",
        "_posted",
        "_taken",
        "_waiting",
        "client",
        "closed",
        "context",
        "handler",
        "loop",
        "scheme",
        "server",
        "tls",
    )

    def __init__(self, below: Any, io: Runtime, host: Runtime) -> None:
        self._below = below
        self._io = io
        self._host = host
        self._posted = 0  # octets sent by the application, and those that the connection took:
        self._taken = 0  # each counted by one thread
        self._blocked = False
        self._waiting = False
        self.client = below.client
        self.closed = False
        self.context = below.context
        self.handler: Any = None
        self.loop = host.loop
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
        length = self._host.writer.read_fields(status, fields).length
        if length is not None and length != count:
            raise AppError("content-length is not the number of octets of the file")
        self._io.post(partial(self._send_file, status, fields, descriptor, offset, count))

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
        self._host.writer.read_fields(status, fields)
        return fields

    def _down(self, verb: Callable[..., Any], *args: Any) -> None:
        self._io.post(partial(self._do, verb, args))

    def _send(self, verb: Callable[..., bool], size: int, *args: Any) -> bool:
        self._posted += size
        self._io.post(partial(self._do_send, verb, size, args))
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

    # the connection's thread

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
            self._host.post(self._tell_writable)

    def on_body(self, data: bytes, last: bool) -> None:
        """See ``waist.Handler.on_body``."""
        self._host.post(partial(self._tell_body, data, last))

    def on_writable(self) -> None:
        """See ``waist.Handler.on_writable``."""
        self._blocked = False
        self._tell_room()

    def on_disconnect(self) -> None:
        """See ``waist.Handler.on_disconnect``."""
        self._host.post(partial(self._tell_disconnect, self._below.closed))


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

    # the connection's thread

    def on_message(self, message: Message) -> None:
        """See ``waist.SocketHandler.on_message``."""
        self._host.post(partial(self._tell_message, message))

    def on_close(self, code: int, reason: str, left: bool) -> None:
        """See ``waist.SocketHandler.on_close``."""
        self._host.post(partial(self._tell_close, code, reason, left))


class PostedApplication:
    """The ``waist.Application`` of a runtime without a loop: another runtime's, by post."""

    def __init__(self, io: Runtime, host: Runtime) -> None:
        self._io = io
        self._host = host
        self._application = host.application
        self.connect = host.application.connect

    def disconnect(self, context: Any) -> None:
        """See ``waist.Application.disconnect``."""
        self._host.post(partial(self._application.disconnect, context))

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        """See ``waist.Application.begin``."""
        exchange = responder.handler = PostedExchange(responder, self._io, self._host)
        self._host.post(partial(self._application.begin, exchange, head, body, complete))

    def begin_websocket(self, channel: Any, head: RequestHead, subprotocols: Sequence[str]) -> None:
        """See ``waist.Application.begin_websocket``."""
        posted = channel.handler = PostedChannel(channel, self._io, self._host)
        self._host.post(partial(self._application.begin_websocket, posted, head, subprotocols))


class IoRuntime(Runtime):
    """A runtime that serves connections for the application of the first one."""

    def __init__(self, engine: "Engine", index: int, host: Runtime) -> None:
        super().__init__(engine, index)
        self._host = host

    def _run_loop(self) -> None:
        host = self._host
        host.started.wait()
        if host.failure is None and not host.stopped:
            self.application = PostedApplication(self, host)
            self._begin_serving()
            self._serve_blocking()

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._host.post(self._host.end_when_empty)


def create_runtimes(engine: "Engine", count: int) -> List[Runtime]:
    """Make one runtime with the application's loop and others that post to it."""
    host = Runtime(engine, 0)
    guests = [IoRuntime(engine, index, host) for index in range(1, count)]
    host.guests = guests
    return [host, *guests]
