"""Where an HTTP/1 request body ends: a strict decoder of chunked framing with limits.

Owned by its connection's thread. h11 reads heads for us but not bodies: it accepts carriage
returns inside chunk extensions and keeps no totals of what extensions and trailers cost, and a
guard that watches both would have to decode the chunks again. Whatever this decoder accepts, h11
reads the same way (``tests/differential``). RFC 9112 section 7.1.
"""

from typing import List, Optional, Tuple

from ...errors import PeerError
from ..grammar import CHUNK_LINE, FIELD_VALUE, TOKEN

MAX_EXTENSIONS = 16_384
"""Octets of chunk lines beyond their sizes, summed over one body."""

MAX_TRAILERS = 16_384
"""Octets of the trailer section."""

MAX_TRAILER_FIELDS = 100

_MAX_LINE = MAX_EXTENSIONS + 18

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedBody:
    """Decodes one chunked body from octets cut anywhere."""

    __slots__ = ("_buffer", "_extensions", "_fields", "_phase", "_remaining", "_trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._phase = _SIZE
        self._remaining = 0
        self._extensions = 0
        self._trailers = 0
        self._fields = 0

    def feed(self, data: bytes) -> Tuple[bytes, Optional[bytes]]:
        """Take received octets.

        Returns:
            ``(content, rest)``: what the body gained, and None while it goes on; at its end, the
            octets that follow it.

        Raises:
            PeerError: 400, with whatever breaks the grammar or a limit.
        """
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: List[bytes] = []
        at, size = 0, len(data)
        while True:
            if self._phase == _DATA:
                piece = data[at : at + self._remaining]
                pieces.append(piece)
                at += len(piece)
                self._remaining -= len(piece)
                if self._remaining:
                    break
                self._phase = _DATA_END
            if self._phase == _DATA_END:
                if data[at : at + 2] != b"\r\n":
                    if size - at < 2 and b"\r\n".startswith(data[at:]):
                        break
                    raise PeerError(400, "no CRLF after chunk data")
                at += 2
                self._phase = _SIZE
            end = data.find(b"\n", at)
            if end < 0:
                if size - at > _MAX_LINE:
                    raise PeerError(400, "chunk line too long")
                break
            if data[end - 1 : end] != b"\r" or end == at:
                raise PeerError(400, "LF without CR in chunked framing")
            line = data[at : end - 1]
            at = end + 1
            if self._phase == _SIZE:
                self._read_size(line)
            elif self._read_trailer(line):
                self._phase = _DONE
                return b"".join(pieces), data[at:]
        self._buffer = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), None

    def _read_size(self, line: bytes) -> None:
        matched = CHUNK_LINE.fullmatch(line)
        if matched is None:
            raise PeerError(400, "malformed chunk line")
        digits = matched[1]
        self._extensions += len(line) - len(digits)
        if self._extensions > MAX_EXTENSIONS:
            raise PeerError(400, "chunk extensions too long")
        self._remaining = int(digits, 16)
        self._phase = _DATA if self._remaining else _TRAILERS

    def _read_trailer(self, line: bytes) -> bool:
        """Check a trailer field and drop it: none may act on this message; True at the end."""
        if not line:
            return True
        self._trailers += len(line) + 2
        self._fields += 1
        if self._trailers > MAX_TRAILERS or self._fields > MAX_TRAILER_FIELDS:
            raise PeerError(400, "trailers too long")
        name, colon, value = line.partition(b":")
        if not colon or TOKEN.fullmatch(name) is None or FIELD_VALUE.fullmatch(value) is None:
            raise PeerError(400, "malformed trailer field")
        return False
