"""The reader's verdicts: each guard that h11 lacks, each form of target, each status."""

import pytest

from granian.errors import PeerError
from granian.wire.head import CHUNKED
from granian.wire.http1.reader import (
    MAX_TARGET,
    check_incomplete,
    find_end,
    read_head,
)
from tests.support.lines import get

LIMIT = 417_792


def read(data, limit=LIMIT):
    return read_head(data, limit)


def status_of(data, limit=LIMIT):
    with pytest.raises(PeerError) as caught:
        read_head(data, limit)
    return caught.value.status


# where a head ends


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", -1),
        (b"GET / HTTP/1.1\r\n", -1),
        (b"a\r\n\r\nb", 5),
        (b"a\n\nb", 3),
        (b"a\n\r\nb", 4),
        (b"a\r\n\nb", 4),
        (b"a\r\n\rb", -1),
        (b"a\r\n\r", -1),
    ],
)
def test_a_head_ends_with_a_blank_line(data, end):
    assert find_end(data, 0) == end
    assert find_end(bytearray(data), 0) == end


def test_the_end_is_found_from_wherever_the_octets_were_cut():
    for blank in (b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n"):
        data = b"GET / HTTP/1.1" + blank
        for cut in range(len(data)):
            if find_end(data[:cut], 0) < 0:
                assert find_end(data, cut - 2) == len(data)


# heads that have not ended


@pytest.mark.parametrize(
    "data",
    [
        b"G",
        b"GET /",
        b"GET / HTTP/1.1\r\nX: \0",
        b"\r\nGET",
        b"\r",
        b"\r\n",
        b"G" * MAX_TARGET,
    ],
)
def test_a_head_that_may_still_be_one_is_waited_for(data):
    check_incomplete(data, LIMIT)
    check_incomplete(bytearray(data), LIMIT)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b" GET", 400),
        (b"\tGET", 400),
        (b"\0", 400),
        (b"\x16\x03\x01\x02\0", 400),
        (b"G\xc3T /", 400),
        (b"GET /\x7f", 400),
        (b"GET /" + b"a" * (MAX_TARGET + 64), 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * LIMIT, 431),
    ],
)
def test_a_head_that_cannot_be_one_is_not_waited_for(data, status):
    with pytest.raises(PeerError) as caught:
        check_incomplete(data, LIMIT)
    assert caught.value.status == status


# whole heads


def test_an_ordinary_head():
    head = read(get("/a%20b?c=d", "Host: h", "X-A:  b \t", "Content-Length: 5", method="PUT"))
    assert (head.method, head.path, head.raw_path, head.query) == ("PUT", "/a b", b"/a%20b", b"c=d")
    assert (head.version, head.authority, head.body_length) == ("1.1", None, 5)
    assert (head.keep_alive, head.expects_continue, head.upgrade) == (True, False, None)
    assert head.headers == [(b"host", b"h"), (b"x-a", b"b"), (b"content-length", b"5")]
    assert all(type(part) is bytes for field in head.headers for part in field)


def test_one_blank_line_before_a_request_is_forgiven():
    assert read(b"\r\n" + get()).method == "GET"
    assert status_of(b"\r\n\r\n" + get()) == 400


def test_line_feeds_alone_give_the_same_head():
    data = get("/x?y", "A: b", "Content-Length: 3")
    one, other = read(data), read(data.replace(b"\r\n", b"\n"))
    assert [getattr(one, name) for name in one.__slots__] == [
        getattr(other, name) for name in other.__slots__
    ]


TARGETS = {
    "/": ("GET", "/", b"/", b"", None),
    "/%zz%": ("GET", "/%zz%", b"/%zz%", b"", None),
    "/%00%c0": ("GET", "/\0\ufffd", b"/%00%c0", b"", None),
    "/\xc3\xa9": ("GET", "/é", b"/\xc3\xa9", b"", None),
    "//a/b": ("GET", "//a/b", b"//a/b", b"", None),
    "http://a": ("GET", "/", b"/", b"", b"a"),
    "HTTP://a:80/b?c": ("GET", "/b", b"/b", b"c", b"a:80"),
    "http://a?c": ("GET", "/", b"/", b"c", b"a"),
    "http://user:word@a/": ("GET", "/", b"/", b"", b"a"),
    "http://[::1]:80/": ("GET", "/", b"/", b"", b"[::1]:80"),
    "*": ("OPTIONS", "*", b"*", b"", None),
    "a:443": ("CONNECT", "a:443", b"a:443", b"", b"a:443"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_in_every_form(target):
    method, path, raw_path, query, authority = TARGETS[target]
    head = read(get(target, method=method))
    assert (head.path, head.raw_path, head.query) == (path, raw_path, query)
    assert head.authority == authority


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("*", "GET"),
        ("a:443", "GET"),
        ("a", "CONNECT"),
        ("a", "GET"),
        ("?a", "GET"),
        ("http:///", "GET"),
        ("http://[::1/", "GET"),
        ("http://a b/", "GET"),
        ("http://a\\b/", "GET"),
        ("http://a:b/", "GET"),
        ("http://\xff/", "GET"),
        ("", "GET"),
        ("/a b", "GET"),
        ("/\x7f", "GET"),
    ],
)
def test_targets_in_no_form_are_refused(target, method):
    assert status_of(get(target, method=method)) == 400


def test_targets_have_a_limit():
    assert read(get("/" + "a" * (MAX_TARGET - 1))).path.endswith("aaa")
    assert status_of(get("/" + "a" * MAX_TARGET)) == 414


@pytest.mark.parametrize(
    ("version", "status"), [("2.0", 505), ("0.9", 505), ("3.0", 505), ("1.1x", 400), ("x", 400)]
)
def test_versions_that_are_not_spoken(version, status):
    assert status_of(get("/", "Host: a", version=version)) == status


def test_the_preface_of_http_2_is_no_version():
    assert status_of(b"PRI * HTTP/2.0\r\n\r\n") == 400


REFUSED = {
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (get("/", "Host: a", "Host: a"), 400),
    "two hosts in one": (get("/", "Host: a, b"), 400),
    "bad host": (get("/", "Host: a/b"), 400),
    "no colon": (get("/", "X"), 400),
    "no name": (get("/", ": x"), 400),
    "space before the colon": (get("/", "X : y"), 400),
    "control octet in a name": (get("/", "X\0: y"), 400),
    "octet beyond ASCII in a name": (get("/", "X\xff: y"), 400),
    "folded": (get("/", "X: y", " z"), 400),
    "folded by a tab": (get("/", "X: y", "\tz"), 400),
    "folded first": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "NUL in a value": (get("/", "X: \0"), 400),
    "carriage return in a value": (get("/", "X: a\rb"), 400),
    "carriage return before the line's end": (get("/", "X: a\r"), 400),
    "escape in a value": (get("/", "X: \x1b[0m"), 400),
    "length twice": (get("/", "Content-Length: 5", "Content-Length: 5"), 400),
    "lengths that differ": (get("/", "Content-Length: 5", "Content-Length: 6"), 400),
    "length listed": (get("/", "Content-Length: 5, 5"), 400),
    "length signed": (get("/", "Content-Length: +5"), 400),
    "length negative": (get("/", "Content-Length: -5"), 400),
    "length in hex": (get("/", "Content-Length: 0x5"), 400),
    "length underscored": (get("/", "Content-Length: 1_0"), 400),
    "length empty": (get("/", "Content-Length:"), 400),
    "length superscript": (get("/", "Content-Length: \xb2"), 400),
    "length of 19 digits": (get("/", "Content-Length: " + "1" * 19), 400),
    "length of 5000 digits": (get("/", "Content-Length: " + "1" * 5000), 400),
    "coding and length": (get("/", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    "coding in HTTP/1.0": (get("/", "Transfer-Encoding: chunked", version="1.0"), 400),
    "two codings": (get("/", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400),
    "chunked twice": (get("/", "Transfer-Encoding: chunked, chunked"), 400),
    "chunked not last": (get("/", "Transfer-Encoding: chunked, gzip"), 400),
    "an empty coding": (get("/", "Transfer-Encoding: , chunked"), 400),
    "gzip": (get("/", "Transfer-Encoding: gzip"), 501),
    "identity": (get("/", "Transfer-Encoding: identity"), 501),
    "gzip and chunked": (get("/", "Transfer-Encoding: gzip, chunked"), 501),
    "a quoted coding": (get("/", 'Transfer-Encoding: "chunked"'), 501),
    "a coding behind a vertical tab": (get("/", "Transfer-Encoding: \x0bchunked"), 400),
    "101 fields": (get("/", *["X: y"] * 100), 431),
    "a bad method": (get(method="G@T"), 400),
    "no method": (b" / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two spaces": (get(" /"), 400),
    "a tab in the request line": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "carriage returns alone": (b"GET / HTTP/1.1\rHost: a\r\r\n\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_and_how(name):
    data, status = REFUSED[name]
    assert status_of(data) == status


def test_a_hundred_fields_are_read():
    assert len(read(get("/", *["X: y"] * 99)).headers) == 100


def test_a_head_beyond_the_limit_is_refused():
    data = get("/", "X: " + "a" * 1000)
    assert read(data, len(data)).method == "GET"
    assert status_of(data, len(data) - 1) == 431


def test_an_old_request_needs_no_host():
    head = read(b"GET / HTTP/1.0\r\n\r\n")
    assert (head.version, head.headers, head.keep_alive) == ("1.0", [], False)


def test_an_empty_host_is_a_host():
    assert read(get("/", "Host:")).headers == [(b"host", b"")]


@pytest.mark.parametrize(
    ("version", "fields", "expected"),
    [
        ("1.1", ["Connection: close"], {"keep_alive": False}),
        ("1.1", ["Connection: foo", "Connection: bar, Close"], {"keep_alive": False}),
        ("1.0", ["Connection: Keep-Alive"], {"keep_alive": True}),
        ("1.0", ["Connection: keep-alive, close"], {"keep_alive": False}),
        ("1.1", ["Transfer-Encoding: Chunked"], {"body_length": CHUNKED}),
        ("1.1", ["Content-Length: 0"], {"body_length": 0}),
        ("1.1", ["Content-Length: 1", "Expect: 100-Continue"], {"expects_continue": True}),
        ("1.0", ["Content-Length: 1", "Expect: 100-continue"], {"expects_continue": False}),
        ("1.1", ["Expect: 100-continue"], {"expects_continue": False}),
        ("1.1", ["Content-Length: 1", "Expect: other"], {"expects_continue": False}),
        ("1.1", ["Connection: Upgrade", "Upgrade: WebSocket"], {"upgrade": b"websocket"}),
        ("1.1", ["Connection: upgrade", "Upgrade: a", "Upgrade: b"], {"upgrade": None}),
        ("1.1", ["Connection: upgrade"], {"upgrade": None}),
        ("1.1", ["Upgrade: websocket"], {"upgrade": None}),
        ("1.0", ["Connection: upgrade", "Upgrade: websocket"], {"upgrade": None}),
    ],
)
def test_framing_and_connection(version, fields, expected):
    head = read(get("/", *fields, version=version))
    assert {name: getattr(head, name) for name in expected} == expected
