"""The metrics endpoint."""

import time
import urllib.request

import pytest

from granian.errors import FatalError
from granian.metrics import DURATION_BUCKETS, DURATION_SUM
from granian.plan import MetricsPlan
from granian.server.exporter import Exporter

parser = pytest.importorskip("prometheus_client.parser")

COUNTS = {"spawns": 3, "err": 1, "lifetime": 0, "rss": 0, "requests": 0}


@pytest.fixture
def exporter():
    made = Exporter(MetricsPlan(port=0), COUNTS)
    made.start()
    yield made
    made.stop()


def families(text):
    return {family.name: family for family in parser.text_string_to_metric_families(text.decode())}


def test_names_and_types_are_upstreams(exporter):
    exporter.report(1, time.monotonic() - 5, {"requests_handled": 7, "connections_active": 2})
    text = exporter.render().decode()
    assert "# HELP" not in text
    lines = text.splitlines()
    assert "# TYPE granian_workers_spawns counter" in lines
    assert "granian_workers_spawns 3.0" in lines
    assert "# TYPE granian_requests_handled counter" in lines
    assert 'granian_requests_handled{worker="1"} 7.0' in lines
    assert "# TYPE granian_connections_active gauge" in lines
    assert 'granian_connections_active{worker="1"} 2.0' in lines
    assert 'granian_worker_lifetime{worker="1"} 5.0' in lines
    assert 'granian_blocking_queue{worker="1"} 0.0' in lines


def test_the_reference_parser_understands_it(exporter):
    exporter.report(1, 0.0, {"requests_handled": 7})
    exporter.report(2, 0.0, {"requests_handled": 8})
    found = families(exporter.render())
    values = {s.labels["worker"]: s.value for s in found["granian_requests_handled"].samples}
    assert values == {"1": 7.0, "2": 8.0}
    assert found["granian_workers_respawns_for_err"].samples[0].value == 1.0


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/x?y"), ("DELETE", "/m")])
def test_any_method_on_any_path(exporter, method, path):
    url = f"http://127.0.0.1:{exporter.port}{path}"
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=5) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert b"granian_workers_spawns" in answer.read()


def test_port_in_use_is_one_sentence(exporter):
    with pytest.raises(FatalError, match=r"^Cannot serve metrics on 127\.0\.0\.1:\d+: Address"):
        Exporter(MetricsPlan(port=exporter.port), COUNTS)


def test_missing_library_is_one_sentence(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(FatalError, match=r"pip install granian\[metrics\]"):
        Exporter(MetricsPlan(port=0), COUNTS)


def test_durations_are_a_cumulative_histogram(exporter):
    exporter.report(
        1, 0.0, {DURATION_BUCKETS[0]: 3, DURATION_BUCKETS[-1]: 1, DURATION_SUM: 2_500_000}
    )
    found = families(exporter.render())["granian_request_duration_seconds"]
    assert found.type == "histogram"
    values = {(s.name.rpartition("_")[2], s.labels.get("le")): s.value for s in found.samples}
    assert values["bucket", "0.005"] == 3.0
    assert values["bucket", "10.0"] == 3.0
    assert values["bucket", "+Inf"] == 4.0
    assert values["count", None] == 4.0
    assert values["sum", None] == 2.5
