"""An RSGI WebSocket over a channel without a wire: eager awaitables, messages, and every end."""

import asyncio
import logging

import pytest

from granian.errors import AppError
from granian.log import log_request_builder
from granian.rsgi import ProtocolClosed, ProtocolError, WebsocketMessageType
from granian.rsgi.application import RsgiApplication
from granian.rsgi.websocket import QUEUE, RESUME

from ..support.channel import FakeChannel
from ..support.responder import make_head


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
        self.application = RsgiApplication(self.run, loop, self.spawn, access)
        self.channel = FakeChannel(self.application, **facts)
        head = make_head("GET", b"/p%20a?q=1", [(b"host", b"here")], upgrade=b"websocket")
        self.application.begin_websocket(self.channel, head, ["a"])
        self.handler = self.channel.handler
        self.turn()

    def spawn(self, coroutine):
        self.task = self.loop.create_task(coroutine)

    async def run(self, scope, protocol):
        self.scope, self.protocol = scope, protocol
        if self.play is not None:
            await self.play(scope, protocol)
        else:
            await self.ended

    def turn(self):
        async def turns():
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def wait(self, future):
        async def wait():
            return await future

        return self.loop.run_until_complete(wait())

    def finish(self):
        if not self.ended.done():
            self.ended.set_result(None)
        self.turn()
        assert self.task.done()
        return self.channel.events


@pytest.fixture
def stage(loop):
    stage = Stage(loop)
    yield stage
    stage.finish()


@pytest.fixture
def transport(stage):
    transport = stage.wait(stage.protocol.accept())
    stage.channel.events.clear()
    return transport


def test_scope(loop):
    stage = Stage(loop, scheme="https")
    scope = stage.scope
    assert (scope.proto, scope.scheme, scope.method) == ("ws", "https", "GET")
    assert (scope.rsgi_version, scope.http_version) == ("1.6", "1.1")
    assert (scope.path, scope.query_string) == ("/p a", "q=1")
    assert scope.headers["host"] == "here"
    assert not scope.authority
    stage.finish()


def test_accept_is_eager_and_answers_once(stage):
    future = stage.protocol.accept()
    assert stage.channel.events == [("accept", None, [])]
    assert hasattr(stage.wait(future), "receive")
    with pytest.raises(ProtocolError):
        stage.wait(stage.protocol.accept())
    assert len(stage.channel.events) == 1


def test_accept_after_the_peer_left(stage):
    stage.handler.on_disconnect()
    with pytest.raises(ProtocolError):
        stage.wait(stage.protocol.accept())


@pytest.mark.parametrize(("status", "answered"), [(None, 403), (403, 403), (404, 404)])
def test_close_before_accept_is_a_response(stage, status, answered):
    stage.protocol.close(status)
    stage.protocol.close(500)
    assert stage.channel.events == [("respond", answered, [], b"")]
    with pytest.raises(ProtocolError):
        stage.wait(stage.protocol.accept())


@pytest.mark.parametrize("status", [101, 1000, 0])
def test_close_before_accept_needs_a_status(stage, status):
    with pytest.raises(ValueError, match=str(status)):
        stage.protocol.close(status)


def test_close_after_accept_has_no_code(stage, transport):
    stage.handler.on_message("dropped")
    stage.protocol.close(200)
    stage.protocol.close()
    assert stage.channel.events == [("close", None, "")]
    with pytest.raises(ProtocolClosed):
        stage.wait(transport.receive())
    with pytest.raises(ProtocolError):
        stage.wait(transport.send_str("t"))
    with pytest.raises(ProtocolError):
        stage.wait(transport.send_bytes(b"b"))


def test_messages(stage, transport):
    stage.handler.on_message("text")
    stage.handler.on_message(b"octets")
    message = stage.wait(transport.receive())
    assert (message.kind, message.data) == (WebsocketMessageType.string, "text")
    message = stage.wait(transport.receive())
    assert (message.kind, message.data) == (1, b"octets")
    assert repr(message) == "<WebsocketMessage bytes>"


def test_a_waiting_receiver_runs_before_on_message_returns(stage, transport):
    seen = []

    async def wait():
        seen.append((await transport.receive()).data)

    task = stage.loop.create_task(wait())
    stage.turn()

    def deliver():
        stage.handler.on_message("now")
        seen.append("after")

    stage.loop.call_soon(deliver)
    stage.turn()
    assert task.done()
    assert seen == ["now", "after"]


def test_receive_is_eager(stage, transport):
    future = transport.receive()
    stage.handler.on_message("taken")
    stage.handler.on_message("next")
    assert stage.wait(transport.receive()).data == "next"
    assert stage.wait(future).data == "taken"


def test_one_receiver_at_a_time(stage, transport):
    first = transport.receive()
    with pytest.raises(ProtocolError):
        stage.wait(transport.receive())
    first.cancel()
    second = transport.receive()
    stage.handler.on_message("for the second")
    assert stage.wait(second).data == "for the second"


def test_a_peer_that_closes_is_a_message_and_then_an_error(stage, transport):
    stage.handler.on_message("last")
    stage.handler.on_close(1000, "bye", True)
    assert stage.wait(transport.receive()).data == "last"
    message = stage.wait(transport.receive())
    assert message.kind == WebsocketMessageType.close == 0
    assert not hasattr(message, "data")
    with pytest.raises(ProtocolClosed):
        stage.wait(transport.receive())
    with pytest.raises(ProtocolClosed):
        stage.wait(transport.send_str("t"))
    stage.protocol.close()
    assert not stage.channel.events


def test_a_waiting_receiver_gets_the_close(stage, transport):
    future = transport.receive()
    stage.handler.on_close(1005, "", True)
    assert stage.wait(future).kind == 0


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 1012])
def test_a_peer_may_close_with_the_code_of_a_failure(stage, transport, code):
    """A client that does not take the size of our message closes with 1009: still a close."""
    stage.handler.on_close(code, "", True)
    assert stage.wait(transport.receive()).kind == 0
    with pytest.raises(ProtocolClosed):
        stage.wait(transport.receive())


@pytest.mark.parametrize("code", [1006, 1012, 1009])
def test_an_end_without_the_peers_close_is_an_error(stage, transport, code):
    stage.handler.on_message("last")
    stage.handler.on_close(code, "", False)
    assert stage.wait(transport.receive()).data == "last"
    with pytest.raises(ProtocolClosed):
        stage.wait(transport.receive())


def test_an_end_frees_receiver_and_senders(stage, transport):
    stage.channel.blocked = True
    futures = [transport.receive(), transport.send_str("a"), transport.send_bytes(b"b")]
    stage.handler.on_close(1006, "", False)
    for future in futures:
        with pytest.raises(ProtocolClosed):
            stage.wait(future)


def test_sends_are_eager_and_wait_for_a_slow_peer(stage, transport):
    assert transport.send_str("a").done()
    assert transport.send_bytes(bytearray(b"b")).done()
    stage.channel.blocked = True
    futures = [transport.send_str("c"), transport.send_bytes(b"d")]
    sent = [event[1] for event in stage.channel.events]
    assert sent == ["a", b"b", "c", b"d"]
    assert not any(future.done() for future in futures)
    stage.handler.on_writable()
    for future in futures:
        assert stage.wait(future) is None


def test_what_is_sent_has_its_type(transport):
    with pytest.raises(TypeError):
        transport.send_str(b"octets")
    with pytest.raises(TypeError):
        transport.send_bytes("text")


def test_more_than_the_queue_pauses_the_peer(stage, transport):
    for index in range(QUEUE + 1):
        stage.handler.on_message(str(index))
    assert stage.channel.events == [("pause",)]
    for index in range(QUEUE + 1):
        assert stage.wait(transport.receive()).data == str(index)
        assert (("resume",) in stage.channel.events) is (QUEUE - index <= RESUME)


@pytest.mark.parametrize("error", [None, ValueError("mine"), SystemExit(1)])
@pytest.mark.parametrize("step", ["nothing", "accepted", "refused", "closed", "left"])
def test_what_the_application_leaves_open(loop, caplog, step, error):
    async def play(scope, protocol):
        if step == "refused":
            protocol.close(404)
        elif step != "nothing":
            await protocol.accept()
        if step == "closed":
            protocol.close()
        if step == "left":
            protocol.on_close(1000, "", True)
        protocol._channel.events.clear()
        if error is not None:
            raise error

    with caplog.at_level(logging.ERROR, "_granian"):
        stage = Stage(loop, application=play)
    assert stage.channel.events == {
        "nothing": [("respond", 403 if error is None else 500, [], b"")],
        "accepted": [("close", None if error is None else 1011, "")],
    }.get(step, [])
    assert len(caplog.records) == (error is not None)


def test_an_application_that_is_told_of_the_end_and_lets_it_pass_is_no_error(loop, caplog):
    async def play(scope, protocol):
        transport = await protocol.accept()
        await transport.receive()
        await transport.receive()

    with caplog.at_level(logging.ERROR, "_granian"):
        stage = Stage(loop, application=play)
        stage.protocol.on_close(1012, "", False)
        stage.finish()
    assert caplog.records == []


def test_refused_fields_are_the_applications_error(stage):
    stage.channel.refuse = "illegal"
    with pytest.raises(AppError):
        stage.protocol.accept()
    stage.channel.refuse = None
    assert stage.protocol.accept().done()


@pytest.mark.parametrize(("status", "logged"), [(None, 101), (404, 404)])
def test_the_access_line_tells_how_the_handshake_was_answered(loop, caplog, status, logged):
    access = log_request_builder(
        '%(addr)s "%(method)s %(path)s %(protocol)s" %(status)d %(scheme)s'
    )
    stage = Stage(loop, access)
    with caplog.at_level(logging.INFO, "granian.access"):
        if status is None:
            stage.protocol.accept()
        else:
            stage.protocol.close(status)
        stage.finish()
    assert [record.getMessage() for record in caplog.records] == [
        f'127.0.0.1 "GET /p a HTTP/1.1" {logged} http'
    ]
