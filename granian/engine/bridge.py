"""asyncio in a runtime thread: our poller as the loop's selector.

``create_loop`` gives each runtime thread its loop. On asyncio the poller *is* the selector, so
connections are served inside ``select()``; other loops (uvloop) watch the poller's own descriptor
through ``add_reader`` and let it serve whenever something is ready.
"""

import asyncio
import time
from functools import partial
from typing import Optional

from .. import _loops
from .poller import Poller


def create_loop(name: str, poller: Poller) -> asyncio.AbstractEventLoop:
    """Make the event loop of one runtime thread and join the poller to it.

    Args:
        name: A key of ``granian.loops``; ``auto`` and ``asyncio`` use the poller as selector.
        poller: The thread's poller.

    Raises:
        RuntimeError: The loop is not available here.

    Thread:
        The one that will run the loop.
    """
    if _loops.loops.is_native(name):
        loop: asyncio.AbstractEventLoop = asyncio.SelectorEventLoop(poller)
        poller.drive_loop()
        # What the method would call, without a Python call in every turn (tests/test_budget.py).
        loop.time = time.monotonic  # type: ignore[method-assign]  # it is meant to be overridden
        # Likewise in every task and future: they ask for what ``set_debug`` has set.
        loop.get_debug = partial(getattr, loop, "_debug")  # type: ignore[method-assign]
    else:
        loop = _loops.loops.get(name)
        LoopDriver(loop, poller).start()
    asyncio.set_event_loop(loop)
    return loop


class LoopDriver:
    """Serves a poller from a loop that has a selector of its own.

    The kernel tells such a loop that the poller's interest list has something ready; deadlines
    are a timer that is set again after each turn.
    """

    __slots__ = ("_loop", "_poller", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller) -> None:
        self._loop = loop
        self._poller = poller
        self._timer: Optional[asyncio.TimerHandle] = None

    def start(self) -> None:
        """Watch the poller from the loop."""
        self._loop.add_reader(self._poller.fileno(), self._turn)  # type: ignore[attr-defined]
        self._set_timer()

    def stop(self) -> None:
        """Watch it no more; for loops that outlive the poller."""
        self._loop.remove_reader(self._poller.fileno())  # type: ignore[attr-defined]
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        self._poller.select(0)
        self._poller.busy_since = 0.0
        self._set_timer()

    def _set_timer(self) -> None:
        # Look once a second at the most: deadlines armed between turns are found then.
        if self._timer is not None:
            self._timer.cancel()
        heap = self._poller.deadlines.heap
        wait = min(1.0, max(0.0, heap[0][0] - self._poller.now)) if heap else 1.0
        if self._poller.has_more():
            wait = 0.0
        self._timer = self._loop.call_later(wait, self._turn)
