import pytest

from granian.errors import AppError
from granian.wire.http2.compression import Decoder, Lexicon
from granian.wire.http2.response import (
    STREAMED,
    interim_block,
    response_block,
    trailer_block,
)


@pytest.fixture
def lexicon():
    lexicon = Lexicon()
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
    return lexicon


def decoded(block):
    return Decoder(Lexicon(), 1 << 16, 1000).decode(block)


def read(lexicon, status, fields, length=STREAMED, head=False):
    block, announced = response_block(lexicon, status, fields, length, head=head)
    return dict(decoded(block)), announced


def test_what_the_server_adds(lexicon):
    fields, announced = read(lexicon, 200, [(b"Content-Type", b" text/plain ")], 5)
    assert fields == {
        b":status": b"200",
        b"content-type": b"text/plain",
        b"server": b"granian",
        b"content-length": b"5",
        b"date": b"Thu, 01 Jan 1970 00:00:00 GMT",
    }
    assert announced == 5


def test_what_the_application_may_say_instead(lexicon):
    fields, _ = read(lexicon, 200, [(b"server", b"mine"), (b"date", b"now")], 0)
    assert (fields[b"server"], fields[b"date"]) == (b"mine", b"now")


def test_connection_fields_are_left_out(lexicon):
    names = [b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"proxy-connection"]
    fields, _ = read(lexicon, 200, [(name, b"x") for name in names])
    assert not set(names) & set(fields)


@pytest.mark.parametrize(
    ("status", "given", "length", "head", "expected"),
    [
        (200, None, 5, False, b"5"),
        (200, b"5", 5, False, b"5"),
        (200, b"9", STREAMED, False, b"9"),
        (200, None, STREAMED, False, None),
        (200, b"9", 0, True, b"9"),
        (200, None, 7, True, b"7"),
        (204, b"5", 0, False, None),
        (204, None, 0, False, None),
        (304, b"5", 0, False, b"5"),
        (304, None, 0, False, None),
    ],
)
def test_the_length(lexicon, status, given, length, head, expected):
    fields, _ = read(lexicon, status, [(b"content-length", given)] if given else [], length, head)
    assert fields.get(b"content-length") == expected


@pytest.mark.parametrize(
    ("status", "fields", "length"),
    [
        (99, [], 0),
        (101, [], 0),
        (1000, [], 0),
        ("200", [], 0),
        (200, [(b"a\r\nb", b"1")], 0),
        (200, [(b"a", b"1\r\nb: 2")], 0),
        (200, [(b"a", b"\x00")], 0),
        (200, [(b"", b"")], 0),
        (200, [(b"content-length", b"6")], 5),
        (200, [(b"content-length", b"-1")], STREAMED),
        (200, [(b"content-length", b"1"), (b"content-length", b"2")], STREAMED),
        (200, [(b":status", b"500")], 0),
    ],
)
def test_what_must_not_reach_the_wire(lexicon, status, fields, length):
    with pytest.raises(AppError):
        response_block(lexicon, status, fields, length, head=False)
    assert lexicon.blocks == {}


def test_a_block_is_remembered_until_the_date_changes(lexicon):
    fields = ((b"a", b"1"),)
    block, _ = response_block(lexicon, 200, fields, 5, head=False)
    assert lexicon.blocks[200, fields, 5] == block
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:01 GMT")
    assert lexicon.blocks == {}


def test_what_is_not_remembered(lexicon):
    response_block(lexicon, 200, [[b"a", b"1"]], 5, head=False)
    response_block(lexicon, 200, [(b"content-length", b"5")], STREAMED, head=False)
    response_block(lexicon, 200, [(b"a", b"1" * 2000)], 5, head=False)
    response_block(lexicon, 200, [], 5, head=True)
    assert lexicon.blocks == {}


def test_the_memory_of_blocks_is_bounded(lexicon):
    for i in range(3000):
        response_block(lexicon, 200, ((b"etag", b"%d" % i),), 5, head=False)
    assert len(lexicon.blocks) <= 1024


def test_interim_responses():
    block = interim_block(103, [(b"link", b"</a>"), (b"content-length", b"5")])
    assert decoded(block) == [(b":status", b"103"), (b"link", b"</a>")]
    for status in (101, 200, 99):
        with pytest.raises(AppError):
            interim_block(status, [])


def test_trailers():
    assert decoded(trailer_block([(b"X-A", b"1"), (b"transfer-encoding", b"x")])) == [
        (b"x-a", b"1")
    ]
    with pytest.raises(AppError):
        trailer_block([(b"a", b"\n")])
