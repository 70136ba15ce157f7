"""One worker's main thread, with an engine that only remembers what it was told."""

import socket
import threading
from typing import ClassVar

import pytest

from granian import _internal
from granian.errors import FatalError
from granian.plan import WorkerPlan
from granian.server import link as line
from granian.server import worker as module
from granian.server.link import Link, pair
from granian.server.signals import Alarm
from granian.server.worker import Assignment, Stopper, load_application, run_worker


class FakeEngine:
    made: ClassVar[list] = []
    failure = None
    count = 0

    def __init__(self, plan, target, sockets, number):
        self.target = target
        self.number = number
        self.sockets = sockets
        self.told = []
        self.done = threading.Event()
        self.acceptor = self
        self.listening_ended = threading.Event()
        FakeEngine.made.append(self)

    def start(self):
        if self.failure is not None:
            raise self.failure

    def drain(self, grace):
        self.told.append(("drain", grace))
        self.listening_ended.set()

    def halt(self):
        self.told.append("halt")
        self.done.set()

    def disconnect_streams(self):
        self.told.append("disconnect")

    def cancel_tasks(self):
        self.told.append("cancel")

    def join(self, timeout=None):
        return self.done.wait(timeout)

    def describe(self):
        return {"connections": 3}

    @property
    def counters(self):
        return {"requests_handled": self.count}


class Running:
    """A worker in a thread, and the supervisor's end of its line."""

    def __init__(self, stopper=None, alarm=None, **assignment):
        ours, self.theirs = pair()
        self.link = Link(ours)
        self.listener = socket.socket()
        self.assignment = Assignment(**{"number": 1, "plan": WorkerPlan(), **assignment})
        self.code = None
        self.arguments = (stopper, alarm)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        stopper, alarm = self.arguments
        self.code = run_worker(
            self.assignment, Link(self.theirs), [self.listener], "application", stopper, alarm
        )

    def hear(self):
        return self.link.heard()[0]

    @property
    def engine(self):
        return FakeEngine.made[-1]

    def end(self):
        for engine in FakeEngine.made:
            engine.done.set()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.link.close()
        self.theirs.close()
        self.listener.close()
        return self.code


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    import granian.engine.runtime

    FakeEngine.made = []
    FakeEngine.failure = None
    FakeEngine.count = 0
    monkeypatch.setattr(granian.engine.runtime, "Engine", FakeEngine)
    return FakeEngine


@pytest.fixture
def start():
    running = []

    def begin(**options):
        running.append(Running(**options))
        return running[-1]

    yield begin
    for one in running:
        one.end()


def wait_told(engine, what, seconds=5.0):
    tick = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if what in engine.told:
            return
        tick.wait(0.005)
    raise AssertionError(engine.told)


class TestLife:
    def test_ready_then_drained_then_gone(self, start):
        worker = start()
        assert worker.hear() == (line.READY, 1)
        worker.link.tell(line.DRAIN, [None, 0.5])
        wait_told(worker.engine, ("drain", 0.5))
        worker.link.tell(line.DRAIN, [None, 0.5])
        worker.link.tell(line.PING)
        assert worker.hear() == (line.PONG, None)
        assert worker.engine.told == [("drain", 0.5)]
        assert worker.listener.fileno() == -1
        worker.engine.done.set()
        worker.thread.join(5)
        assert worker.code == 0

    def test_runtimes_are_announced_in_single_thread_mode_only(self, start):
        for plan, runtimes in (
            (WorkerPlan(runtime_mode="st", runtime_threads=3), 3),
            (WorkerPlan(runtime_mode="mt", runtime_threads=3), 0),
            (WorkerPlan(interface="wsgi"), 0),
        ):
            assert start(plan=plan).hear() == (line.READY, runtimes)

    def test_engine_that_ends_by_itself_ends_the_worker(self, start):
        worker = start()
        worker.hear()
        worker.engine.done.set()
        worker.thread.join(5)
        assert worker.code == 0

    def test_halt_is_passed_on(self, start):
        worker = start()
        worker.hear()
        worker.link.tell(line.HALT)
        worker.thread.join(5)
        assert worker.engine.told == ["halt"]

    def test_replicas_share_the_application_and_nothing_else(self, start):
        worker = start(replicas=3)
        worker.hear()
        assert [engine.target for engine in FakeEngine.made] == ["application"] * 3
        assert [engine.number for engine in FakeEngine.made] == [1, 2, 3]
        descriptors = {engine.sockets[0].fileno() for engine in FakeEngine.made}
        assert len(descriptors) == 3
        worker.link.tell(line.HALT)
        worker.thread.join(5)
        assert [engine.told for engine in FakeEngine.made] == [["halt"]] * 3
        assert all(engine.sockets[0].fileno() == -1 for engine in FakeEngine.made)


class TestDeadlines:
    def test_kill_timeout_is_divided(self, start):
        worker = start()
        worker.hear()
        worker.link.tell(line.DRAIN, [0.2, 0.0])
        worker.thread.join(5)
        assert worker.engine.told == [("drain", 0.0), "disconnect", "cancel", "halt"]

    def test_without_one_streams_hear_of_it_and_nothing_is_cut(self, start, monkeypatch):
        monkeypatch.setattr(module, "GRACE", 0.01)
        worker = start()
        worker.hear()
        worker.link.tell(line.DRAIN, [None, 0.0])
        wait_told(worker.engine, "disconnect")
        worker.link.tell(line.PING)
        worker.hear()
        assert worker.engine.told == [("drain", 0.0), "disconnect"]

    def test_orphan_leaves_by_itself(self, start, monkeypatch):
        monkeypatch.setattr(module, "_ORPHAN_DISCONNECT", 0.01)
        monkeypatch.setattr(module, "_ORPHAN_CANCEL", 0.02)
        monkeypatch.setattr(module, "_ORPHAN_HALT", 0.03)
        worker = start()
        worker.hear()
        worker.link.close()
        worker.thread.join(5)
        assert worker.engine.told == [("drain", 0.0), "disconnect", "cancel", "halt"]
        assert worker.code == 0

    def test_promised_time_of_an_orphan(self):
        assert module._ORPHAN_HALT + module._HALT_PATIENCE < 5.0


class TestReports:
    def test_counters_at_their_interval(self, start):
        FakeEngine.count = 7
        worker = start(metrics_interval=0.01)
        worker.hear()
        assert worker.hear() == (line.METRICS, {"requests_handled": 7})
        assert worker.hear()[0] == line.METRICS

    def test_spent_is_said_once(self, start, monkeypatch):
        monkeypatch.setattr(module, "_REQUESTS_CHECK", 0.01)
        worker = start(requests=5)
        worker.hear()
        FakeEngine.count = 5
        assert worker.hear() == (line.SPENT, None)
        worker.link.tell(line.PING)
        assert worker.hear() == (line.PONG, None)

    def test_state_is_logged(self, start, caplog):
        import logging

        logging.getLogger("_granian").propagate = True
        with caplog.at_level(logging.INFO, "_granian"):
            worker = start()
            worker.hear()
            worker.link.tell(line.DUMP)
            worker.link.tell(line.PING)
            worker.hear()
        assert "State of worker-1" in caplog.text
        assert "connections=3" in caplog.text


class TestFailure:
    def test_startup_failure_is_reported(self, start):
        FakeEngine.failure = FatalError("no database")
        worker = start()
        assert worker.hear() == (line.FAILED, "no database")
        worker.thread.join(5)
        assert worker.code == 1

    def test_unexpected_failure_is_reported(self, start):
        FakeEngine.failure = OSError("strange")
        worker = start()
        assert worker.hear() == (line.FAILED, "OSError: strange")
        worker.thread.join(5)
        assert worker.code == 1


class TestStopper:
    def test_handler_belongs_to_an_object_that_says_it_should_exit(self):
        """What sse-starlette looks for: the handler's owner, and its flag."""
        alarm = Alarm()
        stopper = Stopper(alarm)
        stopper.loading = False
        owner = stopper.handle_exit.__self__
        assert owner.should_exit is False
        stopper.handle_exit(15, None)
        assert owner.should_exit is True
        alarm.close()

    def test_loading_is_broken_off(self):
        alarm = Alarm()
        stopper = Stopper(alarm)
        with pytest.raises(SystemExit) as caught:
            stopper.handle_exit(15, None)
        assert caught.value.code == 0
        alarm.close()

    def test_direct_signal_drains_and_is_reported(self, start):
        alarm = Alarm()
        stopper = Stopper(alarm)
        worker = start(stopper=stopper, alarm=alarm)
        worker.hear()
        stopper.handle_exit(15, None)
        alarm.ring()
        assert worker.hear() == (line.SIGNALLED, "SIGTERM")
        stopper.handle_exit(15, None)
        alarm.ring()
        worker.link.tell(line.PING)
        assert worker.hear() == (line.PONG, None)
        assert worker.engine.told == [("drain", 0.0)]
        worker.end()

    def test_order_to_drain_sets_the_flag_too(self, start):
        alarm = Alarm()
        stopper = Stopper(alarm)
        worker = start(stopper=stopper, alarm=alarm)
        worker.hear()
        worker.link.tell(line.DRAIN, [None, 0.0])
        wait_told(worker.engine, ("drain", 0.0))
        assert stopper.should_exit
        worker.end()


class TestLoading:
    def test_target_by_the_loader_of_granian(self, monkeypatch):
        asked = []
        monkeypatch.setattr(_internal, "load_target", lambda *args: asked.append(args) or "app")
        plan = WorkerPlan(target="a:b", working_dir="/w", factory=True, interface="asgi")
        assert load_application(Assignment(1, plan)) == "app"
        assert asked == [("a:b", "/w", True, "asgi")]

    def test_users_loader_gets_the_target(self):
        plan = WorkerPlan(target="text")
        assert load_application(Assignment(1, plan, loader=lambda text: text + "!")) == "text!"

    def test_unwrapped_loader_gets_nothing(self):
        assignment = Assignment(1, WorkerPlan(), loader=lambda: "app", wrap_loader=False)
        assert load_application(assignment) == "app"

    def test_what_a_loader_returns_may_be_a_factory(self):
        plan = WorkerPlan(factory=True)
        assert load_application(Assignment(1, plan, loader=lambda _: lambda: "made")) == "made"
