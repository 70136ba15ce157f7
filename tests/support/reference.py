"""The reference of all options, written from the table: ``python -m tests.support.reference``."""

from pathlib import Path

from granian.cli.sample import toml_value
from granian.cli.usage import metavar, sentence
from granian.config.options import (
    APP_OPTION,
    BOOL,
    COMMANDS,
    CONFIG_OPTION,
    GROUPS,
    OPTIONS,
)
from granian.config.values import range_text

PAGE = Path(__file__).parent.parent.parent / "docs" / "options.md"
INTRODUCTION = """\
# Options

Written by `python -m tests.support.reference` from the table in `granian/config/options.py`.

Every setting can be given on the command line, in the environment (`GRANIAN_` and the key in
capitals) or in a TOML file (`granian --config FILE`, `GRANIAN_CONFIG`), under `[granian]` with the
key below. The command line wins over the environment, and that over the file. An empty variable
counts as unset; an unknown key is an error and an unknown `GRANIAN_` variable a warning, each with
the nearest name. Paths in a file are relative to it. Booleans take 1/0, true/false, t/f, yes/no,
y/n and on/off in any case; durations are seconds or texts such as `1h30m`. Options that may be
given several times take a list: in a variable, paths separated as in `PATH` and other texts by
spaces. `granian --show-config` prints what holds and who said so.
"""


def reference():
    """Return the page."""
    parts = [INTRODUCTION]
    for group in GROUPS:
        rows = [row for row in (APP_OPTION, *OPTIONS, CONFIG_OPTION) if row.group == group]
        parts += [f"## {group}", "", "| flag | key | values | default | |", "|---|---|---|---|---|"]
        parts += [_row(row) for row in rows] + [""]
    parts += ["## Instead of serving", "", "| flag | |", "|---|---|"]
    parts += [f"| {_code(row.flag)} | {row.help} |" for row in COMMANDS]
    return "\n".join(parts) + "\n"


def _row(row):
    flags = "APP" if row is APP_OPTION else ", ".join(map(_code, (*row.spellings, *row.negations)))
    values = "true, false" if row.kind == BOOL else metavar(row).replace(" RANGE", "")
    values += f", {range_text(row)}" if range_text(row) else ""
    values += ", several" if row.multiple else ""
    default = row.computed if row.default is None else _code(toml_value(row.default))
    text = sentence(row) + (f". Granian differs: {row.why}" if row.why else "")
    cells = (flags, _code(row.name), values.strip("[]"), default, text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _code(text):
    return f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
