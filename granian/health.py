"""One path that the server answers itself, for whoever asks whether it serves.

200 while it does, 503 as soon as it is stopping; the application is not asked, and no access line
is written. Any thread.
"""

from typing import Any, Callable

from .wire.head import RequestHead

_FIELDS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
)


class HealthPath:
    """An application that answers for one path and hands all else to another.

    Args:
        path: The decoded path, with its leading slash.
        application: A ``waist.Application`` for everything else.
        stopping: Tells whether this worker takes no more connections.
    """

    def __init__(self, path: str, application: Any, stopping: Callable[[], bool]) -> None:
        self._path = path
        self._begin = application.begin
        self._stopping = stopping
        self.connect = application.connect
        self.disconnect = application.disconnect
        self.begin_websocket = getattr(application, "begin_websocket", None)

    def begin(self, responder: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        """Answer a GET or HEAD of the path; begin any other request with the application."""
        if head.path != self._path or head.method not in ("GET", "HEAD"):
            self._begin(responder, head, body, complete)
            return
        responder.handler = None
        if self._stopping():
            responder.respond(503, _FIELDS, b"stopping\n")
        else:
            responder.respond(200, _FIELDS, b"serving\n")
