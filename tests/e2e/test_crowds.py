"""Many connections, hostile or merely numerous: what they may cost a worker (threats 106 to 116).

A row is one worker, a crowd, and a look at what the kernel says of the worker: its descriptors,
its memory, its time on a processor. The storms run over every way to wait, since each has its own
bookkeeping of sockets.
"""

import os
import re
import resource
import socket
import struct
import subprocess
import sys
import time

import pytest

from tests.support.lines import get
from tests.support.servers import GranianServer, wait_until
from tests.support.wire import Wire, finals

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

APP = "tests.apps.wire"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a close that is an RST."""

LISTENS = "0A"
"""TCP_LISTEN as /proc/net/tcp has it."""

WAYS = [
    ("asgi", {}),
    ("asgi", {"runtime_threads": 2, "runtime_mode": "st"}),
    ("asgi", {"runtime_threads": 2, "runtime_mode": "mt"}),
    ("asgi", {"loop": "uvloop"}),
    ("wsgi", {"blocking_threads": 4}),
]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect(server, octets=b""):
    sock = socket.create_connection(server.address, 5)
    if octets:
        sock.sendall(octets)
    return sock


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def settled(pid):
    """No connection is left: nothing but listeners and what the loop wakes itself with."""
    links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    return not any(row[9] in inodes for row in rows if row[3] != LISTENS)


def served(server):
    with Wire(server.address) as wire:
        return wire.exchange(get("/unread", "Connection: close")).status == 200


@pytest.fixture(params=WAYS, ids=lambda way: "-".join([way[0], *map(str, way[1].values())]))
def way(request):
    interface, options = request.param
    if options.get("loop") == "uvloop":
        pytest.importorskip("uvloop")
    with GranianServer(f"{APP}:{interface}", interface, **options) as server:
        yield server


# Requests at every point at which a peer may break off: (name, octets, answer to wait for)
BREAKS = [
    ("before a word", b"", b""),
    ("in a head", b"GET / HTTP/1.1\r\nHost:", b""),
    ("in a body", get("/", "Content-Length: 100", method="POST") + b"half", b""),
    ("in a chunk", get("/", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhe", b""),
    ("with an answer unread", get("/big"), b""),
    ("when idle", get("/unread"), b"ok"),
]


def test_storm_of_resets_leaves_nothing_behind(way):
    """Rows 107, 108, 109 and 111: no descriptor, no log line, and no time on a processor."""
    (worker,) = way.worker_pids
    assert served(way)
    base = descriptors(worker)
    lines = len(way.lines)
    for _, octets, answer in BREAKS * 30:
        sock = connect(way, octets)
        if answer:
            while answer not in sock.recv(1000):
                pass
        reset(sock)
    assert served(way)
    wait_until(lambda: descriptors(worker) <= base, 5, "as many descriptors as before")
    before = processor_seconds(worker)
    time.sleep(0.5)
    assert processor_seconds(worker) - before <= 0.05, "something goes round and round"
    assert [line for line in way.lines[lines:] if "Traceback" in line] == []
    assert len(way.lines) - lines <= len(BREAKS) * 30
    assert served(way)
    assert way.stop() == 0


def test_bad_requests_are_no_flood_of_log_lines():
    """Row 113: at most one short line for each, and never a traceback."""
    with GranianServer(f"{APP}:asgi", access_log=True) as server:
        lines = len(server.lines)
        for number in range(300):
            with Wire(server.address) as wire:
                wire.send(b"GET /%d\r\n: \x1b[31m\r\n\r\n" % number).read_to_end()
                assert [answer.status for answer in finals(wire.responses())] == [400]
        assert served(server)
        server.wait_line(r'"GET /unread HTTP/1\.1" 200')
        said = server.lines[lines:]
    assert len(said) <= 301
    assert max(map(len, said)) < 200
    assert "\x1b" not in "".join(said)


@pytest.mark.parametrize(
    ("octets", "answer", "most"),
    [
        (b"", b"", 12 * 1024),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", b"", 20 * 1024),
        (get("/unread"), b"ok", 12 * 1024),
    ],
    ids=["silent", "in a head", "kept alive"],
)
def test_waiting_connections_are_light(octets, answer, most):
    """Rows 101 and 110: what a connection that waits may hold of a worker's memory."""
    count = 1500
    with GranianServer(f"{APP}:asgi", backlog=4096) as server:
        (worker,) = server.worker_pids
        assert served(server)
        wait_until(lambda: settled(worker), 5, "the first one closed")
        base = descriptors(worker)
        before = resident(worker)
        crowd = [connect(server, octets) for _ in range(count)]
        try:
            for sock in crowd:
                assert not answer or answer in sock.recv(1000)
            wait_until(lambda: descriptors(worker) >= base + count, 5, "all accepted")
            assert (resident(worker) - before) / count <= most
        finally:
            for sock in crowd:
                sock.close()


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)], ids=["fast", "soak"]
)
def test_memory_is_flat(count):
    """Row 112: what a request took, its end gives back."""
    with GranianServer(f"{APP}:asgi") as server:
        (worker,) = server.worker_pids
        pipeline(server, count // 4)
        before = resident(worker)
        pipeline(server, count)
        assert resident(worker) < before * 1.05


def pipeline(server, count, depth=50):
    """Send requests with varied targets and fields, some at a time, and read their answers."""
    with Wire(server.address) as wire:
        for start in range(0, count, depth):
            wire.received = type(wire.received)()
            wire.send(
                b"".join(
                    get(f"/unread?{number}", f"X-N: {number}")
                    for number in range(start, start + depth)
                )
            )
            wire.read_until(lambda data: data.count(b"\r\n\r\nok") == depth)


class TestDescriptors:
    """Row 106: when there are no more descriptors, those who are idle make room."""

    LIMIT = 64

    @pytest.fixture
    def server(self):
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with GranianServer(f"{APP}:asgi") as running:
            (worker,) = running.worker_pids
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (self.LIMIT, before[1]))
            yield running

    def test_idle_connections_make_room(self, server):
        crowd = [connect(server, get("/unread")) for _ in range(self.LIMIT - 10)]
        try:
            server.wait_line("Cannot accept")
            begun = time.monotonic()
            assert served(server)
            assert time.monotonic() - begun < 2
            assert sum("Cannot accept" in line for line in server.lines) == 1
        finally:
            for sock in crowd:
                sock.close()

    def test_busy_connections_are_waited_for_without_spinning(self, server):
        (worker,) = server.worker_pids
        crowd = [connect(server, get("/wait")) for _ in range(200)]
        try:
            server.wait_line("Cannot accept")
            before = processor_seconds(worker)
            time.sleep(1.0)
            assert processor_seconds(worker) - before <= 0.05
            assert sum("Cannot accept" in line for line in server.lines) == 1
        finally:
            for sock in crowd:
                sock.close()
        begun = time.monotonic()
        assert served(server)
        assert time.monotonic() - begun < 1.0


@pytest.mark.parametrize(
    "options",
    [{"runtime_threads": 2, "runtime_mode": "st"}, {"workers": 2}],
    ids=["runtime", "worker"],
)
def test_who_blocks_blocks_alone(options):
    """Rows 116 and 129: a stuck runtime gets no new connections, nor does a stuck worker."""
    with GranianServer("tests.e2e.server_app:app", **options) as server, Wire(
        server.address
    ) as stuck:
        stuck.send(get("/nap/1.5"))
        server.wait_line("napping")
        time.sleep(0.15)  # longer than what the acceptor takes for an ordinary turn
        begun = time.monotonic()
        for _ in range(50):
            with Wire(server.address) as wire:
                assert wire.exchange(get("/pid")).status == 200
        assert time.monotonic() - begun < 1.0
        assert stuck.exchange().body == b"ok"


def test_log_that_nobody_reads_stops_nobody():
    """Row 115: lines beyond what the pipe holds are dropped."""
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--access-log"]
    with subprocess.Popen(
        [*command, "--port", "0", "tests.e2e.server_app:app"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        try:
            port = 0
            for line in iter(process.stdout.readline, b""):
                found = re.search(rb"http://127.0.0.1:(\d+)", line)
                port = int(found[1]) if found else port
                if b"Started worker-1" in line:
                    break
            for _ in range(20):  # the first nine hundred fill the pipe
                with Wire(("127.0.0.1", port)) as wire:
                    for _ in range(100):
                        assert wire.exchange(get("/pid")).status == 200
        finally:
            process.terminate()
            process.stdout.read()
