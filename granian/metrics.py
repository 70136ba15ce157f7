"""What a worker counts and how long its requests take, as it is exported.

The counters themselves are plain integers of the threads that count (``engine.runtime``); the
supervisor's exporter turns their sums into Prometheus text. Standard library only.
"""

from bisect import bisect_left
from threading import Lock
from time import monotonic
from typing import Any, Callable, Dict, List, Mapping, Optional

WORKER_GAUGES = ("connections_active", "requests_in_flight", "blocking_threads", "blocking_queue")
"""Values that go up and down."""

WORKER_COUNTERS = (
    "connections_handled",
    "connections_err",
    "requests_handled",
    "static_requests_handled",
    "static_requests_err",
    "websockets_handled",
    "websockets_err",
    "blocking_idle_cumulative",
    "blocking_busy_cumulative",
    "py_wait_cumulative",
)
"""Values that only grow and start again with the worker; the cumulative ones in microseconds."""

DURATION_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the request-duration buckets, in seconds; one more bucket takes the rest."""

DURATION_BUCKETS = tuple(f"request_duration_{index}" for index in range(len(DURATION_BOUNDS) + 1))
"""Names of the buckets among a worker's counters, each with the requests of that bucket alone."""

DURATION_SUM = "request_duration_sum"
"""Name of the time that all requests have taken, in microseconds."""

_SWITCHING_PROTOCOLS = 101

AccessLog = Callable[[float, float, Mapping[str, Any], int], None]


class DurationMeter:
    """Measures exchanges where access lines are written: when the application has finished.

    Takes the place of the access line, and writes it too if there is one. Any thread.

    Args:
        line: Writes the access line, or None.
    """

    __slots__ = ("_buckets", "_line", "_lock", "_sum")

    def __init__(self, line: Optional[AccessLog]) -> None:
        self._line = line
        self._lock = Lock()
        self._buckets: List[int] = [0] * len(DURATION_BUCKETS)
        self._sum = 0

    def __call__(self, rtime: float, mtime: float, req: Mapping[str, Any], status: int) -> None:
        """Count one exchange; arguments as ``granian.log.AccessLine``'s."""
        if status != _SWITCHING_PROTOCOLS:
            seconds = monotonic() - mtime
            with self._lock:
                self._buckets[bisect_left(DURATION_BOUNDS, seconds)] += 1
                self._sum += int(seconds * 1e6)
        if self._line is not None:
            self._line(rtime, mtime, req, status)

    def counted(self) -> Dict[str, int]:
        """Return what has been counted, by counter name."""
        return {**dict(zip(DURATION_BUCKETS, self._buckets)), DURATION_SUM: self._sum}
