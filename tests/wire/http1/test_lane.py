"""The lane by itself: what it reads, what it leaves to the reader, what it remembers.

That it never reads anything differently from h11 is shown in ``tests/differential``.
"""

import pytest

from granian.wire.head import CHUNKED
from granian.wire.http1.lane import DECLINED, INCOMPLETE, MAX_FIELDS, HeadLane, Section
from tests.support.lines import get

LIMIT = 8192


@pytest.fixture
def lane():
    return HeadLane(LIMIT)


def test_a_get(lane):
    data = get("/a%20b?c=d", "Host: example.com", "X-One:  1 ", "x-two: 2")
    head, consumed = lane.read_head(data)
    assert consumed == len(data)
    assert (head.method, head.version, head.authority) == ("GET", "1.1", None)
    assert (head.path, head.raw_path, head.query) == ("/a b", b"/a%20b", b"c=d")
    assert head.headers == [(b"host", b"example.com"), (b"x-one", b"1"), (b"x-two", b"2")]
    assert (head.body_length, head.keep_alive, head.upgrade) == (0, True, None)


def test_only_the_head_is_consumed(lane):
    data = get("/")
    assert lane.read_head(data + b"GET / HTTP/1.1\r\n")[1] == len(data)


@pytest.mark.parametrize("cut", range(1, len(get("/"))))
def test_a_part_of_a_head_is_incomplete(lane, cut):
    assert lane.read_head(get("/")[:cut]) == INCOMPLETE


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["Content-Length: 12"], {"body_length": 12}),
        (["Transfer-Encoding: chunked"], {"body_length": CHUNKED}),
        (["Connection: close"], {"keep_alive": False}),
        (["Connection: Keep-Alive"], {"keep_alive": True}),
        (["Connection: x, CLOSE"], {"keep_alive": False}),
        (["Connection: Upgrade", "Upgrade: WebSocket"], {"upgrade": b"websocket"}),
        (["Upgrade: websocket"], {"upgrade": None}),
        (["Content-Length: 1", "Expect: 100-Continue"], {"expects_continue": True}),
        (["Expect: 100-continue"], {"expects_continue": False}),
    ],
)
def test_framing_facts(lane, fields, expected):
    for _ in range(2):  # read, then remembered
        head, _ = lane.read_head(get("/", *fields))
        assert {name: getattr(head, name) for name in expected} == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"\r\n" + get("/"),
        get("/", version="1.0"),
        get("/", "Host: a", version="1.2"),
        get("*", method="OPTIONS"),
        get("http://a/"),
        get("/\xe9"),
        get("/", method="G(T"),
        b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
        get("/", "Host: a", "Host: a"),
        get("/", "Host: a b"),
        get("/", "Content-Length: 1", "Content-Length: 1"),
        get("/", "Content-Length: +1"),
        get("/", "Content-Length: 1", "Transfer-Encoding: chunked"),
        get("/", "Transfer-Encoding: gzip, chunked"),
        get("/", "Expect: cake"),
        get("/", " folded"),
        get("/", "no colon"),
        get("/", "a b: c"),
        get("/", "X: a\x00b"),
        get("/", "X: a\rb"),
        get("/", *["X: y"] * MAX_FIELDS),
        get("/", "X: " + "y" * LIMIT),
        b"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
    ],
)
def test_what_is_left_to_the_reader(lane, data):
    assert lane.read_head(data) == DECLINED
    assert lane.read_head(data) == DECLINED, "remembered what it had declined"


def test_a_remembered_line_is_the_same_line(lane):
    first = lane.read_head(get("/a", "X: y"))[0]
    second = lane.read_head(get("/a", "X: y"))[0]
    assert first.headers == second.headers
    assert first.headers is not second.headers, "the application may keep and change its list"


def test_repeats_of_a_remembered_field_are_kept(lane):
    lane.read_head(get("/", "X: y"))
    assert lane.read_head(get("/", "X: y", "X: y"))[0].headers[1:] == [(b"x", b"y")] * 2


@pytest.mark.parametrize("field", ["Cookie: secret", "Authorization: secret"])
def test_credentials_are_not_remembered(lane, field):
    lane.read_head(get("/", field))
    memory = [getattr(lane, slot, None) for slot in HeadLane.__slots__]
    assert b"secret" not in repr([m for m in memory if isinstance(m, dict)]).encode()


def test_memory_is_bounded(lane):
    for number in range(1_200):
        lane.read_head(get(f"/{number}", f"X-{number}: y", f"Host: a{number}"))
    memories = [getattr(lane, slot, None) for slot in HeadLane.__slots__]
    assert all(len(memory) <= 1024 for memory in memories if isinstance(memory, dict))


def test_a_connections_last_section_is_recognised(lane):
    last = Section()
    data = [get(f"/{n}", "Cookie: a=b", "Content-Length: 3", "Connection: close") for n in range(3)]
    heads = [lane.read_head(octets, last)[0] for octets in data]
    assert [head.path for head in heads] == ["/0", "/1", "/2"]
    assert len({tuple(head.headers) for head in heads}) == 1
    assert [(head.body_length, head.keep_alive) for head in heads] == [(3, False)] * 3


def test_a_section_of_another_shape_is_read_anew(lane):
    last = Section()
    lane.read_head(get("/", "Connection: close"), last)
    assert lane.read_head(get("/"), last)[0].keep_alive
    assert not lane.read_head(get("/", "Connection: close"), last)[0].keep_alive
