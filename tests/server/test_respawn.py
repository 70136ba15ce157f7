"""What a death means."""

import pytest

from granian.plan import ReloadPlan, SupervisorPlan
from granian.server.respawn import CRASH_LOOP, Respawns
from tests.support.fakes import FakeClock


class Dead:
    def __init__(self, born=1000.0, respawned=False, failure=None, number=1):
        self.born, self.respawned, self.failure, self.number = born, respawned, failure, number


@pytest.fixture
def clock():
    return FakeClock()


def respawns(clock, **plan):
    plan = {"respawn_failed_workers": True, "respawn_interval": 2.0, **plan}
    return Respawns(SupervisorPlan(**plan), clock)


def test_without_the_option_every_death_ends_the_server(clock):
    assert not respawns(clock, respawn_failed_workers=False).survives(Dead())


def test_a_young_place_waits_for_the_interval(clock):
    judge = respawns(clock)
    assert judge.survives(Dead(born=clock() - 0.5))
    assert judge.take() == []
    clock.advance(1.5)
    assert judge.take() == [1]
    assert judge.take() == []


def test_an_old_place_is_filled_at_once(clock):
    judge = respawns(clock)
    assert judge.survives(Dead(born=clock() - 60))
    assert judge.take() == [1]


@pytest.mark.parametrize(("age", "survived"), [(CRASH_LOOP - 0.1, False), (CRASH_LOOP, True)])
def test_quick_death_of_a_respawned_worker_is_a_crash_loop(clock, age, survived):
    assert respawns(clock).survives(Dead(born=clock() - age, respawned=True)) is survived


def test_application_that_never_loaded_ends_the_server(clock):
    assert not respawns(clock).survives(Dead(failure="cannot import"))


def test_application_that_does_not_load_any_more_gets_another_try(clock):
    assert respawns(clock).survives(Dead(born=clock() - 10, failure="x", respawned=True))


@pytest.mark.parametrize("ignore", [True, False])
def test_watched_files_may_mend_it(clock, ignore):
    plan = ReloadPlan(ignore_worker_failure=ignore)
    judge = respawns(clock, reload=plan, respawn_failed_workers=False)
    assert judge.survives(Dead(failure="syntax error")) is ignore
    assert judge.due == {}


def test_filled_place_is_forgotten(clock):
    judge = respawns(clock)
    judge.survives(Dead())
    judge.forget(1)
    judge.forget(1)
    clock.advance(10)
    assert judge.take() == []
