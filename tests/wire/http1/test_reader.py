"""The reader by itself: which refusal each broken head gets, and what it makes of odd ones."""

import pytest

from granian.errors import PeerError
from granian.wire.head import CHUNKED
from granian.wire.http1 import reader
from tests.support.lines import get

LIMIT = 100_000


def read(data):
    return reader.read_head(data, LIMIT)


def refusal(function, *arguments):
    with pytest.raises(PeerError) as caught:
        function(*arguments)
    return caught.value.status


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (get("/", "Host: a", "Host: b"), 400),
        (get("/", "Host: a/b"), 400),
        (get("/", "Content-Length: 1", "Content-Length: 1"), 400),
        (get("/", "Content-Length: 1, 1"), 400),
        (get("/", "Content-Length: " + "9" * 30), 400),
        (get("/", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (get("/", "Transfer-Encoding: chunked", version="1.0"), 400),
        (get("/", "Transfer-Encoding: chunked, chunked"), 400),
        (get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
        (get("/", "Transfer-Encoding: pigeons"), 501),
        (get("/", "X: a", " folded"), 400),
        (get("/", "X: a\x07b"), 400),
        (get("/", "Host: a", version="2.0"), 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
        (get("relative"), 400),
        (get("*"), 400),
        (get("a:1"), 400),
        (get("http://[::1/"), 400),
        (get("/" + "a" * 70_000), 414),
        (get("/", *["X: y"] * 100), 431),
        (get("/", "X: " + "y" * LIMIT), 431),
    ],
)
def test_refusals(data, status):
    assert refusal(read, data) == status


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01", 400),
        (b" GET", 400),
        (b"GE\xffT", 400),
        (b"A" * 70_000, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * LIMIT, 431),
    ],
)
def test_early_refusals(data, status):
    assert refusal(reader.check_incomplete, data, LIMIT) == status


@pytest.mark.parametrize("data", [b"G", b"\r\n", b"\r\nGET /\xc3", b"GET / HTTP/1.1\r\nX:"])
def test_what_may_still_become_a_head(data):
    reader.check_incomplete(data, LIMIT)


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (b"\r\n" + get("/x"), {"path": "/x"}),
        (b"GET /x HTTP/1.1\nHost: a\n\n", {"path": "/x", "headers": [(b"host", b"a")]}),
        (get("/x", version="1.0"), {"version": "1.0", "keep_alive": False}),
        (get("/x", "Connection: keep-alive", version="1.0"), {"keep_alive": True}),
        (get("http://u@b:1/x?y"), {"authority": b"b:1", "path": "/x", "query": b"y"}),
        (get("http://b"), {"authority": b"b", "path": "/"}),
        (get("*", method="OPTIONS"), {"path": "*", "raw_path": b"*"}),
        (get("b:1", method="CONNECT"), {"authority": b"b:1", "method": "CONNECT"}),
        (get("/\xc3\xa9"), {"path": "/\u00e9", "raw_path": b"/\xc3\xa9"}),
        (get("/", "Transfer-Encoding: Chunked"), {"body_length": CHUNKED}),
        (get("/", "Connection: upgrade", "Upgrade: A", version="1.0"), {"upgrade": None}),
    ],
)
def test_odd_but_legal(data, facts):
    head = read(data)
    assert {name: getattr(head, name) for name in facts} == facts


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_ends_of_a_head(end):
    data = b"GET / HTTP/1.1\r\nHost: a" + end
    assert reader.find_end(data + b"rest", 0) == len(data)
    assert reader.find_end(data[:-1], 0) == -1
