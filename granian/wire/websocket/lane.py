"""The fast lane: whole, unfragmented data frames of a client.

One pass over one frame: header by subscript, payload cut once, unmasked by C. Everything else,
and everything odd, is DECLINED for wsproto to decide; nothing is ever refused here. Compressed
frames are cut and unmasked likewise, where compression was agreed on; what they inflate to is not
known here.
RFC 6455 sections 5.2, 5.3 and 5.6. Owner thread only.
"""

from typing import Optional, Tuple, Union

from ..._typing import Message
from .mask import unmask

REPEATED = [sum(1 << 32 * i for i in range((size + 3) // 4)) for size in range(126)]
"""``REPEATED[size]`` times a key of four octets is the key as often as ``size`` octets need it."""

SIZED = [(1 << 8 * size) - 1 for size in range(126)]
"""``SIZED[size]`` cuts a long integer to so many octets."""

HELD = 65_536
"""Octets of a binary frame waited for; longer ones are streamed through wsproto."""

INCOMPLETE = 0
DECLINED = 1

_from_octets = int.from_bytes

FrameResult = Union[Tuple[Message, int], int]


def read_frame(data: bytes, at: int, limit: int) -> FrameResult:  # hot
    """Read the frame that starts at ``at``, if it is a whole message of the ordinary kind.

    Args:
        data: Octets received; never kept.
        at: Where a frame starts; no message is under way.
        limit: Largest payload to take, in octets.

    Returns:
        ``(message, end)``, or INCOMPLETE when more octets are needed to tell, or DECLINED when
        wsproto must decide.

    Spec:
        RFC 6455 section 5.2. Text that does not decode is DECLINED: only wsproto refuses.
    """
    size = len(data) - at
    if size < 2:
        return INCOMPLETE
    first = data[at]
    length = data[at + 1] - 128
    if length < 0 or (first != 0x81 and first != 0x82):
        return DECLINED
    head = at + 6
    if length == 126:
        if size < 4:
            return INCOMPLETE
        length = data[at + 2] << 8 | data[at + 3]
        if length < 126:
            return DECLINED
        head = at + 8
    elif length == 127:
        if size < 10:
            return INCOMPLETE
        length = int.from_bytes(data[at + 2 : at + 10], "big")
        if length < 65_536:
            return DECLINED
        head = at + 14
    if length > limit:
        return DECLINED
    end = head + length
    if at + size < end:
        # Part of a text may already be invalid, which is to be told at once (section 8.1).
        if at + size < head or (first == 0x82 and length <= HELD):
            return INCOMPLETE
        return DECLINED
    if length < 126:
        # Most messages are this short: key and payload are one integer, the key its low end.
        masked = _from_octets(data[head - 4 : end], "little")
        mask = (masked & 0xFFFFFFFF) * REPEATED[length]
        if length & 3:
            mask &= SIZED[length]
        payload = (masked >> 32 ^ mask).to_bytes(length, "little")
    else:
        payload = unmask(data, head, end, data[head - 4 : head])
    if first == 0x82:
        return payload, end
    try:
        return payload.decode(), end
    except UnicodeDecodeError:
        return DECLINED


def cut_packed(data: bytes, at: int, limit: int) -> Optional[Tuple[bytes, int]]:
    """Cut the compressed frame that starts at ``at``, if it is a whole message.

    Args:
        data: Octets received; never kept.
        at: Where a frame starts; no message is under way.
        limit: Largest payload to take, in octets.

    Returns:
        ``(payload, end)``, the payload unmasked, or None when wsproto must decide.

    Spec:
        RFC 7692 section 6: RSV1 on the only frame of a message.
    """
    size = len(data) - at
    if size < 8 or (data[at] != 0xC1 and data[at] != 0xC2):
        return None
    length = data[at + 1] - 128
    head = at + 6
    if length == 126:
        length = data[at + 2] << 8 | data[at + 3]
        head = at + 8
        if length < 126:
            return None
    elif not 0 <= length < 126:
        return None
    end = head + length
    if length > limit or end > at + size:
        return None
    return unmask(data, head, end, data[head - 4 : head]), end
