import os
import pickle
import sys

import pytest

from granian.config import plans as plans_module
from granian.config.plans import ContradictionError, make_plans
from granian.errors import ConfigurationError
from granian.plan import SupervisorPlan, WorkerPlan


def refusals(**settings):
    with pytest.raises(ContradictionError) as caught:
        make_plans(settings)
    return caught.value.problems


@pytest.mark.parametrize(("there_are", "workers", "each"), [(1, 1, 1), (8, 2, 4), (4, 8, 1)])
def test_processors_are_divided_among_the_workers(monkeypatch, there_are, workers, each):
    monkeypatch.setattr(plans_module, "available_processors", lambda: there_are)
    assert make_plans({"workers": workers}).worker.processors == each


def test_defaults_are_the_defaults_of_the_plans(monkeypatch):
    monkeypatch.setattr(plans_module, "available_processors", lambda: 1)
    plans = make_plans({})
    assert plans.supervisor == SupervisorPlan()
    assert plans.worker == WorkerPlan()
    assert plans.warnings == ()


def test_plans_hold_only_builtins():
    plans = make_plans(
        {
            "app": "a:b",
            "reload": True,
            "static_path_mount": ["."],
            "workers": 1,
            "http2_keep_alive_interval": 5,
        }
    )
    assert pickle.loads(pickle.dumps(plans)) == plans


def test_units_become_seconds_and_octets(tmp_path):
    plans = make_plans(
        {
            "http1_header_read_timeout": 1500,
            "http2_keep_alive_interval": 250,
            "workers_max_rss": 3,
            "workers_lifetime": 90,
            "workers_kill_timeout": 8,
            "ws_ping_interval": 5,
        }
    )
    assert plans.worker.http1.header_read_timeout == 1.5
    assert plans.worker.http2.keep_alive_interval == 0.25
    assert plans.worker.websocket.ping_interval == 5.0
    assert plans.supervisor.workers_lifetime == 90.0
    assert plans.worker.workers_kill_timeout == plans.supervisor.workers_kill_timeout == 8.0
    if plans_module.BUILD_GIL:
        assert plans.supervisor.workers_max_rss == 3 * 1024 * 1024


@pytest.mark.parametrize(
    ("workers", "backlog", "given", "expected"),
    [(1, 1024, None, 1024), (3, 1024, None, 341), (500, 128, None, 1), (3, 1024, 7, 7)],
)
def test_backpressure_is_shared_out(workers, backlog, given, expected):
    settings = {"workers": workers, "backlog": backlog, "backpressure": given}
    assert make_plans(settings).worker.backpressure == expected


@pytest.mark.parametrize(
    ("interface", "given", "expected"),
    [("wsgi", None, 512), ("wsgi", 3, 3), ("asgi", None, 1), ("rsgi", 1, 1)],
)
def test_blocking_threads(interface, given, expected):
    plans = make_plans({"interface": interface, "blocking_threads": given})
    assert plans.worker.blocking_threads == expected


def test_blocking_threads_on_an_event_loop_are_refused():
    assert refusals(interface="asgi", blocking_threads=4) == (
        "--blocking-threads can only be 1 when --interface is asgi: one thread runs the event "
        "loop.",
    )


@pytest.mark.parametrize(
    ("mode", "threads", "expected"),
    [("auto", 1, "st"), ("auto", 2, "mt"), ("st", 2, "st"), ("mt", 1, "mt")],
)
def test_runtime_modes_are_resolved(mode, threads, expected):
    plans = make_plans({"runtime_mode": mode, "runtime_threads": threads})
    assert plans.worker.runtime_mode == expected


def test_websockets_are_off_for_wsgi():
    assert make_plans({"interface": "asgi"}).worker.websockets
    assert not make_plans({"interface": "wsgi"}).worker.websockets


@pytest.mark.parametrize(
    ("given", "route"),
    [("/api/", "/api"), ("api", "/api"), ("/", ""), (None, ""), ("/a/b", "/a/b")],
)
def test_prefixes_have_a_slash_in_front_and_none_behind(given, route):
    assert make_plans({"url_path_prefix": given}).worker.url_path_prefix == route


def test_auto_workers_ask_the_machine(monkeypatch):
    monkeypatch.setattr(plans_module, "available_processors", lambda: 6)
    plans = make_plans({"workers": "auto"})
    assert plans.supervisor.workers == plans.worker.workers == 6
    assert plans.worker.backpressure == 170
    assert plans.warnings == ()


def test_more_workers_than_processors_are_a_warning(monkeypatch):
    monkeypatch.setattr(plans_module, "available_processors", lambda: 2)
    plans = make_plans({"workers": 3, "interface": "wsgi", "blocking_threads": 6})
    assert plans.warnings == (
        "--workers is 3, but there are 2 processors to use.",
        "--blocking-threads is 6; more than 5 help only an application that waits a lot.",
    )


def test_tls_needs_both_files(tmp_path):
    (only_certificate,) = refusals(ssl_certificate="a.pem")
    (only_key,) = refusals(ssl_keyfile="a.key")
    assert only_certificate.startswith("--ssl-certificate is given without --ssl-keyfile")
    assert only_key.startswith("--ssl-keyfile is given without --ssl-certificate")
    tls = make_plans({"ssl_certificate": "a.pem", "ssl_keyfile": "a.key"}).worker.tls
    assert tls.certificate == os.path.abspath("a.pem")
    assert tls.protocol_min == "tls1.3"


def test_client_certificates_need_authorities():
    both = {"ssl_certificate": "a.pem", "ssl_keyfile": "a.key"}
    assert refusals(**both, ssl_client_verify=True) == (
        "--ssl-client-verify needs --ssl-ca: there is nothing to check against.",
    )
    assert refusals(ssl_ca="ca.pem") == ("--ssl-ca needs --ssl-certificate and --ssl-keyfile.",)


def test_every_problem_is_told():
    problems = refusals(ssl_keyfile="k", uds="s", fd=3, preload=True, reload=True, health_path="up")
    assert len(problems) == 4


def test_static_mounts(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.symlink_to(one)
    plan = make_plans({"static_path_mount": [str(one)]}).worker.static
    assert plan.mounts == (("/static", str(one)),)
    plan = make_plans(
        {"static_path_route": ["a/", "/b"], "static_path_mount": [str(one), str(two)]}
    ).worker.static
    assert plan.mounts == (("/a", str(one)), ("/b", str(one)))
    assert make_plans({}).worker.static is None
    assert refusals(static_path_mount=["a", "b"], static_path_route=["/a"]) == (
        "--static-path-route and --static-path-mount must be given equally often; "
        "there are 1 routes and 2 folders.",
    )
    assert refusals(static_path_route=["/a"])


def test_trusted_proxies_are_addresses_networks_or_words():
    good = ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "unix", "*"]
    assert make_plans({"forwarded_allow_ips": good}).worker.forwarded_allow_ips == tuple(good)
    (problem,) = refusals(forwarded_allow_ips=["10.0.0.1/8"])
    assert "'10.0.0.1/8' is neither an address" in problem


def test_reload_takes_what_cannot_go_with_it():
    plans = make_plans(
        {
            "reload": True,
            "workers_lifetime": 60,
            "workers_max_rss": 1,
            "metrics_enabled": True,
            "reload_paths": ["x"],
            "reload_tick": 100,
        }
    )
    assert plans.supervisor.workers_lifetime is None
    assert plans.supervisor.workers_max_rss is None
    assert plans.supervisor.metrics is None
    assert plans.worker.metrics_scrape_interval is None
    assert plans.supervisor.reload.paths == (os.path.abspath("x"),)
    assert plans.supervisor.reload.tick == 0.1
    assert len(plans.warnings) == 3


def test_memory_limits_mean_nothing_where_workers_are_threads(monkeypatch):
    monkeypatch.setattr(plans_module, "BUILD_GIL", False)
    plans = make_plans({"workers_max_rss": 1})
    assert plans.supervisor.workers_max_rss is None
    assert "free-threaded" in plans.warnings[0]


def test_metrics():
    plans = make_plans({"metrics_enabled": True, "metrics_scrape_interval": 5})
    assert plans.supervisor.metrics == ("127.0.0.1", 9090, 5.0)
    assert plans.worker.metrics_scrape_interval == 5.0


def test_settings_are_called_as_their_giver_calls_them():
    with pytest.raises(ConfigurationError) as caught:
        make_plans({"ssl_keyfile": "k"}, called=lambda name: name.upper())
    assert str(caught.value).startswith("SSL_KEYFILE is given without SSL_CERTIFICATE")


def test_log_config_and_sources_are_passed_on():
    plans = make_plans({}, log_config={"version": 1}, sources=("2 flags",))
    assert plans.worker.log_config == {"version": 1}
    assert plans.supervisor.sources == ("2 flags",)


def test_permissions_without_a_socket_are_a_warning():
    assert make_plans({"uds_permissions": 0o660}).warnings == (
        "--uds-permissions does nothing without --uds.",
    )


@pytest.mark.parametrize(
    ("settings", "start"),
    [
        pytest.param(
            {"loop_opt": True},
            "--opt has no effect: from Python 3.12 on",
            marks=pytest.mark.skipif(sys.version_info < (3, 12), reason="it has one here"),
        ),
        ({"http1_pipeline_flush": True}, "--http1-pipeline-flush has no effect: the responses"),
        ({"runtime_blocking_threads": 8}, "--runtime-blocking-threads has no effect: files"),
    ],
)
def test_settings_without_effect_are_said_to_be(settings, start):
    (warning,) = make_plans(settings).warnings
    assert warning.startswith(start)


def test_words_that_a_worker_would_stumble_over_are_refused_once():
    (problem,) = refusals(loop="winloop")
    assert problem.startswith("--loop: winloop is not installed; there are auto, asyncio")
    assert make_plans({"loop": "winloop", "interface": "wsgi"}).worker.loop == "winloop"
    (problem,) = refusals(reload_ignore_patterns=["ok$", "[{"])
    assert problem.startswith("--reload-ignore-patterns: '[{' is no regular expression: ")
    (problem,) = refusals(log_access_enabled=True, log_access_fmt="%(nope{X})s")
    assert problem.startswith("--access-log-fmt: The access log format cannot be used: ")
    assert make_plans({"log_access_fmt": "%(nope)s"}).worker.log_access_format == "%(nope)s"


def test_braces_in_values_are_only_braces():
    (problem,) = refusals(health_path="{0}")
    assert problem == "--health-path must start with a slash, as in /{0}."
    (problem,) = refusals(forwarded_allow_ips=["{9}"])
    assert "'{9}' is neither" in problem
