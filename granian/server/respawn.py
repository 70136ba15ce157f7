"""What the death of a worker means: another one, and when, or the end of the server.

Decides; ``common`` acts. Main thread of the supervisor.
"""

import time
from typing import Callable, Dict, List

from ..log import logger
from ..plan import SupervisorPlan
from .crew import Member

CRASH_LOOP = 5.5
"""Seconds: a respawned worker that dies sooner than this will not do better next time."""


class Respawns:
    """Judges deaths and remembers which places are to be filled, and when.

    Attributes:
        due: When each empty place gets a worker again, on ``clock``.
    """

    __slots__ = ("_clock", "_plan", "due")

    def __init__(self, plan: SupervisorPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock
        self.due: Dict[int, float] = {}

    def survives(self, member: Member) -> bool:
        """Take note of an unexpected death; False if the server must end.

        While files are watched a change is waited for. Otherwise a worker that could not even
        load the application the first time ends the server, since nothing will mend that; so does
        one that dies soon after it was respawned.
        """
        plan = self._plan
        if plan.reload is not None and plan.reload.ignore_worker_failure:
            logger.info("Waiting for a change before worker-%d starts again", member.number)
            return True
        if not plan.respawn_failed_workers:
            return False
        if member.failure is not None and not member.respawned:
            return False
        now = self._clock()
        if member.respawned and now - member.born < CRASH_LOOP:
            logger.error("Worker crash loop detected, exiting")
            return False
        self.due[member.number] = max(now, member.born + plan.respawn_interval)
        return True

    def take(self) -> List[int]:
        """Return the places that get a worker now."""
        now = self._clock()
        numbers = [number for number, when in self.due.items() if when <= now]
        for number in numbers:
            del self.due[number]
        return numbers

    def forget(self, number: int) -> None:
        """Somebody has filled this place already."""
        self.due.pop(number, None)
