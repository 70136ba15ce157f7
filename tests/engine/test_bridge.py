"""The bridge to asyncio: the poller as selector, and tasks that begin on the caller's stack."""

import asyncio
import contextvars
import select
import socket

import pytest

from granian.engine import poller as module
from granian.engine.bridge import LoopDriver, create_loop
from granian.engine.poller import Newcomer, create_poller

VARIABLE = contextvars.ContextVar("VARIABLE", default="outside")


class Echo:
    """A connection that sends back what it receives."""

    def __init__(self, sock, poller):
        self.sock, self.poller = sock, poller
        self.fd = sock.fileno()
        self.stacks = []

    def on_readable(self):
        self.stacks.append(asyncio.current_task(asyncio.get_event_loop()))
        data = self.sock.recv(100)
        if data:
            self.sock.send(data)
        else:
            self.close()

    def on_writable(self):
        raise AssertionError("nobody asked")

    def on_hangup(self):
        self.close()

    def lose(self):
        self.close()

    def close(self):
        self.poller.forget(self)
        self.sock.close()

    def on_deadline(self):
        self.sock.send(b"late")


def named_loops():
    yield "asyncio"
    yield "auto"
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return
    yield "uvloop"


@pytest.fixture(params=named_loops())
def bridged(request):
    """A loop joined to a poller, with an echo on a socket pair."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    poller = create_poller(lambda newcomer: None, lambda: None)
    loop = create_loop(request.param, poller)
    echo = Echo(ours, poller)
    poller.adopt(echo)
    yield loop, poller, echo, theirs
    theirs.close()
    echo.sock.close()
    asyncio.set_event_loop(None)
    loop.close()
    poller.close()


def until(loop, condition):
    async def wait():
        while not condition():
            await asyncio.sleep(0.001)

    loop.run_until_complete(asyncio.wait_for(wait(), 5))


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")
def test_a_crowd_of_newcomers_needs_no_more_than_to_be_told_once(bridged, monkeypatch):
    loop, poller, _, theirs = bridged
    monkeypatch.setattr(module, "MOST", 2)
    pairs = [socket.socketpair() for _ in range(5)]
    for ours, client in pairs:
        client.send(b"x")
        poller.offer_ready(Newcomer(ours, None, None))
    served = []

    def welcome(newcomer):
        served.append(newcomer)
        poller.replace(Echo(newcomer.sock, poller))
        poller.forget(poller.connections[newcomer.fd])
        if len(served) == len(pairs):
            loop.stop()

    poller.welcome = welcome
    theirs.send(b"wake up")
    given_up = loop.call_later(0.5, loop.stop)  # long before anything else calls the poller
    loop.run_forever()
    given_up.cancel()
    assert len(served) == 5
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_connections_are_served_by_the_loop_outside_every_task(bridged):
    loop, _, echo, theirs = bridged
    theirs.send(b"hello")
    until(loop, lambda: echo.stacks)
    assert theirs.recv(100) == b"hello"
    assert echo.stacks == [None]


def test_the_loop_still_serves_its_own(bridged):
    loop = bridged[0]

    async def own():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        server.close()
        await server.wait_closed()
        return await loop.run_in_executor(None, lambda: "from a thread")

    assert loop.run_until_complete(own()) == "from a thread"


def test_deadlines_expire_in_the_loop(bridged):
    loop, poller, echo, theirs = bridged
    theirs.setblocking(False)
    echo.deadline = echo.check = float("inf")
    poller.deadlines.arm(echo, poller.now + 0.002)
    # Other loops look again after each turn of the poller.
    theirs.send(b"turn ")
    until(loop, lambda: echo.deadline == echo.check == float("inf"))
    assert theirs.recv(100) == b"turn late"


def test_the_end_of_a_connection_is_seen(bridged):
    loop, poller, _, theirs = bridged
    theirs.close()
    until(loop, lambda: not poller.connections)


class Parting:
    """A connection whose answer waits, and is lost on its way: its application has more to do."""

    def __init__(self, loop, poller):
        self.loop, self.poller = loop, poller
        self.fd, self.out_size, self.closing = 7, 0, False

    def answer(self):
        self.poller.gathering = True
        self.poller.gather(self)

    def send_gathered(self):
        self.fd = -1
        self.loop.call_soon(self.loop.stop)


@pytest.mark.parametrize("bridged", ["asyncio"], indirect=True)
def test_an_application_told_of_a_loss_before_a_wait_goes_on_at_once(bridged):
    loop, poller, *_ = bridged
    late = loop.call_later(5, loop.stop)
    loop.call_soon(Parting(loop, poller).answer)
    begun = loop.time()
    loop.run_forever()
    late.cancel()
    assert loop.time() - begun < 1


def test_create_loop_makes_the_loop_the_threads_own():
    poller = create_poller(lambda newcomer: None, lambda: None)
    loop = create_loop("asyncio", poller)
    try:
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_loop_has_the_debug_mode_that_is_set():
    poller = create_poller(lambda newcomer: None, lambda: None)
    loop = create_loop("asyncio", poller)
    try:
        for enabled in (True, False):
            loop.set_debug(enabled)
            assert loop.get_debug() is enabled
            assert (loop.create_future()._source_traceback is not None) is enabled
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_newcomers_are_welcomed_through_a_driver(asyncio_loop):
    ours, theirs = socket.socketpair()
    welcomed = []
    poller = create_poller(lambda newcomer: welcomed.append(newcomer.sock.recv(10)), lambda: None)
    driver = LoopDriver(asyncio_loop, poller)
    driver.start()
    poller.offer(Newcomer(ours, None, None))
    theirs.send(b"first")
    until(asyncio_loop, lambda: welcomed)
    assert welcomed == [b"first"]
    assert poller.busy_since == 0.0
    driver.stop()
    theirs.send(b"more")
    asyncio_loop.run_until_complete(asyncio.sleep(0.002))
    assert len(welcomed) == 1
    poller.close()
    ours.close()
    theirs.close()
