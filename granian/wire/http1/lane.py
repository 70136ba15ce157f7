"""The fast lane of HTTP/1.1: one pass over one whole head, or a refusal to judge it.

Owned by one runtime thread, which is what makes its memos free of locks. The lane reads heads in
the one form that ordinary clients send and *declines* everything else, so that ``reader`` (h11 and
our guards) has the last word: it never refuses a request and never reads one differently.

The memos map whole lines, octet for octet, to what they were once validated to mean. Fields that
decide framing or connection handling never enter the memo of plain fields, so a hit proves that
the line is inert; credentials and long lines stay out. RFC 9112 sections 2.1, 3, 5 and 6.
"""

from typing import Dict, List, Optional, Tuple, Union

from ..._typing import RawHeader
from ..grammar import DIGITS, FIELD_VALUE, HOST, ORIGIN_REQUEST_LINE, TOKEN
from ..head import CHUNKED, RequestHead, split_target

INCOMPLETE = 0
"""The blank line has not arrived in the form the lane reads; the reader may still see an end."""

DECLINED = 1
"""The reader must decide."""

HeadResult = Union[int, Tuple[RequestHead, int]]

MAX_FIELDS = 100
"""Field lines per message; one more is a 431 from the reader."""

_MEMO_ENTRIES = 1024  # lines; about 300 KiB at worst per thread
_MEMO_LINE = 256  # octets; longer lines are seldom the same twice

_FRAMING = frozenset(
    (
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"upgrade",
    )
)
_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))


class HeadLane:
    """Reads ordinary heads, and remembers the lines they are made of.

    Args:
        limit: Octets a head may have; a longer one is declined.
    """

    __slots__ = ("_fields", "_hosts", "_limit", "_request_lines")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._request_lines: Dict[bytes, Tuple[str, str, bytes, bytes]] = {}
        self._hosts: Dict[bytes, RawHeader] = {}
        self._fields: Dict[bytes, RawHeader] = {}

    def read_head(self, data: bytes) -> HeadResult:  # hot: tests/test_budget.py counts its calls
        """Read one request head from the front of the received octets.

        Args:
            data: Octets received so far, at least one; never kept.

        Returns:
            ``(head, consumed)`` with ``consumed`` in octets, or ``INCOMPLETE`` when no blank
            line is in sight, or ``DECLINED`` when the reader must decide.

        Raises:
            Nothing: a bad head is declined, so that only the reader refuses requests.

        Spec:
            RFC 9112 sections 2.1, 3, 5 and 6.1; RFC 9110 section 5.5.
        """
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return INCOMPLETE
        if end > self._limit:
            return DECLINED
        lines = data[:end].split(b"\r\n")
        head = RequestHead()
        try:
            head.method, head.path, head.raw_path, head.query = self._request_lines[lines[0]]
        except KeyError:
            line = self._read_request_line(lines[0])
            if line is None:
                return DECLINED
            head.method, head.path, head.raw_path, head.query = line
        head.version = "1.1"
        head.authority = None
        head.keep_alive = True
        head.body_length = 0
        head.expects_continue = False
        head.upgrade = None
        if len(lines) > MAX_FIELDS:
            return DECLINED
        # A host line first and only inert lines after it: the shape of nearly every GET.
        fields = self._fields
        try:
            headers = [self._hosts[lines[1]]]
            headers += [fields[line] for line in lines[2:]]
        except (KeyError, IndexError):
            del lines[0]
            if not self._read_fields(head, lines):
                return DECLINED
        else:
            head.headers = headers
        return head, end + 4

    def _read_request_line(self, line: bytes) -> Optional[Tuple[str, str, bytes, bytes]]:
        matched = ORIGIN_REQUEST_LINE.fullmatch(line)
        if matched is None or len(line) > 65_000:
            return None
        method, target = matched.groups()
        entry = (method.decode("ascii"), *split_target(target))
        if len(line) <= _MEMO_LINE:
            if len(self._request_lines) >= _MEMO_ENTRIES:
                self._request_lines.clear()
            self._request_lines[line] = entry
        return entry

    def _read_fields(self, head: RequestHead, lines: List[bytes]) -> bool:
        """Read field lines of any mixture; False declines the head."""
        fields = self._fields
        headers: List[RawHeader] = []
        framing: Optional[Dict[bytes, bytes]] = None
        for line in lines:
            try:
                headers.append(fields[line])
                continue
            except KeyError:
                pass
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or TOKEN.fullmatch(name) is None or FIELD_VALUE.fullmatch(value) is None:
                return False
            pair = (name.lower(), value)
            headers.append(pair)
            name = pair[0]
            if name in _FRAMING:
                if framing is None:
                    framing = {}
                elif name in framing:
                    return False
                framing[name] = value
                if name == b"host" and len(line) <= _MEMO_LINE and HOST.fullmatch(value):
                    self._remember(self._hosts, line, pair)
                elif name == b"connection" and value.lower() == b"keep-alive":
                    # What HTTP/1.1 does anyway: as inert as any other field.
                    self._remember(fields, line, pair)
            elif len(line) <= _MEMO_LINE and name not in _SECRET:
                self._remember(fields, line, pair)
        head.headers = headers
        return framing is not None and self._apply_framing(head, framing)

    def _remember(self, memo: Dict[bytes, RawHeader], line: bytes, pair: RawHeader) -> None:
        if len(memo) >= _MEMO_ENTRIES:
            memo.clear()
        memo[line] = pair

    def _apply_framing(self, head: RequestHead, framing: Dict[bytes, bytes]) -> bool:
        """Fill in what the framing fields say, each of them given once; False declines."""
        host = framing.get(b"host")
        if host is None or HOST.fullmatch(host) is None:
            return False
        length = framing.get(b"content-length")
        coding = framing.get(b"transfer-encoding")
        if length is not None:
            if coding is not None or DIGITS.fullmatch(length) is None:
                return False
            head.body_length = int(length)
        elif coding is not None:
            if coding != b"chunked":
                return False
            head.body_length = CHUNKED
        connection = framing.get(b"connection")
        if connection is not None:
            options = [option.strip(b" \t") for option in connection.lower().split(b",")]
            if b"close" in options:
                head.keep_alive = False
            if b"upgrade" in options and b"upgrade" in framing:
                head.upgrade = framing[b"upgrade"].lower()
        expectation = framing.get(b"expect")
        if expectation is not None:
            if expectation.lower() != b"100-continue":
                return False
            head.expects_continue = head.body_length != 0
        return True
