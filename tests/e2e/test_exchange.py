"""Whole exchanges over HTTP/1: bodies, pipelining, persistence, and applications that misbehave.

Rows of the threat table about messages that are well formed but cut, early, late, unread, or
answered wrongly.
"""

import json
import shutil
import socket
import subprocess
import threading
import time

import pytest

from tests.apps import wire as app
from tests.support.lines import chunked, get, octets, post
from tests.support.modes import ASYNC, serving
from tests.support.servers import wait_until
from tests.support.wire import Wire, finals, parse

CHUNKED = "Transfer-Encoding: chunked"
NEXT = get("/next")


@pytest.fixture(scope="module", params=ASYNC.values(), ids=ASYNC)
def server(request):
    with serving(app.asgi, "asgi", request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def forget():
    app.SEEN.clear()


def seen(path, event="disconnect"):
    return (path, event) in app.SEEN


# bodies that end early, unread, or late


@pytest.mark.parametrize(
    "sent",
    [
        get("/cut", "Content-Length: 10", method="POST") + b"12345",
        get("/cut", CHUNKED, method="POST") + b"5\r\nhello\r\n",
        get("/cut", CHUNKED, method="POST") + b"5\r\nhel",
        get("/cut", CHUNKED, method="POST") + b"5\r\nhello\r\n0\r\n",
    ],
    ids=["short length", "no last chunk", "inside a chunk", "no final CRLF"],
)
@pytest.mark.parametrize("end", ["fin", "rst"])
def test_body_cut_by_the_peer(server, sent, end):
    """Row 18: the application learns it, and no 2xx is sent."""
    with Wire(server.address) as wire:
        wire.send(sent)
        if end == "fin":
            wire.finish().read_to_end()
            assert 200 not in [answer.status for answer in finals(wire.responses())]
        else:
            reset(wire)
    wait_until(lambda: seen("/cut"), what="http.disconnect")


def reset(wire):
    wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    wire.sock.close()


@pytest.mark.parametrize("size", [5, 60_000])
def test_small_unread_body_is_drained(server, size):
    """Row 19: what looks like a request inside a body is body."""
    body = (get("/smuggled") * (size // 30 + 1))[:size]
    with Wire(server.address) as wire:
        wire.send(post(body, "/unread") + NEXT)
        wire.read_until(b"/next")
        first, second = wire.responses()
    assert first.body == b"ok"
    assert json.loads(second.body)["path"] == "/next"


def test_small_unread_body_that_comes_late_is_drained(server):
    with Wire(server.address) as wire:
        wire.send(get("/unread", "Content-Length: 3000", method="POST"))
        wire.read_until(b"ok")
        wire.send(b"x" * 3000 + NEXT)
        wire.read_until(b"/next")


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_large_unread_body_closes(server, kind):
    """Rows 19 and 20: closed after the answer, which arrives although input is left unread."""
    size = 3_000_000
    if kind == "length":
        octets_sent = get("/unread", f"Content-Length: {size}", method="POST") + b"x" * size
    else:
        octets_sent = chunked(b"x" * size, target="/unread")
    with Wire(server.address) as wire:
        sender = threading.Thread(target=wire.send, args=(octets_sent + NEXT,))
        sender.start()
        wire.read_until(b"ok")
        sender.join(5)
        wire.finish().read_to_end()
        (answer,) = finals(wire.responses())
    assert answer.status == 200
    assert not sender.is_alive()


@pytest.mark.parametrize("extra", [b"\r\n", NEXT * 10], ids=["crlf", "requests"])
def test_answer_survives_input_after_the_last_request(server, extra):
    """Rows 20 and 41: a large last answer reaches a slow reader whole, whatever follows."""
    with Wire(server.address) as wire:
        wire.send(get("/big", "Connection: close"))
        wire.read_until(b"\r\n\r\n")
        wire.send(extra)
        time.sleep(0.05)  # the reader is slow: that is the case under test
        wire.send(extra)
        wire.read_to_end()
        (answer,) = finals(wire.responses())
    assert len(answer.body) == app.BIG
    assert answer.says_close


# 100-continue


def test_continue_comes_when_the_application_reads(server):
    """Row 38."""
    head = get("/late?0.05", "Content-Length: 5", "Expect: 100-continue", method="POST")
    with Wire(server.address) as wire:
        wire.send(head)
        wire.read_until(b"100 Continue")
        assert seen("/late", "begun")
        wire.send(b"hello")
        wire.exchange()
        interim, final = wire.responses()
    assert (interim.status, final.status, final.body) == (100, 200, b"5")


def test_no_continue_when_nobody_reads(server):
    head = get("/unread", "Content-Length: 5", "Expect: 100-continue", method="POST")
    with Wire(server.address) as wire:
        wire.send(head)
        wire.read_to_end()
        (answer,) = wire.responses()
    assert (answer.status, answer.says_close) == (200, True)


@pytest.mark.parametrize("body", [b"hello", b"he"])
def test_no_continue_when_the_body_has_begun(server, body):
    head = get("/", "Content-Length: 5", "Expect: 100-continue", method="POST")
    with Wire(server.address) as wire:
        wire.send(head + body)
        answer = wire.exchange(b"hello"[len(body) :])
        assert [response.status for response in wire.responses()] == [200]
    assert json.loads(answer.body)["body"] == "hello"


def test_no_continue_to_http_1_0(server):
    head = get("/", "Content-Length: 5", "Expect: 100-continue", method="POST", version="1.0")
    with Wire(server.address) as wire:
        wire.send(head)
        wire.send(b"hello").exchange()
        assert [response.status for response in wire.responses()] == [200]


# 103 Early Hints


FIRST_LINKS = [b"</a.css>; rel=preload"]
MORE_LINKS = [b"</b.css>; rel=preload", b"</c.js>; rel=modulepreload"]


def test_early_hints_come_early(server):
    """RFC 8297: each hint leaves at once, while the application still waits for the body."""
    with Wire(server.address) as wire:
        wire.send(get("/hints", "Content-Length: 5", method="POST"))
        wire.read_until(b"\r\n\r\n")
        (hint,) = wire.responses()
        assert (hint.status, hint.headers) == (103, [(b"link", link) for link in FIRST_LINKS])
        final = wire.exchange(b"hello", "POST")
        assert (final.status, final.body, final.all(b"link")) == (200, b"hello", [b"</a.css>"])
        assert [answer.status for answer in wire.responses()] == [103, 103, 200]
        assert wire.responses()[1].all(b"link") == MORE_LINKS
        assert wire.exchange(NEXT).status == 200  # the connection lives on


def test_early_hints_keep_their_place_among_pipelined_answers(server):
    with Wire(server.address) as wire:
        wire.exchange(get("/hints") + get("/hints") + NEXT, count=3)
        statuses = [answer.status for answer in wire.responses()]
    assert statuses == [103, 103, 200, 103, 103, 200, 200]


@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",)])
def test_no_early_hints_to_http_1_0(server, fields):
    """RFC 9110 section 15.2."""
    with Wire(server.address) as wire:
        wire.send(get("/hints", "Content-Length: 5", *fields, method="POST", version="1.0"))
        final = wire.exchange(b"hello", "POST")
        assert (final.status, final.body) == (200, b"hello")
        assert [answer.status for answer in wire.responses()] == [200]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("version", "hints"), [("1.1", 2), ("1.0", 0)])
def test_early_hints_as_curl_shows_them(server, version, hints):
    host, port = server.address
    command = ["curl", "-sSi", f"--http{version}", f"http://{host}:{port}/hints"]
    out = subprocess.run(command, capture_output=True, timeout=20, check=True).stdout
    assert out.count(b"HTTP/1.1 103 Early Hints\r\n") == hints
    assert out.count(b"link: </c.js>; rel=modulepreload\r\n") == (hints > 0)
    assert out.count(b"HTTP/1.1 200 OK\r\n") == 1


# persistence and pipelining


def test_pipelined_requests_are_answered_in_order(server):
    """Row 40."""
    paths = [f"/p{number}" for number in range(50)]
    with Wire(server.address) as wire:
        wire.send(b"".join(map(get, paths)))
        wire.exchange(count=50)
        assert [json.loads(answer.body)["path"] for answer in wire.responses()] == paths


def test_slow_answer_is_not_overtaken(server):
    with Wire(server.address) as wire:
        wire.send_each(octets(get("/sleep?0.1") + get("/unread")))
        wire.exchange(count=2)
        assert [answer.body for answer in wire.responses()] == [b"slept", b"ok"]


def test_octets_that_arrive_while_a_request_waits_stay_behind_it(server):
    """Pipelined octets cut at the worst places: inside the request that has to wait its turn."""
    for cut in range(1, 40):
        with Wire(server.address) as wire:
            wire.send(get("/", CHUNKED, method="POST") + b"5\r\nhello\r\n")
            wire.send(b"0\r\n\r\n" + NEXT[:cut])
            wire.send(NEXT[cut:])
            wire.exchange(count=2)
            assert [answer.status for answer in wire.responses()] == [200, 200]


def test_one_request_in_work_per_connection(server):
    with Wire(server.address) as wire:
        wire.send(get("/sleep?0.2") * 3)
        wait_until(lambda: seen("/sleep", "begun"))
        assert app.SEEN.count(("/sleep", "begun")) == 1
        wire.exchange(count=3)


def test_pipelined_flood_is_not_read_into_memory(server):
    """Row 40: while a request is in work, no more than a head's worth of input is taken."""
    flood = get("/x", "X-Fill: " + "y" * 8000)
    with Wire(server.address) as wire:
        wire.send(get("/wait"))
        wait_until(lambda: seen("/wait", "begun"))
        sent = send_until_stalled(wire, flood * 8, 64_000_000)
    assert sent < 16_000_000  # the kernel's buffers on both sides, and our 400 KiB


def send_until_stalled(wire, piece, limit):
    """Send until the server takes no more for half a second, or the limit is reached."""
    wire.sock.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            sent += wire.sock.send(piece)
    except socket.timeout:
        pass
    return sent


@pytest.mark.parametrize(
    ("request_octets", "kept"),
    [
        (get("/x"), True),
        (get("/x", "Connection: close"), False),
        (get("/x", "Connection: foo, Close"), False),
        (get("/x", version="1.0"), False),
        (get("/x", "Connection: keep-alive", version="1.0"), True),
    ],
)
def test_persistence(server, request_octets, kept):
    with Wire(server.address) as wire:
        answer = wire.exchange(request_octets)
        assert answer.says_close is not kept or not kept
        if kept:
            assert wire.exchange(NEXT).status == 200
        else:
            wire.read_to_end()
            assert len(wire.responses()) == 1


def test_keep_alive_to_http_1_0_is_said(server):
    with Wire(server.address) as wire:
        answer = wire.exchange(get("/x", "Connection: keep-alive", version="1.0"))
    assert answer.get(b"connection") == b"keep-alive"


def test_nothing_is_answered_after_close(server):
    """Row 41."""
    with Wire(server.address) as wire:
        wire.send(get("/x", "Connection: close") + NEXT * 5)
        wire.read_to_end()
        assert [answer.status for answer in wire.responses()] == [200]


def test_half_closed_peer_still_gets_its_answer(server):
    with Wire(server.address) as wire:
        wire.send(get("/sleep?0.1")).finish()
        wire.read_to_end()
        (answer,) = wire.responses()
    assert answer.body == b"slept"


# answers without a body


@pytest.mark.parametrize(
    ("path", "length"), [("/unread", b"2"), ("/stream", None), ("/big", b"2000000")]
)
def test_head_has_the_fields_of_get_and_no_body(server, path, length):
    """Row 42."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get(path, method="HEAD"), method="HEAD")
        wire.send(get("/unread"))
        wire.read_until(b"ok")
        both = parse(bytes(wire.received), ["HEAD"])
    assert answer.get(b"content-length") == length
    assert [answer.status for answer in both] == [200, 200]


@pytest.mark.parametrize("status", [204, 304])
def test_status_without_content(server, status):
    with Wire(server.address) as wire:
        wire.send(get(f"/no-body?{status}") + get("/unread"))
        wire.read_until(b"ok")
        first, second = wire.responses()
    assert (first.status, first.body, second.status) == (status, b"", 200)
    assert b"ignored" not in wire.received


def test_stream_is_chunked_to_http_1_1(server):
    with Wire(server.address) as wire:
        answer = wire.exchange(get("/stream"))
    assert (answer.body, answer.get(b"transfer-encoding")) == (b"one,two,three", b"chunked")


def test_stream_ends_with_the_connection_to_http_1_0(server):
    """Row 43."""
    with Wire(server.address) as wire:
        wire.send(get("/stream", "Connection: keep-alive", version="1.0"))
        wire.read_to_end()
        (answer,) = wire.responses()
    assert answer.whole
    assert answer.body == b"one,two,three"
    assert answer.get(b"transfer-encoding") is None


def test_server_and_date(server):
    """Rows 165 and 166."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get("/unread"))
    assert answer.get(b"server") == b"granian"
    assert len(answer.get(b"date")) == len("Sun, 06 Nov 1994 08:49:37 GMT")


# applications that misbehave


@pytest.mark.parametrize("path", ["/raise", "/nothing", "/order", "/exit"])
def test_no_answer_becomes_a_500(server, path, caplog):
    """Rows 117, 118, 130: one fixed answer, one log entry, the connection in step."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get(path))
        after = wire.exchange(NEXT) if not answer.says_close else None
    assert (answer.status, answer.body) == (500, b"Internal server error")
    assert answer.get(b"server") == b"granian"
    assert after is None or after.status == 200
    assert "Traceback" not in answer.body.decode()


@pytest.mark.parametrize("path", ["/half", "/short", "/short-stream"])
def test_broken_answers_are_visibly_broken(server, path, caplog):
    """Rows 119 and 120: no end, nothing after it, never another's octets."""
    with Wire(server.address) as wire:
        wire.send(get(path) + NEXT)
        wire.read_to_end()
        answers = wire.responses()
    assert len(answers) == 1, "the next answer ran into the broken one"
    assert not answers[0].whole or answers[0].status == 500


def test_broken_answer_to_http_1_0_is_a_reset(server, caplog):
    with Wire(server.address) as wire:
        wire.send(get("/half", version="1.0"))
        wire.read_to_end()
        assert wire.reset, "an end of stream would look like a complete answer"


def test_long_answers_are_cut(server, caplog):
    """Row 121: what is beyond the announced length never leaves."""
    with Wire(server.address) as wire:
        wire.send(get("/long"))
        wire.read_until(b"123")
        answer = wire.exchange(NEXT) if not wire.responses()[0].says_close else None
        first = wire.responses()[0]
    assert (first.body, first.whole) == (b"123", True)
    rest = bytes(wire.received).partition(b"\r\n\r\n123")[2]
    assert rest == b"" or rest.startswith(b"HTTP/1.1 200 ")
    assert answer is None or answer.status == 200


@pytest.mark.parametrize("path", ["/twice", "/after"])
def test_wrong_messages_raise_in_the_application(server, path, caplog):
    with Wire(server.address) as wire:
        answer = wire.exchange(get(path))
        assert wire.exchange(NEXT).status == 200
    expected = b"ASGI flow error: Response already started" if path == "/twice" else b"msg1"
    assert answer.body == expected
    assert path == "/twice" or seen("/after", "raised")


@pytest.mark.parametrize(
    "field",
    [
        "x=a%0d%0aset-cookie:%20b",
        "x=a%0a",
        "x=%00",
        "x%0d%0ay=a",
        "x%20y=a",
        "=a",
        "x:=a",
        "content-length=x",
        "content-length=1%2c1",
    ],
)
def test_fields_cannot_inject(server, field, caplog):
    """Row 122 and promise P22: 500, logged, nothing of the field on the wire."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get(f"/headers?{field}"))
        assert wire.exchange(NEXT).status == 200 or answer.says_close
    assert answer.status == 500
    assert b"set-cookie" not in wire.received


@pytest.mark.parametrize("field", ["transfer-encoding=chunked", "transfer-encoding=gzip"])
def test_an_applications_framing_is_not_doubled(server, field, caplog):
    """Row 123: one framing on the wire; ``parse`` refuses two."""
    with Wire(server.address) as wire:
        answer = wire.exchange(get(f"/headers?{field}"))
    assert (answer.status, answer.body) in [(200, b"ok"), (500, b"Internal server error")]


@pytest.mark.parametrize("status", ["0", "99", "101", "1000", "-200", "null", '"200"', "2.5"])
def test_impossible_statuses_become_a_500(server, status, caplog):
    with Wire(server.address) as wire:
        assert wire.exchange(get(f"/status?{status}")).status == 500


@pytest.mark.parametrize("status", ["200", "418", "599", "999"])
def test_unusual_statuses_are_sent(server, status):
    with Wire(server.address) as wire:
        assert wire.exchange(get(f"/status?{status}")).status == int(status)


# the peer leaves


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_application_learns_that_its_peer_left(server, how):
    """Row 126 and promise P21: within a second."""
    with Wire(server.address) as wire:
        wire.send(get("/wait"))
        wait_until(lambda: seen("/wait", "begun"))
        if how == "rst":
            reset(wire)
        else:
            wire.sock.close()
    wait_until(lambda: seen("/wait"), timeout=1.0, what="http.disconnect")


def test_cancellation_passes_through_receive(server):
    """Row 127: it is not swallowed, and the connection goes on as if nothing had been."""
    with Wire(server.address) as wire:
        assert wire.exchange(get("/cancel")).body == b"cancelled cancelled"
        assert wire.exchange(NEXT).status == 200


def test_writer_waits_for_a_reader_that_does_not_read(server):
    """Rows 105 and 125, promise P17: a bounded buffer, then the application waits."""
    with Wire(server.address) as wire:
        wire.send(get("/endless"))
        amounts = stalled_at(lambda: max(a for path, a in app.SEEN if path == "/endless"))
        assert amounts < 16_000_000
        for _ in range(400):
            wire.step(1.0)
        wait_until(lambda: max(a for p, a in app.SEEN if p == "/endless") > amounts)


def stalled_at(amount):
    """The value at which a growing amount stands still for 0.3 s."""
    wait_until(lambda: app.SEEN)
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.3:
        now = amount()
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.02)
    return last


def test_reader_that_does_not_read_pauses_the_peer(server):
    """Row 124: an application that reads late costs a bounded buffer."""
    with Wire(server.address) as wire:
        wire.send(get("/late?0.8", "Content-Length: 100000000", method="POST"))
        sent = send_until_stalled(wire, b"x" * 65_536, 100_000_000)
    assert sent < 16_000_000
