"""``wsgi.input`` over a body that may still be arriving; runs on the application's thread."""

import io
from typing import Any

from ..wire.waist import BlockingResponder


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
