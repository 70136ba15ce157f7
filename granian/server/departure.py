"""The wait for workers that were told to finish, and what ends it early.

Main thread of the supervisor. The kill timeout of each worker is kept by ``Crew.pump``.
"""

import time
from typing import List

from ..log import logger
from .crew import Crew
from .signals import SIGNAL_RACE

PATIENCE = 1.0
"""Seconds of a stop after which it is said what it waits for."""


def see_off(crew: Crew, signals: List[float]) -> None:
    """Return when nobody is left; a second signal makes everybody drop what they have.

    Args:
        crew: All of whose members are leaving.
        signals: When stop signals came, on the monotonic clock; a handler goes on adding. What
            comes within ``SIGNAL_RACE`` of the first is an echo of it.
    """
    begun = time.monotonic()
    told = False
    while crew.present:
        if signals and signals[-1] > begun + SIGNAL_RACE:
            logger.info("Second signal, stopping now")
            signals.clear()
            for member in crew.leaving:
                crew.halt(member)
        crew.pump(None if told else max(0.0, begun + PATIENCE - time.monotonic()))
        if not told and time.monotonic() >= begun + PATIENCE and crew.present:
            told = True
            names = ", ".join(member.name for member in crew.present)
            logger.info("Waiting for %s to finish, a second signal stops now", names)
