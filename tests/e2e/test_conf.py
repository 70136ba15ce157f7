"""The recipes of conf/ in the programs they are written for."""

import re
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.servers import ROOT, GranianServer

CONF = ROOT / "conf"
APP = """
import json

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await receive()
        message = await receive()
        await send({"type": "websocket.send", "text": "echo " + message["text"]})
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/healthz":
        raise RuntimeError("the server answers this")
    told = {"client": scope["client"][0], "scheme": scope["scheme"], "path": scope["path"],
            "host": dict(scope["headers"])[b"host"].decode()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
"""


@pytest.fixture
def behind_proxy(tmp_path):
    (tmp_path / "main.py").write_text(APP)
    config = str(CONF / "behind-proxy.toml")
    with GranianServer("main:app", config=config, cwd=tmp_path) as server:
        yield server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(command, port, cwd):
    """Start a proxy and wait until its port answers."""
    process = subprocess.Popen(
        command, cwd=str(cwd), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(process.communicate()[0])


def ended(process):
    process.terminate()
    process.communicate(timeout=15)


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request, behind_proxy, tmp_path):
    program = shutil.which(request.param, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip(f"needs {request.param}")
    port = free_port()
    name = {"nginx": "nginx.conf", "caddy": "Caddyfile"}[request.param]
    text = (CONF / name).read_text()
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{behind_proxy.port}")
    text, count = re.subn(r"\b8080\b", str(port), text)
    assert count == 1
    path = tmp_path / name
    if request.param == "nginx":
        text = text.replace(f"listen {port}", f"listen 127.0.0.1:{port}")
        paths = "".join(
            f"{kind}_temp_path {tmp_path}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = (
            f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{paths}{text}\n}}\n"
        )
        command = [program, "-e", "stderr", "-p", str(tmp_path), "-c", str(path)]
    else:
        text = "{\n\tadmin off\n\tauto_https off\n}\n" + text
        command = [program, "run", "--adapter", "caddyfile", "--config", str(path)]
    path.write_text(text)
    process = started(command, port, tmp_path)
    yield port
    ended(process)


def test_a_proxy_passes_requests_and_is_believed(proxy):
    import json

    url = f"http://127.0.0.1:{proxy}/a/b"
    for _ in range(3):  # the second one meets a connection that is used again
        with urllib.request.urlopen(url, timeout=10) as response:
            told = json.loads(response.read())
        assert told == {
            "client": "127.0.0.1",
            "scheme": "http",
            "path": "/a/b",
            "host": f"127.0.0.1:{proxy}",
        }


def test_a_proxy_passes_websockets(proxy):
    with connect(f"ws://127.0.0.1:{proxy}/ws") as websocket:
        websocket.send("hello")
        assert websocket.recv() == "echo hello"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_verified(tmp_path):
    for name in ("granian.service", "granian.socket"):
        text = (CONF / name).read_text()
        # What it starts must exist for the check.
        (tmp_path / name).write_text(text.replace("/srv/app/venv/bin/granian", "/bin/true"))
    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "./granian.service", "./granian.socket"],
        cwd=str(tmp_path),
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "granian." not in run.stderr


def test_tls_serves_with_the_files_beside_it(tmp_path):
    (tmp_path / "main.py").write_text(APP)
    (tmp_path / "conf" / "tls").mkdir(parents=True)
    shutil.copy(str(CONF / "tls.toml"), str(tmp_path / "conf"))
    certs = Path(ROOT, "tests", "certs")
    shutil.copy(str(certs / "server.pem"), str(tmp_path / "conf" / "tls" / "site.pem"))
    shutil.copy(str(certs / "server-key.pem"), str(tmp_path / "conf" / "tls" / "site.key"))
    import ssl

    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with GranianServer(
        "main:app", config="conf/tls.toml", host="127.0.0.1", cwd=tmp_path
    ) as server:
        assert server.scheme == "https"
        with urllib.request.urlopen(server.url, context=context, timeout=10) as response:
            assert b'"scheme": "https"' in response.read()


def test_a_container_answers_health_checks(tmp_path):
    (tmp_path / "main.py").write_text(APP)
    with GranianServer(
        "main:app", config=str(CONF / "container.toml"), host="127.0.0.1", cwd=tmp_path, wait=False
    ) as server:
        line = server.wait_line("Listening at: http://127.0.0.1:")
        port = int(re.search(r"127\.0\.0\.1:(\d+)", line)[1])
        server.wait_line("Started worker-1")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as response:
            assert response.status == 200
        assert server.stop() == 0
