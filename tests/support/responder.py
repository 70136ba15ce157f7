"""A responder without a wire: writes down what an interface asks of it."""

import os

from granian.errors import AppError
from granian.wire.head import RequestHead


def make_head(method="GET", target=b"/", headers=(), version="1.1", **facts):
    """A request head as a protocol fills it; the target is in origin-form."""
    from urllib.parse import unquote_to_bytes

    head = RequestHead()
    head.method = method
    head.raw_path, _, head.query = target.partition(b"?")
    head.path = unquote_to_bytes(head.raw_path).decode("utf-8", "replace")
    head.version = version
    head.authority = None
    head.headers = list(headers)
    head.body_length = 0
    head.keep_alive = True
    head.expects_continue = False
    head.upgrade = None
    head.section = None
    for name, value in facts.items():
        setattr(head, name, value)
    return head


class FakeResponder:
    """Every verb of ``BlockingResponder``; ``events`` holds what was called, in order.

    Attributes:
        blocked: What ``start`` and ``write`` return; a blocking handler waits then.
        refuse: An ``AppError``, or its text, to raise from the next verb that sends a head.
        cut: An ``AppError`` to raise from the next ``write`` or ``finish``.
        pieces: What ``pull_body`` returns next; an exception in it is raised.
    """

    def __init__(self, application=None, **facts):
        self.scheme = "http"
        self.client = ("127.0.0.1", 50000)
        self.server = ("127.0.0.1", 8000)
        self.tls = None
        self.sock = object()
        self.handler = None
        self.closed = False
        self.events = []
        self.blocked = False
        self.refuse = None
        self.cut = None
        self.pieces = []
        self.on_wait = None
        for name, value in facts.items():
            setattr(self, name, value)
        self.context = application.connect(self) if application is not None else None

    def respond(self, status, headers, body):
        self._head("respond", status, headers, body)

    def respond_file(self, status, headers, descriptor, offset, count):
        self._head("respond_file", status, headers, None)
        data = os.pread(descriptor, count, offset)
        os.close(descriptor)
        self.events[-1] = ("respond_file", status, list(headers), data)

    def start(self, status, headers, data=b""):
        self._head("start", status, headers, data)
        return self.blocked

    def write(self, data):
        self._cut()
        self.events.append(("write", data))
        return self.blocked

    def finish(self, trailers=(), data=b""):
        self._cut()
        self.events.append(("finish", list(trailers), data) if trailers or data else ("finish",))

    def inform(self, status, headers):
        self.events.append(("inform", status, list(headers)))

    def want_body(self, consumed):
        self.events.append(("want_body", consumed))

    def abort(self):
        self.events.append(("abort",))

    def pull_body(self):
        self.events.append(("pull_body",))
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def wait_writable(self):
        self.events.append(("wait_writable",))
        if isinstance(self.on_wait, Exception):
            raise self.on_wait

    def _cut(self):
        if self.cut is not None:
            error, self.cut = self.cut, None
            raise error

    def _head(self, verb, status, headers, body):
        if self.refuse is not None:
            error, self.refuse = self.refuse, None
            raise error if isinstance(error, AppError) else AppError(error)
        self.events.append((verb, status, list(headers), body))

    @property
    def names(self):
        """The verbs alone."""
        return [event[0] for event in self.events]

    @property
    def response(self):
        """The one whole response: ``(status, headers, body)``."""
        (event,) = [event for event in self.events if event[0] in ("respond", "respond_file")]
        return event[1:]

    @property
    def streamed(self):
        """All that was sent of a streamed body."""
        return b"".join(
            event[-1] for event in self.events if event[0] in ("start", "write") and event[-1]
        )
