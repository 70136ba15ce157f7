import pytest

from granian.wire.head import CHUNKED
from granian.wire.http2.request import read_priority, read_request, valid_trailers

GET = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/a%20b/%ff?q=1"),
    (b":authority", b"example:8443"),
]


def read(fields, last=True, connect=True):
    request = read_request(fields, last, connect)
    return request and request[0]


def replaced(name, value):
    return [(key, value if key == name else old) for key, old in GET]


def without(name):
    return [field for field in GET if field[0] != name]


def test_a_request():
    head = read([*GET, (b"accept", b"*/*")])
    assert (head.method, head.path, head.raw_path) == ("GET", "/a b/\ufffd", b"/a%20b/%ff")
    assert (head.query, head.version, head.authority) == (b"q=1", "2", b"example:8443")
    assert head.headers == [(b"host", b"example:8443"), (b"accept", b"*/*")]
    assert (head.body_length, head.expects_continue, head.upgrade) == (0, False, None)


def test_cookie_crumbs_are_joined_where_the_first_was():
    head = read([*GET, (b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")])
    assert head.headers[1:] == [(b"cookie", b"a=1; b=2"), (b"x", b"y")]


def test_one_host_reaches_the_application():
    head = read([*GET, (b"host", b"EXAMPLE:8443")])
    assert [name for name, _ in head.headers] == [b"host"]
    head = read([*without(b":authority"), (b"host", b"other")])
    assert head.headers == [(b"host", b"other")]
    assert head.authority is None


def test_the_length_of_the_body():
    assert read([*GET, (b"content-length", b"12")], last=False).body_length == 12
    assert read(GET, last=False).body_length == CHUNKED
    assert read([*GET, (b"content-length", b"0")]).body_length == 0


def test_an_expectation():
    assert read([*GET, (b"expect", b"100-Continue")], last=False).expects_continue
    assert not read([*GET, (b"expect", b"100-continue")]).expects_continue


def test_connect():
    head = read([(b":method", b"CONNECT"), (b":authority", b"example:443")], last=False)
    assert (head.method, head.path) == ("CONNECT", "example:443")
    fields = [*replaced(b":method", b"CONNECT"), (b":protocol", b"WebSocket")]
    assert read(fields, last=False).upgrade == b"websocket"
    assert read(fields, last=False, connect=False) is None


def test_options_of_the_server_itself():
    fields = [*replaced(b":path", b"*")]
    assert read(fields) is None
    fields[0] = (b":method", b"OPTIONS")
    assert read(fields).path == "*"


@pytest.mark.parametrize(
    "fields",
    [
        # RFC 9113 section 8.2.1
        [*GET, (b"X-Upper", b"1")],
        [*GET, (b"", b"1")],
        [*GET, (b"a b", b"1")],
        [*GET, (b"a:b", b"1")],
        [*GET, (b"a\x80", b"1")],
        [*GET, (b"a", b"1\r\nb: 2")],
        [*GET, (b"a", b"\x00")],
        [*GET, (b"a", b" 1")],
        [*GET, (b"a", b"1\t")],
        # section 8.2.2
        [*GET, (b"connection", b"close")],
        [*GET, (b"keep-alive", b"1")],
        [*GET, (b"proxy-connection", b"1")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"upgrade", b"h2c")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"te", b"trailers"), (b"te", b"trailers")],
        # section 8.3
        [*GET, (b":unknown", b"1")],
        [*GET, (b":status", b"200")],
        [*GET, (b":path", b"/twice")],
        [(b"a", b"1"), *GET],
        without(b":method"),
        without(b":scheme"),
        without(b":path"),
        without(b":authority"),
        replaced(b":path", b""),
        replaced(b":path", b"relative"),
        replaced(b":path", b"/a b"),
        replaced(b":path", b"/a\r\nb"),
        replaced(b":method", b"GE T"),
        replaced(b":scheme", b"ht tp"),
        replaced(b":authority", b""),
        replaced(b":authority", b"user@example"),
        replaced(b":authority", b"exa mple"),
        [*GET, (b"host", b"other")],
        [*without(b":authority"), (b"host", b"a"), (b"host", b"a")],
        [*GET, (b":protocol", b"websocket")],
        [(b":method", b"CONNECT"), (b":authority", b"a:1"), (b":path", b"/")],
        [(b":method", b"CONNECT"), (b"host", b"a:1")],
        # section 8.1.1
        [*GET, (b"content-length", b"+5")],
        [*GET, (b"content-length", b"5")],
        [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
        [*GET, (b"content-length", "\u0660".encode())],
        [*GET, (b"content-length", b"9" * 5000)],
    ],
)
def test_malformed(fields):
    assert read(fields) is None


def test_trailers():
    assert valid_trailers([(b"grpc-status", b"0")])
    assert not valid_trailers([(b":path", b"/")])
    assert not valid_trailers([(b"Upper", b"/")])
    assert not valid_trailers([(b"transfer-encoding", b"chunked")])


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i,u=1", (1, True)),
        (b"i=?0", (3, False)),
        (b"i=?1", (3, True)),
        (b"u=9", (3, False)),
        (b"u=1;x=2, i;y", (1, True)),
        (b"ui=5", (3, False)),
        (b"\xff\x00", (3, False)),
    ],
)
def test_priorities(value, priority):
    assert read_priority(value) == priority


def test_the_priority_of_a_request():
    request = read_request([*GET, (b"priority", b"u=2")], True, True)
    assert request[1] == (2, False)
    assert read_request(GET, True, True)[1] is None
