"""RequestHead: a slotted value with one question of its own."""

import pytest

from granian.wire.head import RequestHead


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
