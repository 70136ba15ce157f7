"""When a healthy worker is replaced: by age, by size, by the number of its requests.

Decides; ``common`` acts, one worker at a time. Main thread of the supervisor.
"""

import random
import time
from typing import Dict, List, Optional

from ..log import logger
from ..plan import SupervisorPlan, WorkerPlan
from .crew import Crew, Member
from .memory import resident

RETRY = 30.0
"""Seconds between two attempts to replace a worker whose successors do not start."""


class Upkeep:
    """The ages, sizes and counts of all workers.

    Attributes:
        counts: Workers started, and replaced by reason, for the metrics.
    """

    __slots__ = ("_plan", "_sample_at", "counts")

    def __init__(self, plan: SupervisorPlan) -> None:
        self._plan = plan
        self._sample_at = time.monotonic() + plan.rss_sample_interval
        self.counts: Dict[str, int] = dict.fromkeys(
            ("spawns", "err", "lifetime", "rss", "requests"), 0
        )

    def requests(self, plan: WorkerPlan) -> Optional[int]:
        """Return after how many requests a new worker is spent, jitter added; None for never."""
        if plan.workers_max_requests is None:
            return None
        return plan.workers_max_requests + random.randint(  # noqa: S311 - spreads load
            0, plan.workers_max_requests_jitter
        )

    def spawned(self, member: Member) -> None:
        """Take note of a new worker."""
        self.counts["spawns"] += 1
        if self._plan.workers_lifetime is not None:
            jitter = random.uniform(0.0, self._plan.workers_lifetime_jitter)  # noqa: S311 - as above
            member.retire_at = member.born + self._plan.workers_lifetime + jitter

    def times(self, crew: Crew) -> List[float]:
        """Return when ``worn`` may have an answer."""
        times = [one.retire_at for one in crew.places.values() if one.retire_at is not None]
        if self._plan.workers_max_rss is not None:
            times.append(self._sample_at)
        return times

    def worn(self, crew: Crew) -> List[Member]:
        """Return who is to be replaced now, and say why in the log."""
        now = time.monotonic()
        self._sample(crew, now)
        found = []
        for member in crew.serving:
            reason = self._reason(member, now)
            if reason is not None:
                self.counts[reason] += 1
                found.append(member)
        return found

    def postpone(self, member: Member) -> None:
        """Give a worker some more time: its successor did not start."""
        member.spent = False
        member.over_rss = 0
        member.retire_at = time.monotonic() + max(RETRY, self._plan.respawn_interval)

    def _reason(self, member: Member, now: float) -> Optional[str]:
        if member.spent:
            logger.info("worker-%d has served its requests", member.number)
            return "requests"
        if member.retire_at is not None and member.retire_at <= now:
            logger.info("worker-%d has reached its lifetime", member.number)
            return "lifetime"
        if member.over_rss >= self._plan.rss_samples:
            logger.info("worker-%d has outgrown its memory limit", member.number)
            return "rss"
        return None

    def _sample(self, crew: Crew, now: float) -> None:
        limit = self._plan.workers_max_rss
        if limit is None or now < self._sample_at:
            return
        self._sample_at = now + self._plan.rss_sample_interval
        sizes = resident(member.pid for member in crew.serving)
        for member in crew.serving:
            over = sizes.get(member.pid, 0) > limit
            member.over_rss = member.over_rss + 1 if over else 0
