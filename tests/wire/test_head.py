"""RequestHead: a slotted value with one question of its own."""

import pytest

from granian.wire.head import RequestHead, split_target


@pytest.fixture
def head():
    head = RequestHead()
    head.headers = [(b"host", b"a"), (b"x-twice", b"first"), (b"x-twice", b"second")]
    return head


def test_field_gives_the_first_of_a_name(head):
    assert head.field(b"x-twice") == b"first"


def test_field_that_is_absent_is_none(head):
    assert head.field(b"x-none") is None


def test_field_names_are_compared_as_they_are_stored(head):
    assert head.field(b"X-Twice") is None


def test_head_takes_no_attribute_it_does_not_name(head):
    with pytest.raises(AttributeError):
        head.extra = 1


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/a?b", "/a", b"/a", b"b"),
        (b"/a?b?c", "/a", b"/a", b"b?c"),
        (b"/a?", "/a", b"/a", b""),
        (b"/a%20b%2Fc?%20", "/a b/c", b"/a%20b%2Fc", b"%20"),
        (b"/%c3%a9", "/é", b"/%c3%a9", b""),
        (b"/\xc3\xa9", "/é", b"/\xc3\xa9", b""),
        (b"/%c0\xff", "/\ufffd\ufffd", b"/%c0\xff", b""),
        (b"/%ed%a0%80", "/\ufffd\ufffd\ufffd", b"/%ed%a0%80", b""),
        (b"/%00", "/\0", b"/%00", b""),
        (b"/%2541", "/%41", b"/%2541", b""),
        (b"/%", "/%", b"/%", b""),
        (b"/%zz%4", "/%zz%4", b"/%zz%4", b""),
    ],
)
def test_targets_are_split_and_decoded_once(target, path, raw_path, query):
    assert split_target(target) == (path, raw_path, query)
