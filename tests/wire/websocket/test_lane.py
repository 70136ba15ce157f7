"""The lane takes whole ordinary frames and touches nothing else."""

import os

import pytest

from granian.wire.websocket.lane import (
    DECLINED,
    HELD,
    INCOMPLETE,
    cut_packed,
    read_frame,
)
from granian.wire.websocket.mask import SHORT

from .peer import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

LIMIT = 1 << 24


@pytest.mark.parametrize(
    "size", [0, 1, 3, 4, 125, 126, 65_535, 65_536, SHORT - 1, SHORT, SHORT + 3]
)
def test_takes_whole_frames_of_every_length(size):
    payload = os.urandom(size)
    data = b"before" + frame(BINARY, payload, key=os.urandom(4)) + b"after"
    assert read_frame(data, 6, LIMIT) == (payload, len(data) - 5)


def test_every_short_length_is_unmasked_to_its_last_octet():
    for size in range(130):
        payload = os.urandom(size)
        data = frame(BINARY, payload, key=os.urandom(4)) + b"\xff" * 4
        assert read_frame(data, 0, LIMIT) == (payload, len(data) - 4)


def test_text_is_decoded():
    data = frame(TEXT, "grün €")
    assert read_frame(data, 0, LIMIT) == ("grün €", len(data))


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"fragment", fin=False),
        frame(CONTINUATION, b"end"),
        frame(PING),
        frame(CLOSE),
        frame(3),
        frame(TEXT, b"reserved", rsv=4),
        frame(TEXT, b"bare", mask=False),
        frame(TEXT, b"\xff\xfe"),
        frame(TEXT, b"two octets for one", long=2),
        frame(TEXT, b"eight octets for one", long=8),
        frame(BINARY, bytes(200), long=8),
        frame(BINARY, bytes(101)),
        frame(TEXT, b"part of a text")[:-1],
        frame(BINARY, bytes(HELD + 1))[:-1],
    ],
    ids=range(14),
)
def test_declines_all_else(data):
    assert read_frame(data, 0, 100 if len(data) == 107 else LIMIT) == DECLINED


@pytest.mark.parametrize("size", [5, 200, 65_536])
def test_waits_for_a_header_and_for_short_binary_payload(size):
    data = frame(BINARY, bytes(size))
    for cut in [*range(15), len(data) - 1]:
        if cut < len(data):
            assert read_frame(data[:cut], 0, LIMIT) == INCOMPLETE


@pytest.mark.parametrize("size", [2, 125, 126, 65_535])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_cuts_whole_compressed_frames(size, opcode):
    payload = os.urandom(size)
    data = b"x" + frame(opcode, payload, rsv=4) + b"after"
    assert cut_packed(data, 1, LIMIT) == (payload, len(data) - 5)
    assert cut_packed(data[:-6], 1, LIMIT) is None
    assert cut_packed(data, 1, size - 1) is None


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"plain frame"),
        frame(TEXT, b"first fragment", rsv=4, fin=False),
        frame(CONTINUATION, b"last fragment", rsv=4),
        frame(TEXT, b"another bit", rsv=6),
        frame(PING, b"control frame", rsv=4),
        frame(TEXT, b"bare frame", rsv=4, mask=False),
        frame(TEXT, b"two octets for one", rsv=4, long=2),
        frame(TEXT, bytes(200), rsv=4, long=8),
        frame(BINARY, bytes(65_536), rsv=4),
    ],
    ids=range(9),
)
def test_leaves_all_other_frames(data):
    assert cut_packed(data, 0, LIMIT) is None
