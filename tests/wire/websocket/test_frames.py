"""wsproto under our limits: every rule of framing, each with the close code it earns."""

import os
import tracemalloc

import pytest

from granian.wire.websocket.deflate import Deflate, Inflater
from granian.wire.websocket.frames import (
    MAX_FRAGMENTS,
    BrokenError,
    FrameReader,
    Guard,
)

from .peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, deflate, frame, header


def reader_of(max_message=1000, max_frame=500, agreed=None):
    inflater = None if agreed is None else Inflater(agreed)
    return FrameReader(Guard(max_message, max_frame, inflater))


def test_whole_messages_and_fragments():
    reader = reader_of()
    assert reader.feed(frame(TEXT, "ä")) == (TEXT, "ä")
    assert reader.feed(frame(BINARY, b"a", fin=False)) is None
    assert reader.under_way
    assert reader.feed(frame(PING, b"between")) == (PING, b"between")
    assert reader.feed(frame(CONTINUATION, b"b", fin=False)) is None
    assert reader.feed(frame(CONTINUATION, b"c")) == (BINARY, b"abc")
    assert not reader.under_way
    assert reader.feed(frame(TEXT, b"\xc3", fin=False)) is None
    assert reader.feed(frame(CONTINUATION, b"\xa4")) == (TEXT, "ä")
    assert reader.feed(frame(PONG)) == (PONG, b"")
    assert reader.feed(close(1000, b"bye")) == (CLOSE, (1000, "bye"))


def test_octet_by_octet():
    reader = reader_of()
    events = [reader.feed(bytes([octet])) for octet in frame(TEXT, "€" * 5)]
    assert events[-1] == (TEXT, "€" * 5)
    assert not any(events[:-1])


def test_empty_close_has_no_code():
    assert reader_of().feed(frame(CLOSE)) == (CLOSE, (1005, ""))


BROKEN = [
    (1002, [frame(TEXT, b"bare", mask=False)]),
    (1002, [frame(3)]),
    (1002, [frame(11)]),
    (1002, [frame(PING, fin=False)]),
    (1002, [frame(PING, bytes(126))]),
    (1002, [frame(TEXT, b"", rsv=4)]),
    (1002, [frame(TEXT, b"", rsv=2)]),
    (1002, [frame(PING, b"", rsv=1)]),
    (1002, [frame(CONTINUATION, b"stray")]),
    (1002, [frame(TEXT, b"a", fin=False), frame(TEXT, b"nested")]),
    (1002, [frame(BINARY, b"short", long=2)]),
    (1002, [b"\x82\xff\x80" + bytes(7)]),
    (1007, [frame(TEXT, b"\xed\xa0\x80")]),
    (1007, [frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"c")]),
    (1007, [frame(TEXT, b"\xc3")]),
    (1007, [frame(TEXT, b"\xffmore to come")[:8]]),
    (1002, [frame(CLOSE, b"x")]),
    *[(1002, [close(code)]) for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535)],
    (1007, [close(1000, b"\xff")]),
    (1009, [header(BINARY, 501)]),
    (1009, [header(BINARY, 1 << 62)]),
    (
        1009,
        [
            frame(BINARY, bytes(500), fin=False),
            frame(CONTINUATION, bytes(500), fin=False),
            header(CONTINUATION, 1),
        ],
    ),
]


@pytest.mark.parametrize(("code", "sent"), BROKEN, ids=range(len(BROKEN)))
def test_breaches_have_their_code(code, sent):
    reader = reader_of()
    for piece in sent[:-1]:
        assert reader.feed(piece) is None
    with pytest.raises(BrokenError) as caught:
        reader.feed(sent[-1])
    assert caught.value.code == code


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1012, 1013, 3000, 4999])
def test_good_close_codes(code):
    assert reader_of().feed(close(code)) == (CLOSE, (code, ""))


def test_fragments_are_counted():
    reader = reader_of()
    reader.feed(frame(BINARY, fin=False))
    empty = frame(CONTINUATION, fin=False)
    reader._protocol.extensions[0].fragments = MAX_FRAGMENTS - 1
    assert reader.feed(empty) is None
    with pytest.raises(BrokenError) as caught:
        reader.feed(empty)
    assert caught.value.code == 1009


def test_a_header_in_pieces_counts_once():
    reader = reader_of()
    for octet in frame(BINARY, b"ab", fin=False) + frame(CONTINUATION, b"c", fin=False):
        reader.feed(bytes([octet]))
    assert reader._protocol.extensions[0].fragments == 2


def test_fragments_of_the_next_message_are_counted_anew():
    reader = reader_of()
    reader._protocol.extensions[0].fragments = MAX_FRAGMENTS
    assert reader.feed(frame(BINARY, b"a")) == (BINARY, b"a")


def test_compressed_messages_whole_and_in_fragments():
    reader = reader_of(agreed=Deflate())
    payload = deflate(b"compressed " * 20)
    for _ in range(2):
        assert reader.feed(frame(TEXT, payload, rsv=4)) == (TEXT, "compressed " * 20)
    assert reader.feed(frame(TEXT, payload[:5], rsv=4, fin=False)) is None
    assert reader.feed(frame(PING, b"plain")) == (PING, b"plain")
    assert reader.feed(frame(CONTINUATION, payload[5:])) == (TEXT, "compressed " * 20)
    assert reader.feed(frame(TEXT, b"plain")) == (TEXT, "plain")
    assert reader.feed(frame(BINARY, deflate(b""), rsv=4)) == (BINARY, b"")


@pytest.mark.parametrize(
    ("code", "piece"),
    [
        (1009, frame(BINARY, deflate(bytes(1001)), rsv=4)),
        (1009, frame(BINARY, deflate(bytes(10_000_000))[:450], rsv=4)),
        (1007, frame(BINARY, b"\xff" * 20, rsv=4)),
        (1007, frame(TEXT, deflate(b"\xff"), rsv=4)),
        (1002, frame(PING, b"", rsv=4)),
        (1002, frame(TEXT, b"", rsv=2)),
    ],
    ids=range(6),
)
def test_breaches_of_compression(code, piece):
    with pytest.raises(BrokenError) as caught:
        reader_of(agreed=Deflate()).feed(piece)
    assert caught.value.code == code


def test_compression_bit_on_a_continuation():
    reader = reader_of(agreed=Deflate())
    reader.feed(frame(BINARY, deflate(b"abc"), rsv=4, fin=False))
    with pytest.raises(BrokenError) as caught:
        reader.feed(frame(CONTINUATION, b"", rsv=4))
    assert caught.value.code == 1002


def test_limit_counts_all_fragments_after_inflating():
    reader = reader_of(max_frame=1000, agreed=Deflate())
    payload = deflate(os.urandom(1200))
    assert reader.feed(frame(BINARY, payload[:700], rsv=4, fin=False)) is None
    with pytest.raises(BrokenError) as caught:
        reader.feed(frame(CONTINUATION, payload[700:]))
    assert caught.value.code == 1009


def test_a_bomb_is_held_to_the_limit():
    reader = reader_of(max_message=10_000, max_frame=10_000, agreed=Deflate())
    bomb = frame(BINARY, deflate(bytes(2_000_000)), rsv=4)
    tracemalloc.start()
    with pytest.raises(BrokenError):
        reader.feed(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_text_in_single_octets_costs_its_size():
    reader = reader_of(max_message=20_000, max_frame=20_000)
    octets = frame(TEXT, b"\xc3\xa4" * 300, fin=False)
    tracemalloc.start()
    for octet in octets:
        reader.feed(bytes([octet]))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10_000
