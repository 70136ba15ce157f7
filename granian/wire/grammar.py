"""Tokens of RFC 9110 and RFC 9112 as compiled patterns, one ABNF rule each.

Every pattern is a single character class or a fixed alternation of them: no input makes one
backtrack, so matching is linear in the octets given.
"""

import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""``token``, RFC 9110 section 5.6.2: methods and field names."""

FIELD_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
"""``field-value`` once trimmed, RFC 9110 section 5.5: no control octets but the tab."""

DIGITS = re.compile(rb"[0-9]{1,18}")
"""``Content-Length``, RFC 9110 section 8.6, within what fits any integer type."""

HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9._~\-]+)?\]|[A-Za-z0-9._~!$&'()*+,;=%\-]*)(?::[0-9]{0,5})?"
)
"""``Host``, RFC 9110 section 7.2: ``uri-host [ ":" port ]``; may be empty."""

REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~\x80-\xff]+) HTTP/([0-9])\.([0-9])"
)
"""``request-line``, RFC 9112 section 3, with the target still whole.

Octets from 0x80 on belong into a target percent-encoded only, but clients send them as they are;
they have one meaning, so they are taken.
"""

ORIGIN_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[!-~]*) HTTP/1\.1")
"""A ``request-line`` of HTTP/1.1 whose target is in ``origin-form`` (section 3.2.1)."""

PLAIN_REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[!-$&->@-~]*)(?:\?([!-~]*))? HTTP/1\.1"
)
"""The same with nothing to decode in its path: method, path and query."""

ABSOLUTE_FORM = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://([^/?#]*)((?:[/?#][!-~\x80-\xff]*)?)")
"""``absolute-form`` of a target (RFC 9112 section 3.2.2): authority, then path and query."""

AUTHORITY_FORM = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%\-]+):[0-9]{1,5}")
"""``authority-form`` of a CONNECT target (RFC 9112 section 3.2.3)."""

CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?")
"""``chunk-size [ chunk-ext ]``, RFC 9112 section 7.1, at most 64 bits, no CR or LF inside."""
