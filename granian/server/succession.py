"""How one worker follows another: started beside it, seated when ready, the old one let go.

A place is never empty for a reload, and never taken by a worker that cannot serve. Says what it
does in the log; who is to be followed, and when, ``common`` decides. Main thread of the
supervisor.
"""

import time
from typing import Callable, List, Optional, Sequence

from ..log import logger
from .crew import DEAD, SERVING, Crew, Member
from .upkeep import Upkeep

IDLE_GRACE = 0.5
"""Seconds in which a connection that outlives its worker may send one more request, to be told
``Connection: close`` with the answer instead of being closed between two requests."""

HANGING = 5.0
"""Seconds after which a worker that has not started gives way to changed files."""


class Succession:
    """Fills places.

    Args:
        crew: Who is there.
        upkeep: Told of each new worker.
        bear: Starts a worker for the place of this number; True if it follows one that died.
        stopping: True once nobody is to be started any more.
        change_in: Seconds until changed files may call for other workers; None for no files.
        limit: Seconds that a worker gets to finish before it is killed; None for any.
    """

    __slots__ = ("_bear", "_change_in", "_crew", "_limit", "_stopping", "_upkeep")

    def __init__(
        self,
        crew: Crew,
        upkeep: Upkeep,
        bear: Callable[[int, bool], Member],
        stopping: Callable[[], bool],
        change_in: Callable[[], Optional[float]],
        limit: Optional[float],
    ) -> None:
        self._crew = crew
        self._upkeep = upkeep
        self._bear = bear
        self._stopping = stopping
        self._change_in = change_in
        self._limit = limit

    def fill(self, places: Sequence[int], respawned: bool = False) -> bool:
        """Start a worker for each of these places, together, and wait until they serve.

        Returns:
            True if all have taken their places; who has not is dead, or no longer waited for.
        """
        return self.wait([self.spawn(place, respawned) for place in places])

    def spawn(self, place: int, respawned: bool = False) -> Member:
        """Start a worker; it takes its place when somebody waits for that."""
        member = self._bear(place, respawned)
        for worker in member.workers:
            logger.info("Spawning worker-%d with %s: %d", worker, member.body.kind, member.pid)
        self._crew.join(member)
        self._upkeep.spawned(member)
        return member

    def wait(self, members: Sequence[Member]) -> bool:
        """Wait until each has taken its place or died, or something else is more urgent."""
        waiting: List[Member] = list(members)
        died = False
        outdated_at = time.monotonic() + HANGING
        while waiting and not self._stopping():
            change = self._change_in()
            if change is None:
                self._crew.pump(None)
            else:
                self._crew.pump(max(change, outdated_at - time.monotonic(), 0.0))
                if time.monotonic() >= outdated_at:
                    return False  # what hangs there may have been mended meanwhile
            for member in [one for one in waiting if one.phase == SERVING]:
                waiting.remove(member)
                self._seat(member)
            died = died or any(member.phase == DEAD for member in waiting)
            waiting = [member for member in waiting if member.phase != DEAD]
        return not died and not waiting

    def dismiss(self, member: Member, grace: float = 0.0) -> None:
        """Let a worker finish, within the limit that all workers have."""
        self._crew.dismiss(member, self._limit, grace)

    def _seat(self, member: Member) -> None:
        for worker in member.workers:
            logger.info("Started worker-%d", worker)
            for runtime in range(1, member.runtimes + 1):
                logger.info("Started worker-%d runtime-%d", worker, runtime)
        predecessor = self._crew.seat(member)
        if predecessor is not None and not predecessor.ended:
            predecessor.replaced = True
            for worker in predecessor.workers:
                logger.info("Stopping old worker-%d", worker)
            self.dismiss(predecessor, IDLE_GRACE)
