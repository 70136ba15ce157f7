"""Deadlines of connections: arming one is an assignment, as long as a check is due before it.

Owned by one runtime thread. Each connection carries ``deadline``, when something must have
happened, and ``check``, when this queue will next look at it. A deadline that moves into the
future costs nothing: the check finds it moved and looks again later. Nothing here reads a clock.
"""

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Callable, List, Optional, Tuple

if TYPE_CHECKING:
    from .connection import Connection

NEVER = float("inf")


class Deadlines:
    """The checks that are due.

    Attributes:
        heap: ``(due, tie-breaker, connection)``, soonest first; read by the poller, in place.
    """

    __slots__ = ("_dead", "_sequence", "heap")

    def __init__(self) -> None:
        self.heap: List[Tuple[float, int, Connection]] = []
        self._sequence = 0
        self._dead = 0

    def arm(self, connection: "Connection", deadline: float) -> None:
        """Set the connection's deadline; ``on_deadline`` is called once it has passed."""
        connection.deadline = deadline
        if deadline < connection.check:
            self.push(connection)

    def push(self, connection: "Connection") -> None:
        """Look at the connection at its deadline: nothing is due before it."""
        if connection.check != NEVER:
            self._dead += 1
        connection.check = connection.deadline
        self._sequence += 1
        heappush(self.heap, (connection.deadline, self._sequence, connection))

    def discard(self, connection: "Connection") -> None:
        """Forget a connection that is closing."""
        connection.deadline = NEVER
        if connection.check == NEVER:
            return
        connection.check = NEVER
        self._dead += 1
        # Short connections leave entries behind; sweep before they are the most of the queue.
        if self._dead > 64 and self._dead * 2 > len(self.heap):
            self.heap[:] = [entry for entry in self.heap if entry[2].check == entry[0]]
            heapify(self.heap)
            self._dead = 0

    def expire(self, now: float, fail: "Optional[Callable[[Connection], None]]" = None) -> None:
        """Call ``on_deadline`` of every connection whose deadline has passed.

        Args:
            now: The time, in the clock of the deadlines.
            fail: Takes a connection that raised, while the exception is handled; the others are
                not to suffer from it.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            due, _, connection = heappop(heap)
            if connection.check != due:
                self._dead = max(0, self._dead - 1)
                continue
            connection.check = NEVER
            if connection.deadline <= now:
                connection.deadline = NEVER
                try:
                    connection.on_deadline()
                except Exception:
                    if fail is None:
                        raise
                    fail(connection)
            elif connection.deadline != NEVER:
                self.push(connection)
