"""The command ``granian``, and the names that other packages import from it.

Importing this module loads nothing: the installed script is executed again by worker processes
that are spawned, and ``--version``, ``--help`` and completion must not wait for what only a server
needs. Everything else appears when it is first asked for. ``Server`` is what the command
instantiates; assigning a subclass to it here is how extensions change how it listens.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..server import Server
    from .parser import Application
    from .types import Duration, EnumType, OctalIntType, _pretty_print_default, option

    cli: Application

_HOMES = {
    "Server": "..server",
    "Duration": ".types",
    "EnumType": ".types",
    "OctalIntType": ".types",
    "_pretty_print_default": ".types",
    "option": ".types",
    "cli": ".launch",
}

__all__ = [
    "Duration",
    "EnumType",
    "OctalIntType",
    "Server",
    "_pretty_print_default",
    "cli",
    "entrypoint",
    "option",
]


def entrypoint() -> None:
    """Run the command with the arguments of the process, and leave with its exit code."""
    from .launch import cli

    cli()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value
