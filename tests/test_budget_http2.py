"""What a request over HTTP/2 may cost in Python calls; see ``test_budget``."""

from collections import Counter

import hpack
import pytest

from granian._compat import EAGER_TASKS
from granian.wire.http2.codes import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADERS,
    SETTINGS,
    frame,
    window_update,
)
from tests.support.http2 import GREETING
from tests.support.servers import EngineServer
from tests.support.wire import Wire
from tests.test_budget import asgi, asgi_echo, rsgi, switch

ROUNDS = 50
STREAMS = 4
GET = [
    (b":method", b"GET"),
    (b":scheme", b"http"),
    (b":authority", b"127.0.0.1:8000"),
    (b":path", b"/"),
    (b"user-agent", b"h2load"),
]
POST = [(b":method", b"POST"), *GET[1:], (b"content-length", b"10000")]
WIDE = frame(SETTINGS, 0, 0, b"\0\4\x3f\xff\xff\xff") + window_update(0, 1 << 30)


class Load:
    """A client that asks for several things in one write, as h2load does."""

    def __init__(self, wire, fields, body):
        self.sock = wire.sock
        self.encoder = hpack.Encoder()
        self.fields = fields
        self.body = body
        self.number = 1
        self.rest = b""

    def ask(self):
        octets = b""
        for _ in range(STREAMS):
            flags = END_HEADERS if self.body else END_HEADERS | END_STREAM
            octets += frame(HEADERS, flags, self.number, self.encoder.encode(self.fields))
            if self.body:
                octets += frame(DATA, END_STREAM, self.number, self.body)
            self.number += 2
        return octets

    def wait(self):
        """Read until every stream has ended."""
        ended = 0
        while ended < STREAMS:
            self.rest += self.sock.recv(1 << 20)
            at = 0
            while len(self.rest) - at >= 9:
                high, low, kind, flags, _ = FRAME_HEADER.unpack_from(self.rest, at)
                size = 9 + (high << 16 | low)
                if len(self.rest) - at < size:
                    break
                at += size
                ended += kind == DATA and flags & END_STREAM
            self.rest = self.rest[at:]


@pytest.mark.parametrize(
    ("app", "interface", "fields", "body", "budget"),
    [
        (asgi, "asgi", GET, b"", 19),
        (rsgi, "rsgi", GET, b"", 19),
        (asgi_echo, "asgi", POST, b"x" * 10_000, 27),
    ],
    ids=["ASGI GET", "RSGI GET", "ASGI echo of 10 KB"],
)
def test_calls_per_stream(app, interface, fields, body, budget):
    calls = Counter()

    def hook(frame, event, _):
        if event == "call":
            code = frame.f_code
            calls[f"{code.co_filename.rpartition('/')[2]}:{code.co_name}"] += 1

    with EngineServer(app, interface) as server, Wire(server.address) as wire:
        (runtime,) = server.engine.runtimes
        load = Load(wire, fields, body)
        wire.sock.sendall(GREETING + WIDE)
        for count in range(ROUNDS + 5):
            if count == 5:
                switch(runtime, hook)
            wire.sock.sendall(load.ask())
            load.wait()
        switch(runtime, None)
    requests = ROUNDS * STREAMS
    cost = sum(count for count in calls.values() if count >= requests // 20) / requests
    listing = "\n".join(f"{n / requests:6.2f}  {where}" for where, n in calls.most_common(40))
    if not EAGER_TASKS:
        budget += 4  # a task is started by hand
    assert cost <= budget, f"{cost:.1f} calls, {budget} are allowed:\n{listing}"
