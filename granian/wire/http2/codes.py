"""Numbers of RFC 9113 as plain integers: frame types, flags, error codes; and frames by hand."""

from struct import Struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 5, 6, 7, 8, 9
PRIORITY_UPDATE = 0x10
"""Frame types, RFC 9113 section 6 and RFC 9218 section 7.1."""

END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 0x1, 0x1, 0x4, 0x8, 0x20
"""Flags, RFC 9113 section 6."""

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL = 5, 6, 7, 8
COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 9, 11
"""Error codes, RFC 9113 section 7."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The client connection preface, RFC 9113 section 3.4."""

WINDOW_MAX = 0x7FFFFFFF
STREAM_ID_MAX = 0x7FFFFFFF

FRAME_HEADER = Struct(">BHBBL")
"""Length in two parts, type, flags, stream (RFC 9113 section 4.1)."""

_WORD = Struct(">L")
pack_header = FRAME_HEADER.pack


def frame(kind: int, flags: int, number: int, payload: bytes = b"") -> bytes:
    """Render one frame."""
    size = len(payload)
    return pack_header(size >> 16, size & 0xFFFF, kind, flags, number) + payload


def window_update(number: int, increment: int) -> bytes:
    """Render a WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, number, _WORD.pack(increment))


def rst_stream(number: int, code: int) -> bytes:
    """Render a RST_STREAM."""
    return frame(RST_STREAM, 0, number, _WORD.pack(code))


def goaway(last: int, code: int) -> bytes:
    """Render a GOAWAY without debug data."""
    return frame(GOAWAY, 0, 0, _WORD.pack(last) + _WORD.pack(code))


class Fault(Exception):  # noqa: N818 # the peer's, as in HTTP; not an error of ours
    """The connection cannot go on (RFC 9113 section 5.4.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
