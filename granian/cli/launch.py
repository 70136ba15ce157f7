"""From arguments to a running server: settings, plans, ``Server``, ``serve``.

What the command does instead of serving (completion, printing settings, checking them) branches off
here too, each into a module of its own that is imported only then.
"""

import os
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Sequence

from ..config.options import COMMANDS, SETTINGS, SHELLS
from ..config.values import complaint
from ..errors import UnusableError
from .parser import make_command, usage_errors
from .terminal import say, shows_panels

if TYPE_CHECKING:
    from ..config.plans import Plans

_COMMANDS = {row.name: row for row in COMMANDS}


def _run(apps: Sequence[str], **given: Any) -> int:
    """Do what the arguments ask for.

    Args:
        apps: What is no option; at most one.
        given: Raw values by the names of the table's rows.

    Returns:
        The exit code.
    """
    if len(apps) > 1:
        usage_errors([f"Got unexpected extra argument ({' '.join(apps[1:])})."])
    asked = _completion_asked(given)
    if asked is not None:
        from .completion import run

        return run(*asked)
    if given["init_config"] is not None:
        from .sample import write_sample

        return write_sample(given["init_config"])
    arguments: Dict[str, Any] = {name: given.get(name) for name in (*SETTINGS, "config")}
    arguments["app"] = apps[0] if apps else None
    if given["show_config"] is not None:
        from .inspection import show

        return show(arguments, os.environ, _choice("show_config", given["show_config"]))
    if given["check_config"] is not None:
        from .inspection import check

        return check(arguments, os.environ, given["check_config"])
    return _serve(arguments)


def _choice(name: str, word: str) -> str:
    row = _COMMANDS[name]
    if word.lower() not in row.choices:
        usage_errors([f"Invalid value for {row.flag!r}: {complaint(row, word)}"])
    return word.lower()


def _completion_asked(given: Dict[str, Any]) -> "Optional[tuple[bool, str]]":
    """Return whether to install completion and for which shell, if one is asked for."""
    for name in ("show_completion", "install_completion"):
        shell = given[name]
        if shell is None:
            shell = os.environ.get(_COMMANDS[name].variable) or None
        if shell is not None:
            if shell not in ("", *SHELLS):
                shell = _choice(name, shell)
            return name == "install_completion", shell
    return None


def _warmth(arguments: Dict[str, Any]) -> str:
    """Say what the first worker may import before the settings are known: no asyncio for WSGI."""
    from ..server.boot import WARM_ENGINE, WARM_LOOP

    interface = arguments["interface"] or os.environ.get("GRANIAN_INTERFACE")
    if interface:
        return WARM_ENGINE if str(interface).lower() == "wsgi" else WARM_LOOP
    filed = arguments["config"] or os.environ.get("GRANIAN_CONFIG")
    return WARM_ENGINE if filed else WARM_LOOP


def _serve(arguments: Dict[str, Any]) -> int:
    """Read the settings and serve until stopped."""
    from ..server.newborn import Newborn

    newborn = Newborn(_warmth(arguments))
    try:
        plans, server = _make_server(arguments)
    except BaseException:
        newborn.dismiss()
        raise
    server.adopt(newborn)
    release = _introduce(server, plans)
    try:
        server.serve()
    finally:
        release()
    return 0


def _make_server(arguments: Dict[str, Any]) -> "tuple[Plans, Any]":
    """Read the settings; return the plans and the server made from them."""
    from .. import cli as package  # where extensions put a server of theirs
    from ..config.sources import SettingsError, resolve

    try:
        resolved = resolve(arguments, os.environ)
    except SettingsError as error:
        usage_errors(error.problems)
    plans = resolved.plans._replace(warnings=resolved.warnings)
    if not plans.worker.target:
        usage_errors(["Missing argument 'APP'. Name an application, such as main:app."])
    try:
        return plans, package.Server.from_plans(plans.supervisor, plans.worker)
    except UnusableError as error:
        usage_errors([resolved.refusal(error)])


def _introduce(server: Any, plans: "Plans") -> Callable[[], None]:
    """Say what gives pause, and let the server say what it is once it is bound.

    Returns:
        Lets go of what is held back for the panel, in case that is never drawn.
    """
    logged = plans.worker.log_enabled
    if logged and shows_panels(sys.stdout, os.environ) and not plans.worker.log_json:
        from ..log import logger
        from .panels import Held, startup_hook

        held = Held(logger)
        server.on_startup(startup_hook(server, plans, held))
        return held.release
    for warning in plans.warnings:
        say(f"Warning: {warning}\n", sys.stderr)
    if logged and plans.worker.log_level in ("debug", "notset"):
        from ..log import logger
        from .facts import facts, summary

        server.on_startup(lambda: logger.info("%s", summary(facts(plans, server.urls))))
    return lambda: None


cli = make_command(_run)
"""The command as click knows it."""
