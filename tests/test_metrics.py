"""What is counted, and under which names."""

import pytest

from granian import metrics
from granian.engine.runtime import Counters
from granian.metrics import WORKER_COUNTERS, WORKER_GAUGES


def test_everything_the_engine_counts_is_exported():
    assert set(Counters.__slots__) <= set(WORKER_COUNTERS) | set(WORKER_GAUGES)


def test_nothing_is_two_things():
    assert not set(WORKER_COUNTERS) & set(WORKER_GAUGES)


def test_durations_fall_into_their_buckets(monkeypatch):
    monkeypatch.setattr(metrics, "monotonic", lambda: 100.0)
    meter = metrics.DurationMeter(None)
    for seconds in (0.001, 0.005, 0.006, 3.0, 60.0):
        meter(0.0, 100.0 - seconds, {}, 200)
    counted = meter.counted()
    buckets = [counted[name] for name in metrics.DURATION_BUCKETS]
    assert buckets == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert counted[metrics.DURATION_SUM] == pytest.approx(63_012_000, abs=5)


def test_a_meter_writes_the_line_too_and_measures_no_handshakes():
    lines = []
    meter = metrics.DurationMeter(lambda *line: lines.append(line))
    meter(1.0, 2.0, {"path": "/"}, 101)
    assert lines == [(1.0, 2.0, {"path": "/"}, 101)]
    assert not any(meter.counted().values())
