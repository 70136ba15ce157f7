"""The head of a request as every protocol delivers it: what was asked, and how it is framed.

Pure values; no I/O. HTTP/1 reads one from octets (``wire.http1``), HTTP/2 makes one per stream.
"""

from sys import intern
from typing import Any, Optional, Protocol, Tuple
from urllib.parse import unquote_to_bytes

from .._typing import RawHeaders

# Without the GIL, threads that count references to the same object slow each other down. Interned
# strings have no count there, and literals that look like names are interned; ``benchmarks``: ft-.
HTTP_1_1 = intern("1.1")
"""``RequestHead.version`` of most requests."""

CHUNKED = -1
"""``RequestHead.body_length`` of a body whose end is marked in the stream, not announced."""


def split_target(target: bytes) -> Tuple[str, bytes, bytes]:
    """Cut a target in origin-form into what the interfaces show.

    Args:
        target: Visible ASCII octets, starting with the path.

    Returns:
        ``(path, raw_path, query)``: the path percent-decoded as UTF-8 with U+FFFD for what does
        not decode, the same undecoded, and the octets after the first ``?``.

    Spec:
        RFC 3986 sections 2.1 and 3.4. A lone ``%`` stands for itself; nothing here raises.
    """
    raw_path, _, query = target.partition(b"?")
    if b"%" in raw_path:
        return unquote_to_bytes(raw_path).decode("utf-8", "replace"), raw_path, query
    return raw_path.decode("utf-8", "replace"), raw_path, query


class Keeper(Protocol):
    """A header section that is remembered.

    Attributes:
        kept: What the worker's interface made of its fields; None until it has.
    """

    kept: Any


class RequestHead:
    """One request head (RFC 9110 section 6.2), slotted and filled by its reader.

    Attributes:
        method: Token as received (RFC 9110 section 9.1).
        path: Target path, percent-decoded, UTF-8 with U+FFFD for what does not decode.
        raw_path: The same before decoding, without the query.
        query: Octets after the first ``?`` of the target, undecoded; empty if none.
        version: ``"1.0"``, ``"1.1"`` or ``"2"``.
        authority: Authority of an absolute-form target or of ``:authority``; else None.
        headers: Fields in wire order, names in lower case. On HTTP/2 pseudo-fields are not in it
            and cookie crumbs are joined. A fresh list per request: the application may keep it.
        body_length: Octets announced, 0 for no body, ``CHUNKED`` when the length is not known.
        keep_alive: The peer allows another exchange on this connection (HTTP/1).
        expects_continue: A 100 response is to be sent before the body is read.
        upgrade: Lower-case value of ``upgrade`` when ``connection`` names it, else None; on
            HTTP/2 the value of ``:protocol`` (RFC 8441).
        section: Who remembers these fields, as long as they are remembered: the interface may
            keep with it what it made of them. None where nothing is remembered.
    """

    __slots__ = (
        "authority",
        "body_length",
        "expects_continue",
        "headers",
        "keep_alive",
        "method",
        "path",
        "query",
        "raw_path",
        "section",
        "upgrade",
        "version",
    )

    method: str
    path: str
    raw_path: bytes
    query: bytes
    version: str
    authority: Optional[bytes]
    headers: RawHeaders
    body_length: int
    keep_alive: bool
    expects_continue: bool
    upgrade: Optional[bytes]
    section: Optional[Keeper]

    def field(self, name: bytes) -> Optional[bytes]:
        """Return the value of the first field called ``name`` (lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
