"""The verbs of the response, on a stream of a session without a socket."""

import pytest

from granian.errors import AppError
from granian.wire.http2.codes import (
    CANCEL,
    DATA,
    END_STREAM,
    HEADERS,
    INTERNAL_ERROR,
    RST_STREAM,
    SETTINGS,
    frame,
    window_update,
)
from granian.wire.http2.stream import AWAITING, BROKEN, COMPLETE, STREAMING
from tests.support.http2 import POST, REQUEST

HEAD = ((b":method", b"HEAD"), *REQUEST[1:])


def opened(serve, fields=REQUEST, last=True):
    server = serve()
    server.request(1, fields, last)
    return server, server.opened[0]


def kinds(server):
    return [(f[0], f[1] & END_STREAM, len(f[3]) if f[0] == DATA else None) for f in server.take()]


def test_respond(serve):
    server, stream = opened(serve)
    stream.respond(200, [], b"hello")
    assert kinds(server) == [(HEADERS, 0, None), (DATA, 1, 5)]
    assert stream.phase == COMPLETE
    assert server.session.completed == 1


@pytest.mark.parametrize(
    ("fields", "status", "body"), [(HEAD, 200, b"hello"), (REQUEST, 204, b""), (REQUEST, 304, b"x")]
)
def test_respond_without_a_body_on_the_wire(serve, fields, status, body):
    server, stream = opened(serve, fields)
    stream.respond(status, [], body)
    assert kinds(server) == [(HEADERS, 1, None)]


def test_respond_with_an_empty_body(serve):
    server, stream = opened(serve)
    stream.respond(200, [], b"")
    assert kinds(server) == [(HEADERS, 1, None)]


def test_stream_with_a_first_piece(serve):
    server, stream = opened(serve)
    assert not stream.start(200, [], b"one")
    stream.write(b"two")
    assert kinds(server) == [(HEADERS, 0, None), (DATA, 0, 6)]
    assert stream.phase == STREAMING
    stream.finish()
    assert kinds(server) == [(DATA, 1, 0)]
    assert stream.phase == COMPLETE


def test_the_end_leaves_with_the_last_piece(serve):
    server, stream = opened(serve)
    stream.start(200, [], b"one")
    stream.finish()
    assert kinds(server) == [(HEADERS, 0, None), (DATA, 1, 3)]


def test_trailers(serve):
    server, stream = opened(serve)
    stream.start(200, [], b"one")
    stream.finish([(b"grpc-status", b"0")])
    frames = server.take()
    assert [(f[0], f[1]) for f in frames] == [(HEADERS, 4), (DATA, 0), (HEADERS, 5)]
    server.decoder.decode(frames[0][3])
    assert server.decoder.decode(frames[2][3]) == [(b"grpc-status", b"0")]


def test_the_last_piece_with_the_end(serve):
    server, stream = opened(serve)
    stream.start(200, [])
    stream.finish([(b"a", b"1")], b"last")
    assert [(f[0], f[1]) for f in server.take()] == [(HEADERS, 4), (DATA, 0), (HEADERS, 5)]


def test_trailers_alone(serve):
    server, stream = opened(serve)
    stream.start(200, [])
    stream.finish([(b"grpc-status", b"0")])
    assert [(f[0], f[1]) for f in server.take()] == [(HEADERS, 4), (HEADERS, 5)]


def test_early_hints(serve):
    server, stream = opened(serve)
    stream.inform(103, [(b"link", b"</style.css>")])
    stream.respond(200, [], b"")
    stream.inform(103, [])
    frames = server.take()
    assert [(f[0], f[1]) for f in frames] == [(HEADERS, 4), (HEADERS, 5)]
    assert server.decoder.decode(frames[0][3])[0] == (b":status", b"103")


def test_100_continue_when_the_body_is_wanted(serve):
    server, stream = opened(serve, [*POST, (b"expect", b"100-continue")], last=False)
    assert server.take() == []
    stream.want_body(0)
    stream.want_body(0)
    frames = server.take()
    assert len(frames) == 1
    assert server.decoder.decode(frames[0][3]) == [(b":status", b"100")]


def test_no_100_continue_once_the_body_comes(serve):
    server, stream = opened(serve, [*POST, (b"expect", b"100-continue")], last=False)
    server.feed(frame(DATA, END_STREAM, 1, b"x"))
    stream.want_body(0)
    assert server.take() == []


def test_more_than_announced_is_cut_and_less_is_broken(serve):
    server, stream = opened(serve)
    with pytest.raises(AppError) as raised:
        stream.start(200, [(b"content-length", b"4")], b"123456")
    assert raised.value.sent
    with pytest.raises(AppError):
        stream.write(b"7")
    stream.finish()
    assert server.take()[-1] == (DATA, END_STREAM, 1, b"1234")
    server, stream = opened(serve)
    stream.start(200, [(b"content-length", b"4")], b"123")
    with pytest.raises(AppError) as raised:
        stream.finish()
    assert raised.value.sent
    assert server.reset(1) == INTERNAL_ERROR


def test_verbs_out_of_order(serve):
    _, stream = opened(serve)
    stream.respond(200, [], b"")
    for verb in (stream.respond, stream.start):
        with pytest.raises(AppError):
            verb(200, [], b"")
    assert not stream.write(b"x")
    stream.finish()
    stream.abort()
    stream.cancel()
    assert stream.phase == COMPLETE


def test_what_cannot_be_sent_leaves_the_stream_as_it_was(serve):
    server, stream = opened(serve)
    for call in (
        lambda: stream.respond(200, [(b"a", b"\n")], b""),
        lambda: stream.respond(200, [(b"content-length", b"9")], b"x"),
        lambda: stream.start(99, []),
        lambda: stream.inform(103, [(b"a", b"\n")]),
    ):
        with pytest.raises(AppError):
            call()
    assert server.take() == []
    assert stream.phase == AWAITING


def test_verbs_of_a_broken_stream_do_nothing(serve):
    server, stream = opened(serve)
    server.feed(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
    assert stream.phase == BROKEN
    stream.respond(200, [], b"x")
    assert not stream.start(200, [], b"x")
    assert not stream.write(b"x")
    stream.finish()
    stream.inform(103, [])
    stream.abort()
    stream.want_body(5)
    assert server.take() == []
    assert stream.events.count(("reset",)) == 1


def test_abort_and_cancel(serve):
    server, stream = opened(serve)
    stream.start(200, [], b"x")
    stream.abort()
    assert server.reset(1) == INTERNAL_ERROR
    server, stream = opened(serve)
    stream.cancel()
    assert server.reset(1) == CANCEL


def test_an_abort_drops_what_was_queued(serve):
    server = serve()
    server.feed(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0"))
    server.request(1)
    stream = server.opened[0]
    stream.start(200, [], b"x" * 1000)
    stream.abort()
    assert [f[0] for f in server.take()] == [SETTINGS, HEADERS, RST_STREAM]
    assert server.session.outflow.waiting == 0
    server.feed(window_update(1, 1000))
    assert server.take() == []


def test_write_asks_to_wait_and_tells_when_to_go_on(serve):
    server, stream = opened(serve)
    assert stream.start(200, [], bytes(300_000))
    assert ("writable",) not in stream.events
    server.take()
    assert stream.queued == 300_000 - 65_535
    server.feed(window_update(0, 1 << 20) + window_update(1, 1 << 20))
    assert stream.events[-1] == ("writable",)


def test_a_wake_is_asked_for_once_a_turn(serve):
    server, stream = opened(serve)
    server.take()
    assert server.wakes == 0
    stream.start(200, [])
    stream.write(b"x")
    stream.write(b"y")
    assert server.wakes == 1
    server.take()
    stream.finish()
    assert server.wakes == 2
