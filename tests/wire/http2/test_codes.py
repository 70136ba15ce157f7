from hyperframe.frame import Frame, GoAwayFrame, RstStreamFrame, WindowUpdateFrame

from granian.wire.http2 import codes


def parse(octets):
    frame, length = Frame.parse_frame_header(memoryview(octets[:9]))
    assert len(octets) == 9 + length
    frame.parse_body(memoryview(octets[9:]))
    return frame


def test_frames_read_as_they_were_meant():
    reset = parse(codes.rst_stream(3, codes.CANCEL))
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (3, codes.CANCEL)
    update = parse(codes.window_update(0, codes.WINDOW_MAX))
    assert isinstance(update, WindowUpdateFrame)
    assert update.window_increment == codes.WINDOW_MAX
    goaway = parse(codes.goaway(7, codes.ENHANCE_YOUR_CALM))
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code) == (7, codes.ENHANCE_YOUR_CALM)


def test_a_length_of_more_than_two_octets():
    data = parse(codes.frame(codes.DATA, codes.END_STREAM, 1, bytes(70_000)))
    assert len(data.data) == 70_000
    assert "END_STREAM" in data.flags
