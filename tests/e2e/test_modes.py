"""The threading modes beside interfaces, loops and TLS: what each pair must get through."""

import asyncio
import contextlib
import hashlib
import os
import ssl
import threading
import time

import pytest

from granian.plan import StaticPlan, TlsPlan
from tests.e2e.test_wsgi import app as wsgi_app
from tests.support.certs import path as cert
from tests.support.lines import get
from tests.support.modes import ASYNC, serving
from tests.support.pressure import press
from tests.support.servers import EngineServer, wait_until
from tests.support.wire import Wire

httpx = pytest.importorskip("httpx")

TLS = TlsPlan(certificate=cert("server"), keyfile=cert("server-key"))
THREADS = [1, 2, 4]
RUNTIMES = {name: mode for name, mode in ASYNC.items() if mode.get("runtime_mode") != "st"}
SEEN = []


async def asgi_app(scope, receive, send):
    kind = scope["type"]
    if kind == "lifespan":
        await receive()
        SEEN.append(threading.current_thread().name)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif kind == "websocket":
        await echo_messages(receive, send)
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"x" * 60_000, "more_body": True})
        await send({"type": "http.response.body"})
    elif scope["path"] == "/left":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        SEEN.append("left")
    elif scope["path"] == "/thread":
        await answer(send, threading.current_thread().name.encode())
    elif scope["path"] == "/block":
        time.sleep(0.3)  # a mistake of the application's
        await answer(send, b"")
    else:
        await answer(send, hashlib.sha256(await body_of(receive)).hexdigest().encode())


async def body_of(receive):
    pieces, more = [], True
    while more:
        message = await receive()
        pieces.append(message["body"])
        more = message["more_body"]
    return b"".join(pieces)


async def answer(send, body):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def echo_messages(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            SEEN.append(message["code"])
            return
        message["type"] = "websocket.send"
        await send(message)


@pytest.fixture(params=RUNTIMES.values(), ids=RUNTIMES)
def server(request):
    SEEN.clear()
    with serving(asgi_app, "asgi", request.param) as running:
        yield running


def test_one_loop_and_one_lifespan(server, client):
    assert SEEN == ["granian-runtime-1"]
    assert {client.get("/thread").text for _ in range(4)} == {"granian-runtime-1"}


def test_bodies_and_streams(client):
    for size in (0, 10, 100_000):
        body = os.urandom(size)
        assert client.post("/", content=body).text == hashlib.sha256(body).hexdigest()
    assert len(client.get("/stream").content) == 3_000_000


def test_a_disconnect_crosses_over(server):
    with Wire(server.address) as wire:
        wire.send(get("/left"))
        wire.read_until(lambda data: b"first" in data)
    wait_until(lambda: "left" in SEEN, what="http.disconnect")


def test_a_blocked_loop_stops_neither_accepting_nor_reading(server):
    with Wire(server.address) as blocking:
        blocking.send(get("/block"))
        with Wire(server.address) as other:
            assert other.exchange(get("/thread")).status == 200
        assert blocking.exchange().status == 200


@pytest.mark.parametrize("count", [2, 4])
def test_a_blocked_runtime_stops_neither_accepting_nor_the_others(count):
    gate = threading.Event()

    async def target(scope, protocol):
        if scope.path == "/block":
            assert gate.wait(10)
        protocol.response_str(200, [], threading.current_thread().name)

    plan = {"runtime_threads": count, "runtime_mode": "st"}
    with EngineServer(target, "rsgi", **plan) as running, Wire(running.address) as blocking:
        blocking.send(get("/block"))
        pollers = [runtime.poller for runtime in running.engine.runtimes]
        wait_until(lambda: any(0.0 < one.busy_since < time.monotonic() - 0.2 for one in pollers))
        wires = [Wire(running.address) for _ in range(12)]
        names = {wire.exchange(get("/")).body for wire in wires}
        gate.set()
        name = blocking.exchange().body
        for wire in wires:
            wire.__exit__()
    assert name not in names
    assert len(names) == count - 1


@pytest.fixture
def blocked(tmp_path):
    """A worker of two threads whose loop an application blocks; also who was known before."""
    (tmp_path / "file").write_bytes(b"static")
    gate = threading.Event()

    async def target(scope, protocol):
        if scope.path == "/block":
            assert gate.wait(20)
        elif scope.path == "/await":
            await asyncio.sleep(0)
        protocol.response_str(200, [], threading.current_thread().name)

    plan = {
        "runtime_threads": 2,
        "runtime_mode": "mt",
        "static": StaticPlan(mounts=(("/static", str(tmp_path)),)),
        "health_path": "/health",
        "http1": {"header_read_timeout": 1.0},
    }
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(EngineServer(target, "rsgi", **plan))
        stack.callback(gate.set)
        known = stack.enter_context(Wire(running.address))
        assert known.exchange(get("/")).status == 200
        blocking = stack.enter_context(Wire(running.address))
        blocking.send(get("/block"))
        poller = running.engine.runtimes[0].poller
        wait_until(lambda: 0.0 < poller.busy_since < time.monotonic() - 0.1, what="a blocked loop")
        yield running, known, gate
        gate.set()
        assert blocking.exchange().body == b"granian-runtime-1"


@pytest.mark.parametrize("whose", ["known", "new"])
def test_while_the_loop_is_blocked_others_stand_in(blocked, whose):
    """Files, health and refusals need no application."""
    running, known, gate = blocked
    with Wire(running.address) as new:
        wire = known if whose == "known" else new
        assert wire.exchange(get("/static/file")).body == b"static"
        assert wire.exchange(get("/health")).body == b"serving\n"
        wire.send(get("/await"))
        with Wire(running.address) as broken:
            broken.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert broken.exchange().status == 400
        gate.set()
        assert wire.exchange().body == b"granian-runtime-1"
        assert wire.exchange(get("/")).body == b"granian-runtime-1"


def test_while_the_loop_is_blocked_time_goes_on(blocked):
    """Who sends half a head is refused in time."""
    running, _, _ = blocked
    with Wire(running.address) as slow:
        assert slow.exchange(b"GET / HT").status == 408


def test_websockets(server):
    websockets = pytest.importorskip("websockets")
    host, port = server.address

    async def main():
        async with websockets.connect(f"ws://{host}:{port}/") as socket:
            for message in ("text", b"octets", "x" * 200_000):
                await socket.send(message)
                assert await socket.recv() == message

    asyncio.run(main())
    wait_until(lambda: 1000 in SEEN, what="websocket.disconnect")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("mode", ["st", "mt"])
def test_loops(loop, mode):
    pytest.importorskip(loop)
    plan = {"loop": loop, "runtime_threads": 2, "runtime_mode": mode}
    with EngineServer(asgi_app, "asgi", **plan) as running:
        assert press(running.address, 4, 10, 30) == []


@pytest.mark.parametrize("second", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_tls(interface, threads, second):
    if interface == "wsgi":
        target, plan = wsgi_app, {"blocking_threads": threads}
    else:
        target, plan = asgi_app, {"runtime_threads": threads, "runtime_mode": "mt"}
    verify = ssl.create_default_context(cafile=cert("ca"))
    with EngineServer(target, interface, tls=TLS, **plan) as running:
        url = f"https://localhost:{running.address[1]}"
        options = {"http1": not second, "http2": second, "verify": verify, "trust_env": False}
        with httpx.Client(**options) as idle, httpx.Client(**options) as client:
            assert idle.get(url).status_code == 200
            assert len(client.get(f"{url}/stream").content) > 200
            body = os.urandom(200_000)
            answer = client.post(f"{url}/echo", content=body)
            digest = hashlib.sha256(body).hexdigest().encode()
            assert answer.content in (body, digest)
