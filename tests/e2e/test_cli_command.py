"""The command as a person or a script meets it: what it prints, where, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.servers import ROOT, GranianServer

pytestmark = pytest.mark.e2e

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hi"})
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "main.py").write_text(ASGI + "def make():\n    return app\n")
    (tmp_path / "broken.py").write_text("def app(a b):\n    pass\n")
    (tmp_path / "raising.py").write_text("raise ValueError('no database')\n")
    (tmp_path / "needy.py").write_text("import not_installed_anywhere\n")
    (tmp_path / "text.py").write_text("app = 'text'\n")
    return tmp_path


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GRANIAN_", "FORCE_COLOR"))}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **more}


def granian(folder, *args, **env):
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "granian", *args],
        cwd=str(folder),
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_version(folder):
    run = granian(folder, "--version")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith("granian ")


def test_help_is_the_stored_one(folder):
    run = granian(folder, "--help")
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == (ROOT / "tests" / "cli" / "golden" / "help.txt").read_text()


@pytest.mark.parametrize("args", [["--help"], ["--init-config"], ["--show-completion", "zsh"]])
def test_a_reader_may_stop_reading(folder, args):
    command = f"{sys.executable} -m granian {' '.join(args)} | head -n 1"
    run = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=str(folder),
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    assert run.stdout.count("\n") == 1


MISTAKES = [
    (["mian:app"], ["there is no module 'mian'", "Did you mean main:app?"]),
    (["main:ap"], ["module 'main' has no attribute 'ap'", "Did you mean main:app?"]),
    (["mian.py"], ["there is no file 'mian.py'", "Did you mean main.py?"]),
    (["main:make"], ["it takes no arguments", "Add --factory"]),
    (["main:app", "--interface", "rsgi"], ["looks like an asgi application", "Add --interface"]),
    (["text:app"], ["it is a str, which cannot be called."]),
    (["broken:app"], ["syntax error in broken.py, line 1", "def app(a b):", "^"]),
    (["raising:app"], ["ValueError: no database", 'File "raising.py", line 1']),
    (["needy:app"], ["needs the module 'not_installed_anywhere'", 'File "needy.py", line 1']),
]


@pytest.mark.parametrize(("args", "said"), MISTAKES, ids=lambda value: " ".join(value)[:30])
def test_mistakes_in_the_application_are_told_once_and_are_one(folder, args, said):
    options = ["--interface", "asgi", "--port", "0", "--workers", "2"]
    run = granian(folder, *options, *args)
    everything = run.stdout + run.stderr
    assert run.returncode == 1
    for words in said:
        assert everything.count(words) == 1, everything
    assert "Traceback" not in everything
    assert "importlib" not in everything


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        ([], {}, "Missing argument 'APP'"),
        (["main:app", "--prot", "1"], {}, "No such option '--prot'. Did you mean '--port'?"),
        (["main:app", "--port", "80000"], {}, "80000 is not in the range 0<=x<=65535."),
        (["main:app"], {"GRANIAN_PORT": "x"}, "(env var: 'GRANIAN_PORT'): 'x' is not"),
        (["main:app", "--interface", "cgi"], {}, "'cgi' is not one of 'asgi', "),
        (["main:app", "--config", "no.toml"], {}, "File 'no.toml' does not exist."),
        (["main:app", "--ssl-certificate", "main.py"], {}, "is given without --ssl-keyfile"),
        (["main:app", "--ssl-keyfile", "/no.key"], {}, "File '/no.key' does not exist."),
        (["main:app", "--blocking-threads", "2"], {}, "can only be 1 when"),
    ],
)
def test_mistakes_in_settings_are_two(folder, args, env, said):
    run = granian(folder, *args, **env)
    assert run.returncode == 2
    assert run.stdout == ""
    assert said in run.stderr
    assert len(run.stderr.splitlines()) == 4


def test_a_port_in_use_is_one_line_and_names_its_holder(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = granian(folder, "--interface", "asgi", "--port", port, "main:app")
    assert run.returncode == 1
    assert "Traceback" not in run.stdout + run.stderr
    (line,) = [line for line in run.stderr.splitlines() if "the port is in use" in line]
    if sys.platform.startswith("linux"):
        assert f"by process {os.getpid()}" in line


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--host", "192.0.2.1"], "this machine does not have that address"),
        (["--host", "no-such-host.invalid"], "Cannot resolve host"),
    ],
)
def test_what_cannot_be_listened_on_is_one_line_and_one(folder, args, said):
    run = granian(folder, "--interface", "asgi", "--port", "0", *args, "main:app")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert said in run.stderr


def test_check_config_says_what_is_wrong_with_its_exit_code(folder):
    good = granian(folder, "--check-config", "--interface", "asgi", "--port", "0", "main:app")
    assert (good.returncode, good.stderr) == (0, "")
    bad = granian(folder, "--check-config", "--port", "0", "main:app")
    assert bad.returncode == 1
    assert "application  NO" in bad.stdout
    assert granian(folder, "--check-config", "--port", "x", "main:app").returncode == 2


def run_on_terminal(folder, args, until=None, **env):
    """Run the command on a terminal of its own until it has printed something; interrupt it."""
    pty = pytest.importorskip("pty")
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(str(folder))
        variables = {**environment(COLUMNS="100", TERM="xterm"), "NO_COLOR": "", **env}
        os.execve(sys.executable, [sys.executable, "-m", "granian", *args], variables)
    printed = b""
    interrupted = False
    while True:
        try:
            data = os.read(descriptor, 65_536)
        except OSError:
            break  # the other side of the terminal is closed
        if not data:
            break
        printed += data
        if until is not None and not interrupted and until in printed:
            os.kill(pid, signal.SIGINT)
            interrupted = True
    os.close(descriptor)
    status = os.waitpid(pid, 0)[1]
    return printed.decode(), os.WEXITSTATUS(status) if os.WIFEXITED(status) else -status


def test_help_on_a_terminal_has_panels_and_colour(folder):
    text, code = run_on_terminal(folder, ["--help"])
    assert code == 0
    assert "\x1b[" in text
    assert "─ Workers ─" in re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_help_on_a_terminal_may_be_plain(folder, env):
    text, code = run_on_terminal(folder, ["--help"], **env)
    assert code == 0
    assert "\x1b[" not in text
    assert text.startswith("Usage: granian [OPTIONS] APP\r\n\r\nArguments:")


def test_a_server_on_a_terminal_introduces_itself(folder):
    args = ["--interface", "asgi", "--host", "::1", "--port", "0", "main:app"]
    text, code = run_on_terminal(folder, args, b"Started worker-1")
    assert code == 0
    assert "http://[::1]:" in text
    assert "main:app, ASGI" in text
    assert "Ctrl+C stops" in text
    assert "Granian shutdown completed" in text
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert shown.startswith("╭─ granian ")
    assert shown.index("Ctrl+C stops") < shown.index("[INFO] Starting granian (main PID")
    assert shown.index("[INFO] Listening at: ") < shown.index("[INFO] Spawning worker-1")


def test_a_server_that_cannot_listen_says_so_on_a_terminal_too(folder):
    args = ["--interface", "asgi", "--host", "192.0.2.1", "main:app"]
    text, code = run_on_terminal(folder, args)
    assert code == 1
    starting, error = text.splitlines()
    assert starting.startswith("[INFO] Starting granian")
    assert error.startswith("Error: Cannot listen on 192.0.2.1:8000")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")
def test_the_supervisor_does_not_carry_the_settings_libraries(folder):
    """What is loaded to read settings must not stay in a process that lives for months."""
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", "--interface", "asgi", "--port", "0", "main:app"],
        cwd=str(folder),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        for line in process.stdout:
            if "Started worker-1" in line:
                break
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "_pydantic_core" not in maps
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.M)[1]) <= 30 * 1024
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks into /proc")
@pytest.mark.parametrize(("options", "name"), [({}, None), ({"process_name": "shop"}, "shop")])
def test_processes_are_named_by_what_they_serve(folder, options, name):
    pytest.importorskip("setproctitle")
    with GranianServer("main:app", cwd=folder, **options) as server:
        name = name or f"granian asgi 127.0.0.1:{server.port} main:app"
        (worker,) = server.worker_pids
        for pid, title in ((server.pid, name), (worker, f"{name} worker-1")):
            shown = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
            assert shown == title
        assert server.stop() == 0


def test_the_installed_script_keeps_workers_as_light_as_the_module(tmp_path):
    """Workers run the script's module again where an application may define things in it."""
    script = tmp_path / "granian"
    script.write_text("import sys\nfrom granian.cli import entrypoint\nsys.exit(entrypoint())\n")
    app = "tests.e2e.server_app:app"
    process = subprocess.Popen(
        [sys.executable, str(script), "--interface", "asgi", "--port", "0", app],
        cwd=str(ROOT),
        env=environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = None
        for line in process.stdout:
            if "Listening at: " in line:
                url = line.split()[-1]
            if "Started worker-1" in line:
                break
        with urllib.request.urlopen(f"{url}/heavy", timeout=10) as response:
            assert response.read() == b""
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == 0
