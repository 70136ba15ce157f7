"""The drills that need time: many reloads, many deaths, a long life (``make soak``)."""

import os
import signal
import time

import pytest

from tests.e2e.test_server_life import APP, PROCESSES, request
from tests.support.load import Load
from tests.support.servers import GranianServer, children, wait_until
from tests.support.wire import Wire

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]


def levels(server):
    """Descriptors and threads of the supervisor and of one worker."""
    wait_until(lambda: len(children(server.pid)) == PROCESSES, 20, "all workers, no more")
    worker = children(server.pid)[0]
    return [
        len(os.listdir(f"/proc/{pid}/{what}"))
        for pid in (server.pid, worker)
        for what in ("fd", "task")
    ]


def test_ten_reloads_under_load_lose_nothing():
    """P1."""
    with GranianServer(APP, workers=2) as server:
        with Load(server.address, fresh=4, kept=4, pause=0.0) as load:
            for count in range(1, 11):
                server.send_signal(signal.SIGHUP)
                server.wait_line("Stopped old worker", 2 * count, 60)
                load.wait_answered(200)
        assert load.failures == {}
        assert load.answered > 2000
        assert server.stop() == 0


def test_fifty_reloads_leak_nothing():
    """Threats 142: descriptors and threads are level."""
    with GranianServer(APP, workers=2) as server:
        seen = []
        for count in range(1, 51):
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker", 2 * count, 60)
            if count in (1, 50):
                seen.append(levels(server))
        assert seen[0] == seen[1]


def test_replacement_all_the_time_loses_nothing():
    """P10: hundreds of requests per worker, and twenty generations."""
    options = {"workers_max_requests": 400, "workers_max_requests_jitter": 100}
    with GranianServer(APP, workers=2, **options) as server:
        with Load(server.address, fresh=4, kept=4, pause=0.0) as load:
            server.wait_line("Stopped old worker", 40, 240)
        assert load.failures == {}


def test_deaths_cost_only_what_the_dead_held():
    """P3: five times."""
    options = {"respawn_failed_workers": True, "respawn_interval": 6}
    with GranianServer(APP, workers=2, **options) as server:
        with Load(server.address, fresh=4, kept=4, pause=0.0) as load:
            for count in range(5):
                os.kill(server.worker_pids[count % 2], signal.SIGKILL)
                server.wait_line("Started worker-[12]$", 3 + count, 60)
                time.sleep(6)  # a respawned worker that dies sooner counts as a crash loop
        assert sum(load.failures.values()) <= 5 * 8
        assert "refused" not in load.failures


def test_a_hundred_websockets_are_told():
    """P6."""
    offer = (
        b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with GranianServer(APP, workers=2) as server:
        wires = [Wire(server.address) for _ in range(100)]
        for wire in wires:
            wire.send(offer).read_until(b"\r\n\r\n")
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        for wire in wires:
            wire.read_until(lambda data: data[-4:-2] == b"\x88\x02", 5)
            code = int.from_bytes(wire.received[-2:], "big")
            assert code in (1001, 1012)
            wire.send(b"\x88\x82\0\0\0\0" + code.to_bytes(2, "big"))
        assert server.wait() == 0
        assert time.monotonic() - begun < 6
        for wire in wires:
            wire.sock.close()


def test_endless_stop_is_endless_only_without_a_timeout():
    """P7 at its real length."""
    with GranianServer(APP, workers_kill_timeout=3) as server, Wire(server.address) as wire:
        wire.send(request("/block"))
        time.sleep(0.2)
        begun = time.monotonic()
        assert server.stop() == 0
        assert 2.4 < time.monotonic() - begun < 3.5
