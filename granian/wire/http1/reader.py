"""The last word on HTTP/1 heads: h11 borrowed for one message, with the guards it lacks.

Called for every head the lane declined, on the thread that owns the connection. h11 decides what
is valid; the guards before and after it refuse what h11 lets through: lengths given twice over,
codings on HTTP/1.0, folded lines, unknown versions, hosts and targets that cannot be, too many
fields. RFC 9112 sections 2 to 6, RFC 9110 sections 5, 7.2 and 10.1.1.
"""

import re
from typing import List, Tuple

import h11

from ..._typing import RawHeader
from ...errors import PeerError
from ..grammar import (
    ABSOLUTE_FORM,
    AUTHORITY_FORM,
    DIGITS,
    FIELD_VALUE,
    HOST,
    REQUEST_LINE,
)
from ..head import CHUNKED, HTTP_1_1, RequestHead, split_target
from .lane import MAX_FIELDS

MAX_TARGET = 65_534
"""Octets of a request target; a longer one is a 414 (RFC 9112 section 3)."""

_END_OF_HEAD = re.compile(rb"\n\r?\n")
_NOT_A_REQUEST = re.compile(rb"[^!-~\x80-\xff \r\n]|^[!-~]*[\x80-\xff]")


def find_end(data: "bytes | bytearray", start: int) -> int:
    """Return the offset after the blank line that ends a head, or -1.

    Args:
        data: Octets received so far.
        start: Where to begin, at most two octets before the first one not looked at yet.
    """
    matched = _END_OF_HEAD.search(data, max(0, start))
    return -1 if matched is None else matched.end()


def check_incomplete(data: "bytes | bytearray", limit: int) -> None:
    """Refuse a head that has not ended and need not be waited for.

    Raises:
        PeerError: 400 for octets that begin no request line, 414 for a target without end, 431
            for a head beyond ``limit`` octets.
    """
    line_end = data.find(b"\n", 2 if data[:2] == b"\r\n" else 0)
    first = data if line_end < 0 else data[:line_end]
    if data[:1] in (b" ", b"\t") or _NOT_A_REQUEST.search(first[:4096]) is not None:
        raise PeerError(400, "no request line")
    if line_end < 0 and len(data) > MAX_TARGET + 64:
        raise PeerError(414, "target too long")
    if len(data) > limit:
        raise PeerError(431, "head too large")


def read_head(data: bytes, limit: int) -> RequestHead:
    """Read one whole head.

    Args:
        data: Exactly the octets of the head, its blank line included.
        limit: Octets a head may have.

    Returns:
        The head, its framing decided.

    Raises:
        PeerError: With the status of the refusal: 400, 414, 431, 501 or 505. The connection
            cannot be used after it.
    """
    if data[:2] == b"\r\n":
        data = data[2:]  # one empty line before a request is forgiven (RFC 9112 section 2.2)
    check_incomplete(data, limit)
    target, version_minor = _check_request_line(data)
    if data.count(b"\n") > MAX_FIELDS + 2:
        raise PeerError(431, "too many fields")
    if b"\n " in data or b"\n\t" in data:
        raise PeerError(400, "folded field line")
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    try:
        # h11 takes visible ASCII only; the line is checked, and the target is ours to read.
        connection.receive_data(data if target.isascii() else data.replace(target, b"/", 1))
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise PeerError(_status_of(error, data), "h11 refused the head") from None
    if not isinstance(event, h11.Request):
        raise PeerError(400, "no request")
    head = RequestHead()
    head.version = "1.0" if version_minor == 0 else HTTP_1_1
    head.method = event.method.decode("ascii")
    head.headers = [(bytes(name), bytes(value)) for name, value in event.headers]
    _read_target(head, target)
    _read_fields(head, _raw_lengths(data))
    return head


def _check_request_line(data: bytes) -> Tuple[bytes, int]:
    """Return the target and the minor version of a request line that h11 may see."""
    line = data[: data.find(b"\n")].rstrip(b"\r")
    matched = REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise PeerError(400, "malformed request line")
    _, target, major, minor = matched.groups()
    if len(target) > MAX_TARGET:
        raise PeerError(414, "target too long")
    if major != b"1":
        # The HTTP/2 preface on a listener without HTTP/2 is no HTTP/1 version at all.
        raise PeerError(400 if target == b"*" and major == b"2" else 505, "unknown version")
    return target, int(minor)


def _status_of(error: h11.RemoteProtocolError, data: bytes) -> int:
    if error.error_status_hint != 501:
        return error.error_status_hint
    # h11 answers 501 to every coding but one "chunked"; a wrong order is the peer's fault.
    codings: List[bytes] = []
    for line in data.split(b"\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            if codings:
                return 400
            codings = [coding.strip(b" \t\r") for coding in value.lower().split(b",")]
    return 400 if b"chunked" in codings[:-1] or b"" in codings else 501


def _raw_lengths(data: bytes) -> int:
    """Count content-lengths as sent, in lines or in lists: h11 folds equal ones into one."""
    lines = [line for line in data.split(b"\n") if line[:15].lower() == b"content-length:"]
    return sum(1 + line.count(b",") for line in lines)


def _read_target(head: RequestHead, target: bytes) -> None:
    """Split a target in any of the four forms (RFC 9112 section 3.2)."""
    head.authority = None
    if target[:1] == b"/":
        head.path, head.raw_path, head.query = split_target(target)
        return
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute is not None:
        authority, rest = absolute.groups()
        head.authority = authority.rpartition(b"@")[2]  # userinfo is nobody's business here
        if HOST.fullmatch(head.authority) is None or not head.authority:
            raise PeerError(400, "bad authority")
        if rest[:1] != b"/":
            rest = b"/" + rest
        head.path, head.raw_path, head.query = split_target(rest)
    elif (target == b"*" and head.method == "OPTIONS") or (
        head.method == "CONNECT" and AUTHORITY_FORM.fullmatch(target) is not None
    ):
        head.path, head.raw_path, head.query = target.decode("ascii"), target, b""
        if head.method == "CONNECT":
            head.authority = target
    else:
        raise PeerError(400, "target in no known form")


def _single(headers: List[RawHeader], name: bytes) -> Tuple[int, bytes]:
    values = [value for key, value in headers if key == name]
    return len(values), values[0] if values else b""


def _tokens(headers: List[RawHeader], name: bytes) -> List[bytes]:
    return [
        token.strip(b" \t")
        for key, value in headers
        if key == name
        for token in value.lower().split(b",")
    ]


def _read_fields(head: RequestHead, raw_lengths: int) -> None:
    headers = head.headers
    for _, value in headers:
        if FIELD_VALUE.fullmatch(value) is None:
            raise PeerError(400, "control octet in a field value")
    hosts, host = _single(headers, b"host")
    if hosts and HOST.fullmatch(host) is None:
        raise PeerError(400, "bad host")
    lengths, length = _single(headers, b"content-length")
    codings, _ = _single(headers, b"transfer-encoding")
    if codings and (lengths or head.version == "1.0"):
        raise PeerError(400, "transfer-encoding beside content-length, or in HTTP/1.0")
    head.body_length = CHUNKED if codings else 0
    if lengths:
        if raw_lengths > 1 or DIGITS.fullmatch(length) is None:
            raise PeerError(400, "bad content-length")
        head.body_length = int(length)
    options = _tokens(headers, b"connection")
    if head.version == "1.0":
        head.keep_alive = b"keep-alive" in options and b"close" not in options
    else:
        head.keep_alive = b"close" not in options
    head.upgrade = None
    head.section = None
    if b"upgrade" in options and head.version == HTTP_1_1:
        count, value = _single(headers, b"upgrade")
        head.upgrade = value.lower() if count == 1 else None
    head.expects_continue = (
        head.version == HTTP_1_1
        and head.body_length != 0
        and b"100-continue" in _tokens(headers, b"expect")
    )
