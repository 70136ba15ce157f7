"""The image of conf/Dockerfile, as compose.yaml runs it, without an engine to build it.

What the files say of the container is taken from them: environment, command, health check, signal,
a root that cannot be written to. Namespaces of the kernel make the server process 1 on such a root.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.servers import ROOT

from .test_conf import APP, CONF, free_port

STARTED = "Started worker-{} runtime-1"


def last_stage():
    text = re.sub(r"\\\n\s*", "", (CONF / "Dockerfile").read_text())
    return text[text.rindex("\nFROM ") :]


def said(pattern):
    found = re.findall(pattern, last_stage(), re.M)
    assert len(found) == 1, f"{pattern} is there {len(found)} times"
    return found[0]


def environment(**more):
    """The image's variables, over what a program needs to start at all."""
    pairs = dict(pair.split("=", 1) for pair in shlex.split(said(r"^ENV (.*)$")))
    assert pairs.pop("PATH") == "/venv/bin:$PATH"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    return {"PATH": path, "PYTHONPATH": str(ROOT), **pairs, **more}


def compose_variables():
    """What compose.yaml adds for the service ``app``, whose root is read-only."""
    service = (CONF / "compose.yaml").read_text().split("  app:\n")[1].split("\n\n")[0]
    assert "    read_only: true\n" in f"{service}\n"
    return dict(re.findall(r'^      (GRANIAN_\w+): "(.*)"$', service, re.M))


def confined(command):
    """Run a command as process 1 on a root that cannot be written to."""
    script = 'mount -o remount,bind,ro / && mount -t proc proc /proc && exec "$@"'
    return ["unshare", "-r", "-m", "-p", "-f", "--kill-child", "sh", "-c", script, "sh", *command]


def can_confine():
    if shutil.which("unshare") is None:
        return False
    probe = "touch probe 2>/dev/null; test $? -ne 0 -a $$ -eq 1"
    command = confined(["sh", "-c", probe])
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Container:
    """A running container, by its first process."""

    def __init__(self, room, variables, wrap):
        self.port = free_port()
        self.environment = environment(GRANIAN_PORT=str(self.port), **variables)
        self.room = room
        self.lines = []
        self.process = subprocess.Popen(
            wrap(json.loads(said(r"^CMD (\[.*\])$"))),
            cwd=str(room),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.wrapped = wrap is confined

    def wait_for(self, message):
        for line in self.process.stdout:
            self.lines.append(line)
            if message in line:
                return
        pytest.fail("".join(self.lines))

    def is_healthy(self):
        text = said(r"^HEALTHCHECK .* CMD (\[.*\])$").replace(":8000/", f":{self.port}/")
        run = subprocess.run(
            json.loads(text), env=self.environment, capture_output=True, check=False, timeout=20
        )
        return run.returncode == 0

    def stop(self):
        """Stop as an engine does; return the exit code."""
        number = getattr(signal, said(r"^STOPSIGNAL (\w+)$"))
        pid = self.process.pid
        if self.wrapped:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            pid = int(children.split()[0])
        os.kill(pid, number)
        self.lines += self.process.stdout
        return self.process.wait(15)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(params=["image", "compose"])
def container(request, tmp_path):
    (tmp_path / "main.py").write_text(APP)
    wrap, variables = list, {}
    if request.param == "compose":
        variables, wrap = compose_variables(), confined
        if not can_confine():
            pytest.skip("needs the right to make namespaces")
    one = Container(tmp_path, variables, wrap)
    yield one
    one.close()


def test_the_image_serves_is_found_healthy_and_stops_in_time(container):
    for number in range(1, int(container.environment.get("GRANIAN_WORKERS", "1")) + 1):
        container.wait_for(STARTED.format(number))
    assert container.is_healthy()
    url = f"http://127.0.0.1:{container.port}/a/b"
    with urllib.request.urlopen(url, timeout=10) as response:
        assert json.loads(response.read())["path"] == "/a/b"
    began = time.monotonic()
    assert container.stop() == 0
    assert time.monotonic() - began < int(container.environment["GRANIAN_WORKERS_KILL_TIMEOUT"])
    assert not container.is_healthy()
    records = [json.loads(line) for line in container.lines]
    assert any("/a/b" in str(record) for record in records)
    assert "see ya" in str(records[-1])
