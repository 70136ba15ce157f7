import io
import logging

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


def test_what_is_logged_before_the_panel_comes_after_it():
    logger, said = logging.Logger("of its own"), []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger.addHandler(handler)
    held = panels.Held(logger)
    logger.info("Starting %d", 1)
    logger.info("Listening")
    assert said == []
    held.release()
    held.release()
    logger.info("Spawning")
    assert said == ["Starting 1", "Listening", "Spawning"]


def test_borders_are_ascii_where_nothing_else_can_be_written(monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    panels.print_help(stream, 80)
    assert raw.getvalue().decode("ascii").startswith("Usage: granian")


def test_every_common_option_is_a_setting_or_a_command():
    common = [row for row in OPTIONS if row.common]
    assert 20 < len(common) < 50
    assert all(row.name in CANONICAL for row in common)
