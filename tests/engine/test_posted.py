"""Posted exchanges between an application's thread and the owner of a connection, step by step."""

import os
import threading

import pytest

from granian.engine.connection import HIGH_WATER
from granian.engine.posted import HostedApplication
from granian.errors import AppError
from tests.support.engine import ScriptedApplication, ScriptedRuntime
from tests.support.responder import FakeResponder, make_head

FIELDS = [(b"a", b"b")]


class Host(ScriptedRuntime):
    """A runtime that keeps what is posted to its thread, and what is left to an owner."""

    def __init__(self, application):
        super().__init__()
        self.application = application
        self.visits = []

    def visit(self, connection, action):
        self.visits.append((connection, action))

    def release(self):
        """Let go of every connection."""
        while self.visits:
            connection, action = self.visits.pop(0)
            action(connection)

    def make_application(self):
        """Make what its connections begin exchanges with, on a thread that is not the test's."""
        made = []
        thread = threading.Thread(
            target=lambda: made.append(HostedApplication(self.application, self, set()))
        )
        thread.start()
        thread.join()
        return made[0]


class Pair:
    """An exchange that another thread than the application's has begun."""

    def __init__(self, script=None):
        self.host = Host(ScriptedApplication(script))
        self.application = self.host.make_application()
        self.below = FakeResponder(self.application)
        self.application.begin(self.below, make_head(), b"body", False)

    @property
    def above(self):
        """The application's side."""
        (handler,) = self.host.application.begun
        return handler

    @property
    def exchange(self):
        return self.above.responder


def test_the_application_begins_on_its_own_thread():
    begun = []
    pair = Pair(lambda *args: begun.append(args))
    assert begun == []
    pair.host.turn()
    ((responder, head, body, complete),) = begun
    assert (head.path, body, complete) == ("/", b"body", False)
    assert responder is pair.below.handler
    assert (responder.scheme, responder.client) == ("http", pair.below.client)
    assert (responder.server, responder.tls) == (pair.below.server, None)
    assert responder.context is pair.below.context
    assert not responder.closed


def test_verbs_are_done_by_the_owner_in_order():
    pair = Pair()
    pair.host.turn()
    exchange = pair.exchange
    exchange.want_body(4)
    exchange.inform(103, FIELDS)
    assert not exchange.start(200, iter(FIELDS), b"one")
    assert not exchange.write(b"two")
    exchange.finish([], b"three")
    assert pair.below.events == []
    pair.host.release()
    assert pair.below.events == [
        ("want_body", 4),
        ("inform", 103, FIELDS),
        ("start", 200, FIELDS, b"one"),
        ("write", b"two"),
        ("finish", [], b"three"),
    ]


def test_a_whole_response_and_an_abort():
    pair = Pair()
    pair.host.turn()
    pair.exchange.respond(200, iter(FIELDS), b"body")
    pair.exchange.abort()
    pair.host.release()
    assert pair.below.events == [("respond", 200, FIELDS, b"body"), ("abort",)]


def test_what_must_not_be_sent_is_refused_where_it_is_asked():
    pair = Pair()
    pair.host.turn()
    for status, fields in ((99, []), (200, [(b"x", b"a\nb")])):
        with pytest.raises(AppError):
            pair.exchange.respond(status, fields, b"")
        with pytest.raises(AppError):
            pair.exchange.start(status, fields)
    pair.host.release()
    assert pair.below.events == []


def test_what_is_found_wrong_later_is_logged(caplog):
    pair = Pair()
    pair.host.turn()
    pair.below.refuse = "too short"
    pair.exchange.respond(200, [], b"")
    pair.host.release()
    assert "too short" in caplog.text


def test_events_reach_the_application_in_order():
    pair = Pair()
    pair.host.turn()
    pair.below.handler.on_body(b"one", False)
    pair.below.handler.on_body(b"two", True)
    pair.below.closed = True
    pair.below.handler.on_disconnect()
    assert pair.above.events == []
    pair.host.turn()
    assert pair.above.events == [("body", b"one", False), ("body", b"two", True), ("disconnect",)]
    assert pair.exchange.closed


def test_an_event_may_be_quicker_than_the_application():
    pair = Pair()
    pair.below.handler.on_disconnect()
    pair.host.turn()
    assert pair.above.events == [("disconnect",)]


def test_a_writer_waits_for_a_slow_peer():
    pair = Pair()
    pair.host.turn()
    pair.below.blocked = True
    assert not pair.exchange.start(200, [], b"one")
    pair.host.release()
    assert pair.exchange.write(b"two")
    pair.host.release()
    pair.host.turn()
    assert pair.above.events == []
    pair.below.handler.on_writable()
    pair.host.turn()
    assert pair.above.events == [("writable",)]


def test_a_writer_waits_for_a_busy_thread():
    pair = Pair()
    pair.host.turn()
    assert pair.exchange.start(200, [], bytes(HIGH_WATER + 1))
    pair.host.release()
    pair.host.turn()
    assert pair.above.events == [("writable",)]
    assert not pair.exchange.write(b"more")


def test_what_comes_after_the_exchange_does_not_reach_the_next():
    pair = Pair()
    pair.host.turn()
    pair.below.handler = "the next exchange's"
    pair.exchange.respond(200, [], b"late")
    assert pair.exchange.start(200, [], bytes(HIGH_WATER + 1))
    pair.host.release()
    pair.host.turn()
    assert pair.below.events == []
    assert pair.above.events == [("writable",)]


@pytest.mark.parametrize("late", [False, True])
def test_files(tmp_path, late):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    pair = Pair()
    pair.host.turn()
    descriptor = os.open(path, os.O_RDONLY)
    with pytest.raises(AppError):
        pair.exchange.respond_file(200, [(b"content-length", b"9")], descriptor, 2, 3)
    pair.exchange.respond_file(200, FIELDS, descriptor, 2, 3)
    if late:
        pair.below.handler = None
    pair.host.release()
    assert pair.below.events == ([] if late else [("respond_file", 200, FIELDS, b"234")])
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_the_end_of_a_connection_is_posted():
    pair = Pair()
    pair.application.disconnect(pair.below.context)
    assert pair.host.application.disconnected == []
    pair.host.turn()
    assert pair.host.application.disconnected == [pair.below.context]


def test_what_the_applications_thread_begins_is_its_own():
    host = Host(SocketApplication())
    begun = set()
    application = HostedApplication(host.application, host, begun)
    below = FakeResponder(application)
    application.begin(below, make_head(), b"body", True)
    (handler,) = host.application.begun
    assert handler.responder is below
    assert below.handler is handler
    assert begun == {below.sock}
    channel = Channel(application)
    application.begin_websocket(channel, make_head(), [])
    assert host.application.channel is channel
    assert begun == {below.sock, channel.sock}
    application.disconnect(below.context)
    assert host.application.disconnected == [below.context]
    assert host.posted == []


# WebSockets


class Channel(FakeResponder):
    def accept(self, subprotocol, headers):
        self.events.append(("accept", subprotocol, list(headers)))

    def send(self, message):
        self.events.append(("send", message))
        return self.blocked

    def close_with(self, code, reason=""):
        self.events.append(("close_with", code, reason))

    def pause(self):
        self.events.append(("pause",))

    def resume(self):
        self.events.append(("resume",))


class SocketApplication(ScriptedApplication):
    def begin_websocket(self, channel, head, subprotocols):
        self.channel, channel.handler = channel, self
        self.events = [("begin", head.path, list(subprotocols))]

    def on_message(self, message):
        self.events.append(("message", message))

    def on_writable(self):
        self.events.append(("writable",))

    def on_close(self, code, reason, left):
        self.events.append(("close", code, reason, left))


def test_a_websocket_both_ways():
    application = SocketApplication()
    host = Host(application)
    posted = host.make_application()
    below = Channel(posted)
    posted.begin_websocket(below, make_head(), ["chat"])
    host.turn()
    above = application.channel
    above.accept("chat", FIELDS)
    assert not above.send("text")
    above.pause()
    above.resume()
    with pytest.raises(AppError):
        above.close_with(1005)
    with pytest.raises(AppError):
        above.accept(None, [(b"a\nb", b"c")])
    above.close_with(1000, "bye")
    host.release()
    assert below.events == [
        ("accept", "chat", FIELDS),
        ("send", "text"),
        ("pause",),
        ("resume",),
        ("close_with", 1000, "bye"),
    ]
    below.handler.on_message(b"octets")
    below.handler.on_close(1000, "bye", True)
    host.turn()
    assert application.events == [
        ("begin", "/", ["chat"]),
        ("message", b"octets"),
        ("close", 1000, "bye", True),
    ]
    assert above.closed
