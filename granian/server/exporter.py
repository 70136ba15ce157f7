"""The metrics endpoint: Prometheus text on a socket of its own, in the main process.

One daemon thread answers any method on any path. It reads what the supervisor's main thread has
put into the snapshot; each value is replaced whole, so no lock is needed. Names and types are
upstream's, which do not end in ``_total``.
"""

import re
import selectors
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable, Dict, Iterator, Mapping

from ..errors import FatalError
from ..metrics import (
    DURATION_BOUNDS,
    DURATION_BUCKETS,
    DURATION_SUM,
    WORKER_COUNTERS,
    WORKER_GAUGES,
)
from ..plan import MetricsPlan
from .signals import Alarm

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = re.compile(rb"^# HELP .*\n", re.MULTILINE)
_TOTAL = re.compile(rb"^(# TYPE \S+?)_total counter$", re.MULTILINE)
_REASONS = {
    "granian_workers_spawns": "spawns",
    "granian_workers_respawns_for_err": "err",
    "granian_workers_respawns_for_lifetime": "lifetime",
    "granian_workers_respawns_for_rss": "rss",
    "granian_workers_respawns_for_requests": "requests",
}

Snapshot = Callable[[], Mapping[int, Mapping[str, Any]]]
"""Counters by worker number; ``born`` among them is the worker's birth on ``time.monotonic``."""


class Collector:
    """Turns counts and snapshots into metric families (prometheus_client's custom collector)."""

    def __init__(self, counts: Mapping[str, int], workers: Snapshot) -> None:
        self._counts = counts
        self._workers = workers

    def collect(self) -> Iterator[Any]:
        """Yield one family per metric."""
        from prometheus_client import Metric

        for name, reason in _REASONS.items():
            metric = Metric(name, name, "counter")
            metric.add_sample(name, {}, self._counts[reason])
            yield metric
        workers = dict(self._workers())
        now = time.monotonic()
        lifetime = Metric("granian_worker_lifetime", "granian_worker_lifetime", "counter")
        for number, counters in workers.items():
            labels = {"worker": str(number)}
            lifetime.add_sample(lifetime.name, labels, int(now - counters["born"]))
        yield lifetime
        for kind, names in (("gauge", WORKER_GAUGES), ("counter", WORKER_COUNTERS)):
            for name in names:
                metric = Metric(f"granian_{name}", f"granian_{name}", kind)
                for number, counters in workers.items():
                    metric.add_sample(metric.name, {"worker": str(number)}, counters.get(name, 0))
                yield metric
        yield _durations(workers)


def _durations(workers: Mapping[int, Mapping[str, Any]]) -> Any:
    """Make the histogram of request durations; its buckets are cumulative (Prometheus)."""
    from prometheus_client import Metric

    name = "granian_request_duration_seconds"
    metric = Metric(name, name, "histogram")
    for number, counters in workers.items():
        labels = {"worker": str(number)}
        total = 0
        for bound, bucket in zip([*map(str, DURATION_BOUNDS), "+Inf"], DURATION_BUCKETS):
            total += counters.get(bucket, 0)
            metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, total)
        metric.add_sample(f"{name}_count", labels, total)
        metric.add_sample(f"{name}_sum", labels, counters.get(DURATION_SUM, 0) / 1e6)
    return metric


class Exporter:
    """Serves metrics from ``start`` to ``stop``.

    Args:
        plan: Where.
        counts: Workers started and replaced, by reason.

    Attributes:
        workers: The latest counters of each worker; the supervisor's main thread replaces them.
    """

    def __init__(self, plan: MetricsPlan, counts: Mapping[str, int]) -> None:
        self.workers: Dict[int, Mapping[str, Any]] = {}
        self._collector = Collector(counts, lambda: self.workers)
        self._where = f"{plan.address}:{plan.port}"
        try:
            import prometheus_client  # noqa: F401 - asked for here, used where text is made
        except ImportError:
            raise FatalError(
                "Metrics need prometheus-client: pip install granian[metrics]"
            ) from None
        try:
            self._server = _server_class(plan.address)((plan.address, plan.port), _Answer)
        except OSError as error:
            raise FatalError(
                f"Cannot serve metrics on {self._where}: {error.strerror or error}"
            ) from None
        self._server.render = self.render
        self._alarm = Alarm()
        self._thread = threading.Thread(target=self._run, name="granian-metrics", daemon=True)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._alarm.ring()
        self._thread.join()
        self._server.server_close()
        self._alarm.close()

    def _run(self) -> None:
        # Not serve_forever: it looks for a stop twice a second, this waits for one.
        with selectors.DefaultSelector() as selector:
            selector.register(self._alarm, selectors.EVENT_READ)
            selector.register(self._server, selectors.EVENT_READ)
            while all(key.fileobj is not self._alarm for key, _ in selector.select()):
                self._server.handle_request()

    def report(self, number: int, born: float, counters: Mapping[str, Any]) -> None:
        """Take the latest counters of a worker."""
        self.workers = {**self.workers, number: {**counters, "born": born}}

    def render(self) -> bytes:
        """Return all metrics as text."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        text: bytes = generate_latest(registry)
        return _TOTAL.sub(rb"\1 counter", _HELP.sub(b"", text))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    timeout = 1.0
    render: Callable[[], bytes]


class _Answer(BaseHTTPRequestHandler):
    timeout = 5

    def _answer(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        text = server.render()
        self.send_response(200)
        self.send_header("Content-Type", _CONTENT_TYPE)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Scrapes are not worth a line."""


def _server_class(address: str) -> "type[_Server]":
    import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return type("_Server", (_Server,), {"address_family": family})
