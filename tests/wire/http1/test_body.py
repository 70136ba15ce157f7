"""The chunk decoder by itself: its limits, and what it keeps between pieces."""

import pytest

from granian.errors import PeerError
from granian.wire.http1.body import MAX_EXTENSIONS, MAX_TRAILER_FIELDS, MAX_TRAILERS, ChunkedBody


def feed(*pieces):
    body = ChunkedBody()
    return [body.feed(piece) for piece in pieces]


def test_whole():
    assert feed(b"5\r\nhello\r\n0\r\n\r\nrest") == [(b"hello", b"rest")]


def test_content_is_given_as_it_comes():
    assert feed(b"5\r\nhe", b"llo\r\n6\r\n world\r\n0\r\n", b"\r\n") == [
        (b"he", None),
        (b"llo world", None),
        (b"", b""),
    ]


@pytest.mark.parametrize("trailer", [b"A: b\r\n", b"Content-Length: 5\r\nHost: x\r\n"])
def test_trailers_are_checked_and_dropped(trailer):
    assert feed(b"0\r\n" + trailer + b"\r\n") == [(b"", b"")]


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"5\nhello",
        b"\n",
        b"5\r\nhelloX",
        b"5\r\nhello\rX",
        b"5;a\rb\r\n",
        b"10000000000000000\r\n",
        b"0\r\nno colon\r\n",
        b"0\r\nA: \x00\r\n",
        b"5;" + b"a" * (MAX_EXTENSIONS + 20),
        b"0\r\nA: " + b"b" * (MAX_TRAILERS + 20),
        b"0\r\n" + b"A: b\r\n" * (MAX_TRAILER_FIELDS + 1),
        b"".join([b"1;" + b"a" * 99 + b"\r\nx\r\n"] * (MAX_EXTENSIONS // 99)),
    ],
)
@pytest.mark.parametrize("step", [7, 100_000])
def test_refusals(data, step):
    pieces = [data[start : start + step] for start in range(0, len(data), step)]
    with pytest.raises(PeerError) as caught:
        feed(*pieces)
    assert caught.value.status == 400


def test_limits_are_reached_not_broken():
    extensions = b"1;" + b"a" * (MAX_EXTENSIONS - 1) + b"\r\nx\r\n"
    trailers = b"A: b\r\n" * MAX_TRAILER_FIELDS
    assert feed(extensions + b"0\r\n" + trailers + b"\r\n") == [(b"x", b"")]
