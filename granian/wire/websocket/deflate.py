"""permessage-deflate with a bound: what to answer to an offer, and the two streams after it.

No octet is inflated beyond the room that the caller still has for the message, so a bomb costs
what the limit allows and not one octet more. Windows are kept to 4 KiB where the peer permits,
and no stream exists before the first compressed message: an idle connection holds none.
RFC 7692, RFC 1951. Owner thread only.
"""

import re
import zlib
from typing import Dict, List, NamedTuple, Optional, Tuple

NAME = b"permessage-deflate"
MAX_HEADER = 4096
"""Octets of ``Sec-WebSocket-Extensions`` looked at; no honest client comes near."""

WINDOW_BITS = 12
MEMORY_LEVEL = 5
TAIL = b"\x00\x00\xff\xff"
MAX_RESTARTS = 64
"""Final blocks in one message: each makes a new inflater, so they are counted (section 7.2.3.4)."""

PARAMETER = re.compile(rb"([A-Za-z0-9_-]+)(?:[ \t]*=[ \t]*\"?([0-9]+)\"?)?")


class Deflate(NamedTuple):
    """Parameters agreed on (RFC 7692 section 7.1); window sizes as exponents of two."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = WINDOW_BITS
    client_max_window_bits: Optional[int] = None

    def answer(self) -> bytes:
        """Render the element of ``Sec-WebSocket-Extensions`` that accepts the offer."""
        parts = [NAME]
        if self.server_no_context_takeover:
            parts.append(b"server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append(b"client_no_context_takeover")
        parts.append(b"server_max_window_bits=%d" % self.server_max_window_bits)
        if self.client_max_window_bits is not None:
            parts.append(b"client_max_window_bits=%d" % self.client_max_window_bits)
        return b"; ".join(parts)


class InflateError(Exception):
    """The octets are not what a deflater makes (RFC 1951)."""


class TooLargeError(Exception):
    """The message would grow beyond the room given."""


def negotiate(values: List[bytes]) -> Optional[Deflate]:
    """Choose the first offer that can be met.

    Args:
        values: Values of all ``Sec-WebSocket-Extensions`` fields, in order.

    Returns:
        What was agreed on, or None when compression was not offered in a form to accept. An
        offer with unknown, repeated or invalid parameters is passed over (section 7.1).
    """
    if not values or sum(map(len, values)) > MAX_HEADER:
        return None
    for offer in b",".join(values).split(b","):
        name, *parameters = (part.strip(b" \t") for part in offer.split(b";"))
        if name.lower() == NAME:
            agreed = _agree(parameters)
            if agreed is not None:
                return agreed
    return None


def _agree(parameters: List[bytes]) -> Optional[Deflate]:
    asked: Dict[bytes, Optional[bytes]] = {}
    for parameter in parameters:
        match = PARAMETER.fullmatch(parameter)
        if match is None or match[1] in asked:
            return None
        asked[match[1]] = match[2]
    server_alone, server_known = _flag(asked, b"server_no_context_takeover")
    client_alone, client_known = _flag(asked, b"client_no_context_takeover")
    server_bits, client_bits = WINDOW_BITS, None
    if b"server_max_window_bits" in asked:
        wanted = _bits(asked.pop(b"server_max_window_bits"))
        # zlib cannot make a stream with a window of 256 octets.
        if wanted is None or wanted == 8:
            return None
        server_bits = min(wanted, WINDOW_BITS)
    if b"client_max_window_bits" in asked:
        hint = asked.pop(b"client_max_window_bits")
        wanted = 15 if hint is None else _bits(hint)
        if wanted is None:
            return None
        client_bits = min(wanted, WINDOW_BITS)
    if asked or not server_known or not client_known:
        return None
    return Deflate(server_alone, client_alone, server_bits, client_bits)


def _flag(asked: Dict[bytes, Optional[bytes]], name: bytes) -> Tuple[bool, bool]:
    """Take a parameter without value; the second result tells whether it was in order."""
    if name not in asked:
        return False, True
    return True, asked.pop(name) is None


def _bits(text: Optional[bytes]) -> Optional[int]:
    """Read a window size (section 7.1.2): 8 to 15, without leading zeros."""
    if text is None or len(text) > 2 or text.startswith(b"0"):
        return None
    bits = int(text)
    return bits if 8 <= bits <= 15 else None


class Inflater:
    """The peer's stream: payloads of compressed messages in, their octets out."""

    __slots__ = ("_alone", "_bits", "_restarts", "_stream")

    def __init__(self, agreed: Deflate) -> None:
        self._alone = agreed.client_no_context_takeover
        bits = agreed.client_max_window_bits
        # A larger window reads a smaller one's stream; without a limit agreed on it may be 15.
        self._bits = 15 if bits is None else max(bits, 9)
        self._stream: Optional[zlib._Decompress] = None
        self._restarts = 0

    def inflate(self, data: bytes, room: int) -> bytes:
        """Inflate a piece of a message.

        Args:
            data: Octets of the payload, unmasked.
            room: Octets that the result may have.

        Raises:
            TooLargeError: It would have more.
            InflateError: It is no deflate stream, or one made to waste time.
        """
        stream = self._stream
        if stream is None:
            stream = self._stream = zlib.decompressobj(-self._bits)
        pieces = [self._step(stream, data, room)]
        history = b""
        while stream.eof:
            # A block said to be the last: what follows is a stream of its own, and may refer to
            # what this message gave so far.
            self._restarts += 1
            if self._restarts > MAX_RESTARTS:
                raise InflateError
            room -= len(pieces[-1])
            history = (history + pieces[-1])[-(1 << self._bits) :]
            rest = stream.unused_data
            stream = self._stream = zlib.decompressobj(-self._bits, zdict=history)
            pieces.append(self._step(stream, rest, room))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def whole(self, data: bytes, room: int) -> bytes:
        """Inflate a message that came in one piece; raises as ``inflate`` does."""
        result = self.inflate(data + TAIL, room)
        self._restarts = 0
        if self._alone:
            self._stream = None
        return result

    def finish(self, room: int) -> bytes:
        """End a message: inflate what its sender cut off (section 7.2.2)."""
        return self.whole(b"", room)

    @staticmethod
    def _step(stream: "zlib._Decompress", data: bytes, room: int) -> bytes:
        try:
            # One octet more than allowed tells "too large" from "just fits".
            result = stream.decompress(data, room + 1)
        except zlib.error:
            raise InflateError from None
        if len(result) > room:
            raise TooLargeError
        return result


class Deflater:
    """Our stream: messages in, payloads out."""

    __slots__ = ("_alone", "_bits", "_stream")

    def __init__(self, agreed: Deflate) -> None:
        self._alone = agreed.server_no_context_takeover
        self._bits = agreed.server_max_window_bits
        self._stream: Optional[zlib._Compress] = None

    def deflate(self, data: bytes) -> bytes:
        """Compress one whole message, without the tail that the peer adds (section 7.2.1)."""
        stream = self._stream
        if stream is None:
            stream = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -self._bits, MEMORY_LEVEL
            )
            if not self._alone:
                self._stream = stream
        return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
