"""Request bodies: gathered before the application runs, or arriving while it reads them."""

import io
from typing import Any, Callable

from ..wire.head import RequestHead
from ..wire.waist import BlockingResponder

GATHERED = 65_536
"""Octets of a body that are gathered before the application is called."""

Run = Callable[[Any, RequestHead, bytes, bool], None]


def gathers(head: RequestHead, body: bytes) -> bool:
    """Tell whether the rest of a body should be awaited before the application is called."""
    return head.body_length <= GATHERED and not head.expects_continue and len(body) <= GATHERED


class GatheringBody:
    """The Handler of an exchange whose application has not been called yet.

    A small body is awaited without a thread: a slow client holds none. One that proves larger
    than expected goes on arriving under the application.

    Args:
        run: Calls the application.
    """

    __slots__ = ("_head", "_pieces", "_responder", "_run", "_size")

    def __init__(self, responder: Any, head: RequestHead, body: bytes, run: Run) -> None:
        self._responder = responder
        self._head = head
        self._pieces = [body]
        self._size = len(body)
        self._run = run

    def on_body(self, data: bytes, last: bool) -> None:
        """Take the next octets; call the application when there are enough."""
        self._pieces.append(data)
        self._size += len(data)
        if last or self._size > GATHERED:
            self._run(self._responder, self._head, b"".join(self._pieces), last)
        else:
            self._responder.want_body(len(data))

    def on_disconnect(self) -> None:
        """Nothing: the application has not heard of this request."""


class ArrivingBody(io.RawIOBase):
    """The body as a raw stream: waits for octets when those at hand are used up.

    ``BufferedReader`` around it gives ``read``, ``readline``, ``readlines`` and iteration with
    the meaning they have for files.
    """

    def __init__(self, responder: BlockingResponder, data: bytes) -> None:
        self._responder = responder
        self._data = data
        self._ended = False
        self._failed = False

    def readable(self) -> bool:
        """Say that this is an input."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` with what is at hand, or with what comes next.

        Raises:
            ConnectionError: The peer left, or sent nothing for too long; said by every read since.
        """
        data = self._data or self._pull()
        count = min(len(data), len(buffer))
        buffer[:count] = data[:count]
        self._data = data[count:]
        return count

    def readall(self) -> bytes:
        """Return everything up to the end of the body."""
        pieces = [self._data]
        self._data = b""
        while True:
            data = self._pull()
            if not data:
                return b"".join(pieces)
            pieces.append(data)

    def _pull(self) -> bytes:
        if self._ended:
            return b""
        if self._failed:
            raise ConnectionError("the request's body was cut short")
        try:
            data = self._responder.pull_body()
        except ConnectionError:
            self._failed = True
            raise
        self._ended = not data
        return data


def open_body(responder: BlockingResponder, data: bytes) -> io.BufferedReader:
    """Return ``wsgi.input`` for a body of which ``data`` has arrived."""
    return io.BufferedReader(ArrivingBody(responder, data), 65_536)
