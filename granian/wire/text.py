"""Response fields as native strings, which RSGI and WSGI give, in the octets that are sent.

An application answers with the same few sets of fields again and again: each is encoded once. Read
by subscript, which takes no lock on free-threaded builds; any thread.
"""

from typing import Any, Dict, Tuple

OctetFields = Tuple[Tuple[bytes, bytes], ...]

KNOWN_FIELDS: Dict[Any, OctetFields] = {}
"""What ``encode_fields`` has returned for a tuple of fields; look here first on a hot path."""

_MEMO_ENTRIES = 512
_MEMO_SIZE = 1024  # characters of all fields together; longer sets seldom come twice


def encode_fields(fields: Tuple[Any, ...]) -> OctetFields:
    """Encode fields as latin-1, which is what native strings hold (PEP 3333, RSGI 1.6).

    Args:
        fields: Pairs of a name and a value, in any sequence of two.

    Raises:
        UnicodeEncodeError: A character beyond latin-1.
        AttributeError, TypeError, ValueError: Not pairs of strings.
    """
    try:
        return KNOWN_FIELDS[fields]
    except (KeyError, TypeError):
        pass
    encoded = tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields])
    if sum([len(name) + len(value) for name, value in encoded]) <= _MEMO_SIZE:
        if len(KNOWN_FIELDS) >= _MEMO_ENTRIES:
            KNOWN_FIELDS.clear()
        try:
            KNOWN_FIELDS[fields] = encoded
        except TypeError:
            pass  # fields in lists are no key
    return encoded
