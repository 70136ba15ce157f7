"""An ASGI WebSocket over a channel without a wire: events, their order, and what is left open."""

import asyncio
import logging

import pytest

from granian.asgi.application import AsgiApplication
from granian.asgi.websocket import (
    CLOSED,
    CONNECTING,
    DENIED,
    DENYING,
    OPEN,
    QUEUE,
    RESUME,
    TransportClosed,
)
from granian.errors import AppError
from granian.log import log_request_builder

from ..support.channel import FakeChannel
from ..support.responder import make_head

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
START = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


class Stage:
    """An application that does nothing by itself: the test plays it, and the peer too."""

    def __init__(self, loop, access=None, application=None, **facts):
        self.loop = loop
        self.play = application
        self.ended = loop.create_future()
        self.application = AsgiApplication(self.run, loop, self.spawn, "/root", None, access)
        self.channel = FakeChannel(self.application, **facts)

    def spawn(self, coroutine):
        self.task = self.loop.create_task(coroutine)

    async def run(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        if self.play is not None:
            await self.play(scope, receive, send)
        else:
            await self.ended

    def begin(self, head=None, subprotocols=()):
        head = head or make_head(headers=[(b"host", b"here")], upgrade=b"websocket")
        self.application.begin_websocket(self.channel, head, subprotocols)
        self.handler = self.channel.handler
        self.turn()
        return self

    def turn(self):
        """Let the loop run until nothing is ready."""

        async def turns():
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def do(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def start(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.turn()
        return task

    def finish(self, error=None):
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
        self.turn()
        assert self.task.done()
        return self.channel.events


@pytest.fixture
def stage(loop):
    stage = Stage(loop).begin()
    yield stage
    if not stage.ended.done():
        stage.finish()


@pytest.fixture
def opened(stage):
    assert stage.do(stage.receive()) == CONNECT
    stage.do(stage.send(ACCEPT))
    stage.channel.events.clear()
    return stage


def test_scope(loop):
    head = make_head("GET", b"/p%20a?q=1", [(b"host", b"here")], upgrade=b"websocket")
    stage = Stage(loop, scheme="https", tls={"server_cert": "pem"}).begin(head, ["a", "b"])
    assert stage.scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "wss",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "path": "/p a",
        "raw_path": b"/p%20a",
        "query_string": b"q=1",
        "root_path": "/root",
        "headers": [(b"host", b"here")],
        "subprotocols": ["a", "b"],
        "state": {},
        "extensions": {"websocket.http.response": {}, "tls": {"server_cert": "pem"}},
    }
    stage.finish()


def test_host_of_an_http2_request_is_its_authority(loop):
    stage = Stage(loop).begin(make_head(version="2", authority=b"there"))
    assert stage.scope["headers"] == [(b"host", b"there")]
    assert stage.scope["scheme"] == "ws"
    stage.finish()


def test_accept_with_subprotocol_and_headers(stage):
    stage.do(stage.send({**ACCEPT, "subprotocol": "chat", "headers": [(b"x", b"y")]}))
    assert stage.channel.events == [("accept", "chat", [(b"x", b"y")])]
    assert stage.do(stage.receive()) == CONNECT


def test_refused_fields_leave_the_handshake_open(stage):
    stage.channel.refuse = "illegal"
    with pytest.raises(AppError):
        stage.do(stage.send(ACCEPT))
    assert stage.handler.phase == CONNECTING
    stage.channel.refuse = None
    stage.do(stage.send(ACCEPT))
    assert stage.handler.phase == OPEN


def test_messages_have_one_payload(opened):
    opened.handler.on_message("text")
    opened.handler.on_message(b"octets")
    assert opened.do(opened.receive()) == {"type": "websocket.receive", "text": "text"}
    assert opened.do(opened.receive()) == {"type": "websocket.receive", "bytes": b"octets"}


def test_a_waiting_receiver_runs_before_on_message_returns(opened):
    task = opened.start(opened.receive())
    outcome = []

    def deliver():
        opened.handler.on_message("now")
        outcome.append(task.done())

    opened.loop.call_soon(deliver)
    opened.turn()
    assert outcome == [True]
    assert task.result()["text"] == "now"


def test_receivers_are_served_in_their_order(opened):
    first, second = opened.start(opened.receive()), opened.start(opened.receive())
    opened.handler.on_message("1")
    opened.handler.on_message("2")
    opened.turn()
    assert (first.result()["text"], second.result()["text"]) == ("1", "2")


def test_a_cancelled_receiver_loses_no_message(opened):
    task = opened.start(opened.receive())
    task.cancel()
    opened.handler.on_message("kept")
    opened.turn()
    assert task.cancelled()
    assert opened.do(opened.receive())["text"] == "kept"


def test_a_message_for_a_cancelled_receiver_wakes_the_next(opened):
    first, second = opened.start(opened.receive()), opened.start(opened.receive())

    async def within_a_task():
        opened.handler.on_message("kept")  # the wake-up of the first is on its way
        first.cancel()

    opened.do(within_a_task())
    opened.turn()
    assert first.cancelled()
    assert second.result()["text"] == "kept"


def test_more_than_the_queue_pauses_the_peer_until_half_is_taken(opened):
    for index in range(QUEUE + 2):
        opened.handler.on_message(str(index))
    assert opened.channel.events == [("pause",)]
    for index in range(QUEUE + 2):
        assert opened.do(opened.receive())["text"] == str(index)
        left = QUEUE + 2 - index
        assert (("resume",) in opened.channel.events) is (left <= RESUME)


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({"text": "t"}, "t"),
        ({"text": "t", "bytes": None}, "t"),
        ({"text": "", "bytes": None}, ""),
        ({"bytes": b"b", "text": None}, b"b"),
        ({"bytes": bytearray(b"b")}, b"b"),
        ({"bytes": memoryview(b"b")}, b"b"),
    ],
)
def test_send(opened, event, sent):
    opened.do(opened.send({"type": "websocket.send", **event}))
    assert opened.channel.events == [("send", sent)]
    assert type(opened.channel.events[0][1]) is type(sent)


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"type": "websocket.mystery"},
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "t", "bytes": b"b"},
        {"type": "websocket.send", "text": b"b"},
        {"type": "websocket.send", "bytes": "t"},
        {"type": "http.response.start", "status": 200},
    ],
)
def test_unsupported_messages(opened, event):
    with pytest.raises(RuntimeError) as caught:
        opened.do(opened.send(event))
    assert caught.value.args == ("Unsupported ASGI message",)
    assert not opened.channel.events


def test_send_waits_for_a_slow_peer_and_for_no_one_else(opened):
    opened.channel.blocked = True
    message = {"type": "websocket.send", "text": "t"}
    tasks = [opened.start(opened.send(message)) for _ in range(2)]
    assert not any(task.done() for task in tasks)
    opened.loop.call_soon(opened.handler.on_writable)
    opened.turn()
    assert all(task.done() for task in tasks)


def test_the_peer_leaving_frees_every_sender_and_receiver(opened):
    opened.channel.blocked = True
    message = {"type": "websocket.send", "text": "t"}
    senders = [opened.start(opened.send(message)) for _ in range(2)]
    receivers = [opened.start(opened.receive()) for _ in range(2)]
    opened.loop.call_soon(opened.handler.on_close, 1006, "", False)
    opened.turn()
    assert all(task.done() for task in senders)
    assert {task.result()["code"] for task in receivers} == {1006}


def test_disconnect_has_code_and_reason_and_repeats(opened):
    opened.handler.on_message("last")
    opened.handler.on_close(4000, "bye", True)
    assert opened.do(opened.receive())["text"] == "last"
    for _ in range(2):
        event = opened.do(opened.receive())
        assert event == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
        event.clear()


def test_sending_on_a_closed_connection(opened):
    opened.handler.on_close(1001, "", True)
    with pytest.raises(OSError, match="Transport closed") as caught:
        opened.do(opened.send({"type": "websocket.send", "text": "t"}))
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.args == ("ASGI flow error: Transport closed",)
    opened.do(opened.send({"type": "websocket.close"}))
    opened.do(opened.send(ACCEPT))
    assert not opened.channel.events


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        ({}, (1000, "")),
        ({"code": 4400, "reason": "why"}, (4400, "why")),
        ({"code": 1001, "reason": None}, (1001, "")),
    ],
)
def test_close_after_accept(opened, event, sent):
    opened.handler.on_message("dropped")
    opened.do(opened.send({"type": "websocket.close", **event}))
    assert opened.channel.events == [("close", *sent)]
    disconnect = opened.do(opened.receive())
    assert (disconnect["code"], disconnect["reason"]) == sent
    opened.handler.on_close(1006, "", False)
    assert opened.do(opened.receive()) == disconnect
    with pytest.raises(TransportClosed):
        opened.do(opened.send({"type": "websocket.send", "text": "t"}))


def test_a_code_that_cannot_be_sent_leaves_it_open(opened):
    with pytest.raises(AppError):
        opened.do(opened.send({"type": "websocket.close", "code": 1005}))
    assert opened.handler.phase == OPEN


def test_close_before_accept_is_a_403_at_once(stage):
    stage.do(stage.receive())
    stage.do(stage.send({"type": "websocket.close"}))
    assert stage.channel.response == (403, [], b"")
    assert stage.do(stage.receive())["type"] == "websocket.disconnect"
    assert len(stage.finish()) == 1


def test_denial(stage):
    stage.do(stage.send(START))
    assert not stage.channel.events
    stage.do(stage.send(BODY))
    assert stage.channel.response == (401, [(b"a", b"b")], b"no")
    assert stage.do(stage.receive()) == CONNECT
    assert stage.do(stage.receive())["type"] == "websocket.disconnect"
    assert len(stage.finish()) == 1


def test_denial_streamed(stage):
    stage.do(stage.send(START))
    stage.do(stage.send({**BODY, "more_body": True}))
    stage.channel.blocked = True
    waiting = stage.start(stage.send({**BODY, "more_body": True}))
    assert not waiting.done()
    stage.handler.on_writable()
    stage.turn()
    stage.do(stage.send(BODY))
    assert stage.channel.names == ["start", "write", "finish"]
    assert stage.handler.phase == CLOSED


FLOW = [
    ([ACCEPT, ACCEPT], "Connection already upgraded"),
    ([ACCEPT, START], "Connection already upgraded"),
    ([ACCEPT, BODY], "Connection already upgraded"),
    ([START, START], "Response already started"),
    ([START, ACCEPT], "Response already started"),
    ([START, {"type": "websocket.close"}], "Response already started"),
    ([START, {**BODY, "more_body": True}, START], "Response already started"),
    ([BODY], "Response not initialised"),
    ([{"type": "websocket.send", "text": "t"}], "Transport not initialized or closed"),
]


@pytest.mark.parametrize(("events", "detail"), FLOW, ids=range(len(FLOW)))
def test_events_out_of_order(stage, events, detail):
    for event in events[:-1]:
        stage.do(stage.send(event))
    with pytest.raises(RuntimeError) as caught:
        stage.do(stage.send(events[-1]))
    assert caught.value.args == (f"ASGI flow error: {detail}",)


def test_a_peer_that_left_before_the_answer(stage):
    stage.handler.on_disconnect()
    stage.do(stage.send(ACCEPT))
    assert not stage.channel.events
    assert stage.do(stage.receive()) == CONNECT
    assert stage.do(stage.receive())["code"] == 1006


@pytest.mark.parametrize("error", [None, ValueError("mine"), SystemExit(1)])
@pytest.mark.parametrize(
    ("before", "phase", "outcome"),
    [
        ([], CONNECTING, [("respond", 403, [], b"")]),
        ([START], DENIED, [("respond", 403, [], b"")]),
        ([START, {**BODY, "more_body": True}], DENYING, [("abort",)]),
        ([ACCEPT], OPEN, [("close", "code", "")]),
        ([ACCEPT, {"type": "websocket.close"}], CLOSED, []),
    ],
)
def test_what_the_application_leaves_open(loop, caplog, before, phase, outcome, error):
    async def play(scope, receive, send):
        for event in before:
            await send(event)
        stage.reached = stage.channel.handler.phase
        stage.channel.events.clear()
        if error is not None:
            raise error

    stage = Stage(loop, application=play)
    with caplog.at_level(logging.ERROR, "_granian"):
        stage.begin()
    assert stage.reached == phase
    code = None if error is None else 1011
    expected = [tuple(code if part == "code" else part for part in event) for event in outcome]
    assert stage.channel.events == expected
    assert stage.task.done()
    logged = [record for record in caplog.records if "raised an exception" in record.message]
    assert len(logged) == (error is not None)


def test_being_cancelled_after_the_end_is_no_error(loop, caplog):
    stage = Stage(loop).begin()
    stage.do(stage.send(ACCEPT))
    stage.handler.on_close(1012, "", False)
    stage.task.cancel()
    stage.turn()
    assert stage.task.done()
    assert not caplog.records


@pytest.mark.parametrize(
    ("events", "status"),
    [([ACCEPT], 101), ([START, BODY], 401), ([{"type": "websocket.close"}], 403), ([], 403)],
)
def test_the_access_line_tells_how_the_handshake_was_answered(loop, caplog, events, status):
    access = log_request_builder(
        '%(addr)s "%(method)s %(path)s %(protocol)s" %(status)d %(scheme)s'
    )
    stage = Stage(loop, access).begin()
    with caplog.at_level(logging.INFO, "granian.access"):
        for event in events:
            stage.do(stage.send(event))
        stage.finish()
    assert [record.getMessage() for record in caplog.records] == [
        f'127.0.0.1 "- / HTTP/1.1" {status} ws'
    ]
