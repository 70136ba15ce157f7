"""Hostile and broken HTTP/1 messages, one row of the threat table each.

A refused message is answered once, with a fixed body, ``connection: close``, and nothing after it;
the worker lives on. Every row is sent whole and octet by octet.
"""

import json
import os
import time

import pytest

from tests.apps import wire as app
from tests.support import lines
from tests.support.lines import chunked, get, post
from tests.support.servers import EngineServer
from tests.support.wire import Wire, finals

CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = get("/smuggled")


def raw(text):
    """Octets as written, with CRLF for each line break of the text."""
    return text.replace("\n", "\r\n").encode("latin-1")


def bad_field(line, method="GET"):
    return get("/", line, method=method)


def bad_length(value):
    return get("/", f"Content-Length: {value}", method="POST") + b"12345" + SMUGGLED


def bad_chunk(octets):
    return get("/", CHUNKED, method="POST") + octets


def target(text, method="GET"):
    return get(text, method=method)


# (threat, name, octets, statuses that are right)
REFUSED = [
    (1, "CL.TE", get("/", "Content-Length: 6", CHUNKED, method="POST") + b"0\r\n\r\nG", {400}),
    (1, "TE.CL", get("/", CHUNKED, "Content-Length: 4", method="POST") + b"5c\r\n\r\n", {400}),
    (2, "TE twice", get("/", CHUNKED, CHUNKED, method="POST") + b"0\r\n\r\n", {400}),
    (2, "TE and TE", get("/", CHUNKED, "Transfer-encoding: x", method="POST"), {400, 501}),
    (3, "chunked, chunked", get("/", CHUNKED + ", chunked", method="POST"), {400}),
    (3, "chunked not last", get("/", CHUNKED + ", gzip", method="POST"), {400}),
    (3, "unknown coding", get("/", "Transfer-Encoding: pigeons", method="POST"), {501}),
    (3, "identity", get("/", "Transfer-Encoding: identity", method="POST"), {400, 501}),
    (4, "TE with VT", bad_field("Transfer-Encoding:\x0bchunked", "POST"), {400, 501}),
    (4, "TE with FF", bad_field("Transfer-Encoding: chunked\x0c", "POST"), {400, 501}),
    (4, "TE quoted", bad_field('Transfer-Encoding: "chunked"', "POST"), {400, 501}),
    (4, "TE space colon", bad_field("Transfer-Encoding : chunked", "POST"), {400}),
    (4, "TE folded", bad_field("Transfer-Encoding:\r\n chunked", "POST"), {400}),
    (5, "TE in 1.0", get("/", CHUNKED, version="1.0", method="POST") + b"0\r\n\r\n", {400}),
    (6, "CL conflict", get("/", "Content-Length: 5", "Content-Length: 6", method="POST"), {400}),
    (6, "CL repeated", get("/", "Content-Length: 5", "Content-Length: 5", method="POST"), {400}),
    (6, "CL list", bad_length("5, 5"), {400}),
    *((7, f"CL {value!r}", bad_length(value), {400}) for value in (
        "+5", "-5", "0x5", "0_5", "5 5", "5.0", "5e0", "\xb2", "\xb9", "", "five", "5,", ",5",
    )),
    (8, "CL of 5000 digits", bad_length("9" * 5000), {400, 413, 431}),
    (8, "CL of 22 digits", bad_length("1" + "0" * 21), {400, 413}),
    *((9, f"chunk size {size!r}", bad_chunk(size + b"\r\nhello\r\n0\r\n\r\n"), {400}) for size in (
        b"0x5", b"+5", b"-5", b"0_5", b"", b" 5", b"5 ", b"\xb2", b"five", b"5\x0b",
    )),
    (10, "chunk size over 64 bit", bad_chunk(b"1" + b"0" * 16 + b"5\r\nhello"), {400}),
    (11, "LF after chunk size", bad_chunk(b"5\nhello\r\n0\r\n\r\n"), {400}),
    (11, "LF after chunk data", bad_chunk(b"5\r\nhello\n0\r\n\r\n"), {400}),
    (11, "LF in an extension", bad_chunk(b"2;\nxx\r\n4c\r\n0\r\n\r\n"), {400}),
    (12, "CR in an extension", bad_chunk(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), {400}),
    (13, "XX after chunk data", bad_chunk(b"5\r\nhelloXX0\r\n\r\n"), {400}),
    (14, "CRLF in a quoted extension", bad_chunk(b'5;a="\r\nb"\r\nhello\r\n0\r\n\r\n'), {400}),
    (15, "endless extension", bad_chunk(b"5;" + b"a" * 20_000), {400}),
    (15, "extensions in sum", bad_chunk(b"".join([b"1;" + b"a" * 500 + b"\r\nx\r\n"] * 40)), {400}),
    (16, "endless trailer", bad_chunk(b"0\r\nA: " + b"b" * 20_000), {400, 431}),
    (16, "endless trailers", bad_chunk(b"0\r\n" + b"A: bbbbbbbb\r\n" * 150), {400, 431}),
    (21, "folded line", bad_field("X: a\r\n b"), {400}),
    (22, "space before the first field", raw("GET / HTTP/1.1\n Host: a\n\n"), {400}),
    *((23, f"field name {line!r}", bad_field(line), {400}) for line in (
        ": empty", "sp ace: x", "ctl\x01: x", "high\xe9: x", "de(lim: x", "no colon", "tab\t: x",
    )),
    (24, "NUL in a value", bad_field("X: a\x00b"), {400}),
    (24, "CR in a value", bad_field("X: a\rb"), {400}),
    (24, "BEL in a value", bad_field("X: a\x07b"), {400}),
    (24, "DEL in a value", bad_field("X: a\x7fb"), {400}),
    (27, "no Host", raw("GET / HTTP/1.1\n\n"), {400}),
    (27, "two Hosts", get("/", "Host: a", "Host: b"), {400}),
    (27, "two equal Hosts", get("/", "Host: a", "Host: a"), {400}),
    *((27, f"Host {host!r}", get("/", f"Host: {host}"), {400}) for host in (
        "a b", "a/b", "a@b", "a:x", "[::1", "a\x01", "<a>", "a,b/", "a:80:80",
    )),
    (28, "bad authority", target("http://[::1/"), {400}),
    (28, "empty authority", target("http:///x"), {400}),
    (29, "space in the target", target("/a b"), {400}),
    (29, "tab in the target", target("/a\tb"), {400}),
    (29, "control in the target", target("/a\x01b"), {400}),
    (29, "DEL in the target", target("/a\x7fb"), {400}),
    (29, "CR in the target", target("/a\rb"), {400}),
    (31, "authority form", target("a:443"), {400}),
    (31, "asterisk form", target("*"), {400}),
    (31, "relative target", target("foo/bar"), {400}),
    (31, "no target", raw("GET HTTP/1.1\nHost: a\n\n"), {400}),
    (33, "method with delimiter", get("/", method="GE(T"), {400}),
    (33, "method with NUL", get("/", method="GE\x00T"), {400}),
    (34, "HTTP/9.9", get("/", version="9.9"), {505}),
    (34, "HTTP/2.0", get("/", "Host: a", version="2.0"), {505}),
    (34, "HTTP/0.9", get("/", version="0.9"), {400, 505}),
    (34, "HTTP/1.10", get("/", "Host: a", version="1.10"), {400}),
    (34, "http/1.1", b"GET / http/1.1\r\nHost: a\r\n\r\n", {400}),
    (34, "no version", b"GET /\r\n\r\n", {400}),
    (35, "TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
    (35, "noise", bytes(range(128, 256)), {400}),
    (35, "control octet first", b"\x00", {400}),
    (104, "101 fields", get("/", *["X: y"] * 101), {431}),
    (104, "head too large", get("/", *[f"X-{i}: " + "y" * 9000 for i in range(60)]), {431}),
    (104, "long target", get("/" + "a" * 70_000), {414}),
]  # fmt: skip

IDS = [f"{number}-{name.replace(' ', '-')}" for number, name, _, _ in REFUSED]


@pytest.fixture(scope="module")
def server():
    with EngineServer(app.asgi) as running:
        yield running


@pytest.mark.parametrize("cut", [lines.whole, lines.octets], ids=["whole", "octets"])
@pytest.mark.parametrize(("number", "name", "octets", "statuses"), REFUSED, ids=IDS)
def test_refused(server, cut, number, name, octets, statuses):
    if cut is lines.octets and len(octets) > 30_000:
        pytest.skip("the cut does not matter to a limit of this size")
    with Wire(server.address) as wire:
        wire.send_each(cut(octets))
        wire.read_to_end()
        answers = finals(wire.responses())
    assert len(answers) == 1, f"{len(answers)} answers to one bad message"
    (answer,) = answers
    assert answer.status in statuses
    assert answer.says_close
    assert answer.whole
    for piece in octets.split():
        assert len(piece) < 6 or piece not in answer.body, "the answer reflects the input"


@pytest.mark.parametrize("before", [1, 3])
def test_refusal_comes_after_earlier_answers(server, before):
    with Wire(server.address) as wire:
        wire.send(get("/good") * before + get("/", "Content-Length: x") + SMUGGLED)
        wire.read_to_end()
        statuses = [answer.status for answer in wire.responses()]
    assert statuses == [200] * before + [400]


def test_refusal_has_a_date_or_not_but_one_server(server):
    with Wire(server.address) as wire:
        answer = wire.exchange(b"BAD\r\n\r\n")
    assert answer.get(b"server") == b"granian"
    assert b"date" not in dict(answer.headers) or answer.get(b"date").endswith(b"GMT")


# What is legal, however odd: (threat, name, octets, expectations on what the application saw)
ACCEPTED = [
    (14, "extensions", chunked(b"hello", end=b'0;x="y;z"\r\n\r\n'), {"body": "hello"}),
    (14, "extension on data", bad_chunk(b"5;a=b;c\r\nhello\r\n0\r\n\r\n"), {"body": "hello"}),
    (16, "framing in trailers", chunked(b"x", end=b"0\r\nX-Trailer: 5\r\n\r\n"), {"body": "x"}),
    (25, "leading CRLF", b"\r\n" + get("/x"), {"path": "/x"}),
    (27, "1.0 without Host", get("/x", version="1.0"), {"path": "/x", "version": "1.0"}),
    (27, "empty Host", get("/x", "Host: "), {"path": "/x"}),
    (27, "IPv6 Host", get("/x", "Host: [::1]:80"), {"path": "/x"}),
    (28, "absolute form", get("http://other/x?y=z"), {
        "path": "/x", "query": "y=z", "headers": [["host", "a"]]}),
    (28, "absolute form, no path", get("http://other?y"), {"path": "/", "query": "y"}),
    (29, "high octets", get("/\xc3\xa9"), {"path": "/\xe9"}),
    (30, "encoded NUL", get("/a%00b"), {"path": "/a\x00b"}),
    (30, "overlong UTF-8", get("/%c0%af"), {"path": "/\ufffd\ufffd"}),
    (30, "lone octet", get("/%c0"), {"path": "/\ufffd"}),
    (30, "surrogate", get("/%ed%a0%80"), {"path": "/\ufffd\ufffd\ufffd"}),
    (30, "bad escape", get("/%zz%"), {"path": "/%zz%"}),
    (31, "OPTIONS *", get("*", method="OPTIONS"), {"path": "*", "method": "OPTIONS"}),
    (32, "CONNECT", get("a:443", method="CONNECT"), {"method": "CONNECT"}),
    (33, "unknown method", get("/x", method="BREW"), {"method": "BREW"}),
    (38, "unknown expectation", get("/x", "Expect: cake"), {"path": "/x"}),
    (39, "unknown upgrade", post(b"hi", "/x", "Connection: Upgrade", "Upgrade: foo/2"), {
        "body": "hi"}),
    (39, "h2c upgrade", get("/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__"), {"path": "/x"}),
    (104, "100 fields", get("/x", *["X: y"] * 99), {"path": "/x"}),
    (104, "long target", get("/" + "a" * 60_000), {}),
]  # fmt: skip


@pytest.mark.parametrize("cut", [lines.whole, lines.octets], ids=["whole", "octets"])
@pytest.mark.parametrize(
    ("number", "name", "octets", "facts"),
    ACCEPTED,
    ids=[f"{number}-{name.replace(' ', '-')}" for number, name, _, _ in ACCEPTED],
)
def test_accepted(server, cut, number, name, octets, facts):
    if cut is lines.octets and len(octets) > 30_000:
        pytest.skip("the cut does not matter to a limit of this size")
    with Wire(server.address) as wire:
        wire.send_each(cut(octets))
        seen = json.loads(wire.exchange().body)
        if b" HTTP/1.1" in octets:
            assert wire.exchange(get("/again")).status == 200, "the connection is out of step"
    assert {key: seen[key] for key in facts} == facts


def test_framing_fields_in_trailers_never_act(server):
    """Threat 16: whether refused or dropped, they change nothing."""
    end = b"0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n"
    with Wire(server.address) as wire:
        wire.send(chunked(b"x", end=end) + get("/next"))
        wire.read_until(b"/next")
        first, second = wire.responses()
    seen = json.loads(first.body)
    assert (seen["body"], json.loads(second.body)["path"]) == ("x", "/next")
    assert ["host", "evil"] not in seen["headers"]


def test_many_tiny_chunks_cost_linear_time(server):
    """Threat 17: a megabyte in chunks of one octet, in seconds of this thread's server."""
    body = b"1\r\nx\r\n" * 1_000_000
    start = time.process_time()
    with Wire(server.address, wait=30) as wire:
        wire.send(get("/", CHUNKED, method="POST") + body + b"0\r\n\r\n")
        answer = wire.exchange()
    assert answer.status in (200, 400)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("form", ["head", "line ends"])
def test_bare_lf_gives_the_same_message(server, form):
    """Threat 26: accepted like upstream, but never read differently."""
    octets = post(b"hello", "/x?y", "X-A: b", "X-C:  d ")
    head, _, body = octets.partition(b"\r\n\r\n")
    bare = head.replace(b"\r\n", b"\n") + b"\n\n" + body
    seen = []
    for variant in (octets, bare):
        with Wire(server.address) as wire:
            facts = json.loads(wire.exchange(variant).body)
        seen.append({key: facts[key] for key in ("method", "path", "query", "headers", "body")})
    assert seen[0] == seen[1]


def test_bare_cr_is_never_a_line_end(server):
    """Threat 25."""
    with Wire(server.address) as wire:
        wire.send(b"GET / HTTP/1.1\rHost: a\r\r").finish()
        wire.read_to_end()
        assert 200 not in [answer.status for answer in finals(wire.responses())]


def test_h2_preface_where_http2_is_off():
    """Threat 34."""
    with EngineServer(app.asgi, http="1") as server, Wire(server.address) as wire:
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        wire.read_to_end()
        (answer,) = finals(wire.responses())
    assert (answer.status, answer.says_close) == (400, True)


@pytest.mark.parametrize("size", [65_600, 1_000_000])
def test_endless_method_is_refused_early(server, size):
    """Threat 33: long before the head's limit in time, and within the limit in octets."""
    with Wire(server.address) as wire:
        wire.send(b"A" * size)
        wire.read_to_end()
        (answer,) = finals(wire.responses())
    assert answer.status in (400, 414, 431)


def test_limit_is_on_the_running_total(server):
    """Threat 104: many small pieces are one head."""
    with Wire(server.address) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        for number in range(100):
            wire.send(b"X-%d: " % number + b"y" * 8000 + b"\r\n")
        wire.read_to_end()
        (answer,) = finals(wire.responses())
    assert answer.status == 431


def test_hostile_field_is_read_in_linear_time(server):
    """Threat 114: 400 KB of what makes careless patterns backtrack."""
    start = time.process_time()
    for value in (" ," * 100_000, "a " * 100_000, "=" * 200_000):
        for name in ("Connection", "Transfer-Encoding", "X-Long", "Host"):
            with Wire(server.address) as wire:
                wire.send(get("/", f"{name}: {value}"))
                wire.exchange()
    assert time.process_time() - start < 2.0


def test_worker_survived_all(server):
    """Threat P18: what came before cost connections, never the worker."""
    with Wire(server.address) as wire:
        assert json.loads(wire.exchange(get("/alive")).body)["pid"] == os.getpid()
