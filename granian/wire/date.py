"""The Date field line, rendered from a clock that is passed in (RFC 9110 section 6.6.1)."""

from email.utils import formatdate


def date_line(seconds: float) -> bytes:
    """Render ``date: ...`` with its CRLF for a time in seconds since the epoch."""
    return b"date: %b\r\n" % formatdate(seconds, usegmt=True).encode("ascii")
