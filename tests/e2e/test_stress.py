"""Every interface in every threading mode under many clients at once.

No answer may be another's, no wake-up may be lost, no descriptor and no thread may be left. The
short version belongs to every run; ``make soak`` sends 200,000 requests to each pair.
"""

import asyncio
import hashlib
import time
from operator import le

import pytest

from tests.support.modes import ASYNC, BLOCKING, serving
from tests.support.pressure import holdings, press
from tests.support.servers import wait_until

CLIENTS = 64
PAUSE = 0.002  # seconds that every tenth call blocks or waits
STALL = 0.005  # seconds for which one in forty blocks a loop: others stand in, where there are any


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    digest, more = hashlib.sha256(), True
    while more:
        message = await receive()
        digest.update(message["body"])
        more = message["more_body"]
    if scope["path"] == "/slow":
        await asyncio.sleep(PAUSE)
    stall(digest.digest())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": digest.hexdigest().encode()})


async def rsgi(scope, protocol):
    body = await protocol()
    if scope.path == "/slow":
        await asyncio.sleep(PAUSE)
    digest = hashlib.sha256(body)
    stall(digest.digest())
    protocol.response_str(200, [], digest.hexdigest())


def stall(digest):
    if digest[0] < 256 // 40:
        time.sleep(STALL)


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(PAUSE)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [hashlib.sha256(body).hexdigest().encode()]


def pairs(application, interface, modes):
    return [
        pytest.param(application, interface, mode, id=f"{interface}, {name}")
        for name, mode in modes.items()
    ]


PAIRS = [*pairs(asgi, "asgi", ASYNC), *pairs(rsgi, "rsgi", ASYNC), *pairs(wsgi, "wsgi", BLOCKING)]


def stress(application, interface, mode, requests, deadline):
    before = holdings()
    with serving(application, interface, mode) as running:
        assert press(running.address, CLIENTS, requests, deadline) == []
        wait_until(lambda: not running.engine.connection_count, what="closed connections")
    # What was there before may have ended meanwhile: nothing may be left of this.
    wait_until(lambda: all(map(le, holdings(), before)), what="nothing left")


@pytest.mark.parametrize(("application", "interface", "mode"), PAIRS)
def test_pressure(application, interface, mode):
    stress(application, interface, mode, 40, 50)


@pytest.mark.parametrize("name", ["4 threads", "4 threads of two crews"])
def test_pressure_while_threads_come_and_go(name):
    """Few clients leave gaps, in which threads leave and the lead changes hands."""
    mode = {**BLOCKING[name], "blocking_threads_idle_timeout": 0.0005}
    with serving(wsgi, "wsgi", mode) as running:
        assert press(running.address, 3, 100, 50) == []
        left = mode["crews"]
        wait_until(lambda: running.engine.counters["blocking_threads"] == left, what="the first")


@pytest.mark.soak
@pytest.mark.timeout(2000)
@pytest.mark.parametrize(("application", "interface", "mode"), PAIRS)
def test_long_pressure(application, interface, mode):
    stress(application, interface, mode, 200_000 // CLIENTS, 1900)
