"""``--show-config`` and ``--check-config``: what would be served, and whether it could be."""

import json
import os
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ..config.options import CANONICAL
from ..config.sources import DEFAULT, FILE, Resolved, SettingsError, resolve
from ..errors import FatalError, UnusableError
from .parser import FAILURE, usage_errors
from .sample import grouped, toml_value
from .terminal import say

_MASK = "******"
_CHECKS = ("files", "tls", "bind", "app")


def _resolve(arguments: Mapping[str, Any], environ: Mapping[str, str]) -> Resolved:
    try:
        resolved = resolve(arguments, environ)
    except SettingsError as error:
        usage_errors(error.problems)
    for warning in resolved.warnings:
        say(f"Warning: {warning}\n", sys.stderr)
    return resolved


# Showing


def show(arguments: Mapping[str, Any], environ: Mapping[str, str], form: str) -> int:
    """Print every setting and where it came from; secrets are masked.

    Args:
        arguments: Raw values of the command line.
        environ: The environment.
        form: ``text``, ``json`` or ``toml``.

    Returns:
        The exit code.
    """
    resolved = _resolve(arguments, environ)
    say({"text": _as_text, "json": _as_json, "toml": _as_toml}[form](resolved), sys.stdout)
    return 0


def _effective(resolved: Resolved) -> Dict[str, Any]:
    """Return the values with those filled in that are found from others, secrets masked."""
    values = dict(resolved.values)
    worker = resolved.plans.worker
    for name in (
        "workers",
        "backpressure",
        "blocking_threads",
        "runtime_mode",
        "runtime_blocking_threads",
    ):
        values[name] = getattr(worker, name)
    for name, value in values.items():
        if CANONICAL[name].secret and value is not None:
            values[name] = _MASK
    return values


def _came_from(resolved: Resolved, name: str) -> str:
    origin = resolved.origins.get(name)
    if origin is not None:
        return origin.name.partition(" in ")[2] if origin.source == FILE else origin.name
    row = CANONICAL[name]
    return f"{DEFAULT} ({row.computed})" if row.computed else DEFAULT


def _as_text(resolved: Resolved) -> str:
    values = _effective(resolved)
    names = [row.name for _, rows in grouped() for row in rows]
    shown = {
        name: "-" if values[name] is None else toml_value(values[name]).replace('"', "")
        for name in names
    }
    first = max(map(len, names))
    second = min(max(map(len, shown.values())), 24)
    lines = [
        f"{name:{first}}  {shown[name]:{second}}  {_came_from(resolved, name)}" for name in names
    ]
    return "\n".join(lines) + "\n"


def _as_json(resolved: Resolved) -> str:
    values = _effective(resolved)
    document = {}
    for name, value in values.items():
        origin = resolved.origins.get(name)
        document[name] = {
            "value": value,
            "source": DEFAULT if origin is None else origin.source,
            "from": _came_from(resolved, name),
        }
    return json.dumps(document, indent=2) + "\n"


def _as_toml(resolved: Resolved) -> str:
    """Write a file that gives the same settings; secrets and what is unset are comments."""
    lines = ["[granian]"]
    for group, rows in grouped():
        lines += ["", f"# {group}"]
        for row in rows:
            value = resolved.values[row.name]
            comment = f"  # {_came_from(resolved, row.name)}"
            if value is None:
                lines.append(f"# {row.name} ={comment}")
            elif row.secret:
                lines.append(f"# {row.name} = {toml_value(_MASK)}{comment}")
            else:
                lines.append(f"{row.name} = {toml_value(_from_anywhere(row.kind, value))}{comment}")
    return "\n".join(lines) + "\n"


def _from_anywhere(kind: str, value: Any) -> Any:
    """Make paths absolute, so that the file may be put anywhere."""
    if kind not in ("file", "directory", "path"):
        return value
    if isinstance(value, list):
        return [os.path.abspath(path) for path in value]
    return os.path.abspath(value)


# Checking


def check(arguments: Mapping[str, Any], environ: Mapping[str, str], wanted: str) -> int:
    """Check the settings and what they name, and print a line for each check.

    Args:
        arguments: Raw values of the command line.
        environ: The environment.
        wanted: Names of checks separated by commas, or ``all``.

    Returns:
        The exit code: 0, or 1 if something would keep the server from serving; what is wrong with
        a setting, or with the certificate, key or list that one names, is a usage error instead.
    """
    names = _wanted(wanted)
    resolved = _resolve(arguments, environ)
    secured = _secured(resolved) if "tls" in names else None
    sources = resolved.plans.supervisor.sources
    say(f"settings     ok  {', '.join(sources) or 'defaults only'}\n", sys.stdout)
    failed = False
    for title, run in _checks(resolved, names, secured):
        try:
            state, detail = "ok", run()
        except FatalError as error:
            state, detail, failed = "NO", str(error).replace("\n", "\n" + " " * 17), True
        say(f"{title:11}  {state}  {detail}\n", sys.stdout)
    return FAILURE if failed else 0


def _wanted(words: str) -> Tuple[str, ...]:
    names = tuple(word.strip().lower() for word in words.split(",") if word.strip())
    if names == ("all",) or not names:
        return _CHECKS
    for name in names:
        if name not in _CHECKS:
            listed = ", ".join(_CHECKS)
            usage_errors(
                [f"Invalid value for '--check-config': {name!r} is none of all, {listed}."]
            )
    return names


def _secured(resolved: Resolved) -> Optional[str]:
    """Try the files of TLS before a line is printed; return what was found, None without TLS."""
    worker = resolved.plans.worker
    if worker.tls is None:
        return None
    from ..server.check import certificate

    try:
        return certificate(worker)
    except UnusableError as error:
        usage_errors([resolved.refusal(error)])


def _checks(
    resolved: Resolved, names: Tuple[str, ...], secured: Optional[str]
) -> List[Tuple[str, Callable[[], str]]]:
    from ..server.check import address, application, files

    supervisor, worker = resolved.plans.supervisor, resolved.plans.worker
    checks: List[Tuple[str, Callable[[], str]]] = []
    named = (supervisor.pid_file, supervisor.uds, worker.env_files, worker.log_config)
    if "files" in names and any(named):
        checks.append(("files", lambda: files(supervisor, worker)))
    if secured is not None:
        checks.append(("certificate", lambda: secured))
    if "bind" in names:
        checks.append(("address", lambda: address(supervisor, worker)))
    if "app" in names and worker.target:
        checks.append(("application", lambda: application(worker)))
    return checks
