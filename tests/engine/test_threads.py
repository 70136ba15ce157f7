"""The crew with real threads and a poller without a kernel: who polls is seen, not timed."""

import threading
import time
from collections import deque
from types import SimpleNamespace

import pytest

from granian.engine import threads
from granian.engine.threads import Allowance, Crew, create_blocking_runtimes
from granian.plan import WorkerPlan
from tests.support.servers import wait_until


class ScriptedPoller:
    """Hands out descriptors that a test made ready; ``serve`` is the test's."""

    def __init__(self):
        self.borrowed = []
        self.busy_since = 0.0
        self.now = 0.0
        self.serve = None
        self.ready = deque()
        self.changed = threading.Condition()
        self.polling = 0
        self.most_polling = 0
        self.nudges = 0
        self.gathering = False
        self.gathered = deque()
        self.sent = []

    def send_gathered(self):
        while self.gathered:
            self.sent.append(self.gathered.popleft())

    def make_ready(self, *fds):
        with self.changed:
            self.ready.extend((fd, 1) for fd in fds)
            self.changed.notify_all()

    def borrow(self, lender):
        self.borrowed.append(lender)

    def give_back(self, lender):
        if lender in self.borrowed:
            self.borrowed.remove(lender)

    def nudge(self):
        with self.changed:
            self.nudges += 1
            self.changed.notify_all()

    def collect(self, seconds, batch=256):
        with self.changed:
            self.polling += 1
            self.most_polling = max(self.most_polling, self.polling)
            self.changed.wait_for(lambda: self.ready or self.nudges, seconds)
            self.now = time.monotonic()
            self.polling -= 1
            self.nudges = 0
            events = []
            while self.ready and len(events) < batch:
                events.append(self.ready.popleft())
            return events


class Shift:
    """A crew at work; ``gates[fd]`` holds the thread that serves it until it is set."""

    def __init__(self, limit=4, idle_timeout=30.0, slowness=0.0, allowance=None):
        self.poller = ScriptedPoller()
        self.poller.serve = self.serve
        self.crew = Crew(self.poller, allowance or Allowance(limit), idle_timeout)
        self.crew.slowness = slowness
        self.gates = {}
        self.begun = []
        self.served = []
        self.by = {}
        self.thread = threading.Thread(target=self.crew.run)
        self.thread.start()

    def hold(self, *fds):
        for fd in fds:
            self.gates[fd] = threading.Event()

    def serve(self, fd, event):
        self.by[fd] = threading.current_thread()
        self.begun.append(fd)
        gate = self.gates.get(fd)
        if gate is not None:
            assert gate.wait(10)
        self.served.append(fd)

    def ready(self, *fds):
        self.poller.make_ready(*fds)

    def wait_begun(self, count):
        wait_until(lambda: len(self.begun) >= count, what=f"{count} begun, not {self.begun}")

    def wait_served(self, count):
        wait_until(lambda: len(self.served) >= count, what=f"{count} served, not {self.served}")

    def end(self):
        for gate in self.gates.values():
            gate.set()
        self.crew.stop()
        self.thread.join(5)
        self.crew.join(5)
        assert not self.thread.is_alive()
        assert self.crew.size == 0


@pytest.fixture
def shift(request):
    made = []

    def make(**options):
        made.append(Shift(**options))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_quick_calls_are_served_by_the_leader_alone(shift):
    one = shift()
    for number in range(50):
        one.ready(number)
        one.wait_served(number + 1)
    assert {one.by[fd] for fd in range(50)} == {one.thread}
    assert one.crew.slowness < 0.5


def test_a_call_that_does_not_return_is_stood_in_for(shift):
    one = shift()
    one.hold(1)
    one.ready(1, 2, 3)
    one.wait_served(2)
    assert one.served == [2, 3]
    assert one.by[2] is not one.by[1]
    one.gates[1].set()
    one.wait_served(3)


def test_no_more_threads_than_the_limit(shift):
    one = shift(limit=3)
    one.hold(*range(5))
    one.ready(*range(5))
    one.wait_begun(3)
    assert one.crew.size == 3
    time.sleep(threads.TICK * 5)
    assert one.begun == [0, 1, 2]
    one.gates[1].set()
    one.wait_begun(4)
    for gate in one.gates.values():
        gate.set()
    one.wait_served(5)
    assert one.begun == [0, 1, 2, 3, 4]


def test_blocking_calls_are_handed_over_before_they_begin(shift):
    one = shift(slowness=1.0)
    one.hold(1)
    one.ready(1)
    one.wait_begun(1)
    # Somebody polls already, though no tick needs to have passed.
    wait_until(lambda: one.poller.polling == 1, what="another leader")
    assert one.crew.busy_since == 0.0
    one.ready(2)
    one.wait_served(1)
    assert one.served == [2]


def test_slowness_follows_the_calls(shift):
    one = shift(limit=2)
    for number in range(12):
        one.hold(number)
        one.ready(number)
        one.wait_begun(number + 1)
        time.sleep(threads.TICK * 1.5)
        one.gates[number].set()
        one.wait_served(number + 1)
    assert one.crew.slowness > 0.5
    for number in range(100, 150):
        one.ready(number)
        one.wait_served(number - 100 + 13)
    assert one.crew.slowness < 0.5


def test_a_thread_that_returns_leads_when_all_others_are_in_calls(shift):
    one = shift(limit=2, slowness=1.0)
    one.hold(1, 2)
    one.ready(1)
    one.wait_begun(1)
    one.ready(2)
    one.wait_begun(2)
    one.gates[1].set()
    one.ready(3)
    one.wait_served(2)
    assert sorted(one.served) == [1, 3]


def test_idle_threads_leave_and_the_first_one_stays(shift):
    one = shift(idle_timeout=0.02)
    one.hold(1)
    one.ready(1, 2)
    one.wait_served(1)
    one.gates[1].set()
    one.wait_served(2)
    wait_until(lambda: one.crew.size == 1, what="threads that leave")
    one.ready(3)
    one.wait_served(3)
    assert one.by[3] is one.thread


def test_a_failure_of_ours_costs_no_thread(shift, caplog):
    one = shift()
    real = one.poller.collect
    one.poller.collect = lambda *args: one.poller.__dict__.pop("collect") and 1 / 0
    one.ready(1)
    one.wait_served(1)
    assert one.poller.collect == real
    one.ready(2)
    one.wait_served(2)


def test_the_sentinel_sleeps_while_nothing_happens(shift, monkeypatch):
    monkeypatch.setattr(threads, "_DOZE", 2)
    one = shift()
    wait_until(lambda: one.crew._dozing, what="a sleeping sentinel")
    one.hold(1)
    one.ready(1, 2)
    one.wait_served(1)
    assert one.served == [2]


def test_no_thread_can_be_had(shift, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    one = shift(slowness=1.0)
    wait_until(lambda: one.crew._sentinel and one.crew._sentinel.is_alive(), what="the sentinel")
    monkeypatch.setattr(threads.threading.Thread, "start", refuse)
    one.ready(1, 2)
    one.wait_served(2)
    assert one.crew.size == 1
    monkeypatch.undo()


def test_stopping_waits_for_nobody_it_cannot_wake(shift):
    one = shift(slowness=1.0)
    one.hold(1)
    one.ready(1)
    one.wait_begun(1)
    one.crew.stop()
    one.crew.join(0.05)
    assert one.crew.size >= 1


def test_stopping_while_threads_park_wakes_them_all(shift):
    class Restless(deque):
        """What a deque is without the GIL: another thread changes it between any two steps."""

        def __iter__(self):
            raise RuntimeError("deque mutated during iteration")

    one = shift(limit=3, slowness=1.0)
    one.hold(1, 2)
    one.ready(1, 2)
    one.wait_begun(2)
    for gate in one.gates.values():
        gate.set()
    wait_until(lambda: len(one.crew._parked) == 2, what="two parked")
    kept = one.crew._parked
    one.crew._parked = Restless(kept)
    try:
        one.crew.stop()
    finally:
        one.crew._parked = kept
    one.end()


@pytest.fixture
def siblings(shift):
    """Two crews that may have three threads together."""
    allowance = Allowance(3)
    crews = [shift(allowance=allowance) for _ in range(2)]
    for one, other in (crews, crews[::-1]):
        one.crew.siblings = [other.crew]
    return crews


def test_the_limit_is_that_of_all_crews_together(siblings):
    one, other = siblings
    one.hold(1, 2)
    one.ready(1, 2, 3)
    one.wait_begun(2)
    wait_until(lambda: other.poller.borrowed, what="a crew that lends its poller")
    assert one.begun == [1, 2]
    assert (one.crew.size, other.crew.size) == (2, 1)
    one.gates[1].set()
    wait_until(lambda: not other.poller.borrowed, what="a crew that takes it back")
    one.ready(3)  # as a kernel would, of what nobody has read
    one.wait_served(2)
    assert one.served == [1, 3]


def test_a_crew_lends_its_poller_while_all_its_threads_are_in_calls(siblings):
    one, other = siblings
    one.hold(1, 2)
    one.ready(1, 2)
    one.wait_begun(2)
    wait_until(lambda: other.poller.borrowed == [one.poller], what="a crew that lends its poller")
    one.gates[2].set()
    wait_until(lambda: not other.poller.borrowed, what="a crew that takes it back")
    one.ready(3)
    one.wait_served(2)
    assert one.served == [2, 3]


def test_what_was_collected_is_left_to_whoever_borrows(siblings):
    one, other = siblings
    other.hold(9)
    other.ready(9)  # it needs the third thread itself
    other.wait_begun(1)
    wait_until(lambda: other.crew.size == 2, what="a second thread")
    one.hold(1)
    one.ready(1, 2)
    one.wait_begun(1)
    wait_until(lambda: other.poller.borrowed == [one.poller], what="a crew that lends its poller")
    wait_until(lambda: one.crew.waiting == 0, what="nothing kept")
    assert one.begun == [1]


def test_a_crew_that_stops_takes_its_poller_back(siblings):
    one, other = siblings
    one.hold(1, 2)
    one.ready(1, 2)
    one.wait_begun(2)
    wait_until(lambda: other.poller.borrowed, what="a crew that lends its poller")
    one.crew.stop()
    assert other.poller.borrowed == []


def test_a_thread_that_leaves_may_be_another_crews(shift):
    allowance = Allowance(3)
    one, other = (shift(allowance=allowance, idle_timeout=0.02) for _ in range(2))
    one.hold(1)
    one.ready(1)
    one.wait_begun(1)
    wait_until(lambda: one.crew.size == 2, what="a second thread")
    one.gates[1].set()
    wait_until(lambda: one.crew.size == 1, what="a thread that leaves")
    other.hold(1)
    other.ready(1)
    other.wait_begun(1)
    wait_until(lambda: other.crew.size == 2, what="a second thread of the other crew")


def test_what_is_counted(shift):
    one = shift(limit=2)
    one.hold(1, 2)
    one.ready(1, 2, 3, 4)
    one.wait_begun(2)
    assert one.crew.size == 2
    assert one.crew.waiting == 2
    one.gates[1].set()
    one.gates[2].set()
    one.wait_served(4)
    wait_until(lambda: one.crew.busy_time > threads.TICK, what="time at work")


@pytest.mark.parametrize(
    ("limit", "stuck"),
    [(4, False), (4, True), (1, True)],
    ids=["the leader before it waits", "who takes over from it", "the sentinel with nobody free"],
)
def test_what_was_gathered_is_sent(shift, limit, stuck):
    one = shift(limit=limit)
    if stuck:
        one.hold(1)
    wait_until(lambda: one.poller.polling, what="the leader to wait")
    one.poller.gathered.append("answer")
    one.ready(1)
    wait_until(lambda: one.poller.sent == ["answer"], what="the answer to be sent")
    if stuck:
        assert one.served == []
    else:
        one.wait_served(1)


def test_answers_wait_for_each_other_only_while_calls_are_quick(shift):
    one = shift(slowness=0.4)
    seen = {}
    serve = one.serve

    def watched(fd, event):
        seen[fd] = one.poller.gathering
        serve(fd, event)

    one.poller.serve = watched
    one.ready(1, 2)
    one.wait_served(2)
    assert seen == {1: False, 2: False}
    one.crew.slowness = 0.0
    one.ready(3, 4)
    one.wait_served(4)
    assert (seen[3], seen[4]) == (True, True)


@pytest.mark.parametrize(
    ("gil", "epoll", "processors", "limit", "crews"),
    [
        (True, True, 8, 16, 1),
        (False, False, 8, 16, 1),
        (False, True, 8, 16, 8),
        (False, True, 8, 3, 3),
        (False, True, 1, 16, 1),
    ],
)
def test_a_crew_for_each_processor_where_there_is_no_gil(
    monkeypatch, gil, epoll, processors, limit, crews
):
    monkeypatch.setattr(threads, "gil_enabled", lambda: gil)
    monkeypatch.setattr(threads, "HAS_EPOLL", epoll)
    plan = WorkerPlan(interface="wsgi", processors=processors, blocking_threads=limit)
    made = create_blocking_runtimes(SimpleNamespace(plan=plan))
    assert len(made) == crews
    for one in made:
        assert len(one.crew.siblings) == crews - 1
        assert one.crew not in one.crew.siblings
        one.poller.close()
        one._wakeup.close()
