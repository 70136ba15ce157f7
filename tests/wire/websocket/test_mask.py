"""Every way to take a mask off does what RFC 6455 section 5.3 defines."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian.wire.websocket import mask as module
from granian.wire.websocket.mask import SHORT, TABLES, load, unmask, unmask_by_tables

SIZES = [1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 511, 512, 513, 514, 515, 16_384, 65_535, 1 << 20]


def define(data, start, end, key):
    """Section 5.3, word for word."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data[start:end]))


def by_openssl():
    try:
        return load()
    except (ImportError, AttributeError, OSError) as error:
        pytest.skip(f"no OpenSSL to call: {error!r}")


@pytest.fixture
def unsettled(monkeypatch):
    """As before the first long payload."""
    monkeypatch.setattr(module, "_long", None)


@pytest.mark.parametrize("size", [0, *SIZES])
@pytest.mark.parametrize("start", range(5))
def test_agrees_with_the_definition(size, start):
    data, key = os.urandom(start + size + 5), os.urandom(4)
    expected = define(data, start, start + size, key)
    for way in unmask, unmask_by_tables:
        octets = way(data, start, start + size, key)
        assert octets == expected
        assert type(octets) is bytes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", range(5))
def test_openssl_agrees_with_the_definition(size, start):
    data, key = os.urandom(start + size + 5), os.urandom(4)
    before = bytes(bytearray(data))
    octets = by_openssl()(data, start, start + size, key)
    assert octets == define(data, start, start + size, key)
    assert type(octets) is bytes
    assert data == before, "what was received is somebody else's too"


@given(st.binary(min_size=1, max_size=2000), st.binary(min_size=4, max_size=4))
def test_the_ways_agree(data, key):
    expected = unmask_by_tables(data, 0, len(data), key)
    assert unmask(data, 0, len(data), key) == expected
    assert by_openssl()(data, 0, len(data), key) == expected


def test_a_table_takes_one_octet_off():
    assert all(TABLES[key][octet] == octet ^ key for key in range(256) for octet in range(256))


def test_openssl_is_found_at_the_first_long_payload(unsettled):
    by_openssl()
    unmask(bytes(SHORT - 1), 0, SHORT - 1, b"mask")
    assert module._long is None
    assert unmask(bytes(SHORT), 0, SHORT, b"mask") == b"mask" * (SHORT // 4)
    assert module._long.__name__ == "unmask_by_openssl"


@pytest.mark.parametrize("error", [ImportError, AttributeError, OSError])
def test_tables_serve_where_openssl_does_not(unsettled, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(module, "load", fail)
    assert unmask(bytes(SHORT), 0, SHORT, b"mask") == b"mask" * (SHORT // 4)
    assert module._long is unmask_by_tables


def test_what_answers_wrong_is_not_used(unsettled, monkeypatch):
    monkeypatch.setattr(module, "load", lambda: lambda data, start, end, key: data[start:end])
    assert unmask(bytes(SHORT), 0, SHORT, b"mask") == b"mask" * (SHORT // 4)
    assert module._long is unmask_by_tables


def test_ctypes_is_not_loaded_before():
    code = (
        "import sys\n"
        "from granian.wire.websocket.mask import unmask\n"
        "unmask(bytes(9), 0, 9, b'mask')\n"
        "sys.exit('ctypes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
