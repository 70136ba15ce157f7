"""Every stage of a connection has a deadline (threats 101 to 103, promise P14).

Times are those of a plan made short; each test waits for what the server does, never a fixed time.
"""

import time

import pytest

from tests.apps import wire as app
from tests.support.lines import get
from tests.support.servers import EngineServer, wait_until
from tests.support.wire import Wire, finals

SHORT = 0.3
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def server():
    http1 = {"header_read_timeout": SHORT}
    with EngineServer(
        app.asgi, http1=http1, body_read_timeout=SHORT, write_timeout=SHORT
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def forget():
    app.SEEN.clear()


def seconds_until_end(wire):
    start = time.monotonic()
    wire.read_to_end(timeout=4)
    return time.monotonic() - start


def test_silent_connection(server):
    """Upstream never closes one."""
    with Wire(server.address) as wire:
        assert SHORT * 0.5 < seconds_until_end(wire) < SHORT + 2.5
        assert not wire.received


@pytest.mark.parametrize("part", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_partial_head(server, part):
    with Wire(server.address) as wire:
        wire.send(part)
        assert SHORT * 0.5 < seconds_until_end(wire) < SHORT + 2.5
        (answer,) = finals(wire.responses())
    assert (answer.status, answer.says_close) == (408, True)


def test_dripped_head(server):
    """Row 101: the time is for the whole head, whatever the rate of its octets."""
    start = time.monotonic()
    with Wire(server.address) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        while not (wire.ended or wire.reset) and time.monotonic() - start < 4:
            wire.send(b"X")
            wire.step(0.05)
        assert wire.ended or wire.reset
        assert wire.received.startswith(b"HTTP/1.1 408")


def test_idle_connection(server):
    with Wire(server.address) as wire:
        wire.exchange(get("/unread"))
        assert SHORT * 0.5 < seconds_until_end(wire) < SHORT + 2.5
        assert len(wire.responses()) == 1, "an idle connection is closed without a word"


def test_idle_connection_that_speaks_again_lives_on(server):
    with Wire(server.address) as wire:
        start = time.monotonic()
        while time.monotonic() - start < SHORT * 3:
            assert wire.exchange(get("/unread")).status == 200
            wire.step(SHORT * 0.3)


@pytest.mark.parametrize(
    "part",
    [
        get("/", "Content-Length: 10", method="POST") + b"12345",
        get("/", "Content-Length: 10", method="POST"),
        get("/", CHUNKED, method="POST") + b"5\r\nhel",
        get("/", CHUNKED, method="POST") + b"5\r\nhello\r\n",
        get("/", CHUNKED, method="POST") + b"5\r\nhello\r\n0\r\nA",
    ],
    ids=["half", "none", "in a chunk", "between chunks", "in the trailers"],
)
def test_body_that_stops(server, part):
    """Row 102."""
    with Wire(server.address) as wire:
        wire.send(part)
        assert SHORT * 0.5 < seconds_until_end(wire) < SHORT + 2.5
        assert [answer.status for answer in finals(wire.responses())] in ([], [408])
    wait_until(lambda: ("/", "disconnect") in app.SEEN, what="http.disconnect")


def test_body_that_goes_on_slowly_is_read(server):
    """The time is between octets, not for all of them."""
    with Wire(server.address) as wire:
        wire.send(get("/late?0", "Content-Length: 10", method="POST"))
        for _ in range(10):
            wire.send(b"x")
            wire.step(SHORT * 0.3)
        wire.read_until(lambda data: data.endswith(b"\r\n10"))


def test_body_nobody_asked_for_has_no_deadline(server):
    """A slow application is not the peer's fault."""
    with Wire(server.address) as wire:
        wire.send(get(f"/late?{SHORT * 3}", "Content-Length: 10", method="POST"))
        wire.send(b"x" * 10)
        assert wire.exchange().body == b"10"


def test_unread_body_that_stops(server):
    with Wire(server.address) as wire:
        wire.send(get("/unread", "Content-Length: 1000", method="POST") + b"12345")
        wire.read_until(b"ok")
        assert seconds_until_end(wire) < SHORT + 2.5


def test_peer_that_does_not_read(server):
    """Row 103: no progress, then a reset, and the application learns it."""
    with Wire(server.address) as wire:
        wire.send(get("/endless"))
        wait_until(lambda: app.SEEN)
        before = len(app.SEEN)
        wait_until(lambda: stands_still(before), timeout=5)
        wire.read_to_end(timeout=5)
        assert wire.reset or not wire.responses()[0].whole


def stands_still(_):
    count = len(app.SEEN)
    time.sleep(SHORT * 2)
    return len(app.SEEN) == count


def test_slow_application_has_no_deadline(server):
    with Wire(server.address) as wire:
        wire.send(get(f"/sleep?{SHORT * 3}"))
        assert wire.exchange().body == b"slept"


def test_many_idle_connections_do_not_lock_out_others():
    """Promise P13: the limit is reached by idle connections, and a new one is served."""
    with EngineServer(app.asgi, backpressure=20) as server:
        idle = [Wire(server.address) for _ in range(30)]
        try:
            for wire in idle[:20]:
                wire.send(get("/unread"))
            with Wire(server.address) as late:
                start = time.monotonic()
                assert late.exchange(get("/unread")).status == 200
                assert time.monotonic() - start < 2.0
        finally:
            for wire in idle:
                wire.sock.close()


@pytest.mark.parametrize("leave", [True, False], ids=["they leave", "they stay idle"])
def test_busy_connections_wait_for_room(leave):
    """The gate itself: what is in work is never given up for a newcomer; what is idle then is."""
    with EngineServer(app.asgi, backpressure=5) as server:
        busy = [Wire(server.address).send(get("/sleep?0.5")) for _ in range(5)]
        wait_until(lambda: app.SEEN.count(("/sleep", "begun")) == 5)
        with Wire(server.address) as late:
            late.send(get("/unread"))
            assert not late.step(0.1), "served beyond the limit"
            for wire in busy:
                assert wire.exchange().body == b"slept"
                if leave:
                    wire.sock.close()
            assert late.exchange().body == b"ok"
        for wire in busy:
            wire.sock.close()


@pytest.mark.parametrize("speaking", [True, False])
def test_who_has_spoken_is_not_silent(speaking):
    """A newcomer whose octets wait for a busy loop is not given up; a silent one is."""
    with EngineServer(app.asgi, backpressure=3) as server:
        first = [Wire(server.address) for _ in range(3)]
        if speaking:
            for wire in first:
                wire.send(get("/sleep?0.2"))
        with Wire(server.address) as late:
            assert late.exchange(get("/unread")).body == b"ok"
            if speaking:
                assert [wire.exchange().body for wire in first] == [b"slept"] * 3
        for wire in first:
            wire.sock.close()
