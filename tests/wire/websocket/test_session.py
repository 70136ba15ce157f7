"""A session from first frame to close: messages, replies, phases, and what leaves."""

import os
import sys
import zlib

import pytest

from granian.plan import WebsocketPlan
from granian.wire.websocket.deflate import Deflate
from granian.wire.websocket.lane import read_frame
from granian.wire.websocket.session import (
    BROKEN,
    CLOSE_RECEIVED,
    CLOSE_SENT,
    CLOSED,
    CLOSING,
    COMPRESSED_FROM,
    JUDGED,
    OPEN,
    TRANSITIONS,
    Session,
    close_payload,
    decline,
    frame_size,
    is_sendable,
)

from . import peer
from .peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, messages, parse

PLAN = WebsocketPlan()


def fed(*pieces, **options):
    session = Session(PLAN, **options)
    taken = []
    for piece in pieces:
        session.feed(piece)
        taken += messages(session)
    return session, taken


def replies(session):
    return parse(b"".join(session.replies))


def test_messages_in_order_whatever_reads_them():
    sent = [
        frame(TEXT, "one"),
        frame(BINARY, b"two"),
        frame(TEXT, "th", fin=False),
        frame(PING, b"!"),
        frame(CONTINUATION, "ree"),
        frame(BINARY, bytes(70_000)),
        frame(TEXT, ""),
    ]
    expected = ["one", b"two", "three", bytes(70_000), ""]
    for pieces in (sent, [b"".join(sent)]):
        session, taken = fed(*pieces)
        assert taken == expected
        assert replies(session) == [(0x8A, b"!")]
        assert session.phase == OPEN


def test_messages_octet_by_octet():
    sent = frame(TEXT, "ä" * 80) + frame(BINARY, b"b", long=0) + frame(TEXT, "c", fin=False)
    sent += frame(PING, b"p") + frame(CONTINUATION, "d")
    session, taken = fed(*(sent[at : at + 1] for at in range(len(sent))))
    assert taken == ["ä" * 80, b"b", "cd"]
    assert replies(session) == [(0x8A, b"p")]


def test_replies_come_before_the_message_behind_them():
    session = Session(PLAN)
    session.feed(frame(PING, b"p") + frame(TEXT, "a") + frame(PING, b"q"))
    assert session.next_message() == "a"
    assert len(session.replies) == 1
    assert session.next_message() is None
    assert len(session.replies) == 2


def test_an_idle_session_holds_no_octets():
    session, _ = fed(frame(BINARY, bytes(60_000)))
    assert session.held == b""
    session, _ = fed(frame(PING))
    assert session.held == b""
    assert sys.getsizeof(session) < 400


def test_a_flood_of_odd_frames_is_decided_on_in_turns():
    session = Session(PLAN)
    session.feed(frame(PING, b"p") * (JUDGED + 1) + frame(TEXT, "behind"))
    assert session.next_message() is None
    assert session.unfinished
    assert len(session.replies) == JUDGED
    session.unfinished = False
    assert session.next_message() == "behind"
    assert not session.unfinished


def test_pongs_are_counted():
    session, taken = fed(frame(PONG), frame(PONG, b"unasked"))
    assert session.pongs == 2
    assert not taken
    assert not session.replies


@pytest.mark.parametrize(
    ("sent", "code", "reason", "reply"),
    [
        (frame(CLOSE), 1005, "", b""),
        (close(1000, "tschüß".encode()), 1000, "tschüß", b"\x03\xe8"),
        (close(4001), 4001, "", b"\x0f\xa1"),
    ],
)
def test_a_close_is_answered_once(sent, code, reason, reply):
    session, taken = fed(sent + frame(TEXT, "after") + close(1001), frame(PING))
    assert not taken
    assert session.phase == CLOSED
    assert (session.close_code, session.close_reason) == (code, reason)
    assert replies(session) == [(0x88, reply)]
    assert session.encode_close(1000) == b""


def test_our_close_is_answered_by_theirs():
    session = Session(PLAN)
    assert parse(session.encode_close(4000, "done")) == [(0x88, b"\x0f\xa0done")]
    assert session.phase == CLOSING
    assert session.encode_close(1000) == b""
    session.feed(frame(TEXT, "late") + frame(PING) + frame(TEXT, "x", fin=False) + frame(PING))
    assert messages(session) == []
    assert session.phase == CLOSING
    session.feed(frame(CONTINUATION) + close(4000))
    assert messages(session) == []
    assert session.phase == CLOSED
    assert session.close_code == 4000
    assert not session.replies


def test_what_breaks_the_protocol_is_closed_with_its_code():
    session, taken = fed(frame(TEXT, "good") + frame(TEXT, b"\xff") + frame(TEXT, "after"))
    assert taken == ["good"]
    assert session.phase == CLOSED
    assert session.close_code == 1007
    assert replies(session) == [(0x88, b"\x03\xef")]


def test_breaking_it_after_our_close_says_nothing():
    session = Session(PLAN)
    session.encode_close(1000)
    session.feed(frame(3))
    assert messages(session) == []
    assert session.phase == CLOSED
    assert not session.replies


@pytest.mark.parametrize("phase", [OPEN, CLOSING, CLOSED])
@pytest.mark.parametrize("event", [CLOSE_SENT, CLOSE_RECEIVED, BROKEN])
def test_every_pair_of_the_table(phase, event):
    session = Session(PLAN)
    if phase == CLOSING:
        session.encode_close(1000)
    elif phase == CLOSED:
        session.feed(close(1000))
        messages(session)
    assert session.phase == phase
    if event == CLOSE_SENT:
        session.encode_close(1000)
    else:
        session.feed(close(1001) if event == CLOSE_RECEIVED else frame(3))
        messages(session)
    assert session.phase == TRANSITIONS.get((phase, event), phase)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_outgoing_frames_of_every_length(size):
    session, octets = Session(PLAN), os.urandom(size)
    assert parse(session.encode(octets)) == [(0x82, octets)]
    assert parse(session.encode("x" * size)) == [(0x81, b"x" * size)]


def test_text_that_is_no_text_cannot_be_sent():
    with pytest.raises(UnicodeEncodeError):
        Session(PLAN).encode("\ud800")


def test_outgoing_messages_are_compressed_where_it_pays():
    session = Session(PLAN, Deflate())
    [(first, payload)] = parse(session.encode("compress me " * 30))
    assert first == 0xC1
    inflated = zlib.decompressobj(-12).decompress(payload + b"\x00\x00\xff\xff")
    assert inflated == b"compress me " * 30
    assert parse(session.encode("small")) == [(0x81, b"small")]
    assert parse(session.encode(bytes(COMPRESSED_FROM)))[0][0] == 0xC2
    assert parse(session.encode_ping()) == [(0x89, b"")]


def test_plain_frames_take_the_lane_where_compression_was_agreed_on():
    session, taken = fed(frame(TEXT, "plain"), deflate=Deflate())
    assert taken == ["plain"]
    assert session._reader is None
    session.feed(frame(TEXT, peer.deflate(b"packed"), rsv=4) + frame(TEXT, "plain"))
    assert messages(session) == ["packed", "plain"]
    assert session._reader is None


@pytest.mark.parametrize("lane", [read_frame, decline])
@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\xff" * 20, 1007), (peer.deflate(b"\xff"), 1007), (peer.deflate(bytes(101)), 1009)],
)
def test_compressed_messages_that_fail_the_connection(lane, payload, code):
    session = Session(WebsocketPlan(max_message_size=100), Deflate(), lane)
    session.feed(frame(TEXT, peer.deflate(b"good"), rsv=4) + frame(TEXT, payload, rsv=4))
    assert messages(session) == ["good"]
    assert session.close_code == code
    assert replies(session) == [(0x88, code.to_bytes(2, "big"))]


@pytest.mark.parametrize("lane", [read_frame, decline])
def test_a_continuation_of_nothing_is_no_part_of_the_compressed_message_before(lane):
    empty, stray = frame(TEXT, b"", rsv=4), frame(CONTINUATION, b"\x01")
    session, taken = fed(empty + stray, deflate=Deflate(), lane=lane)
    assert taken == [""]
    assert session.close_code == 1002


def test_one_context_for_messages_whole_and_fragmented():
    client = zlib.compressobj(9, zlib.DEFLATED, -12)
    words = os.urandom(300)

    def packed():
        return (client.compress(words) + client.flush(zlib.Z_SYNC_FLUSH))[:-4]

    session = Session(PLAN, Deflate())
    session.feed(frame(BINARY, packed(), rsv=4))
    second = packed()
    assert len(second) < 50
    session.feed(frame(BINARY, second[:3], rsv=4, fin=False) + frame(CONTINUATION, second[3:]))
    session.feed(frame(BINARY, packed(), rsv=4))
    assert messages(session) == [words] * 3


def test_limits_of_the_plan_reach_the_frames():
    session = Session(WebsocketPlan(max_message_size=10, max_frame_size=8))
    session.feed(frame(TEXT, "12345678") + peer.header(TEXT, 9))
    assert messages(session) == ["12345678"]
    assert session.close_code == 1009
    session = Session(WebsocketPlan(max_message_size=10, max_frame_size=800))
    session.feed(peer.header(BINARY, 11))
    assert messages(session) == []
    assert session.close_code == 1009


def test_wsproto_is_not_loaded_for_ordinary_frames():
    session, _ = fed(frame(TEXT, "a"), frame(BINARY, b"b" * 70_000))
    assert session._reader is None
    session, _ = fed(frame(TEXT, "a"), lane=decline)
    assert session._reader is not None


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [True, False])
def test_frame_size_is_read_from_the_header(size, mask):
    data = frame(BINARY, bytes(size), mask=mask)
    assert frame_size(b"xy" + data, 2) == len(data)
    assert frame_size(data[:1], 0) == 0
    if size > 125:
        assert frame_size(data[:3], 0) == 0


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (999, False),
        (1000, True),
        (1003, True),
        (1004, False),
        (1005, False),
        (1006, False),
        (1014, True),
        (1015, False),
        (2999, False),
        (3000, True),
        (4999, True),
        (5000, False),
    ],
)
def test_sendable_codes(code, outcome):
    assert is_sendable(code) is outcome


def test_a_long_reason_is_cut_at_a_character():
    assert close_payload(1000, "€" * 50) == b"\x03\xe8" + "€".encode() * 41
    assert close_payload(1000, "\ud800") == b"\x03\xe8?"
    assert close_payload(None, "") == b""
