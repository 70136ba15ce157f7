"""What is due when: row 74 of the table of HTTP/2 threats, and other times that pass."""

import pytest

from granian.plan import Http2Plan, WorkerPlan
from granian.wire.http2.clocks import LIVENESS_PING, Clocks
from granian.wire.http2.codes import (
    ACK,
    CANCEL,
    DATA,
    NO_ERROR,
    PING,
    PREFACE,
    PROTOCOL_ERROR,
    Fault,
    frame,
)
from granian.wire.http2.session import CLOSED
from granian.wire.http2.stream import AWAITING, COMPLETE, STREAMING
from tests.support.http2 import POST, Server


def answer(stream, what):
    if what == "request":
        stream.respond(200, [(b"content-type", b"text/plain")], b"hello")


class Waiting:
    """A stream as far as clocks look at it."""

    def __init__(self, **state):
        self.queued, self.moved_at, self.heard_at = 0, 10.0, 10.0
        self.remote_open, self.wants_body, self.phase = False, False, STREAMING
        vars(self).update(state)


@pytest.fixture
def octets():
    return []


def clocks_of(octets, **http2):
    plan = WorkerPlan(write_timeout=3.0, body_read_timeout=5.0, http2=Http2Plan(**http2))
    return Clocks(plan, octets, 10.0)


def test_a_greeting_has_a_limit_before_the_preface_and_another_after_it(octets):
    clocks = clocks_of(octets)
    assert clocks.greeting(10.0, 12.0) == 8.0
    clocks.begin(19.0)
    assert clocks.greeting(2.0, 20.5) == 0.5
    with pytest.raises(Fault) as caught:
        clocks.greeting(2.0, 21.0)
    assert caught.value.code == PROTOCOL_ERROR


def test_a_drain_waits_a_second_for_its_answer(octets):
    clocks = clocks_of(octets)
    clocks.drain(50.0)
    assert not clocks.drained(50.9)
    assert clocks.drained(51.0)


def test_what_is_idle_is_kept_from_its_last_stream_on(octets):
    clocks = clocks_of(octets)
    assert clocks.idle(11.0) == 74.0
    clocks.idle_since = 20.0
    assert clocks.idle(95.0) == 0.0


@pytest.mark.parametrize(
    ("state", "after"),
    [
        ({"queued": 1}, 3.0),
        ({"remote_open": True, "wants_body": True, "phase": AWAITING}, 5.0),
        ({"remote_open": True, "phase": COMPLETE}, 5.0),
        ({"queued": 1, "remote_open": True, "wants_body": True}, 3.0),
        ({"remote_open": True}, None),  # its application is busy
        ({"wants_body": True}, None),
        ({"phase": COMPLETE}, None),
    ],
)
def test_a_stream_stalls_by_what_is_waited_for(octets, state, after):
    clocks, stream = clocks_of(octets), Waiting(**state)
    if after is None:
        assert not clocks.stalled(stream, 1000.0)
    else:
        assert not clocks.stalled(stream, 9.9 + after)
        assert clocks.stalled(stream, 10.0 + after)


def test_nobody_is_asked_unless_that_is_wanted(octets):
    assert clocks_of(octets).keep_alive(75.0, 1000.0) == 75.0
    assert octets == []


def test_who_is_silent_is_asked_and_may_answer(octets):
    clocks = clocks_of(octets, keep_alive_interval=4.0, keep_alive_timeout=2.0)
    assert clocks.keep_alive(75.0, 11.0) == 3.0
    assert clocks.keep_alive(1.0, 11.0) == 1.0
    assert octets == []
    assert clocks.keep_alive(75.0, 14.0) == 2.0
    assert octets == [frame(PING, 0, 0, LIVENESS_PING)]
    assert clocks.keep_alive(75.0, 15.5) == 0.5
    clocks.answered()
    assert clocks.keep_alive(75.0, 16.0) == 2.0
    assert clocks.keep_alive(75.0, 18.0) == 2.0
    assert len(octets) == 2
    with pytest.raises(Fault) as caught:
        clocks.keep_alive(75.0, 20.0)
    assert caught.value.code == NO_ERROR


# In a session.


def test_a_silent_peer_is_closed_by_the_timers(lane):
    server = Server(lane=lane, greet=False)
    assert server.session.tick(server.now) == 10
    server.session.tick(server.now + 10)
    assert server.session.phase == CLOSED
    server = Server(lane=lane, greet=False)
    server.feed(PREFACE)
    assert server.session.tick(server.now) == 2
    server.session.tick(server.now + 2)
    assert server.session.phase == CLOSED


def test_an_idle_connection_is_told_to_go_after_75_seconds(serve):
    server = serve(answer)
    server.request(1)
    server.take()
    assert server.session.tick(server.now + 74) == pytest.approx(1)
    server.session.tick(server.now + 75)
    assert server.goaway() == NO_ERROR
    assert server.session.phase == CLOSED


def test_keep_alive_pings_and_their_timeout(serve):
    server = serve(keep_alive_interval=5.0, keep_alive_timeout=3.0)
    server.session.tick(server.now + 5)
    [(kind, flags, _, payload)] = server.take()
    assert (kind, flags) == (PING, 0)
    server.now += 6
    server.feed(frame(PING, ACK, 0, payload))
    server.session.tick(server.now + 5)
    assert server.take()[0][0] == PING
    server.session.tick(server.now + 8.1)
    assert server.session.phase == CLOSED


def test_drain_without_an_answer_to_the_ping(serve):
    server = serve()
    server.session.drain(server.now)
    server.take()
    server.session.tick(server.now + 1)
    assert server.goaway() == NO_ERROR
    assert server.session.phase == CLOSED


def test_an_upload_that_stops_is_reset(serve):
    server = serve()
    server.request(1, POST, last=False)
    server.opened[0].want_body(0)
    server.session.tick(server.now + 59)
    assert server.reset(1) is None
    server.session.tick(server.now + 60)
    assert server.reset(1) == CANCEL


def test_an_application_that_is_busy_keeps_its_upload(serve):
    server = serve()
    server.request(1, POST, last=False)
    server.opened[0].want_body(0)
    server.feed(frame(DATA, 0, 1, b"x"))  # what it waited for: now it works on it
    server.session.tick(server.now + 100)
    assert server.reset(1) is None
