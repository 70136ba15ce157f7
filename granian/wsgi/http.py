"""One WSGI exchange: start_response, write, the iterable, and its close.

Runs on the thread that owns the connection, which the application blocks as it likes. Nothing is
sent before the first piece of content or the end of the iterable, so a failure until then is a
500, and what an application returns whole leaves in one write. Spec: PEP 3333.

Response phases::

    WAITING --whole response--> DONE
    WAITING --first of several pieces, or write()--> STREAMING --end--> DONE
"""

import os
from time import monotonic, time
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Type

from ..errors import AppError
from ..log import logger
from ..wire.head import RequestHead
from ..wire.text import KNOWN_FIELDS, OctetFields, encode_fields
from ..wire.waist import BlockingResponder
from .environ import Environ
from .file import FileWrapper, regular_file

WAITING, STREAMING, DONE = range(3)

Target = Callable[[Environ, Callable[..., Callable[[bytes], None]]], Iterable[bytes]]

# Shared by all threads and read by subscript, which takes no lock on free-threaded builds.
_STATUSES: Dict[Any, int] = {}


class WsgiHttp:
    """What one request and its response need.

    Attributes:
        status: Of the response as sent, for the access log.
        gone: The peer has ended its side, or left altogether.
    """

    __slots__ = ("_headers", "_phase", "_responder", "_status", "gone", "status")

    def __init__(self, responder: BlockingResponder) -> None:
        self._responder = responder
        self._phase = WAITING
        self._status: Optional[str] = None
        self._headers: List[Tuple[str, str]] = []
        self.status = 500
        self.gone = False

    # what the application calls

    def start_response(
        self, status: str, headers: List[Tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Set status and fields; see PEP 3333.

        Raises:
            AppError: Called before, and not to report an exception.
            BaseException: That of ``exc_info``, when it is too late to report it.
        """
        if self._status is not None:
            if exc_info is None:
                raise AppError("start_response was called twice")
            if self._phase != WAITING:
                try:
                    raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None
        self._status = status
        self._headers = headers
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece at once, as ``start_response`` promises old applications.

        Raises:
            ConnectionError: The peer has left.
        """
        if self.gone and self._responder.closed:
            raise BrokenPipeError("the peer has left")
        if data:
            self._send(_octets(data), False)

    # the call

    def run(self, target: Target, environ: Environ, head: RequestHead) -> None:  # hot
        """Call the application and send what it returns.

        Catches ``BaseException``: what an application raises, ``SystemExit`` included, costs its
        own exchange only.
        """
        result: Any = None
        try:
            result = target(environ, self.start_response)
            if type(result) is list and self._phase == WAITING:
                # Spelt out rather than called: this is the hot path.
                body = result[0] if len(result) == 1 else b"".join(result)
                try:
                    code = _STATUSES[self._status]
                except KeyError:
                    code = read_status(self._status)
                fields: Any = tuple(self._headers)
                try:
                    fields = KNOWN_FIELDS[fields]
                except (KeyError, TypeError):
                    fields = encode_fields(fields)
                self._responder.respond(
                    code, fields, body if type(body) is bytes else _octets(body)
                )
                self._phase = DONE
                self.status = code
            else:
                self._stream(result)
        except BaseException as error:
            self._failed(error)
        finally:
            if type(result) is not list:
                _close(result)

    def _stream(self, iterable: Any) -> None:
        """Send an iterable piece by piece."""
        if type(iterable) is FileWrapper and self._phase == WAITING and self._send_file(iterable):
            return
        whole = type(iterable) is tuple and len(iterable) == 1
        for piece in iterable:
            if self.gone and self._responder.closed:
                return
            if piece:
                self._send(_octets(piece), whole)
        if self._phase == WAITING:
            self._respond(b"")
        elif self._phase == STREAMING:
            self._phase = DONE
            self._responder.finish()

    def _send(self, piece: bytes, whole: bool) -> None:
        """Send a piece, and wait while the peer is slow."""
        if self._phase == WAITING:
            if whole or self._announced() == len(piece):
                self._respond(piece)
                return
            code, fields = self._encoded()
            blocked = self._responder.start(code, fields, piece)
            self._phase, self.status = STREAMING, code
        elif self._phase == STREAMING:
            blocked = self._responder.write(piece)
        else:
            raise AppError("the response is longer than its content-length")
        if blocked:
            try:
                self._responder.wait_writable()
            except ConnectionError:
                self.gone = True
                raise

    def _respond(self, body: bytes) -> None:
        code, fields = self._encoded()
        self._responder.respond(code, fields, body)
        self._phase, self.status = DONE, code

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Hand a plain file to the responder; False if it must be read here."""
        facts = regular_file(wrapper.filelike)
        if facts is None:
            return False
        descriptor, offset, left = facts
        announced = self._announced()
        code, fields = self._encoded()
        descriptor = os.dup(descriptor)  # the application closes its own
        try:
            count = left if announced is None else min(announced, left)
            self._responder.respond_file(code, fields, descriptor, offset, count)
        except AppError:
            os.close(descriptor)
            raise
        self._phase, self.status = DONE, code
        return True

    def _encoded(self) -> Tuple[int, OctetFields]:
        """Return status and fields as the responder takes them."""
        try:
            code = _STATUSES[self._status]
        except KeyError:
            code = read_status(self._status)
        return code, encode_fields(tuple(self._headers))

    def _announced(self) -> Optional[int]:
        """Return the application's content-length, if it set a plausible one."""
        for name, value in self._headers:
            if len(name) == 14 and name.lower() == "content-length":
                return int(value) if value.isdigit() and value.isascii() else None
        return None

    def _failed(self, error: BaseException) -> None:
        phase, self._phase = self._phase, DONE
        if isinstance(error, AppError) and error.sent:
            phase = DONE
        if phase == WAITING:
            self.status = 500
            self._responder.respond(500, (), b"")
        elif phase == STREAMING:
            self._responder.abort()
        if self.gone and isinstance(error, ConnectionError):
            logger.debug("The peer left before its response was complete")
        else:
            logger.error("Application callable raised an exception", exc_info=error)

    # Handler: called by the protocol below

    def on_disconnect(self) -> None:
        """The peer is gone, or will send no more."""
        self.gone = True


def logged(line: Callable[..., None]) -> Type[WsgiHttp]:
    """Return the exchange class that also writes an access line when the application is done.

    Args:
        line: From ``granian.log.log_request_builder``.
    """

    class LoggedWsgiHttp(WsgiHttp):
        __slots__ = ()

        def run(self, target: Target, environ: Environ, head: RequestHead) -> None:
            started, ticks = time(), monotonic()
            # Taken first: middleware may change the environ.
            atoms = {
                "addr_remote": environ["REMOTE_ADDR"],
                "protocol": environ["SERVER_PROTOCOL"],
                "path": head.path,
                "qs": head.query,
                "method": head.method,
                "scheme": environ["wsgi.url_scheme"],
                "headers": head.headers,
                "responder": self._responder,
            }
            super().run(target, environ, head)
            # Behind a trusted proxy, whom it spoke for.
            atoms["addr_remote"] = environ.get("REMOTE_ADDR", atoms["addr_remote"])
            line(started, ticks, atoms, self.status)

    return LoggedWsgiHttp


def read_status(status: Optional[str]) -> int:
    """Read the code of a status line and remember it.

    Raises:
        AppError: There is none, or it is no status of a response.
    """
    if status is None:
        raise AppError("start_response was not called")
    if not isinstance(status, str):
        raise AppError(f"a status is a str, not {type(status).__name__}")
    digits = status[:3]
    if not (len(digits) == 3 and digits.isascii() and digits.isdigit()) or status[3:4].strip():
        raise AppError(f"not a status: {status[:40]!r}")
    code = int(digits)
    if len(_STATUSES) < 256:
        _STATUSES[status] = code
    return code


def _octets(data: Any) -> bytes:
    if type(data) is bytes:
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a WSGI application yields bytes, not {type(data).__name__}")


def _close(iterable: Any) -> None:
    close = getattr(iterable, "close", None)
    if close is None:
        return
    try:
        close()
    except BaseException as error:
        logger.error("The response iterable failed to close", exc_info=error)
