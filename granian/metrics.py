"""The names of what a worker counts, as it is exported.

The counters themselves are plain integers of the threads that count (``engine.runtime``); the
supervisor's exporter turns their sums into Prometheus text. Standard library only.
"""

WORKER_GAUGES = ("connections_active", "blocking_threads", "blocking_queue")
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
