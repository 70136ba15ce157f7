"""A settings file with every key, as ``--init-config`` writes it, and TOML for values.

Standard library only.
"""

import json
import sys
import textwrap
from typing import Any, Dict, List, Tuple

from ..config.options import (
    APP_OPTION,
    BOOL,
    CANONICAL,
    CHOICE,
    COUNT,
    DIRECTORY,
    DURATION,
    FILE,
    FLOAT,
    GROUPS,
    INT,
    OCTAL,
    OPTIONS,
    PATH,
    TEXT,
    Option,
)
from ..config.values import range_text
from .parser import FAILURE
from .terminal import say

_EXAMPLES: Dict[str, Any] = {
    BOOL: True,
    FLOAT: 1.0,
    DURATION: "1m30s",
    OCTAL: "0660",
    TEXT: "text",
    PATH: "path",
    FILE: "file",
    DIRECTORY: "folder",
}
_BETTER: Dict[str, Any] = {
    "app": "main:app",
    "uds": "/run/granian.sock",
    "url_path_prefix": "/prefix",
    "env_files": ".env",
    "log_config": "logging.json",
    "log_access_fmt": '%(addr)s "%(method)s %(path)s" %(status)d',
    "static_path_route": "/static",
    "static_path_mount": "public",
    "static_path_dir_to_file": "index.html",
    "forwarded_allow_ips": "10.0.0.0/8",
    "health_path": "/healthz",
    "pid_file": "granian.pid",
    "process_name": "granian",
    "ssl_certificate": "tls/site.pem",
    "ssl_keyfile": "tls/site.key",
    "workers_lifetime": "1d",
    "workers_kill_timeout": 25,
    "workers_max_requests": 100_000,
    "workers_max_rss": 512,
    "runtime_blocking_threads": 512,
    "blocking_threads": 64,
    "backpressure": 1024,
    "http2_keep_alive_interval": 10_000,
    "ws_ping_interval": 20,
    "reload_paths": "src",
    "reload_ignore_dirs": "data",
    "reload_ignore_patterns": "\\.log$",
    "reload_ignore_paths": "var",
    "fd": 3,
}


def toml_value(value: Any) -> str:
    """Write a plain value in TOML; lists hold texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def grouped() -> List[Tuple[str, List[Option]]]:
    """Return the rows a file can hold, by group, without older names."""
    rows = [APP_OPTION, *(row for row in OPTIONS if row.name in CANONICAL)]
    groups = ((group, [row for row in rows if row.group == group]) for group in GROUPS)
    return [(group, members) for group, members in groups if members]


def example(row: Option) -> Any:
    """Return what to show for a row: its default, or a value of the right form."""
    if row.default is not None:
        return row.default
    value = _BETTER.get(row.name)
    if value is None:
        value = row.minimum or 1 if row.kind in (INT, COUNT) else _EXAMPLES[row.kind]
    return [value] if row.multiple else value


def sample() -> str:
    """Return a settings file in which everything stands as a comment."""
    lines = [
        "# Settings of granian, read with: granian --config FILE",
        "#",
        "# Each line shows a default, or an example where the setting is off. Paths are relative",
        "# to this file. GRANIAN_* variables win over what stands here, flags over those.",
        "",
        "[granian]",
    ]
    for group, rows in grouped():
        lines += ["", f"# {group}"]
        for row in rows:
            lines += ["", *_comment(row), f"# {row.name} = {toml_value(example(row))}"]
    return "\n".join(lines) + "\n"


def _comment(row: Option) -> List[str]:
    facts = []
    if row.unit:
        facts.append(row.unit)
    if row.kind == DURATION:
        facts.append("seconds, or a text such as 1m30s")
    if row.kind == CHOICE:
        facts.append(", ".join(row.choices))
    if range_text(row):
        facts.append(range_text(row))
    if row.default is None:
        facts.append(f"default: {row.computed or 'none'}")
    text = row.help + (f" ({'; '.join(facts)})" if facts else "")
    return textwrap.wrap(text, 98, initial_indent="# ", subsequent_indent="# ")


def write_sample(path: str) -> int:
    """Print the sample, or write it to a file that must not exist yet.

    Args:
        path: Where to, ``-`` for standard output.

    Returns:
        The exit code.
    """
    if path == "-":
        say(sample(), sys.stdout)
        return 0
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(sample())
    except OSError as error:
        say(f"Error: {path!r} was not written: {error.strerror}.\n", sys.stderr)
        return FAILURE
    say(f"{path} was written; every key in it is a comment.\n", sys.stdout)
    return 0
