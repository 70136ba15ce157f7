"""The wait for those who leave."""

import pytest

from granian.server import departure
from granian.server.crew import SERVING
from granian.server.departure import PATIENCE, see_off
from granian.server.signals import SIGNAL_RACE
from tests.support.crew import Team
from tests.support.fakes import FakeClock


class Leaving(Team):
    """Two members that leave; ``pump`` is a turn of a script instead of a wait."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.members = [self.member(number, SERVING) for number in (1, 2)]
        for one in self.members:
            self.crew.dismiss(one, None, 0.0)
            one.body.other.heard()
        self.turns = []
        self.waits = []
        self._pump, self.crew.pump = self.crew.pump, self.turn

    def turn(self, timeout):
        self.waits.append(timeout)
        self.turns.pop(0)()
        self._pump(0)

    def end(self):
        for body in self.bodies:
            body.code = 0


@pytest.fixture
def team(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(departure.time, "monotonic", clock)
    team = Leaving(clock)
    yield team
    team.close()


def heard(team):
    return [one.body.other.heard() for one in team.members]


def test_it_ends_with_the_last_member(team, caplog):
    caplog.set_level("INFO")
    team.turns = [team.end]
    see_off(team.crew, [])
    assert team.crew.present == []
    assert team.waits == [PATIENCE]
    assert "Waiting" not in caplog.text


def test_who_is_waited_for_is_said_once(team, caplog):
    caplog.set_level("INFO")
    team.turns = [lambda: team.clock.advance(PATIENCE), lambda: None, team.end]
    see_off(team.crew, [])
    line = "Waiting for worker-1, worker-2 to finish, a second signal stops now"
    assert [record.getMessage() for record in caplog.records].count(line) == 1
    assert team.waits == [PATIENCE, None, None]


def test_a_second_signal_makes_all_drop_what_they_have(team):
    signals = [team.clock()]
    team.turns = [
        lambda: signals.append(team.clock.advance(SIGNAL_RACE + 0.1)),
        lambda: None,
        team.end,
    ]
    seen = []
    team.turns[1] = lambda: seen.extend(heard(team))
    see_off(team.crew, signals)
    assert seen == [[("halt", None)], [("halt", None)]]
    assert signals == [], "each further signal counts anew"


def test_the_echo_of_the_first_signal_is_no_second_one(team):
    signals = [team.clock()]
    team.turns = [
        lambda: signals.append(team.clock.advance(SIGNAL_RACE)),
        team.end,
    ]
    see_off(team.crew, signals)
    assert heard(team) == [[], []]
