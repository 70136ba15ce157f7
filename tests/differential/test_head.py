"""The lane against its authorities: for any octets it declines, or reads what they read."""

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from granian.errors import PeerError
from granian.wire.head import CHUNKED, RequestHead
from granian.wire.http1 import reader
from granian.wire.http1.lane import DECLINED, INCOMPLETE, HeadLane
from tests.support import corpus

from .strategies import EXAMPLES, heads, mutants

LIMIT = 417_792
RAW = [case.raw for case in corpus.load() if len(case.raw) < 4096]
LANE = HeadLane(LIMIT)  # one for all examples: what it remembers must never change a reading


class Sender:
    """A connection, as far as the lane knows it."""

    section = None


LAST = Sender()  # one connection that sends all examples


def facts(head: RequestHead):
    """All that the octets say; ``kept`` is no part of it."""
    return {name: getattr(head, name) for name in RequestHead.__slots__ if name != "section"}


def h11_reads(data):
    """What h11 makes of the octets: (request, framing, octets left), None for more, or an error."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        return error
    if event is h11.NEED_DATA:
        return None
    return event, len(connection.trailing_data[0])


def check(lane, data):
    """Hold one reading of the lane against h11 and against the reader."""
    result = lane.read_head(data)
    if result == DECLINED:
        return
    if result == INCOMPLETE:
        assert b"\r\n\r\n" not in data
        return
    head, consumed = result
    seen = h11_reads(data)
    assert isinstance(seen, tuple), f"h11: {seen!r}"
    request, left = seen
    assert consumed == len(data) - left
    assert head.method.encode() == request.method
    assert head.version.encode() == request.http_version
    assert head.headers == list(request.headers)
    query = b"?" + head.query if b"?" in request.target else b""
    assert head.raw_path + query == request.target
    assert head.body_length == body_length(request)
    assert consumed == reader.find_end(data, 0)
    assert facts(head) == facts(reader.read_head(data[:consumed], LIMIT))
    sender = Sender()
    again = [HeadLane(LIMIT).read_head(data), *(lane.read_head(data, LAST) for _ in range(2))]
    again += [lane.read_head(data, sender) for _ in range(2)]
    for other in again:
        if other != DECLINED:
            assert other[1] == consumed
            assert facts(other[0]) == facts(head), "a memory changed the reading"


def body_length(request):
    """The framing that h11's reading implies (RFC 9112 section 6.3)."""
    fields = dict(request.headers)
    if b"transfer-encoding" in fields:
        return CHUNKED
    return int(fields.get(b"content-length", b"0"))


@EXAMPLES
@given(heads())
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\nHost: a\r\nConnection: close\r\n\r\n")
@example(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
@example(b"\r\n\r\n")
@example(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
def test_any_head(data):
    check(LANE, data)


@EXAMPLES
@given(mutants())
def test_any_mutant(data):
    check(LANE, data)


@EXAMPLES
@given(mutants(st.deferred(lambda: st.sampled_from(RAW))))
def test_any_mutant_of_the_corpus(data):
    check(LANE, data)


@pytest.mark.parametrize("case", corpus.load(), ids=lambda case: case.id)
def test_corpus(case):
    check(LANE, case.raw)


@EXAMPLES
@given(st.lists(heads(), min_size=2, max_size=5))
def test_any_history(history):
    """What was read before, in any order, never shows."""
    lane = HeadLane(LIMIT)
    for data in [*history, *reversed(history)]:
        check(lane, data)


@EXAMPLES
@given(mutants(), st.integers(0, 400))
def test_a_head_is_the_same_in_pieces(data, cut):
    """The reader's end of the head does not depend on how the octets arrived."""
    end = reader.find_end(data, 0)
    cut = min(cut, len(data))
    early = reader.find_end(data[:cut], 0)
    assert early in (-1, end)
    if early < 0:
        assert reader.find_end(data, max(0, cut - 2)) == end


@EXAMPLES
@given(mutants())
def test_the_reader_never_raises_anything_else(data):
    end = reader.find_end(data, 2 if data[:2] == b"\r\n" else 0)
    read = reader.check_incomplete if end < 0 else reader.read_head
    status = 200
    try:
        read(data[: end if end >= 0 else None], LIMIT)
    except PeerError as error:
        status = error.status
    assert status in (200, 400, 414, 431, 501, 505)
