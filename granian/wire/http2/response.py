"""From a status and fields to a response block: the only place that makes one.

Refuses what must not reach the wire, before anything is sent. RFC 9113 sections 8.2 and 8.3.2.
"""

from typing import Iterable, List, Optional, Tuple

from ...errors import AppError
from ..grammar import DIGITS, FIELD_VALUE, TOKEN
from ..status import forbids_body
from .compression import Lexicon, encode_field

_DROPPED = frozenset(
    [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"]
)
_BLOCKS_MAX = 1024
_BLOCK_OCTETS_MAX = 1024
_SERVER = encode_field(b"server", b"granian")
_STATUS_OK = encode_field(b":status", b"200")

STREAMED = -1
"""Body length of a response whose end is not known at its start."""


def response_block(
    lexicon: Lexicon, status: int, fields: Iterable[Tuple[bytes, bytes]], length: int, *, head: bool
) -> Tuple[bytes, int]:
    """Encode the head of a final response.

    Args:
        lexicon: Remembers the block where it may come again.
        status: 200 to 999.
        fields: The application's; connection fields are left out, server and date added.
        length: Octets of the body, or ``STREAMED``.
        head: The request was a HEAD: a length may announce what is not sent.

    Returns:
        The block, and the length it announces or ``STREAMED``.

    Raises:
        AppError: A status, name, value or length that cannot stand.
    """
    if not isinstance(status, int) or not 200 <= status <= 999:
        raise AppError("Invalid response status")
    pairs = tuple(fields)
    pieces = [_STATUS_OK if status == 200 else encode_field(b":status", b"%d" % status)]
    declared, dated = _encode_checked(pairs, pieces)
    if forbids_body(status):
        announced = declared if declared is not None and status == 304 else STREAMED
    elif declared is None:
        announced = length
    elif head or length in (STREAMED, declared):
        announced = declared
    else:
        raise AppError("Content-Length differs from the body")
    if announced != STREAMED:
        pieces.append(encode_field(b"content-length", b"%d" % announced))
    if not dated:
        pieces.append(lexicon.date)
    block = b"".join(pieces)
    if not head and announced == length and len(block) <= _BLOCK_OCTETS_MAX:
        _remember(lexicon, (status, pairs, length), block)
    return block, announced


def _remember(
    lexicon: Lexicon, key: Tuple[int, Tuple[Tuple[bytes, bytes], ...], int], block: bytes
) -> None:
    if len(lexicon.blocks) >= _BLOCKS_MAX:
        lexicon.blocks.clear()
    try:
        lexicon.blocks[key] = block
    except TypeError:
        pass  # fields given as lists cannot be a key; nothing is lost but speed


def _encode_checked(
    pairs: Iterable[Tuple[bytes, bytes]], pieces: List[bytes]
) -> Tuple[Optional[int], bool]:
    """Append each field that may stand; return the declared length and whether a date is there."""
    declared: Optional[int] = None
    dated = served = False
    for name, value in pairs:
        lowered = bytes(name).lower()
        value = bytes(value).strip(b" \t")
        if not TOKEN.fullmatch(lowered) or not FIELD_VALUE.fullmatch(value):
            raise AppError("Invalid response header")
        if lowered in _DROPPED:
            continue
        if lowered == b"content-length":
            if not DIGITS.fullmatch(value) or declared not in (None, int(value)):
                raise AppError("Invalid Content-Length")
            declared = int(value)
            continue
        if lowered == b"date":
            dated = True
        elif lowered == b"server":
            served = True
        pieces.append(encode_field(lowered, value))
    if not served:
        pieces.append(_SERVER)
    return declared, dated


def interim_block(status: int, fields: Iterable[Tuple[bytes, bytes]]) -> bytes:
    """Encode the head of an interim response (RFC 9110 section 15.2); 101 does not exist here."""
    if not isinstance(status, int) or not 100 <= status <= 199 or status == 101:
        raise AppError("Invalid interim status")
    pieces = [encode_field(b":status", b"%d" % status)]
    _encode_trailing(fields, pieces)
    return b"".join(pieces)


def trailer_block(fields: Iterable[Tuple[bytes, bytes]]) -> bytes:
    """Encode trailers; fields that frame the message are left out (RFC 9110 section 6.5.1)."""
    pieces: List[bytes] = []
    _encode_trailing(fields, pieces)
    return b"".join(pieces)


def _encode_trailing(fields: Iterable[Tuple[bytes, bytes]], pieces: List[bytes]) -> None:
    for name, value in fields:
        lowered = bytes(name).lower()
        value = bytes(value).strip(b" \t")
        if not TOKEN.fullmatch(lowered) or not FIELD_VALUE.fullmatch(value):
            raise AppError("Invalid response header")
        if lowered not in _DROPPED and lowered != b"content-length":
            pieces.append(encode_field(lowered, value))
