"""The only place that makes HTTP/1 response octets; nothing an application gives can split them.

Owned by one runtime thread, which is what makes its memos free of locks. Every field is validated
before it is rendered; a rendered field line, and the whole head made of such lines, are remembered
by the exact octets they came from. Framing is chosen here alone: fields with which an application
would frame or route the connection itself are read, checked, and rendered anew or dropped.
RFC 9112 sections 4, 5, 6 and 9; RFC 9110 sections 6.4.1, 8.6 and 15.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

from ...errors import AppError
from ..grammar import DIGITS, FIELD_VALUE, TOKEN
from ..head import CHUNKED
from ..status import STATUS_LINES, forbids_body, status_line
from ..waist import Fields

UNTIL_CLOSE = -2
"""Framing of a body that ends with the connection (RFC 9112 section 6.3, for HTTP/1.0 peers)."""

LAST_CHUNK = b"0\r\n\r\n"

_MEMO_ENTRIES = 512
_MEMO_LINE = 256
_MEMO_HEAD = 2048
_SERVER_LINE = b"server: granian\r\n"

_HOP_BY_HOP = frozenset((b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding"))
"""Fields of the connection, which is ours: dropped (RFC 9110 section 7.6.1)."""


class Head(NamedTuple):
    """A validated response head, ready but for its framing, date and connection options."""

    octets: bytes
    """Status line and field lines, without date, content-length and connection."""

    length: Optional[int]
    """What the application announced, or None."""

    dated: bool
    """The application set ``date``."""

    close: bool
    """The application asked for ``connection: close``."""

    bodiless: bool
    """The status forbids content."""


class HeadWriter:
    """Renders response heads."""

    __slots__ = ("_date", "_heads", "_lengths", "_lines", "_ready")

    def __init__(self, date: bytes) -> None:
        self.date = date
        self._lengths: Dict[int, bytes] = {}
        self._heads: Dict[Tuple[int, Tuple[Tuple[bytes, bytes], ...]], Head] = {}
        self._lines: Dict[Tuple[bytes, bytes], bytes] = {}

    @property
    def date(self) -> bytes:
        """The current ``date`` line, replaced once a second by the runtime's clock."""
        return self._date

    @date.setter
    def date(self, line: bytes) -> None:
        self._date = line
        # A new one, not emptied: without a GIL, another thread may be about to fill the old one.
        self._ready: Dict[Tuple[int, Fields], Tuple[bytes, Optional[int]]] = {}

    def encode_response(  # hot: tests/test_budget.py counts its calls
        self, status: int, headers: Fields, body: bytes, connection: bytes = b""
    ) -> bytes:
        """Render a whole response with content for an HTTP/1.1 peer.

        Args:
            status: A final status.
            headers: As the application gave them.
            body: All of the content.
            connection: A whole ``connection`` line, or nothing.

        Returns:
            The octets to send; empty when the response is not of the ordinary kind and must be
            rendered by ``encode_head``.

        Raises:
            AppError: A status, name, value or length that cannot be sent.
        """
        fields = tuple(headers)
        try:
            start, length = self._ready[status, fields]
        except (KeyError, TypeError):
            head = self.read_fields(status, fields)
            if head.dated or head.close or head.bodiless:
                return b""
            start, length = self._prepare(status, fields, head)
        size = len(body)
        if length is None:
            try:
                line = self._lengths[size]
            except KeyError:
                line = self._length_line(size)
            return b"".join((start, connection, line, body))
        if length != size:
            return b""
        return b"".join((start, connection, b"\r\n", body))

    def _prepare(self, status: int, fields: Fields, head: Head) -> Tuple[bytes, Optional[int]]:
        """Remember for this second how an ordinary response begins, and its length if announced."""
        start = head.octets + self._date
        if head.length is not None:
            start += b"content-length: %d\r\n" % head.length
        ready = start, head.length
        if len(start) <= _MEMO_HEAD and len(self._ready) < _MEMO_ENTRIES:
            try:
                self._ready[status, fields] = ready
            except TypeError:
                pass  # fields in lists are no key
        return ready

    def _length_line(self, size: int) -> bytes:
        line = b"content-length: %d\r\n\r\n" % size
        if len(self._lengths) >= _MEMO_ENTRIES:
            self._lengths.clear()
        self._lengths[size] = line
        return line

    def read_fields(self, status: int, headers: Fields) -> Head:
        """Validate a status and fields as an application gave them.

        Raises:
            AppError: A status outside 200 to 999, a name that is no token, a value with control
                octets, lengths that contradict each other.
        """
        fields = tuple(headers)
        try:
            return self._heads[status, fields]
        except (KeyError, TypeError):
            return self._read_fields(status, fields)

    def _read_fields(self, status: int, fields: Fields) -> Head:
        if not isinstance(status, int) or not 200 <= status <= 999:
            raise AppError(f"impossible response status: {status!r}")
        pairs: List[Tuple[bytes, bytes]] = []
        parts = [STATUS_LINES.get(status) or status_line(status)]
        length: Optional[int] = None
        dated = close = served = False
        for field in fields:
            name, value = pair = _as_pair(field)
            pairs.append(pair)
            try:
                parts.append(self._lines[pair])
                continue
            except KeyError:
                pass
            name = _check_field(name, value)
            if name == b"content-length":
                length = _read_length(value, length)
            elif name == b"connection":
                options = [option.strip(b" \t") for option in value.lower().split(b",")]
                close = close or b"close" in options
                if b"upgrade" in options:
                    parts.append(b"connection: upgrade\r\n")
            elif name in _HOP_BY_HOP:
                continue
            else:
                dated = dated or name == b"date"
                served = served or name == b"server"
                line = b"%b: %b\r\n" % (name, value)
                parts.append(line)
                if name not in (b"date", b"server") and len(line) <= _MEMO_LINE:
                    if len(self._lines) >= _MEMO_ENTRIES:
                        self._lines.clear()
                    self._lines[pair] = line
        if not served:
            parts.append(_SERVER_LINE)
        head = Head(b"".join(parts), length, dated, close, forbids_body(status))
        if len(head.octets) <= _MEMO_HEAD:
            if len(self._heads) >= _MEMO_ENTRIES:
                self._heads.clear()
            self._heads[status, tuple(pairs)] = head
        return head

    def encode_head(self, head: Head, framing: Optional[int], connection: bytes) -> bytes:
        """Render a head with the framing that was chosen for it.

        Args:
            head: From ``read_fields``.
            framing: Octets of content-length, ``CHUNKED``, ``UNTIL_CLOSE``, or None for a
                response that says nothing of a body.
            connection: A whole ``connection`` line, or nothing.
        """
        if framing is None or framing == UNTIL_CLOSE:
            line = b""
        elif framing == CHUNKED:
            line = b"transfer-encoding: chunked\r\n"
        else:
            line = b"content-length: %d\r\n" % framing
        date = b"" if head.dated else self._date
        return b"".join((head.octets, date, line, connection, b"\r\n"))


def encode_interim(status: int, fields: Fields) -> bytes:
    """Render an interim response (RFC 9110 section 15.2), such as 103 with its links.

    Raises:
        AppError: As ``HeadWriter.read_fields``.
    """
    parts = [status_line(status)]
    for field in fields:
        name, value = _as_pair(field)
        name = _check_field(name, value)
        if name not in (b"content-length", b"transfer-encoding", b"connection"):
            parts.append(b"%b: %b\r\n" % (name, value))
    parts.append(b"\r\n")
    return b"".join(parts)


def encode_switch(fields: Fields, date: bytes) -> bytes:
    """Render the 101 after which the connection speaks another protocol (RFC 9110 section 7.8).

    Args:
        fields: Those of the new protocol's handshake, ``connection`` and ``upgrade`` included.
        date: The whole field line of the date.

    Raises:
        AppError: As ``HeadWriter.read_fields``.
    """
    parts = [status_line(101), date]
    for field in fields:
        name, value = _as_pair(field)
        parts.append(b"%b: %b\r\n" % (_check_field(name, value), value))
    parts.append(b"\r\n")
    return b"".join(parts)


def encode_chunk(data: bytes) -> bytes:
    """Frame one piece of a chunked body; ``data`` is not empty (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode_trailers(fields: Fields) -> bytes:
    """Render the last chunk with its trailer section (RFC 9112 section 7.1.2).

    Raises:
        AppError: A field that is malformed or that frames a message (RFC 9110 section 6.5.1).
    """
    parts = [b"0\r\n"]
    for field in fields:
        name, value = _as_pair(field)
        name = _check_field(name, value)
        if name in (b"content-length", b"transfer-encoding", b"connection", b"host", b"trailer"):
            raise AppError("a framing field among the trailers")
        parts.append(b"%b: %b\r\n" % (name, value))
    parts.append(b"\r\n")
    return b"".join(parts)


def _as_pair(field: Tuple[bytes, bytes]) -> Tuple[bytes, bytes]:
    """Take a field in any sequence of two octet strings."""
    try:
        name, value = field
    except (TypeError, ValueError):
        raise AppError("a response field is not a pair") from None
    if type(name) is bytes and type(value) is bytes:
        return name, value
    if not isinstance(name, (bytes, bytearray)) or not isinstance(value, (bytes, bytearray)):
        raise AppError("a response field is not a pair of octet strings")
    return bytes(name), bytes(value)


def _check_field(name: bytes, value: bytes) -> bytes:
    """Return the name in lower case if both may be sent; the message names no value."""
    if TOKEN.fullmatch(name) is None:
        raise AppError(f"illegal response field name: {name!r}")
    if FIELD_VALUE.fullmatch(value) is None:
        raise AppError(f"illegal octets in the value of response field {name!r}")
    return name.lower()


def _read_length(value: bytes, known: Optional[int]) -> int:
    value = value.strip(b" \t")
    if DIGITS.fullmatch(value) is None:
        raise AppError("malformed content-length in a response")
    length = int(value)
    if known is not None and length != known:
        raise AppError("two different content-lengths in a response")
    return length
