"""The client the wire tests trust: it must see what a careless one would forgive."""

import pytest

from tests.support.wire import NotHttpError, parse

OK = b"HTTP/1.1 200 OK\r\n"


def test_length_ends_the_body():
    first, second = parse(OK + b"content-length: 2\r\n\r\nab" + OK + b"content-length: 0\r\n\r\n")
    assert (first.body, first.whole) == (b"ab", True)
    assert (second.body, second.whole) == (b"", True)


def test_chunks_are_joined_and_counted():
    (only,) = parse(OK + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert (only.body, only.chunks, only.whole) == (b"abc", 2, True)


def test_trailers_belong_to_the_response():
    (only,) = parse(OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n")
    assert only.whole


@pytest.mark.parametrize(
    ("body", "got"),
    [(b"", b""), (b"2", b""), (b"2\r\na", b"a"), (b"2\r\nab\r\n", b"ab"), (b"0\r\n", b"")],
)
def test_cut_chunks_are_not_whole(body, got):
    (only,) = parse(OK + b"transfer-encoding: chunked\r\n\r\n" + body)
    assert (only.body, only.whole) == (got, False)


@pytest.mark.parametrize("ended", [False, True])
def test_a_body_without_framing_needs_the_end(ended):
    (only,) = parse(OK + b"\r\nabc", ended=ended)
    assert (only.body, only.whole) == (b"abc", ended)


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (304, "GET"), (204, "GET")])
def test_bodiless_answers_leave_the_next_in_place(status, method):
    head = b"HTTP/1.1 %d X\r\n" % status
    length = b"" if status == 204 else b"content-length: 5\r\n"
    first, second = parse(head + length + b"\r\n" + OK + b"content-length: 0\r\n\r\n", [method])
    assert (first.status, first.body, second.status) == (status, b"", 200)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        OK + b"Upper: x\r\n\r\n",
        OK + b"a : x\r\n\r\n",
        OK + b"a: \x00\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
        OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        OK + b"content-length: +1\r\n\r\na",
        OK + b"transfer-encoding: gzip\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n",
    ],
)
def test_what_no_client_should_accept(data):
    with pytest.raises(NotHttpError):
        parse(data)


def test_octets_after_a_response_are_not_lost():
    first, rest = parse(OK + b"content-length: 0\r\n\r\njunk")
    assert first.whole
    assert (rest.status, rest.body, rest.whole) == (0, b"junk", False)
