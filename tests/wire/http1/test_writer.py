"""The writer by itself; that h11 reads what it writes is shown in ``tests/differential``."""

from http import HTTPStatus

import pytest

from granian.errors import AppError
from granian.wire.head import CHUNKED
from granian.wire.http1.writer import (
    UNTIL_CLOSE,
    HeadWriter,
    encode_chunk,
    encode_interim,
    encode_trailers,
)

DATE = b"date: now\r\n"


@pytest.fixture
def writer():
    return HeadWriter(DATE)


def test_whole_response(writer):
    for _ in range(2):  # rendered, then remembered
        assert writer.encode_response(200, [(b"X-A", b"b")], b"hello") == (
            b"HTTP/1.1 200 OK\r\nx-a: b\r\nserver: granian\r\ndate: now\r\n"
            b"content-length: 5\r\n\r\nhello"
        )


def test_the_date_is_the_newest(writer):
    writer.encode_response(200, [], b"")
    writer.date = b"date: later\r\n"
    assert b"date: later\r\n" in writer.encode_response(200, [], b"")


@pytest.mark.parametrize(
    ("status", "fields", "body"),
    [
        (204, [], b""),
        (304, [], b""),
        (200, [(b"content-length", b"3")], b"12"),
        (200, [(b"connection", b"close")], b""),
        (200, [(b"date", b"then")], b""),
    ],
)
def test_what_is_not_ordinary_is_left_to_the_connection(writer, status, fields, body):
    for _ in range(2):
        assert writer.encode_response(status, fields, body) == b""


@pytest.mark.parametrize(
    ("framing", "line"),
    [
        (5, b"content-length: 5\r\n"),
        (CHUNKED, b"transfer-encoding: chunked\r\n"),
        (UNTIL_CLOSE, b""),
        (None, b""),
    ],
)
def test_framing_lines(writer, framing, line):
    head = writer.read_fields(200, [])
    octets = writer.encode_head(head, framing, b"connection: close\r\n")
    expected = b"HTTP/1.1 200 OK\r\nserver: granian\r\ndate: now\r\n" + line
    assert octets == expected + b"connection: close\r\n\r\n"


@pytest.mark.parametrize("name", [b"transfer-encoding", b"Keep-Alive", b"TE", b"proxy-connection"])
def test_fields_of_the_connection_are_dropped(writer, name):
    assert b"xyz" not in writer.encode_response(200, [(name, b"xyz")], b"")


def test_own_server_and_date_replace_ours(writer):
    head = writer.read_fields(200, [(b"Server", b"me"), (b"Date", b"then")])
    octets = writer.encode_head(head, 0, b"")
    assert octets.count(b"server:") == octets.count(b"date:") == 1
    assert b"server: me\r\ndate: then\r\n" in octets


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (100, []),
        (199, []),
        (1000, []),
        ("200", []),
        (True, []),
        (200, [(b"a b", b"")]),
        (200, [(b"", b"")]),
        (200, [(b"a", b"x\r\ny")]),
        (200, [(b"a", b"x\x00")]),
        (200, [("a", "b")]),
        (200, [(b"a",)]),
        (200, [b"ab"]),
        (200, [7]),
        (200, [(b"content-length", b"-1")]),
        (200, [(b"content-length", b"1"), (b"Content-Length", b"2")]),
    ],
)
def test_what_must_not_reach_the_wire(writer, status, fields):
    for _ in range(2):
        with pytest.raises(AppError):
            writer.encode_response(status, fields, b"")


def test_fields_may_be_any_pairs_of_octets(writer):
    fields = [[b"a", b"1"], (bytearray(b"b"), bytearray(b"2"))]
    assert b"a: 1\r\nb: 2\r\n" in writer.encode_response(200, iter(fields), b"")


def test_memory_is_bounded(writer):
    for number in range(3_000):
        writer.encode_response(200, [(b"x", b"%d" % number)], b"")
    memories = [getattr(writer, slot) for slot in HeadWriter.__slots__]
    assert all(len(memory) <= 512 for memory in memories if isinstance(memory, dict))


def test_a_status_may_be_an_enum(writer):
    assert writer.encode_response(HTTPStatus.NOT_FOUND, [], b"").startswith(b"HTTP/1.1 404 Not")


@pytest.mark.parametrize("value", [b"+1", b"1_0", b"", b"0x1", b"1, 1", b"\xb2", b"9" * 19])
def test_lengths_are_digits_alone(writer, value):
    with pytest.raises(AppError):
        writer.read_fields(200, [(b"content-length", value)])


def test_a_length_given_twice_is_one(writer):
    fields = [(b"content-length", b"5"), (b"Content-Length", b" 5 ")]
    assert writer.encode_response(200, fields, b"hello").count(b"content-length") == 1


def test_an_offered_upgrade_is_kept_and_nothing_else_of_the_connection(writer):
    head = writer.read_fields(426, [(b"connection", b"Upgrade, x, keep-alive"), (b"upgrade", b"a")])
    assert b"connection: upgrade\r\nupgrade: a\r\n" in head.octets
    assert b"keep-alive" not in head.octets
    assert not head.close


def test_a_status_without_content_says_so(writer):
    assert [writer.read_fields(status, ()).bodiless for status in (200, 204, 205, 304)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_refused_field_is_not_remembered(writer):
    with pytest.raises(AppError):
        writer.encode_response(200, [(b"a", b"b"), (b"c", b"d\n")], b"")
    assert b"a: b\r\nserver" in writer.encode_response(200, [(b"a", b"b")], b"")


def test_the_error_names_no_value(writer):
    with pytest.raises(AppError) as caught:
        writer.read_fields(200, [(b"set-cookie", b"hunter2\r\n")])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", [b"Transfer-Encoding", b"connection", b"HOST", b"trailer"])
def test_trailers_do_not_frame(name):
    with pytest.raises(AppError):
        encode_trailers([(name, b"x")])


def test_chunk():
    assert encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_trailers():
    assert encode_trailers([(b"A", b"b")]) == b"0\r\na: b\r\n\r\n"
    with pytest.raises(AppError):
        encode_trailers([(b"Content-Length", b"5")])


def test_interim():
    octets = encode_interim(103, [(b"Link", b"</a>"), (b"content-length", b"5")])
    assert octets == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    with pytest.raises(AppError):
        encode_interim(103, [(b"a", b"\n")])
