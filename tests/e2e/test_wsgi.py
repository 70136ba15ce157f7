"""WSGI over real sockets: what PEP 3333 promises, whatever the number of threads."""

import hashlib
import logging
import socket
import threading
import time
from wsgiref.validate import validator

import pytest

from granian.engine import threads
from tests.apps.frameworks import django_app, flask_app
from tests.support.lines import chunked, get, post
from tests.support.servers import EngineServer, wait_until
from tests.support.wire import Wire

httpx = pytest.importorskip("httpx")

THREADS = [1, 4]
SEEN = []


def app(environ, start_response):
    handler = ROUTES.get(environ["PATH_INFO"], page)
    return handler(environ, start_response)


def page(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode("latin-1")]


def echo(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 10**9))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [body]


def lines(environ, start_response):
    pieces = list(environ["wsgi.input"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(pieces).encode()]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d\n" % number for number in range(100))


class Flood:
    """More than any buffer holds; notes how it ends."""

    def __iter__(self):
        piece = b"x" * 65_536
        for number in range(400):
            SEEN.append(number)
            yield piece

    def close(self):
        SEEN.append("closed")


def flood(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Flood()


def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def old(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one ")
    return [b"two"]


def late(environ, start_response):
    start_response("418 Teapot", [("Content-Type", "text/plain")])
    yield b"short and stout"


def fail(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise LookupError


def half(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"half"
    raise LookupError


def slow(environ, start_response):
    time.sleep(0.05)
    return page(environ, start_response)


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


ROUTES = {
    f"/{route.__name__}": route
    for route in (echo, lines, stream, flood, file, old, late, fail, half, slow, empty)
}


@pytest.fixture(scope="module", params=["1 thread", "4 threads", "4 threads that share"])
def server(request):
    count = int(request.param.split()[0])
    with pytest.MonkeyPatch.context() as patch:
        if "share" in request.param:
            # As on a build without a GIL: every thread polls for itself.
            patch.setattr(threads, "gil_enabled", lambda: False)
        with EngineServer(app, "wsgi", blocking_threads=count) as running:
            yield running


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
def client(server, request):
    host, port = server.address
    second = request.param == "HTTP/2"
    with httpx.Client(
        base_url=f"http://{host}:{port}", http1=not second, http2=second, trust_env=False
    ) as made:
        yield made


def test_bodies(client):
    for size in (0, 10, 10_000, 1_000_000):
        body = bytes(bytearray(range(256))) * (size // 256 + 1)
        assert client.post("/echo", content=body).content == body


def test_a_chunked_body(client):
    pieces = [b"one\ntw", b"o\nthree"]
    assert client.post("/lines", content=iter(pieces)).text == repr([b"one\n", b"two\n", b"three"])


def test_a_large_chunked_body(client):
    pieces = [b"%05d" % number * 1000 for number in range(100)]
    assert client.post("/echo", content=iter(pieces)).content == b"".join(pieces)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/caf%C3%A9", 200, "/café".encode()),
        ("/stream", 200, b"".join(b"%d\n" % number for number in range(100))),
        ("/old", 200, b"one two"),
        ("/late", 418, b"short and stout"),
        ("/fail", 500, b""),
        ("/empty", 204, b""),
        ("/slow", 200, b"/slow"),
    ],
)
def test_answers(client, path, status, body):
    answer = client.get(path)
    assert (answer.status_code, answer.content) == (status, body)


def test_a_file(client):
    with open(__file__, "rb") as source:
        assert client.get("/file").content == source.read()


def test_head(client):
    answer = client.head("/page")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "5"
    assert client.head("/stream").content == b""


def test_a_broken_stream_is_seen_by_the_peer(client, caplog):
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/half")
    assert client.get("/page").status_code == 200


def test_a_body_in_slow_pieces_holds_no_thread(server):
    """More clients stand with half a request than there are threads."""
    whole = post(b"0123456789", "/echo")
    slow_ones = [Wire(server.address).send(whole[:-5]) for _ in range(8)]
    with Wire(server.address) as wire:
        assert wire.exchange(get("/quick")).status == 200
    for wire in slow_ones:
        assert wire.exchange(whole[-5:]).body == b"0123456789"
        wire.__exit__()


def test_pipelined_requests_are_answered_in_order(server):
    sent = b"".join([get("/a"), post(b"body", "/echo"), chunked(b"x", target="/echo"), get("/b")])
    with Wire(server.address) as wire:
        wire.send(sent)
        wire.read_until(lambda data: len(wire.responses()) >= 4)
        assert [answer.body for answer in wire.responses()] == [b"/a", b"body", b"x", b"/b"]


def test_expect_continue(server):
    head = post(b"body", "/echo", "Expect: 100-continue")[:-4]
    with Wire(server.address) as wire:
        wire.send(head)
        wire.read_until(lambda data: b"100 Continue" in data)
        wire.send(b"body")
        wire.read_until(lambda data: data.endswith(b"body"))


def test_a_client_that_leaves_ends_the_iteration(server):
    SEEN.clear()
    sock = socket.create_connection(server.address)
    sock.sendall(get("/flood"))
    sock.recv(1000)
    sock.close()
    wait_until(lambda: "closed" in SEEN, what="close()")
    assert SEEN.count("closed") == 1
    assert len(SEEN) < 400


def test_a_slow_reader_slows_the_application_only(server):
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
        if server.plan.blocking_threads > 1:
            with Wire(server.address) as wire:
                assert wire.exchange(get("/page")).status == 200
    wait_until(lambda: "closed" in SEEN, what="close()")


def test_the_reference_validator_finds_nothing(caplog):
    """PEP 3333's own checker between server and application, over everything above."""
    with EngineServer(validator(strict), "wsgi", blocking_threads=2) as running:
        host, port = running.address
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            for _ in range(2):
                assert client.get("/page?a=b", headers={"cookie": "a=b"}).status_code == 200
                assert client.head("/page").status_code == 200
                assert client.post("/echo", content=b"x" * 100_000).content == b"x" * 100_000
                assert client.post("/echo", content=iter([b"chunk"])).content == b"chunk"
                assert len(client.get("/stream").content) == 290
                assert client.get("/old").text == "one two"
                assert client.get("/late").status_code == 418
                assert client.get("/empty").status_code == 204
                assert client.options("/%2e?%00").status_code == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def strict(environ, start_response):
    """The same application, reading as the validator wants."""
    if environ["PATH_INFO"] == "/echo":
        body = environ["wsgi.input"].read(10**9)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    return app(environ, start_response)


def test_blocked_calls_delay_nobody_while_a_thread_is_free():
    gate = threading.Event()

    def blocking(environ, start_response):
        if environ["PATH_INFO"] == "/blocked":
            assert gate.wait(10)
        return page(environ, start_response)

    with EngineServer(blocking, "wsgi", blocking_threads=4) as running:
        blocked = [Wire(running.address).send(get("/blocked")) for _ in range(3)]
        for _ in range(20):
            with Wire(running.address) as wire:
                assert wire.exchange(get("/free")).body == b"/free"
        gate.set()
        for wire in blocked:
            assert wire.exchange().body == b"/blocked"
            wire.__exit__()


def test_requests_wait_in_order_when_all_threads_are_busy():
    gate = threading.Event()
    order = []

    def blocking(environ, start_response):
        if environ["PATH_INFO"] == "/blocked":
            assert gate.wait(10)
        else:
            order.append(environ["PATH_INFO"])
        return page(environ, start_response)

    with EngineServer(blocking, "wsgi", blocking_threads=2) as running:
        blocked = [Wire(running.address).send(get("/blocked")) for _ in range(2)]
        time.sleep(0.1)  # both are in their calls
        waiting = []
        for number in range(5):
            waiting.append(Wire(running.address).send(get(f"/{number}")))
            time.sleep(0.01)  # so that there is an order
        assert order == []
        gate.set()
        for number, wire in enumerate(waiting):
            assert wire.exchange().body == b"/%d" % number
        for wire in [*blocked, *waiting]:
            wire.__exit__()


@pytest.mark.parametrize("count", THREADS)
def test_draining_answers_what_was_received(count):
    with EngineServer(app, "wsgi", blocking_threads=count) as running:
        with Wire(running.address) as wire, Wire(running.address) as idle:
            assert idle.exchange(get("/page")).status == 200
            wire.send(get("/slow"))
            time.sleep(0.01)
            running.engine.drain()
            assert wire.exchange().body == b"/slow"
            idle.read_to_end()
        assert running.engine.join(5)


@pytest.mark.parametrize("make", [flask_app, django_app], ids=["Flask", "Django"])
@pytest.mark.parametrize("count", THREADS)
def test_frameworks(make, count, caplog):
    with EngineServer(make(), "wsgi", blocking_threads=count) as running:
        host, port = running.address
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            assert client.get("/?a=b").json() == {"path": "/", "args": {"a": "b"}}
            for body in (b"small", b"x" * 200_000):
                assert client.post("/upload", content=body).content == body
            assert client.get("/stream").text == "0\n1\n2\n3\n4\n"
            assert b"One small application" in client.get("/file").content
            assert client.get("/caf%C3%A9").content == "/café".encode()
            assert client.get("/missing").status_code == 404
            assert client.get("/fail").status_code == 500
            assert client.head("/").content == b""


def test_chunked_uploads_reach_flask():
    with EngineServer(flask_app(), "wsgi") as running:
        host, port = running.address
        url = f"http://{host}:{port}/upload"
        assert (
            httpx.post(url, content=iter([b"a" * 70_000, b"b"]), trust_env=False).content[-2:]
            == b"ab"
        )


def test_whitenoise(tmp_path):
    whitenoise = pytest.importorskip("whitenoise")
    (tmp_path / "file.txt").write_bytes(b"static")
    wrapped = whitenoise.WhiteNoise(app, root=str(tmp_path), prefix="static/")
    with EngineServer(wrapped, "wsgi", blocking_threads=2) as running:
        host, port = running.address
        with httpx.Client(base_url=f"http://{host}:{port}", trust_env=False) as client:
            answer = client.get("/static/file.txt")
            assert (answer.content, answer.headers["content-type"][:10]) == (
                b"static",
                "text/plain",
            )
            assert client.get("/static/file.txt", headers={"range": "bytes=0-2"}).content == b"sta"
            assert client.get("/other").content == b"/other"


# stress


def hash_of(environ, start_response):
    body = environ["wsgi.input"].read()
    digest = hashlib.sha256(body).hexdigest()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.002)
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Size", str(len(body)))])
    return [digest.encode()]


def press(address, clients, requests, deadline):
    """Unique bodies from many threads over few packets or many; returns what went wrong."""
    faults = []

    def run(number):
        try:
            with socket.create_connection(address) as sock:
                reader = sock.makefile("rb")
                for count in range(requests):
                    body = b"%d-%d-" % (number, count) * (1 + (number * 7 + count * 13) % 200)
                    path = "/slow" if count % 10 == 0 else "/"
                    sent = post(body, path)
                    half = len(sent) // 2 if count % 3 == 0 else len(sent)
                    sock.sendall(sent[:half])
                    if half != len(sent):
                        sock.sendall(sent[half:])
                    if b"200" not in reader.readline():
                        faults.append("status")
                    size = 0
                    while True:
                        line = reader.readline().strip().lower()
                        if not line:
                            break
                        if line.startswith(b"content-length:"):
                            size = int(line.split(b":")[1])
                    if reader.read(size) != hashlib.sha256(body).hexdigest().encode():
                        faults.append("another's answer")
        except Exception as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    end = time.monotonic() + deadline
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        faults.append("a client still waits")
    return faults


def descriptors():
    import os

    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


@pytest.mark.parametrize("gil", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_under_pressure(count, gil, monkeypatch):
    monkeypatch.setattr(threads, "gil_enabled", lambda: gil)
    before = descriptors(), threading.active_count()
    with EngineServer(hash_of, "wsgi", blocking_threads=count) as running:
        assert press(running.address, 16, 20, 60) == []
        wait_until(lambda: running.engine.connection_count == 0, what="closed connections")
    wait_until(lambda: (descriptors(), threading.active_count()) == before, what="nothing left")


@pytest.mark.soak
@pytest.mark.parametrize("count", [2, 4, 16])
def test_under_long_pressure(count):
    before = descriptors(), threading.active_count()
    with EngineServer(hash_of, "wsgi", blocking_threads=count) as running:
        assert press(running.address, 64, 1050, 900) == []
        wait_until(lambda: running.engine.connection_count == 0, what="closed connections")
    wait_until(lambda: (descriptors(), threading.active_count()) == before, what="nothing left")
