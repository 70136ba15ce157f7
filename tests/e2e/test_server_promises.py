"""Promises that need a protocol, a framework or a full house: P5, P6, P13, P16, endless streams."""

import contextlib
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from granian.wire.http2.codes import ACK, NO_ERROR, PING, RST_STREAM, STREAM_ID_MAX, frame
from tests.e2e.test_server_life import APP, get, request
from tests.support.certs import path as cert
from tests.support.http2 import Http2Wire
from tests.support.load import GET
from tests.support.servers import GranianServer, wait_until
from tests.support.wire import Wire

pytestmark = pytest.mark.e2e


RESET, GOAWAY, END_STREAM = 3, 7, 1


def _frames(data):
    """Cut frames (RFC 9113 section 4.1): an h2 client refuses to go on after a GOAWAY."""
    while data:
        length = int.from_bytes(data[:3], "big")
        stream = int.from_bytes(data[5:9], "big")
        yield data[3], data[4], stream, data[9 : 9 + length]
        data = data[9 + length :]


class TestHttp2:
    """P5."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_open_stream_finishes_below_the_last_id(self, number):
        h2 = pytest.importorskip("h2.connection")
        with GranianServer(APP, workers=1) as server:
            client = h2.H2Connection()
            client.initiate_connection()
            fields = [
                (":method", "GET"),
                (":path", "/sleep/0.5"),
                (":scheme", "http"),
                (":authority", "x"),
            ]
            client.send_headers(1, fields, end_stream=True)
            with socket.create_connection(server.address, 5) as sock:
                sock.sendall(client.data_to_send())
                time.sleep(0.2)
                server.send_signal(number)
                data = b""
                while True:
                    more = sock.recv(65536)
                    if not more:
                        break
                    data += more
            frames = list(_frames(data))
            away = [payload for kind, _, _, payload in frames if kind == GOAWAY]
            assert away
            assert all(int.from_bytes(payload[4:8], "big") == 0 for payload in away)
            assert int.from_bytes(away[-1][:4], "big") == 1
            assert not [kind for kind, _, _, _ in frames if kind == RESET]
            assert [1 for kind, flags, stream, _ in frames if stream == 1 and flags & END_STREAM]
            if number == signal.SIGTERM:
                assert server.wait() == 0

    @pytest.mark.parametrize("over", ["clear text", "TLS"])
    def test_reload_during_a_stream(self, over):
        """The old worker says what it still serves, and serves it; all else is the new one's."""
        options, context = {}, None
        if over == "TLS":
            options = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key")}
            context = ssl.create_default_context(cafile=cert("ca"))
            context.set_alpn_protocols(["h2"])
        with GranianServer(APP, workers=1, respawn_interval=0.2, **options) as server:
            [old] = server.worker_pids
            with Http2Wire(server.address, context) as wire:
                wire.answers_pings = False
                wire.request(1, "/talk", "POST", last=False)
                wire.data(1, b"one ")
                wire.until(lambda: wire.body(1) == b"one ")
                server.send_signal(signal.SIGHUP)
                wire.until(wire.goaways)
                assert wire.goaways() == [(STREAM_ID_MAX, NO_ERROR)]
                # The client cannot have known: what it sends until the ping is answered counts.
                wire.request(3, "/pid")
                wire.until(lambda: wire.complete(3))
                assert wire.body(3) == b"%d" % old
                [(_, _, _, ping)] = wire.of(PING)
                wire.send(frame(PING, ACK, 0, ping))
                wire.until(lambda: len(wire.goaways()) == 2)
                assert wire.goaways()[-1] == (3, NO_ERROR)
                wire.request(5, "/pid")  # beyond the last: not answered, and no offence
                with Http2Wire(server.address, context) as another:
                    another.request(1, "/pid")
                    another.until(lambda: another.complete(1))
                    assert another.body(1) == b"%d" % server.worker_pids[0]
                    assert server.worker_pids[0] != old
                wire.data(1, b"two ")
                wire.until(lambda: wire.body(1) == b"one two ")
                wire.data(1, b"three", last=True)
                wire.until(lambda: wire.ended)
                assert wire.body(1) == b"one two three"
                assert wire.complete(1)
                assert not [
                    found for found in wire.frames if found[0] == RST_STREAM or found[2] == 5
                ]
                assert len(wire.goaways()) == 2
            server.wait_line("Stopped old worker-1")
            assert "talk broken off" not in server.lines
            assert server.stop() == 0


class TestWebsockets:
    """P6."""

    def test_every_socket_gets_a_close_frame(self):
        client = pytest.importorskip("websockets.sync.client")
        exceptions = pytest.importorskip("websockets.exceptions")
        with GranianServer(APP, workers=2) as server:
            url = f"ws://{server.host}:{server.port}/"
            stack = contextlib.ExitStack()
            sockets = [
                stack.enter_context(client.connect(url, compression=None)) for _ in range(20)
            ]
            for one in sockets:
                one.send("x")
                assert one.recv(5) == "x"
            begun = time.monotonic()
            server.send_signal(signal.SIGTERM)
            codes = set()
            for one in sockets:
                with pytest.raises(exceptions.ConnectionClosed) as caught:
                    one.recv(5)
                codes.add(caught.value.rcvd.code if caught.value.rcvd else None)
            stack.close()
            assert codes <= {1001, 1012}
            assert server.wait() == 0
            assert time.monotonic() - begun < 6


class TestEndlessStreams:
    def test_event_stream_of_sse_starlette_ends_by_itself(self, tmp_path):
        pytest.importorskip("sse_starlette")
        (tmp_path / "events.py").write_text(
            "import asyncio\n"
            "from sse_starlette.sse import EventSourceResponse\n"
            "from starlette.applications import Starlette\n"
            "from starlette.routing import Route\n"
            "async def ticks():\n"
            "    while True:\n"
            "        yield {'data': 'tick'}\n"
            "        await asyncio.sleep(0.1)\n"
            "async def stream(request):\n"
            "    return EventSourceResponse(ticks())\n"
            "app = Starlette(routes=[Route('/', stream)])\n"
        )
        with GranianServer("events:app", cwd=tmp_path) as server, Wire(server.address) as wire:
            wire.send(request("/"))
            wire.read_until(b"tick")
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 3

    def test_application_that_ignores_everything_is_left_by_the_timeout(self):
        with GranianServer(APP, workers_kill_timeout=1) as server, Wire(server.address) as wire:
            wire.send(request("/ignore"))
            time.sleep(0.2)
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 1.7


class TestFullHouse:
    def test_idle_connections_never_lock_out_new_clients(self):
        """P13."""
        with GranianServer(APP, workers=1, backpressure=16) as server:
            crowd = []
            try:
                for number in range(24):
                    sock = socket.create_connection(server.address, 5)
                    crowd.append(sock)
                    if number % 2:
                        sock.sendall(GET)
                begun = time.monotonic()
                assert get(server).status == 200
                assert time.monotonic() - begun < 1.5
            finally:
                for sock in crowd:
                    sock.close()

    def test_lack_of_descriptors_is_survived(self):
        """P16."""

        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", "0", APP]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=few,
            start_new_session=True,
        )
        lines = []

        def read():
            lines.extend(line.decode() for line in process.stdout)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        crowd = []
        try:
            wait_until(lambda: any("Started worker-1\n" in line for line in lines), 15)
            log = "".join(lines)
            port = int(re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log)[1])
            worker = int(re.search(r"Spawning worker-1 with PID: (\d+)", log)[1])
            crowd += [socket.create_connection(("127.0.0.1", port), 5) for _ in range(100)]
            time.sleep(0.3)
            before = _processor_seconds(worker)
            time.sleep(1.0)
            assert _processor_seconds(worker) - before < 0.1
            assert sum("Cannot accept" in line for line in lines) <= 1
            while crowd:
                crowd.pop().close()
            begun = time.monotonic()
            with Wire(("127.0.0.1", port)) as wire:
                assert wire.exchange(request()).status == 200
            assert time.monotonic() - begun < 1.5
        finally:
            for sock in crowd:
                sock.close()
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()
            process.stdout.close()


def _processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
