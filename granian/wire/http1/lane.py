"""The fast lane of HTTP/1.1: one pass over one whole head, or a refusal to judge it.

Owned by one runtime thread, which is what makes its memos free of locks. The lane reads heads in
the one form that ordinary clients send and *declines* everything else, so that ``reader`` (h11 and
our guards) has the last word: it never refuses a request and never reads one differently.

The memos map whole lines, octet for octet, to what they were once validated to mean. Fields that
decide framing or connection handling never enter the memo of plain fields, so a hit proves that
the line is inert; credentials and long lines stay out. RFC 9112 sections 2.1, 3, 5 and 6.
"""

import re
from typing import Any, Dict, List, Optional, Pattern, Protocol, Tuple, TypeVar, Union

from ..._typing import RawHeader
from ..grammar import DIGITS, FIELD_VALUE, HOST, ORIGIN_REQUEST_LINE, PLAIN_REQUEST_LINE, TOKEN
from ..head import CHUNKED, HTTP_1_1, RequestHead, split_target

INCOMPLETE = 0
"""The blank line has not arrived in the form the lane reads; the reader may still see an end."""

DECLINED = 1
"""The reader must decide."""

T = TypeVar("T")

_new: Any = object.__new__

HeadResult = Union[int, Tuple[RequestHead, int]]

MAX_FIELDS = 100
"""Field lines per message; one more is a 431 from the reader."""

_MEMO_ENTRIES = 1024  # lines; about 300 KiB at worst per thread
_MEMO_LINE = 256  # octets; longer lines are seldom the same twice
_MARKS = 256  # request lines of which it is known that they were seen
_MEMO_NAME = 64
_MEMO_SECTION = 1024
_MEMO_SECTIONS = 256
_MAX_LINE = 65_000  # of a request line; the reader knows the exact limit of the target

_FRAMING: Dict[bytes, Optional[Pattern[bytes]]] = {
    b"connection": None,
    b"content-length": DIGITS,
    b"expect": re.compile(rb"100-continue", re.IGNORECASE),
    b"host": HOST,
    b"transfer-encoding": re.compile(rb"chunked"),
    b"upgrade": None,
}
"""Fields that decide framing or connection handling, and the values that the lane understands."""

_COOKIE = b"\r\nCookie: "
_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))


class Section:
    """A header section that was read once, octet for octet: most clients send the same one again.

    Attributes:
        octets: The field lines, each led by its CRLF.
        fields: What they say.
        kept: See ``head.Keeper``.

    A section with a credential in it is kept by the connection that sent it alone.
    """

    __slots__ = (
        "body_length",
        "expects_continue",
        "fields",
        "keep_alive",
        "kept",
        "octets",
        "upgrade",
    )

    fields: Tuple[RawHeader, ...]

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.body_length = 0
        self.keep_alive = True
        self.expects_continue = False
        self.upgrade: Optional[bytes] = None
        self.kept: Any = None

    def with_field(self, octets: bytes, at: int, field: RawHeader) -> "Section":  # hot
        """Return this section with one more field, which frames nothing."""
        section: Section = _new(Section)
        section.octets = octets
        section.kept = None
        section.fields = self.fields[:at] + (field,) + self.fields[at:]  # noqa: RUF005 - C speed
        section.body_length = self.body_length
        section.keep_alive = self.keep_alive
        section.expects_continue = self.expects_continue
        section.upgrade = self.upgrade
        return section


class Sender(Protocol):
    """A connection, as far as the lane knows it.

    Attributes:
        section: The header section that it sent last.
    """

    section: Optional[Section]


class HeadLane:
    """Reads ordinary heads, and remembers what they are made of.

    Args:
        limit: Octets a head may have; a longer one is declined.
    """

    __slots__ = (
        "_fields",
        "_find_field",
        "_find_framing",
        "_find_line",
        "_find_section",
        "_framing",
        "_limit",
        "_lines",
        "_marks",
        "_names",
        "_sections",
    )

    def __init__(self, limit: int) -> None:
        self._limit = limit - 4  # the blank line counts
        self._lines: Dict[bytes, Tuple[str, str, bytes, bytes]] = {}
        self._marks = [0] * _MARKS
        self._sections: Dict[bytes, Section] = {}
        self._fields: Dict[bytes, RawHeader] = {}
        self._framing: Dict[bytes, RawHeader] = {}
        self._names: Dict[bytes, bytes] = {}
        self._find_line = self._lines.get
        self._find_section = self._sections.get
        self._find_field = self._fields.get
        self._find_framing = self._framing.get

    def read_head(self, data: bytes, sender: Optional[Sender] = None) -> HeadResult:
        """Read one request head from the front of the received octets.

        Args:
            data: Octets received so far, at least one; never kept.
            sender: The connection they came from; its ``section`` is brought up to date.

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
        line = self._find_line(data[:line_end])
        if line is None:
            line = self._read_request_line(data[:line_end])
            if line is None:
                return DECLINED
        octets = data[line_end:end]
        section = None if sender is None else sender.section
        if section is None or section.octets != octets:
            section = self._find_section(octets) or self._read_section(octets)
            if section is None:
                return DECLINED
            if sender is not None:
                # What an idle connection holds on to has a limit.
                sender.section = section if len(octets) <= _MEMO_SECTION else None
        head = RequestHead()
        head.method, head.path, head.raw_path, head.query = line
        head.version = HTTP_1_1
        head.authority = None
        head.headers = list(section.fields)
        head.body_length = section.body_length
        head.keep_alive = section.keep_alive
        head.expects_continue = section.expects_continue
        head.upgrade = section.upgrade
        head.section = section
        return head, end + 4

    def _read_request_line(self, line: bytes) -> Optional[Tuple[str, str, bytes, bytes]]:
        matched = PLAIN_REQUEST_LINE.fullmatch(line)
        if matched is not None:
            method, path, query = matched.groups(b"")
            entry = (method.decode("ascii"), path.decode("ascii"), path, query)
        else:
            matched = ORIGIN_REQUEST_LINE.fullmatch(line)
            if matched is None:
                return None
            method, target = matched.groups()
            entry = (method.decode("ascii"), *split_target(target))
        if len(line) > _MEMO_LINE:
            return entry if len(line) <= _MAX_LINE else None
        # Remembered when seen again: paths that never come back would only push other things out
        # of the caches (benchmarks: asgi-unique).
        mark = hash(line)
        slot = mark % _MARKS
        if self._marks[slot] == mark:
            _remember(self._lines, line, entry)
        else:
            self._marks[slot] = mark
        return entry

    def _read_section(self, octets: bytes) -> Optional[Section]:
        """Read and remember field lines; None declines the head."""
        # A cookie is what differs between sections that are otherwise the same: without it, this
        # one may be known.
        start = octets.find(_COOKIE)
        if start >= 0:
            end = octets.find(b"\r\n", start + len(_COOKIE))
            if end < 0:
                end = len(octets)
            before = octets[:start]
            rest = self._find_section(before + octets[end:])
            value = octets[start + len(_COOKIE) : end]
            if (
                rest is not None
                and len(rest.fields) < MAX_FIELDS
                and FIELD_VALUE.fullmatch(value) is not None
            ):
                at = before.count(b"\r\n")
                return rest.with_field(octets, at, (b"cookie", value.strip(b" \t")))
        return self._read_lines(octets)

    def _read_lines(self, octets: bytes) -> Optional[Section]:
        """Read and remember field lines, one by one; None declines the head."""
        lines = octets.split(b"\r\n")
        if len(lines) > MAX_FIELDS + 1:
            return None
        section = Section(octets)
        # Every line looked up at once; the first, before the first CRLF, is no line.
        fields = list(map(self._find_field, lines))
        framing: Dict[bytes, bytes] = {}
        secrets: List[int] = []
        at = 0
        for _ in range(fields.count(None) - 1):
            at = fields.index(None, at + 1)
            pair = self._find_framing(lines[at]) or self._read_field(lines[at])
            if pair is None:
                return None
            fields[at] = pair
            name, value = pair
            if name in _FRAMING:
                if name in framing:
                    return None
                framing[name] = value
            elif name in _SECRET:
                secrets.append(at)
        if b"host" not in framing or (len(framing) > 1 and not _apply_framing(section, framing)):
            return None
        del fields[0]
        section.fields = tuple(fields)  # type: ignore[arg-type]  # no None is left
        if not secrets:
            self._remember_section(section)
        elif len(secrets) == 1 and section.fields[secrets[0] - 1][0] == b"cookie":
            self._remember_rest(section, octets, secrets[0] - 1)
        return section

    def _remember_rest(self, section: Section, octets: bytes, at: int) -> None:
        """Have sections that differ from this one in its cookie alone be known by the rest."""
        start = octets.find(_COOKIE)
        if start < 0:
            return
        end = octets.find(b"\r\n", start + len(_COOKIE))
        rest = Section(octets[:start] if end < 0 else octets[:start] + octets[end:])
        rest.fields = section.fields[:at] + section.fields[at + 1 :]
        rest.body_length = section.body_length
        rest.keep_alive = section.keep_alive
        rest.expects_continue = section.expects_continue
        rest.upgrade = section.upgrade
        self._remember_section(rest)

    def _remember_section(self, section: Section) -> None:
        if len(section.octets) <= _MEMO_SECTION:
            if len(self._sections) >= _MEMO_SECTIONS:
                self._sections.clear()
            self._sections[section.octets] = section

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


def _apply_framing(section: Section, framing: Dict[bytes, bytes]) -> bool:
    """Note what the framing fields say, each valid and given once; False declines."""
    length = framing.get(b"content-length")
    if length is not None:
        if b"transfer-encoding" in framing:
            return False
        section.body_length = int(length)
    elif b"transfer-encoding" in framing:
        section.body_length = CHUNKED
    connection = framing.get(b"connection")
    if connection is not None:
        options = [option.strip(b" \t") for option in connection.lower().split(b",")]
        if b"close" in options:
            section.keep_alive = False
        if b"upgrade" in options and b"upgrade" in framing:
            section.upgrade = framing[b"upgrade"].lower()
    section.expects_continue = b"expect" in framing and section.body_length != 0
    return True


def _remember(memo: Dict[bytes, T], key: bytes, meaning: T) -> None:
    if len(memo) >= _MEMO_ENTRIES:
        memo.clear()
    memo[key] = meaning
