"""The rows of the table: what is asked, how it is measured, and what we must reach."""

import contextlib
import socket
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional

from . import load
from .servers import Server, UnableError, Workload

Measure = Callable[["Settings", Server], float]


class VoidError(Exception):
    """The run had errors: what it measured means nothing."""


class Settings(NamedTuple):
    """How to run: which core is whose, how long, and where bodies lie."""

    load_core: Optional[int]
    seconds: float
    body_file: Path
    peak: Dict[str, float]


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        bar: The ratio to reach, ours to the best of ``against``.
        stretch: The ratio we would like.
        unit: Of the values; a higher value is better for ``/s``.
        variants: For rows that compare us with ourselves: label -> workload.
        both_cores: Server and load share all cores.
    """

    name: str
    title: str
    work: Workload
    measure: Measure
    bar: float
    stretch: float
    unit: str = "µs"
    against: List[str] = ["granian"]  # noqa: RUF012 a tuple's default is never changed
    variants: Dict[str, Workload] = {}  # noqa: RUF012 likewise
    both_cores: bool = False
    warm: bool = True


def cpu_per_request(drive: Callable[[Settings, Server], load.Sample]) -> Measure:
    """CPU microseconds of the server's process tree per completed request."""

    def measure(settings: Settings, server: Server) -> float:
        before = server.cpu()
        sample = drive(settings, server)
        spent = server.cpu() - before
        check(sample)
        return spent / sample.requests * 1e6

    return measure


def check(sample: load.Sample) -> load.Sample:
    if sample.errors or not sample.requests:
        raise VoidError(f"{sample.errors} errors in {sample.requests} requests")
    return sample


def wrk(script: str = "", path: str = "") -> Callable[[Settings, Server], load.Sample]:
    return lambda settings, server: load.wrk(
        server.url + path, settings.load_core, settings.seconds, script
    )


def h2load(streams: int, body: bool = False) -> Callable[[Settings, Server], load.Sample]:
    return lambda settings, server: load.h2load(
        server.url,
        settings.load_core,
        settings.seconds,
        streams,
        settings.body_file if body else None,
    )


def sockets(size: int) -> Callable[[Settings, Server], load.Sample]:
    return lambda settings, server: load.websocket(
        "127.0.0.1", server.port, settings.load_core, settings.seconds, size
    )


def room(size: int) -> Callable[[Settings, Server], load.Sample]:
    return lambda settings, server: load.broadcast(
        "127.0.0.1", server.port, settings.load_core, settings.seconds, size
    )


def answers_per_second(settings: Settings, server: Server) -> float:
    return check(wrk()(settings, server)).per_second


def tail(script: str = "") -> Measure:
    """p99 in milliseconds under the closed loop of 64 connections."""

    def measure(settings: Settings, server: Server) -> float:
        p99 = check(wrk(script)(settings, server)).p99_ms
        if p99 is None:
            raise VoidError("no latency in the output")
        return p99

    return measure


def paced_tail(settings: Settings, server: Server) -> float:
    """p99 in milliseconds at half of Granian's peak, offered to both alike."""
    if "granian" not in settings.peak:
        if server.name != "granian":
            raise VoidError("half of Granian's peak is not known")
        settings.peak["granian"] = answers_per_second(settings, server)
    connections = 128
    mean = max(1, round(connections / (settings.peak["granian"] / 2) * 1000))
    sample = load.wrk(
        server.url, settings.load_core, settings.seconds, "paced.lua", connections, [str(mean)]
    )
    if check(sample).p99_ms is None:
        raise VoidError("no latency in the output")
    return float(sample.p99_ms or 0)


def memory(settings: Settings, server: Server) -> float:
    """PSS of the deployment after some traffic, in MiB."""
    load.wrk(server.url, settings.load_core, 1)
    return server.pss() / 1024


def start_time(settings: Settings, server: Server) -> float:
    """Milliseconds from the start of the process to the first answered request."""
    return server.seconds_to_answer * 1000


def idle_connection(settings: Settings, server: Server) -> float:
    """KiB of PSS for each keep-alive connection that has made one request and waits."""
    load.wrk(server.url, settings.load_core, 1)
    before, count = server.pss(), 900
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            try:
                sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
                stack.enter_context(sock)
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = sock.recv(4096)
            except OSError as error:
                raise UnableError(f"{server.name} does not hold {count} connections") from error
            if not answer.startswith(b"HTTP/1.1 200"):
                raise VoidError(f"{server.name} answered {answer[:40]!r}")
        time.sleep(0.2)  # let allocators settle: a measurement, not a test
        return (server.pss() - before) / count


def asgi(app: str, protocol: str = "http1") -> Workload:
    return Workload(f"asgi_{app}", "asgi", protocol)


def rsgi(app: str, protocol: str = "http1") -> Workload:
    return Workload(f"rsgi_{app}", "rsgi", protocol)


def wsgi(app: str, threads: int = 1) -> Workload:
    return Workload(f"wsgi_{app}", "wsgi", "http1", threads)


def per_request(name, title, work, drive, bar, stretch, **rest) -> Row:
    return Row(name, title, work, cpu_per_request(drive), bar, stretch, **rest)


SOCKET_PEERS = {"against": ["granian", "uvicorn"]}
CLOSED = "a new connection each time"
ROWS = [
    per_request("asgi-get", "ASGI GET 13 B", asgi("small"), wrk(), 0.75, 0.60),
    per_request(
        "asgi-headers", "ASGI GET, 16 fields", asgi("small"), wrk("headers.lua"), 0.75, 0.60
    ),
    per_request(
        "asgi-unique", "ASGI GET, unique paths", asgi("small"), wrk("unique.lua"), 0.80, 0.65
    ),
    per_request("asgi-10k", "ASGI GET 10 KB", asgi("large"), wrk(), 0.80, 0.65),
    per_request("asgi-echo", "ASGI echo of 10 KB", asgi("echo"), wrk("echo.lua"), 0.50, 0.37),
    per_request("asgi-close", f"ASGI, {CLOSED}", asgi("small"), wrk("close.lua"), 0.90, 0.65),
    per_request("asgi-sleep", "ASGI, 10 ms await", asgi("sleep"), wrk(), 1.00, 0.80),
    per_request("https-get", "HTTPS ASGI GET", asgi("small", "https"), wrk(), 1.00, 0.85),
    per_request("rsgi-get", "RSGI GET 13 B", rsgi("small"), wrk(), 0.75, 0.60),
    per_request(
        "rsgi-headers", "RSGI GET, 16 fields", rsgi("small"), wrk("headers.lua"), 0.75, 0.60
    ),
    per_request("rsgi-echo", "RSGI echo of 10 KB", rsgi("echo"), wrk("echo.lua"), 0.50, 0.38),
    per_request("rsgi-close", f"RSGI, {CLOSED}", rsgi("small"), wrk("close.lua"), 0.90, 0.65),
    per_request("wsgi-get", "WSGI GET 13 B, 1 thread", wsgi("small"), wrk(), 0.80, 0.55),
    per_request(
        "wsgi-headers", "WSGI GET, 16 fields", wsgi("small"), wrk("headers.lua"), 0.80, 0.55
    ),
    per_request("wsgi-16t", "WSGI GET, 16 threads", wsgi("small", 16), wrk(), 0.95, 0.75),
    Row("wsgi-16t-p99", "WSGI, 16 threads, p99", wsgi("small", 16), tail(), 1.00, 1.00, "ms"),
    Row(
        "wsgi-block",
        "WSGI 10 ms blocking, 16 threads",
        wsgi("block", 16),
        answers_per_second,
        0.98,
        1.00,
        "/s",
    ),
    per_request("wsgi-echo", "WSGI echo of 10 KB", wsgi("echo"), wrk("echo.lua"), 0.95, 0.80),
    per_request("wsgi-close", f"WSGI, {CLOSED}", wsgi("small"), wrk("close.lua"), 0.90, 0.65),
    per_request("h2-m4", "HTTP/2 GET, 4 streams", asgi("small", "http2"), h2load(4), 0.75, 0.55),
    per_request("h2-m32", "HTTP/2 GET, 32 streams", asgi("small", "http2"), h2load(32), 0.75, 0.55),
    per_request(
        "h2-echo", "HTTP/2 echo of 10 KB", asgi("echo", "http2"), h2load(4, True), 0.90, 0.75
    ),
    per_request(
        "ws-asgi",
        "WebSocket 64 B, ASGI",
        asgi("socket", "websocket"),
        sockets(64),
        0.65,
        0.50,
        **SOCKET_PEERS,
    ),
    per_request(
        "ws-rsgi", "WebSocket 64 B, RSGI", rsgi("socket", "websocket"), sockets(64), 0.65, 0.50
    ),
    per_request(
        "ws-asgi-16k",
        "WebSocket 16 KB, ASGI",
        asgi("socket", "websocket"),
        sockets(16_384),
        0.90,
        0.80,
    ),
    per_request(
        "ws-rsgi-16k",
        "WebSocket 16 KB, RSGI",
        rsgi("socket", "websocket"),
        sockets(16_384),
        0.90,
        0.80,
    ),
    per_request(
        "ws-room-asgi",
        "WebSocket broadcast to 64, ASGI",
        asgi("room", "websocket"),
        room(64),
        1.00,
        0.75,
        **SOCKET_PEERS,
    ),
    per_request(
        "ws-room-rsgi",
        "WebSocket broadcast to 64, RSGI",
        rsgi("room", "websocket"),
        room(64),
        1.00,
        0.75,
    ),
    Row("p99", "p99 at half of Granian's peak", asgi("small"), paced_tail, 1.00, 0.70, "ms"),
    Row("pss", "PSS of the deployment", asgi("small"), memory, 1.00, 0.75, "MiB", warm=False),
    Row("start", "start to first answer", asgi("small"), start_time, 2.00, 1.20, "ms", warm=False),
    Row(
        "idle",
        "idle keep-alive connection",
        asgi("small"),
        idle_connection,
        1.00,
        0.30,
        "KiB",
        warm=False,
    ),
    per_request(
        "ft-asgi",
        "free-threaded ASGI: 2 workers ÷ 1",
        asgi("small"),
        wrk(),
        1.15,
        1.00,
        variants={"ours": asgi("small")._replace(workers=2), "ours (1)": asgi("small")},
        both_cores=True,
    ),
    per_request(
        "ft-wsgi",
        "free-threaded WSGI: 2 workers ÷ 1",
        wsgi("small"),
        wrk(),
        1.15,
        1.00,
        variants={"ours": wsgi("small")._replace(workers=2), "ours (1)": wsgi("small")},
        both_cores=True,
    ),
]
