"""The fast lane of HTTP/1.1: one pass over one whole head, or a refusal to judge it.

Owned by one runtime thread, which is what makes its memos free of locks. The lane reads heads in
the one form that ordinary clients send and *declines* everything else, so that ``reader`` (h11 and
our guards) has the last word: it never refuses a request and never reads one differently.

The memos map whole lines, octet for octet, to what they were once validated to mean. Fields that
decide framing or connection handling never enter the memo of plain fields, so a hit proves that
the line is inert; credentials and long lines stay out. RFC 9112 sections 2.1, 3, 5 and 6.
"""

import re
from typing import Dict, List, Optional, Pattern, Tuple, TypeVar, Union

from ..._typing import RawHeader
from ..grammar import DIGITS, FIELD_VALUE, HOST, ORIGIN_REQUEST_LINE, TOKEN
from ..head import CHUNKED, RequestHead, split_target

INCOMPLETE = 0
"""The blank line has not arrived in the form the lane reads; the reader may still see an end."""

DECLINED = 1
"""The reader must decide."""

T = TypeVar("T")

HeadResult = Union[int, Tuple[RequestHead, int]]

MAX_FIELDS = 100
"""Field lines per message; one more is a 431 from the reader."""

_MEMO_ENTRIES = 1024  # lines; about 300 KiB at worst per thread
_MEMO_LINE = 256  # octets; longer lines are seldom the same twice
_MEMO_NAME = 64
_MEMO_SECTION = 2048

_FRAMING: Dict[bytes, Optional[Pattern[bytes]]] = {
    b"connection": None,
    b"content-length": DIGITS,
    b"expect": re.compile(rb"100-continue", re.IGNORECASE),
    b"host": HOST,
    b"transfer-encoding": re.compile(rb"chunked"),
    b"upgrade": None,
}
"""Fields that decide framing or connection handling, and the values that the lane understands."""

_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))


class Section:
    """The header section that a connection sent last: most clients send the same one again.

    Belongs to its connection, as whatever is in it does: unlike the memos it may hold credentials.
    """

    __slots__ = ("body_length", "expects_continue", "fields", "keep_alive", "octets", "upgrade")

    def __init__(self) -> None:
        self.octets: Optional[bytes] = None
        self.fields: Tuple[RawHeader, ...] = ()
        self.body_length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: Optional[bytes] = None


class HeadLane:
    """Reads ordinary heads, and remembers the lines they are made of.

    Args:
        limit: Octets a head may have; a longer one is declined.
    """

    __slots__ = ("_fields", "_framing", "_known", "_limit", "_names", "_request_lines")

    def __init__(self, limit: int) -> None:
        self._limit = limit - 4  # the blank line counts
        self._request_lines: Dict[bytes, Tuple[str, str, bytes, bytes]] = {}
        self._framing: Dict[bytes, RawHeader] = {}
        self._names: Dict[bytes, bytes] = {}
        self._fields: Dict[bytes, RawHeader] = {}
        self._known = self._fields.get

    def read_head(self, data: bytes, last: Optional[Section] = None) -> HeadResult:
        """Read one request head from the front of the received octets.

        Args:
            data: Octets received so far, at least one; never kept.
            last: What this connection sent before; brought up to date.

        Returns:
            ``(head, consumed)`` with ``consumed`` in octets, or ``INCOMPLETE`` when no blank
            line is in sight, or ``DECLINED`` when the reader must decide.

        Raises:
            Nothing: a bad head is declined, so that only the reader refuses requests.

        Spec:
            RFC 9112 sections 2.1, 3, 5 and 6.1; RFC 9110 section 5.5.
        """
        # hot: counted by tests/test_budget.py
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return INCOMPLETE
        if end > self._limit:
            return DECLINED
        line_end = data.find(b"\r\n")
        head = RequestHead()
        try:
            head.method, head.path, head.raw_path, head.query = self._request_lines[data[:line_end]]
        except KeyError:
            line = self._read_request_line(data[:line_end])
            if line is None:
                return DECLINED
            head.method, head.path, head.raw_path, head.query = line
        head.version = "1.1"
        head.authority = None
        octets = data[line_end:end]
        if last is not None and octets == last.octets:
            head.headers = list(last.fields)
            head.body_length = last.body_length
            head.keep_alive = last.keep_alive
            head.expects_continue = last.expects_continue
            head.upgrade = last.upgrade
            return head, end + 4
        head.body_length = 0
        head.keep_alive = True
        head.expects_continue = False
        head.upgrade = None
        if not self._read_section(head, octets):
            return DECLINED
        if last is not None:
            if len(octets) <= _MEMO_SECTION:
                last.octets = octets
                last.fields = tuple(head.headers)
                last.body_length = head.body_length
                last.keep_alive = head.keep_alive
                last.expects_continue = head.expects_continue
                last.upgrade = head.upgrade
            else:
                last.octets = None
        return head, end + 4

    def _read_section(self, head: RequestHead, octets: bytes) -> bool:
        """Read the field lines, each led by its CRLF; False declines the head."""
        lines = octets.split(b"\r\n")
        if len(lines) > MAX_FIELDS + 1:
            return False
        # Every line looked up at once. What stands before the first CRLF is no line, and framing
        # is never in this memo: a host first and only inert lines after it is the usual GET.
        headers = list(map(self._known, lines))
        if headers.count(None) == 2:
            try:
                headers[1] = pair = self._framing[lines[1]]
            except KeyError:
                pass
            else:
                if pair[0] == b"host":
                    del headers[0]
                    head.headers = headers  # type: ignore[assignment]  # no None is left
                    return True
        return self._read_fields(head, lines, headers)

    def _read_request_line(self, line: bytes) -> Optional[Tuple[str, str, bytes, bytes]]:
        matched = ORIGIN_REQUEST_LINE.fullmatch(line)
        if matched is None or len(line) > 65_000:
            return None
        method, target = matched.groups()
        entry = (method.decode("ascii"), *split_target(target))
        if len(line) <= _MEMO_LINE:
            _remember(self._request_lines, line, entry)
        return entry

    def _read_fields(
        self, head: RequestHead, lines: List[bytes], headers: List[Optional[RawHeader]]
    ) -> bool:
        """Read the field lines that are not plain and known; False declines the head."""
        known = self._framing
        framing: Dict[bytes, bytes] = {}
        at = 0
        for _ in range(headers.count(None) - 1):
            at = headers.index(None, at + 1)
            line = lines[at]
            try:
                pair = known[line]
            except KeyError:
                read = self._read_field(line)
                if read is None:
                    return False
                pair = read
            headers[at] = pair
            name = pair[0]
            if name in _FRAMING:
                if name in framing:
                    return False
                framing[name] = pair[1]
        del headers[0]
        head.headers = headers  # type: ignore[assignment]  # no None is left
        return _apply_framing(head, framing)

    def _read_field(self, line: bytes) -> Optional[RawHeader]:
        """Read and remember one field line; None declines the head."""
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        try:
            lower = self._names[name]
        except KeyError:
            if TOKEN.fullmatch(name) is None:
                return None
            lower = name.lower()
            if len(name) <= _MEMO_NAME:
                _remember(self._names, name, lower)
        if not colon or FIELD_VALUE.fullmatch(value) is None:
            return None
        pair = (lower, value)
        if lower in _FRAMING:
            valid = _FRAMING[lower]
            if valid is not None and valid.fullmatch(value) is None:
                return None
            if len(line) <= _MEMO_LINE:
                # A kept connection is what HTTP/1.1 gives anyway: inert.
                inert = lower == b"connection" and value.lower() == b"keep-alive"
                _remember(self._fields if inert else self._framing, line, pair)
        elif len(line) <= _MEMO_LINE and lower not in _SECRET:
            _remember(self._fields, line, pair)
        return pair


def _apply_framing(head: RequestHead, framing: Dict[bytes, bytes]) -> bool:
    """Fill in what the framing fields say, each valid and given once; False declines."""
    if b"host" not in framing:
        return False
    if len(framing) == 1:
        return True
    length = framing.get(b"content-length")
    if length is not None:
        if b"transfer-encoding" in framing:
            return False
        head.body_length = int(length)
    elif b"transfer-encoding" in framing:
        head.body_length = CHUNKED
    connection = framing.get(b"connection")
    if connection is not None:
        options = [option.strip(b" \t") for option in connection.lower().split(b",")]
        if b"close" in options:
            head.keep_alive = False
        if b"upgrade" in options and b"upgrade" in framing:
            head.upgrade = framing[b"upgrade"].lower()
    head.expects_continue = b"expect" in framing and head.body_length != 0
    return True


def _remember(memo: Dict[bytes, T], key: bytes, meaning: T) -> None:
    if len(memo) >= _MEMO_ENTRIES:
        memo.clear()
    memo[key] = meaning
