"""Ways to start and to listen: sockets passed in, files that change, scripts, process 1."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from tests.e2e.test_server_life import APP, ScriptServer, get, request
from tests.support.load import Load
from tests.support.servers import GranianServer, alive, children, wait_until
from tests.support.wire import Wire

pytestmark = pytest.mark.e2e


@pytest.fixture
def short():
    """A folder whose Unix socket paths fit into sun_path."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        yield folder


class TestUnixSocket:
    def test_served_and_removed(self, short):
        path = os.path.join(short, "s")
        with GranianServer(APP, uds=path, uds_permissions="0660") as server:
            assert server.address == path
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
            assert get(server).body == b"ok"
            assert server.stop() == 0
            assert not os.path.exists(path)

    def test_left_alone_if_replaced_meanwhile(self, short):
        path = os.path.join(short, "s")
        with GranianServer(APP, uds=path) as server:
            os.unlink(path)
            with open(path, "w") as file:
                file.write("another's")
            assert server.stop() == 0
            assert os.path.exists(path)


class TestPassedSockets:
    def test_descriptor(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            number = sock.fileno()
            command = [sys.executable, "-c", _EXEC_KEEPING.format(number=number)]
            os.set_inheritable(number, True)
            with FdServer(command, (number,), fd=number) as server:
                assert server.port == sock.getsockname()[1]
                assert get(server).body == b"ok"
                assert server.stop() == 0

    def test_activation_with_a_tcp_and_a_unix_socket(self, short):
        path = os.path.join(short, "s")
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
            tcp.bind(("127.0.0.1", 0))
            tcp.listen(16)
            unix.bind(path)
            unix.listen(16)
            script = _ACTIVATE.format(one=tcp.fileno(), two=unix.fileno())
            passed = (tcp.fileno(), unix.fileno())
            with FdServer([sys.executable, "-c", script], passed) as server:
                server.wait_line("passed by the service manager")
                assert get(server).body == b"ok"
                with Wire(path) as wire:
                    assert wire.exchange(request("/environ")).body == b"-"
                assert server.stop() == 0


_EXEC_KEEPING = """
import os, sys
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

_ACTIVATE = """
import fcntl, os, sys
one, two = (fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in ({one}, {two}))
os.dup2(one, 3)
os.dup2(two, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class FdServer(GranianServer):
    """A server that is handed descriptors: through another program, as service managers do."""

    def __init__(self, python, passed, **options):
        popen = subprocess.Popen

        def keeping(*args, **kwargs):
            return popen(*args, pass_fds=passed, **kwargs)

        subprocess.Popen = keeping
        try:
            super().__init__(APP, python=python, wait=False, **options)
        finally:
            subprocess.Popen = popen
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise


class TestNotify:
    def test_states_reach_the_manager(self, short):
        path = os.path.join(short, "n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(path)
            manager.settimeout(10)
            env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}
            with GranianServer(APP, env=env) as server:
                assert manager.recv(500).startswith(b"READY=1")
                assert manager.recv(500) == b"WATCHDOG=1"
                server.send_signal(signal.SIGHUP)
                seen = []
                while not (seen and seen[-1].startswith(b"READY=1")):
                    seen.append(manager.recv(500))
                assert [state for state in seen if state.startswith(b"RELOADING=1")]
                server.send_signal(signal.SIGTERM)
                while not manager.recv(500).startswith(b"STOPPING=1"):
                    pass
                assert server.wait() == 0


class TestWatching:
    SOURCE = "from tests.e2e.server_app import app\n"

    @pytest.mark.parametrize("polling", [False, True])
    def test_one_save_is_one_reload(self, tmp_path, polling):
        (tmp_path / "watched.py").write_text(self.SOURCE)
        options = {"reload": True, "reload_polling": polling, "cwd": tmp_path}
        with GranianServer("watched:app", workers=1, **options) as server:
            wait_until(lambda: get(server).status == 200)
            (tmp_path / "watched.py").write_text(self.SOURCE + "# changed\n")
            server.wait_line("Started worker-1$", 2)
            assert get(server).status == 200
            assert server.log.count("Changes detected, reloading workers..") == 1
            assert f"Modified: {tmp_path / 'watched.py'}" in server.log
            assert server.stop() == 0

    def test_a_thousand_files_are_one_reload(self, tmp_path):
        (tmp_path / "watched.py").write_text(self.SOURCE)
        with GranianServer("watched:app", reload=True, cwd=tmp_path) as server:
            for number in range(300):
                (tmp_path / f"f{number}.py").write_text("")
            server.wait_line("Started worker-1$", 2)
            get(server)
            assert server.log.count("Changes detected") <= 2

    def test_what_does_not_count(self, tmp_path):
        (tmp_path / "watched.py").write_text(self.SOURCE)
        (tmp_path / "skipped").mkdir()
        options = {"reload_ignore_dirs": "skipped", "reload_ignore_patterns": r"\.log$"}
        with GranianServer("watched:app", reload=True, cwd=tmp_path, **options) as server:
            (tmp_path / "__pycache__").mkdir(exist_ok=True)
            for name in ("__pycache__/x.py", "skipped/x.py", "a.log", "a.pyc", ".a.swp", "a~"):
                (tmp_path / name).write_text("")
            (tmp_path / "watched.py").read_text()
            (tmp_path / "counts.py").write_text("")
            server.wait_line("Changes detected")
            server.wait_line("Started worker-1$", 2)
            changed = [line for line in server.lines if ": " + str(tmp_path) in line]
            assert {line.split(": ")[1] for line in changed} == {str(tmp_path / "counts.py")}

    def test_broken_save_is_survived(self, tmp_path):
        (tmp_path / "watched.py").write_text(self.SOURCE)
        with GranianServer("watched:app", reload=True, workers=2, cwd=tmp_path) as server:
            (tmp_path / "watched.py").write_text("def broken(:\n")
            server.wait_line("Waiting for a change")
            assert server.log.count("def broken(:") == 1
            (tmp_path / "watched.py").write_text(self.SOURCE)
            server.wait_line("Started worker-2$", 2)
            assert get(server).status == 200
            assert server.stop() == 0

    def test_application_that_hangs_while_loading_can_be_mended(self, tmp_path):
        (tmp_path / "watched.py").write_text("print('hanging', flush=True)\nwhile True: pass\n")
        impatient = tmp_path / "impatient.py"
        impatient.write_text(
            "import sys\n"
            "from granian.cli import entrypoint\n"
            "from granian.server import succession\n"
            "succession.HANGING = 0.5\n"
            "del sys.argv[1:3]  # the -m granian of the command that this stands for\n"
            "entrypoint()\n"
        )
        options = {"python": [sys.executable, str(impatient)], "reload": True, "wait": False}
        with GranianServer("watched:app", cwd=tmp_path, **options) as server:
            server.wait_line("hanging")
            (tmp_path / "watched.py").write_text(self.SOURCE)
            server.wait_ready()
            assert get(server).status == 200
            assert server.stop() == 0

    def test_open_stream_does_not_hang_a_reload(self, tmp_path):
        (tmp_path / "watched.py").write_text(self.SOURCE)
        server = GranianServer("watched:app", reload=True, cwd=tmp_path)
        with server, Wire(server.address) as stream, Wire(server.address) as stuck:
            stream.send(request("/stream"))
            stream.read_until(b"data: x")
            stuck.send(request("/ignore"))
            time.sleep(0.1)
            begun = time.monotonic()
            (tmp_path / "watched.py").write_text(self.SOURCE + "\n")
            server.wait_line("Started worker-1$", 2)
            assert time.monotonic() - begun < 6
            stream.read_to_end()


SCRIPT = """
import os, sys
from granian import Granian, loops
from granian.constants import Interfaces

@loops.register("auto")
def build():
    import asyncio
    print("own loop", os.getpid(), flush=True)
    return asyncio.SelectorEventLoop()

def loader(target):
    print("loading", target, flush=True)
    from tests.e2e.server_app import app
    return app

if __name__ == "__main__":
    server = Granian("json text", port=0, interface=Interfaces.ASGI, threads=1, pthreads=1)

    @server.on_startup
    def started():
        print("startup hook", server.bind_port, flush=True)

    @server.on_reload
    def reloaded():
        print("reload hook", flush=True)

    server.on_shutdown(lambda: print("shutdown hook", flush=True))
    server.serve(target_loader=loader)
    print("returned", flush=True)
"""


class TestScript:
    def test_hooks_loader_and_loops(self, tmp_path):
        script = tmp_path / "serve.py"
        script.write_text(SCRIPT)
        with ScriptServer(script) as server:
            assert get(server).body == b"ok"
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker-1")
            assert server.stop() == 0
            lines = server.lines
            assert "loading json text" in lines
            assert lines.index(f"startup hook {server.port}") < lines.index("loading json text")
            assert lines.count("reload hook") == 1
            assert lines.index("shutdown hook") < lines.index("returned")
            own = [int(line.split()[-1]) for line in lines if line.startswith("own loop")]
            assert server.pid not in own
            assert len(own) == 2

    def test_stopped_from_another_thread(self, tmp_path):
        script = tmp_path / "serve.py"
        script.write_text(
            "import threading\n"
            "from granian.server import Granian\n"
            "if __name__ == '__main__':\n"
            f"    server = Granian({APP!r}, port=0, interface='asgi')\n"
            "    threading.Timer(1.5, server.main_loop_interrupt.set).start()\n"
            "    server.serve()\n"
        )
        with ScriptServer(script) as server:
            assert server.wait() == 0

    def test_module_target_in_the_script_itself(self, tmp_path):
        script = tmp_path / "whole.py"
        script.write_text(
            "from granian import Granian\n"
            "from tests.e2e.server_app import app\n"
            "if __name__ == '__main__':\n"
            "    Granian('whole:app', port=0, interface='asgi', workers=2).serve()\n"
        )
        with ScriptServer(script, workers=2) as server:
            assert get(server).body == b"ok"
            assert server.stop() == 0


def can_unshare():
    return (
        os.geteuid() == 0
        and subprocess.run(
            ["unshare", "--pid", "--fork", "true"], check=False, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


@pytest.mark.skipif(not can_unshare(), reason="needs a PID namespace of its own")
class TestFirstProcess:
    def test_as_process_1_it_stops_and_reaps(self):
        unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable]
        with GranianServer(APP, workers=2, python=unshare) as server:
            assert "main PID: 1)" in server.log
            orphan = "import os; os.fork() or os.execlp('sleep', 'sleep', '0.2')"
            inside = ["nsenter", "--target", str(_child_of(server.pid)), "--pid"]
            subprocess.run([*inside, sys.executable, "-c", orphan], check=True)
            main = _child_of(server.pid)
            wait_until(lambda: _zombies(main) == 0, 5, "no zombies")
            os.kill(main, signal.SIGTERM)
            assert server.wait() == 0
            assert "see ya!" in server.log


def _child_of(pid):
    return children(pid)[0]


def _zombies(parent):
    return sum(not alive(pid) for pid in children(parent))


class TestPreload:
    def test_loaded_once_and_lost_nothing(self, tmp_path):
        (tmp_path / "once.py").write_text(
            "import os\nprint('loaded by', os.getpid(), flush=True)\n"
            "from tests.e2e.server_app import app\n"
        )
        with GranianServer("once:app", workers=2, preload=True, cwd=tmp_path) as server:
            with Load(server.address) as load:
                load.wait_answered(20)
                server.send_signal(signal.SIGHUP)
                server.wait_line("Stopped old worker", 2)
                load.wait_answered(20)
            assert load.failures == {}
            assert server.log.count("loaded by") == 2
            assert get(server, "/heavy").body == b""
            assert server.stop() == 0

    def test_death_is_reported_by_the_nursery(self):
        options = {"respawn_failed_workers": True, "respawn_interval": 0.1}
        with GranianServer(APP, workers=2, preload=True, **options) as server:
            with Wire(server.address) as wire:
                wire.send(request("/segfault")).read_to_end()
            server.wait_line("killed by SIGSEGV")
            server.wait_line("Started worker", 5)
            assert server.stop() == 0

    def test_application_that_cannot_be_loaded(self, tmp_path):
        (tmp_path / "broken.py").write_text("import nothing_like_this\n")
        options = {"workers": 2, "preload": True, "cwd": tmp_path, "wait": False}
        with GranianServer("broken:app", **options) as server:
            assert server.wait() == 1
            assert "nothing_like_this" in server.log
            assert "Unexpected exit from preload" in server.log
            assert "Spawning" not in server.log

    def test_workers_leave_when_the_supervisor_is_killed(self):
        with GranianServer(APP, workers=2, preload=True) as server:
            (nursery,) = children(server.pid)
            everybody = [nursery, *server.worker_pids]
            os.kill(server.pid, signal.SIGKILL)
            wait_until(lambda: not any(map(alive, everybody)), 6, "no orphans")


class TestMetrics:
    def test_scraped(self):
        pytest.importorskip("prometheus_client")
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        options = {"metrics": True, "metrics_port": port, "metrics_scrape_interval": 1}
        with GranianServer(APP, workers=2, **options) as server:
            for _ in range(3):
                get(server)

            def scraped():
                with Wire(("127.0.0.1", port)) as wire:
                    wire.send(request("/any/path"))
                    return wire.read_to_end().decode()

            wait_until(lambda: 'granian_requests_handled{worker="2"}' in scraped(), 5)
            text = scraped()
            assert "# TYPE granian_requests_handled counter" in text
            assert "granian_workers_spawns 2.0" in text
