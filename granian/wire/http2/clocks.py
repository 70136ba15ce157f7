"""The times of a connection: what it waits for, since when, and for how long.

The session asks for the clock that matters in its phase, and does what is due; nothing here knows
phases, and of frames only the PING that asks a silent peer whether it lives. Seconds, time is
passed in. RFC 9113 sections 3.4, 5.4.1 and 6.7.
"""

from typing import TYPE_CHECKING, List

from ...plan import WorkerPlan
from .codes import NO_ERROR, PING, PROTOCOL_ERROR, Fault, frame
from .stream import COMPLETE, Stream

if TYPE_CHECKING:
    from .outflow import Octets

PREFACE_TIMEOUT = 10.0
SETTINGS_TIMEOUT = 2.0
IDLE_TIMEOUT = 75.0
DRAIN_PING_TIMEOUT = 1.0
CHECK_INTERVAL = 5.0

LIVENESS_PING = b"anyone??"


class Clocks:
    """The clocks of one connection.

    Attributes:
        idle_since: When the last stream ended, or the connection began.
    """

    __slots__ = (
        "_body_timeout",
        "_interval",
        "_octets",
        "_opened_at",
        "_ping_at",
        "_ping_due",
        "_ping_timeout",
        "_write_timeout",
        "idle_since",
    )

    def __init__(self, plan: WorkerPlan, octets: "List[Octets]", now: float) -> None:
        self.idle_since = self._opened_at = self._ping_at = now
        self._ping_due = 0.0
        self._interval = plan.http2.keep_alive_interval
        self._ping_timeout = plan.http2.keep_alive_timeout
        self._write_timeout = plan.write_timeout
        self._body_timeout = plan.body_read_timeout
        self._octets = octets

    def begin(self, now: float) -> None:
        """Note that the preface has come: SETTINGS are to follow."""
        self._opened_at = now

    def greeting(self, limit: float, now: float) -> float:
        """Tell how much is left of the time for what a connection begins with.

        Raises:
            Fault: Nothing is.
        """
        left = self._opened_at + limit - now
        if left <= 0:
            raise Fault(PROTOCOL_ERROR)
        return left

    def drain(self, now: float) -> None:
        """Note that a drain's PING was sent."""
        self._ping_at = now

    def drained(self, now: float) -> bool:
        """Tell whether that PING was answered too late, or never will be."""
        return now - self._ping_at >= DRAIN_PING_TIMEOUT

    def idle(self, now: float) -> float:
        """Tell how much longer a connection without streams is kept."""
        return self.idle_since + IDLE_TIMEOUT - now

    def stalled(self, stream: Stream, now: float) -> bool:
        """Tell whether a stream's peer neither reads nor writes (slow read, zero window)."""
        if stream.queued and now - stream.moved_at >= self._write_timeout:
            return True
        wanted = stream.remote_open and (stream.wants_body or stream.phase >= COMPLETE)
        return wanted and now - stream.heard_at >= self._body_timeout

    def keep_alive(self, due: float, now: float) -> float:
        """Ask a silent peer whether it lives, where that is wanted.

        Args:
            due: Seconds until something else is due.
            now: The time.

        Returns:
            Seconds until this, or that, is due.

        Raises:
            Fault: It was asked and does not answer.
        """
        interval = self._interval
        if interval is None:
            return due
        if self._ping_due:
            if now >= self._ping_due:
                raise Fault(NO_ERROR)
            return min(due, self._ping_due - now)
        left = self._ping_at + interval - now
        if left > 0:
            return min(due, left)
        self._ping_at = now
        self._ping_due = now + self._ping_timeout
        self._octets.append(frame(PING, 0, 0, LIVENESS_PING))
        return min(due, interval, self._ping_timeout)

    def answered(self) -> None:
        """Note that the peer lives."""
        self._ping_due = 0.0
