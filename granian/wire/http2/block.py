"""A field block that comes in several frames: HEADERS, then CONTINUATION until the end.

Between them no other frame may come, on any stream, and what they add up to is bounded before it is
decoded (CVE-2024-27316). RFC 9113 sections 4.3, 6.2 and 6.10.
"""

from typing import List, Optional, Tuple

from .codes import (
    CONTINUATION,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    PADDED,
    PROTOCOL_ERROR,
    Fault,
)

_CONTINUATIONS_MAX = 64


class FieldBlock:
    """The field block of a connection that is open, if one is.

    Attributes:
        number: The stream it is on; 0 while none is open.
        flags: What HEADERS said of the whole: END_STREAM and the priority.
    """

    __slots__ = ("_fragments", "_octets", "_octets_max", "flags", "number")

    def __init__(self, octets_max: int) -> None:
        self.number = self.flags = 0
        self._fragments: List[bytes] = []
        self._octets = 0
        self._octets_max = octets_max

    def begin(self, flags: int, number: int, payload: bytes) -> None:
        """Keep the HEADERS frame of a block that more frames continue.

        Raises:
            Fault: It is on no stream, or padded beyond its end.
        """
        if not number:
            raise Fault(PROTOCOL_ERROR)
        start, stop = unpad(flags, payload, 0, len(payload))
        self.number = number
        self.flags = flags & ~PADDED | END_HEADERS
        self._fragments.append(payload[start:stop])
        self._octets = stop - start

    def join(self, kind: int, flags: int, number: int, payload: bytes) -> Optional[bytes]:
        """Take the frame after it; return the whole block when that was the last.

        Raises:
            Fault: Something else came in between, or it is too much.
        """
        if kind != CONTINUATION or number != self.number:  # section 6.10
            raise Fault(PROTOCOL_ERROR)
        fragments = self._fragments
        fragments.append(payload)
        self._octets += len(payload)
        if len(fragments) > _CONTINUATIONS_MAX or self._octets > self._octets_max:
            raise Fault(ENHANCE_YOUR_CALM)
        if not flags & END_HEADERS:
            return None
        block = b"".join(fragments)
        self.forget()
        return block

    def forget(self) -> None:
        """Let go of what has come."""
        self._fragments.clear()
        self.number = 0


def unpad(flags: int, data: bytes, start: int, stop: int) -> Tuple[int, int]:
    """Find where the content of a padded frame lies (section 6.1).

    Raises:
        Fault: There is more padding than frame.
    """
    if not flags & PADDED:
        return start, stop
    if start == stop:
        raise Fault(FRAME_SIZE_ERROR)
    padding = data[start]
    if padding >= stop - start:
        raise Fault(PROTOCOL_ERROR)
    return start + 1, stop - padding
