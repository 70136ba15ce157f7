"""WebSockets over real sockets: clients of other hands, a browser, hostile peers, and shutdown."""

import asyncio
import json
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import AsyncGenerator

import pytest

from granian.plan import TlsPlan, WebsocketPlan
from granian.wire.websocket.frames import MAX_FRAGMENTS
from tests.apps import sockets as app
from tests.apps.frameworks import configure_django
from tests.support.browser import needs_chromium, opened
from tests.support.clients import run
from tests.support.modes import ASYNC, serving
from tests.support.scrape import ScrapedServer
from tests.support.servers import EngineServer, GranianServer, wait_until
from tests.support.wire import Wire
from tests.support.wire import parse as parse_http

from ..wire.websocket.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close,
    deflate,
    frame,
    header,
    parse,
)

websockets = pytest.importorskip("websockets")
CERTS = Path(__file__).parent.parent / "certs"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


INTERFACES = [
    pytest.param((interface, mode), id=f"{interface}, {name}")
    for interface in ("asgi", "rsgi")
    for name, mode in ASYNC.items()
]


@pytest.fixture(params=INTERFACES)
def server(request):
    interface, mode = request.param
    with serving(getattr(app, interface), interface, mode) as running:
        app.SEEN.clear()
        yield running


@pytest.fixture(params=["one thread", "one runtime of two"])
def asgi(request):
    with serving(app.asgi, "asgi", ASYNC[request.param]) as running:
        app.SEEN.clear()
        yield running


@pytest.fixture(autouse=True)
def forget():
    app.SEEN.clear()


def url(server, path="/", scheme="ws"):
    return f"{scheme}://127.0.0.1:{server.address[1]}{path}"


def open_raw(server, path="/", *lines):
    """Open a WebSocket by hand; what follows are raw octets."""
    sock = socket.create_connection(server.address, timeout=10)
    fields = ["Host: here", "Connection: Upgrade", "Upgrade: websocket"]
    fields += [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", *lines]
    sock.sendall("\r\n".join([f"GET {path} HTTP/1.1", *fields, "", ""]).encode("latin-1"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        octet = sock.recv(1)
        assert octet, head
        head += octet
    return sock, head


def headers_of(peer):
    """The fields of the 101; websockets called them otherwise before its version 14."""
    response = getattr(peer, "response", None)
    return response.headers if response is not None else peer.response_headers


def read_all(sock):
    data = b""
    while True:
        try:
            piece = sock.recv(65_536)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


MESSAGES = ["text", "grün €", b"octets", "", b"", "x" * 200, bytes(70_000), "y" * 2_000_000]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_websockets_client(server, compression):
    async def client():
        options = {"compression": compression, "max_size": None}
        async with websockets.connect(url(server), **options) as peer:
            for message in MESSAGES:
                await peer.send(message)
                assert await peer.recv() == message
            await peer.send(["frag", "men", "ted"])
            assert await peer.recv() == "fragmented"
            await asyncio.wait_for(await peer.ping(), 5)
            await peer.close(4000, "bye")
            assert peer.close_code == 4000

    run(client())
    wait_until(lambda: app.SEEN, what="the application's disconnect")


def test_aiohttp_client(server):
    aiohttp = pytest.importorskip("aiohttp")

    async def client():
        async with aiohttp.ClientSession() as session, session.ws_connect(
            url(server, scheme="http"), compress=15, max_msg_size=0
        ) as peer:
            for message in MESSAGES:
                if isinstance(message, str):
                    await peer.send_str(message)
                    assert await peer.receive_str() == message
                else:
                    await peer.send_bytes(message)
                    assert await peer.receive_bytes() == message

    run(client())


def test_wsproto_client(server):
    wsproto = pytest.importorskip("wsproto")
    from wsproto import events, extensions

    connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    request = events.Request("here", "/", extensions=[extensions.PerMessageDeflate()])
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(connection.send(request))

        def expect(kind):
            while True:
                for event in connection.events():
                    assert isinstance(event, kind), event
                    return event
                connection.receive_data(sock.recv(65_536) or None)

        assert expect(events.AcceptConnection).extensions
        sock.sendall(connection.send(events.TextMessage("packed " * 100)))
        text = expect(events.TextMessage).data
        while len(text) < 700:
            text += expect(events.TextMessage).data
        assert text == "packed " * 100
        sock.sendall(connection.send(events.Ping(b"p")))
        assert expect(events.Pong).payload == b"p"
        sock.sendall(connection.send(events.CloseConnection(1000)))
        assert expect(events.CloseConnection).code == 1000


def test_over_tls():
    plan = TlsPlan(str(CERTS / "server.pem"), str(CERTS / "server-key.pem"))
    context = ssl.create_default_context(cafile=str(CERTS / "ca.pem"))
    context.check_hostname = False

    async def client(server):
        async with websockets.connect(url(server, scheme="wss"), ssl=context) as peer:
            for message in ["text", bytes(200_000)]:
                await peer.send(message)
                assert await peer.recv() == message

    with EngineServer(app.asgi, tls=plan) as server:
        run(client(server))


def test_over_uvloop():
    pytest.importorskip("uvloop")

    async def client(port):
        async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as peer:
            for message in MESSAGES:
                await peer.send(message)
                assert await peer.recv() == message

    with GranianServer("tests.apps.sockets:asgi", loop="uvloop") as server:
        run(client(server.port))


@needs_chromium
def test_a_browser(asgi, tmp_path):
    with opened(tmp_path, url(asgi, scheme="http")):
        wait_until(lambda: len(app.SEEN) == 2, 60, "the browser's report")
    report = json.loads({path: facts for path, facts, _ in app.SEEN}["/report"])
    protocol, extensions, *rest = report
    assert protocol == "chat"
    assert extensions.startswith("permessage-deflate")
    assert rest == ["grün", 70_000, 7, 4001, True]
    assert ("/sub", 4001, "bye") in app.SEEN


# the handshake


def test_subprotocol_and_headers(asgi):
    async def client():
        async with websockets.connect(url(asgi, "/sub"), subprotocols=["a", "b"]) as peer:
            assert peer.subprotocol == "b"
            assert headers_of(peer)["x-path"] == "/sub"

    run(client())


@pytest.mark.parametrize(("path", "status"), [("/refuse", 403), ("/raise", 403)])
def test_refusals(asgi, path, status):
    sock, head = open_raw(asgi, path)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    # The connection is HTTP's still.
    sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    assert b"HTTP/1.1 200 OK" in read_all(sock)
    sock.close()


def test_fields_that_are_not_ascii_cost_nobody_anything(asgi):
    lines = ["Sec-WebSocket-Protocol: \xe9, chat", "Sec-WebSocket-Extensions: \xff; \xfe=\xfd"]
    for _ in range(3):
        sock, head = open_raw(asgi, "/sub", *lines)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-protocol: chat\r\n" in head
        assert b"sec-websocket-extensions" not in head
        sock.close()


def test_rsgi_refusal():
    with EngineServer(app.rsgi, "rsgi") as server:
        sock, head = open_raw(server, "/refuse")
        assert head.startswith(b"HTTP/1.1 404 ")
        sock.close()


def test_a_hundred_fields_and_an_upgrade(asgi):
    sock = socket.create_connection(asgi.address, timeout=10)
    fields = "".join(f"x-{index}: 1\r\n" for index in range(101))
    sock.sendall(f"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n{fields}\r\n".encode())
    assert read_all(sock).startswith(b"HTTP/1.1 431 ")
    sock.close()


def test_frames_sent_octet_by_octet_with_the_head(asgi):
    lines = [
        "GET / HTTP/1.1",
        "Host: here",
        "Connection: keep-alive, Upgrade",
        "Upgrade: WebSocket",
    ]
    lines += [f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", "", ""]
    octets = "\r\n".join(lines).encode() + frame(TEXT, "early") + frame(BINARY, b"bird")
    with Wire(asgi.address) as wire:
        wire.send_each(bytes([octet]) for octet in octets)
        wire.read_until(b"bird")
        wire.send_each(bytes([octet]) for octet in close(1000))
        head, _, rest = wire.read_to_end().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert parse(rest) == [(0x81, b"early"), (0x82, b"bird"), (0x88, b"\x03\xe8")]


@pytest.mark.parametrize(("path", "body"), [("/deny", b"not you"), ("/deny-long", b"not you" * 3)])
def test_denials(asgi, path, body):
    sock, head = open_raw(asgi, path)
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"x-why: because\r\n" in head
    sock.sendall(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    denial, page = parse_http(head + read_all(sock))
    assert (denial.status, denial.body, denial.whole) == (401, body, True)
    assert page.status == 200
    sock.close()


def test_close_before_accept_is_answered_at_once(asgi):
    """The application goes on, and its next event is the disconnect."""
    sock, head = open_raw(asgi, "/refuse-and-wait")
    assert head.startswith(b"HTTP/1.1 403 ")
    sock.close()
    wait_until(lambda: app.SEEN == [("/refuse-and-wait", 1006, "")])


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_switched_off_it_is_a_request(interface):
    with GranianServer(f"tests.apps.sockets:{interface}", interface, ws=False) as server:
        sock, head = open_raw(server, "/")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        sock.close()


# ends


def test_the_application_closes_with_code_and_reason(asgi):
    async def client():
        async with websockets.connect(url(asgi, "/close")) as peer:
            with pytest.raises(websockets.ConnectionClosed):
                await peer.recv()
            assert (peer.close_code, peer.close_reason) == (4002, "enough")

    run(client())
    wait_until(lambda: app.SEEN == [("/close", 4002, "enough")])


def test_sending_after_the_end_raises(asgi):
    sock, _ = open_raw(asgi, "/send-after")
    sock.sendall(close(1000))
    assert parse(read_all(sock)) == [(0x88, b"\x03\xe8")]
    sock.close()
    wait_until(lambda: app.SEEN == [("/send-after", 1000, "OSError")])


def test_an_application_that_raises_is_1011(server):
    async def client():
        async with websockets.connect(url(server)) as peer:
            await peer.send("raise")
            with pytest.raises(websockets.ConnectionClosed):
                await peer.recv()
            assert peer.close_code == 1011

    run(client())


@pytest.mark.parametrize("abrupt", [True, False])
def test_a_peer_that_vanishes_is_1006_at_once(asgi, abrupt):
    sock, _ = open_raw(asgi)
    if abrupt:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    wait_until(lambda: app.SEEN, 1, "the disconnect")
    assert app.SEEN == [("/", 1006, "")]


def test_only_an_application_finds_a_kind_of_data_unsupported(asgi):
    """1003 is said by whoever takes text alone; to the server an unknown opcode is a 1002."""
    sock, _ = open_raw(asgi, "/text-only")
    sock.sendall(frame(TEXT, "taken") + frame(BINARY, b"not taken"))
    wait_until(lambda: app.SEEN == [("/text-only", 1003, "text only")])
    sock.sendall(close(1003))
    assert parse(read_all(sock)) == [(0x81, b"taken"), (0x88, b"\x03\xebtext only")]
    sock.close()


@pytest.mark.parametrize("code", [1002, 1003, 1007, 1009, 1012])
def test_a_peer_may_close_with_the_code_of_a_failure(server, code):
    sock, _ = open_raw(server)
    sock.sendall(close(code, b"yours"))
    assert parse(read_all(sock)) == [(0x88, code.to_bytes(2, "big"))]
    sock.close()
    told = {"asgi": [("/", code, "yours")], "rsgi": [("/", 0, "")]}
    wait_until(lambda: told[server.plan.interface] == app.SEEN)


INVALID = b"begun \xff" + bytes(100)
BOMB = deflate(bytes(1 << 27))
HALF = len(BOMB) // 2
BREACHES = [
    (1002, frame(TEXT, b"bare", mask=False)),
    (1002, frame(PING, bytes(126))),
    (1002, frame(PING, b"in pieces", fin=False)),
    (1002, frame(TEXT, b"x", rsv=2)),
    (1002, frame(3, b"kept for data")),
    (1002, frame(11, b"kept for control")),
    (1002, frame(CONTINUATION, b"of nothing")),
    (1002, frame(TEXT, b"first", fin=False) + frame(TEXT, b"second")),
    (1002, frame(CLOSE, b"\x03")),
    (1002, close(1005)),
    (1007, close(1000, b"\xff")),
    (1007, frame(TEXT, b"\xff")),
    (1007, frame(TEXT, b"begun \xff", fin=False)),
    (1007, frame(TEXT, INVALID)[:-90]),
    (1007, frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xacx\xe2\x82x", fin=False)),
    (1007, frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82")),
    (1007, frame(TEXT, deflate(b"begun \xff"), rsv=4, fin=False)),
    (1009, header(BINARY, 1 << 40)),
    (1009, frame(BINARY, BOMB, rsv=4)),
    (
        1009,
        frame(BINARY, BOMB[:HALF], rsv=4, fin=False) + frame(CONTINUATION, BOMB[HALF:], fin=False),
    ),
]


@pytest.mark.parametrize(("code", "octets"), BREACHES, ids=range(len(BREACHES)))
def test_breaches_are_closed_with_their_code(asgi, code, octets):
    sock, _ = open_raw(asgi, "/", "Sec-WebSocket-Extensions: permessage-deflate")
    sock.sendall(octets)
    assert parse(read_all(sock)) == [(0x88, code.to_bytes(2, "big"))]
    sock.close()
    wait_until(lambda: [("/", code, "")] == app.SEEN)


# flow


def rss(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no RSS")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_application_that_does_not_receive_costs_a_bounded_buffer():
    with GranianServer("tests.apps.sockets:asgi") as server:
        [worker] = server.worker_pids
        sock, _ = open_raw(server, "/sleep")
        before = rss(worker)
        sock.settimeout(0.5)
        message, sent = frame(BINARY, bytes(60_000)) * 100, 0
        try:
            while sent < 1 << 30:
                sent += sock.send(message)
        except socket.timeout:  # another class before 3.10
            pass
        assert sent < 64 << 20, "the peer is still read from"
        assert rss(worker) - before < 50 << 20
        sock.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_message_has_so_many_fragments_and_no_more():
    rest = frame(CONTINUATION, b"x", fin=False) * (MAX_FRAGMENTS - 2)
    whole = frame(BINARY, b"x", fin=False) + rest + frame(CONTINUATION, b"x")
    excess = frame(BINARY, b"x", fin=False) + rest + frame(CONTINUATION, b"x", fin=False) * 2
    with GranianServer("tests.apps.sockets:asgi") as server:
        [worker] = server.worker_pids
        with Wire(server.address) as other:
            sock, _ = open_raw(server)
            sock.settimeout(60)
            before = rss(worker)
            sock.sendall(whole)
            # Others are served while the fragments are decided on.
            other.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in other.read_to_end()
            sock.sendall(excess)
            [echo, end] = parse(read_all(sock))
            sock.close()
        assert echo == (0x82, b"x" * MAX_FRAGMENTS)
        assert end == (0x88, b"\x03\xf1")
        assert rss(worker) - before < 8 << 20


def unsent(server):
    """Octets that the fullest connection holds for its peer."""
    return max(
        connection.out_size
        for runtime in server.engine.runtimes
        for connection in runtime.connections()
    )


def test_a_peer_that_does_not_read_makes_send_wait(asgi):
    sock, _ = open_raw(asgi, "/flood")
    wait_until(lambda: unsent(asgi), 5, "a full buffer")
    assert unsent(asgi) < 1 << 20
    sock.close()
    wait_until(lambda: app.SEEN, 5, "the error of send")


def test_a_flood_of_pings_whose_pongs_nobody_reads(asgi):
    sock, _ = open_raw(asgi)
    other, _ = open_raw(asgi)
    sock.settimeout(0.5)
    pings, sent = frame(PING, bytes(125)) * 500, 0
    try:
        while sent < 256 << 20:
            sent += sock.send(pings)
    except socket.timeout:  # another class before 3.10
        pass
    assert sent < 64 << 20, "the peer is still read from"
    assert unsent(asgi) < 200_000
    other.sendall(frame(TEXT, "served"))
    assert parse(other.recv(100)) == [(0x81, b"served")]
    sock.close()
    other.close()


def test_pings_that_nobody_answers():
    plan = WebsocketPlan(ping_interval=0.1, ping_timeout=0.2)
    with EngineServer(app.asgi, websocket=plan) as server:
        sock, _ = open_raw(server)
        assert parse(read_all(sock)) == [(0x89, b"")]
        sock.close()
        wait_until(lambda: app.SEEN == [("/", 1006, "")])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_an_idle_websocket_costs_at_most_20_kib(interface):
    """The application's task and the scope included."""

    def exchange(sock):
        sock.sendall(frame(TEXT, "x" * 100))
        received = b""
        while len(received) < 102:
            received += sock.recv(200)

    with GranianServer(
        f"tests.apps.sockets:{interface}", interface, ws_compression=False
    ) as server:
        [worker] = server.worker_pids
        sockets = [open_raw(server)[0] for _ in range(50)]
        for sock in sockets:
            exchange(sock)
        before = rss(worker)
        more = [open_raw(server)[0] for _ in range(400)]
        for sock in more:
            exchange(sock)
        each = (rss(worker) - before) / len(more)
        for sock in sockets + more:
            sock.close()
    assert each <= 20 << 10


# shutdown


def test_shutdown_tells_every_client():
    async def client(port):
        peers = [await websockets.connect(f"ws://127.0.0.1:{port}/") for _ in range(100)]
        for peer in peers:
            await peer.send("x")
            assert await peer.recv() == "x"
        server.send_signal(signal.SIGTERM)
        started = time.monotonic()
        await asyncio.gather(*(peer.wait_closed() for peer in peers))
        assert {peer.close_code for peer in peers} == {1012}
        return started

    with GranianServer("tests.apps.sockets:asgi") as server:
        started = run(client(server.port))
        assert server.wait() == 0
        assert time.monotonic() - started < 6
        assert "Traceback" not in server.log


def test_shutdown_does_not_wait_for_a_client_that_does_not_answer(monkeypatch):
    monkeypatch.setattr("granian.engine.websocket.CLOSE_TIME", 0.5)
    with EngineServer(app.asgi) as server:
        sock, _ = open_raw(server)
        server.engine.drain()
        assert parse(sock.recv(100)) == [(0x88, b"\x03\xf4")]
        started = time.monotonic()
        assert server.engine.join(5)
        assert 0.2 < time.monotonic() - started < 2
        sock.close()


@pytest.mark.parametrize(
    ("interface", "method", "status"), [("asgi", "-", 403), ("rsgi", "GET", 404)]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_access_log_knows_websockets(interface, method, status, threads):
    """One line each, as soon as the handshake is answered."""
    options = {"runtime_threads": threads, "runtime_mode": "mt", "access_log": True}
    with GranianServer(f"tests.apps.sockets:{interface}", interface, **options) as server:
        sock, _ = open_raw(server, "/open?q=1")
        server.wait_line(f'"{method} /open HTTP/1.1" 101 ')
        open_raw(server, "/refuse")[0].close()
        server.wait_line(f'"{method} /refuse HTTP/1.1" {status} ')
        sock.sendall(close(1000))
        assert parse(read_all(sock)) == [(0x88, b"\x03\xe8")]
        sock.close()
        assert server.stop() == 0
        assert server.log.count("HTTP/1.1") == 2


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_the_metrics_know_websockets(interface):
    """Accepted ones are handled, whatever becomes of them; a breach of the peer's is an error."""
    pytest.importorskip("prometheus_client")

    def counted():
        scraped = server.scrape()
        names = ("websockets_handled", "websockets_err", "requests_handled", "connections_active")
        return [scraped.get(name) for name in names]

    with ScrapedServer(f"tests.apps.sockets:{interface}", interface) as server:
        wait_until(lambda: counted() == [0, 0, 0, 0], 10)
        lasting, _ = open_raw(server)
        wait_until(lambda: counted() == [1, 0, 1, 1], 10)
        for octets in (close(1000), close(1009), frame(3)):
            sock, _ = open_raw(server)
            sock.sendall(octets)
            assert read_all(sock)
            sock.close()
        wait_until(lambda: counted() == [4, 1, 4, 1], 10)
        sock, _ = open_raw(server, "/refuse")
        sock.close()
        lasting.close()
        wait_until(lambda: counted() == [4, 1, 5, 0], 10)


# frameworks


def test_starlette():
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import WebSocketRoute

    async def echo(socket):
        await socket.accept("chat", headers=[(b"x-from", b"starlette")])
        async for message in socket.iter_text():
            await socket.send_text(message)

    async def deny(socket):
        await socket.send_denial_response(PlainTextResponse("not you", 401))

    async def client(server):
        async with websockets.connect(url(server, "/echo"), subprotocols=["chat"]) as peer:
            assert peer.subprotocol == "chat"
            assert headers_of(peer)["x-from"] == "starlette"
            await peer.send("message")
            assert await peer.recv() == "message"

    routes = [WebSocketRoute("/echo", echo), WebSocketRoute("/deny", deny)]
    with EngineServer(Starlette(routes=routes)) as server:
        run(client(server))
        sock, head = open_raw(server, "/deny")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert sock.recv(100) == b"not you"
        sock.close()


def test_channels():
    generic = pytest.importorskip("channels.generic.websocket")
    configure_django()
    from channels.routing import URLRouter
    from django.urls import path

    class Echo(generic.WebsocketConsumer):
        def connect(self):
            self.accept(self.scope["subprotocols"][0])

        def receive(self, text_data=None, bytes_data=None):
            self.send(text_data=text_data, bytes_data=bytes_data)
            if text_data == "end":
                self.close(4005)

    async def client(server):
        async with websockets.connect(url(server, "/chat"), subprotocols=["one"]) as peer:
            assert peer.subprotocol == "one"
            for message in ("text", b"octets", "end"):
                await peer.send(message)
                assert await peer.recv() == message
            await peer.wait_closed()
            assert peer.close_code == 4005

    application = URLRouter([path("chat", Echo.as_asgi())])
    with EngineServer(application, "asginl") as server:
        run(client(server))


def test_socketio():
    socketio = pytest.importorskip("socketio")
    pytest.importorskip("aiohttp")
    server_side = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @server_side.event
    async def shout(sid, data):
        return data.upper()

    async def client(server, transports):
        peer = socketio.AsyncClient()
        await peer.connect(url(server, scheme="http"), transports=transports)
        assert await peer.call("shout", "quiet") == "QUIET"
        assert peer.transport() == "websocket"
        await peer.disconnect()

    with EngineServer(socketio.ASGIApp(server_side)) as server:
        run(client(server, ["websocket"]))
        run(client(server, ["polling", "websocket"]))


def test_a_graphql_subscription():
    strawberry = pytest.importorskip("strawberry")
    from strawberry.asgi import GraphQL

    @strawberry.type
    class Query:
        nothing: int = 0

    @strawberry.type
    class Subscription:
        @strawberry.subscription
        async def count(self, to: int) -> AsyncGenerator[int, None]:
            for index in range(to):
                yield index

    schema = strawberry.Schema(Query, subscription=Subscription)

    async def client(server):
        options = {"subprotocols": ["graphql-transport-ws"]}
        async with websockets.connect(url(server), **options) as peer:
            await peer.send(json.dumps({"type": "connection_init"}))
            assert json.loads(await peer.recv())["type"] == "connection_ack"
            query = {"query": "subscription { count(to: 3) }"}
            await peer.send(json.dumps({"id": "1", "type": "subscribe", "payload": query}))
            counted = []
            while True:
                message = json.loads(await peer.recv())
                if message["type"] == "complete":
                    break
                counted.append(message["payload"]["data"]["count"])
            assert counted == [0, 1, 2]
            await peer.send("this is no JSON")
            await peer.wait_closed()
            assert peer.close_code == 4400
            assert peer.close_reason

    with EngineServer(GraphQL(schema), "asginl") as server:
        run(client(server))
