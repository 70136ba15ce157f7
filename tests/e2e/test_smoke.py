"""The shortest proof that a build serves: each interface, with curl and httpx, start to stop.

Run on every Python the package supports, so it needs no framework.
"""

import shutil
import signal
import subprocess
import sys

import httpx
import pytest

from tests.support.servers import GranianServer

EXAMPLES = [("asgi", 1), ("asgi", 2), ("asginl", 1), ("rsgi", 1), ("rsgi", 2), ("wsgi", 1)]


def example(interface):
    return f"examples.{'asgi' if interface == 'asginl' else interface}:app"


@pytest.mark.parametrize(("interface", "workers"), EXAMPLES)
def test_start_serve_stop(interface, workers):
    with GranianServer(example(interface), interface, workers=workers) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            assert "It works" in http.get("/").text
            body = b"x" * 100_000
            assert http.post("/echo", content=body).content == body
            assert http.post("/echo", content=iter([body, body])).content == body * 2
        assert server.stop(signal.SIGTERM) == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_each_loop(loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    with GranianServer("tests.apps.streams:asgi", loop=loop) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            assert http.get("/").status_code == 200
            assert http.get("/stream").text == "one two three"
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("mode", ["st", "mt"])
def test_two_runtime_threads(mode):
    options = {"runtime_mode": mode, "runtime_threads": 2}
    with GranianServer(example("asgi"), **options) as server:
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            assert [http.get("/").status_code for _ in range(20)] == [200] * 20
        assert server.stop() == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "It works"),
        (["--http1.0"], "It works"),
        (["-I"], "200 OK"),
        (["-d", "hello", "/echo"], "hello"),
        (["-d", "hello", "-H", "Expect: 100-continue", "/echo"], "hello"),
        (["-H", "Transfer-Encoding: chunked", "-d", "hello", "/echo"], "hello"),
        (["-o", "/dev/null", "-w", "%{http_code}", "/none"], "404"),
        (["-N", "/stream"], "line 9"),
    ],
)
def test_curl(server, arguments, expected):
    path = arguments.pop() if arguments and arguments[-1].startswith("/") else "/"
    command = ["curl", "-sS", "--max-time", "10", *arguments, server.url + path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert expected in done.stdout


@pytest.fixture(scope="module")
def server():
    with GranianServer(example("asgi")) as running:
        yield running


def test_a_worker_loads_nothing_of_the_operators_side(tmp_path):
    """Workers import neither pydantic, rich, click nor watchdog."""
    module = tmp_path / "spy.py"
    module.write_text(
        "import sys\n"
        "async def app(scope, receive, send):\n"
        "    names = {'pydantic', 'pydantic_settings', 'rich', 'click', 'watchdog'}\n"
        "    body = ' '.join(sorted(names & set(sys.modules))).encode()\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': body or b'none'})\n"
    )
    with GranianServer("spy:app", "asginl", cwd=tmp_path) as server:
        assert httpx.get(server.url, trust_env=False).text == "none"


def test_module_and_version():
    command = [sys.executable, "-m", "granian", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("granian ")
