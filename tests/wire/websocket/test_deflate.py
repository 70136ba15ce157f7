"""permessage-deflate: what is agreed on, and how far a message may grow."""

import os
import zlib

import pytest

from granian.wire.websocket.deflate import (
    MAX_HEADER,
    MAX_RESTARTS,
    Deflate,
    Deflater,
    InflateError,
    Inflater,
    TooLargeError,
    negotiate,
)

from .peer import deflate

PLENTY = 1 << 26


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (b"permessage-deflate", b"permessage-deflate; server_max_window_bits=12"),
        (
            b"permessage-deflate; client_max_window_bits",
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            b"Permessage-Deflate;client_max_window_bits=10;server_max_window_bits=9",
            b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            b'permessage-deflate; server_max_window_bits="15"; client_max_window_bits = 8',
            b"permessage-deflate; server_max_window_bits=12; client_max_window_bits=8",
        ),
        (
            b"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            b"server_max_window_bits=12",
        ),
        (
            b"x-webkit-deflate-frame, permessage-deflate",
            b"permessage-deflate; server_max_window_bits=12",
        ),
        (
            b"permessage-deflate; server_max_window_bits=8, permessage-deflate",
            b"permessage-deflate; server_max_window_bits=12",
        ),
    ],
)
def test_agrees_to_the_first_offer_it_can_meet(offer, answer):
    assert negotiate([offer]).answer() == answer


@pytest.mark.parametrize(
    "offer",
    [
        b"",
        b",;=,",
        b"permessage-bzip2",
        b"permessage-deflate; mystery",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=8",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits=010",
        b"permessage-deflate; client_max_window_bits=7",
        b"permessage-deflate; client_max_window_bits=" + b"9" * 2000,
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        b"permessage-deflate; \xff\xfe",
        b"permessage-deflate" + b" " * MAX_HEADER,
    ],
)
def test_passes_over_what_it_cannot_meet(offer):
    assert negotiate([offer]) is None
    assert negotiate([]) is None


def test_offers_of_several_fields_are_one_list():
    assert negotiate([b"x-unknown", b"permessage-deflate"]) is not None


def test_round_trip_keeps_its_context():
    deflater, inflater = Deflater(Deflate()), Inflater(Deflate())
    message = os.urandom(500)
    first, second = deflater.deflate(message), deflater.deflate(message)
    assert len(second) < len(first) / 10
    for payload in (first, second):
        assert inflater.inflate(payload, PLENTY) + inflater.finish(PLENTY) == message


def test_without_takeover_each_message_stands_alone():
    agreed = Deflate(server_no_context_takeover=True, client_no_context_takeover=True)
    deflater, message = Deflater(agreed), b"the same words " * 20
    assert deflater.deflate(message) == deflater.deflate(message)
    inflater, payload = Inflater(agreed), deflate(message)
    for _ in range(2):
        assert inflater.inflate(payload, PLENTY) + inflater.finish(PLENTY) == message


@pytest.mark.parametrize("bits", range(9, 16))
def test_reads_every_window_not_limited(bits):
    message = os.urandom(300) * 150
    inflater = Inflater(Deflate())
    assert inflater.inflate(deflate(message, bits), PLENTY) + inflater.finish(PLENTY) == message


def test_stops_one_octet_above_the_room():
    payload = deflate(bytes(1 << 20))
    inflater = Inflater(Deflate())
    assert len(inflater.inflate(payload, 1 << 20)) == 1 << 20
    with pytest.raises(TooLargeError):
        Inflater(Deflate()).inflate(payload, (1 << 20) - 1)


def test_room_may_be_nothing():
    inflater = Inflater(Deflate())
    assert inflater.inflate(deflate(b""), 0) + inflater.finish(0) == b""
    with pytest.raises(TooLargeError):
        Inflater(Deflate()).inflate(deflate(b"a"), 0)


def test_noise_is_an_error():
    with pytest.raises(InflateError):
        Inflater(Deflate()).inflate(b"\xff" * 20, PLENTY)


def final(message):
    """Compress with a block said to be the last, as RFC 7692 section 7.2.3.4 shows."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -12)
    return stream.compress(message) + stream.flush()


def test_final_blocks_start_again():
    inflater = Inflater(Deflate())
    assert inflater.inflate(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 5) == b"Hello"
    assert inflater.finish(0) == b""
    payload = final(b"one ") + final(b"two ") + deflate(b"three")
    assert inflater.inflate(payload, PLENTY) + inflater.finish(PLENTY) == b"one two three"


def test_final_blocks_count_against_the_room():
    with pytest.raises(TooLargeError):
        Inflater(Deflate()).inflate(final(bytes(600)) + final(bytes(600)), 1000)


def test_final_blocks_are_counted():
    inflater = Inflater(Deflate())
    inflater.inflate(b"\x03\x00" * MAX_RESTARTS, PLENTY)
    with pytest.raises(InflateError):
        inflater.inflate(b"\x03\x00", PLENTY)
