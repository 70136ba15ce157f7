"""One HTTP/1 connection, walked through every phase by octets, verbs and the clock."""

import os
import socket
import struct

import pytest

from granian.engine import http1
from granian.engine.connection import HIGH_WATER, LINGER_TIME, LOW_WATER
from granian.engine.http1 import MAX_DISCARD
from granian.errors import AppError
from granian.plan import Http1Plan, WorkerPlan
from tests.support.lines import chunked, get, octets, post
from tests.support.runtime import DATE, Served
from tests.support.wire import parse

TIMES = {"header": 30.0, "body": 60.0, "write": 60.0}
FIELDS = [(b"x-a", b"1")]


def answer(status=200, fields=(), body=b"ok"):
    return lambda responder, *_: responder.respond(status, fields, body)


def streamed(*pieces, fields=(), status=200):
    def run(responder, *_):
        responder.start(status, fields)
        for piece in pieces:
            responder.write(piece)
        responder.finish()

    return run


def wants(responder, *_):
    responder.want_body(0)


def responses(served, *methods):
    return parse(served.sent(), list(methods), served.phase in ("closed", "lingering"))


def only_response(served, *methods):
    (response,) = responses(served, *methods)
    return response


# The table of the module's docstring, walked. Each phase is reached the way a peer reaches it; each
# event is given to the object itself. Where the docstring has no arrow the phase must not change.


def in_idle(**options):
    return Served(**options)


def in_part(**options):
    return Served(**options).receive(b"GET / HT")


def in_serving(**options):
    served = Served(**options).receive(get("/"))
    served.sent()
    return served


def in_body(**options):
    served = Served(wants, **options).receive(post(b"x" * 10)[:-5])
    served.sent()
    return served


def in_streaming(**options):
    served = in_serving(**options)
    served.connection.start(200, ())
    served.sent()
    return served


def in_flushing(**options):
    served = Served(answer(body=b"x" * 1000), room=10, **options).receive(get("/"))
    assert served.connection.out_size
    return served


def in_last_flush(**options):
    script = answer(body=b"x" * 1000)
    return Served(script, room=10, **options).receive(get("/", "Connection: close"))


def in_discarding(**options):
    served = Served(answer(), **options).receive(post(b"x" * 1000)[:-500])
    served.sent()
    return served


def in_lingering(**options):
    served = Served(**options).receive(b"\x16\x03\x01garbage\r\n\r\n")
    served.sent()
    return served


def in_closed(**options):
    served = Served(**options)
    served.connection.lose()
    return served


def no_room(served):
    served.sock.room = 0


def reset(served):
    served.receive(ConnectionResetError())


def too_late(served):
    served.poller.advance(61.0)


def send_fails(served):
    served.sock.send_error = BrokenPipeError()
    served.sock.room = None
    served.connection.on_writable()


def hang_up(served):
    served.connection.on_hangup()


def hang_up_twice(served):
    served.connection.on_hangup()
    if not served.connection.closed:
        served.connection.on_hangup()


def finish(served):
    served.connection.start(200, ())
    served.connection.finish()


EVENTS = {
    "head": lambda served: served.receive(get("/again")),
    "end": lambda served: served.end(),
    "reset": reset,
    "hang-up": hang_up,
    "hang-up twice": hang_up_twice,
    "deadline": too_late,
    "respond": lambda served: served.connection.respond(200, (), b"ok"),
    "start, finish": finish,
    "abort": lambda served: served.connection.abort(),
    "want body": lambda served: served.connection.want_body(0),
    "inform": lambda served: served.connection.inform(103, ()),
    "drained": lambda served: served.drain(),
    "send fails": send_fails,
    "drain": lambda served: served.connection.drain(),
    "drain with grace": lambda served: served.connection.drain(5.0),
    "lose": lambda served: served.connection.lose(),
    "reset by us": lambda served: served.connection.reset(),
}

PHASES = {
    "idle": in_idle,
    "part": in_part,
    "serving": in_serving,
    "body": in_body,
    "streaming": in_streaming,
    "flushing": in_flushing,
    "last flush": in_last_flush,
    "discarding": in_discarding,
    "lingering": in_lingering,
    "closed": in_closed,
}

STARTS = {
    "part": "idle",
    "body": "serving",
    "streaming": "serving",
    "last flush": "flushing",
}

# event -> phase before -> phase after; a phase that is not named does not change.
TABLE = {
    "head": {"idle": "serving", "part": "lingering", "discarding": "discarding"},
    "end": {
        "idle": "closed",
        "part": "closed",
        "body": "closed",
        "discarding": "closed",
        "lingering": "closed",
    },
    "reset": dict.fromkeys(PHASES, "closed"),
    "hang-up": {
        "idle": "closed",
        "part": "closed",
        "discarding": "discarding",
        "lingering": "closed",
    },
    "hang-up twice": dict.fromkeys(PHASES, "closed"),
    "deadline": {
        "idle": "closed",
        "part": "lingering",
        "body": "lingering",
        "flushing": "closed",
        "last flush": "closed",
        "discarding": "closed",
        "lingering": "closed",
    },
    "respond": {"serving": "idle", "body": "discarding"},
    "start, finish": {"serving": "idle", "body": "discarding", "streaming": "idle"},
    "abort": {"serving": "lingering", "body": "lingering", "streaming": "lingering"},
    "want body": {},
    "inform": {},
    "drained": {"flushing": "idle", "last flush": "closed"},
    "send fails": {"flushing": "closed", "last flush": "closed"},
    "drain": {
        "idle": "closed",
        "part": "closed",
        "discarding": "closed",
        "lingering": "closed",
    },
    "drain with grace": {"discarding": "closed", "lingering": "closed"},
    "lose": dict.fromkeys(PHASES, "closed"),
    "reset by us": dict.fromkeys(PHASES, "closed"),
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("before", PHASES)
def test_every_event_in_every_phase(before, event):
    served = PHASES[before]()
    expected = TABLE[event].get(before, STARTS.get(before, before))
    EVENTS[event](served)
    assert served.phase == expected
    assert served.sock.closed == (expected == "closed")
    assert served.log.count(("disconnect",)) <= 1
    assert served.log.count(("closed",)) == (expected == "closed")
    if expected == "closed":
        assert served.log[-1] == ("closed",)
        assert served.poller.connections == {}
        assert served.connection.deadline == float("inf")


def test_the_table_knows_every_event():
    assert set(TABLE) == set(EVENTS)
    assert set(http1.PHASE_NAMES) == {STARTS.get(phase, phase) for phase in PHASES}


@pytest.mark.parametrize("verb", ["respond", "start, finish", "abort", "inform", "want body"])
@pytest.mark.parametrize("phase", ["idle", "part", "flushing", "discarding", "lingering", "closed"])
def test_a_verb_without_an_exchange_sends_nothing(phase, verb):
    served = PHASES[phase]()
    served.drain(0) if phase == "flushing" else served.sent()
    size = served.connection.out_size
    EVENTS[verb](served)
    assert served.sent() == b""
    assert served.connection.out_size == size


# heads


def test_a_request_and_its_answer_are_one_receive_and_one_send():
    served = Served(answer(fields=FIELDS, body=b"hello")).receive(get("/a?b"))
    assert served.sock.sends == [
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\nserver: granian\r\n"
        + DATE
        + b"content-length: 5\r\n\r\nhello"
    ]
    assert served.phase == "idle"
    assert served.runtime.counters.requests_handled == 1
    assert served.log == [("begin", b"", True)]


@pytest.mark.parametrize("cut", range(1, len(get("/", "X: y"))))
def test_a_head_in_two_pieces(cut):
    served = Served(answer()).receive(get("/", "X: y")[:cut], get("/", "X: y")[cut:])
    assert only_response(served).status == 200
    assert served.application.heads[0].headers == [(b"host", b"a"), (b"x", b"y")]


def test_heads_octet_by_octet():
    served = Served(answer(), answer()).receive(*octets(get("/one") + get("/two")))
    assert [head.path for head in served.application.heads] == ["/one", "/two"]
    assert len(responses(served)) == 2


def test_an_empty_line_before_a_request_is_forgiven_octet_by_octet():
    served = Served(answer()).receive(*octets(b"\r\n" + get("/")))
    assert only_response(served).status == 200


def test_line_feeds_alone_end_lines():
    served = Served(answer()).receive(*octets(get("/", "X: y").replace(b"\r\n", b"\n")))
    assert only_response(served).status == 200
    assert served.application.heads[0].headers == [(b"host", b"a"), (b"x", b"y")]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b" GET / HTTP/1.1\r\n", 400),
        (b"\x00", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (get("/", version="3.0"), 505),
        (get("/" + "a" * 65_535), 414),
        (b"GET /" + b"a" * 70_000, 414),
        (get("/", *["X: y"] * 101), 431),
        (get("/", "Transfer-Encoding: gzip", method="POST"), 501),
    ],
)
def test_what_breaks_the_rules_is_refused_and_nothing_after_it_is_read(data, status):
    served = Served(answer(), plan=WorkerPlan(http="1"))
    served.receive(*[data[i : i + 4096] for i in range(0, len(data), 4096)])
    served.receive(get("/"))
    refused = only_response(served)
    assert (refused.status, refused.whole) == (status, True)
    assert (b"connection", b"close") in refused.headers
    assert (b"date", DATE[6:-2]) in refused.headers
    assert served.application.heads == []
    assert served.phase == "lingering"
    assert served.runtime.refusals == [status]
    assert served.runtime.counters.connections_err == 1


@pytest.mark.parametrize("piece", [65_536, 999])
def test_a_head_beyond_the_limit_is_refused_by_its_total(piece):
    plan = WorkerPlan(http1=Http1Plan(buffer_size=10_000))
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000
    served = Served(plan=plan).receive(*[data[i : i + piece] for i in range(0, len(data), piece)])
    assert only_response(served).status == 431


@pytest.mark.parametrize(("size", "status"), [(10_000, 200), (10_001, 431)])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_the_limit_counts_the_whole_head(size, status, end):
    plan = WorkerPlan(http1=Http1Plan(buffer_size=10_000))
    data = get("/", "X: ").replace(b"\r\n", end)
    data = data.replace(b"X: ", b"X: " + b"a" * (size - len(data)))
    assert len(data) == size
    assert only_response(Served(answer(), plan=plan).receive(data)).status == status


# deadlines


def test_a_silent_connection_is_closed_without_a_word():
    served = Served()
    served.poller.advance(29.9)
    assert served.phase == "idle"
    served.poller.advance(0.2)
    assert served.phase == "closed"
    assert served.sent() == b""


def test_the_time_for_a_head_starts_with_it_and_is_not_prolonged_by_drips():
    served = Served()
    served.poller.advance(20.0)
    for octet in octets(b"GET / HTTP/1.1\r\n"):
        served.receive(octet)
        served.poller.advance(1.8)
    assert served.phase == "idle"
    served.poller.advance(1.3)
    assert only_response(served).status == 408


def test_the_keep_alive_time_starts_with_the_answer():
    served = Served()
    served.poller.advance(20.0)
    served.receive(get("/"))
    served.poller.advance(100.0)
    served.connection.respond(200, (), b"")
    served.poller.advance(29.0)
    assert served.phase == "idle"
    served.poller.advance(2.0)
    assert served.phase == "closed"


def test_an_application_has_all_the_time_it_wants():
    served = in_serving()
    served.poller.advance(100_000.0)
    assert served.phase == "serving"


def test_a_body_that_stops_is_refused_and_the_application_told():
    served = in_body()
    served.poller.advance(59.0)
    served.receive(b"x")
    served.connection.want_body(1)
    served.poller.advance(59.0)
    assert served.phase == "serving"
    served.poller.advance(2.0)
    assert only_response(served).status == 408
    assert served.log[-1] == ("disconnect",)
    served.connection.respond(200, (), b"late")
    assert served.sent() == b""


def test_a_body_that_stops_after_the_answer_began_breaks_the_connection():
    served = in_body()
    served.connection.start(200, ())
    served.sent()
    served.poller.advance(61.0)
    assert served.phase == "closed"
    assert served.sent() == b""


def test_no_body_deadline_while_the_application_does_not_ask():
    served = in_body()
    served.receive(b"x")
    served.poller.advance(10_000.0)
    assert served.phase == "serving"


def test_chunk_framing_alone_renews_the_wait_without_telling_the_application():
    served = Served(wants).receive(chunked(end=b""))
    served.poller.advance(59.0)
    served.receive(b"5;a=")
    served.poller.advance(59.0)
    assert served.phase == "serving"
    assert served.log == [("begin", b"", False)]


def test_a_peer_that_does_not_read_is_reset():
    served = in_flushing()
    served.poller.advance(59.0)
    assert served.phase == "flushing"
    served.drain(100)
    served.poller.advance(59.0)
    assert served.phase == "flushing"
    served.poller.advance(2.0)
    assert served.phase == "closed"
    linger = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert linger in served.sock.options


def test_a_stream_that_is_not_read_is_reset_and_the_application_told():
    served = in_streaming()
    no_room(served)
    served.connection.write(b"x")
    served.poller.advance(61.0)
    assert served.phase == "closed"
    assert served.log[-2:] == [("disconnect",), ("closed",)]


def test_a_lingering_peer_has_a_few_seconds():
    served = in_lingering()
    served.receive(b"more" * 1000)
    served.poller.advance(LINGER_TIME - 0.1)
    assert served.phase == "lingering"
    served.poller.advance(0.2)
    assert served.phase == "closed"


# pipelining


def test_pipelined_requests_are_answered_in_one_turn():
    served = Served(*[answer(body=b"%d" % i) for i in range(3)])
    served.receive(get("/0") + get("/1") + get("/2"))
    assert [response.body for response in responses(served)] == [b"0", b"1", b"2"]
    assert served.runtime.posted == []


def test_a_pipelined_request_waits_for_the_answer_before_it():
    served = in_serving()
    served.receive(get("/second"))
    assert len(served.application.heads) == 1
    served.connection.respond(200, (), b"first")
    assert len(served.application.heads) == 1, "served on the application's stack"
    served.run_posted()
    assert served.application.heads[1].path == "/second"
    served.connection.respond(200, (), b"second")
    assert [response.body for response in responses(served)] == [b"first", b"second"]


def test_a_third_request_cannot_overtake_the_second():
    served = in_serving()
    served.receive(get("/second"))
    served.connection.respond(200, (), b"")
    served.receive(get("/third"))
    served.run_posted()
    assert [head.path for head in served.application.heads] == ["/", "/second"]
    served.connection.respond(200, (), b"")
    served.run_posted()
    assert [head.path for head in served.application.heads] == ["/", "/second", "/third"]


def test_a_pipelined_part_of_a_head_is_completed_later():
    served = in_serving()
    served.receive(get("/second")[:-7])
    served.connection.respond(200, (), b"")
    served.run_posted()
    assert len(served.application.heads) == 1
    served.receive(get("/second")[-7:])
    assert served.application.heads[1].path == "/second"


def test_a_resumed_part_keeps_its_deadline():
    served = in_serving()
    served.receive(b"GET ")
    served.connection.respond(200, (), b"")
    served.receive(b"/ HTTP/1.1\r\n")
    served.poller.advance(20.0)
    served.run_posted()
    served.poller.advance(11.0)
    assert responses(served)[-1].status == 408


def test_what_follows_a_body_is_the_next_request():
    served = Served(answer(), answer()).receive(post(b"body") + get("/next"))
    assert served.application.heads[1].path == "/next"
    assert len(responses(served)) == 2


def test_what_follows_a_chunked_body_is_the_next_request():
    served = Served(answer(), answer()).receive(chunked(b"ab", b"c") + get("/next"))
    assert served.log[0] == ("begin", b"abc", True)
    assert served.application.heads[1].path == "/next"


def test_early_requests_are_held_up_to_the_size_of_a_head():
    plan = WorkerPlan(http1=Http1Plan(buffer_size=10_000))
    served = in_serving(plan=plan)
    served.receive(*[b"x" * 1000] * 12)
    assert served.watched == "-"
    assert len(served.sock.script) == 2
    served.connection.respond(200, (), b"")
    served.run_posted()
    served.receive()
    assert responses(served)[-1].status == 431


def test_reading_goes_on_after_held_requests():
    plan = WorkerPlan(http1=Http1Plan(buffer_size=100))
    served = in_serving(plan=plan)
    served.receive(get("/2") * 5)
    assert served.watched == "-"
    served.connection.respond(200, (), b"")
    served.run_posted()
    assert served.watched == "r"
    assert len(served.application.heads) == 2


def test_drain_serves_the_requests_that_were_received():
    served = in_serving()
    served.receive(get("/second"))
    served.connection.respond(200, (), b"")
    served.connection.drain()
    served.run_posted()
    served.connection.respond(200, (), b"")
    assert (b"connection", b"close") in responses(served)[-1].headers
    assert served.phase == "closed"


# bodies


def test_a_body_at_hand_comes_with_the_request():
    served = Served().receive(post(b"body"))
    assert served.log == [("begin", b"body", True)]


def test_a_body_in_pieces_is_read_as_it_is_wanted():
    served = Served().receive(post(b"x" * 10)[:-8])
    assert served.log == [("begin", b"xx", False)]
    served.receive(b"xxx")
    assert served.watched == "-", "nobody asked"
    served.connection.want_body(2)
    served.receive()
    assert served.log[-1] == ("body", b"xxx", False)
    served.connection.want_body(3)
    served.receive(b"x" * 5)
    assert served.log[-1] == ("body", b"x" * 5, True)
    served.connection.respond(200, (), b"")
    assert served.phase == "idle"


def test_a_chunked_body_in_pieces():
    served = Served(wants)
    for octet in octets(chunked(b"abc", b"de")):
        served.receive(octet)
        served.connection.want_body(0)
    assert b"".join(event[1] for event in served.log) == b"abcde"
    assert served.log[-1] == ("body", b"", True)


def test_the_last_octets_of_a_body_end_it_at_once():
    served = in_body()
    served.receive(b"y" * 5 + get("/next"))
    assert served.log[-1] == ("body", b"y" * 5, True)
    served.connection.respond(200, (), b"")
    served.run_posted()
    assert served.application.heads[1].path == "/next"


def test_a_broken_chunk_is_refused_before_the_application_answers():
    served = Served(wants).receive(chunked(end=b"zz\r\n"))
    assert only_response(served).status == 400
    assert served.application.heads == []
    served = Served(wants).receive(chunked(end=b""), b"zz\r\n")
    assert only_response(served).status == 400
    assert served.log[-1] == ("disconnect",)


def test_a_broken_chunk_after_the_answer_began_breaks_the_connection():
    served = Served(wants).receive(chunked(end=b""))
    served.connection.start(200, ())
    served.sent()
    served.receive(b"zz\r\n")
    assert served.phase == "closed"
    assert served.sent() == b""


def test_a_body_cut_short_loses_the_exchange():
    served = in_body().end()
    assert served.phase == "closed"
    assert served.log[-2:] == [("disconnect",), ("closed",)]


def test_an_end_behind_a_body_nobody_reads_is_not_the_end_of_the_exchange():
    served = Served().receive(post(b"x" * 10)[:-5], b"x" * 5, b"")
    assert served.watched == "-"
    served.connection.on_hangup()
    assert served.phase == "serving"
    served.connection.want_body(5)
    served.receive()
    assert ("body", b"x" * 5, True) in served.log
    served.connection.respond(200, (), b"ok")
    assert only_response(served).body == b"ok"
    assert served.phase == "closed"


def test_a_reset_behind_a_body_nobody_reads_is_noticed():
    served = Served().receive(post(b"x" * 10)[:-5], b"x")
    hang_up_twice(served)
    assert served.phase == "closed"
    assert ("disconnect",) in served.log


# 100-continue


def expecting(body=b"", length=4, version="1.1"):
    head = get(
        "/", f"Content-Length: {length}", "Expect: 100-continue", method="POST", version=version
    )
    return head + body


def test_continue_is_sent_when_the_body_is_first_wanted_and_once():
    served = Served().receive(expecting())
    assert served.sent() == b""
    served.connection.want_body(0)
    served.connection.want_body(0)
    assert served.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
    served.receive(b"body")
    served.connection.respond(200, (), b"")
    assert served.phase == "idle"


def test_no_continue_when_the_body_came_with_the_head():
    served = Served(wants).receive(expecting(b"bo"))
    assert served.sent() == b""


def test_no_continue_for_an_old_peer():
    served = Served(wants).receive(expecting(version="1.0"))
    assert served.sent() == b""


def test_no_continue_after_the_answer_began():
    served = Served().receive(expecting())
    served.connection.start(200, ())
    served.sent()
    served.connection.want_body(0)
    assert served.sent() == b""


def test_no_expectation_without_a_body():
    served = Served(wants, wants).receive(expecting(length=0))
    served.connection.want_body(0)
    assert served.sent() == b""


def test_an_answer_to_an_open_expectation_is_the_last():
    served = Served(answer(413)).receive(expecting(length=1_000_000))
    response = only_response(served)
    assert (response.status, response.headers[-1]) == (413, (b"connection", b"close"))
    assert served.phase == "lingering"


# bodies nobody read


def test_the_rest_of_a_small_body_is_read_and_dropped():
    served = in_discarding()
    served.receive(b"x" * 500)
    assert served.phase == "idle"
    assert served.log == [("begin", b"x" * 500, False)]
    served.receive(get("/next"))
    assert served.application.heads[1].path == "/next"


def test_the_request_behind_a_dropped_body_is_served_in_its_own_turn():
    served = in_discarding()
    served.receive(b"x" * 500 + get("/next"))
    served.run_posted()
    assert served.application.heads[1].path == "/next"


def test_a_body_too_large_to_drop_closes_the_connection():
    served = Served(answer()).receive(post(b"x" * (MAX_DISCARD + 2))[: -MAX_DISCARD - 1])
    assert only_response(served).headers[-1] == (b"connection", b"close")
    assert served.phase == "lingering"


def test_a_body_just_small_enough_is_dropped():
    served = Served(answer()).receive(post(b"x" * (MAX_DISCARD + 2))[:-MAX_DISCARD])
    assert (b"connection", b"close") not in only_response(served).headers
    served.receive(b"x" * MAX_DISCARD)
    assert served.phase == "idle"


def test_a_chunked_body_is_dropped_up_to_the_limit():
    served = Served(answer()).receive(chunked(end=b""))
    served.receive(b"10000\r\n" + b"x" * 60_000)
    assert served.phase == "discarding"
    served.receive(b"x" * 6_000)
    assert served.phase == "lingering"


def test_a_broken_chunk_in_a_dropped_body_ends_the_connection():
    served = Served(answer()).receive(chunked(end=b""))
    served.receive(b"zz\r\n")
    assert served.phase == "lingering"
    assert len(responses(served)) == 1


def test_an_answer_that_waits_for_the_peer_comes_before_the_dropping():
    served = Served(answer(body=b"y" * 1000), room=10).receive(post(b"x" * 1000)[:-500])
    served.receive(b"x" * 500)
    assert served.phase == "flushing"
    served.drain()
    assert served.phase == "discarding"
    served.receive()
    assert served.phase == "idle"


# what responses look like


@pytest.mark.parametrize(
    ("version", "fields", "connection", "phase"),
    [
        ("1.1", (), None, "idle"),
        ("1.1", ("Connection: close",), b"close", "closed"),
        ("1.1", ("Connection: keep-alive",), None, "idle"),
        ("1.0", (), b"close", "closed"),
        ("1.0", ("Connection: keep-alive",), b"keep-alive", "idle"),
        ("1.0", ("Connection: keep-alive, close",), b"close", "closed"),
    ],
)
@pytest.mark.parametrize("script", [answer(), streamed(b"ok", fields=[(b"Content-Length", b"2")])])
def test_the_fate_of_the_connection(version, fields, connection, phase, script):
    served = Served(script).receive(get("/", *fields, version=version))
    response = only_response(served)
    assert response.body == b"ok"
    assert dict(response.headers).get(b"connection") == connection
    assert served.phase == phase


def test_keep_alive_can_be_switched_off():
    plan = WorkerPlan(http1=Http1Plan(keep_alive=False))
    served = Served(answer(), plan=plan).receive(get("/"))
    assert (b"connection", b"close") in only_response(served).headers
    assert served.phase == "closed"


def test_an_application_can_close_the_connection():
    served = Served(answer(fields=[(b"Connection", b"close")])).receive(get("/"))
    values = [value for name, value in only_response(served).headers if name == b"connection"]
    assert values == [b"close"]
    assert served.phase == "closed"


def test_a_head_request_gets_the_head_alone():
    served = Served(answer(body=b"four")).receive(get("/", method="HEAD"))
    head = served.sent()
    assert head.endswith(b"content-length: 4\r\n\r\n")
    assert served.phase == "idle"


def test_a_head_request_keeps_the_length_the_application_gave():
    fields = [(b"Content-Length", b"1234")]
    served = Served(answer(body=b"", fields=fields)).receive(get("/", method="HEAD"))
    assert served.sent().endswith(b"content-length: 1234\r\n\r\n")
    served = Served(streamed(b"abc", fields=fields)).receive(get("/", method="HEAD"))
    assert served.sent().endswith(b"content-length: 1234\r\n\r\n")
    assert served.phase == "idle"


def test_a_head_request_to_a_stream_has_no_framing():
    served = Served(streamed(b"abc", b"def")).receive(get("/", method="HEAD"))
    assert served.sent().endswith(DATE + b"\r\n")
    assert served.phase == "idle"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("make", [answer, lambda status: streamed(b"abc", status=status)])
def test_a_status_without_content_has_no_body_and_no_framing(status, make):
    served = Served(make(status)).receive(get("/"))
    assert served.sent().endswith(DATE + b"\r\n")
    assert served.phase == "idle"


def test_only_a_304_keeps_a_length():
    fields = [(b"Content-Length", b"9")]
    for make in (answer, lambda status, fields: streamed(status=status, fields=fields)):
        served = Served(make(304, fields)).receive(get("/"))
        assert served.sent().endswith(DATE + b"content-length: 9\r\n\r\n")
        served = Served(make(204, fields)).receive(get("/"))
        assert served.sent().endswith(DATE + b"\r\n")


def test_a_stream_is_chunked():
    served = Served(streamed(b"abc", b"", b"defg")).receive(get("/"))
    data = served.sent()
    assert data.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
    assert served.phase == "idle"


def test_a_stream_to_an_old_peer_ends_with_the_connection():
    served = Served(streamed(b"abc", b"defg")).receive(get("/", version="1.0"))
    data = served.sent()
    assert data.endswith(b"connection: close\r\n\r\nabcdefg")
    assert b"transfer-encoding" not in data
    assert served.phase == "closed"


def test_a_stream_of_known_length_is_not_chunked():
    served = Served(streamed(b"abc", b"d", fields=[(b"content-length", b"4")])).receive(get("/"))
    assert served.sent().endswith(b"content-length: 4\r\n\r\nabcd")
    assert served.phase == "idle"


def test_the_first_and_last_pieces_leave_with_the_head_and_the_end():
    served = in_serving()
    served.sock.sends.clear()
    served.connection.start(200, (), b"first")
    served.connection.finish((), b"last")
    assert len(served.sock.sends) == 2
    assert only_response(served).body == b"firstlast"


def test_trailers_end_a_chunked_stream():
    served = in_streaming()
    served.connection.finish([(b"X-Sum", b"1")], b"a")
    assert served.sent() == b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"
    assert served.phase == "idle"


def test_bad_trailers_leave_the_stream_open():
    served = in_streaming()
    with pytest.raises(AppError) as caught:
        served.connection.finish([(b"content-length", b"1")])
    assert not caught.value.sent
    assert served.phase == "serving"
    served.connection.abort()
    assert served.phase == "lingering"
    assert served.sent() == b""


@pytest.mark.parametrize(
    "field", [(b"a\r\n", b""), (b"a", b"b\r\nc: d"), (b"a", b"\0"), (b"", b"")]
)
@pytest.mark.parametrize("verb", ["respond", "start", "inform", "respond_file"])
def test_a_field_that_would_split_the_response_never_reaches_the_wire(field, verb):
    served = in_serving()
    rest = {"respond": (b"",), "respond_file": (-1, 0, 0)}.get(verb, ())
    with pytest.raises(AppError) as caught:
        getattr(served.connection, verb)(200, [field], *rest)
    assert not caught.value.sent
    assert served.sent() == b""
    served.connection.respond(500, (), b"sorry")
    assert only_response(served).status == 500


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_whole_body_longer_than_its_length_is_cut(method):
    served = Served().receive(get("/", method=method))
    fields = [(b"content-length", b"3")]
    if method == "HEAD":
        served.connection.respond(200, fields, b"abcdef")
    else:
        with pytest.raises(AppError) as caught:
            served.connection.respond(200, fields, b"abcdef")
        assert caught.value.sent
    assert only_response(served, method).body == (b"" if method == "HEAD" else b"abc")
    assert served.phase == "idle"


def test_a_whole_body_shorter_than_its_length_ends_the_connection():
    served = in_serving()
    with pytest.raises(AppError) as caught:
        served.connection.respond(200, [(b"content-length", b"9")], b"abc")
    assert caught.value.sent
    response = only_response(served)
    assert (response.whole, response.body) == (False, b"abc")
    assert served.phase == "closed"


def test_a_first_piece_longer_than_the_length_comes_after_the_head_and_is_cut():
    served = in_serving()
    with pytest.raises(AppError) as caught:
        served.connection.start(200, [(b"content-length", b"3")], b"abcdef")
    assert caught.value.sent
    served.connection.finish()
    assert only_response(served).body == b"abc"
    assert served.phase == "idle"


def test_a_piece_longer_than_the_length_is_cut():
    served = in_serving()
    served.connection.start(200, [(b"content-length", b"3")])
    with pytest.raises(AppError) as caught:
        served.connection.write(b"abcdef")
    assert caught.value.sent
    with pytest.raises(AppError):
        served.connection.write(b"more")
    served.connection.finish()
    assert only_response(served).body == b"abc"


def test_a_last_piece_longer_than_the_length_is_cut_and_ends_the_exchange():
    served = in_serving()
    served.connection.start(200, [(b"content-length", b"3")])
    with pytest.raises(AppError) as caught:
        served.connection.finish((), b"abcdef")
    assert caught.value.sent
    assert only_response(served).body == b"abc"
    assert served.phase == "idle"


def test_a_stream_shorter_than_its_length_ends_the_connection():
    served = in_serving()
    served.connection.start(200, [(b"content-length", b"9")])
    with pytest.raises(AppError) as caught:
        served.connection.finish((), b"abc")
    assert caught.value.sent
    assert not only_response(served).whole
    assert served.phase == "closed"


def test_a_second_response_is_not_sent():
    served = in_serving()
    served.connection.respond(200, (), b"one")
    served.connection.respond(200, (), b"two")
    served.connection.start(200, (), b"three")
    assert only_response(served).body == b"one"


def test_a_response_inside_a_stream_is_not_sent():
    served = in_streaming()
    served.connection.respond(200, (), b"two")
    served.connection.start(200, ())
    assert served.sent() == b""
    read, write = os.pipe()
    os.close(write)
    served.connection.respond_file(200, (), read, 0, 0)
    with pytest.raises(OSError, match="Bad file"):
        os.close(read)
    served.connection.finish()
    assert served.sent() == b"0\r\n\r\n"


def test_an_abort_leaves_a_chunked_stream_without_an_end():
    served = in_streaming()
    served.connection.write(b"abc")
    served.connection.abort()
    assert served.sent() == b"3\r\nabc\r\n"
    assert served.sock.half_closed
    assert served.phase == "lingering"


def test_an_abort_resets_a_stream_that_ends_with_the_connection():
    served = Served().receive(get("/", version="1.0"))
    served.connection.start(200, (), b"abc")
    served.connection.abort()
    assert served.phase == "closed"
    assert served.sock.options[-1][1] == socket.SO_LINGER


def test_interim_responses_come_before_the_answer_only():
    served = in_serving()
    served.connection.inform(103, [(b"Link", b"</a>")])
    assert served.sent() == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    served.connection.start(200, ())
    served.sent()
    served.connection.inform(103, ())
    assert served.sent() == b""


def test_interim_responses_are_not_for_old_peers():
    served = Served().receive(get("/", version="1.0"))
    served.connection.inform(103, ())
    assert served.sent() == b""


# backpressure


def test_a_writer_is_told_to_wait_above_the_high_water_mark():
    served = in_streaming()
    no_room(served)
    assert served.connection.write(b"x" * (HIGH_WATER - 100)) is False
    assert served.connection.write(b"x" * 200) is True
    assert served.log[-1] != ("writable",)
    size = served.connection.out_size
    served.drain(size - LOW_WATER - 1)
    assert served.log[-1] != ("writable",)
    served.drain(1)
    assert served.log[-1] == ("writable",)
    assert served.watched == "rw"
    served.drain()
    assert served.watched == "r"


def test_a_large_start_asks_to_wait():
    served = in_serving()
    no_room(served)
    assert served.connection.start(200, (), b"x" * (HIGH_WATER + 1)) is True


def test_pieces_are_kept_in_order_and_whole():
    served = in_streaming()
    pieces = [bytes([i]) * 50_000 for i in range(20)]
    served.sock.room = 7
    for piece in pieces:
        served.connection.write(piece)
    served.connection.finish()
    data = b""
    while served.connection.out_size:
        data += served.drain(70_001)
    response, end = parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + data), b"0\r\n"
    assert response[0].body == b"".join(pieces)
    assert data.endswith(end + b"\r\n")
    assert served.phase == "idle"


def test_the_next_request_waits_until_the_answer_is_taken():
    served = in_flushing()
    served.receive(get("/next"))
    assert len(served.application.heads) == 1
    served.drain()
    served.run_posted()
    assert served.application.heads[1].path == "/next"


def test_an_answer_behind_a_full_buffer_is_kept_in_line():
    served = Served(room=5)
    served.receive(expecting())
    served.connection.want_body(0)
    served.connection.respond(200, (), b"ok")
    data = served.drain(None)
    assert data.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert data.endswith(b"ok")


def test_a_spurious_wake_up_changes_nothing():
    served = in_flushing()
    served.sock.room = 0
    before = served.connection.out_size
    served.connection.on_writable()
    assert served.connection.out_size == before
    served.sock.script.clear()
    served.connection.on_readable()
    assert served.phase == "flushing"


def test_the_body_deadline_comes_back_after_a_held_continue():
    served = Served(wants, room=3).receive(expecting())
    assert served.connection.out_size
    served.poller.advance(10.0)
    served.drain()
    served.poller.advance(59.0)
    assert served.phase == "serving"
    served.poller.advance(2.0)
    assert only_response(served).status == 408


def test_a_held_piece_of_a_stream_leaves_no_deadline_once_it_is_taken():
    served = in_streaming()
    no_room(served)
    served.connection.write(b"abc")
    served.drain()
    served.poller.advance(1000.0)
    assert served.phase == "serving"


# files


@pytest.fixture
def served_file(tmp_path, monkeypatch):
    """A file of ten letters, opened, and ``sendfile`` as the scripted socket would do it."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def make(served):
        monkeypatch.setattr(
            os,
            "sendfile",
            lambda out, fd, offset, count: served.sock.send(os.pread(fd, count, offset)),
            raising=False,
        )
        return os.open(str(path), os.O_RDONLY)

    make.path = path
    return make


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_file_is_sent_from_its_offset(served_file):
    served = in_serving()
    descriptor = served_file(served)
    served.connection.respond_file(200, (), descriptor, 2, 5)
    assert only_response(served).body == b"23456"
    assert served.phase == "idle"
    assert not is_open(descriptor)


def test_a_file_over_tls_is_read_and_sent(served_file):
    served = in_serving()
    descriptor = served_file(served)
    served.connection.tls = {}
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert only_response(served).body == b"0123456789"


def test_a_head_request_for_a_file_sends_its_length(served_file):
    served = Served().receive(get("/", method="HEAD"))
    descriptor = served_file(served)
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert served.sent().endswith(b"content-length: 10\r\n\r\n")
    assert not is_open(descriptor)
    assert served.phase == "idle"


def test_a_file_waits_for_the_peer(served_file):
    served = in_serving()
    descriptor = served_file(served)
    served.sock.room = 20
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert served.phase == "flushing"
    assert served.watched == "rw"
    data = b""
    while served.phase == "flushing":
        data += served.drain(7)
    assert parse(data)[0].body == b"0123456789"
    assert not is_open(descriptor)


def test_a_file_that_is_never_taken_is_given_up(served_file):
    served = in_serving()
    descriptor = served_file(served)
    sent = served.connection.send_octets
    served.connection.send_octets = lambda data: (sent(data), no_room(served))[0]
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert served.phase == "flushing"
    served.poller.advance(61.0)
    assert served.phase == "closed"
    assert not is_open(descriptor)


def test_a_file_that_shrinks_breaks_the_connection_visibly(served_file):
    served = in_serving()
    descriptor = served_file(served)
    os.truncate(str(served_file.path), 4)
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert not only_response(served).whole
    assert served.phase == "closed"
    assert served.sock.options[-1][1] == socket.SO_LINGER
    assert not is_open(descriptor)


def test_a_file_to_a_peer_that_has_gone_is_closed(served_file):
    served = in_serving()
    descriptor = served_file(served)
    served.sock.send_error = BrokenPipeError()
    served.connection.respond_file(200, (), descriptor, 0, 10)
    assert served.phase == "closed"
    assert not is_open(descriptor)


def test_a_peer_that_goes_during_a_file(served_file):
    served = in_serving()
    descriptor = served_file(served)
    no_room(served)
    served.connection.respond_file(200, (), descriptor, 0, 10)
    served.connection.lose()
    assert not is_open(descriptor)


def test_a_wrong_length_for_a_file_leaves_the_descriptor_to_the_caller(served_file):
    served = in_serving()
    descriptor = served_file(served)
    with pytest.raises(AppError):
        served.connection.respond_file(200, [(b"content-length", b"9")], descriptor, 0, 10)
    assert served.sent() == b""
    os.close(descriptor)


# ends


def test_a_half_closed_peer_still_gets_its_answer():
    served = in_serving().end()
    assert served.log[-1] == ("disconnect",)
    assert served.watched == "-"
    served.connection.respond(200, (), b"ok")
    response = only_response(served)
    assert (response.body, response.headers[-1]) == (b"ok", (b"connection", b"close"))
    assert served.phase == "closed"
    assert served.log.count(("disconnect",)) == 1


def test_a_half_closed_peer_still_gets_all_of_a_long_answer():
    served = in_flushing()
    data = served.sent()
    served.end()
    assert served.phase == "flushing"
    data += served.drain()
    assert parse(data)[0].whole
    assert served.phase == "closed"


def test_a_half_closed_peer_gets_the_answers_to_all_it_sent():
    served = in_serving()
    served.receive(get("/second") + get("/third")).end()
    served.connection.respond(200, (), b"first")
    served.end()
    for body in (b"second", b"third"):
        served.run_posted()
        served.end()
        served.connection.respond(200, (), body)
    answers = responses(served)
    assert [response.body for response in answers] == [b"first", b"second", b"third"]
    assert (b"connection", b"close") in answers[-1].headers
    assert served.log.count(("disconnect",)) == 1
    assert served.phase == "closed"


def test_half_a_request_behind_an_answer_is_not_waited_for():
    served = in_serving()
    served.receive(get("/second")[:-5]).end()
    served.connection.respond(200, (), b"first")
    served.run_posted()
    served.end()
    assert [response.body for response in responses(served)] == [b"first"]
    assert served.phase == "closed"


def test_a_stream_to_a_half_closed_peer_goes_on():
    served = in_streaming().end()
    served.connection.write(b"abc")
    served.connection.finish()
    assert served.sent() == b"3\r\nabc\r\n0\r\n\r\n"
    assert served.phase == "closed"


def test_the_reset_of_a_half_closed_peer_is_noticed():
    served = in_serving().end()
    served.connection.on_hangup()
    assert served.phase == "closed"
    assert served.log.count(("disconnect",)) == 1


def test_a_refused_peer_is_half_closed_before_it_is_closed():
    served = in_lingering()
    assert served.sock.half_closed
    assert served.watched == "r"
    served.receive(b"x" * 100_000).end()
    assert served.phase == "closed"


def test_a_refused_peer_that_does_not_read_is_given_time():
    served = Served(room=10).receive(b"\0\r\n\r\n")
    assert served.phase == "flushing"
    data = served.sent() + served.drain()
    assert parse(data)[0].status == 400
    assert served.phase == "lingering"


def test_a_refused_peer_that_has_gone_is_closed(monkeypatch):
    def shutdown(how):
        raise OSError

    served = Served()
    monkeypatch.setattr(served.sock, "shutdown", shutdown)
    served.receive(b"\0\r\n\r\n")
    assert served.phase == "closed"


def test_the_last_answer_closes_at_once_when_nothing_is_owed():
    served = Served(answer()).receive(get("/", "Connection: close"))
    assert served.phase == "closed"
    assert not served.sock.half_closed


def test_the_last_answer_lingers_when_more_has_come():
    served = Served(answer()).receive(get("/", "Connection: close") + get("/more"))
    assert served.phase == "lingering"
    assert len(responses(served)) == 1


@pytest.mark.parametrize("error", [BlockingIOError(), InterruptedError()])
def test_nothing_to_receive_is_no_event(error):
    served = Served()
    served.receive(error)
    assert served.phase == "idle"


def test_a_send_that_fails_loses_the_connection():
    for script in (answer(), streamed(b"a"), answer(fields=[(b"date", b"now")])):
        served = Served(script)
        served.sock.send_error = BrokenPipeError()
        served.receive(get("/"))
        assert served.phase == "closed"
        assert served.log[-2:] == [("disconnect",), ("closed",)]


def test_the_application_may_answer_while_it_is_told_of_the_end():
    served = in_serving()
    handler = served.connection.handler
    handler.on_disconnect = lambda: served.connection.respond(200, (), b"bye")
    served.connection.lose()
    assert served.sent() == b""
    assert served.phase == "closed"


# drain


def test_drain_closes_what_is_idle_and_marks_the_rest():
    served = in_serving()
    served.connection.drain()
    served.connection.respond(200, (), b"")
    assert (b"connection", b"close") in only_response(served).headers
    assert served.phase == "closed"


def test_drain_with_grace_lets_an_idle_connection_ask_once_more():
    served = Served(answer())
    served.connection.drain(5.0)
    served.poller.advance(4.0)
    served.receive(get("/"))
    assert (b"connection", b"close") in only_response(served).headers
    assert served.phase == "closed"


def test_the_grace_ends():
    served = Served()
    served.connection.drain(5.0)
    served.poller.advance(5.1)
    assert served.phase == "closed"


def test_drain_waits_for_an_answer_to_be_taken():
    served = in_flushing()
    served.connection.drain()
    data = served.sent() + served.drain()
    assert parse(data)[0].whole
    assert served.phase == "closed"


def test_idle_means_that_nothing_of_the_peers_is_lost():
    idle = {name: make().connection.idle for name, make in PHASES.items()}
    assert [name for name in idle if idle[name]] == ["idle"]
    served = in_serving()
    served.receive(get("/2"))
    served.connection.respond(200, (), b"")
    assert not served.connection.idle


# an application that waits on its own thread (WSGI)


def test_a_body_is_pulled_piece_by_piece():
    served = Served().receive(expecting(length=9))
    served.sock.feed(b"one", b"two", b"end" + get("/next"))
    pieces = [served.connection.pull_body() for _ in range(4)]
    assert pieces == [b"one", b"two", b"end", b""]
    assert served.sent() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert served.connection.deadline == float("inf")
    served.connection.respond(200, (), b"")
    served.run_posted()
    assert served.application.heads[1].path == "/next"


def test_chunk_framing_is_no_piece():
    served = Served().receive(chunked(end=b""))
    served.sock.feed(b"3;ext", b"\r\n", b"abc", b"\r\n0\r\n", b"\r\n")
    assert served.connection.pull_body() == b"abc"
    assert served.connection.pull_body() == b""


def test_a_broken_chunk_that_was_pulled_is_refused():
    served = Served().receive(chunked(end=b""))
    served.sock.feed(b"zz\r\n")
    with pytest.raises(ConnectionError):
        served.connection.pull_body()
    assert only_response(served).status == 400
    with pytest.raises(ConnectionError):
        in_closed_body().connection.pull_body()


def test_a_broken_chunk_that_was_pulled_after_the_answer_began():
    served = Served().receive(chunked(end=b""))
    served.connection.start(200, ())
    served.sent()
    served.sock.feed(b"zz\r\n")
    with pytest.raises(ConnectionError):
        served.connection.pull_body()
    assert served.phase == "closed"


def in_closed_body():
    served = in_body()
    served.connection.lose()
    return served


def test_a_body_that_ends_early_is_an_error_to_who_pulls():
    served = in_body()
    served.sock.feed(b"")
    with pytest.raises(ConnectionError):
        served.connection.pull_body()
    assert served.phase == "closed"


# answers that wait for the end of a turn


def responding(body=b"ok"):
    return lambda responder, *_: responder.respond(200, (), body)


def test_a_gathered_answer_is_over_for_the_connection():
    one = Served(responding())
    with one.poller.turn():
        one.receive(get("/"))
        assert (one.sent(), one.phase) == (b"", "idle")
        assert not one.connection.idle, "nobody may close it: its answer is not sent"
    assert parse(one.sent())[0].status == 200
    assert one.connection.idle


def test_between_two_turns_the_first_answer_leaves_and_the_next_may_wait():
    one = Served(responding(b"1"), responding(b"2"))
    with one.poller.callbacks():
        one.receive(get("/1"))
        assert parse(one.sent())[0].body == b"1"
        one.receive(get("/2"))
        assert one.sent() == b""
    assert parse(one.sent())[0].body == b"2"


def test_pipelined_answers_of_one_turn_are_one_send():
    one = Served(responding(b"1"), responding(b"2"), responding(b"3"))
    with one.poller.turn():
        one.receive(get("/1") + get("/2") + get("/3"))
    assert len(one.sock.sends) == 1
    assert one.sent().count(b"HTTP/1.1 200") == 3


def test_an_unusual_answer_comes_after_a_gathered_one():
    one = Served(responding(b"first"), responding(b"second"))
    with one.poller.turn():
        one.receive(get("/") + get("/").replace(b"GET", b"HEAD"))
        sent = one.sent()
    assert sent.index(b"first") < sent.rindex(b"HTTP/1.1 200")


def test_a_refusal_comes_after_a_gathered_answer():
    one = Served(responding(b"first"))
    with one.poller.turn():
        one.receive(get("/") + b"nonsense\r\n\r\n")
    sent = one.sent()
    assert sent.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in sent
    assert one.phase in ("lingering", "closed")


def test_the_last_answer_closes_the_connection_when_it_is_sent():
    one = Served(responding())
    with one.poller.turn():
        one.receive(get("/", "Connection: close"))
        assert (one.phase, one.sock.closed) == ("flushing", False)
    assert b"connection: close" in one.sent()
    assert one.phase in ("lingering", "closed")


def test_a_gathered_answer_that_the_kernel_takes_in_part_is_flushed():
    one = Served(responding(bytes(1000)), room=100)
    with one.poller.turn():
        one.receive(get("/"))
    assert (one.phase, one.watched) == ("flushing", "rw")
    assert len(one.drain()) > 1000
    assert (one.phase, one.watched) == ("idle", "r")


def test_a_drain_in_the_same_turn_takes_no_answer_away():
    one = Served(responding())
    with one.poller.turn():
        one.receive(get("/"))
        one.connection.drain()
        assert one.sent().startswith(b"HTTP/1.1 200")
    assert one.phase == "closed"


def test_an_answer_in_a_turn_after_its_own_keeps_the_order():
    one = Served(responding(b"1"), lambda *_: None, responding(b"3"))
    with one.poller.turn():
        one.receive(get("/1") + get("/2") + get("/3"))
        one.connection.respond(200, (), b"2")
    one.run_posted()
    bodies = [part[-1:] for part in one.sent().split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"1", b"2", b"3"]


def test_the_peers_end_in_the_turn_of_its_answer_takes_it_not_away():
    one = Served(responding())
    with one.poller.turn():
        one.receive(get("/")).end()
        assert one.sent().startswith(b"HTTP/1.1 200")
    assert one.phase == "closed"


def test_the_peers_end_in_the_turn_of_an_answer_that_is_taken_in_part():
    one = Served(responding(bytes(1000)), room=100)
    with one.poller.turn():
        one.receive(get("/")).end()
    assert one.phase == "flushing"
    assert len(one.drain()) > 1000
    assert one.phase == "closed"


def in_part(rest):
    """A gathered answer of which the peer takes little, with the next request behind it."""
    one = Served(lambda *_: None, responding(b"second"), room=100)
    one.receive(get("/1") + rest)
    with one.poller.callbacks():
        one.poller.gathering = True  # another connection's answer was the first
        one.connection.respond(200, (), bytes(1000))
    assert one.run_posted().phase == "flushing"
    return one


@pytest.mark.parametrize("cut", [len(get("/2")), 10], ids=["whole", "begun"])
def test_a_request_behind_an_answer_in_part_waits_until_the_peer_has_taken_it(cut):
    one = in_part(get("/2")[:cut])
    one.receive(get("/2")[cut:])
    assert len(one.application.heads) == 1
    one.drain()
    one.run_posted()
    assert one.sent().endswith(b"second")
    assert (one.phase, one.watched) == ("idle", "r")


@pytest.mark.parametrize("cut", [len(get("/2")), 10], ids=["whole", "begun"])
def test_a_peer_that_never_takes_its_answer_is_not_waited_for(cut):
    one = in_part(get("/2")[:cut])
    one.receive(get("/2")[cut:])
    one.poller.advance(one.runtime.plan.write_timeout + 1)
    assert one.phase == "closed"


def test_a_peer_that_takes_nothing_while_its_body_is_pulled_is_not_waited_for():
    one = Served(room=100)
    one.receive(get("/").replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n"))
    one.connection.start(200, (), bytes(1000))
    one.sock.feed(b"body")
    assert one.connection.pull_body() == b"body"
    assert one.connection.pull_body() == b""
    one.connection.finish()
    assert one.phase == "flushing"
    one.poller.advance(one.runtime.plan.write_timeout + 1)
    assert one.phase == "closed"
