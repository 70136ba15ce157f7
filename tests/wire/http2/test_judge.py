"""What is relied on of h2, whose private parts the session shares."""

import pytest
from h2.exceptions import ProtocolError
from h2.stream import H2Stream

from granian.wire.http2.closed import Closed
from granian.wire.http2.codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, PROTOCOL_ERROR
from granian.wire.http2.compression import Decoder, Encoder, Lexicon
from granian.wire.http2.judge import Judge, code_of
from tests.support.http2 import POST, Server


@pytest.fixture
def judge():
    return Judge({3: 100}, Decoder(Lexicon(), 1000, 100), Encoder(), Closed())


def test_the_shared_parts_are_there(judge):
    assert judge.outbound_flow_control_window == 65_535
    assert judge.highest_inbound_stream_id == 0
    assert judge._inbound_flow_control_window_manager.current_window_size == 65_535
    assert judge._closed_streams == {}
    assert callable(judge._begin_new_stream)
    assert callable(H2Stream._initialize_content_length)
    assert callable(H2Stream._track_content_length)


def test_settings_are_announced_at_once(judge):
    assert b"\x00\x03\x00\x00\x00\x64" in judge.data_to_send()


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x80", COMPRESSION_ERROR),
        (
            b"\x00\x13\x8b\x01\x05\x00\x00\x00\x01\x00\x01a\x7f\x82\x26" + b"v" * 4997,
            ENHANCE_YOUR_CALM,
        ),
        (b"\x00\x00\x01\x00\x00\x00\x00\x00\x09x", PROTOCOL_ERROR),
    ],
)
def test_the_code_of_its_errors(judge, octets, code):
    with pytest.raises(ProtocolError) as raised:
        judge.receive_data(octets)
    assert code_of(raised.value) == code


def test_it_is_briefed_for_one_frame():
    server = Server(lane=False)
    server.request(1, POST, last=False)
    assert server.session.judge.streams == {}
    assert server.session.streams
