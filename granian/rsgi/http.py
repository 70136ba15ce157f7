"""One RSGI exchange: the protocol object an application holds, and its response stream.

Runs on the thread of the application's loop; only ``HTTPStreamTransport.__del__`` may run
elsewhere, and it posts. Every awaitable has started when it is returned (RSGI, "awaitables are
eager"). The same object faces down as the exchange's Handler.

Response phases::

    WAITING --response_*--> DONE
    WAITING --response_stream--> STREAMING --transport collected--> DONE

Spec: RSGI 1.6. Departures for safety: a body cut short fails its reader in iteration too, an
exception in a stream breaks the response visibly, sends wait for a slow peer.
"""

import asyncio
import os
import stat
from time import monotonic, time
from typing import Any, Awaitable, Callable, Iterable, List, Optional, Tuple, Type, Union

from .._waiter import Waiter, new_waiter
from ..errors import AppError
from ..log import logger
from ..wire.text import KNOWN_FIELDS, OctetFields, encode_fields
from ..wire.waist import Responder
from .errors import ProtocolClosed, ProtocolError
from .scope import PeerFacts, Scope

WAITING, STREAMING, DONE = range(3)
UNTAKEN, WHOLE, ITERATING, ENDED = range(4)

Target = Callable[[Any, Any], Awaitable[Any]]
Fields = Iterable[Tuple[str, str]]


_PLAIN = ((b"content-type", b"text/plain; charset=utf-8"),)


class HTTPProtocol:
    """What the application reads a request body from and answers with."""

    __slots__ = (
        "_complete",
        "_consumed",
        "_gone",
        "_loop",
        "_peer",
        "_phase",
        "_pieces",
        "_reader",
        "_responder",
        "_taken",
        "_watchers",
        "_writers",
        "status",
    )

    # Filled by ``RsgiApplication.begin`` without a call of their own: tests/test_budget.py.
    _responder: Responder
    _loop: asyncio.AbstractEventLoop
    _peer: PeerFacts
    _phase: int
    _taken: int
    _gone: bool
    _complete: bool
    _pieces: List[bytes]
    _consumed: int
    _reader: Optional[Waiter]
    _writers: Optional[List[Waiter]]
    _watchers: "Optional[List[asyncio.Future[None]]]"
    status: int

    # The request body

    def __call__(self) -> "asyncio.Future[bytes]":
        """Take the whole body.

        Raises:
            ProtocolError: The body has been taken.
            ProtocolClosed: From the awaitable: the peer left before the end of the body.
        """
        if self._taken:
            raise ProtocolError
        self._taken = WHOLE
        future = new_waiter(self._loop)
        if self._complete:
            future.set_result(self._join())
        elif self._gone:
            _fail(future)
        else:
            self._reader = future
            self._responder.want_body(len(self._pieces[0]))
        return future

    def __aiter__(self) -> "HTTPProtocol":
        """Take the body piece by piece; the last piece is empty.

        Raises:
            ProtocolError: The body has been taken.
        """
        if self._taken:
            raise ProtocolError
        self._taken = ITERATING
        if not self._pieces[0]:
            self._pieces.clear()
        return self

    def __anext__(self) -> "asyncio.Future[bytes]":
        """Take the next piece.

        Raises:
            ProtocolError: Another call still waits.
            ProtocolClosed: From the awaitable: the peer left before the end of the body.
            StopAsyncIteration: The body is over, or iteration was never begun.
        """
        if self._taken != ITERATING:
            raise StopAsyncIteration
        if self._reader is not None and not self._reader.done():
            raise ProtocolError
        future = new_waiter(self._loop)
        if self._pieces:
            # Octets that came before they were asked for; the next are asked for ahead.
            piece = self._pieces.pop(0)
            future.set_result(piece)
            if not self._complete and not self._gone:
                self._ask(len(piece))
        elif self._complete:
            self._taken = ENDED
            future.set_result(b"")
        elif self._gone:
            _fail(future)
        else:
            self._reader = future
            self._ask(0)
        return future

    def _ask(self, taken: int) -> None:
        consumed, self._consumed = self._consumed + taken, 0
        self._responder.want_body(consumed)

    def client_disconnect(self) -> "asyncio.Future[None]":
        """Resolve when the connection ends (on HTTP/2: or the stream is reset)."""
        future: asyncio.Future[None] = asyncio.Future(loop=self._loop)
        if self._gone or self._peer.gone:
            future.set_result(None)
        elif self._watchers is None:
            self._watchers = [future]
            self._peer.watching.add(self)
        else:
            self._watchers.append(future)
        return future

    # The response

    def response_empty(self, status: int = 200, headers: Fields = ()) -> None:
        """Answer without a body."""
        self.response_bytes(status, headers, b"")

    def response_str(self, status: int = 200, headers: Fields = (), body: str = "") -> None:
        """Answer with text, sent as UTF-8."""
        # ``response_bytes`` spelt out rather than called: this is the hot path.
        if self._phase != WAITING:
            return
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a response")
        fields: Any = tuple(headers)
        try:
            fields = KNOWN_FIELDS[fields]
        except (KeyError, TypeError):
            fields = encode_fields(fields)
        try:
            self._responder.respond(status, fields, body.encode())
        except AppError as error:
            self._note_refusal(error, status)
            raise
        self._phase = DONE
        self.status = status

    def response_bytes(
        self, status: int = 200, headers: Fields = (), body: Union[bytes, bytearray] = b""
    ) -> None:
        """Answer with octets."""
        if self._phase != WAITING:
            return
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not the status of a response")
        fields: Any = tuple(headers)
        try:
            fields = KNOWN_FIELDS[fields]
        except (KeyError, TypeError):
            fields = encode_fields(fields)
        try:
            self._responder.respond(status, fields, body if type(body) is bytes else _octets(body))
        except AppError as error:
            self._note_refusal(error, status)
            raise
        self._phase = DONE
        self.status = status

    def response_file(self, status: int, headers: Fields, file: str) -> None:
        """Answer with the content of a file; 404 when it cannot be opened."""
        self._send_file(status, headers, file, 0, None)

    def response_file_range(
        self, status: int, headers: Fields, file: str, start: int, end: int
    ) -> None:
        """Answer with the octets ``[start, end)`` of a file, or what exists of them.

        Raises:
            ValueError: The range is empty or reversed; the application may still answer.
        """
        if not 0 <= start < end:
            raise ValueError("Invalid range")
        self._send_file(status, headers, file, start, end)

    def response_stream(self, status: int = 200, headers: Fields = ()) -> "HTTPStreamTransport":
        """Send the head and return what sends the body; the body ends when that is collected.

        Raises:
            ProtocolError: The exchange has a response already.
            AppError: The status or a field must not reach the wire.
        """
        if self._phase != WAITING:
            raise ProtocolError
        self._responder.start(status, _encoded(status, headers))
        self._phase = STREAMING
        self.status = status
        return HTTPStreamTransport(self)

    def _note_refusal(self, error: AppError, status: int) -> None:
        if error.sent:
            self._phase, self.status = DONE, status

    def _send_file(
        self, status: int, headers: Fields, file: str, start: int, end: Optional[int]
    ) -> None:
        if self._phase != WAITING:
            return
        fields = _encoded(status, headers)
        opened = open_regular(file)
        if opened is None:
            logger.info("Cannot open file %r", file)
            self._responder.respond(404, _PLAIN, b"Not found")
            self._phase, self.status = DONE, 404
            return
        descriptor, size = opened
        count = max((size if end is None else min(end, size)) - start, 0)
        try:
            self._responder.respond_file(status, fields, descriptor, start, count)
        except AppError:
            os.close(descriptor)
            raise
        self._phase, self.status = DONE, status

    # The stream transport's side

    def send_piece(self, data: bytes) -> "asyncio.Future[None]":
        """Send a piece of a streamed body; see ``HTTPStreamTransport``."""
        future = new_waiter(self._loop)
        if self._phase != STREAMING or (self._gone and self._responder.closed):
            _fail(future)
        elif not data or not self._responder.write(data):
            future.set_result(None)
        elif self._writers is None:
            self._writers = [future]
        else:
            self._writers.append(future)
        return future

    def end_stream(self) -> None:
        """The transport is gone: end the body. Runs once more, idly, when posted."""
        if self._phase == STREAMING:
            self._phase = DONE
            try:
                self._responder.finish()
            except AppError as error:
                logger.error("A stream ended wrongly", exc_info=error)

    def post_end(self) -> None:
        """End the body from whichever thread collected the transport."""
        loop = self._loop
        if self._phase != STREAMING:
            return
        try:
            # Posted on the loop's own thread too: a collection may strike inside a verb.
            if asyncio._get_running_loop() is loop:
                loop.call_soon(self.end_stream)
            else:
                loop.call_soon_threadsafe(self.end_stream)
        except RuntimeError:
            pass  # the loop has closed, and with it every connection

    # Handler: called by the protocol below

    def on_body(self, data: bytes, last: bool) -> None:
        """Take the next body octets."""
        self._complete = last
        reader = self._reader
        if self._taken == WHOLE:
            self._pieces.append(data)
            if not last:
                self._responder.want_body(len(data))
            elif reader is not None and not reader.done():
                reader.fire(self._join())
        elif reader is not None and not reader.done():
            self._reader = None
            self._consumed += len(data)
            if not data and last:
                self._taken = ENDED
            reader.fire(data)
        elif data:
            self._pieces.append(data)

    def on_writable(self) -> None:
        """Let waiting sends return."""
        writers, self._writers = self._writers, None
        for future in writers or ():
            if not future.done():
                future.fire(None)

    def on_disconnect(self) -> None:
        """Fail what waits for the peer, resolve what waits for its leaving.

        A peer that ended its own stream may still read: it gets its answer.
        """
        self._gone = True
        if not self._complete and self._reader is not None and not self._reader.done():
            _fail(self._reader)
        if self._responder.closed:
            writers, self._writers = self._writers, None
            for future in writers or ():
                if not future.done():
                    _fail(future)
        self.resolve_watchers()

    def resolve_watchers(self) -> None:
        """Resolve every awaitable of ``client_disconnect``."""
        watchers, self._watchers = self._watchers, None
        if watchers is not None:
            self._peer.watching.discard(self)
            for future in watchers:
                if not future.done():
                    future.set_result(None)

    # The application's call

    async def serve(self, target: Target, scope: Scope) -> None:
        """Call the application and see to it that the exchange has an end.

        Catches ``BaseException``: what an application raises, ``SystemExit`` included, costs
        its own exchange only.
        """
        try:
            await target(scope, self)
        except BaseException as error:
            self._failed(error)
        else:
            if self._phase != DONE:
                self._returned()
        if self._watchers is not None:
            self._forget_watchers()

    def _returned(self) -> None:
        # A stream whose transport lives on elsewhere stays open.
        if self._phase == WAITING:
            self._phase = DONE
            self._responder.respond(500, (), b"")

    def _failed(self, error: BaseException) -> None:
        phase, self._phase = self._phase, DONE
        if phase == WAITING:
            self.status = 500
            self._responder.respond(500, (), b"")
        elif phase == STREAMING:
            self._responder.abort()
        if isinstance(error, GeneratorExit):
            raise error
        if self._gone and isinstance(error, asyncio.CancelledError):
            return  # cancelled by the server after the peer left: nobody's fault
        logger.error("Application callable raised an exception", exc_info=error)

    def _forget_watchers(self) -> None:
        # Those that still wait were left behind by the application, or belong to tasks of its own.
        if all(future.done() for future in self._watchers or ()):
            self._watchers = None
            self._peer.watching.discard(self)

    def _join(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def logged(line: Callable[..., None]) -> Type[HTTPProtocol]:
    """Return the protocol class that also writes an access line when the application is done.

    Args:
        line: From ``granian.log.log_request_builder``.
    """

    class LoggedHTTPProtocol(HTTPProtocol):
        __slots__ = ()

        async def serve(self, target: Target, scope: Scope) -> None:
            started, ticks = time(), monotonic()
            try:
                await super().serve(target, scope)
            finally:
                atoms = {**scope.log_atoms(), "responder": self._responder}
                line(started, ticks, atoms, self.status)

    return LoggedHTTPProtocol


class HTTPStreamTransport:
    """Sends the body of a streamed response; collecting it ends the body."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: HTTPProtocol) -> None:
        self._protocol = protocol

    def send_bytes(self, data: Union[bytes, bytearray]) -> "asyncio.Future[None]":
        """Send octets; the awaitable waits for a slow peer and fails with ``ProtocolClosed``."""
        return self._protocol.send_piece(data if type(data) is bytes else _octets(data))

    def send_str(self, data: str) -> "asyncio.Future[None]":
        """Send text as UTF-8; awaits as ``send_bytes`` does."""
        return self._protocol.send_piece(data.encode())

    def __del__(self) -> None:
        self._protocol.post_end()


def open_regular(path: str) -> Optional[Tuple[int, int]]:
    """Open a regular file for reading; return its descriptor and size, or None."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        return None
    return descriptor, facts.st_size


def _encoded(status: int, headers: Fields) -> OctetFields:
    if not 200 <= status <= 999:
        raise ValueError(f"{status} is not the status of a response")
    return encode_fields(tuple(headers))


def _octets(data: Any) -> bytes:
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a body is bytes, not {type(data).__name__}")


def _fail(future: "asyncio.Future[Any]") -> None:
    future.set_exception(ProtocolClosed())
    # Looked at once, so that an application which never awaits it leaves no complaint behind.
    future.exception()
