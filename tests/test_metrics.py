"""Names of what is counted."""

from granian.engine.runtime import Counters
from granian.metrics import WORKER_COUNTERS, WORKER_GAUGES


def test_everything_the_engine_counts_is_exported():
    assert set(Counters.__slots__) <= set(WORKER_COUNTERS) | set(WORKER_GAUGES)


def test_nothing_is_two_things():
    assert not set(WORKER_COUNTERS) & set(WORKER_GAUGES)
