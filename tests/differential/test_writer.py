"""Responses as our writer makes them, read again by h11 as a client would."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from granian.errors import AppError
from granian.wire.head import CHUNKED
from granian.wire.http1.writer import (
    LAST_CHUNK,
    UNTIL_CLOSE,
    HeadWriter,
    encode_chunk,
    encode_interim,
    encode_trailers,
)

from .strategies import EXAMPLES

DATE = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
WRITER = HeadWriter(DATE)  # one for all examples: what it remembers must never change an answer

OURS = {b"server", b"date", b"content-length", b"transfer-encoding", b"connection"}
DROPPED = OURS | {b"keep-alive", b"proxy-connection", b"te"}
statuses = st.sampled_from([200, 201, 206, 301, 404, 418, 500, 599, 999])
names = st.one_of(
    st.sampled_from([b"Content-Type", b"set-cookie", b"X-A", b"date", b"Server", b"Connection"]),
    st.text("abcXYZ019-_!~", min_size=1, max_size=12).map(str.encode),
)
values = st.text('abc XYZ,;="/\t\xe9', max_size=30).map(lambda text: text.encode("latin-1"))
fields = st.lists(st.tuples(names, values), max_size=6)
raw_fields = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=4)


def read(octets, method=b"GET", closed=False):
    """h11's reading of a response: (status, headers, body)."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(octets)
    if closed:
        client.receive_data(b"")
    response, body = client.next_event(), b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert client.trailing_data[0] == b"", "octets after the response"
            return response, body, list(event.headers)
        else:
            raise AssertionError(f"h11 wants {event!r} after {octets!r}")


def carried(pairs):
    """The application's own fields as a client must see them."""
    return [
        (name.lower(), value.strip(b" \t")) for name, value in pairs if name.lower() not in DROPPED
    ]


@EXAMPLES
@given(statuses, fields, st.binary(max_size=60))
def test_whole_responses(status, pairs, body):
    octets = WRITER.encode_response(status, pairs, body)
    if not octets:
        head = WRITER.read_fields(status, pairs)
        assert head.dated or head.close, "an ordinary response was not rendered"
        octets = WRITER.encode_head(head, len(body), b"") + body
    response, got, _ = read(octets)
    assert (response.status_code, got) == (status, body)
    seen = list(response.headers)
    assert [pair for pair in seen if pair[0] not in OURS] == carried(pairs)
    assert [value for name, value in seen if name == b"content-length"] == [b"%d" % len(body)]
    assert sum(name == b"date" for name, _ in seen) >= 1


@EXAMPLES
@given(fields, st.lists(st.binary(max_size=30), max_size=5), st.booleans())
def test_streamed_responses(pairs, pieces, chunked):
    head = WRITER.read_fields(200, pairs)
    if chunked:
        octets = WRITER.encode_head(head, CHUNKED, b"")
        octets += b"".join(encode_chunk(piece) for piece in pieces if piece) + LAST_CHUNK
    else:
        octets = WRITER.encode_head(head, UNTIL_CLOSE, b"connection: close\r\n")
        octets += b"".join(pieces)
    response, got, _ = read(octets, closed=not chunked)
    assert got == b"".join(pieces)
    assert [pair for pair in response.headers if pair[0] not in OURS] == carried(pairs)


@EXAMPLES
@given(st.integers(-5, 1100), raw_fields, st.binary(max_size=10))
def test_nothing_an_application_gives_can_split_a_response(status, pairs, body):
    """Any octets at all: refused, or exactly one response with exactly that body."""
    try:
        octets = WRITER.encode_response(status, pairs, body)
        if not octets:
            head = WRITER.read_fields(status, pairs)
            octets = WRITER.encode_head(head, None if head.bodiless else len(body), b"")
            octets += b"" if head.bodiless else body
            body = b"" if head.bodiless else body
    except AppError:
        return
    response, got, _ = read(octets)
    assert (response.status_code, got) == (status, body)
    assert [pair for pair in response.headers if pair[0] not in OURS] == carried(pairs)


@pytest.mark.parametrize("status", [101, 103])
def test_interim_responses(status):
    octets = encode_interim(status, [(b"Link", b"</a>; rel=preload")])
    octets += WRITER.encode_response(200, [], b"x") if status != 101 else b""
    client = h11.Connection(h11.CLIENT)
    upgrade = [(b"host", b"a"), (b"upgrade", b"x"), (b"connection", b"upgrade")]
    client.send(h11.Request(method=b"GET", target=b"/", headers=upgrade))
    client.send(h11.EndOfMessage())
    client.receive_data(octets)
    event = client.next_event()
    assert isinstance(event, h11.InformationalResponse)
    assert list(event.headers) == [(b"link", b"</a>; rel=preload")]


@EXAMPLES
@given(st.lists(st.tuples(names, values), max_size=3))
def test_trailers(pairs):
    head = WRITER.encode_head(WRITER.read_fields(200, []), CHUNKED, b"")
    try:
        end = encode_trailers(pairs)
    except AppError:
        assert any(name.lower() in OURS | {b"host", b"trailer"} for name, _ in pairs)
        return
    _, body, trailers = read(head + encode_chunk(b"x") + end)
    assert body == b"x"
    assert trailers == [(name.lower(), value.strip(b" \t")) for name, value in pairs]
