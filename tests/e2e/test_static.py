"""Static files before every interface, over real sockets."""

import os
import threading

import pytest

from granian.plan import StaticPlan
from tests.e2e.test_wsgi import app as wsgi_app
from tests.support.lines import get
from tests.support.servers import EngineServer
from tests.support.wire import Wire

httpx = pytest.importorskip("httpx")


async def asgi_app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


async def rsgi_app(scope, protocol):
    protocol.response_str(200, [], scope.path)


INTERFACES = {
    "asginl": (asgi_app, {}),
    "rsgi": (rsgi_app, {}),
    "wsgi": (wsgi_app, {}),
    "wsgi, threads": (wsgi_app, {"blocking_threads": 4}),
}
LARGE = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def mounts(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    (root / "secret").write_bytes(b"secret")
    files = root / "static"
    files.mkdir()
    (files / "small.txt").write_bytes(b"small")
    (files / "large.bin").write_bytes(LARGE)
    (files / "café.txt").write_bytes(b"coffee")
    other = root / "other"
    other.mkdir()
    (other / "x.pem").write_bytes(b"pem")
    return ("/static", str(files)), ("/other", str(other))


@pytest.fixture(scope="module", params=INTERFACES, ids=str)
def server(request, mounts):
    target, options = INTERFACES[request.param]
    interface = request.param.split(",")[0]
    with EngineServer(target, interface, static=StaticPlan(mounts), **options) as running:
        yield running


def test_files_of_every_size(client):
    small = client.get("/static/small.txt")
    assert (small.content, small.headers["content-type"]) == (b"small", "text/plain")
    assert small.headers["cache-control"] == "max-age=86400"
    assert client.get("/static/large.bin").content == LARGE
    assert client.get("/static/caf%C3%A9.txt").content == b"coffee"
    assert client.get("/other/x.pem").headers["content-type"] == "application/x-x509-ca-cert"


def test_parts_and_conditions(client):
    whole = client.get("/static/large.bin")
    part = client.get("/static/large.bin", headers={"range": "bytes=1000-2000999"})
    assert (part.status_code, part.content) == (206, LARGE[1000:2_001_000])
    same = client.get("/static/large.bin", headers={"if-none-match": whole.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    head = client.head("/static/large.bin")
    assert (head.headers["content-length"], head.content) == ("3000000", b"")


def test_the_application_answers_all_else(client):
    assert client.get("/page").content == b"/page"
    assert client.post("/static/small.txt").content != b"small"
    assert client.get("/static/missing").status_code == 404


@pytest.mark.parametrize(
    "target", ["/static/../secret", "/static/%2e%2e/secret", "/static/..%2fsecret", "/static//"]
)
def test_nothing_outside_is_revealed(server, target):
    with Wire(server.address) as wire:
        answer = wire.exchange(get(target))
    assert (answer.status, answer.body) == (404, b"Not found")


def test_a_file_that_shrinks_is_visibly_cut(server, mounts):
    """Row 155: never a wrong length that looks right."""
    path = os.path.join(mounts[0][1], "shrinking.bin")
    with open(path, "wb") as file:
        file.write(bytes(30_000_000))
    with Wire(server.address) as wire:
        wire.send(get("/static/shrinking.bin"))
        wire.read_until(lambda data: len(data) > 100_000)
        os.truncate(path, 200_000)
        try:
            data = wire.read_to_end()
        except OSError:
            return
        assert len(data) < 30_000_000


def test_many_at_once(server):
    faults = []

    def fetch():
        with Wire(server.address) as wire:
            for _ in range(5):
                if wire.exchange(get("/static/small.txt")).body[-5:] != b"small":
                    faults.append(1)
                    return

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
