"""Help as plain text: complete, the same on every Python, in the layout of Granian 1.x.

Programs and tests read this text, so nothing here asks click or rich how to wrap it. Standard
library only; the command's process.
"""

import textwrap
from typing import Iterable, List, Tuple

from ..config.options import (
    APP_OPTION,
    BOOL,
    CHOICE,
    COMMANDS,
    CONFIG_OPTION,
    COUNT,
    DIRECTORY,
    DURATION,
    FILE,
    FLOAT,
    INT,
    OCTAL,
    OPTIONS,
    PATH,
    TEXT,
    Option,
)
from ..config.values import range_text

USAGE = "granian [OPTIONS] APP"
_FIRST_COLUMN = 30
_METAVARS = {
    INT: "INTEGER",
    FLOAT: "FLOAT",
    COUNT: "INTEGER|auto",
    DURATION: "DURATION",
    OCTAL: "OCTAL INTEGER",
    TEXT: "TEXT",
    PATH: "PATH",
    FILE: "FILE",
    DIRECTORY: "DIRECTORY",
}
_OPTIONAL_VALUES = {
    "check_config": "--check-config[=WHAT,...]",
    "show_config": "--show-config[=text|json|toml]",
    "init_config": "--init-config[=PATH]",
}
_WITHOUT_VARIABLE = ("check_config", "show_config", "init_config", "version", "help")

EPILOGUE = (
    "Every setting may stand in the environment under the name shown, or in a TOML file under "
    "that name in lower case without GRANIAN_. The command line wins over the environment, and "
    "that over the file. Options that may be given several times take a list in both: paths "
    "separated as in PATH, other texts by spaces. A DURATION is a number of seconds, or days, "
    "hours, minutes and seconds such as 1d12h or 1m30s."
)


def metavar(row: Option) -> str:
    """Return how a value of a row is written; empty for a switch."""
    if row.kind == BOOL:
        return ""
    if row.kind == CHOICE:
        return "[" + "|".join(row.choices) + "]"
    name = _METAVARS[row.kind]
    return name + " RANGE" if row.kind in (INT, FLOAT) and range_text(row) else name


def synopsis(row: Option) -> str:
    """Return the flags of a row and how its value is written."""
    if row.name in _OPTIONAL_VALUES:
        return _OPTIONAL_VALUES[row.name]
    flags = ", ".join(row.spellings)
    if row.kind != BOOL:
        return f"{flags} {metavar(row)}"
    if row in COMMANDS:
        return flags
    return f"{flags} / {', '.join(row.negations)}"


def default_text(row: Option) -> str:
    """Return the default as help shows it: a rule or a switch's state in parentheses, or empty."""
    if row.kind == BOOL and row.default is not None:
        return "(enabled)" if row.default else "(disabled)"
    if row.computed:
        return f"({row.computed})"
    return "" if row.default is None else str(row.default)


def sentence(row: Option) -> str:
    """Return a row's help with what its number counts."""
    return f"{row.help} ({row.unit})" if row.unit else row.help


def _facts(row: Option) -> str:
    """Return the bracket behind a row's help."""
    facts = [] if row.name in _WITHOUT_VARIABLE else [f"env var: {row.variable}"]
    default = default_text(row)
    if default and row not in COMMANDS:
        facts.append(f"default: {default}")
    if range_text(row):
        facts.append(range_text(row))
    if row.multiple:
        facts.append("multiple")
    return f"  [{'; '.join(facts)}]" if facts else ""


def help_text(columns: int = 80) -> str:
    """Return the whole help, wrapped for at most 80 columns."""
    width = max(min(columns, 80) - 2, 50)
    app = f"{APP_OPTION.help}  [env var: {APP_OPTION.variable}; required]"
    rows = (*OPTIONS, CONFIG_OPTION, *COMMANDS)
    lines = [f"Usage: {USAGE}", "", "Arguments:"]
    lines += _definitions([("APP", app)], width)
    lines += ["", "Options:"]
    lines += _definitions([(synopsis(row), sentence(row) + _facts(row)) for row in rows], width)
    lines += ["", *textwrap.wrap(EPILOGUE, width, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join(lines) + "\n"


def _definitions(rows: Iterable[Tuple[str, str]], width: int) -> List[str]:
    """Lay out terms and their texts in two columns, a long term on a line of its own."""
    rows = list(rows)
    column = min(max(len(term) for term, _ in rows), _FIRST_COLUMN) + 2
    room = max(width - column - 2, 10)
    lines: List[str] = []
    for term, text in rows:
        wrapped = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
        first = f"  {term}"
        if len(term) <= column - 2:
            first += " " * (column - len(term)) + wrapped.pop(0)
        lines.append(first)
        lines.extend(" " * (column + 2) + line for line in wrapped)
    return lines
