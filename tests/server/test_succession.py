"""One worker after another."""

import pytest

from granian.plan import SupervisorPlan
from granian.server import link as line
from granian.server import succession as module
from granian.server.crew import DEAD, LEAVING, SERVING, STARTING, Member
from granian.server.succession import HANGING, IDLE_GRACE, Succession
from granian.server.upkeep import Upkeep
from tests.support.crew import FakeBody, Team
from tests.support.fakes import FakeClock


class Stage(Team):
    """A team whose successors behave at birth as the test says."""

    def __init__(self):
        super().__init__()
        self.upkeep = Upkeep(SupervisorPlan())
        self.born = []
        self.births = {}
        self.stopping = False
        self.change = None
        self.succession = self.within(None)

    def within(self, limit):
        return Succession(
            self.crew,
            self.upkeep,
            self.bear,
            lambda: self.stopping,
            lambda: self.change,
            limit,
        )

    def bear(self, number, respawned):
        body = FakeBody(100 + len(self.bodies))
        self.bodies.append(body)
        self.births.get(number, ready)(body)
        self.born.append((number, respawned))
        return Member(number, body, respawned)


def ready(body):
    body.other.tell(line.READY, 2)


def dies(body):
    body.code = 1
    body.other.close()


def nothing(body):
    pass


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()


def said(caplog):
    return [record.getMessage() for record in caplog.records]


def test_places_are_filled_together(stage, caplog):
    caplog.set_level("INFO")
    assert stage.succession.fill([1, 2])
    assert stage.born == [(1, False), (2, False)]
    assert [member.number for member in stage.crew.serving] == [1, 2]
    assert stage.upkeep.counts["spawns"] == 2
    assert said(caplog)[:2] == [
        "Spawning worker-1 with PID: 100",
        "Spawning worker-2 with PID: 101",
    ]
    assert "Started worker-1 runtime-2" in said(caplog)


def test_who_served_before_leaves_once_the_new_one_serves(stage, caplog):
    caplog.set_level("INFO")
    before = stage.member(1, SERVING)
    assert stage.within(5.0).fill([1], respawned=True)
    assert stage.born == [(1, True)]
    assert (before.phase, before.replaced) == (LEAVING, True)
    assert before.body.other.heard() == [("drain", [5.0, IDLE_GRACE])]
    assert stage.crew.places[1].pid == 101
    lines = said(caplog)
    assert lines.index("Started worker-1") < lines.index("Stopping old worker-1")


def test_who_dies_before_it_serves_replaces_nobody(stage):
    before = stage.member(1, SERVING)
    stage.births[1] = dies
    assert not stage.succession.fill([1])
    assert stage.crew.serving == [before]
    assert [member.phase for member in stage.crew.dead] == [DEAD]


def test_the_others_are_waited_for_when_one_dies(stage):
    stage.births[1] = dies
    assert not stage.succession.fill([1, 2])
    assert [member.number for member in stage.crew.serving] == [2]


def test_who_has_ended_meanwhile_is_not_dismissed(stage):
    before = stage.member(1, SERVING)
    before.phase = DEAD
    assert stage.succession.fill([1])
    assert before.body.other.heard() == []


def test_a_stop_ends_the_wait(stage):
    stage.births[1] = nothing
    stage.crew.pump = lambda timeout: setattr(stage, "stopping", True)
    assert not stage.succession.fill([1])
    assert [member.phase for member in stage.crew.present] == [STARTING]


def test_a_hanging_start_gives_way_to_a_change_but_not_at_once(stage, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    waits = []

    def pump(timeout):
        waits.append(timeout)
        clock.advance(timeout)

    stage.births[1] = nothing
    stage.change = 0.0
    stage.crew.pump = pump
    assert not stage.succession.fill([1])
    assert waits == [HANGING]


def test_a_change_that_is_not_due_yet_is_waited_for(stage, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    waits = []

    def pump(timeout):
        waits.append(timeout)
        clock.advance(timeout)

    stage.births[1] = nothing
    stage.change = HANGING + 1.0
    stage.crew.pump = pump
    assert not stage.succession.fill([1])
    assert waits == [HANGING + 1.0]
