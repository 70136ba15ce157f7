import io

import pytest

from granian.cli import panels
from granian.config.options import CANONICAL, COMMANDS, GROUPS, OPTIONS
from granian.config.plans import make_plans


def drawn(width):
    stream = io.StringIO()
    panels.print_help(stream, width)
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_help_fits_the_terminal_and_names_every_option(width):
    text = drawn(width)
    assert max(map(len, text.splitlines())) <= min(width, 120)
    for group in GROUPS:
        assert f"─ {group} ─" in text
    if width >= 80:
        for row in (*OPTIONS, *COMMANDS):
            assert row.flag in text or f"--[no-]{row.flag[2:]}" in text


def test_help_is_two_screens():
    assert len(drawn(120).splitlines()) <= 110


def test_brackets_survive():
    text = drawn(120)
    assert "[asgi|asginl|rsgi|wsgi]" in text
    assert "[=...]" in text


def test_variables_have_a_column_where_there_is_room():
    assert "HTTP1_HEADER_READ_TIMEOUT" in drawn(120)
    assert "HTTP1_HEADER_READ_TIMEOUT" not in drawn(80)


def facts(urls=("http://[::1]:8000",), **settings):
    plans = make_plans({"app": "main:app", **settings})
    return dict(panels.facts(plans, urls))


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
    assert facts(loop="winloop")["Event loop"].startswith("winloop")


@pytest.mark.parametrize(
    ("build_gil", "enabled", "words"),
    [(True, True, ""), (False, False, ", free-threaded"), (False, True, ", GIL forced on!")],
)
def test_the_build_is_named_in_words(monkeypatch, build_gil, enabled, words):
    monkeypatch.setattr(panels, "BUILD_GIL", build_gil)
    monkeypatch.setattr(panels, "gil_enabled", lambda: enabled)
    assert facts()["Python"].endswith(words)


def test_the_panel_is_drawn_when_addresses_are_known(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    class Server:
        urls = ("http://[::1]:1", "http://127.0.0.1:1")

    plans = make_plans({"app": "main:app"})._replace(warnings=("mind [this]",))
    panels.startup_hook(Server, plans)()
    text = capsys.readouterr().out
    assert "http://[::1]:1" in text
    assert "http://127.0.0.1:1" in text
    assert "mind [this]" in text
    assert "Ctrl+C stops" in text


def test_borders_are_ascii_where_nothing_else_can_be_written(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    panels.print_help(stream, 80)
    assert raw.getvalue().decode("ascii").startswith("Usage: granian")


def test_every_common_option_is_a_setting_or_a_command():
    common = [row for row in OPTIONS if row.common]
    assert 20 < len(common) < 50
    assert all(row.name in CANONICAL for row in common)
