"""Is this head a valid offer of a WebSocket, and what is the answer.

Works on the parsed head; nothing is parsed twice. ``Origin`` is not looked at: whom to serve is
the application's choice (RFC 6455 section 10.2). RFC 6455 section 4.2, RFC 8441 section 5,
RFC 7692 section 5. Owner thread only; no pattern backtracks, no loop exceeds the head's size.
"""

import re
from base64 import b64encode
from hashlib import sha1
from typing import List, NamedTuple, Optional, Tuple

from ...errors import AppError, PeerError
from ..head import RequestHead
from ..waist import Fields
from .deflate import Deflate, negotiate

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""Sixteen octets in base64 (section 4.2.1)."""

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VISIBLE = re.compile(rb"[\t -~]*")
VERSION_FIELD = b"sec-websocket-version: 13\r\n"
"""Goes with a 426: the version that would have been served (section 4.4)."""

OURS = frozenset(
    (
        b"connection",
        b"content-length",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""Fields of the answer that the application cannot give."""


class Offer(NamedTuple):
    """What the client asked for; ``key`` is empty on HTTP/2, where there is none."""

    key: bytes
    subprotocols: List[str]
    deflate: Optional[Deflate]


def wanted(head: RequestHead) -> bool:
    """Tell whether a head asks for a WebSocket, validly or not (sections 4.1 and 4.2.1)."""
    upgrade = head.upgrade
    if upgrade is None:
        return False
    if upgrade == b"websocket":
        return True
    return b"websocket" in [token.strip(b" \t") for token in upgrade.split(b",")]


def read_offer(head: RequestHead, compression: bool) -> Offer:
    """Check the client's part of the opening handshake.

    Args:
        head: A head for which ``wanted`` is true.
        compression: Accept permessage-deflate if offered.

    Raises:
        PeerError: 400, or 426 when another version is asked for; a 426 goes out with
            ``VERSION_FIELD``.

    Spec:
        RFC 6455 section 4.2.1; on HTTP/2 (``version`` is ``"2"``) RFC 8441 section 5, where the
        method is CONNECT and there is no key.
    """
    keys, versions, protocols, extensions = [], [], [], []
    for name, value in head.headers:
        if name.startswith(b"sec-websocket-"):
            if name == b"sec-websocket-key":
                keys.append(value)
            elif name == b"sec-websocket-version":
                versions.append(value)
            elif name == b"sec-websocket-protocol":
                protocols.append(value)
            elif name == b"sec-websocket-extensions":
                extensions.append(value)
    if head.version == "2":
        key = b""
        if head.method != "CONNECT":
            raise PeerError(400, "websocket handshake with another method than CONNECT")
    else:
        key = _check_http1(head, keys)
    if versions != [b"13"]:
        raise PeerError(426, "websocket version is not 13")
    return Offer(key, _split(protocols), negotiate(extensions) if compression else None)


def _check_http1(head: RequestHead, keys: List[bytes]) -> bytes:
    if head.method != "GET" or head.version != "1.1":
        raise PeerError(400, "websocket handshake that is no GET of HTTP/1.1")
    if head.body_length:
        # What follows the head would be read as a body by some and as frames by others.
        raise PeerError(400, "websocket handshake with a body")
    if len(keys) != 1 or KEY.fullmatch(keys[0]) is None:
        raise PeerError(400, "websocket key missing, repeated or not of 16 octets")
    return keys[0]


def _split(values: List[bytes]) -> List[str]:
    """List the sub-protocols offered, without elements that no server could select."""
    if not values:
        return []
    joined = b",".join(values)
    if VISIBLE.fullmatch(joined) is None:
        parts = [part for part in joined.split(b",") if VISIBLE.fullmatch(part) is not None]
        joined = b",".join(parts)
    return [name for name in map(str.strip, joined.decode("ascii").split(",")) if name]


def answer(offer: Offer, subprotocol: Optional[str], headers: Fields) -> List[Tuple[bytes, bytes]]:
    """Make the fields of the server's part of the handshake.

    Args:
        offer: What ``read_offer`` returned.
        subprotocol: The application's choice, or None.
        headers: The application's further fields, not yet validated; those that belong to the
            handshake are left out.

    Raises:
        AppError: The sub-protocol is no token.

    Spec:
        RFC 6455 section 4.2.2; RFC 8441 section 5 without key and upgrade.
    """
    fields: List[Tuple[bytes, bytes]] = []
    if offer.key:
        digest = b64encode(sha1(offer.key + GUID).digest())  # noqa: S324  # named by the RFC
        fields = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", digest),
        ]
    if subprotocol is not None:
        if not isinstance(subprotocol, str) or TOKEN.fullmatch(subprotocol) is None:
            raise AppError("a WebSocket sub-protocol must be a token")
        fields.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if offer.deflate is not None:
        fields.append((b"sec-websocket-extensions", offer.deflate.answer()))
    for field in headers:
        try:
            name, value = field
            lower = name.lower()
        except (AttributeError, TypeError, ValueError):
            raise AppError("a response field is not a pair of octet strings") from None
        if lower in OURS or (lower == b"sec-websocket-protocol" and subprotocol is not None):
            continue
        fields.append((name, value))
    return fields
