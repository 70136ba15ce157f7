"""Row 46 of the table of HTTP/2 threats, and field blocks that are ordinary."""

import pytest

from granian.wire.http2.block import FieldBlock, unpad
from granian.wire.http2.codes import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    HEADERS,
    PADDED,
    PRIORITY_FLAG,
    PROTOCOL_ERROR,
    Fault,
    frame,
)
from tests.support.http2 import REQUEST


def answer(stream, what):
    if what == "request":
        stream.respond(200, [(b"content-type", b"text/plain")], b"hello")


def begun(octets_max=100):
    block = FieldBlock(octets_max)
    block.begin(END_STREAM | PRIORITY_FLAG, 7, b"ab")
    return block


def test_what_comes_in_pieces_is_put_together():
    block = begun()
    assert block.number == 7
    assert block.join(CONTINUATION, 0, 7, b"") is None
    assert block.join(CONTINUATION, 0, 7, b"cd") is None
    assert block.join(CONTINUATION, END_HEADERS, 7, b"e") == b"abcde"
    assert block.flags == END_STREAM | PRIORITY_FLAG | END_HEADERS
    assert block.number == 0


def test_the_padding_of_the_first_frame_is_no_part_of_it():
    block = FieldBlock(100)
    block.begin(PADDED, 1, b"\x02ab\0\0")
    assert block.join(CONTINUATION, END_HEADERS, 1, b"") == b"ab"
    assert not block.flags & PADDED


def test_the_next_block_begins_anew():
    block = begun(octets_max=4)
    for _ in range(3):
        assert block.join(CONTINUATION, END_HEADERS, 7, b"cd") == b"abcd"
        block.begin(0, 7, b"ab")


@pytest.mark.parametrize(("kind", "number"), [(CONTINUATION, 5), (DATA, 7), (HEADERS, 7)])
def test_nothing_else_may_come_in_between(kind, number):
    with pytest.raises(Fault) as caught:
        begun().join(kind, END_HEADERS, number, b"")
    assert caught.value.code == PROTOCOL_ERROR


def test_a_block_is_on_a_stream():
    with pytest.raises(Fault) as caught:
        FieldBlock(100).begin(0, 0, b"ab")
    assert caught.value.code == PROTOCOL_ERROR


def test_octets_and_frames_are_bounded():
    block = begun()
    assert block.join(CONTINUATION, 0, 7, bytes(98)) is None
    with pytest.raises(Fault) as caught:
        block.join(CONTINUATION, END_HEADERS, 7, b"x")
    assert caught.value.code == ENHANCE_YOUR_CALM
    block = begun()
    for _ in range(63):
        assert block.join(CONTINUATION, 0, 7, b"") is None
    with pytest.raises(Fault) as caught:
        block.join(CONTINUATION, END_HEADERS, 7, b"")
    assert caught.value.code == ENHANCE_YOUR_CALM


def test_what_is_forgotten_is_gone():
    block = begun()
    block.forget()
    assert block.number == 0
    block.begin(0, 9, b"x")
    assert block.join(CONTINUATION, END_HEADERS, 9, b"y") == b"xy"


def test_padding():
    assert unpad(0, b"--abc", 2, 5) == (2, 5)
    assert unpad(PADDED, b"--\x01ab\0", 2, 6) == (3, 5)
    assert unpad(PADDED, b"\0", 0, 1) == (1, 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", FRAME_SIZE_ERROR), (b"\x01", PROTOCOL_ERROR), (b"\x02a", PROTOCOL_ERROR)],
)
def test_more_padding_than_frame(data, code):
    with pytest.raises(Fault) as caught:
        unpad(PADDED, data, 0, len(data))
    assert caught.value.code == code


# In a session.


def test_endless_continuation_is_calmed(serve):
    server = serve()
    server.feed(frame(HEADERS, 0, 1, server.block(*REQUEST)))
    for _ in range(70):
        server.feed(frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"))
    assert server.goaway() == ENHANCE_YOUR_CALM
    assert server.opened == []


def test_continuation_beyond_the_list_limit_is_calmed(serve):
    server = serve()
    server.feed(frame(HEADERS, 0, 1, server.block(*REQUEST)))
    for _ in range(5):
        server.feed(frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x81\x7f" + bytes(16_000)))
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_a_request_in_several_frames(serve):
    server = serve(answer)
    block = server.block(*REQUEST)
    server.feed(frame(HEADERS, END_STREAM, 1, block[:2]))
    server.feed(frame(CONTINUATION, 0, 1, block[2:4]) + frame(CONTINUATION, 0, 1))
    assert server.opened == []
    server.feed(frame(CONTINUATION, END_HEADERS, 1, block[4:]))
    assert server.opened[0].head.method == "GET"
    assert list(server.responses()) == [1]


def test_a_padded_request_in_several_frames(serve):
    server = serve(answer)
    block = server.block(*REQUEST)
    server.feed(frame(HEADERS, PADDED | END_STREAM, 1, b"\x03" + block[:2] + bytes(3)))
    server.feed(frame(CONTINUATION, END_HEADERS, 1, block[2:]))
    assert list(server.responses()) == [1]
