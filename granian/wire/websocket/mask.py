"""Masks of clients, taken off as quickly as this Python can.

A short payload and its mask are two integers. A long one goes to the OpenSSL that the standard
library has loaded for ``hashlib``: output feedback (NIST SP 800-38A section 6.4) adds to the
octets, by exclusive or, what a block function makes of the block before. Given a function that
leaves the block alone, and the mask four times as first block, that is RFC 6455 section 5.3 and
nothing is enciphered. Where OpenSSL cannot be reached so, octets are translated by tables.
Any thread.
"""

from typing import Callable, Optional

SHORT = 512
"""Octets below which two integers cost least."""

_EVERY = int.from_bytes(bytes(range(256)), "little")
_ONCE = int.from_bytes(b"\x01" * 256, "little")

TABLES = [(_EVERY ^ _ONCE * key).to_bytes(256, "little") for key in range(256)]
"""``TABLES[key][octet]`` is the octet unmasked; 64 KiB, shared."""

Unmask = Callable[[bytes, int, int, bytes], bytes]


def unmask(data: bytes, start: int, end: int, key: bytes) -> bytes:
    """Return ``data[start:end]`` unmasked with the four octets of ``key`` (section 5.3)."""
    size = end - start
    if size >= SHORT:
        return (_long or _find())(data, start, end, key)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data[start:end], "little") ^ mask).to_bytes(size, "little")


def unmask_by_tables(data: bytes, start: int, end: int, key: bytes) -> bytes:
    """Do what ``unmask`` does with a table for each octet of the key."""
    # A bytearray translates quicker than bytes, which look whether anything changed.
    octets = bytearray(memoryview(data)[start:end])
    octets[::4] = octets[::4].translate(TABLES[key[0]])
    octets[1::4] = octets[1::4].translate(TABLES[key[1]])
    octets[2::4] = octets[2::4].translate(TABLES[key[2]])
    octets[3::4] = octets[3::4].translate(TABLES[key[3]])
    return bytes(octets)


def load() -> Unmask:
    """Make an ``unmask`` of OpenSSL's ``CRYPTO_ofb128_encrypt``; its payload must not be empty.

    Raises:
        ImportError, AttributeError, OSError: This Python has no ctypes, or no OpenSSL, or has it
            where no other code can call it.
    """
    # Not before the first long frame: it costs milliseconds and half a megabyte.
    import _hashlib
    from ctypes import PyDLL, byref, c_char, c_char_p, c_int, c_size_t, c_void_p, cast

    # What is searched is this extension module, then the OpenSSL that it is linked to. PyDLL
    # keeps the GIL: giving it back and getting it again would take longer than the call.
    openssl = PyDLL(_hashlib.__file__)
    add = openssl.CRYPTO_ofb128_encrypt
    # in, out, size, key, block, how much of the block is used up, block function
    add.argtypes = [c_void_p, c_void_p, c_size_t, c_void_p, c_char_p, c_void_p, c_void_p]
    add.restype = None
    # Called with (block, block, key): it takes no arguments and changes nothing.
    leave = cast(openssl.OpenSSL_version_num, c_void_p)
    reference_to = c_char.from_buffer

    def unmask_by_openssl(data: bytes, start: int, end: int, key: bytes) -> bytes:
        octets = bytearray(memoryview(data)[start:end])
        at = byref(reference_to(octets))
        add(at, at, end - start, None, key * 4, byref(c_int()), leave)
        return bytes(octets)

    return unmask_by_openssl


_long: Optional[Unmask] = None


def _find() -> Unmask:
    """Settle on what unmasks long payloads from now on."""
    global _long
    try:
        found = load()
    except (ImportError, AttributeError, OSError):
        found = unmask_by_tables
    sample = bytes(range(256)) * 2 + b"end"
    key = b"\x01\x02\x40\x80"
    if found(sample, 1, len(sample), key) != unmask_by_tables(sample, 1, len(sample), key):
        found = unmask_by_tables
    _long = found
    return found
