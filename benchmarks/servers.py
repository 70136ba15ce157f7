"""The servers that are compared, and the environments they live in.

Peers have an environment of their own: Granian's distribution carries our name. Each server is
started for a row with the options that make the comparison fair: one worker, no access log, the
fastest loop it knows.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional

from . import machine

HERE = Path(__file__).parent
ROOT = HERE.parent
PEER_PACKAGES = [
    "granian==2.8.7",
    "uvicorn",
    "httptools",
    "uvloop",
    "websockets",
    "fastpysgi",
    "h2corn",
]
START_TIMEOUT = 20.0


class Workload(NamedTuple):
    """What a server must be able to do for a row."""

    app: str
    interface: str = "asgi"
    protocol: str = "http1"
    blocking_threads: int = 1
    workers: int = 1


class UnableError(Exception):
    """This server cannot serve this row, or is not installed."""


def interpreter(version_or_path: str) -> str:
    """Path of a Python named by version (3.13), command or path."""
    for candidate in (version_or_path, f"python{version_or_path}"):
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            code = "import sys; print(sys.executable)"
            command = [candidate, "-c", code]
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
    raise SystemExit(f"benchmarks: no Python called {version_or_path!r} here")


def environment(kind: str, python: str) -> str:
    """Make (once) a virtual environment for ``ours`` or ``peers``; return its Python."""
    version = subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2] + sys.abiflags)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    venv = ROOT / f".venv-bench-{kind}-{version}"
    inside, stamp = venv / "bin" / "python", venv / ".complete"
    if not stamp.exists():
        print(f"making {venv.name} ...", file=sys.stderr)
        subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(inside), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        pip += ["--prefer-binary", "--only-binary", "pydantic-core,uvloop"]
        if kind == "ours":
            subprocess.run([*pip, "-e", str(ROOT)], check=True)
            subprocess.run([*pip, "uvloop"], check=False, stderr=subprocess.DEVNULL)
        else:
            for package in PEER_PACKAGES:  # one by one: a peer without a wheel here is left out
                if subprocess.run([*pip, package], check=False).returncode:
                    print(f"no {package} for {version}: its column stays empty", file=sys.stderr)
        stamp.touch()
    return str(inside)


def certificate() -> Dict[str, str]:
    """A throw-away certificate, made once per run."""
    room = Path(tempfile.gettempdir(), f"granian-bench-{os.getuid()}")
    room.mkdir(mode=0o700, exist_ok=True)
    cert, key = room / "cert.pem", room / "key.pem"
    if not cert.exists():
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-days", "30", "-subj", "/CN=localhost"]
        command += ["-keyout", str(key), "-out", str(cert)]
        subprocess.run(command, check=True, capture_output=True)
    return {"cert": str(cert), "key": str(key)}


def script(python: str, name: str) -> str:
    """A peer's command, beside its Python; not ``-m``, which would look into this directory."""
    command = Path(python).with_name(name)
    if not command.exists():
        raise UnableError
    return str(command)


def granian(python: str, work: Workload, port: int, *, peer: bool) -> List[str]:
    start = [script(python, "granian")] if peer else [python, "-m", "granian"]
    command = [*start, "--interface", work.interface, "--port", str(port)]
    command += ["--workers", str(work.workers), "--log-level", "error"]
    if peer:
        command += ["--loop", "uvloop"]
    if work.interface == "wsgi":
        command += ["--blocking-threads", str(work.blocking_threads)]
    if work.protocol == "https":
        pair = certificate()
        command += ["--ssl-certificate", pair["cert"], "--ssl-keyfile", pair["key"]]
    return [*command, f"apps:{work.app}"]


def uvicorn(python: str, work: Workload, port: int) -> List[str]:
    if work.interface != "asgi" or work.protocol == "http2" or work.workers != 1:
        raise UnableError
    command = [script(python, "uvicorn"), "--port", str(port), "--no-access-log"]
    command += ["--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    if work.protocol == "https":
        pair = certificate()
        command += ["--ssl-certfile", pair["cert"], "--ssl-keyfile", pair["key"]]
    return [*command, f"apps:{work.app}"]


def fastpysgi(python: str, work: Workload, port: int) -> List[str]:
    plain = work.interface in ("asgi", "wsgi") and work.protocol in ("http1", "https")
    if not plain or work.blocking_threads != 1 or work.workers != 1:
        raise UnableError
    command = [script(python, "fastpysgi"), "--host", "127.0.0.1", "-p", str(port)]
    if work.protocol == "https":
        pair = certificate()
        command += ["--certfile", pair["cert"], "--keyfile", pair["key"]]
    return [*command, f"apps:{work.app}"]


def h2corn(python: str, work: Workload, port: int) -> List[str]:
    if work.interface != "asgi" or work.workers != 1:
        raise UnableError
    command = [script(python, "h2corn"), "--host", "127.0.0.1", "-p", str(port), "--loop", "uvloop"]
    if work.protocol == "https":
        pair = certificate()
        command += ["--certfile", pair["cert"], "--keyfile", pair["key"]]
    return [*command, f"apps:{work.app}"]


PEERS = {
    "granian": lambda python, work, port: granian(python, work, port, peer=True),
    "uvicorn": uvicorn,
    "fastpysgi": fastpysgi,
    "h2corn": h2corn,
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One running server, pinned to its core; a context manager."""

    def __init__(self, name: str, command: List[str], port: int, core: Optional[int], tls: bool):
        self.name, self.port, self.tls = name, port, tls
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 closed with the server
        pinned = ["taskset", "-c", str(core), *command] if core is not None else command
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GRANIAN"))}
        if name.startswith("ours"):
            env["PYTHONPATH"] = str(ROOT)
        self.born = time.perf_counter()
        self.process = subprocess.Popen(
            pinned, cwd=HERE, env=env, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def __enter__(self) -> "Server":
        try:
            self.seconds_to_answer = self.wait_answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(3)
        self.log.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/"

    def wait_answer(self) -> float:
        """Seconds from the start of the process to its first answer (or first accept, for TLS)."""
        while time.perf_counter() - self.born < START_TIMEOUT:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(
                ("127.0.0.1", self.port), timeout=START_TIMEOUT
            ) as sock:
                if self.tls:
                    return time.perf_counter() - self.born
                # Kept open and left by us: fastpysgi answers nobody after it has closed one.
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                if sock.recv(65_536):
                    seconds = time.perf_counter() - self.born
                    # Leave politely: some peers stumble over a reset.
                    sock.settimeout(0.1)
                    with contextlib.suppress(OSError):
                        while sock.recv(65_536):
                            pass
                    return seconds
            time.sleep(0.002)
        self.log.seek(0)
        said = self.log.read().decode(errors="replace").strip()
        raise UnableError(f"{self.name} did not start: {said[-400:]}")

    def cpu(self) -> float:
        return machine.cpu_seconds(self.pid)

    def pss(self) -> float:
        return machine.pss_kib(self.pid)


@contextlib.contextmanager
def running(name: str, python: str, work: Workload, core: Optional[int]) -> Iterator[Server]:
    """Start one server for a workload; ``name`` is ``ours`` or a peer's."""
    port = free_port()
    if name.startswith("ours"):
        command = granian(python, work, port, peer=False)
    else:
        command = PEERS[name](python, work, port)
    with Server(name, command, port, core, work.protocol == "https") as server:
        yield server
