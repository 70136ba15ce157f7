"""Status codes: lines, phrases, and the responses the server gives by itself.

Built once at import; read by every thread, written by none. RFC 9110 section 15.
"""

from http import HTTPStatus
from typing import Dict

PHRASES: Dict[int, bytes] = {
    **{status.value: status.phrase.encode("ascii") for status in HTTPStatus},
    # What older interpreters lack, or name as RFC 7231 did.
    103: b"Early Hints",
    413: b"Content Too Large",
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    418: b"I'm a Teapot",
    422: b"Unprocessable Content",
    425: b"Too Early",
}
"""Reason phrases of the registered codes, the same on every interpreter."""

STATUS_LINES: Dict[int, bytes] = {
    code: b"HTTP/1.1 %d %b\r\n" % (code, phrase) for code, phrase in PHRASES.items() if code >= 200
}
"""Status lines of final responses; a code that is not here is rendered by ``status_line``."""


def status_line(status: int) -> bytes:
    """Render the status line of any code from 100 to 999 (RFC 9112 section 4)."""
    return b"HTTP/1.1 %d %b\r\n" % (status, PHRASES.get(status, b""))


def forbids_body(status: int) -> bool:
    """Tell whether a response with this code never carries content (RFC 9110 section 6.4.1)."""
    return status in (204, 304) or 100 <= status < 200


def refusal(status: int, fields: bytes = b"") -> bytes:
    """Render the whole HTTP/1 answer to a message that is refused; the connection closes after it.

    The body is fixed: it never repeats what the peer sent.

    Args:
        status: A code of 400 or above.
        fields: Whole further field lines, each with its CRLF.
    """
    phrase = PHRASES.get(status, b"")
    return (
        b"HTTP/1.1 %d %b\r\nserver: granian\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n%b\r\n%b"
        % (status, phrase, len(phrase), fields, phrase)
    )
