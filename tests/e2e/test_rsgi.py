"""RSGI over real sockets, as upstream's own tests use it and beyond."""

import asyncio
import json
import os
import socket
import time

import pytest

from tests.apps.frameworks import emmett_app
from tests.support.clients import http_client
from tests.support.lines import get, post
from tests.support.modes import ASYNC, loops, serving
from tests.support.servers import EngineServer, wait_until
from tests.support.wire import Wire

httpx = pytest.importorskip("httpx")

FACTS = ("proto", "http_version", "rsgi_version", "scheme", "method", "path", "query_string")
FACTS = (*FACTS, "authority", "client", "server")
SEEN = []


class App:
    """Routes by path."""

    def __rsgi_init__(self, loop):
        loop.run_until_complete(asyncio.sleep(0))
        SEEN.append("init")

    def __rsgi_del__(self, loop):
        loop.run_until_complete(asyncio.sleep(0))
        SEEN.append("del")

    async def __rsgi__(self, scope, protocol):
        await getattr(self, scope.path.strip("/").split("/")[0] or "info")(scope, protocol)

    async def info(self, scope, protocol):
        facts = {name: getattr(scope, name) for name in FACTS}
        facts["headers"] = dict(scope.headers.items())
        protocol.response_str(200, [("content-type", "application/json")], json.dumps(facts))

    async def echo(self, scope, protocol):
        protocol.response_bytes(200, [], await protocol())

    async def echos(self, scope, protocol):
        transport = protocol.response_stream(200, [])
        async for piece in protocol:
            await transport.send_bytes(piece)

    async def stream(self, scope, protocol):
        transport = protocol.response_stream(200, [("content-type", "text/plain")])
        for number in range(3):
            await transport.send_str(f"{number}\n")
            await asyncio.sleep(0)

    async def flood(self, scope, protocol):
        transport = protocol.response_stream(200, [])
        try:
            for number in range(400):
                SEEN.append(number)
                await transport.send_bytes(b"x" * 65_536)
        except RuntimeError:
            SEEN.append("closed")

    async def later(self, scope, protocol):
        transport = protocol.response_stream(200, [])

        async def background(transport):
            await asyncio.sleep(0.02)
            await transport.send_str("later")

        self.task = asyncio.ensure_future(background(transport))

    async def file(self, scope, protocol):
        protocol.response_file(200, [("content-type", "text/plain")], __file__)

    async def range(self, scope, protocol):
        protocol.response_file_range(206, [], __file__, 3, 300)

    async def missing(self, scope, protocol):
        protocol.response_file(200, [], "/nowhere")

    async def empty(self, scope, protocol):
        protocol.response_empty(204, [("x-a", "1"), ("x-a", "2")])

    async def fail(self, scope, protocol):
        raise SystemExit

    async def half(self, scope, protocol):
        await protocol.response_stream(200, []).send_str("half")
        raise LookupError

    async def silent(self, scope, protocol):
        """Never answers."""

    async def split(self, scope, protocol):
        try:
            protocol.response_str(200, [("x", "a\r\nb: c")], "secret")
        except RuntimeError:
            protocol.response_str(200, [], "refused")

    async def watch(self, scope, protocol):
        protocol.response_str(200, [], "watching")
        await protocol.client_disconnect()
        SEEN.append("left")


@pytest.fixture(scope="module", params=ASYNC.values(), ids=ASYNC)
def server(request):
    with serving(App(), "rsgi", request.param) as running:
        yield running


def test_scope(server, client):
    facts = client.get("/info?test=true", headers={"x-name": "value"}).json()
    host, port = server.address
    second = client.get("/info").http_version == "HTTP/2"
    assert facts["proto"] == "http"
    assert facts["rsgi_version"] == "1.6"
    assert facts["http_version"] == ("2" if second else "1.1")
    assert (facts["scheme"], facts["method"]) == ("http", "GET")
    assert (facts["path"], facts["query_string"]) == ("/info", "test=true")
    assert facts["server"] == f"{host}:{port}"
    assert facts["client"].startswith("127.0.0.1:")
    assert facts["headers"]["x-name"] == "value"
    assert facts["authority"] == (f"{host}:{port}" if second else None)


@pytest.mark.parametrize("path", ["/echo", "/echos"])
def test_bodies(client, path):
    for size in (0, 5, 40_000, 1_000_000):
        body = os.urandom(size)
        assert client.post(path, content=body).content == body
    pieces = [os.urandom(10_000) for _ in range(20)]
    assert client.post(path, content=iter(pieces)).content == b"".join(pieces)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/stream", 200, b"0\n1\n2\n"),
        ("/later", 200, b"later"),
        ("/missing", 404, b"Not found"),
        ("/empty", 204, b""),
        ("/fail", 500, b""),
        ("/silent", 500, b""),
        ("/split", 200, b"refused"),
    ],
)
def test_answers(client, path, status, body):
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["server"] == "granian"
    if path == "/empty":
        assert answer.headers.get_list("x-a") == ["1", "2"]


def test_files(client):
    with open(__file__, "rb") as source:
        content = source.read()
    assert client.get("/file").content == content
    assert client.get("/range").content == content[3:300]
    assert client.head("/file").content == b""


def test_a_broken_stream_is_seen_by_the_peer(client):
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/half")
    assert client.get("/info").status_code == 200


def test_watchers_hear_of_the_end_of_the_connection_only(server):
    SEEN.clear()
    with Wire(server.address) as wire:
        wire.exchange(get("/watch"))
        assert wire.exchange(get("/info")).status == 200
        assert SEEN == []
    wait_until(lambda: SEEN == ["left"], what="the watcher")


def test_a_slow_reader_holds_the_sender(server):
    SEEN.clear()
    with socket.create_connection(server.address) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(get("/flood"))
        wait_until(lambda: len(SEEN) > 2, what="the first pieces")
        before = -1
        while before != len(SEEN):
            before = len(SEEN)
            time.sleep(0.05)
        assert len(SEEN) < 400
    wait_until(lambda: "closed" in SEEN, what="the sender's end")


def test_pipelined_requests_are_answered_in_order(server):
    sent = b"".join([get("/info"), post(b"body", "/echo"), get("/stream"), post(b"x", "/echos")])
    with Wire(server.address) as wire:
        wire.send(sent)
        wire.read_until(lambda data: data.count(b"\r\n0\r\n\r\n") >= 2)
        bodies = [answer.body for answer in wire.responses()]
    assert bodies[1:] == [b"body", b"0\n1\n2\n", b"x"]


@pytest.mark.parametrize("mode", ASYNC.values(), ids=ASYNC)
def test_hooks_run_once_for_each_loop(mode):
    SEEN.clear()
    with serving(App(), "rsgi", mode) as running:
        assert ["init"] * loops(mode) == SEEN
        with Wire(running.address) as wire:
            assert wire.exchange(get("/info")).status == 200
    assert ["init"] * loops(mode) + ["del"] * loops(mode) == SEEN


def test_a_plain_function_that_names_its_arguments():
    async def target(scope, protocol):
        assert scope.proto == "http"
        protocol.response_str(
            status=200, headers=[("content-type", "text/plain")], body=f"Hello from {scope.path}"
        )

    with EngineServer(target, "rsgi") as running, http_client(running) as client:
        answer = client.get("/there")
        assert (answer.text, answer.headers["content-type"]) == ("Hello from /there", "text/plain")


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")  # Emmett's own
def test_emmett():
    with EngineServer(emmett_app(), "rsgi") as running, http_client(running) as client:
        assert client.get("/?a=b").json() == {"path": "/", "args": {"a": "b"}}
        for body in (b"small", b"x" * 200_000):
            assert client.post("/upload", content=body).content == body
        assert client.get("/missing").status_code == 404
        assert client.get("/fail").status_code == 500
