import pytest

from granian.cli import facts as facts_module
from granian.cli.facts import summary
from granian.config.plans import make_plans


def facts(urls=("http://[::1]:8000",), **settings):
    plans = make_plans({"app": "main:app", **settings})
    return dict(facts_module.facts(plans, urls))


def test_facts_of_a_plain_server():
    told = facts(interface="asgi", websockets=False)
    assert told["Address"] == "http://[::1]:8000"
    assert told["Application"] == "main:app, ASGI"
    assert told["Workers"].endswith(", 1 I/O thread each")
    assert told["Event loop"] == "asyncio (auto)"
    assert told["Protocols"] == "HTTP/1.1, HTTP/2 in clear text"
    assert told["Settings"] == "defaults"
    assert "no access log" in told["Also"]


def test_facts_of_threads():
    assert "2 I/O threads each (mt: one loop)" in facts(runtime_threads=2)["Workers"]
    assert "(st: a loop per thread)" in facts(runtime_threads=2, runtime_mode="st")["Workers"]
    told = facts(interface="wsgi", blocking_threads=3)
    assert told["Workers"].endswith(", up to 3 threads each")
    assert "Event loop" not in told


def test_facts_of_tls_and_reload():
    told = facts(
        ssl_certificate="c",
        ssl_keyfile="k",
        ssl_protocol_min="tls1.2",
        http="1",
        reload=True,
        reload_paths=["src"],
        log_access_enabled=True,
    )
    assert told["Protocols"] == "HTTP/1.1, WebSocket over TLS 1.2 or newer (ALPN http/1.1)"
    assert told["Also"] == "reload on changes in src"


def test_loops_are_named_with_their_version(monkeypatch):
    assert facts(loop="asyncio")["Event loop"] == "asyncio"
    assert facts_module._loop("winloop").startswith("winloop")


@pytest.mark.parametrize(
    ("build_gil", "enabled", "words"),
    [(True, True, ""), (False, False, ", free-threaded"), (False, True, ", GIL forced on!")],
)
def test_the_build_is_named_in_words(monkeypatch, build_gil, enabled, words):
    monkeypatch.setattr(facts_module, "BUILD_GIL", build_gil)
    monkeypatch.setattr(facts_module, "gil_enabled", lambda: enabled)
    assert facts()["Python"].endswith(words)


def test_a_summary_is_one_line():
    assert summary([("Address", "http://[::1]:1"), ("Python", "CPython")]) == (
        "address: http://[::1]:1; python: CPython"
    )
