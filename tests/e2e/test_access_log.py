"""Access lines of real exchanges: sizes, fields, worker, as text and as JSON."""

import json
import ssl

import pytest

from tests.support.servers import ROOT, GranianServer

httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.e2e

APP = """
ANSWER = [(b"content-type", b"text/css"), (b"x-two", b"2")]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/raise":
        raise ValueError("told to\\nfail")
    await send({"type": "http.response.start", "status": 201, "headers": ANSWER})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    await send({"type": "http.response.body", "body": b"12345"})

async def rsgi(scope, protocol):
    await protocol()
    if scope.path == "/raise":
        raise ValueError("told to\\nfail")
    fields = [(name.decode(), value.decode()) for name, value in ANSWER]
    if scope.path == "/stream":
        transport = protocol.response_stream(201, fields)
        await transport.send_bytes(b"12345")
        await transport.send_bytes(b"12345")
    else:
        protocol.response_bytes(201, fields, b"12345")

def wsgi(environ, start_response):
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("told to\\nfail")
    start_response("201 Created", [(name.decode(), value.decode()) for name, value in ANSWER])
    if environ["PATH_INFO"] == "/stream":
        return iter([b"12345", b"12345"])
    return [b"12345"]
"""
ATOMS = (
    "%(method)s %(path)s %(status)d in=%(bytes_in)d out=%(bytes_out)d "
    "type=%(response_header{Content-Type})s two=%(response_header{x-two})s "
    "id=%(request_id)s worker=%(worker)d %(tls)s"
)
WAYS = {
    "asgi": ("asgi", {}),
    "asgi, one loop": ("asgi", {"runtime_mode": "mt", "runtime_threads": 2}),
    "rsgi": ("rsgi", {}),
    "wsgi": ("wsgi", {}),
    "wsgi, threads": ("wsgi", {"blocking_threads": 4}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("logged")
    (path / "main.py").write_text(APP)
    (path / "static").mkdir()
    (path / "static" / "file.txt").write_text("static")
    return path


@pytest.fixture(scope="module", params=WAYS)
def server(request, folder):
    interface, options = WAYS[request.param]
    with GranianServer(
        f"main:{interface}",
        interface,
        cwd=folder,
        access_log=True,
        access_log_fmt=ATOMS,
        static_path_mount="static",
        **options,
    ) as running:
        yield running


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(request, server):
    http2 = request.param == "HTTP/2"
    with httpx.Client(http1=not http2, http2=http2, base_url=server.url) as client:
        client.http2 = http2
        yield client


def pieces(*sizes):
    for size in sizes:
        yield b"x" * size


BODIES = {
    "none": (b"", 0),
    "small": (b"123", 3),
    "large": (b"x" * 300_000, 300_000),
    "pieces": (lambda: pieces(10, 70_000, 1), 70_011),
}


@pytest.mark.parametrize("body", BODIES)
def test_sizes_are_those_of_the_bodies(server, client, body):
    content, size = BODIES[body]
    path = f"/{body}-{client.http2}"
    answer = client.post(path, content=content() if callable(content) else content)
    assert answer.content == b"12345"
    line = server.wait_line(f"POST {path} ")
    assert line == f"POST {path} 201 in={size} out=5 type=text/css two=2 id=- worker=1 -"


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/stream", "201 in=0 out=10 type=text/css two=2"),
        ("HEAD", "/", "201 in=0 out=0 type=text/css two=2"),
        ("GET", "/static/file.txt", "200 in=0 out=6 type=text/plain two=-"),
        ("HEAD", "/static/file.txt", "200 in=0 out=0 type=text/plain two=-"),
        ("GET", "/static/none", "404 in=0 out=9 type=text/plain; charset=utf-8 two=-"),
    ],
)
def test_one_line_tells_of_the_response(server, client, method, path, said):
    name = f"{method}-{path.strip('/').replace('/', '-')}-{client.http2}"
    client.request(method, path, headers={"x-request-id": name})
    assert server.wait_line(f"id={name} ") == f"{method} {path} {said} id={name} worker=1 -"


def test_a_failure_is_a_line_too(server, client):
    client.get("/raise", headers={"x-request-id": f"raise-{client.http2}"})
    line = server.wait_line(f"id=raise-{client.http2} ")
    assert line.startswith("GET /raise 500 in=0 out=")


def test_every_worker_says_which_it_is(folder):
    with GranianServer(
        "main:asgi", cwd=folder, workers=2, access_log=True, access_log_fmt="worker %(worker)d."
    ) as server:
        heard = set()
        for _ in range(200):
            httpx.get(server.url)
            heard = {line for line in server.lines if line.startswith("worker ")}
            if len(heard) == 2:
                break
        assert heard == {"worker 1.", "worker 2."}


def test_tls_is_named(folder):
    certs = ROOT / "tests" / "certs"
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with GranianServer(
        "main:wsgi",
        "wsgi",
        cwd=folder,
        access_log=True,
        access_log_fmt="over %(tls)s %(scheme)s",
        ssl_certificate=certs / "server.pem",
        ssl_keyfile=certs / "server-key.pem",
    ) as server, httpx.Client(verify=context) as client:
        client.get(server.url)
        server.wait_line(r"^over TLSv1\.3 https$")


@pytest.mark.parametrize("interface", ["asgi", "rsgi", "wsgi"])
def test_json_is_one_object_for_every_line(folder, interface):
    with GranianServer(
        f"main:{interface}",
        interface,
        cwd=folder,
        log_json=True,
        access_log=True,
        access_log_fmt=ATOMS,
        wait=False,
    ) as server:
        port = json.loads(server.wait_line("Listening at"))["message"].rpartition(":")[2]
        server.wait_line("Started worker-1")
        url = f"http://127.0.0.1:{port}"
        httpx.post(f"{url}/one", content=b"123", headers={"x-request-id": "seven"})
        httpx.get(f"{url}/raise")
        server.wait_line('"path":"/raise"')
        assert server.stop() == 0
        entries = [json.loads(line) for line in server.lines]
    assert all({"time", "level", "logger", "pid"} <= set(entry) for entry in entries)
    one, failed = [entry for entry in entries if entry["logger"] == "granian.access"]
    told = ("path", "status", "bytes_in", "bytes_out", "response_content_type", "response_x_two")
    assert [one[name] for name in told] == ["/one", 201, 3, 5, "text/css", "2"]
    assert (one["request_id"], one["worker"], failed["status"]) == ("seven", 1, 500)
    (raised,) = [entry for entry in entries if entry["level"] == "error"]
    assert raised["message"] == "Application callable raised an exception"
    assert "ValueError: told to\nfail" in raised["exception"]
    assert raised["worker"] == 1
