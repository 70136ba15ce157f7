"""From decoded fields to a request head: every rule of RFC 9113 sections 8.2 and 8.3.

h2 checks these only in its later releases and makes a connection error of each; here a bad
message costs its stream alone. The same function reads for the lane and for h2.
"""

import re
from typing import Dict, List, Optional, Tuple
from urllib.parse import unquote_to_bytes

from ..._typing import RawHeaders
from ..grammar import DIGITS, FIELD_VALUE, HOST, TOKEN
from ..head import CHUNKED, RequestHead

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_PATH = re.compile(rb"/[!-~]*|\*")
_PSEUDO = frozenset([b":method", b":scheme", b":path", b":authority", b":protocol"])
_CONNECTION_FIELDS = frozenset(
    [b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"]
)
_SINGLE = frozenset([b"host", b"content-length", b"te"])
_READ = _SINGLE | {b"priority", b"expect"}
_URGENCY = re.compile(rb"(?:^|,)[ \t]*u=([0-7])[ \t]*(?:$|[,;])")
_INCREMENTAL = re.compile(rb"(?:^|,)[ \t]*i(?:=\?([01]))?[ \t]*(?:$|[,;])")

DEFAULT_URGENCY = 3

Priority = Tuple[int, bool]
"""Urgency 0 to 7, incremental (RFC 9218 section 4)."""


def read_request(
    fields: RawHeaders, last: bool, connect_protocol: bool
) -> Optional[Tuple[RequestHead, Optional[Priority]]]:
    """Make a request head of decoded fields.

    Args:
        fields: As decoded, pseudo-fields included.
        last: No body follows.
        connect_protocol: Extended CONNECT was announced (RFC 8441).

    Returns:
        The head with the priority the client asked for, or None when the request is malformed.
    """
    pseudo: Dict[bytes, bytes] = {}
    seen: Dict[bytes, bytes] = {}
    headers: RawHeaders = []
    crumbs: List[bytes] = []
    crumbs_at = 0
    for name, value in fields:
        if name[:1] == b":":
            if headers or name not in _PSEUDO or name in pseudo:
                return None
            pseudo[name] = value
            continue
        if not _valid_field(name, value):
            return None
        if name == b"cookie":
            if not crumbs:
                crumbs_at = len(headers)
                headers.append((name, value))
            crumbs.append(value)
            continue
        if name in _READ:
            if name in seen and name in _SINGLE:
                return None
            seen[name] = value
        headers.append((name, value))
    head = RequestHead()
    head.section = None
    host = seen.get(b"host")
    if not _read_pseudo(head, pseudo, host, connect_protocol) or not _read_framing(
        head, seen, last
    ):
        return None
    if len(crumbs) > 1:  # section 8.2.3
        headers[crumbs_at] = (b"cookie", b"; ".join(crumbs))
    if host is None and head.authority is not None:
        headers.insert(0, (b"host", head.authority))
    head.version = "2"
    head.headers = headers
    head.keep_alive = True
    priority = seen.get(b"priority")
    return head, None if priority is None else read_priority(priority)


def _read_framing(head: RequestHead, seen: Dict[bytes, bytes], last: bool) -> bool:
    """Fill in what is said about the body; False when it cannot be (sections 8.1.1, 8.2.2)."""
    if seen.get(b"te", b"trailers").lower() != b"trailers":
        return False
    head.expects_continue = not last and seen.get(b"expect", b"").lower() == b"100-continue"
    length = seen.get(b"content-length")
    if length is None:
        head.body_length = 0 if last else CHUNKED
        return True
    if not DIGITS.fullmatch(length):
        return False
    head.body_length = int(length)
    return not last or not head.body_length


def _read_pseudo(
    head: RequestHead, pseudo: Dict[bytes, bytes], host: Optional[bytes], connect_protocol: bool
) -> bool:
    """Fill in what the pseudo-fields say; False when they break section 8.3."""
    method = pseudo.get(b":method", b"")
    if not TOKEN.fullmatch(method):
        return False
    protocol = pseudo.get(b":protocol")
    if protocol is not None and not (
        connect_protocol and method == b"CONNECT" and TOKEN.fullmatch(protocol)
    ):
        return False
    authority = pseudo.get(b":authority")
    named = host if authority is None else authority
    if not named or not HOST.fullmatch(named):
        return False
    if host is not None and authority is not None and host.lower() != authority.lower():
        return False
    if method == b"CONNECT" and protocol is None:  # section 8.5
        if authority is None or b":path" in pseudo or b":scheme" in pseudo:
            return False
        target = authority
    else:
        target = pseudo.get(b":path", b"")
        if not _PATH.fullmatch(target) or not _SCHEME.fullmatch(pseudo.get(b":scheme", b"")):
            return False
        if target == b"*" and method != b"OPTIONS":
            return False
    path, _, head.query = target.partition(b"?")
    head.method = method.decode("ascii")
    head.raw_path = path
    if b"%" in path:
        head.path = unquote_to_bytes(path).decode("utf-8", "replace")
    else:
        head.path = path.decode("ascii")
    head.authority = authority
    head.upgrade = protocol.lower() if protocol is not None else None
    return True


def valid_trailers(fields: RawHeaders) -> bool:
    """Tell whether trailers are well-formed: no pseudo-field, no bad octet (section 8.1)."""
    return all(_valid_field(name, value) for name, value in fields)


def _valid_field(name: bytes, value: bytes) -> bool:
    return (
        _NAME.fullmatch(name) is not None
        and FIELD_VALUE.fullmatch(value) is not None
        and value[:1] not in (b" ", b"\t")
        and value[-1:] not in (b" ", b"\t")
        and name not in _CONNECTION_FIELDS
    )


def read_priority(value: bytes) -> Priority:
    """Read a priority field; what cannot be read counts as absent (RFC 9218 section 4)."""
    urgency = _URGENCY.search(value)
    incremental = _INCREMENTAL.search(value)
    return (
        int(urgency.group(1)) if urgency else DEFAULT_URGENCY,
        incremental is not None and incremental.group(1) != b"0",
    )
