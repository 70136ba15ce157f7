"""What a person at a terminal sees: help by topic, and one panel when the server starts.

Drawn with rich, which only this module imports. Texts never pass through rich's markup, which would
eat the brackets of an IPv6 address. Off a terminal nothing here runs.
"""

import logging
import os
import sys
from typing import IO, Any, Callable, Iterable, List, Optional

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .._version import __version__
from ..config.options import (
    BOOL,
    CHOICE,
    COMMANDS,
    CONFIG_OPTION,
    GROUPS,
    OPTIONS,
    PREFIX,
    Option,
)
from ..config.plans import Plans
from ..config.values import range_text
from .facts import Facts, facts
from .terminal import say
from .usage import USAGE, default_text, metavar, sentence

_WIDEST = 120
_NARROWEST_WITH_VARIABLES = 110


def _console(stream: "IO[str]", width: Optional[int] = None) -> Console:
    forced = True if os.environ.get("FORCE_COLOR") else None
    return Console(
        file=stream, width=width, markup=False, highlight=False, emoji=False, force_terminal=forced
    )


# Help


def print_help(stream: "IO[str]", width: int) -> None:
    """Draw the help: common options by topic, the others by name."""
    width = min(width, _WIDEST)
    console = _console(stream, width)
    with console.capture() as drawing:
        console.print(Text.assemble("Usage: ", (USAGE, "bold"), "    ", _tail(width)))
        for group in GROUPS:
            rows = [row for row in (*OPTIONS, CONFIG_OPTION, *COMMANDS) if row.group == group]
            console.print(_topic(group, rows, width))
    say(drawing.get(), stream)


def _tail(width: int) -> Text:
    text = (
        f"variables: {PREFIX} + the name on the right" if width >= _NARROWEST_WITH_VARIABLES else ""
    )
    return Text(f"everything: granian --help | less    {text}", style="dim")


def _topic(group: str, rows: Iterable[Option], width: int) -> Panel:
    with_variables = width >= _NARROWEST_WITH_VARIABLES
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(width=35 if with_variables else 30, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    if with_variables:
        table.add_column(width=25, justify="right", style="dim")
    others: List[str] = []
    for row in rows:
        if not row.common:
            others.extend(row.spellings[:1])
            continue
        cells = [_flag(row), _explanation(row)]
        if with_variables:
            cells.append(Text("" if row in COMMANDS else row.variable[len(PREFIX) :]))
        table.add_row(*cells)
    parts: List[Any] = [table] if table.row_count else []
    if others:
        parts.append(Text("also: " + " ".join(others), style="dim"))
    return Panel(
        Group(*parts),
        title=Text(group, style="bold not dim"),
        title_align="left",
        border_style="dim",
    )


def _flag(row: Option) -> Text:
    if row.kind == BOOL and row.default:
        return Text(f"--[no-]{row.flag[2:]}", style="cyan")
    text = Text(row.flag, style="cyan")
    if row.kind == BOOL:
        return text
    if row in COMMANDS:
        text.append("[=...]", style="yellow")
    elif row.kind != CHOICE:
        text.append(" " + metavar(row).replace(" RANGE", ""), style="yellow")
    return text


def _explanation(row: Option) -> Text:
    text = Text(sentence(row))
    if row.kind == CHOICE and row not in COMMANDS:
        text.append(f" {metavar(row)}", style="yellow")
    facts = [range_text(row)] if row.minimum not in (None, 0, 1) or row.maximum else []
    default = default_text(row).strip("()") if row not in COMMANDS else ""
    if default and default != "disabled":
        facts.insert(0, default)
    if facts:
        text.append(f" ({'; '.join(facts)})", style="dim")
    return text


# Starting


class Held(logging.Filter):
    """Holds what a logger is told until it is let go: the panel comes first, its facts do not."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger
        self._records: List[logging.LogRecord] = []
        logger.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record."""
        self._records.append(record)
        return False

    def release(self) -> None:
        """Write what was held, and hold nothing more; idempotent."""
        self._logger.removeFilter(self)
        records, self._records = self._records, []
        for record in records:
            self._logger.handle(record)


def startup_hook(server: Any, plans: Plans, held: Optional[Held] = None) -> Callable[[], None]:
    """Return a hook for ``server.on_startup`` that draws the panel once addresses are bound.

    Args:
        server: Knows its addresses by then.
        plans: What else the panel says.
        held: Let go below the panel.
    """

    def draw() -> None:
        console = _console(sys.stdout)
        with console.capture() as drawing:
            console.print(panel(facts(plans, server.urls), plans.warnings))
        say(drawing.get(), sys.stdout)
        if held is not None:
            held.release()

    return draw


def panel(facts: Facts, warnings: Iterable[str] = ()) -> Panel:
    """Lay out facts in a panel, warnings below them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, fact in facts:
        style = "bold cyan" if title == "Address" else ""
        table.add_row(Text(title), Text(fact, style=style))
    for warning in warnings:
        table.add_row(Text("Warning", style="bold yellow"), Text(warning, style="yellow"))
    return Panel(
        table,
        title=Text(f"granian {__version__}", style="bold not dim"),
        title_align="left",
        subtitle=Text("Ctrl+C stops", style="dim"),
        subtitle_align="right",
        border_style="dim",
        expand=False,
    )
