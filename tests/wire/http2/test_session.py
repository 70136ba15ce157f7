"""Each row of the table of HTTP/2 threats, as octets on the wire, with the lane on and off."""

import gc
import struct
import tracemalloc
import weakref

import pytest
from h2.events import DataReceived, ResponseReceived, StreamEnded

from granian.plan import WorkerPlan
from granian.wire.http2.codes import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_MAX,
    WINDOW_UPDATE,
    frame,
    rst_stream,
    window_update,
)
from granian.wire.http2.compression import Lexicon
from granian.wire.http2.session import CLOSED, DRAINING, LEAVING, OPEN, TRANSITIONS, Session
from granian.wire.http2.stream import Stream
from tests.support.http2 import GREETING, POST, REQUEST, Client, Server


class Silent(Stream):
    """A stream whose application has nothing to say."""

    __slots__ = ()

    def on_request(self, head, body, complete):
        """Take it."""

    def on_reset(self):
        """Take it."""


class Prompt(Silent):
    """A stream that is answered at once."""

    __slots__ = ()

    def on_request(self, head, body, complete):
        """Answer it."""
        self.respond(200, (), b"hello")


def answer(stream, what):
    if what == "request":
        stream.respond(200, [(b"content-type", b"text/plain")], b"hello")


def setting(code, value):
    return frame(SETTINGS, 0, 0, struct.pack(">HL", code, value))


def feed_until_closed(server, octets, most):
    """Feed the same octets again and again; how often they were borne."""
    for sent in range(most):
        server.feed(octets)
        if server.session.phase == CLOSED:
            return sent
    return most


# Row 44


def test_rapid_reset_over_the_budget_is_calmed(serve):
    server = serve()
    server.count = 0
    for i in range(300):
        server.request(2 * i + 1)
        server.count += len(server.opened)
        server.opened.clear()  # the application ends at once
        server.feed(rst_stream(2 * i + 1, CANCEL))
        if server.session.phase == CLOSED:
            break
    assert 190 <= server.count <= 260
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_a_reset_stream_counts_until_its_application_ends(serve):
    server = serve(max_concurrent_streams=10)
    for i in range(10):
        server.request(2 * i + 1)
        server.feed(rst_stream(2 * i + 1, CANCEL))
    server.request(21)
    assert server.reset(21) == REFUSED_STREAM
    assert len(server.opened) == 10
    del server.opened[0]
    server.request(23)
    assert server.reset(23) is None
    assert len(server.opened) == 10


def test_resets_of_more_than_every_second_request_are_calmed(serve):
    server = serve()
    for i in range(400):
        server.now += 1.0  # slow enough for the budget
        server.request(2 * i + 1)
        server.opened.clear()
        server.feed(rst_stream(2 * i + 1, CANCEL))
        if server.session.phase == CLOSED:
            break
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_resets_after_the_answer_are_nobodys_fault(serve):
    server = serve(answer)
    for i in range(600):
        server.request(2 * i + 1)
        server.feed(rst_stream(2 * i + 1, CANCEL))
    assert server.goaway() is None


# Row 45


@pytest.mark.parametrize(
    "provoke",
    [
        lambda number, block: window_update(number, 0),
        lambda number, block: window_update(number, WINDOW_MAX),
        lambda number, block: frame(PRIORITY, 0, number, bytes(4)),
        lambda number, block: frame(DATA, END_STREAM, number, b"late"),
        lambda number, block: frame(HEADERS, END_HEADERS | END_STREAM, number, block),
    ],
    ids=["zero", "overflow", "short priority", "late DATA", "late HEADERS"],
)
def test_resets_provoked_on_purpose_spend_the_budget(serve, provoke):
    server = serve()
    for i in range(150):
        server.request(2 * i + 1)
        server.opened.clear()
        server.feed(provoke(2 * i + 1, b"\x82"))
        if server.session.phase == CLOSED:
            break
    assert 100 <= i <= 102
    assert server.goaway() == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("provoke", ["zero", "late DATA"])
def test_a_stream_we_were_made_to_reset_counts_until_its_application_ends(serve, provoke):
    server = serve(max_concurrent_streams=10)
    for number in range(1, 20, 2):
        server.request(number)
        if provoke == "zero":
            server.feed(window_update(number, 0))
        else:
            server.feed(frame(DATA, END_STREAM, number, b"late"))
    assert len(server.opened) == 10
    server.request(21)
    assert server.reset(21) == REFUSED_STREAM
    assert len(server.opened) == 10


# Rows 47, 48


def test_a_list_beyond_the_limit_is_answered_431(serve):
    server = serve(max_headers_size=4096)
    server.request(1, [*REQUEST, *((b"x-%d" % i, b"v" * 100) for i in range(40))])
    assert server.opened == []
    assert server.responses()[1][b":status"] == b"431"
    server.request(3)  # the compression state is in step
    assert server.opened[0].head.path == "/"


def test_a_small_table_entry_referenced_many_times_is_calmed(serve):
    server = serve()
    bomb = server.block(*REQUEST, (b"x-bomb", b"b" * 3900)) + b"\xbe" * 200
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, bomb))
    assert server.goaway() == ENHANCE_YOUR_CALM
    assert server.opened == []


def test_more_than_1000_fields_are_answered_431_cookie_crumbs_included(serve):
    server = serve()
    crumbs = server.block(*REQUEST, (b"cookie", b"a=b")) + b"\xbe" * 1000
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, crumbs))
    assert server.responses()[1][b":status"] == b"431"
    assert server.opened == []


def test_a_431_tells_the_client_to_keep_its_body(serve):
    server = serve()
    fields = [*POST, *((b"x", b"") for _ in range(1001))]
    server.request(1, fields, last=False)
    assert server.reset(1) == NO_ERROR


# Row 49


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xff\x00",  # index beyond the table
        b"\xff\xff\xff\xff\xff\xff\x01",  # endless integer
        b"\x00\x01a\x81\x00",  # Huffman padding of zeros
        b"\x00\x05ab",  # truncated
        b"\x3f\xe2\x1f",  # table size above the setting
        b"\x82\x20",  # table size update after a field
        b"\x41",  # no value
    ],
)
def test_broken_compression_is_a_compression_error(serve, block):
    server = serve()
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert server.goaway() == COMPRESSION_ERROR
    assert server.opened == []


# Row 50


def test_a_huge_table_asked_for_is_not_used(serve):
    server = serve(answer)
    server.feed(setting(1, 2**32 - 1))
    server.request(1)
    assert server.session.encoder.header_table_size == 0
    assert list(server.responses()) == [1]


def test_a_smaller_table_is_acknowledged_in_the_next_block(serve):
    server = serve(answer)
    server.feed(setting(1, 0))
    server.request(1)
    server.request(3)
    blocks = [f[3] for f in server.take() if f[0] == HEADERS]
    assert blocks[0][:1] == b"\x20"
    assert blocks[1] == blocks[0][1:]


# Rows 51, 52, 53, 54, 55, 56, 71


@pytest.mark.parametrize(
    ("octets", "allowed"),
    [
        (setting(3, 100), 100),
        (frame(SETTINGS, 0, 0, struct.pack(">HL", 3, 1) * 64), 50),
        (frame(PING, 0, 0, bytes(8)), 600),
        (frame(PING, ACK, 0, bytes(8)), 1000),
        (frame(PRIORITY, 0, 1, bytes(4) + b"\x10"), 1000),
        (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"), 1000),
        (frame(0xBE, 0, 0, b"whatever"), 1000),
        (window_update(0, 1), 2000),
    ],
    ids=["settings", "pairs", "ping", "pong", "priority", "update", "unknown", "window"],
)
def test_floods_are_calmed(serve, octets, allowed):
    server = serve()
    sent = feed_until_closed(server, octets, allowed + 100)
    assert allowed // 3 <= sent <= allowed
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_answers_nobody_reads_are_not_piled_up(serve):
    server = serve()
    server.session.guard.pings.level = 10_000
    for _ in range(1100):
        server.session.feed(frame(PING, 0, 0, bytes(8)), server.now)
        server.session.collect(1)  # the transport keeps a backlog
    assert server.session.phase == CLOSED
    assert server.session.code == ENHANCE_YOUR_CALM


def test_empty_data_in_a_row_is_calmed(serve):
    server = serve()
    server.request(1, POST, last=False)
    assert feed_until_closed(server, frame(DATA, 0, 1), 150) == 100
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_tiny_data_is_calmed_but_not_at_a_sane_rate(serve):
    server = serve()
    server.request(1, POST, last=False)
    for _ in range(20_000):
        server.now += 0.002
        server.feed(frame(DATA, 0, 1, b"x"))
    assert server.session.phase == OPEN
    assert feed_until_closed(server, frame(DATA, 0, 1, b"x"), 50_000) < 10_100
    assert server.goaway() == ENHANCE_YOUR_CALM


# Row 57


def test_a_window_of_zero_holds_a_bounded_queue_and_is_reaped(serve):
    waits = []

    def script(stream, what):
        if what == "request":
            stream.start(200, [])
            while not stream.write(bytes(50_000)):
                pass
            waits.append(stream.queued)

    server = serve(script)
    server.feed(setting(4, 0))
    server.request(1)
    assert waits[0] < 409_600
    assert [f for f in server.take() if f[0] == DATA] == []
    server.session.tick(server.now + 61)
    assert server.reset(1) == CANCEL
    assert server.opened[0].events[-1] == ("reset",)
    assert server.session.outflow.waiting == 0


def test_a_window_of_one_makes_progress_an_octet_at_a_time(serve):
    server = serve(answer)
    server.feed(setting(4, 1))
    server.request(1)
    for _ in range(4):
        server.feed(window_update(1, 1))
    body = b"".join(f[3] for f in server.take() if f[0] == DATA)
    assert body == b"hello"
    assert server.session.streams == {}


# Row 58


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (window_update(0, WINDOW_MAX), FLOW_CONTROL_ERROR),
        (window_update(0, 0), PROTOCOL_ERROR),
        (setting(4, 2**31), FLOW_CONTROL_ERROR),
    ],
)
def test_broken_windows_cost_the_connection(serve, octets, code):
    server = serve()
    server.request(1)
    server.feed(octets)
    assert server.goaway() == code
    assert server.session.streams == {}
    assert server.opened[0].events[-1] == ("reset",)


@pytest.mark.parametrize(
    ("increment", "code"), [(WINDOW_MAX, FLOW_CONTROL_ERROR), (0, PROTOCOL_ERROR)]
)
def test_a_broken_window_of_a_stream_costs_the_stream(serve, increment, code):
    server = serve()
    server.request(1)
    server.feed(window_update(1, increment))
    assert server.reset(1) == code
    assert server.session.phase == OPEN


def test_a_setting_that_overflows_a_stream_costs_the_connection(serve):
    server = serve()
    server.request(1)
    server.feed(window_update(1, WINDOW_MAX - 65_535))
    server.feed(setting(4, 65_536))
    assert server.goaway() == FLOW_CONTROL_ERROR


def test_a_window_may_become_negative(serve):
    def script(stream, what):
        if what == "request":
            stream.respond(200, [], b"x" * 30)

    server = serve(script)
    server.feed(setting(4, 20))
    server.request(1)
    server.feed(setting(4, 0))
    assert server.opened[0].send_window == -20
    server.take()
    server.feed(window_update(1, 20))
    assert server.take() == []
    server.feed(window_update(1, 10))
    assert server.take() == [(DATA, END_STREAM, 1, b"x" * 10)]


# Rows 59, 60


def test_a_client_that_ignores_the_window_of_a_stream(serve):
    server = serve(initial_stream_window_size=65_535)
    server.request(1, POST, last=False)
    for _ in range(5):
        server.feed(frame(DATA, 0, 1, bytes(16_384)))
    assert server.goaway() == FLOW_CONTROL_ERROR


def test_cancelled_uploads_leave_the_connection_its_window(serve):
    server = serve(initial_connection_window_size=65_535)
    for i in range(100):
        server.now += 1
        server.request(2 * i + 1, POST, last=False)
        server.feed(frame(DATA, PADDED, 2 * i + 1, b"\xff" + bytes(10_000) + bytes(255)))
        server.opened.pop().abort()
        server.feed(frame(DATA, 0, 2 * i + 1, bytes(10_000)))
    assert server.session.phase == OPEN
    assert server.session.inflow.window.current_window_size > 0
    assert server.session.inflow.held == 0
    assert all(f[0] != GOAWAY for f in server.take())


def test_one_stream_nobody_reads_does_not_stop_the_others(serve):
    server = serve(initial_connection_window_size=65_535, initial_stream_window_size=65_535)
    server.request(1, POST, last=False)
    server.request(3, POST, last=False)
    for number in (1, 3):
        for _ in range(3):
            server.feed(frame(DATA, 0, number, bytes(16_384)))
    assert server.session.phase == OPEN
    credited = sum(
        int.from_bytes(f[3], "big") for f in server.take() if f[0] == WINDOW_UPDATE and not f[2]
    )
    assert credited >= 65_535


def test_a_stream_is_credited_as_its_application_consumes(serve):
    server = serve(initial_stream_window_size=65_535)
    server.feed(frame(SETTINGS, ACK, 0))
    server.request(1, POST, last=False)
    for _ in range(3):
        server.feed(frame(DATA, 0, 1, bytes(16_000)))
    assert [f for f in server.take() if f[0] == WINDOW_UPDATE and f[2] == 1] == []
    server.opened[0].want_body(48_000)
    updates = [f for f in server.take() if f[0] == WINDOW_UPDATE and f[2] == 1]
    assert updates == [(WINDOW_UPDATE, 0, 1, struct.pack(">L", 48_000))]


def test_a_client_that_ignores_the_window_of_the_connection(serve):
    """Many windows' worth may wait in handlers that read nothing; then ours is not renewed."""
    server = serve(initial_connection_window_size=65_535, initial_stream_window_size=65_535)
    taken = 0
    for number in range(1, 60, 2):
        server.request(number, POST, last=False)
        for _ in range(3):
            server.feed(frame(DATA, 0, number, bytes(16_384)))
            if server.session.phase == OPEN:
                taken += 16_384
    assert server.goaway() == FLOW_CONTROL_ERROR
    assert 8 * 65_535 < taken <= 10 * 65_535


def test_the_options_are_announced(lane):
    server = Server(
        lane=lane,
        greet=False,
        max_concurrent_streams=7,
        initial_stream_window_size=70_000,
        initial_connection_window_size=80_000,
        max_frame_size=20_000,
        max_headers_size=30_000,
    )
    settings, window = server.take()
    assert settings[:3] == (SETTINGS, 0, 0)
    announced = dict(struct.iter_unpack(">HL", settings[3]))
    assert announced == {1: 4096, 2: 0, 3: 7, 4: 70_000, 5: 20_000, 6: 30_000, 8: 1, 9: 1}
    assert window == (WINDOW_UPDATE, 0, 0, struct.pack(">L", 80_000 - 65_535))
    server.feed(GREETING + frame(SETTINGS, ACK, 0))
    server.take()
    server.feed(frame(0xBE, 0, 0, bytes(20_000)))
    assert server.session.phase == OPEN
    server.feed(frame(0xBE, 0, 0, bytes(20_001)))
    assert server.goaway() == FRAME_SIZE_ERROR


# Row 61


def test_more_streams_than_announced_are_refused(serve):
    server = serve(max_concurrent_streams=3)
    for number in (1, 3, 5, 7):
        server.request(number)
    assert server.reset(7) == REFUSED_STREAM
    assert len(server.opened) == 3


# Row 67


@pytest.mark.parametrize(
    ("octets", "codes"),
    [
        (frame(DATA, 0, 0, b"x"), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS, 0, b"\x82"), {PROTOCOL_ERROR}),
        (frame(PRIORITY, 0, 0, bytes(5)), {PROTOCOL_ERROR}),
        (frame(RST_STREAM, 0, 0, bytes(4)), {PROTOCOL_ERROR}),
        (frame(CONTINUATION, END_HEADERS, 0, b"\x82"), {PROTOCOL_ERROR}),
        (frame(SETTINGS, 0, 1), {PROTOCOL_ERROR}),
        (frame(PING, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
        (frame(GOAWAY, 0, 1, bytes(8)), {PROTOCOL_ERROR}),
        (frame(DATA, 0, 9, b"x"), {PROTOCOL_ERROR}),
        (frame(RST_STREAM, 0, 9, bytes(4)), {PROTOCOL_ERROR}),
        (window_update(9, 1), {PROTOCOL_ERROR}),
        (frame(DATA, 0, 2, b"x"), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS | END_STREAM, 2, b"\x82"), {PROTOCOL_ERROR}),
        (frame(0x5, END_HEADERS, 1, bytes(4)), {PROTOCOL_ERROR}),
        (frame(CONTINUATION, END_HEADERS, 1, b"\x82"), {PROTOCOL_ERROR}),
        (frame(HEADERS, 0, 9, b"\x82") + frame(DATA, 0, 1, b""), {PROTOCOL_ERROR}),
        (frame(HEADERS, 0, 9, b"\x82") + frame(CONTINUATION, 0, 7, b""), {PROTOCOL_ERROR}),
        (frame(HEADERS, 0, 9, b"\x82") + frame(0xBE, 0, 0, b""), {PROTOCOL_ERROR}),
        (frame(HEADERS, END_HEADERS | PADDED, 9, b"\x09\x82"), {PROTOCOL_ERROR}),
        (frame(DATA, PADDED, 1, b"\x09\x82"), {PROTOCOL_ERROR}),
    ],
)
def test_frames_out_of_place_cost_the_connection(serve, octets, codes):
    server = serve()
    server.request(1, POST, last=False)
    server.feed(octets)
    assert server.goaway() in codes
    assert server.session.phase == CLOSED


def test_a_stream_number_going_back_costs_the_connection(serve):
    server = serve()
    server.request(5)
    server.request(3)
    assert server.goaway() == PROTOCOL_ERROR


def test_a_finished_stream_opened_again_costs_the_connection(serve):
    server = serve(answer)
    server.request(1)
    server.request(1)
    assert server.goaway() == STREAM_CLOSED


# Row 68


@pytest.mark.parametrize(
    "octets",
    [
        frame(DATA, 0, 1, bytes(16_385)),
        frame(SETTINGS, 0, 0, bytes(5)),
        frame(SETTINGS, ACK, 0, bytes(6)),
        frame(PING, 0, 0, bytes(7)),
        frame(RST_STREAM, 0, 1, bytes(3)),
        frame(WINDOW_UPDATE, 0, 1, bytes(3)),
        frame(GOAWAY, 0, 0, bytes(7)),
        frame(PRIORITY_UPDATE, 0, 0, bytes(3)),
    ],
)
def test_wrong_sizes_cost_the_connection(serve, octets):
    server = serve()
    server.request(1, POST, last=False)
    server.feed(octets)
    assert server.goaway() == FRAME_SIZE_ERROR


def test_a_priority_of_the_wrong_size_costs_its_stream(serve):
    server = serve()
    server.request(1)
    server.feed(frame(PRIORITY, 0, 1, bytes(4)))
    assert server.reset(1) == FRAME_SIZE_ERROR
    assert server.session.phase == OPEN


def test_a_frame_too_large_is_refused_before_it_has_come(serve):
    server = serve()
    server.feed(frame(DATA, 0, 1, bytes(16_385))[:9])
    assert server.goaway() == FRAME_SIZE_ERROR


# Row 69


def test_the_first_frame_must_be_settings(lane):
    server = Server(lane=lane, greet=False)
    server.feed(PREFACE + frame(PING, 0, 0, bytes(8)))
    assert server.goaway() == PROTOCOL_ERROR


def test_an_acknowledgement_is_no_first_settings(lane):
    server = Server(lane=lane, greet=False)
    server.feed(PREFACE + frame(SETTINGS, ACK, 0))
    assert server.goaway() == PROTOCOL_ERROR


def test_a_broken_preface_is_refused_at_its_first_wrong_octet(lane):
    server = Server(lane=lane, greet=False)
    server.feed(b"PRI * HTTP/2.0\r\n\r\nXX")
    assert server.goaway() == PROTOCOL_ERROR


def test_octet_by_octet(lane):
    server = Server(answer, lane=lane, greet=False)
    octets = GREETING + frame(HEADERS, END_HEADERS | END_STREAM, 1, server.block(*REQUEST))
    for octet in octets:
        server.feed(bytes([octet]))
    assert list(server.responses()) == [1]


# Row 70


def test_streams_open_at_the_clients_goaway_are_finished(serve):
    server = serve()
    server.request(1)
    server.request(3, POST, last=False)
    server.feed(frame(GOAWAY, 0, 0, bytes(8)))
    server.feed(frame(DATA, END_STREAM, 3, b"late"))
    assert server.opened[1].events[-1] == ("data", b"late", True)
    for stream in server.opened:
        stream.respond(200, [], b"x")
    assert sorted(server.responses()) == [1, 3]
    assert server.session.phase == CLOSED


def test_a_goaway_with_nothing_open_ends_the_connection(serve):
    server = serve()
    server.feed(frame(GOAWAY, 0, 0, bytes(8)))
    assert server.session.phase == CLOSED


# Row 72


def test_streams_that_ended_in_order_leave_nothing_behind(serve):
    server = serve(answer)
    server.request(1)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for i in range(1, 3000):
            server.request(2 * i + 1)
            server.take()
            server.opened.clear()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 8192
    assert len(server.session.judge.streams) == 0


def test_frames_on_a_stream_left_out_on_one_that_ended_and_on_one_refused(serve):
    for number, code in ((3, PROTOCOL_ERROR), (5, STREAM_CLOSED)):
        server = serve(answer)
        server.request(1)
        server.request(5)
        server.request(number)
        assert server.goaway() == code
    server = serve(answer, max_headers_size=250)
    server.request(1, [*REQUEST, (b"x", b"y" * 200)])  # answered 431
    server.request(3)
    server.request(1)
    assert server.goaway() == STREAM_CLOSED


def test_a_connection_serves_10000_requests_and_leaves(lane):
    server = Server(answer, lane=lane)
    server.session._requests = 9_990
    server.session._milestone = 10_000
    for i in range(10):
        server.request(2 * i + 1)
    assert server.goaway() == NO_ERROR
    assert server.session.phase == DRAINING


# Row 73


def test_extended_connect_is_refused_where_it_was_not_announced(lane):
    from granian.plan import WorkerPlan

    server = Server(lane=lane, plan=WorkerPlan(websockets=False))
    fields = [(b":method", b"CONNECT"), *REQUEST[1:], (b":protocol", b"websocket")]
    server.request(1, fields, last=False)
    assert server.reset(1) == PROTOCOL_ERROR
    assert server.opened == []


def test_extended_connect_where_it_was(serve):
    server = serve()
    fields = [(b":method", b"CONNECT"), *REQUEST[1:], (b":protocol", b"websocket")]
    server.request(1, fields, last=False)
    assert server.opened[0].head.upgrade == b"websocket"


# Beyond the table


def test_a_request_begins_with_what_came_of_its_body_in_one_read(serve):
    server = serve()
    block = server.block(*POST)
    octets = frame(HEADERS, END_HEADERS, 1, block)
    octets += frame(DATA, 0, 1, b"one ") + frame(DATA, END_STREAM, 1, b"two")
    server.feed(octets)
    [stream] = server.opened
    assert stream.events[1:] == [("data", b"one two", True)]
    server.feed(frame(HEADERS, END_HEADERS, 3, server.block(*POST)) + frame(DATA, 0, 3, b"some"))
    assert server.opened[1].events[1:] == [("data", b"some", False)]
    server.feed(frame(DATA, END_STREAM, 3, b"more"))
    assert server.opened[1].events[2:] == [("data", b"more", True)]


@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM], ids=["body", "none"])
def test_a_request_reset_in_the_read_that_brought_it_never_begins(serve, flags):
    server = serve(answer)
    server.feed(frame(HEADERS, flags, 1, server.block(*POST)) + rst_stream(1, CANCEL))
    assert server.opened == []
    assert server.session.streams == {}
    assert len(server.session.zombies) == 0
    assert server.session.guard.reset == 1
    server.request(3)
    assert len(server.opened) == 1


@pytest.mark.parametrize("flags", [END_HEADERS, END_HEADERS | END_STREAM], ids=["body", "none"])
def test_a_fault_in_the_read_that_brought_a_request(serve, flags):
    server = serve()
    server.feed(frame(HEADERS, flags, 1, server.block(*POST)) + frame(PING, 0, 1, bytes(8)))
    assert server.opened == []
    assert server.goaway() == PROTOCOL_ERROR


def test_many_resets_in_one_read_cost_no_application_anything(serve):
    server = serve()
    block = server.block(*REQUEST)
    server.feed(
        b"".join(
            frame(HEADERS, END_HEADERS | END_STREAM, number, block) + rst_stream(number, CANCEL)
            for number in range(1, 1001, 2)
        )
    )
    assert server.opened == []
    assert server.goaway() == ENHANCE_YOUR_CALM


def test_drain_with_a_round_trip(serve):
    server = serve()
    server.request(1)
    server.session.drain(server.now)
    (first, ping) = server.take()
    assert first[0] == GOAWAY
    assert first[3][:4] == struct.pack(">L", WINDOW_MAX)
    server.request(3)  # was on its way
    server.feed(frame(PING, ACK, 0, ping[3]))
    assert server.session.phase == LEAVING
    [final] = server.take()
    assert final[3][:4] == struct.pack(">L", 3)
    server.request(5)
    assert len(server.opened) == 2
    for stream in server.opened:
        stream.respond(200, [], b"")
    assert server.session.phase == CLOSED
    assert sorted(server.responses()) == [1, 3]


def test_the_send_buffer_is_the_operators(serve):
    server = serve(lambda stream, what: stream.start(200, []), max_send_buffer_size=20_000)
    server.request(1)
    [stream] = server.opened
    assert not stream.write(bytes(9_000))
    assert stream.write(bytes(9_000))


def test_a_small_unread_body_is_dropped_and_a_long_one_told_to_stop(serve):
    server = serve(answer)
    server.request(1, POST, last=False)
    server.feed(frame(DATA, END_STREAM, 1, bytes(1000)))
    assert server.reset(1) is None
    assert server.session.streams == {}
    server.request(3, POST, last=False)
    for _ in range(5):
        server.feed(frame(DATA, 0, 3, bytes(16_384)))
    assert server.reset(3) == NO_ERROR


def test_the_adaptive_window_grows_with_what_a_round_trip_carries(serve):
    server = serve(adaptive_window=True)
    server.feed(frame(SETTINGS, ACK, 0))
    server.request(1, POST, last=False)
    server.feed(frame(DATA, 0, 1, bytes(16_000)))
    ping = next(f for f in server.take() if f[0] == PING)
    for _ in range(3):
        server.feed(frame(DATA, 0, 1, bytes(16_000)))
    server.now += 0.05
    server.feed(frame(PING, ACK, 0, ping[3]))
    sent = server.take()
    grown = next(f for f in sent if f[0] == SETTINGS)
    assert struct.unpack(">HL", grown[3]) == (4, 128_000)
    server.feed(frame(SETTINGS, ACK, 0))
    assert server.session.inflow.stream_window == 128_000


def test_with_a_real_client_both_ways(lane):
    def script(stream, what):
        if what == "data" and stream.events[-1][2]:
            body = b"".join(event[1] for event in stream.events if event[0] == "data")
            stream.respond(200, [], body)

    server = Server(script, lane=lane, greet=False)
    client = Client(server)
    client.h2.send_headers(1, POST)
    for _ in range(20):
        client.h2.send_data(1, b"y" * 10_000)
    client.h2.send_data(1, b"", end_stream=True)
    client.exchange()
    for _ in range(20):
        for event in client.events:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                client.h2.acknowledge_received_data(event.flow_controlled_length, 1)
                event.flow_controlled_length = 0
        client.exchange()
    assert client.of(ResponseReceived)
    assert b"".join(event.data for event in client.of(DataReceived)) == b"y" * 200_000
    assert client.of(StreamEnded)


@pytest.mark.parametrize("pair", sorted(TRANSITIONS, key=str))
def test_every_transition_ends_where_the_table_says(pair):
    phase, event = pair
    server = Server(greet=False)
    if phase >= 1:
        server.feed(PREFACE)
    if phase >= OPEN:
        server.feed(frame(SETTINGS, 0, 0))
        server.take()
        server.request(1)
        server.take()
    if phase >= DRAINING:
        server.session.drain(server.now)
    if phase == LEAVING:
        server.session.tick(server.now + 2)
    assert server.session.phase == phase
    if event == "preface":
        server.feed(PREFACE)
    elif event == "settings":
        server.feed(frame(SETTINGS, 0, 0))
    elif event == "drain":
        server.session.drain(server.now)
    elif event == "acknowledged":
        server.feed(frame(PING, ACK, 0, b"draining"))
    elif event == "empty":
        server.feed(frame(GOAWAY, 0, 0, bytes(8)))
        server.opened[0].respond(204, [], b"")
    elif phase == 0:
        server.feed(b"no preface")
    else:
        server.feed(frame(PING, 0, 1, bytes(8)))
    assert server.session.phase == TRANSITIONS[pair]


@pytest.mark.usefixtures("collector_off")
def test_an_idle_connection_weighs_little_whatever_it_has_served(lane):
    lexicon = Lexicon()
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
    block = Server().block(*REQUEST)

    def connect():
        session = Session(WorkerPlan(), lexicon, Prompt, lambda: None, 0.0, lane=lane)
        session.feed(GREETING, 0.0)
        for number in range(1, 1001, 2):
            session.feed(frame(HEADERS, END_HEADERS | END_STREAM, number, block), 0.0)
            session.collect(0)
        return session

    held = [connect()]
    tracemalloc.start()
    try:
        held.append(connect())
        weight = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held[1].streams == {}
    assert weight < 40 * 1024  # of the 60 KiB that all of the connection may take


@pytest.fixture
def collector_off():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_off")
def test_a_lost_connection_leaves_nothing_to_the_collector(lane):
    lexicon = Lexicon()
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
    block = Server().block(*REQUEST)

    def connect():
        session = Session(WorkerPlan(), lexicon, Silent, lambda: None, 0.0, lane=lane)
        session.feed(GREETING, 0.0)
        for number in range(1, 201, 2):
            session.feed(frame(HEADERS, END_HEADERS | END_STREAM, number, block), 0.0)
            session.feed(rst_stream(number, CANCEL), 0.0)
        session.collect(0)
        judge = weakref.ref(session.judge)
        session.lost()
        return judge

    assert connect()() is None


@pytest.mark.usefixtures("collector_off")
def test_a_lost_connection_keeps_nothing_of_what_it_was_sent_or_had_to_say(lane):
    """Row 44: the streams that applications hold weigh what they weigh, and the session nothing."""
    held = []
    lexicon = Lexicon()
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
    block = Server().block(*REQUEST)
    opening = [frame(HEADERS, END_HEADERS | END_STREAM, n, block) for n in range(1, 383, 2)]

    def make(session, number):
        held.append(Silent(session, number))
        return held[-1]

    def connect():
        session = Session(WorkerPlan(), lexicon, make, lambda: None, 0.0, lane=lane)
        session.feed(GREETING + b"".join(opening), 0.0)
        for number in range(1, 381, 2):
            session.feed(rst_stream(number, CANCEL), 0.0)
        assert len(session.zombies) == 190
        held[-1].respond(200, [], bytes(bytearray(60_000)))  # when the transport breaks
        session.feed(frame(HEADERS, 0, 383, block) + frame(CONTINUATION, 0, 383, bytes(9_000)), 0.0)
        session.feed(frame(CONTINUATION, 0, 383, bytes(9_000))[:-1], 0.0)
        session.lost()
        assert session.collect(0) == b""
        return session

    tracemalloc.start()
    try:
        # Twice before: what the interpreter keeps of freed deques is not the session's.
        for _ in range(2):
            connect()
            del held[:]
        before = tracemalloc.get_traced_memory()[0]
        session = connect()
        with_streams = tracemalloc.get_traced_memory()[0] - before
        del held[:]
        weight = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert not session.streams
    assert weight < 4 * 1024
    assert with_streams - weight < 191 * 400


@pytest.mark.usefixtures("collector_off")
def test_an_application_that_outlives_its_connection_holds_little(lane):
    """Row 44: what a rapid reset leaves behind, where the applications take their time."""
    lexicon = Lexicon()
    lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
    octets = GREETING + frame(HEADERS, END_HEADERS | END_STREAM, 1, Server().block(*REQUEST))
    held = []

    def connect():
        make = lambda session, number: held.append(Silent(session, number)) or held[-1]  # noqa: E731
        session = Session(WorkerPlan(), lexicon, make, lambda: None, 0.0, lane=lane)
        session.feed(octets, 0.0)
        session.lost()

    connect()
    tracemalloc.start()
    try:
        for _ in range(10):
            connect()
        weight = tracemalloc.get_traced_memory()[0] / 10
    finally:
        tracemalloc.stop()
    assert weight < 6 * 1024
    for stream in held:
        assert stream.closed
        stream.want_body(0)
        stream.inform(103, [])
        assert not stream.start(200, [], b"late")
        assert not stream.write(b"later")
        stream.finish()
        stream.respond(200, [], b"too late")
        stream.abort()
        stream.cancel()
