"""When healthy workers are replaced."""

import pytest

from granian.plan import SupervisorPlan, WorkerPlan
from granian.server import upkeep as upkeep_module
from granian.server.crew import Member
from granian.server.upkeep import Upkeep
from tests.support.fakes import FakeClock


class FakeCrew:
    def __init__(self, *members):
        self.serving = list(members)
        self.places = {member.number: member for member in members}


class FakeBody:
    pid = 7


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def member(number=1):
    return Member(number, FakeBody())


def test_age(clock):
    upkeep = Upkeep(SupervisorPlan(workers_lifetime=10.0))
    one = member()
    upkeep.spawned(one)
    crew = FakeCrew(one)
    assert upkeep.times(crew) == [clock() + 10]
    clock.advance(9.9)
    assert upkeep.worn(crew) == []
    clock.advance(0.1)
    assert upkeep.worn(crew) == [one]
    assert upkeep.counts["lifetime"] == 1
    assert upkeep.counts["spawns"] == 1


def test_jitter_spreads_ages(clock):
    upkeep = Upkeep(SupervisorPlan(workers_lifetime=10.0, workers_lifetime_jitter=5.0))
    members = [member(number) for number in range(50)]
    for one in members:
        upkeep.spawned(one)
    ages = [one.retire_at - clock() for one in members]
    assert all(10 <= age <= 15 for age in ages)
    assert len(set(ages)) > 1


def test_size_counts_after_enough_samples_in_a_row(clock, monkeypatch):
    sizes = {7: 200}
    monkeypatch.setattr(upkeep_module, "resident", lambda pids: dict(sizes))
    upkeep = Upkeep(SupervisorPlan(workers_max_rss=100, rss_samples=2, rss_sample_interval=5.0))
    one = member()
    crew = FakeCrew(one)
    assert upkeep.times(crew) == [clock() + 5]
    found = []
    for size in (200, 50, 200, 200):
        sizes[7] = size
        clock.advance(5)
        found.append(upkeep.worn(crew))
    assert found == [[], [], [], [one]]
    assert upkeep.counts["rss"] == 1


def test_size_is_not_looked_at_between_samples(clock, monkeypatch):
    monkeypatch.setattr(upkeep_module, "resident", lambda pids: pytest.fail("looked"))
    upkeep = Upkeep(SupervisorPlan(workers_max_rss=100))
    assert upkeep.worn(FakeCrew(member())) == []


def test_worker_that_has_gone_meanwhile_is_not_too_big(clock, monkeypatch):
    monkeypatch.setattr(upkeep_module, "resident", lambda pids: {})
    upkeep = Upkeep(SupervisorPlan(workers_max_rss=100, rss_sample_interval=1.0))
    clock.advance(1)
    assert upkeep.worn(FakeCrew(member())) == []


def test_number_of_requests(clock):
    upkeep = Upkeep(SupervisorPlan())
    one = member()
    one.spent = True
    assert upkeep.worn(FakeCrew(one)) == [one]
    assert upkeep.counts["requests"] == 1
    assert upkeep.requests(WorkerPlan()) is None
    plan = WorkerPlan(workers_max_requests=100, workers_max_requests_jitter=10)
    assert {upkeep.requests(plan) for _ in range(500)} == set(range(100, 111))


def test_worker_whose_successor_fails_is_left_in_peace_for_a_while(clock):
    upkeep = Upkeep(SupervisorPlan(respawn_interval=3.5))
    one = member()
    one.spent = True
    upkeep.postpone(one)
    assert upkeep.worn(FakeCrew(one)) == []
    clock.advance(upkeep_module.RETRY)
    assert upkeep.worn(FakeCrew(one)) == [one]


def test_nothing_to_wait_for_by_default():
    assert Upkeep(SupervisorPlan()).times(FakeCrew(member())) == []
