"""Fairness and windows, through the session that drives the outflow."""

import struct

import pytest

from granian.wire.http2.codes import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PRIORITY_UPDATE,
    SETTINGS,
    frame,
    window_update,
)
from tests.support.http2 import REQUEST, Server


def big(stream, what):
    if what == "request":
        stream.respond(200, [], stream.head.path[1:2].encode() * 60_000)


@pytest.fixture
def server():
    server = Server(big)
    server.feed(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 20)))
    server.feed(window_update(0, 1 << 20))
    server.take()
    return server


def ask(server, *paths):
    """Ask for several things in one read; the bodies' frames in the order they come."""
    octets = b""
    number = server.session.judge.highest_inbound_stream_id
    for path, *fields in paths:
        number = number + 2 if number else 1
        block = server.block(*REQUEST[:2], (b":path", path), REQUEST[3], *fields)
        octets += frame(HEADERS, END_HEADERS | 1, number, block)
    server.feed(octets)
    return order(server)


def order(server):
    return [f[3][:1] for f in server.take() if f[0] == DATA]


def test_streams_take_turns(server):
    assert ask(server, (b"/a",), (b"/b",), (b"/c",))[:6] == [b"a", b"b", b"c", b"a", b"b", b"c"]


def test_the_urgent_go_first_and_the_others_wait(server):
    frames = ask(server, (b"/a", (b"priority", b"u=5")), (b"/b", (b"priority", b"u=0")))
    assert frames == [b"b"] * 4 + [b"a"] * 4


def test_what_is_not_incremental_goes_one_after_the_other(server):
    frames = ask(server, (b"/a", (b"priority", b"u=3")), (b"/b", (b"priority", b"u=3")))
    assert frames == [b"a"] * 4 + [b"b"] * 4


def test_what_is_incremental_is_shared(server):
    frames = ask(server, (b"/a", (b"priority", b"i")), (b"/b", (b"priority", b"i")))
    assert frames[:4] == [b"a", b"b", b"a", b"b"]


def test_a_priority_sent_before_its_request(server):
    server.feed(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", 3) + b"u=1"))
    assert ask(server, (b"/a",), (b"/b",)) == [b"b"] * 4 + [b"a"] * 4


def test_a_priority_changed_on_the_way():
    server = Server(big)
    server.feed(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 1 << 20)))
    assert len(ask(server, (b"/a",), (b"/b",))) == 4  # the window of the connection
    server.feed(frame(PRIORITY_UPDATE, 0, 0, struct.pack(">L", 3) + b"u=0"))
    server.feed(window_update(0, 1 << 20))
    assert order(server)[:2] == [b"b", b"b"]


def test_a_stream_without_window_gives_way(server):
    server.feed(frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 20_000)))
    assert ask(server, (b"/a",), (b"/b",)) == [b"a", b"b", b"a", b"b"]
    server.feed(window_update(3, 40_000))
    assert set(order(server)) == {b"b"}
    assert server.session.outflow.waiting == 1
    server.feed(window_update(1, 40_000))
    assert set(order(server)) == {b"a"}
    assert server.session.outflow.waiting == 0
    assert server.session.streams == {}


def test_no_more_is_cut_than_the_transport_has_room_for(server):
    server.session.feed(b"", server.now)
    block = server.block(*REQUEST[:2], (b":path", b"/a"), REQUEST[3])
    server.session.feed(frame(HEADERS, END_HEADERS | 1, 1, block), server.now)
    data = server.session.collect(262_144 - 20_000)
    assert len(data) < 33_000 + 200
    assert server.session.streams[1].queued == 60_000 - 32_768


def test_small_pieces_share_a_frame():
    def script(stream, what):
        stream.start(200, [])
        for _ in range(100):
            stream.write(b"x" * 10)
        stream.finish()

    server = Server(script)
    server.request(1)
    frames = [f for f in server.take() if f[0] == DATA]
    assert len(frames) == 1
    assert frames[0][3] == b"x" * 1000
    assert frames[0][1] == 1


def test_a_head_larger_than_a_frame_continues():
    def script(stream, what):
        stream.respond(200, [(b"x-%d" % i, b"v" * 1000) for i in range(40)], b"body")

    server = Server(script)
    server.request(1)
    frames = server.take()
    assert [f[0] for f in frames] == [HEADERS, CONTINUATION, CONTINUATION, DATA]
    assert [f[1] for f in frames] == [0, 0, END_HEADERS, 1]
    block = b"".join(f[3] for f in frames[:3])
    assert len(server.decoder.decode(block)) == 44
