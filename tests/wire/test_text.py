import pytest

from granian.wire import text
from granian.wire.text import KNOWN_FIELDS, encode_fields


@pytest.fixture(autouse=True)
def memo():
    KNOWN_FIELDS.clear()
    yield KNOWN_FIELDS
    KNOWN_FIELDS.clear()


def test_native_strings_hold_octets():
    assert encode_fields((("x-a", "caf\xe9"), ("x-b", ""))) == ((b"x-a", b"caf\xe9"), (b"x-b", b""))


@pytest.mark.parametrize("fields", [(("x-a", "\u20ac"),), (("\u0100", "a"),)])
def test_what_is_no_octet_is_refused_each_time(memo, fields):
    for _ in range(2):
        with pytest.raises(UnicodeEncodeError):
            encode_fields(fields)
    assert memo == {}


@pytest.mark.parametrize("fields", [((b"x-a", b"1"),), (("x-a", 1),), (("x-a",),), ("x",), (None,)])
def test_what_is_no_pair_of_strings_is_refused(memo, fields):
    with pytest.raises((AttributeError, TypeError, ValueError)):
        encode_fields(fields)
    assert memo == {}


def test_the_same_fields_are_encoded_once():
    first = encode_fields((("x-a", "1"),))
    assert encode_fields((("x-" + "a", str(1)),)) is first
    assert encode_fields((("x-a", "2"),)) == ((b"x-a", b"2"),)


def test_fields_in_lists_are_encoded_and_not_remembered(memo):
    for value in ("1", "2"):
        pair = ["x-a", value]
        assert encode_fields((pair,)) == ((b"x-a", value.encode()),)
    assert memo == {}


def test_long_fields_are_not_remembered(memo):
    half = "v" * (text._MEMO_SIZE // 2 - 1)
    encode_fields((("a", half), ("b", half)))
    assert len(memo) == 1
    encode_fields((("a", half), ("b", half + "v")))
    assert len(memo) == 1


def test_the_memory_has_a_limit(memo):
    for number in range(text._MEMO_ENTRIES * 2 + 1):
        encode_fields((("x-a", str(number)),))
        assert len(memo) <= text._MEMO_ENTRIES
    assert encode_fields((("x-a", "7"),)) == ((b"x-a", b"7"),)
