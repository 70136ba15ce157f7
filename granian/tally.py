"""What an access line tells of an exchange beyond its head: sizes, status, the response's fields.

A ``Tally`` stands between an interface and the protocol below it and counts what passes; only
formats that ask for it have one, so that other exchanges do not pay. Sizes are octets of bodies
without transfer coding or frames: received for the application, and given to the connection by
it. Whichever thread runs the exchange.
"""

from typing import Any, Callable, Optional

from .errors import AppError
from .wire.head import RequestHead
from .wire.status import forbids_body
from .wire.waist import Fields


class Tally:
    """A ``waist.Responder`` that keeps count of the exchange of another.

    Args:
        below: The responder that does the work.
        head: The request's head.
        body: What has arrived of its body.
        complete: That was all.

    Attributes:
        bytes_in: Octets of the request's body so far.
        bytes_out: Octets of the response's body; none where the message has no content.
        status: Of the final response, or 0 while there is none.
        fields: That the application gave with it.
    """

    __slots__ = ("_below", "_complete", "_head_only", "bytes_in", "bytes_out", "fields", "status")

    def __init__(self, below: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        self._below = below
        self._complete = complete
        self._head_only = head.method == "HEAD"
        self.bytes_in = len(body)
        self.bytes_out = 0
        self.status = 0
        self.fields: Fields = ()

    def __getattr__(self, name: str) -> Any:
        """Leave everything else to the responder below."""
        return getattr(self._below, name)

    @property
    def handler(self) -> Any:
        """Who hears of the exchange; what it hears of the body is counted on the way."""
        return self._below.handler

    @handler.setter
    def handler(self, handler: Any) -> None:
        if handler is not None and not self._complete:
            handler = _CountingHandler(handler, self)
        self._below.handler = handler

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """See ``waist.Responder.respond``."""
        fields = tuple(headers)
        self._begin(status, fields, len(body), self._below.respond, status, fields, body)

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """See ``waist.Responder.respond_file``."""
        fields = tuple(headers)
        verb = self._below.respond_file
        self._begin(status, fields, count, verb, status, fields, descriptor, offset, count)

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Responder.start``."""
        fields = tuple(headers)
        verb = self._below.start
        return bool(self._begin(status, fields, len(data), verb, status, fields, data))

    def write(self, data: bytes) -> bool:
        """See ``waist.Responder.write``."""
        return bool(self._send(len(data), self._below.write, data))

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Responder.finish``."""
        self._send(len(data), self._below.finish, trailers, data)

    def pull_body(self) -> bytes:
        """See ``waist.BlockingResponder.pull_body``."""
        data: bytes = self._below.pull_body()
        self.bytes_in += len(data)
        return data

    def _begin(
        self, status: int, fields: Fields, size: int, verb: Callable[..., Any], *args: Any
    ) -> Any:
        """Do what sends a head; note it unless it was refused."""
        before = self.status, self.fields
        self.status, self.fields = status, fields
        try:
            return self._send(size, verb, *args)
        except AppError as error:
            if not error.sent:
                self.status, self.fields = before
            raise

    def _send(self, size: int, verb: Callable[..., Any], *args: Any) -> Any:
        """Do what sends ``size`` octets of a body; count those that the peer may get."""
        if self._below.closed or self._head_only or forbids_body(self.status):
            size = 0
        try:
            result = verb(*args)
        except AppError as error:
            if error.sent:
                self.bytes_out = self._cut(self.bytes_out + size)
            raise
        self.bytes_out += size
        return result

    def _cut(self, total: int) -> int:
        """Return what leaves of ``total`` octets: no more than the fields announce."""
        for name, value in self.fields:
            if name.lower() == b"content-length":
                return min(total, int(value))
        return total


class _CountingHandler:
    """A ``waist.Handler`` that counts the body on its way to another."""

    __slots__ = ("_handler", "_tally")

    def __init__(self, handler: Any, tally: Tally) -> None:
        self._handler = handler
        self._tally = tally

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def on_body(self, data: bytes, last: bool) -> None:
        """See ``waist.Handler.on_body``."""
        self._tally.bytes_in += len(data)
        self._handler.on_body(data, last)


class TalliedApplication:
    """A ``waist.Application`` each of whose exchanges has a tally, as its responder.

    Args:
        application: Another, for which this takes the place.
    """

    def __init__(self, application: Any) -> None:
        self._begin = application.begin
        self.connect = application.connect
        self.disconnect = application.disconnect
        self.begin_websocket: Optional[Callable[..., None]] = getattr(
            application, "begin_websocket", None
        )

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        """See ``waist.Application.begin``."""
        self._begin(Tally(responder, head, body, complete), head, body, complete)
