"""The lane and h2 must be one server: any frames end in the same events and the same octets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from granian.wire.http2.codes import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADERS,
    PADDED,
    PRIORITY_FLAG,
    frame,
)
from granian.wire.http2.stream import AWAITING
from tests.support.http2 import POST, REQUEST, Server


def script(stream, what):
    path = stream.head.path
    if what == "request" and path == "/":
        stream.respond(200, ((b"content-type", b"text/plain"),), b"hello")
    elif what == "request" and path == "/stream":
        stream.start(200, [], b"piece")
    elif what == "data":
        stream.want_body(len(stream.events[-1][1]))
        if stream.events[-1][2] and stream.phase == AWAITING:
            stream.respond(200, (), b"thanks")


BLOCKS = [
    REQUEST,
    POST,
    (*REQUEST[:2], (b":path", b"/stream"), REQUEST[3]),
    (*POST, (b"content-length", b"4")),
    (*REQUEST, (b"Bad", b"1")),
    (*REQUEST, (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"priority", b"u=1")),
    ((b"grpc-status", b"0"),),
]
STREAMS = st.sampled_from([1, 1, 1, 3, 3, 5, 7, 2, 0])
FLAGS = st.sampled_from([END_HEADERS | END_STREAM] * 3 + [END_HEADERS] * 3 + [0, END_STREAM])


@st.composite
def headers_frame(draw):
    """(flags, stream, fields, padding, priority): encoded later, by the one table they share."""
    return (
        "headers",
        draw(FLAGS),
        draw(STREAMS),
        draw(st.sampled_from(BLOCKS)),
        draw(st.sampled_from([None, None, None, 3])),
        draw(st.sampled_from([None, None, None, 0, 1])),
    )


@st.composite
def other_frame(draw):
    kind = draw(st.sampled_from([DATA] * 6 + [2, 3, 4, 6, 7, 8, 8, 9, 0x10, 0x55]))
    size = {2: 5, 3: 4, 6: 8, 7: 8, 8: 4}.get(kind)
    if size is None:
        payload = draw(st.sampled_from([b"", b"data", b"\x02data\0\0"]))
    else:
        payload = draw(st.sampled_from([bytes(size), bytes(size - 1) + b"\x05"]))
    flags = draw(st.sampled_from([0, 0, END_STREAM, PADDED, END_HEADERS]))
    return ("other", frame(kind, flags, draw(STREAMS), payload))


def octets_of(item, server):
    if item[0] == "other":
        return item[1]
    _, flags, number, fields, padding, priority = item
    payload = server.block(*fields)
    if priority is not None:
        flags |= PRIORITY_FLAG
        payload = priority.to_bytes(4, "big") + b"\x10" + payload
    if padding is not None:
        flags |= PADDED
        payload = bytes([padding]) + payload + bytes(padding)
    return frame(HEADERS, flags, number, payload)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(headers_frame(), other_frame()), min_size=1, max_size=12))
def test_any_frames_end_in_the_same_events_and_octets(items):
    with_lane, without = Server(script, lane=True), Server(script, lane=False)
    for item in items:
        octets = octets_of(item, with_lane)
        with_lane.feed(octets)
        without.feed(octets)
    assert with_lane.take() == without.take()
    assert [stream.events for stream in with_lane.opened] == [
        stream.events for stream in without.opened
    ]
    assert with_lane.session.phase == without.session.phase
    assert (
        with_lane.session.inflow.window.current_window_size
        == without.session.inflow.window.current_window_size
    )


@pytest.fixture
def server():
    return Server(script)


def test_a_block_seen_before_gives_each_request_its_own_list(server):
    server.request(1)
    server.request(3)
    server.request(5)
    first, second, third = (stream.head.headers for stream in server.opened)
    assert second == third == [(b"host", b"example")]
    heads = [stream.events[0] for stream in server.opened]
    assert heads[0] == heads[1] == heads[2]
    assert second is not first


def test_what_is_remembered_ends_with_the_table(server):
    server.request(1)
    block = server.block(*REQUEST)
    memo = server.session._lane._memo
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, block))
    assert len(memo) == 1
    server.request(5, [*REQUEST, (b"x-new", b"1")])
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 7, server.block(*REQUEST)))
    assert server.opened[-1].head.headers == [(b"host", b"example")]
    assert len(memo) == 1


def test_the_memory_is_bounded(server):
    for i in range(200):
        block = b"\x82\x86\x01\x07example" + b"\x04" + bytes([5]) + b"/%04d" % i
        server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block))
    assert server.opened[-1].head.path == "/0199"
    assert len(server.session._lane._memo) <= 64


def test_the_same_block_with_and_without_a_body(server):
    server.request(1, POST)
    block = server.block(*POST)
    for number, flags in ((3, END_HEADERS), (5, END_HEADERS | END_STREAM), (7, END_HEADERS)):
        server.feed(frame(HEADERS, flags, number, block))
    assert [stream.events[0][4] for stream in server.opened] == [True, False, True, False]


def test_it_declines_what_is_padded_or_depends_on_itself(server):
    block = server.block(*REQUEST)
    lane = server.session._lane
    assert not lane.headers(END_HEADERS | PADDED, 1, b"\0" + block, 0, len(block) + 1)
    payload = b"\0\0\0\1\0" + block
    assert not lane.headers(END_HEADERS | PRIORITY_FLAG, 1, payload, 0, len(payload))
    assert not lane.headers(0, 1, block, 0, len(block))
    assert not lane.data(0, 1, b"x", 0, 1)
    assert server.opened == []


def test_frame_headers_are_nine_octets():
    assert FRAME_HEADER.size == 9
