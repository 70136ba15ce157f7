"""The command line: click options made from the table, collecting texts only.

Click splits the arguments; it neither converts values, nor reads the environment, nor words help
and errors, so that these are the same on every version of click. Imports click and the standard
library, nothing that only a running server needs.
"""

import os
import sys
from typing import Any, Callable, List, NoReturn, Optional, Sequence

import click

from .._version import __version__
from ..config.options import BOOL, COMMANDS, CONFIG_OPTION, OPTIONS, Option
from ..config.values import nearest
from ..errors import FatalError
from .terminal import columns, say, shows_panels
from .usage import USAGE, help_text, metavar

_ROWS = (*OPTIONS, CONFIG_OPTION, *COMMANDS)
_BY_FLAG = {flag: row for row in _ROWS for flag in row.spellings}
_EVERY_FLAG = [flag for row in _ROWS for flag in (*row.spellings, *row.negations)]

WITHOUT_VALUE = {
    "--check-config": "all",
    "--show-config": "text",
    "--init-config": "-",
    "--show-completion": "",
    "--install-completion": "",
}
"""Options whose value may be left out, and what they have then."""

USAGE_ERROR = 2
FAILURE = 1
INTERRUPTED = 130


class Application(click.Command):
    """The ``granian`` command; help, errors and exit codes are ours."""

    def parse_args(self, ctx: click.Context, args: List[str]) -> List[str]:
        """Let click split the arguments once optional values are filled in."""
        return super().parse_args(ctx, with_values(args))

    def get_help(self, ctx: click.Context) -> str:
        """Return the plain help, whatever asks for it."""
        return help_text(columns(sys.stdout, os.environ))

    def main(
        self,
        args: Optional[Sequence[str]] = None,
        prog_name: Optional[str] = None,
        complete_var: Optional[str] = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command; standing alone, turn what goes wrong into lines and exit codes."""
        name = prog_name or "granian"
        if not standalone_mode:
            return super().main(args, name, complete_var, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(args, name, complete_var, standalone_mode=False, **extra))
        except click.UsageError as error:
            usage_errors([usage_sentence(error)])
        except (KeyboardInterrupt, click.Abort):
            sys.exit(INTERRUPTED)
        except FatalError as error:
            say(f"Error: {error}\n", sys.stderr)
            sys.exit(FAILURE)


def with_values(args: Sequence[str]) -> List[str]:
    """Spell out the values that may be left out.

    Click would take the argument behind such an option for its value, and so the application's
    name for a format; only a shell's name may follow as an argument of its own, as it did in 1.x.
    """
    filled: List[str] = []
    rest = iter(args)
    pending = next(rest, None)
    while pending is not None:
        arg, pending = pending, next(rest, None)
        row = _BY_FLAG.get(arg)
        if arg == "--":
            filled += [arg] if pending is None else [arg, pending, *rest]
            break
        if arg in WITHOUT_VALUE and (
            not arg.endswith("-completion") or pending is None or pending.startswith("-")
        ):
            arg = f"{arg}={WITHOUT_VALUE[arg]}"
        elif row is not None and row.kind != BOOL and pending is not None:
            filled.append(arg)
            arg, pending = pending, next(rest, None)
        filled.append(arg)
    return filled


def usage_sentence(error: click.UsageError) -> str:
    """Word an error of click's, whose own words differ between its releases."""
    if isinstance(error, click.NoSuchOption):
        guess = "--help" if error.option_name == "-h" else nearest(error.option_name, _EVERY_FLAG)
        hint = f" Did you mean {guess!r}?" if guess else ""
        return f"No such option {error.option_name!r}.{hint}"
    if isinstance(error, click.BadOptionUsage):
        row = _BY_FLAG.get(error.option_name)
        if row is None or row.kind == BOOL:
            return f"Option {error.option_name!r} does not take a value."
        return f"Option {error.option_name!r} requires an argument."
    return error.format_message()


def usage_errors(sentences: Sequence[str]) -> NoReturn:
    """Write what is wrong with what was given, and leave with exit code 2."""
    lines = [f"Usage: {USAGE}", "Try 'granian --help' for help.", ""]
    lines += [f"Error: {sentence}" for sentence in sentences]
    say("\n".join(lines) + "\n", sys.stderr)
    sys.exit(USAGE_ERROR)


def make_command(callback: Callable[..., Any]) -> Application:
    """Make the command; ``callback`` gets the raw values by name, and ``apps``."""
    parameters: List[click.Parameter] = [click.Argument(["apps"], nargs=-1)]
    eager = {"help": _show_help, "version": _show_version}
    parameters.extend(_parameter(row, eager.get(row.name)) for row in _ROWS)
    return Application("granian", params=parameters, callback=callback, add_help_option=False)


def _parameter(row: Option, action: Optional[Callable[..., None]]) -> click.Option:
    if action is not None:
        return click.Option(
            [row.name, *row.spellings],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=action,
            help=row.help,
        )
    if row.kind == BOOL:
        pairs = [f"{yes}/{no}" for yes, no in zip(row.spellings, row.negations)]
        return click.Option([row.name, *pairs], default=None, help=row.help)
    return click.Option(
        [row.name, *row.spellings],
        type=str,
        default=None,
        multiple=row.multiple,
        metavar=metavar(row),
        help=row.help,
    )


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    if shows_panels(sys.stdout, os.environ):
        from .panels import print_help

        print_help(sys.stdout, columns(sys.stdout, os.environ))
    else:
        say(ctx.get_help(), sys.stdout)
    ctx.exit()


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        say(f"granian {__version__}\n", sys.stdout)
        ctx.exit()
