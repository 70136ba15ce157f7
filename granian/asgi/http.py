"""One HTTP exchange of an ASGI application, over any Responder.

Phases of the response::

    WAITING -http.response.start-> HELD -first body, whole-> DONE
                                   HELD -first body, more-> STREAMING -last body-> DONE
                                   HELD -event stream-> STREAMING
    HELD -http.response.pathsend-> DONE;  DONE (trailers announced) -trailers-> DONE

The head is held back until the first body message, so that both leave in one write and a failure
between them is still a 500. Everything runs on the loop's thread. ASGI HTTP specification 2.3.
"""

import logging
import os
import stat
import time
from sys import intern
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from .._waiter import Waiter, new_waiter
from ..errors import AppError
from ..wire.waist import Fields
from .messages import Message, as_octets, flow_error, unsupported

if TYPE_CHECKING:
    from .application import AsgiApplication

WAITING, HELD, STREAMING, TRAILERS, DONE = range(5)

RESPONSE_START = intern("http.response.start")  # see ``wire.head.HTTP_1_1``
RESPONSE_BODY = intern("http.response.body")

_log = logging.getLogger("_granian")

_INTERNAL_ERROR = ((b"content-type", b"text/plain; charset=utf-8"),)
_NOT_FOUND = ((b"content-type", b"text/plain; charset=utf-8"),)


class AsgiHttp:
    """The exchange: ``receive`` and ``send`` up, a Handler down."""

    __slots__ = (
        "_buffered",
        "_complete",
        "_consumed",
        "_delivered",
        "_event_stream",
        "_gone",
        "_headers",
        "_status",
        "_trailers",
        "_waiters",
        "_writers",
        "application",
        "phase",
        "responder",
    )

    def __init__(
        self, application: "AsgiApplication", responder: Any, body: bytes, complete: bool
    ) -> None:
        self.application = application
        self.responder = responder
        self.phase = WAITING
        self._status = 500
        self._headers: Fields = ()
        self._buffered = body
        self._complete = complete
        self._delivered = self._gone = self._event_stream = False
        self._consumed = 0
        self._trailers: Optional[List[Tuple[bytes, bytes]]] = None
        self._waiters: Optional[List[Waiter]] = None
        self._writers: Optional[List[Waiter]] = None

    # what the application calls

    async def receive(self) -> Message:
        """Return the next body message, or wait for the client to leave."""
        while not self._delivered:
            if self._buffered or self._complete:
                body, self._buffered = self._buffered, b""
                self._consumed += len(body)
                self._delivered = self._complete
                return {"type": "http.request", "body": body, "more_body": not self._complete}
            if self._gone or self.phase == DONE:
                break
            consumed, self._consumed = self._consumed, 0
            self.responder.want_body(consumed)
            if not (self._buffered or self._complete or self._gone):
                await self._wait()
        while not self._gone and self.phase != DONE:
            await self._wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:  # hot: counted by test_budget
        """Take the next response message; waits while the client is slower."""
        try:
            kind = message["type"]
        except (TypeError, KeyError):
            raise unsupported() from None
        phase = self.phase
        if kind == RESPONSE_BODY and phase == HELD and not message.get("more_body"):
            body = message.get("body", b"")
            if body.__class__ is not bytes:
                body = as_octets(body)
            if self._trailers is None:
                self.phase = DONE
                try:
                    self.responder.respond(self._status, self._headers, body)
                except AppError as error:
                    self.phase = DONE if error.sent else HELD
                    raise
                if self._waiters is not None:
                    self._wake()
                return
        if kind == RESPONSE_START and phase == WAITING:
            try:
                self._status = message["status"]
            except KeyError:
                raise unsupported() from None
            headers = message.get("headers", ())
            if headers.__class__ is not list:
                headers = _as_fields(headers)
            self._headers = headers
            self.phase = HELD
            if self._event_stream or message.get("trailers"):
                self._held_specially(message)
            return
        await self._send_unusual(kind, message)

    def _held_specially(self, message: Message) -> None:
        """Note trailers that will come; let the head of an event stream go at once."""
        if message.get("trailers"):
            self._trailers = []
        if self._event_stream and _is_event_stream(self._headers):
            self.responder.start(self._status, self._headers)
            self.phase = STREAMING

    async def _send_unusual(self, kind: str, message: Message) -> None:
        phase = self.phase
        if kind == RESPONSE_BODY:
            if phase in (HELD, STREAMING):
                await self._send_body(as_octets(message.get("body", b"")), message)
                return
            if phase == WAITING:
                raise flow_error("Response not started")
            if not self._gone:
                raise flow_error("Response already finished")
        elif kind == RESPONSE_START:
            if not self._gone:
                raise flow_error("Response already started")
        elif kind == "http.response.pathsend":
            if phase == WAITING:
                raise flow_error("Response not started")
            if phase != HELD:
                raise flow_error("Response already finished")
            self._send_path(message.get("path"))
            self.phase = DONE
            self._wake()
        elif kind == "http.response.trailers" and phase == TRAILERS:
            assert self._trailers is not None
            self._trailers += message.get("headers", ())
            if not message.get("more_trailers"):
                # Trailers that are refused leave the response without its end.
                self.responder.finish(self._trailers)
                self.phase = DONE
                self._wake()
        elif kind == "http.response.early_hint":
            if phase == WAITING:
                self.responder.inform(103, [(b"link", link) for link in message.get("links", ())])
        else:
            raise unsupported()

    async def _send_body(self, body: bytes, message: Message) -> None:
        """Stream a piece, or the last one."""
        responder = self.responder
        more = message.get("more_body")
        wait = False
        if self.phase == HELD:
            try:
                wait = responder.start(self._status, self._headers, body)
            except AppError as error:
                self.phase = STREAMING if error.sent else HELD
                raise
            self.phase = STREAMING
            body = b""
        if more:
            if body:
                wait = responder.write(body)
            # A peer that only ended its own stream still reads, at its own pace.
            if wait and not responder.closed:
                if self._writers is None:
                    self._writers = []
                await self._wait_among(self._writers)
        elif self._trailers is not None:
            self.phase = TRAILERS
            if body:
                responder.write(body)
        else:
            # Too much or too little is an error to the application; the response is over.
            self.phase = DONE
            try:
                responder.finish((), body)
            finally:
                self._wake()

    def _send_path(self, path: object) -> None:
        """Send a file as the body (extension http.response.pathsend)."""
        if not isinstance(path, str):
            raise unsupported()
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                facts = os.fstat(descriptor)
                if not stat.S_ISREG(facts.st_mode):
                    raise OSError("not a regular file")
            except OSError:
                os.close(descriptor)
                raise
        except (OSError, ValueError) as error:
            _log.info("Cannot send file %r: %s", path, error)
            self.responder.respond(404, _NOT_FOUND, b"Not found")
            return
        try:
            self.responder.respond_file(self._status, self._headers, descriptor, 0, facts.st_size)
        except AppError:
            os.close(descriptor)
            raise

    async def _wait(self) -> None:
        """Wait until something changed for ``receive``."""
        if self._waiters is None:
            self._waiters = []
        await self._wait_among(self._waiters)

    async def _wait_among(self, waiters: List[Waiter]) -> None:
        waiter = new_waiter(self.application.loop)
        waiters.append(waiter)
        try:
            await waiter
        finally:
            # Cancelled while it waited: nobody may settle it any more.
            if waiter in waiters:
                waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        _fire(waiters)

    # what the connection calls

    def on_body(self, data: bytes, last: bool) -> None:
        """See ``waist.Handler``."""
        self._buffered = self._buffered + data if self._buffered else data
        self._complete = last
        self._wake()

    def on_writable(self) -> None:
        """See ``waist.Handler``."""
        writers, self._writers = self._writers, None
        _fire(writers)

    def on_disconnect(self) -> None:
        """See ``waist.Handler``."""
        self._gone = True
        self._wake()
        if self.responder.closed:
            self.on_writable()

    # how it begins and ends

    def on_first_wait(self) -> None:
        """Let an event stream's head go: it need not wait for what the application waits for."""
        self._event_stream = True
        if self.phase == HELD:
            try:
                self._held_specially({})
            except AppError:
                pass  # refused again, to the application, with its first body message

    async def run(self, scope: Dict[str, Any]) -> None:  # hot
        """Run the application and settle what it leaves open."""
        try:
            await self.application.target(scope, self.receive, self.send)
        except BaseException as error:
            self.fail(error)
        else:
            if self.phase != DONE:
                self.fail(None)

    def fail(self, error: Optional[BaseException]) -> None:
        """End an exchange whose application raised, or returned without a whole response."""
        if error is not None:
            _log.error("Application callable raised an exception", exc_info=error)
        phase, self.phase = self.phase, DONE
        if error is None and not self._gone:
            _log.error("The application returned before its response was complete")
        if phase in (WAITING, HELD):
            self._status = 500
            self.responder.respond(500, _INTERNAL_ERROR, b"Internal server error")
        elif phase != DONE:
            self.responder.abort()
        self._wake()


class LoggedAsgiHttp(AsgiHttp):
    """An exchange that writes its access line when the application has finished."""

    __slots__ = ()

    async def run(self, scope: Dict[str, Any]) -> None:
        """Run the application, then write the line."""
        wall, began = time.time(), time.monotonic()
        try:
            await super().run(scope)
        finally:
            client = scope["client"]
            request = {
                "addr_remote": client[0] if client else "",
                "protocol": "HTTP/" + scope["http_version"],
                "path": scope["path"],
                "qs": scope["query_string"],
                "method": scope["method"],
                "scheme": scope["scheme"],
                "headers": scope["headers"],
                "responder": self.responder,
            }
            access = self.application.access
            assert access is not None
            access(wall, began, request, self._status)


def _as_fields(headers: Any) -> Fields:
    """Take fields in any iterable, which may be an iterator."""
    try:
        return tuple(headers)
    except TypeError:
        raise unsupported() from None


def _is_event_stream(fields: Fields) -> bool:
    try:
        return any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in fields
        )
    except (AttributeError, TypeError, ValueError):
        return False  # no fields at all: the responder says so


def _fire(waiters: Optional[List[Waiter]]) -> None:
    while waiters:
        waiter = waiters.pop(0)
        if not waiter.done():
            waiter.fire(None)
