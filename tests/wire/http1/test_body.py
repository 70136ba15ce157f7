"""Chunked bodies: the grammar, the limits, and octets cut anywhere."""

import time

import pytest

from granian.errors import PeerError
from granian.wire.http1.body import MAX_EXTENSIONS, MAX_TRAILER_FIELDS, MAX_TRAILERS, ChunkedBody


def decode(*pieces):
    """(content, rest, pieces that gave content); rest is None while the body goes on."""
    body = ChunkedBody()
    content, rest = b"", None
    for piece in pieces:
        more, rest = body.feed(piece)
        content += more
    return content, rest


BODIES = {
    b"0\r\n\r\n": b"",
    b"000\r\n\r\n": b"",
    b"5\r\nhello\r\n0\r\n\r\n": b"hello",
    b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n": b"0123456789" * 2,
    b'1;a=b;c="d"\r\nx\r\n0;e\r\n\r\n': b"x",
    b"2\r\n\r\n\r\n0\r\n\r\n": b"\r\n",
    b"1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n": b"x",
    b"0000000000000001\r\nx\r\n0\r\n\r\n": b"x",
}


@pytest.mark.parametrize("data", BODIES)
@pytest.mark.parametrize("after", [b"", b"GET / HTTP/1.1\r\n", b"\r\n"])
def test_a_body_ends_where_it_ends(data, after):
    assert decode(data + after) == (BODIES[data], after)


@pytest.mark.parametrize("data", BODIES)
def test_octet_by_octet(data):
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert decode(*pieces[:-1]) == (BODIES[data], None)
    assert decode(*pieces) == (BODIES[data], b"")


@pytest.mark.parametrize("data", BODIES)
def test_cut_once_anywhere(data):
    for cut in range(1, len(data)):
        assert decode(data[:cut], data[cut:] + b"next") == (BODIES[data], b"next")


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"g\r\n",
        b"0x5\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0_5\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5\n",
        b"\n",
        b"5\r\nhelloXX",
        b"5\r\nhello\n",
        b"5\r\nhello\r\r",
        b"5\r\nhelloX",
        b"5;a\n",
        b"5;a\rb\r\n",
        b"5;\0\r\n",
        b"12345678901234567\r\n",
        b"0\r\nA b: c\r\n",
        b"0\r\nA\r\n",
        b"0\r\n: b\r\n",
        b"0\r\nA: \0\r\n",
        b"0\r\nA: b\n",
        b"0\r\n A: b\r\n",
        b"0\r\n\n",
    ],
)
def test_what_breaks_the_grammar_is_refused_whole_and_in_octets(data):
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        with pytest.raises(PeerError) as caught:
            decode(*pieces)
        assert caught.value.status == 400


def test_a_size_of_64_bits_is_taken():
    body = ChunkedBody()
    assert body.feed(b"ffffffffffffffff\r\nabc") == (b"abc", None)


def test_content_is_given_as_it_comes():
    body = ChunkedBody()
    assert body.feed(b"5\r\nhe") == (b"he", None)
    assert body.feed(b"ll") == (b"ll", None)
    assert body.feed(b"o\r") == (b"o", None)
    assert body.feed(b"\n3\r\nabc\r\n0\r\n\r\nrest") == (b"abc", b"rest")


def test_one_piece_is_given_as_one():
    content, _ = ChunkedBody().feed(b"5\r\nhello\r\n")
    assert content == b"hello"


def refuses(*pieces):
    with pytest.raises(PeerError) as caught:
        decode(*pieces)
    return caught.value.reason


@pytest.mark.parametrize("piece", [1 << 20, 1000])
def test_extensions_are_limited_over_the_whole_body(piece):
    extension = b";" + b"a" * 999
    allowed = MAX_EXTENSIONS // 1000
    data = b"".join(b"1" + extension + b"\r\nx\r\n" for _ in range(allowed))
    assert decode(data) == (b"x" * allowed, None)
    data += b"1" + extension + b"\r\nx\r\n"
    assert "extensions" in refuses(*[data[i : i + piece] for i in range(0, len(data), piece)])


def test_an_endless_chunk_line_is_refused_before_its_end():
    reason = refuses(b"1;", *[b"a" * 1000] * 20)
    assert reason == "chunk line too long"


def test_trailers_are_limited_in_octets_and_fields():
    field = b"A: " + b"a" * 995 + b"\r\n"
    allowed = MAX_TRAILERS // 1000
    assert decode(b"0\r\n" + field * allowed) == (b"", None)
    assert "trailers" in refuses(b"0\r\n" + field * (allowed + 1))
    assert decode(b"0\r\n" + b"A:\r\n" * MAX_TRAILER_FIELDS + b"\r\n") == (b"", b"")
    assert "trailers" in refuses(b"0\r\n" + b"A:\r\n" * (MAX_TRAILER_FIELDS + 1))
    assert "too long" in refuses(b"0\r\nA: ", *[b"a" * 1000] * 20)


def test_limits_are_reached_and_not_broken():
    extensions = b"1;" + b"a" * (MAX_EXTENSIONS - 1) + b"\r\nx\r\n"
    assert decode(extensions + b"0\r\n\r\n") == (b"x", b"")
    assert "extensions" in refuses(extensions + b"0;\r\n\r\n")


def test_trailers_that_would_frame_something_do_not_act():
    data = b"1\r\nx\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\n\r\n"
    assert decode(data + b"next") == (b"x", b"next")


def test_tiny_chunks_cost_linear_time():
    start = time.process_time()
    content, _ = decode(b"1\r\nx\r\n" * 4_000)
    small = time.process_time() - start
    assert len(content) == 4_000
    start = time.process_time()
    decode(b"1\r\nx\r\n" * 16_000)
    assert time.process_time() - start < small * 10 + 0.02
