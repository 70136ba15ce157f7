"""The fast lane: what it reads, what it leaves to the reader, and what its memos remember."""

import pytest

from granian.wire.head import CHUNKED
from granian.wire.http1 import lane as module
from granian.wire.http1.lane import DECLINED, INCOMPLETE, MAX_FIELDS, HeadLane
from tests.support.lines import get, post


@pytest.fixture
def lane():
    return HeadLane(417_792)


class Sender:
    """A connection, as far as the lane knows it."""

    section = None


def memos(lane):
    """Everything that a thread shares between its connections."""
    slots = [getattr(lane, name) for name in HeadLane.__slots__]
    return [slot for slot in slots if isinstance(slot, dict)]


def read(lane, data, last=None):
    """Read a head that the lane takes."""
    result = lane.read_head(data, last)
    assert not isinstance(result, int), result
    return result[0]


def with_fields(*fields):
    return get("/", *fields)


def facts(head):
    """What a head says of itself."""
    names = [name for name in head.__slots__ if name not in ("headers", "section")]
    return {name: getattr(head, name) for name in names}


def test_an_ordinary_head(lane):
    data = get("/a%20b/%c3%a9?q=%31&x", "Host: h:80", "User-Agent: \t x y \t", "X-Empty:")
    head, consumed = lane.read_head(data + b"body")
    assert consumed == len(data)
    assert facts(head) == {
        "method": "GET",
        "path": "/a b/é",
        "raw_path": b"/a%20b/%c3%a9",
        "query": b"q=%31&x",
        "version": "1.1",
        "authority": None,
        "body_length": 0,
        "keep_alive": True,
        "expects_continue": False,
        "upgrade": None,
    }
    assert head.headers == [(b"host", b"h:80"), (b"user-agent", b"x y"), (b"x-empty", b"")]


@pytest.mark.parametrize("data", [b"G", get()[:-1], get()[:-2], b"GET / HTTP/1.1\r\nHost: a\n\n"])
def test_a_head_without_its_end_is_incomplete(lane, data):
    assert lane.read_head(data) == INCOMPLETE


def test_the_first_head_of_several_is_read(lane):
    one, two = get("/1"), get("/2")
    head, consumed = lane.read_head(one + two)
    assert (head.path, consumed) == ("/1", len(one))


DECLINED_HEADS = {
    "old version": get("/", "Host: a", version="1.0"),
    "next version": get("/", "Host: a", version="1.2"),
    "absolute form": get("http://a/"),
    "asterisk form": get("*", method="OPTIONS"),
    "authority form": get("a:1", method="CONNECT"),
    "octets beyond ASCII in the target": get("/\xff"),
    "space in the target": get("/a b"),
    "blank line first": b"\r\n" + get(),
    "nothing": b"\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host among fields": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "two hosts": with_fields("Host: a", "Host: a"),
    "bad host": with_fields("Host: a b"),
    "line feed alone": get("/", "X: y").replace(b"\r\nX", b"\nX"),
    "line feed alone after the request line": get().replace(b"1.1\r\n", b"1.1\n"),
    "carriage return in a value": with_fields("X: a\rb"),
    "folding": with_fields("X: a", " b"),
    "folding first": b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
    "no colon": with_fields("X"),
    "no name": with_fields(": a"),
    "space before the colon": with_fields("X : a"),
    "bad name": with_fields("X(: a"),
    "control octet": with_fields("X: a\0"),
    "delete octet": with_fields("X: \x7f"),
    "vertical tab before the coding": with_fields("Transfer-Encoding: \x0bchunked"),
    "length twice": with_fields("Content-Length: 1", "Content-Length: 1"),
    "length listed": with_fields("Content-Length: 1, 1"),
    "length signed": with_fields("Content-Length: +1"),
    "length spaced": with_fields("Content-Length: 1 1"),
    "length empty": with_fields("Content-Length:"),
    "length too long": with_fields("Content-Length: " + "1" * 19),
    "coding and length": with_fields("Content-Length: 1", "Transfer-Encoding: chunked"),
    "coding twice": with_fields("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "coding listed": with_fields("Transfer-Encoding: gzip, chunked"),
    "coding in capitals": with_fields("Transfer-Encoding: Chunked"),
    "coding unknown": with_fields("Transfer-Encoding: identity"),
    "connection twice": with_fields("Connection: close", "Connection: upgrade"),
    "expectation unknown": with_fields("Expect: 200-ok"),
    "too many fields": with_fields(*["X: y"] * MAX_FIELDS),
    "target too long": get("/" + "a" * 65_500),
}


@pytest.mark.parametrize("name", DECLINED_HEADS)
def test_what_is_not_ordinary_is_declined_however_often(lane, name):
    last = Sender()
    for _ in range(3):
        assert lane.read_head(DECLINED_HEADS[name], last) == DECLINED
    read(lane, with_fields("X: y"), last)
    assert lane.read_head(DECLINED_HEADS[name], last) == DECLINED


def test_as_many_fields_as_allowed_are_read(lane):
    assert len(read(lane, with_fields(*["X: y"] * (MAX_FIELDS - 1))).headers) == MAX_FIELDS


@pytest.mark.parametrize(("size", "result"), [(100, None), (101, DECLINED)])
def test_the_limit_counts_every_octet(size, result):
    data = with_fields("X: ")
    data = data.replace(b"X: ", b"X: " + b"a" * (size - len(data)))
    read_head = HeadLane(100).read_head(data)
    assert read_head == result if result is not None else read_head[1] == size


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], {}),
        (["Content-Length: 0"], {}),
        (["Content-Length: 007"], {"body_length": 7}),
        (["content-length:\t12\t"], {"body_length": 12}),
        (["Transfer-Encoding: chunked"], {"body_length": CHUNKED}),
        (["Connection: close"], {"keep_alive": False}),
        (["Connection: keep-alive , CLOSE"], {"keep_alive": False}),
        (["Connection: keep-alive"], {}),
        (["Connection: Keep-Alive"], {}),
        (["Connection: x-close"], {}),
        (["Connection: upgrade", "Upgrade: WebSocket"], {"upgrade": b"websocket"}),
        (["Upgrade: websocket", "Connection: keep-alive, Upgrade"], {"upgrade": b"websocket"}),
        (["Upgrade: websocket"], {}),
        (["Connection: upgrade"], {}),
        (["Expect: 100-continue"], {}),
        (
            ["Expect: 100-Continue", "Content-Length: 5"],
            {"expects_continue": True, "body_length": 5},
        ),
    ],
)
def test_framing_is_read_the_same_the_first_time_and_from_memory(lane, fields, expected):
    plain = facts(read(lane, get()))
    last = Sender()
    for _ in range(3):
        assert facts(read(lane, with_fields(*fields), last)) == {**plain, **expected}
        assert facts(read(lane, with_fields("Host: a", *fields, "X: y"))) == {**plain, **expected}
        assert facts(read(lane, get())) == plain


def test_a_host_may_stand_anywhere(lane):
    for _ in range(2):
        for data in (with_fields("A: b", "Host: h"), with_fields("Host: h", "A: b")):
            assert sorted(read(lane, data).headers) == [(b"a", b"b"), (b"host", b"h")]


def test_an_inert_line_twice_is_two_fields(lane):
    for _ in range(2):
        headers = read(lane, with_fields("X: y", "X: y", "Connection: keep-alive")).headers
        assert headers[1:] == [(b"x", b"y"), (b"x", b"y"), (b"connection", b"keep-alive")]


def test_a_kept_connection_beside_another_option(lane):
    data = with_fields("Connection: keep-alive", "Connection: close")
    assert lane.read_head(data) == DECLINED
    # Known by now, the inert form does not hide what else is said of the connection.
    assert read(lane, data).keep_alive is False


# what is remembered


def test_the_same_section_is_read_once(lane, monkeypatch):
    last = Sender()
    first = read(lane, get("/1", "A: b", "Cookie: secret"), last)
    monkeypatch.setattr(HeadLane, "_read_section", None)
    second = read(lane, get("/2", "A: b", "Cookie: secret"), last)
    assert second.path == "/2"
    assert second.headers == first.headers
    assert second.headers is not first.headers, "a list belongs to its request"


def test_what_an_application_does_to_its_headers_is_its_own(lane):
    last = Sender()
    for _ in range(3):
        headers = read(lane, get("/", "A: b"), last).headers
        assert headers == [(b"host", b"a"), (b"a", b"b")]
        headers.clear()


def test_another_section_is_another(lane):
    last = Sender()
    assert read(lane, post(b"x"), last).body_length == 1
    assert read(lane, get(), last).body_length == 0
    assert read(lane, post(b"xyz"), last).body_length == 3
    assert read(lane, get("/", "Connection: close"), last).keep_alive is False
    assert read(lane, get(), last).keep_alive is True


def test_a_long_section_is_not_kept(lane):
    last = Sender()
    read(lane, get("/", "A: " + "a" * 4000), last)
    assert last.section is None
    assert len(read(lane, get("/", "A: " + "a" * 4000), last).headers) == 2


def test_secrets_stay_out_of_what_a_thread_shares(lane):
    names = ["Cookie", "Authorization", "Proxy-Authorization"]
    read(lane, get("/", *[f"{name}: hunter2" for name in names]))
    for memo in memos(lane):
        assert not any(b"hunter2" in key for key in memo)


def test_long_lines_are_not_remembered(lane):
    read(lane, get("/" + "a" * 300, "A: " + "a" * 300, "B" * 100 + ": c"))
    for memo in memos(lane):
        assert not any(len(key) > (64 if memo is lane._names else 2048) for key in memo)
    assert not any(len(line) > 256 for line in (*lane._lines, *lane._fields))


def test_memory_is_bounded(lane, monkeypatch):
    monkeypatch.setattr(module, "_MEMO_ENTRIES", 10)
    monkeypatch.setattr(module, "_MEMO_SECTIONS", 10)
    for number in range(100):
        data = get(f"/{number}", f"X-{number}: y", f"Host: h{number}", "Connection: close")
        assert read(lane, data).headers[0] == (b"x-%d" % number, b"y")
        for memo in memos(lane):
            assert len(memo) <= 10


def test_a_request_line_may_be_as_long_as_others_read(lane):
    assert read(lane, get("/" + "a" * 60_000)).path == "/" + "a" * 60_000


# cookies, which differ where the rest does not

PLACES = [
    ("Cookie: {0}", "A: b", "C: d"),
    ("A: b", "Cookie: {0}", "C: d"),
    ("A: b", "C: d", "Cookie: {0}"),
    ("cookie: {0}", "A: b"),
    ("A: b", "Cookie:{0}"),
    ("A: b", "Cookie: {0}", "Cookie: {0}"),
    ("A: b", "Cookie: {0}", "Authorization: Basic {0}"),
    ("A: b", "Cookie: {0}", "Connection: close"),
]


@pytest.mark.parametrize("fields", PLACES)
@pytest.mark.parametrize("cookie", ["b=2", "", "  spaced\t", "x" * 3000, "\x01", "a\x00b", "\xe9"])
def test_another_cookie_is_read_as_by_a_lane_that_knows_nothing(lane, fields, cookie):
    def octets(value):
        return get("/", *[field.format(value) for field in fields])

    lane.read_head(octets("a=1"))
    known, fresh = lane.read_head(octets(cookie)), HeadLane(417_792).read_head(octets(cookie))
    if isinstance(fresh, int):
        assert known == fresh
    else:
        assert facts(known[0]) == facts(fresh[0])
        assert known[0].headers == fresh[0].headers
        assert known[1] == fresh[1]


def test_no_cookie_is_remembered(lane):
    for value in ("first-secret", "second-secret"):
        read(lane, get("/", "A: b", f"Cookie: {value}"))
    assert "-secret" not in repr(
        [list(memo) + [getattr(m, "fields", m) for m in memo.values()] for memo in memos(lane)]
    )


def test_a_cookie_may_be_one_field_too_many(lane):
    fields = [f"X-{number}: a" for number in range(MAX_FIELDS - 1)]
    read(lane, get("/", *fields))
    assert lane.read_head(get("/", *fields, "Cookie: a")) == DECLINED


def test_what_is_kept_with_a_section_is_found_with_the_same_octets_only(lane):
    first = read(lane, with_fields("A: b"))
    first.section.kept = "mine"
    assert read(lane, with_fields("A: b")).section.kept == "mine"
    assert read(lane, with_fields("A: c")).section.kept is None


def test_what_is_kept_with_a_credential_stays_with_its_connection(lane):
    mine, other = Sender(), Sender()
    read(lane, with_fields("Authorization: x"), mine).section.kept = "mine"
    assert read(lane, with_fields("Authorization: x"), mine).section.kept == "mine"
    assert read(lane, with_fields("Authorization: x"), other).section.kept is None


def test_a_request_line_is_remembered_when_it_is_seen_again(lane):
    for times in range(3):
        assert read(lane, get("/twice")).path == "/twice"
        assert len(lane._lines) == min(times, 1)


def test_request_lines_that_never_come_back_are_not_remembered(lane):
    for number in range(2000):
        assert read(lane, get(f"/item/{number}")).path == f"/item/{number}"
    assert not lane._lines
