"""What a request may cost, in Python calls: unlike time, they can be counted on a busy machine.

The real engine serves keep-alive requests over a real connection while a profile hook on its
runtime thread counts every call of a Python function, the event loop's and the application's
included. Whoever adds a call must take one away. For comparison, when this was written: hypercorn
495, uvicorn with h11 289, waitress 92, uvicorn with httptools 71.
"""

import sys
import threading
from collections import Counter

import pytest

from granian._compat import EAGER_TASKS
from tests.apps import sockets
from tests.support.lines import get, post
from tests.support.servers import EngineServer
from tests.support.wire import Wire
from tests.wire.websocket.peer import frame

REQUESTS = 200
TEXT = [(b"content-type", b"text/plain")]
TEXT_STR = [("content-type", "text/plain")]
WEBSOCKET = get(
    "/",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
BROWSER = [f"X-Field-{number}: value {number}" for number in range(16)]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": b"Hello, world!"})


async def asgi_echo(scope, receive, send):
    if scope["type"] == "lifespan":
        await asgi(scope, receive, send)
        return
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": TEXT})
    await send({"type": "http.response.body", "body": message["body"]})


async def rsgi(scope, protocol):
    protocol.response_bytes(200, TEXT_STR, b"Hello, world!")


def wsgi(environ, start_response):
    start_response("200 OK", TEXT_STR)
    return [b"Hello, world!"]


def calls_per_request(app, interface, octets):
    """Count the calls that one exchange costs, and name them."""
    with EngineServer(app, interface) as server, Wire(server.address) as wire:
        wire.exchange(octets)
        return count(server, wire.sock, octets, len(wire.received))


def calls_per_message(app, interface, octets, size):
    """Count the calls that one message of a WebSocket and its echo of ``size`` octets cost."""
    with EngineServer(app, interface) as server, Wire(server.address) as wire:
        wire.sock.sendall(WEBSOCKET)
        while not wire.sock.recv(65_536).endswith(b"\r\n\r\n"):
            pass
        return count(server, wire.sock, octets, size)


def count(server, sock, octets, size):
    """Send and receive ``REQUESTS`` times while the calls are counted."""
    calls = Counter()

    def hook(frame, event, _):
        if event == "call":
            code = frame.f_code
            calls[f"{code.co_filename.rpartition('/')[2]}:{code.co_name}"] += 1

    (runtime,) = server.engine.runtimes
    for _ in range(20):
        sock.sendall(octets)
        sock.recv(65_536)
    switch(runtime, hook)
    for _ in range(REQUESTS):
        sock.sendall(octets)
        assert len(sock.recv(65_536)) == size
    switch(runtime, None)
    for where in list(calls):  # what turning the hook off has cost
        if calls[where] < REQUESTS // 20:
            del calls[where]
    return round(sum(calls.values()) / REQUESTS), calls


def switch(runtime, hook):
    """Set the profile hook of the runtime's own thread."""
    done = threading.Event()
    runtime.post(lambda: (sys.setprofile(hook), done.set()))
    assert done.wait(5)


ROWS = [
    ("ASGI GET", asgi, "asgi", get("/"), 20),
    ("ASGI GET, 16 fields", asgi, "asgi", get("/", *BROWSER), 20),
    ("ASGI POST", asgi_echo, "asgi", post(b"x" * 100), 26),
    # Before 3.12 a task is started by hand.
    ("RSGI GET", rsgi, "rsgi", get("/"), 14 if EAGER_TASKS else 16),
    ("WSGI GET", wsgi, "wsgi", get("/"), 16),
]


@pytest.mark.parametrize(
    ("name", "app", "interface", "octets", "budget"),
    ROWS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_calls_per_request(name, app, interface, octets, budget):
    cost, calls = calls_per_request(app, interface, octets)
    listing = "\n".join(f"{n / REQUESTS:6.2f}  {where}" for where, n in calls.most_common(40))
    assert cost <= budget, f"{name} costs {cost} calls, {budget} are allowed:\n{listing}"


SOCKETS = [("ASGI", sockets.asgi, "asgi", 21), ("RSGI", sockets.rsgi, "rsgi", 21)]


@pytest.mark.parametrize(
    ("name", "app", "interface", "budget"),
    SOCKETS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_calls_per_message(name, app, interface, budget):
    message = frame(2, bytes(64))
    cost, calls = calls_per_message(app, interface, message, 66)
    listing = "\n".join(f"{n / REQUESTS:6.2f}  {where}" for where, n in calls.most_common(40))
    assert cost <= budget, f"{name} costs {cost} calls, {budget} are allowed:\n{listing}"


def test_the_count_is_of_calls():
    """The measure itself: one more call in the application is one more in the count."""

    def more():
        return None

    async def slower(scope, receive, send):
        more()
        more()
        await asgi(scope, receive, send)

    plain, _ = calls_per_request(asgi, "asgi", get("/"))
    dearer, _ = calls_per_request(slower, "asgi", get("/"))
    assert dearer - plain == 3
