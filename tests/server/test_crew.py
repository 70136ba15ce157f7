"""The crew: every event a member can have, without processes."""

import os

import pytest

from granian.server import crew as crew_module
from granian.server import link as line
from granian.server.crew import (
    DEAD,
    GONE,
    LEAVING,
    SERVING,
    STARTING,
)
from tests.support.crew import Team


@pytest.fixture
def team():
    team = Team()
    yield team
    team.close()


class TestPhases:
    def test_ready_member_serves_once_it_has_its_place(self, team):
        member = team.member()
        assert member.phase == STARTING
        assert team.crew.serving == []
        member.body.other.tell(line.READY, 2)
        team.crew.pump(1)
        assert (member.phase, member.runtimes) == (SERVING, 2)
        assert team.crew.seat(member) is None
        assert team.crew.serving == [member]

    def test_successor_learns_who_was_there(self, team):
        first = team.member(phase=SERVING)
        second = team.member()
        second.body.other.tell(line.READY, 0)
        team.crew.pump(1)
        assert team.crew.seat(second) is first
        assert team.crew.serving == [second]

    def test_dismissed_member_is_told_and_leaves(self, team):
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, 5.0, 0.5)
        assert member.phase == LEAVING
        assert member.body.other.heard() == [("drain", [5.0, 0.5])]
        assert member.body.interrupted == 0
        member.body.code = 0
        team.crew.pump(0)
        assert member.phase == GONE
        assert member.ended
        assert team.crew.present == []
        assert team.crew.dead == []

    def test_loading_member_is_interrupted(self, team):
        member = team.member()
        team.crew.dismiss(member, None, 0.0)
        assert member.body.interrupted == 1
        assert team.crew.present == [member]

    def test_dismissing_twice_changes_nothing(self, team):
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, None, 0.0)
        team.crew.dismiss(member, 5.0, 0.0)
        assert member.kill_at is None
        assert len(member.body.other.heard()) == 1

    @pytest.mark.parametrize("phase", [STARTING, SERVING])
    def test_unasked_end_is_a_death(self, team, phase):
        member = team.member(phase=phase)
        member.body.code = 3
        team.crew.pump(0)
        assert member.phase == DEAD
        assert team.crew.dead == [member]
        assert team.crew.places == {}

    def test_late_ready_of_a_leaving_member_does_not_bring_it_back(self, team):
        member = team.member()
        team.crew.dismiss(member, None, 0.0)
        member.body.other.tell(line.READY, 0)
        team.crew.pump(1)
        assert member.phase == LEAVING

    def test_death_of_an_old_member_leaves_its_place_alone(self, team):
        first = team.member(phase=SERVING)
        second = team.member(phase=SERVING)
        first.body.code = 1
        team.crew.pump(0)
        assert team.crew.serving == [second]


class TestReports:
    def test_all_kinds(self, team):
        member = team.member(phase=SERVING)
        member.answered = False
        tell = member.body.other.tell
        tell(line.FAILED, "why")
        tell(line.SIGNALLED, "SIGTERM")
        tell(line.SPENT)
        tell(line.PONG)
        tell(line.METRICS, {"requests_handled": 3})
        team.crew.pump(1)
        assert member.failure == "why"
        assert member.signalled == "SIGTERM"
        assert member.spent
        assert member.answered
        assert member.counters == {"requests_handled": 3}
        assert team.metrics == [member]

    def test_last_words_are_heard_before_the_end_is_judged(self, team):
        member = team.member()
        member.body.other.tell(line.FAILED, "cannot import")
        member.body.code = 1
        team.crew.pump(0)
        assert member.failure == "cannot import"

    def test_closed_line_is_no_death_yet(self, team):
        member = team.member(phase=SERVING)
        member.body.other.close()
        team.crew.pump(1)
        assert member.phase == SERVING
        team.crew.pump(0)
        member.body.code = 0
        team.crew.pump(0)
        assert member.phase == DEAD

    def test_alarm_wakes(self, team):
        team.alarm.ring()
        team.crew.pump(None)
        team.crew.pump(0)


class TestKilling:
    def test_member_that_stays_is_killed(self, team):
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, 0.0, 0.0)
        team.crew.pump(None)
        assert member.body.killed == 1
        assert member.phase == GONE

    def test_waiting_ends_when_somebody_is_to_be_killed(self, team):
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, 0.01, 0.0)
        while member.phase != GONE:
            team.crew.pump(None)
        assert member.body.killed == 1

    def test_halt_shortens_the_patience(self, team, monkeypatch):
        monkeypatch.setattr(crew_module, "HALT_PATIENCE", 0.0)
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, 100.0, 0.0)
        team.crew.halt(member)
        team.crew.pump(None)
        assert member.body.killed == 1
        assert ("halt", None) in member.body.other.last_words()

    def test_halt_never_lengthens_it(self, team):
        member = team.member(phase=SERVING)
        team.crew.dismiss(member, 0.0, 0.0)
        before = member.kill_at
        team.crew.halt(member)
        assert member.kill_at == before


class TestWords:
    @pytest.mark.parametrize(
        ("code", "signalled", "words"),
        [
            (3, None, "PID 100: exit code 3"),
            (0, None, "PID 100: exit code 0"),
            (0, "SIGTERM", "PID 100: stopped by SIGTERM"),
            (-11, None, "PID 100: killed by SIGSEGV"),
            (-9, None, "PID 100: killed by SIGKILL"),
        ],
    )
    def test_how_it_ended(self, team, code, signalled, words):
        member = team.member()
        member.signalled = signalled
        member.body.code = code
        team.crew.pump(0)
        assert team.crew.why(member) == words

    def test_lack_of_memory_is_named_once(self, team, monkeypatch):
        team.crew._oom_kills = 5
        monkeypatch.setattr(crew_module, "_oom_kills", lambda: 6)
        member = team.member()
        member.code = -9
        assert team.crew.why(member).endswith("the kernel ran out of memory")
        assert team.crew.why(member).endswith("killed by SIGKILL")

    def test_counter_of_the_kernel_is_a_number(self):
        assert crew_module._oom_kills() >= 0


def test_everybody_is_told(team):
    serving, leaving = team.member(1, SERVING), team.member(2, SERVING)
    team.crew.dismiss(leaving, None, 0.0)
    team.crew.tell_all(line.DUMP)
    assert serving.body.other.heard() == [("dump", None)]
    assert ("dump", None) in leaving.body.other.heard()


def test_strangers_are_reaped_and_own_children_are_not():
    stranger, own = os.fork(), 0
    if stranger == 0:
        os._exit(0)
    os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT)
    crew_module._reap_strangers({stranger})
    own = os.waitid(os.P_PID, stranger, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    assert own is not None
    crew_module._reap_strangers(set())
    with pytest.raises(ChildProcessError):
        os.waitpid(stranger, os.WNOHANG)


def test_who_is_there_in_one_line(team):
    team.member(1, SERVING)
    team.member(2)
    leaving = team.member(3, SERVING)
    team.crew.dismiss(leaving, None, 0.0)
    assert team.crew.summary() == (
        "worker-2=101/starting worker-1=100/serving worker-3=102/leaving"
    )


@pytest.mark.parametrize("failure", [None, "The application has no app"])
def test_a_death_is_reported_after_its_reason(team, caplog, failure):
    member = team.member()
    team.bodies[0].code = 3
    member.failure = failure
    team.crew.pump(0)
    team.crew.report(member)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:-1] == ([failure] if failure else [])
    assert lines[-1] == "Unexpected exit from worker-1 (PID 100: exit code 3)"
