"""The load: wrk, h2load and a WebSocket client of our own, each pinned to its core."""

import re
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Optional

HERE = Path(__file__).parent
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Sample(NamedTuple):
    """What one run of a load generator saw."""

    requests: int
    seconds: float
    errors: int
    p99_ms: Optional[float] = None

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class LoadError(Exception):
    """The load generator itself failed."""


def run(command: List[str], core: Optional[int]) -> str:
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


def wrk(
    url: str,
    core: Optional[int],
    seconds: float,
    script: str = "",
    connections: int = 64,
    arguments: List[str] = (),
) -> Sample:
    """Closed loop over keep-alive connections (HTTP/1.1)."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    if script:
        command += ["-s", str(HERE / "lua" / script)]
    out = run([*command, url, *(["--", *arguments] if arguments else [])], core)
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", out)
    if total is None:
        raise LoadError(f"no total in the output of wrk: {out[-300:]}")
    sockets = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out
    )
    errors = sum(map(int, sockets.groups())) if sockets else 0
    errors += int(number(r"Non-2xx or 3xx responses: (\d+)", out))
    tail = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", out)
    p99 = float(tail[1]) * MILLISECONDS[tail[2]] if tail else None
    return Sample(int(total[1]), float(total[2]) * MILLISECONDS[total[3]] / 1000, errors, p99)


def h2load(
    url: str, core: Optional[int], seconds: float, streams: int, body: Optional[Path] = None
) -> Sample:
    """Closed loop over HTTP/2 connections with several streams each."""
    command = ["h2load", "-c32", f"-m{streams}", "-t1", f"-D{max(1, round(seconds))}"]
    if body is not None:
        command += ["-d", str(body)]
    out = run([*command, url], core)
    succeeded = int(number(r"(\d+) succeeded", out))
    failed = int(number(r"(\d+) failed", out)) + int(number(r"(\d+) timeout", out))
    good = int(number(r"status codes: (\d+) 2xx", out))
    spent = float(max(1, round(seconds)))
    return Sample(good, spent, failed + abs(succeeded - good))


def websocket(host: str, port: int, core: Optional[int], seconds: float, size: int) -> Sample:
    """Thirty-two WebSockets in lockstep: each sends when its echo has come."""
    return _sockets("websocket_client.py", host, port, core, seconds, size)


def broadcast(host: str, port: int, core: Optional[int], seconds: float, size: int) -> Sample:
    """Sixty-four WebSockets in a room, each speaking when it has heard all; counts deliveries."""
    return _sockets("websocket_broadcast.py", host, port, core, seconds, size)


def _sockets(
    script: str, host: str, port: int, core: Optional[int], seconds: float, size: int
) -> Sample:
    client = [sys.executable, str(HERE / script)]
    out = run([*client, host, str(port), str(seconds), str(size)], core)
    messages, spent, errors = out.split()
    return Sample(int(messages), float(spent), int(errors))
