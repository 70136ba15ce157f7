import asyncio
import gc
import logging
import os
import threading

import pytest

from granian.errors import AppError
from granian.log import log_request_builder
from granian.rsgi import ProtocolClosed, ProtocolError
from granian.rsgi.application import RsgiApplication
from tests.support.responder import FakeResponder, make_head


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class Exchange:
    """One exchange on a loop that stands between the test's steps."""

    def __init__(self, loop, target, body=b"", complete=True, access=None):
        self.loop = loop
        self.application = RsgiApplication(target, loop, loop.create_task, access)
        self.responder = FakeResponder(self.application)
        self.run(self.application.begin, self.responder, make_head(), body, complete)

    def run(self, function, *args):
        """Call on the loop, as the poller does, and let everything ready run."""

        async def call():
            function(*args)
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(call())

    def leave(self):
        """The peer closes its connection."""
        self.responder.closed = True
        self.run(self.handler.on_disconnect)

    @property
    def handler(self):
        return self.responder.handler


def answer(value, headers=()):
    async def application(scope, protocol):
        if isinstance(value, str):
            protocol.response_str(200, list(headers), value)
        elif value is None:
            protocol.response_empty(204, list(headers))
        else:
            protocol.response_bytes(200, list(headers), value)

    return application


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("grüße", (200, [], "grüße".encode())),
        (b"octets", (200, [], b"octets")),
        (bytearray(b"octets"), (200, [], b"octets")),
        (None, (204, [], b"")),
    ],
)
def test_whole_responses(loop, value, expected):
    assert Exchange(loop, answer(value)).responder.response == expected


def test_defaults_are_those_of_the_document(loop):
    async def application(scope, protocol):
        protocol.response_str()

    assert Exchange(loop, application).responder.response == (200, [], b"")


def test_fields_reach_the_writer_in_octets(loop):
    exchange = Exchange(loop, answer("x", [("X-Name", "caf\xe9"), ("x-name", "2")]))
    fields = [(b"X-Name", b"caf\xe9"), (b"x-name", b"2")]
    assert exchange.responder.response == (200, fields, b"x")


@pytest.mark.parametrize("status", [0, 99, 101, 1000])
def test_impossible_status_may_be_answered_otherwise(loop, status):
    async def application(scope, protocol):
        for response in (protocol.response_empty, protocol.response_stream):
            with pytest.raises(ValueError, match="status"):
                response(status)
        protocol.response_empty(500)

    assert Exchange(loop, application).responder.response == (500, [], b"")


def test_a_field_that_is_not_latin_1_may_be_answered_otherwise(loop):
    async def application(scope, protocol):
        for response in (protocol.response_empty, protocol.response_stream):
            with pytest.raises(UnicodeEncodeError):
                response(200, [("x", "имя")])
        protocol.response_empty(500)

    assert Exchange(loop, application).responder.response == (500, [], b"")


def test_what_the_writer_refuses_may_be_answered_otherwise(loop):
    async def application(scope, protocol):
        protocol._responder.refuse = "not a field"
        with pytest.raises(AppError):
            protocol.response_str(200, [("x", "a\nb")], "secret")
        protocol.response_empty(500)

    assert Exchange(loop, application).responder.response == (500, [], b"")


def test_the_first_response_wins(loop):
    async def application(scope, protocol):
        protocol.response_str(200, [], "first")
        protocol.response_str(200, [], "second")
        protocol.response_empty(404)
        protocol.response_file(200, [], __file__)
        with pytest.raises(ProtocolError):
            protocol.response_stream(200, [])

    assert Exchange(loop, application).responder.response == (200, [], b"first")


def test_only_octets_are_a_body(loop):
    async def application(scope, protocol):
        with pytest.raises(TypeError):
            protocol.response_bytes(200, [], "text")
        protocol.response_bytes(200, [], memoryview(b"view"))

    assert Exchange(loop, application).responder.response == (200, [], b"view")


@pytest.mark.parametrize("late", [False, True])
def test_an_application_that_raises_is_a_500(loop, caplog, late):
    async def application(scope, protocol):
        if late:
            await asyncio.sleep(0)
        raise SystemExit("must not stop the worker")

    assert Exchange(loop, application).responder.response == (500, [], b"")
    (record,) = caplog.records
    assert record.getMessage() == "Application callable raised an exception"
    assert record.exc_info[0] is SystemExit


def test_a_target_that_is_no_coroutine_function(loop):
    class Application:
        def __rsgi__(self, scope, protocol):
            return asyncio.ensure_future(answer("yes")(scope, protocol))

    assert Exchange(loop, Application()).responder.response == (200, [], b"yes")


def test_a_call_that_raises_at_once_is_a_500(loop, caplog):
    def application(scope, protocol):
        raise LookupError

    assert Exchange(loop, application).responder.response == (500, [], b"")
    assert caplog.records


def test_no_response_is_a_silent_500(loop, caplog):
    async def application(scope, protocol):
        pass

    assert Exchange(loop, application).responder.response == (500, [], b"")
    assert not caplog.records


def test_an_exception_after_the_response_leaves_it_alone(loop, caplog):
    async def application(scope, protocol):
        protocol.response_str(200, [], "done")
        raise LookupError

    assert Exchange(loop, application).responder.response == (200, [], b"done")
    assert caplog.records


# The request body


async def echo(scope, protocol):
    protocol.response_bytes(200, [], await protocol())


def test_a_body_at_hand_needs_no_wait(loop):
    exchange = Exchange(loop, echo, b"body")
    assert exchange.responder.response == (200, [], b"body")
    assert exchange.responder.names == ["respond"]


def test_a_body_that_arrives(loop):
    exchange = Exchange(loop, echo, b"one ", complete=False)
    assert exchange.responder.events == [("want_body", 4)]
    exchange.run(exchange.handler.on_body, b"two ", False)
    exchange.run(exchange.handler.on_body, b"three", True)
    assert exchange.responder.response == (200, [], b"one two three")


def test_a_body_that_ends_without_a_last_piece(loop):
    exchange = Exchange(loop, echo, b"", complete=False)
    exchange.run(exchange.handler.on_body, b"all", False)
    exchange.run(exchange.handler.on_body, b"", True)
    assert exchange.responder.response == (200, [], b"all")


def test_the_body_is_taken_once(loop):
    async def application(scope, protocol):
        await protocol()
        with pytest.raises(ProtocolError):
            protocol()
        with pytest.raises(ProtocolError):
            protocol.__aiter__()
        protocol.response_empty()

    assert Exchange(loop, application).responder.response == (200, [], b"")


def test_the_awaitable_is_a_future(loop):
    async def application(scope, protocol):
        body = protocol()
        assert body.done()
        assert await asyncio.wait_for(body, 1) == b"body"
        protocol.response_empty()

    assert Exchange(loop, application, b"body").responder.response == (200, [], b"")


def test_a_peer_that_leaves_fails_the_whole_body(loop):
    outcome = []

    async def application(scope, protocol):
        try:
            await protocol()
        except ProtocolClosed:
            outcome.append("closed")

    exchange = Exchange(loop, application, b"half", complete=False)
    exchange.run(exchange.handler.on_disconnect)
    assert outcome == ["closed"]


def test_a_peer_that_has_left_fails_later_readers(loop):
    outcome = []

    async def application(scope, protocol):
        await protocol.client_disconnect()
        with pytest.raises(ProtocolClosed):
            await protocol()
        outcome.append("closed")

    exchange = Exchange(loop, application, b"half", complete=False)
    exchange.run(exchange.handler.on_disconnect)
    assert outcome == ["closed"]


async def iterate(scope, protocol):
    pieces = [piece async for piece in protocol]
    protocol.response_str(200, [], repr(pieces))


def test_iteration_over_a_body_at_hand(loop):
    assert Exchange(loop, iterate, b"all").responder.response[2] == b"[b'all', b'']"
    assert Exchange(loop, iterate).responder.response[2] == b"[b'']"


def test_iteration_over_a_body_that_arrives(loop):
    exchange = Exchange(loop, iterate, b"one", complete=False)
    exchange.run(exchange.handler.on_body, b"two", False)
    exchange.run(exchange.handler.on_body, b"three", True)
    assert exchange.responder.response[2] == b"[b'one', b'two', b'three', b'']"


def test_iteration_asks_for_more_as_it_goes(loop):
    async def application(scope, protocol):
        async for _ in protocol:
            while not gate:
                await asyncio.sleep(0)

    gate = []
    exchange = Exchange(loop, application, b"", complete=False)
    assert exchange.responder.events == [("want_body", 0)]
    exchange.run(exchange.handler.on_body, b"12345", False)
    exchange.run(exchange.handler.on_body, b"678", False)
    assert exchange.responder.events == [("want_body", 0)]
    exchange.run(gate.append, 1)
    assert exchange.responder.events == [("want_body", 0), ("want_body", 8), ("want_body", 0)]
    exchange.run(exchange.handler.on_body, b"", True)
    assert exchange.responder.response == (500, [], b"")


def test_a_body_cut_short_is_not_taken_for_whole(loop):
    outcome = []

    async def application(scope, protocol):
        try:
            async for piece in protocol:
                outcome.extend([piece])
        except ProtocolClosed:
            outcome.append("closed")

    exchange = Exchange(loop, application, b"half", complete=False)
    exchange.run(exchange.handler.on_disconnect)
    assert outcome == [b"half", "closed"]


def test_iteration_must_begin_and_may_not_overlap(loop):
    async def application(scope, protocol):
        with pytest.raises(StopAsyncIteration):
            protocol.__anext__()
        protocol.__aiter__()
        first = protocol.__anext__()
        with pytest.raises(ProtocolError):
            protocol.__anext__()
        first.cancel()
        protocol.response_bytes(200, [], await protocol.__anext__())

    exchange = Exchange(loop, application, b"", complete=False)
    exchange.run(exchange.handler.on_body, b"next", True)
    assert exchange.responder.response == (200, [], b"next")


# Streams


def test_a_stream_ends_with_the_application(loop):
    async def application(scope, protocol):
        transport = protocol.response_stream(200, [("a", "b")])
        await transport.send_bytes(b"one ")
        await transport.send_bytes(bytearray(b"two "))
        await transport.send_bytes(b"")
        await transport.send_str("drei")

    exchange = Exchange(loop, application)
    assert exchange.responder.events == [
        ("start", 200, [(b"a", b"b")], b""),
        ("write", b"one "),
        ("write", b"two "),
        ("write", b"drei"),
        ("finish",),
    ]


def test_sends_need_not_be_awaited(loop):
    async def application(scope, protocol):
        protocol.response_stream().send_str("now")

    assert Exchange(loop, application).responder.streamed == b"now"


def test_a_slow_peer_holds_the_sender(loop):
    sent = []

    async def application(scope, protocol):
        transport = protocol.response_stream()
        protocol._responder.blocked = True
        await asyncio.gather(transport.send_str("a"), transport.send_str("b"))
        sent.append("both")

    exchange = Exchange(loop, application)
    assert sent == []
    exchange.run(exchange.handler.on_writable)
    assert sent == ["both"]
    assert exchange.responder.names[-1] == "finish"


def test_sends_to_a_peer_that_left_fail(loop):
    outcome = []

    async def application(scope, protocol):
        transport = protocol.response_stream()
        protocol._responder.blocked = True
        waiting = transport.send_str("a")
        outcome.append(await asyncio.gather(waiting, return_exceptions=True))
        transport.send_str("never awaited, never complained about")
        with pytest.raises(ProtocolClosed):
            await transport.send_str("b")
        outcome.append("second")

    exchange = Exchange(loop, application)
    exchange.leave()
    assert isinstance(outcome[0][0], ProtocolClosed)
    assert outcome[1:] == ["second"]
    assert exchange.responder.names == ["start", "write", "finish"]


def test_a_peer_that_ended_its_side_still_gets_its_stream(loop):
    async def application(scope, protocol):
        transport = protocol.response_stream()
        await protocol.client_disconnect()
        await transport.send_str("last words")

    exchange = Exchange(loop, application)
    exchange.run(exchange.handler.on_disconnect)
    assert exchange.responder.names == ["start", "write", "finish"]


@pytest.mark.parametrize("sent", [True, False])
def test_a_response_with_a_wrong_length(loop, caplog, sent):
    async def application(scope, protocol):
        protocol._responder.refuse = AppError("too long", sent)
        protocol.response_str(200, [], "body")

    exchange = Exchange(loop, application)
    assert exchange.responder.names == ([] if sent else ["respond"])
    assert exchange.handler.status == (200 if sent else 500)
    assert caplog.records


def test_a_stream_shorter_than_announced_is_logged(loop, caplog):
    async def application(scope, protocol):
        await protocol.response_stream(200, [("content-length", "9")]).send_str("short")
        protocol._responder.finish = refuse

    def refuse():
        raise AppError("too short", True)

    Exchange(loop, application)
    assert "A stream ended wrongly" in caplog.text


def test_an_exception_in_a_stream_breaks_it_visibly(loop, caplog):
    async def application(scope, protocol):
        transport = protocol.response_stream()
        await transport.send_str("half")
        raise LookupError

    assert Exchange(loop, application).responder.names == ["start", "write", "abort"]
    assert len(caplog.records) == 1


def test_a_transport_kept_elsewhere_keeps_the_stream_open(loop):
    kept = []

    async def application(scope, protocol):
        kept.append(protocol.response_stream())

    exchange = Exchange(loop, application)
    assert exchange.responder.names == ["start"]
    exchange.run(lambda: kept.pop().send_str("later"))
    assert exchange.responder.names == ["start", "write", "finish"]


def test_a_transport_in_a_cycle_ends_with_its_collection(loop):
    async def application(scope, protocol):
        cycle = [protocol.response_stream()]
        cycle.append(cycle)

    exchange = Exchange(loop, application)
    gc.collect()
    exchange.run(lambda: None)
    assert exchange.responder.names == ["start", "finish"]


def test_a_transport_dropped_by_another_thread_ends_on_the_loop(loop):
    kept = []

    async def application(scope, protocol):
        kept.append(protocol.response_stream())

    exchange = Exchange(loop, application)
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    assert exchange.responder.names == ["start"]
    exchange.run(lambda: None)
    assert exchange.responder.names == ["start", "finish"]


def test_a_transport_may_outlive_the_loop():
    loop = asyncio.new_event_loop()
    kept = []

    async def application(scope, protocol):
        kept.append(protocol.response_stream())

    exchange = Exchange(loop, application)
    loop.close()
    kept.clear()
    assert exchange.responder.names == ["start"]


# Files


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return str(path)


@pytest.mark.parametrize(
    ("start", "end", "content"),
    [(0, 10, b"0123456789"), (3, 8, b"34567"), (9, 10, b"9"), (5, 99, b"56789"), (20, 30, b"")],
)
def test_file_ranges(loop, file, start, end, content):
    async def application(scope, protocol):
        protocol.response_file_range(206, [("a", "b")], file, start, end)

    expected = (206, [(b"a", b"b")], content)
    assert Exchange(loop, application).responder.response == expected


def test_a_whole_file(loop, file):
    async def application(scope, protocol):
        protocol.response_file(status=200, headers=[], file=file)

    assert Exchange(loop, application).responder.response == (200, [], b"0123456789")


@pytest.mark.parametrize(("start", "end"), [(5, 5), (8, 3), (-1, 3)])
def test_a_reversed_range_may_be_answered(loop, file, start, end):
    async def application(scope, protocol):
        with pytest.raises(ValueError, match="Invalid range"):
            protocol.response_file_range(206, [], file, start, end)
        protocol.response_str(416, [], "invalid")

    assert Exchange(loop, application).responder.response == (416, [], b"invalid")


@pytest.mark.parametrize("name", ["/nowhere/at all", "/", "nul\0"])
def test_a_file_that_cannot_be_opened_is_a_404(loop, caplog, name):
    async def application(scope, protocol):
        protocol.response_file(200, [("secret", "1")], name)

    caplog.set_level(logging.INFO, "_granian")
    status, fields, body = Exchange(loop, application).responder.response
    assert (status, body) == (404, b"Not found")
    assert fields == [(b"content-type", b"text/plain; charset=utf-8")]
    assert caplog.records


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc")
def test_a_refused_file_leaves_no_descriptor(loop, file):
    async def application(scope, protocol):
        protocol._responder.refuse = "length"
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(AppError):
            protocol.response_file(200, [("content-length", "3")], file)
        assert len(os.listdir("/proc/self/fd")) == before
        protocol.response_empty(500)

    assert Exchange(loop, application).responder.response == (500, [], b"")


# Leaving


def watcher(outcome):
    async def application(scope, protocol):
        protocol.response_str(200, [], "done")
        await asyncio.gather(protocol.client_disconnect(), protocol.client_disconnect())
        assert protocol.client_disconnect().done()
        outcome.append("left")

    return application


def test_watchers_outlive_their_exchange(loop):
    outcome = []
    exchange = Exchange(loop, watcher(outcome))
    assert exchange.responder.names == ["respond"]
    assert outcome == []
    exchange.run(exchange.application.disconnect, exchange.responder.context)
    assert outcome == ["left"]
    assert not exchange.responder.context.watching


def test_every_watcher_of_a_reset_exchange_wakes(loop):
    outcome = []
    exchange = Exchange(loop, watcher(outcome))
    exchange.run(exchange.handler.on_disconnect)
    assert outcome == ["left"]


def test_a_watcher_that_was_cancelled_is_forgotten(loop):
    async def application(scope, protocol):
        protocol.client_disconnect().cancel()
        protocol.response_empty()

    exchange = Exchange(loop, application)
    assert not exchange.responder.context.watching


def test_a_watcher_after_the_connection_resolves_at_once(loop):
    outcome = []

    async def application(scope, protocol):
        protocol.response_empty()
        while not gate:
            await asyncio.sleep(0)
        await protocol.client_disconnect()
        outcome.append("left")

    gate = []
    exchange = Exchange(loop, application)
    exchange.run(exchange.application.disconnect, exchange.responder.context)
    exchange.run(gate.append, 1)
    assert outcome == ["left"]


def test_streams_to_a_peer_that_left_fail(loop):
    outcome = []

    async def application(scope, protocol):
        await protocol.client_disconnect()
        transport = protocol.response_stream()
        with pytest.raises(ProtocolClosed):
            await transport.send_str("nobody")
        outcome.append("closed")

    exchange = Exchange(loop, application)
    exchange.leave()
    assert outcome == ["closed"]


def test_cancellation_after_the_peer_left_is_nobodys_fault(loop, caplog):
    tasks = []

    async def application(scope, protocol):
        tasks.append(asyncio.current_task())
        await asyncio.sleep(3600)

    exchange = Exchange(loop, application)
    exchange.run(exchange.handler.on_disconnect)
    exchange.run(tasks[0].cancel)
    assert tasks[0].done()
    assert not caplog.records


# The access line


@pytest.mark.parametrize("status", [200, 500])
def test_the_access_line_is_written_when_the_application_is_done(loop, caplog, status):
    async def application(scope, protocol):
        if status == 200:
            protocol.response_str(200, [], "x")

    access = log_request_builder("%(status)d %(method)s %(header{x})s")
    caplog.set_level(logging.INFO, "granian.access")
    Exchange(loop, application, access=access)
    assert [record.getMessage() for record in caplog.records] == [f"{status} GET -"]
