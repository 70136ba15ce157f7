"""The nursery, without a supervisor: one real fork, and every way its answer can fail."""

import os
import signal
import socket
import struct

import pytest

from granian import _internal
from granian.errors import FatalError
from granian.plan import WorkerPlan
from granian.server import link as line
from granian.server import preload
from granian.server.link import Link, pair
from granian.server.preload import ForkedWorker, run_nursery
from granian.server.signals import Alarm
from granian.server.worker import Assignment, Stopper


class FakeNursery:
    def __init__(self):
        self.exits = {}
        self.code = None

    def exit_code(self):
        return self.code


@pytest.fixture
def worker():
    ours, theirs = pair()
    theirs.close()
    worker = ForkedWorker(2**22 + 1, Link(ours), FakeNursery())
    yield worker
    worker.link.close()


class TestForkedWorker:
    def test_runs_until_the_nursery_says_otherwise(self, worker):
        assert worker.exit_code() is None
        worker._nursery.exits[worker.pid] = -11
        assert worker.exit_code() == -11

    def test_without_a_nursery_only_its_life_is_known(self, worker):
        worker._nursery.code = -9
        assert worker.exit_code() == 1
        worker.pid = os.getpid()
        assert worker.exit_code() is None

    def test_never_born(self, worker):
        worker.pid = 0
        assert worker.exit_code() == 1
        worker.kill()
        worker.interrupt()

    def test_signal_to_one_that_has_gone_is_harmless(self, worker):
        worker.kill()
        worker.interrupt()

    def test_signals(self, worker, monkeypatch):
        sent = []
        monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
        worker.interrupt()
        worker.kill()
        worker._nursery.exits[worker.pid] = 0
        worker.kill()
        assert sent == [(worker.pid, signal.SIGTERM), (worker.pid, signal.SIGKILL)]


class TestFailure:
    @pytest.mark.parametrize(
        ("error", "text"),
        [(FatalError("no module"), "no module"), (KeyError("x"), "KeyError: 'x'")],
    )
    def test_application_that_cannot_be_loaded_is_reported(self, monkeypatch, error, text):
        def fail(*_):
            raise error

        monkeypatch.setattr(_internal, "load_target", fail)
        ours, theirs = map(Link, pair())
        channel, other = pair()
        alarm = Alarm()
        assignment = Assignment(0, WorkerPlan(target="a:b"))
        assert run_nursery(assignment, theirs, [channel], Stopper(alarm), alarm) == 1
        assert ours.heard() == [(line.FAILED, text)]
        alarm.close()
        for end in (ours, theirs, channel, other):
            end.close()


def test_forks_on_demand_and_reports_the_end():
    ours, theirs = map(Link, pair())
    channel, inner = pair()
    nursery = os.fork()
    if nursery == 0:
        code = 9
        try:
            ours.close()
            channel.close()
            alarm = Alarm()
            stopper = Stopper(alarm)
            signal.set_wakeup_fd(alarm.bell())
            order = preload._Keeper(theirs, inner, alarm).keep()
            if order is not None:
                number, requests, descriptor = order
                Link(socket.socket(fileno=descriptor)).tell(line.READY, [number, requests])
                code = 5
            else:
                code = 0
            assert not stopper.should_exit
        finally:
            os._exit(code)
    theirs.close()
    inner.close()
    end, far = pair()
    ours.tell(preload.FORK, [3, 100])
    socket_rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", far.fileno()))]
    channel.sendmsg([b"\0"], socket_rights)
    far.close()
    (pid,) = struct.unpack("!i", channel.recv(4))
    worker = Link(end)
    assert worker.heard() == [(line.READY, [3, 100])]
    ours.sock.settimeout(10)
    assert ours.heard() == [(preload.EXITED, [pid, 5])]
    ours.tell(line.PING)
    assert ours.heard() == [(line.PONG, None)]
    ours.tell(line.DRAIN, [None, 0.0])
    assert os.waitpid(nursery, 0)[1] == 0
    for one in (ours, worker, channel):
        one.close()


def test_everything_a_worker_imports_is_warm():
    import sys

    for interface, module in (
        ("asgi", "granian.asgi.http"),
        ("rsgi", "granian.rsgi.application"),
        ("wsgi", "granian.wsgi.application"),
    ):
        preload._warm_up(interface)
        assert module in sys.modules
    import gc

    assert gc.get_freeze_count() > 0
    gc.unfreeze()
