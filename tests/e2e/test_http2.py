"""HTTP/2 with clients that others wrote: curl, nghttp, h2load, httpx, node; and with raw octets."""

import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from granian.wire.http2.codes import (
    CANCEL,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    rst_stream,
)
from tests.apps.streams import BIG
from tests.support.browser import chromium, needs_chromium
from tests.support.certs import path as cert
from tests.support.http2 import REQUEST, Http2Wire, Server
from tests.support.servers import GranianServer

INTERFACES = ["asgi", "rsgi", "wsgi"]


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*command, data=None, timeout=20):
    done = subprocess.run(
        [str(part) for part in command], input=data, capture_output=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module", params=INTERFACES)
def server(request):
    interface = request.param
    more = {"blocking_threads": 4} if interface == "wsgi" else {}
    with GranianServer(f"tests.apps.streams:{interface}", interface, **more) as running:
        yield running


@pytest.fixture(scope="module")
def asgi():
    with GranianServer("tests.apps.streams:asgi", "asgi") as running:
        yield running


@pytest.fixture(scope="module")
def secure():
    options = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key")}
    with GranianServer("tests.apps.streams:asgi", "asgi", **options) as running:
        yield running


def h2_wire(server):
    """A raw client for a server, over TLS if that is what it speaks."""
    context = None
    if server.scheme == "https":
        context = ssl.create_default_context(cafile=cert("ca"))
        context.set_alpn_protocols(["h2"])
    return Http2Wire(server.address, context)


@needs("curl")
def test_curl(server):
    assert run("curl", "-sS", "--http2-prior-knowledge", server.url) == b"hello"
    scope = json.loads(run("curl", "-sS", "--http2-prior-knowledge", f"{server.url}/scope"))
    assert scope["http_version"] == "2"
    assert scope["scheme"] == "http"
    body = b"y" * 300_000
    sent = run(
        *("curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@-", f"{server.url}/echo"),
        data=body,
    )
    assert sent == body
    assert run("curl", "-sS", "--http2-prior-knowledge", f"{server.url}/big") == BIG
    got = run("curl", "-sS", "--http2-prior-knowledge", f"{server.url}/stream")
    assert got == b"one two three"
    head = run("curl", "-sS", "--http2-prior-knowledge", "-I", f"{server.url}/big")
    assert b"content-length: %d" % len(BIG) in head


@needs("curl")
def test_curl_upgrade_is_ignored(asgi):
    out = run("curl", "-sS", "--http2", "-o", "/dev/null", "-w", "%{http_version}", asgi.url)
    assert out == b"1.1"


@needs("curl")
def test_curl_over_tls(secure):
    url = f"https://localhost:{secure.port}"
    out = run("curl", "-sS", "--cacert", cert("ca"), "-w", " %{http_version}", f"{url}/scope")
    scope, _, version = out.rpartition(b" ")
    assert version == b"2"
    assert json.loads(scope)["scheme"] == "https"
    assert run("curl", "-sS", "--cacert", cert("ca"), f"{url}/big") == BIG


@needs("curl")
def test_curl_shows_early_hints(asgi):
    out = run("curl", "-sSi", "--http2-prior-knowledge", f"{asgi.url}/hints")
    assert out.startswith(b"HTTP/2 103 \r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/2 200 \r\n")


@needs("nghttp")
def test_nghttp(asgi):
    out = run("nghttp", "-v", f"{asgi.url}/trailers")
    assert b"x-sum: 42" in out
    out = run("nghttp", "-v", f"{asgi.url}/hints")
    assert b":status: 103" in out
    assert b"link: </style.css>; rel=preload" in out
    out = run("nghttp", "-nv", "-p", "200", "-m", "5", f"{asgi.url}/big")
    assert out.count(b":status: 200") == 5


@needs("h2load")
@pytest.mark.parametrize("path", ["/", "/big"])
def test_h2load(server, path):
    out = run("h2load", "-n", 200 if path == "/big" else 2000, "-c", 4, "-m", 16, server.url + path)
    assert b" 0 failed, 0 errored, 0 timeout" in out
    assert b"0 4xx, 0 5xx" in out


@needs("h2load")
def test_h2load_with_bodies(server, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"z" * 10_000)
    out = run("h2load", "-n", 500, "-c", 4, "-m", 8, "-d", body, f"{server.url}/echo")
    assert b"500 succeeded, 0 failed, 0 errored" in out


def test_httpx(server):
    with httpx.Client(http1=False, http2=True) as client:
        answer = client.get(f"{server.url}/scope")
        assert answer.http_version == "HTTP/2"
        assert answer.json()["http_version"] == "2"
        assert client.post(f"{server.url}/echo", content=b"x" * 100_000).content == b"x" * 100_000
        assert client.head(f"{server.url}/").headers["content-length"] == "5"


def test_httpx_over_tls(secure):
    context = ssl.create_default_context(cafile=cert("ca"))
    with httpx.Client(http2=True, verify=context) as client:
        answer = client.get(f"https://localhost:{secure.port}/scope")
        assert answer.http_version == "HTTP/2"
        assert answer.json()["headers"]["host"] == f"localhost:{secure.port}"


@needs("node")
def test_node(asgi):
    script = """
    const client = require('http2').connect(process.argv[1]);
    const request = client.request({':path': '/echo', ':method': 'POST'});
    let got = '';
    request.setEncoding('utf8');
    request.on('response', headers => console.log(headers[':status']));
    request.on('data', piece => got += piece);
    request.on('end', () => { console.log(got.length); client.close(); });
    request.end('n'.repeat(70000));
    """
    assert run("node", "-e", script, asgi.url).split() == [b"200", b"70000"]


@pytest.mark.parametrize("over", ["clear text", "TLS"])
def test_early_hints_come_early(over, asgi, secure):
    """RFC 8297: while the application still waits for the body."""
    with h2_wire(secure if over == "TLS" else asgi) as wire:
        wire.request(1, "/hints", "POST", last=False)
        wire.until(lambda: wire.heads(1))
        assert wire.heads(1) == [[(b":status", b"103"), (b"link", b"</style.css>; rel=preload")]]
        wire.data(1, b"body", last=True)
        wire.until(lambda: wire.complete(1))
        assert [dict(head)[b":status"] for head in wire.heads(1)] == [b"103", b"200"]
        assert wire.body(1) == b"hello"


@needs_chromium
def test_chromium_over_tls(secure, tmp_path):
    url = f"https://localhost:{secure.port}/scope"
    out = run(*chromium(tmp_path, url, "--dump-dom"), timeout=60)
    assert b'"http_version": "2"' in out


def test_octet_by_octet(asgi):
    octets = PREFACE + frame(SETTINGS, 0, 0)
    octets += frame(HEADERS, END_HEADERS | END_STREAM, 1, Server().block(*REQUEST))
    with socket.create_connection(asgi.address, timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in octets:
            sock.sendall(bytes([octet]))
        got = b""
        while b"hello" not in got:
            got += sock.recv(65_536)


@pytest.mark.parametrize(("http", "status"), [("1", (400, 505)), ("2", None)])
def test_modes(http, status):
    with GranianServer("tests.apps.streams:asgi", "asgi", http=http) as server:
        if http == "1":
            with socket.create_connection(server.address, timeout=5) as sock:
                sock.sendall(PREFACE + frame(SETTINGS, 0, 0))
                assert int(sock.recv(100).split()[1]) in status
            assert httpx.get(server.url).text == "hello"
        else:
            with httpx.Client(http1=False, http2=True) as client:
                assert client.get(server.url).text == "hello"
            with socket.create_connection(server.address, timeout=5) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                assert b"HTTP/1" not in sock.recv(1000)


def test_a_request_under_way_is_answered_at_the_end():
    with GranianServer("tests.apps.streams:asgi", "asgi") as server:
        block = Server().block(*REQUEST[:2], (b":path", b"/slow"), REQUEST[3])
        begin = PREFACE + frame(SETTINGS, 0, 0)
        with socket.create_connection(server.address, timeout=5) as idle, socket.create_connection(
            server.address, timeout=5
        ) as busy:
            idle.sendall(begin)
            busy.sendall(begin + frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
            for sock in (idle, busy):
                assert sock.recv(9)[3] == SETTINGS
            begun = time.monotonic()
            server.process.terminate()
            assert frame(GOAWAY, 0, 0)[3:9] in read_all(idle)
            assert b"hello" in read_all(busy)
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 4


def read_all(sock):
    got = b""
    while True:
        data = sock.recv(65_536)
        if not data:
            return got
        got += data


def test_a_reset_reaches_the_application(asgi):
    block = Server().block(*REQUEST[:2], (b":path", b"/slow"), REQUEST[3])
    octets = PREFACE + frame(SETTINGS, 0, 0)
    octets += frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
    octets += frame(RST_STREAM, 0, 1, b"\0\0\0\x08")
    with socket.create_connection(asgi.address, timeout=5) as sock:
        sock.sendall(octets)
        sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 3, block))  # as slow as the first
        got = b""
        while b"hello" not in got:
            got += sock.recv(1000)
        assert got.count(b"hello") == 1


def resident(pid):
    """Octets of memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc")
def test_a_hundred_thousand_resets_cost_little():
    """Row 44: from connections that each stay within their budget, so that nobody ends them."""
    numbers = range(1, 2 * 190, 2)
    block = Server().block(*REQUEST[:2], (b":path", b"/slow"), REQUEST[3])
    opening = [frame(HEADERS, END_HEADERS | END_STREAM, number, block) for number in numbers]
    resets = [rst_stream(number, CANCEL) for number in numbers]
    greeting = PREFACE + frame(SETTINGS, 0, 0)
    pings = frame(PING, 0, 0, b"all read"), frame(PING, 0, 0, b"the last")
    at_once = [greeting + b"".join(map(bytes.__add__, opening, resets)) + pings[1]]
    begun = [greeting + b"".join(opening) + pings[0], b"".join(resets) + pings[1]]

    def attack(writes):
        with socket.create_connection(server.address, timeout=10) as sock:
            for octets in writes:
                sock.sendall(octets)
                got = b""
                while octets[-8:] not in got:
                    data = sock.recv(65_536)
                    assert data, "told to leave within the budget"
                    got += data

    with GranianServer("tests.apps.streams:asgi", "asgi") as server, httpx.Client() as other:
        [worker] = server.worker_pids
        other.get(server.url)
        for writes in [begun, at_once] * 5:  # what any number of connections needs
            attack(writes)
        before, longest = resident(worker), 0.0
        for i in range(100_000 // 190):
            attack(begun if i % 10 == 0 else at_once)
            if i % 10 == 1:
                asked = time.monotonic()
                assert other.get(server.url).text == "hello"
                longest = max(longest, time.monotonic() - asked)
        assert resident(worker) - before < 8 << 20  # the table allows 20
        assert longest < 1


@pytest.mark.parametrize("interface", ["asgi", "rsgi"])
def test_a_websocket_on_a_stream(interface):
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived
    from wsproto.frame_protocol import FrameProtocol

    fields = [
        (b":method", b"CONNECT"),
        (b":protocol", b"websocket"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"localhost"),
        (b"sec-websocket-version", b"13"),
    ]
    server = GranianServer(f"tests.apps.streams:{interface}", interface)
    with server, socket.create_connection(server.address, timeout=5) as sock:
        client = H2Connection(H2Configuration(header_encoding=None))
        client.initiate_connection()
        frames = FrameProtocol(client=True, extensions=[])
        got = []

        def until(kind):
            while True:
                sock.sendall(client.data_to_send())
                got.extend(client.receive_data(sock.recv(65_536)))
                found = [event for event in got if isinstance(event, kind)]
                if found:
                    return found[-1]

        until(RemoteSettingsChanged)
        assert client.remote_settings.enable_connect_protocol == 1
        client.send_headers(1, fields)
        assert dict(until(ResponseReceived).headers)[b":status"] == b"200"
        for text in ("one", "two"):
            client.send_data(1, frames.send_data(text, True))
            frames.receive_bytes(until(DataReceived).data)
            assert [item.payload for item in frames.received_frames()] == [text]
            got.clear()
        client.send_data(1, frames.close(1000))
        frames.receive_bytes(until(DataReceived).data)
        assert [item.opcode.name for item in frames.received_frames()] == ["CLOSE"]
