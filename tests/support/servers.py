"""Real servers for tests: ``python -m granian`` on a free port, its log read line by line.

Nobody sleeps: a server is ready when it has said so for every worker, and it has stopped when its
process has ended. A server that dies or stays silent fails the test with all it logged.
"""

import os
import re
import signal as signals
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

ROOT = Path(__file__).parent.parent.parent
LISTENING = re.compile(r"Listening at: (https?)://(?:(.+):(\d+)|unix:(.+))$")
READY = re.compile(r"Started worker-\d+$")
SPAWNED = re.compile(r"Spawning worker-(\d+) with [PT]ID: (\d+)")
PATIENCE = 30.0 if os.environ.get("CI") else 15.0


def flags(options: Dict[str, Any]) -> List[str]:
    """Keyword options as the command takes them: workers=2 -> --workers 2; False -> --no-x."""
    arguments = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if value is True or value is False:
            arguments.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            values = value if isinstance(value, (list, tuple)) else [value]
            for one in values:
                arguments += [f"--{flag}", str(one)]
    return arguments


class GranianServer:
    """A running command; a context manager.

    Args:
        target: ``module:attribute`` as the command takes it.
        interface: ``asgi``, ``asginl``, ``rsgi`` or ``wsgi``.
        env: Variables added to the environment.
        wait: Return only when all workers have started.
        options: Further options by name; booleans become flags.
    """

    def __init__(
        self,
        target: str,
        interface: str = "asgi",
        *,
        env: Optional[Dict[str, str]] = None,
        wait: bool = True,
        cwd: Union[str, Path] = ROOT,
        python: Optional[List[str]] = None,
        **options: Any,
    ) -> None:
        if not any(name in options for name in ("port", "uds")):
            options["port"] = 0
        command = [*(python or [sys.executable]), "-m", "granian", "--interface", interface]
        self.command = [*command, *flags(options), target]
        self.workers = int(options.get("workers", 1))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GRANIAN_")}
        environment.update(PYTHONUNBUFFERED="1", PYTHONPATH=str(ROOT), **(env or {}))
        self.lines: List[str] = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            self.command,
            cwd=str(cwd),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            errors="backslashreplace",
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.scheme, self.host, self.port, self.path = "http", "127.0.0.1", 0, None
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def __enter__(self) -> "GranianServer":
        return self

    def __exit__(self, *_) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def address(self):
        return self.path or (self.host, self.port)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def worker_pids(self) -> List[int]:
        """Pids as logged, the newest of each worker."""
        newest = {}
        for line in list(self.lines):
            found = SPAWNED.search(line)
            if found:
                newest[found[1]] = int(found[2])
        return list(newest.values())

    def wait_ready(self) -> None:
        """Wait until the address is known and every worker has said that it serves."""
        found = LISTENING.search(self.wait_line(LISTENING))
        assert found is not None
        self.scheme = found[1]
        if found[4]:
            self.path = found[4]
        else:
            self.host, self.port = found[2].strip("[]"), int(found[3])
        self.wait_line(READY, self.workers)

    def wait_line(self, pattern, count: int = 1, timeout: float = PATIENCE) -> str:
        """Wait until ``count`` logged lines match; return the last of them."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                found = [line for line in self.lines if wanted.search(line)]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or not self.reader.is_alive():
                    why = "no such line in time" if left <= 0 else f"exit {self.process.poll()}"
                    raise AssertionError(f"{why}: {wanted.pattern!r}; log:\n{self.log}")
                self.changed.wait(min(left, 0.5))

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the exit; return its code."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s; log:\n{self.log}") from None
        self.reader.join(timeout)
        return code

    def stop(self, number: int = signals.SIGTERM, timeout: float = PATIENCE) -> int:
        """Ask it to stop and wait; return the exit code."""
        if self.process.poll() is None:
            self.send_signal(number)
        return self.wait(timeout)

    def kill(self) -> None:
        """End the whole session of the server, whatever state it is in."""
        try:
            os.killpg(self.process.pid, signals.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.process.wait()
        self.reader.join(5)
        if not self.reader.is_alive():
            self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()


class EngineServer:
    """One worker's engine inside the test process: any plan, any application object.

    For rows whose limits have no option on the command line, and for the ones that want to see
    the engine's own counters. The real acceptor, runtimes and sockets; only the supervisor lacks.
    """

    def __init__(self, app: Any, interface: str = "asgi", **plan: Any) -> None:
        from granian.engine.runtime import Engine
        from granian.plan import Http1Plan, WorkerPlan

        http1 = Http1Plan(**plan.pop("http1", {}))
        plan.setdefault("loop", "asyncio")
        self.plan = WorkerPlan(interface=interface, http1=http1, **plan)
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.engine = Engine(self.plan, app, [self.listener])
        self.engine.start()

    def __enter__(self) -> "EngineServer":
        return self

    def __exit__(self, *_) -> None:
        self.engine.drain()
        if not self.engine.join(2):
            self.engine.halt()
            assert self.engine.join(5), f"threads still alive: {self.engine.describe()}"
        self.listener.close()


def children(pid: int) -> List[int]:
    """Direct children of a process, from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    """A process that exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, timeout: float = 5.0, what: str = "condition") -> None:
    """Poll a fact of the operating system that has no event to wait for."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what} not reached in {timeout} s"
        time.sleep(0.01)
