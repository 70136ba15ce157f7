"""Drills of the supervisor: what a deployment survives, and what its clients notice (promises.md).

Fast versions; ``test_server_soak.py`` repeats the ones that need time.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from granian._compat import BUILD_GIL
from tests.support.load import GET, Load
from tests.support.servers import GranianServer, alive, children, wait_until
from tests.support.wire import Wire

pytestmark = pytest.mark.e2e

APP = "tests.e2e.server_app:app"

PROCESSES = 2 if BUILD_GIL else 1
"""Children of a server with two workers: threads of one process where threads run at once."""


def request(path="/", close=True):
    last = "connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nhost: x\r\n{last}\r\n".encode()


def get(server, path="/", wait=10.0):
    with Wire(server.address, wait) as wire:
        return wire.exchange(request(path))


def refused(address):
    try:
        socket.create_connection(address, 1).close()
    except ConnectionRefusedError:
        return True
    return False


def own_lines(server):
    return [line for line in server.lines if line.startswith("[")]


@pytest.fixture
def module(tmp_path):
    """A folder with an application to break and mend."""
    (tmp_path / "drill.py").write_text("from tests.e2e.server_app import app\n")
    return tmp_path


class TestStartAndStop:
    @pytest.mark.skipif(not BUILD_GIL, reason="workers that share a process start together")
    def test_says_what_it_does_in_order(self):
        with GranianServer(APP, workers=2) as server:
            assert server.stop() == 0
            lines = [re.sub(r"\d{2,}", "N", line) for line in own_lines(server)]
        assert lines[:7] == [
            "[INFO] Starting granian (main PID: N)",
            "[INFO] Listening at: http://N.0.0.1:N",
            "[INFO] Spawning worker-1 with PID: N",
            "[INFO] Started worker-1",
            "[INFO] Started worker-1 runtime-1",
            "[INFO] Spawning worker-2 with PID: N",
            "[INFO] Started worker-2",
        ]
        assert lines[-6] == "[INFO] Shutting down granian"
        assert set(lines[-5:-3]) == {"[INFO] Stopping worker-1", "[INFO] Stopping worker-2"}
        assert set(lines[-3:-1]) == {"[INFO] Stopped worker-1", "[INFO] Stopped worker-2"}
        assert lines[-1] == "[INFO] Granian shutdown completed, see ya!"

    def test_workers_hold_none_of_the_commands_libraries(self):
        with GranianServer(APP) as server:
            assert get(server, "/heavy").body == b""

    def test_workers_have_only_the_descriptors_they_need(self, tmp_path):
        with open(tmp_path / "leak", "w") as leak:
            os.set_inheritable(leak.fileno(), True)
            with GranianServer(APP, workers=2) as server:
                for pid in server.worker_pids:
                    links = [
                        os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")
                    ]
                    assert not [link for link in links if "leak" in link]
                    assert len(links) < 20

    def test_application_that_cannot_be_loaded_is_reported_once(self, tmp_path):
        (tmp_path / "broken.py").write_text("import nothing_like_this\n")
        with GranianServer("broken:app", workers=4, cwd=tmp_path, wait=False) as server:
            assert server.wait() == 1
            assert len([line for line in own_lines(server) if "nothing_like_this" in line]) == 1
            assert len([line for line in own_lines(server) if "Spawning" in line]) == 1
            assert "Unexpected exit from worker-1" in server.log

    def test_port_in_use_is_one_line(self):
        with GranianServer(APP) as first, GranianServer(APP, port=first.port, wait=False) as second:
            assert second.wait() == 1
            errors = [line for line in second.lines if "in use" in line]
            assert len(errors) == 1
            assert f"by process {first.pid}" in errors[0]
            assert "Traceback" not in second.log
            assert "Spawning" not in second.log

    def test_start_broken_off_while_the_application_loads(self, tmp_path):
        (tmp_path / "slow.py").write_text("import time; print('loading'); time.sleep(60)\n")
        with GranianServer("slow:app", cwd=tmp_path, wait=False) as server:
            server.wait_line("loading")
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 3
            assert "Traceback" not in server.log


class TestStop:
    """P4: nothing new, everything received is answered, then exit 0."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_running_request_is_answered(self, number):
        with GranianServer(APP, workers=2) as server, Wire(server.address) as wire:
            wire.send(request("/sleep/0.6", close=False))
            wait_until(lambda: server.process.poll() is None)
            with Wire(server.address) as idle:
                idle.exchange(GET)
                time.sleep(0.1)  # the request is on its way; nothing outside can see it arrive
                server.send_signal(number)
                begun = time.monotonic()
                wait_until(lambda: refused(server.address), 2, "refusal")
                assert time.monotonic() - begun < 0.4
                idle.read_to_end(1.0)
            response = wire.exchange()
            answered = time.monotonic()
            assert response.body == b"ok"
            assert response.says_close
            assert server.wait() == 0
            assert time.monotonic() - answered < 1.0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_signal_to_the_whole_group_loses_nothing(self, number):
        with GranianServer(APP, workers=2) as server, Wire(server.address) as wire:
            wire.send(request("/sleep/0.7"))
            time.sleep(0.1)
            os.killpg(server.pid, number)
            assert wire.exchange().body == b"ok"
            assert server.wait() == 0
            assert "Unexpected" not in server.log
            assert "Traceback" not in server.log

    def test_silent_connection_does_not_hold_up(self):
        with GranianServer(APP, workers=2) as server, Wire(server.address), Wire(server.address):
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < 2

    def test_second_signal_stops_now(self):
        with GranianServer(APP) as server, Wire(server.address) as wire:
            wire.send(request("/sleep/60"))
            time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            server.wait_line("a second signal stops now")
            begun = time.monotonic()
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0
            assert time.monotonic() - begun < 3.5
            wire.read_to_end()

    def test_second_signal_ends_even_a_stuck_application(self):
        with GranianServer(APP) as server, Wire(server.address) as wire:
            wire.send(request("/block"))
            time.sleep(0.1)
            server.send_signal(signal.SIGTERM)
            server.wait_line("a second signal stops now")
            server.send_signal(signal.SIGTERM)
            assert server.wait(6) == 0

    def test_worker_that_refuses_is_killed_in_time(self):
        """P7."""
        with GranianServer(APP, workers_kill_timeout=1) as server, Wire(server.address) as wire:
            wire.send(request("/block"))
            time.sleep(0.1)
            begun = time.monotonic()
            assert server.stop() == 0
            assert 0.5 < time.monotonic() - begun < 1.7

    def test_stopped_worker_is_killed_in_time(self):
        with GranianServer(APP, workers_kill_timeout=1) as server:
            os.kill(server.worker_pids[0], signal.SIGSTOP)
            begun = time.monotonic()
            assert server.stop() == 0
            assert 0.5 < time.monotonic() - begun < 1.7
            assert "Killing worker-1 after it refused to gracefully stop" in server.log

    def test_stream_is_told_before_it_is_cut(self):
        with GranianServer(APP, workers_kill_timeout=1) as server, Wire(server.address) as wire:
            wire.send(request("/stream"))
            wire.read_until(b"data: x")
            assert server.stop() == 0
            assert "stream told" in server.log
            assert "lifespan.shutdown" in server.log

    def test_worker_ended_from_outside_is_no_normal_stop(self):
        with GranianServer(APP, workers=2) as server:
            os.kill(server.worker_pids[0], signal.SIGTERM)
            assert server.wait() == 1
            assert re.search(r"Unexpected exit from worker-1 .*stopped by SIGTERM", server.log)


class TestReload:
    """P1 and P2."""

    def test_no_request_is_lost(self):
        with GranianServer(APP, workers=2) as server:
            with Load(server.address) as load:
                load.wait_answered(50)
                for count in (1, 2):
                    server.send_signal(signal.SIGHUP)
                    server.wait_line("Stopped old worker", 2 * count)
                    load.wait_answered(50)
            assert load.failures == {}
            assert server.stop() == 0

    def test_application_is_loaded_anew(self, module):
        with GranianServer("drill:app", cwd=module, workers=1) as server:
            (module / "drill.py").write_text(
                "from tests.e2e import server_app\n"
                "async def app(scope, receive, send):\n"
                "    if scope['type'] == 'http':\n"
                "        scope = {**scope, 'path': '/environ'}\n"
                "    await server_app.app(scope, receive, send)\n"
            )
            assert get(server).body == b"ok"
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker-1")
            assert get(server).body == b"-"

    def test_broken_application_leaves_the_old_workers(self, module):
        with GranianServer("drill:app", cwd=module, workers=2) as server:
            good = (module / "drill.py").read_text()
            with Load(server.address) as load:
                load.wait_answered(20)
                (module / "drill.py").write_text("def broken(:\n")
                server.send_signal(signal.SIGHUP)
                server.wait_line("the old ones go on serving")
                load.wait_answered(50)
                (module / "drill.py").write_text(good)
                server.send_signal(signal.SIGHUP)
                server.wait_line("Stopped old worker-2")
            assert load.failures == {}
            assert server.log.count("def broken(:") == 1
            assert server.stop() == 0

    def test_storm_counts_as_few_and_leaks_nothing(self):
        with GranianServer(APP, workers=2) as server:
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker", 2)
            before = len(os.listdir(f"/proc/{server.pid}/fd"))
            for _ in range(100):
                server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker", 4)
            wait_until(lambda: len(children(server.pid)) == PROCESSES, 10, "all workers")
            get(server)
            assert server.log.count("Reloading") < 10
            assert server.stop() == 0
            assert before > 0

    def test_descriptors_are_level(self):
        with GranianServer(APP) as server:
            levels = []
            for count in range(1, 4):
                server.send_signal(signal.SIGHUP)
                server.wait_line("Stopped old worker-1", count)
                wait_until(lambda: len(children(server.pid)) == 1)
                levels.append(
                    (
                        len(os.listdir(f"/proc/{server.pid}/fd")),
                        len(os.listdir(f"/proc/{server.pid}/task")),
                    )
                )
            assert len(set(levels)) == 1

    def test_hangup_of_the_whole_group_is_one_reload(self):
        with GranianServer(APP, workers=2) as server:
            os.killpg(server.pid, signal.SIGHUP)
            server.wait_line("Stopped old worker", 2)
            assert "Unexpected" not in server.log
            assert server.stop() == 0

    def test_stop_beats_reload(self):
        with GranianServer(APP, workers=2) as server:
            server.send_signal(signal.SIGHUP)
            server.send_signal(signal.SIGTERM)
            assert server.wait() == 0

    def test_env_files_are_read_again(self, tmp_path):
        file = tmp_path / "a.env"
        file.write_text("DRILL=one\n")
        with GranianServer(APP, env_files=str(file)) as server:
            assert get(server, "/environ").body == b"one"
            file.write_text("DRILL=two\n")
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopped old worker-1")
            assert get(server, "/environ").body == b"two"

    def test_connection_of_an_old_worker_hears_of_its_end(self):
        with GranianServer(APP) as server, Wire(server.address) as wire:
            assert not wire.exchange(GET).says_close
            server.send_signal(signal.SIGHUP)
            server.wait_line("Stopping old worker-1")
            begun = time.monotonic()
            while not wire.exchange(GET).says_close:
                assert time.monotonic() - begun < 5
            wire.read_to_end()


class TestDeath:
    """P3, P8 and P9."""

    def test_death_takes_only_what_it_held(self):
        options = {"respawn_failed_workers": True, "respawn_interval": 0.5}
        with GranianServer(APP, workers=2, **options) as server:
            with Load(server.address, fresh=2, kept=2) as load:
                load.wait_answered(50)
                os.kill(server.worker_pids[0], signal.SIGKILL)
                server.wait_line("Started worker-1$", 2)
                load.wait_answered(50)
            assert sum(load.failures.values()) <= 4
            assert "refused" not in load.failures
            assert re.search(r"Unexpected exit from worker-1 .*killed by SIGKILL", server.log)
            assert server.stop() == 0

    @pytest.mark.parametrize(
        ("path", "words"), [("/exit", "exit code 3"), ("/segfault", "killed by SIGSEGV")]
    )
    def test_death_is_explained_and_ends_all_without_respawn(self, path, words):
        with GranianServer(APP, workers=2) as server:
            with Wire(server.address) as wire:
                wire.send(request(path)).read_to_end()
            assert server.wait() == 1
            assert re.search(rf"Unexpected exit from worker-\d \(PID \d+: {words}\)", server.log)
            assert "Granian shutdown completed, see ya!" in server.log

    def test_crash_loop_ends(self, tmp_path):
        (tmp_path / "dying.py").write_text(
            "import os, threading\n"
            "from tests.e2e.server_app import app\n"
            "threading.Timer(0.3, os._exit, [7]).start()\n"
        )
        options = {"respawn_failed_workers": True, "respawn_interval": 1}
        with GranianServer("dying:app", cwd=tmp_path, wait=False, **options) as server:
            begun = time.monotonic()
            assert server.wait() == 1
            assert time.monotonic() - begun < 6
            assert "Worker crash loop detected, exiting" in server.log
            assert server.log.count("Spawning") == 2
            assert len(own_lines(server)) < 20

    def test_loop_of_deaths_at_import_ends_at_once(self, tmp_path):
        (tmp_path / "dying.py").write_text("raise SystemExit(3)\n")
        options = {"respawn_failed_workers": True, "respawn_interval": 0.5, "workers": 2}
        with GranianServer("dying:app", cwd=tmp_path, wait=False, **options) as server:
            assert server.wait() == 1
            assert len(own_lines(server)) < 20

    def test_workers_leave_when_the_supervisor_is_killed(self):
        with GranianServer(APP, workers=2) as server, Wire(server.address) as wire:
            workers = server.worker_pids
            wire.send(request("/sleep/0.5"))
            time.sleep(0.1)
            os.kill(server.pid, signal.SIGKILL)
            begun = time.monotonic()
            assert wire.exchange().body == b"ok"
            wait_until(lambda: not any(map(alive, workers)), 5, "no orphans")
            assert time.monotonic() - begun < 5
            assert refused(server.address)

    def test_stuck_workers_leave_when_the_supervisor_is_killed(self):
        with GranianServer(APP, workers=2) as server, Wire(server.address) as wire:
            workers = server.worker_pids
            wire.send(request("/block"))
            time.sleep(0.1)
            os.kill(server.pid, signal.SIGKILL)
            wait_until(lambda: not any(map(alive, workers)), 7, "no orphans")

    def test_hung_worker_does_not_stop_a_reload(self):
        with GranianServer(APP, workers=1, workers_kill_timeout=1) as server:
            os.kill(server.worker_pids[0], signal.SIGSTOP)
            server.send_signal(signal.SIGHUP)
            server.wait_line("Killing worker-1")
            assert get(server).status == 200


class TestUpkeep:
    """P10."""

    def test_spent_workers_are_replaced_without_loss(self):
        with GranianServer(APP, workers=2, workers_max_requests=100) as server:
            with Load(server.address) as load:
                server.wait_line("Stopped old worker", 4)
            assert load.failures == {}
            assert "has served its requests" in server.log

    def test_grown_workers_are_replaced_without_loss(self):
        options = {"workers_max_rss": 70, "rss_sample_interval": 1}
        with GranianServer(APP, workers=1, **options) as server:
            with Load(server.address, fresh=1, kept=1) as load:
                get(server, "/eat")
                server.wait_line("Stopped old worker-1")
            assert load.failures == {}
            assert "has outgrown its memory limit" in server.log

    def test_aged_workers_are_replaced_without_loss(self, tmp_path):
        script = tmp_path / "aging.py"
        script.write_text(
            "from granian.plan import SupervisorPlan, WorkerPlan\n"
            "from granian.server import Server\n"
            "if __name__ == '__main__':\n"
            "    Server.from_plans(\n"
            "        SupervisorPlan(port=0, workers=2, workers_lifetime=0.7),\n"
            f"        WorkerPlan(target={APP!r}, interface='asgi', workers=2),\n"
            "    ).serve()\n"
        )
        with ScriptServer(script, workers=2) as server:
            with Load(server.address) as load:
                server.wait_line("Stopped old worker", 4)
            assert load.failures == {}
            assert server.stop() == 0


class ScriptServer(GranianServer):
    """A server started by a Python script instead of the command."""

    def __init__(self, script, workers=1, **options):
        super().__init__("", python=[sys.executable, str(script)], workers=workers, **options)


class TestState:
    def test_dump(self):
        with GranianServer(APP, workers=2) as server:
            server.send_signal(signal.SIGUSR1)
            server.wait_line("State of the main process")
            server.wait_line(r"State of worker-[12] \(PID \d+\): connections=", 2)

    @pytest.mark.parametrize(
        ("interface", "target", "queue"),
        [("asgi", APP, ""), ("wsgi", "tests.apps.wire:wsgi", r".* blocking_queue=0")],
    )
    def test_dump_names_phases_threads_queue_and_lag(self, interface, target, queue):
        threads = {"blocking_threads": 2} if interface == "wsgi" else {}
        with GranianServer(target, interface, **threads) as server, Wire(server.address) as wire:
            assert wire.exchange(request(close=False)).status
            for number in range(1, 20):
                server.send_signal(signal.SIGUSR1)
                line = server.wait_line(r"State of worker-1 ", number)
                # The answer is with us before its sender has noted that it is.
                if "http1 serving" not in line:
                    break
            assert "phases={'http1 idle': 1}" in line
            assert "'granian-acceptor'" in line
            assert re.search(r"'lag_ms': \d+\.\d", line)
            assert re.search(queue, line)

    def test_pid_file(self, tmp_path):
        path = tmp_path / "g.pid"
        with GranianServer(APP, pid_file=str(path)) as server:
            assert path.read_text().strip() == str(server.pid)
            with GranianServer(APP, pid_file=str(path), wait=False) as second:
                assert second.wait() == 1
                assert "belongs to running process" in second.log
            assert server.stop() == 0
            assert not path.exists()

    def test_output_reader_that_leaves_does_not_matter(self, free_port):
        command = [sys.executable, "-m", "granian", "--interface", "asgi", "--access-log"]
        command += ["--port", str(free_port), APP]
        with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
            while b"Started worker-1" not in process.stdout.readline():
                pass
            process.stdout.close()
            try:
                for _ in range(5):
                    with Wire(("127.0.0.1", free_port)) as wire:
                        assert wire.exchange(request()).status == 200
                process.terminate()
                assert process.wait(10) == 0
            finally:
                process.kill()


@pytest.fixture
def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
