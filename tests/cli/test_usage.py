from pathlib import Path

import pytest

from granian.cli.usage import default_text, help_text, metavar, synopsis
from granian.config.options import COMMANDS, OPTIONS, SETTINGS

GOLDEN = Path(__file__).parent / "golden" / "help.txt"


def test_the_help_is_the_stored_one_on_every_python():
    assert help_text() == GOLDEN.read_text()


def test_every_flag_variable_and_range_is_shown():
    text = " ".join(help_text().split())
    for row in (*OPTIONS, *COMMANDS):
        assert synopsis(row) in text
    for row in OPTIONS:
        assert f"[env var: {row.variable}" in text


@pytest.mark.parametrize(("columns", "widest"), [(80, 78), (200, 78), (66, 64), (10, 78)])
def test_lines_fit_into_eighty_columns(columns, widest):
    lines = help_text(columns).splitlines()
    beyond = [line for line in lines if len(line) > widest]
    assert all(" " not in line.strip() or "--" in line for line in beyond)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("host", "--host TEXT"),
        ("port", "--port INTEGER RANGE"),
        ("runtime_blocking_threads", "--runtime-blocking-threads INTEGER RANGE"),
        ("workers", "--workers INTEGER|auto"),
        ("respawn_interval", "--respawn-interval FLOAT RANGE"),
        ("websockets", "--ws / --no-ws"),
        ("loop_opt", "--opt, --loop-opt / --no-opt, --no-loop-opt"),
        ("http", "--http [auto|1|2]"),
        ("workers_lifetime", "--workers-lifetime DURATION"),
        ("uds_permissions", "--uds-permissions OCTAL INTEGER"),
    ],
)
def test_synopses_are_those_of_granian(name, shown):
    assert synopsis(SETTINGS[name]) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("host", "127.0.0.1"),
        ("websockets", "(enabled)"),
        ("reload", "(disabled)"),
        ("backpressure", "(backlog/workers)"),
        ("uds", ""),
    ],
)
def test_defaults_are_shown_as_granian_does(name, shown):
    assert default_text(SETTINGS[name]) == shown


def test_switches_have_no_metavar():
    assert metavar(SETTINGS["reload"]) == ""
