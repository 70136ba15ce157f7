"""WSGI over real sockets: what PEP 3333 promises, whatever the number of threads."""

import contextlib
import logging
import socket
import sys
import threading
import time
from wsgiref.validate import validator

import pytest

from tests.apps.frameworks import django_app, flask_app
from tests.support.clients import http_client
from tests.support.lines import chunked, get, post
from tests.support.modes import BLOCKING, serving
from tests.support.servers import EngineServer, wait_until
from tests.support.wire import Wire

httpx = pytest.importorskip("httpx")

THREADS = [1, 4]
SEEN = []
LARGE = 16 << 20


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


def large(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [bytes(LARGE)]


def replaced(environ, start_response):
    """Row 128: the head has not been sent, so another takes its place."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "1")])
    try:
        raise LookupError
    except LookupError:
        start_response("409 Conflict", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"replaced"]


def torn(environ, start_response):
    """Row 128: the head is on its way, so the error goes on."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"half")
    try:
        raise LookupError("half way")
    except LookupError:
        start_response("500 Error", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"never"]


class Noted:
    """A body that notes how often it was closed."""

    def __init__(self, pieces, fails=False):
        self.pieces = iter(pieces)
        self.fails = fails

    def __iter__(self):
        return self

    def __next__(self):
        for piece in self.pieces:
            return piece
        if self.fails:
            raise LookupError
        raise StopIteration

    def close(self):
        SEEN.append("closed")


def closing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Noted([b"one", b"two"], environ["QUERY_STRING"] == "fails")


def hop(environ, start_response):
    name = environ["QUERY_STRING"]
    start_response("200 OK", [("Content-Type", "text/plain"), (name, "close, x")])
    return [b"hop"]


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


ROUTES = {
    f"/{route.__name__}": route
    for route in (
        *(echo, lines, stream, flood, file, old, late, fail, half, slow, large, empty),
        *(replaced, torn, closing, hop),
    )
}


WAYS = {**BLOCKING, "validated": {"blocking_threads": 2}}
"""The battery below runs in each; "validated" puts PEP 3333's own checker above the application."""


@pytest.fixture(scope="module", params=WAYS, ids=WAYS)
def server(request):
    target = validator(app) if request.param == "validated" else app
    with objections() as found, serving(target, "wsgi", WAYS[request.param]) as running:
        yield running
    assert found == []


@contextlib.contextmanager
def objections():
    """Collect what the server logs of the checker, which speaks in AssertionErrors."""
    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.extend(
        [record.exc_info[1]]
        if record.exc_info and isinstance(record.exc_info[1], AssertionError)
        else []
    )
    logger = logging.getLogger("_granian")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


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


def test_head(server, client):
    answer = client.head("/page")
    assert (answer.status_code, answer.content) == (200, b"")
    if server.engine.target is app:  # what the checker returns has no length
        assert answer.headers["content-length"] == "5"
    assert client.head("/stream").content == b""


def test_a_broken_stream_is_seen_by_the_peer(client, caplog):
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/half")
    assert client.get("/page").status_code == 200


def test_an_error_before_the_head_replaces_it(client):
    answer = client.get("/replaced")
    assert (answer.status_code, answer.content) == (409, b"replaced")
    assert "x-first" not in answer.headers


def test_an_error_behind_the_head_breaks_the_answer(server, caplog):
    with Wire(server.address) as wire:
        wire.send(get("/torn")).read_to_end()
        (answer,) = wire.responses()
    assert (answer.status, answer.whole) == (200, False)
    assert b"never" not in wire.received
    wait_until(lambda: caplog.records, what="the log of the error")
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]


@pytest.mark.parametrize("query", ["", "fails"])
def test_a_body_is_closed_once_however_it_ends(client, query, caplog):
    SEEN.clear()
    try:
        client.get(f"/closing?{query}")
    except httpx.HTTPError:
        assert query
    wait_until(lambda: SEEN, what="close()")
    assert SEEN == ["closed"]


@pytest.mark.parametrize("name", ["Keep-Alive", "Transfer-Encoding"])
def test_persistence_and_framing_are_the_servers(server, name, caplog):
    """Row 128: refused or dropped, and the connection stays in step."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get(f"/hop?{name}"))
        assert answer.status in (200, 500)
        # Behind the validator, which hands out a stream, the framing is chunked: by the server.
        assert answer.get(name.lower().encode()) in (None, b"chunked")
        assert wire.exchange(get("/")).status == 200


def test_an_application_may_ask_for_the_end_of_the_connection(server):
    """Row 128: its field is the server's to write, once."""
    with Wire(server.address) as wire:
        wire.send(get("/hop?Connection") + get("/")).read_to_end()
        (answer,) = wire.responses()
    assert (answer.body, answer.get(b"connection")) == (b"hop", b"close")


@pytest.mark.parametrize("missing", [5, 13, 40], ids=["body", "end of the head", "head"])
def test_a_request_in_slow_pieces_holds_no_thread(server, missing):
    """More clients stand with half a request than there are threads."""
    whole = post(b"0123456789", "/echo")
    slow_ones = [Wire(server.address).send(whole[:-missing]) for _ in range(8)]
    with Wire(server.address) as wire:
        assert wire.exchange(get("/quick")).status == 200
    for wire in slow_ones:
        assert wire.exchange(whole[-missing:]).body == b"0123456789"
        wire.__exit__()


def test_a_slow_reader_of_a_whole_answer_holds_no_thread(server):
    if server.engine.target is not app:
        pytest.skip("what the checker returns is never whole")
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(5)
            sock.connect(server.address)
            sock.sendall(get("/large"))
            assert sock.recv(12) == b"HTTP/1.1 200"
        with Wire(server.address) as wire:
            assert wire.exchange(get("/quick")).status == 200
        received = len(sock.recv(65_536))
        while received < LARGE:
            received += len(sock.recv(1 << 20))


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
        wire.read_until(lambda data: b"body" in data)


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


class Gated:
    """An application whose calls of ``/blocked`` wait until the gate is opened."""

    def __init__(self):
        self.gate = threading.Event()
        self.entered = []

    def __call__(self, environ, start_response):
        self.entered.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/blocked":
            assert self.gate.wait(10)
        return page(environ, start_response)


@contextlib.contextmanager
def blocked_calls(target, running, count):
    """Keep so many threads in calls; open the gate at the end and want their answers."""
    wires = [Wire(running.address).send(get("/blocked")) for _ in range(count)]
    wait_until(lambda: target.entered.count("/blocked") == count, what="blocked calls")
    try:
        yield
    finally:
        target.gate.set()
    for wire in wires:
        assert wire.exchange().body == b"/blocked"
        wire.__exit__()


CREWS = pytest.mark.parametrize("crews", [1, 2], ids=["one crew", "two crews"])


@CREWS
def test_blocked_calls_delay_nobody_while_a_thread_is_free(crews):
    target = Gated()
    mode = {"blocking_threads": 4, "crews": crews}
    with serving(target, "wsgi", mode) as running, blocked_calls(target, running, 3):
        for _ in range(20):
            with Wire(running.address) as wire:
                assert wire.exchange(get("/free")).body == b"/free"


@CREWS
def test_requests_wait_in_order_when_all_threads_are_busy(crews):
    target = Gated()
    with serving(target, "wsgi", {"blocking_threads": 2, "crews": crews}) as running:
        with blocked_calls(target, running, 2):
            waiting = []
            for number in range(5):
                waiting.append(Wire(running.address).send(get(f"/{number}")))
                time.sleep(0.01)  # so that there is an order
            assert len(target.entered) == 2
        for number, wire in enumerate(waiting):
            assert wire.exchange().body == b"/%d" % number
            wire.__exit__()
    order = target.entered[2:]
    assert sorted(order) == [f"/{number}" for number in range(5)]
    if crews == 1:
        # Two crews take one each at a time, and may enter the application either way.
        assert order == sorted(order)


@CREWS
def test_the_pool_grows_on_demand_and_shrinks_when_idle(crews):
    target = Gated()
    mode = {"blocking_threads": 8, "blocking_threads_idle_timeout": 0.2, "crews": crews}
    with serving(target, "wsgi", mode) as running:

        def counted(name):
            return running.engine.counters[name]

        assert counted("blocking_threads") == crews
        with blocked_calls(target, running, 5):
            assert 5 <= counted("blocking_threads") <= 8
            wait_until(lambda: counted("requests_in_flight") == 5, what="all others to be idle")
        # The first thread of each stays, and so does the one that waits for events.
        wait_until(lambda: counted("blocking_threads") <= 2 * crews, what="the others to leave")
        with Wire(running.address) as wire:
            assert wire.exchange(get("/free")).body == b"/free"


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
    running = EngineServer(make(), "wsgi", blocking_threads=count)
    with running, http_client(running) as client:
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
    running = EngineServer(wrapped, "wsgi", blocking_threads=2)
    with running, http_client(running) as client:
        answer = client.get("/static/file.txt")
        assert (answer.content, answer.headers["content-type"][:10]) == (b"static", "text/plain")
        assert client.get("/static/file.txt", headers={"range": "bytes=0-2"}).content == b"sta"
        assert client.get("/other").content == b"/other"
