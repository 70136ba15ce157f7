"""The two loggers, their default configuration, and the access line.

``_granian`` carries what the server says, ``granian.access`` one record per request. Whatever a
client sent is escaped before it becomes part of a record, so that a request can neither forge a
line nor reach the terminal. Standard library only; any thread.
"""

import copy
import json
import logging
import os
import re
import select
import sys
import time
from enum import Enum
from typing import Any, Dict, Iterable, Mapping, Optional, TextIO, Tuple, Union

from .errors import ConfigurationError


class LogLevels(str, Enum):
    """The levels that can be asked for by name."""

    critical = "critical"
    error = "error"
    warning = "warning"
    warn = "warn"
    info = "info"
    debug = "debug"
    notset = "notset"

    def __str__(self) -> str:
        return str(self.value)

    def __hash__(self) -> int:
        return hash(self.value)


log_levels_map: Dict[str, int] = {
    LogLevels.critical: logging.CRITICAL,
    LogLevels.error: logging.ERROR,
    LogLevels.warning: logging.WARNING,
    LogLevels.warn: logging.WARNING,
    LogLevels.info: logging.INFO,
    LogLevels.debug: logging.DEBUG,
    LogLevels.notset: logging.NOTSET,
}

DEFAULT_ACCESSLOG_FMT = (
    '[%(time)s] %(addr)s - "%(method)s %(path)s %(protocol)s" %(status)d %(dt_ms).3f'
)

LOGGING_CONFIG: Dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "generic": {
            "()": "granian.log.TextFormatter",
            "fmt": "[%(levelname)s] %(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
        },
        "access": {
            "()": "granian.log.TextFormatter",
            "fmt": "%(message)s",
            "datefmt": "[%Y-%m-%d %H:%M:%S %z]",
        },
    },
    "handlers": {
        "console": {
            "class": "granian.log.ConsoleHandler",
            "formatter": "generic",
            "stream": "ext://sys.stdout",
        },
        "access": {
            "class": "granian.log.ConsoleHandler",
            "formatter": "access",
            "stream": "ext://sys.stdout",
        },
    },
    "loggers": {
        "_granian": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "granian.access": {"handlers": ["access"], "level": "INFO", "propagate": False},
    },
}

_DEFAULT_CONFIG = copy.deepcopy(LOGGING_CONFIG)
"""What the above says as long as nobody has changed it in place."""

logger = logging.getLogger("_granian")
access_logger = logging.getLogger("granian.access")

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[^ !#-\[\]-~]")
_HEADER_ATOM = re.compile(r"%\(header\{([^}]*)\}\)")
_RESPONSE_HEADER_ATOM = re.compile(r"%\(response_header\{([^}]*)\}\)")

worker_id: Optional[int] = None
"""The number of the worker that this process serves as; set once by ``server.worker``.

None in the main process, and where several workers are threads of one process.
"""


class ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]  # not generic below 3.11
    """A stream handler that never stops who logs: neither a reader that has gone nor a slow one.

    A closed pipe silences it. While a pipe is full, records are dropped and counted, and the count
    is told when there is room again: a worker whose log nobody reads serves on.
    """

    _lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless its reader would have to be waited for."""
        if not _has_room(self.stream):
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            text = "%d log records were dropped: nobody was reading them"
            super().emit(
                logging.LogRecord(logger.name, logging.WARNING, "", 0, text, (lost,), None)
            )
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Give up a stream whose reader has gone; report anything else as logging does."""
        if not isinstance(sys.exc_info()[1], (BrokenPipeError, ValueError)):
            super().handleError(record)
            return
        # Without this the interpreter would fail to flush at exit and turn status 0 into 120.
        self.stream = _silence(self.stream)


def _has_room(stream: TextIO) -> bool:
    """Tell whether a write would be taken at once; what has no descriptor always takes it."""
    if not hasattr(select, "poll"):
        return True
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(0))  # a failure too: the write will find it
    except (OSError, ValueError):
        return True


def _silence(stream: TextIO) -> TextIO:
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
    except (OSError, ValueError):
        return open(os.devnull, "w")
    return stream


class TextFormatter(logging.Formatter):
    """Plain text in which only line breaks and tabs remain of the control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Format as usual, then make terminal sequences visible."""
        return _CONTROLS.sub(_escape_match, super().format(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per record, tracebacks included, time in UTC (RFC 3339)."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of ASCII."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: Dict[str, Any] = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
        }
        if worker_id is not None:
            entry["worker"] = worker_id
        if record.name == access_logger.name and isinstance(record.args, Mapping):
            entry.update(_json_access(record.args))
        else:
            entry["message"] = record.getMessage()
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, separators=(",", ":"))


_JSON_NAMES = {
    "addr": "client",
    "dt_ms": "duration_ms",
    "protocol": "http_version",
    "query_string": "query",
    "time": None,
}
"""Where a JSON access record says it differently; the start time gives way to the record's own."""


def _json_access(atoms: Mapping[str, Any]) -> Dict[str, Any]:
    entry: Dict[str, Any] = {}
    for atom, value in atoms.items():
        name = _JSON_NAMES.get(atom, atom)
        if name is None:
            continue
        if atom == "dt_ms":
            value = round(value, 3)
        elif atom.startswith("header{"):
            name = atom[7:-1].lower().replace("-", "_")
        elif atom.startswith("response_header{"):
            name = "response_" + atom[16:-1].lower().replace("-", "_")
        entry[name] = value
    return entry


def printable(text: Union[str, bytes]) -> str:
    r"""Return text in which everything but printable ASCII, and ``"`` and ``\``, is ``\xNN``."""
    encoding = "utf-8"
    if isinstance(text, bytes):
        encoding = "latin-1"
        text = text.decode(encoding)
    if _UNPRINTABLE.search(text) is None:
        return text
    try:
        octets = text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        octets = text.encode(encoding, "surrogatepass")
    return "".join(
        chr(octet) if 32 <= octet < 127 and octet not in (34, 92) else f"\\x{octet:02x}"
        for octet in octets
    )


def _escape_match(match: "re.Match[str]") -> str:
    return "".join(f"\\x{octet:02x}" for octet in match.group().encode("utf-8"))


def level_number(level: Union[LogLevels, str, int, None]) -> int:
    """Return logging's number for a level by name; None means info.

    Raises:
        ConfigurationError: There is no such level.
    """
    if level is None:
        return logging.INFO
    if isinstance(level, int):
        return level
    try:
        return log_levels_map[str(level).lower()]
    except KeyError:
        raise ConfigurationError(f"{level!r} is not a log level") from None


def configure_logging(
    level: Union[LogLevels, str, int, None],
    config: Optional[Dict[str, Any]] = None,
    enabled: bool = True,
    json_lines: bool = False,
) -> None:
    """Configure the process's logging: the default, a user's dictionary over it, the level last.

    Args:
        level: The level of ``_granian``, whatever the dictionary says.
        config: Replaces the default key by key at the top level (logging.config's schema).
        enabled: False silences ``_granian``; the access log is not affected.
        json_lines: Format both loggers as JSON unless ``config`` brings its own formatters.

    Raises:
        ConfigurationError: logging.config refuses the dictionary.
    """
    if not config and LOGGING_CONFIG == _DEFAULT_CONFIG:
        _configure_default(level_number(level) if enabled else logging.CRITICAL + 1, json_lines)
        return
    from logging.config import dictConfig

    merged = copy.deepcopy(LOGGING_CONFIG)
    if json_lines:
        for formatter in merged["formatters"].values():
            formatter.clear()
            formatter["()"] = "granian.log.JsonFormatter"
    merged.update(copy.deepcopy(config or {}))
    number = level_number(level)
    try:
        own = merged.setdefault("loggers", {}).setdefault(logger.name, {})
        own["level"] = number if enabled else logging.CRITICAL + 1
        dictConfig(merged)
    except (ValueError, TypeError, AttributeError) as error:
        cause = error.__cause__
        detail = f"{error}: {cause}" if cause is not None else str(error)
        raise ConfigurationError(f"The log configuration cannot be used: {detail}") from None


def _configure_default(level: int, json_lines: bool) -> None:
    """Do by hand what logging.config would, without its 20 ms of imports in every process."""
    for one, name, number in (
        (logger, "generic", level),
        (access_logger, "access", logging.INFO),
    ):
        wanted = _DEFAULT_CONFIG["formatters"][name]
        handler = ConsoleHandler(sys.stdout)
        handler.setFormatter(
            JsonFormatter() if json_lines else TextFormatter(wanted["fmt"], wanted["datefmt"])
        )
        for former in list(one.handlers):
            one.removeHandler(former)
            former.close()
        one.addHandler(handler)
        one.setLevel(number)
        one.propagate = False
        one.disabled = False


class AccessLine:
    """A compiled access line format; calling it writes one record.

    Args:
        fmt: See ``log_request_builder``.
        worker: The number of the worker whose exchanges are logged.

    Attributes:
        parse_headers: Whether the format names request fields, so that callers pass them.
        counts: Whether it names what only a ``tally.Tally`` knows of the exchange.
    """

    __slots__ = (
        "_clock_second",
        "_clock_text",
        "_fields",
        "_format",
        "_named",
        "_response_fields",
        "_worker",
        "counts",
        "parse_headers",
    )

    def __init__(self, fmt: str, worker: int = 1) -> None:
        self._format = fmt
        self._worker = worker
        self._fields = _named_fields("header", _HEADER_ATOM, fmt)
        self._response_fields = _named_fields("response_header", _RESPONSE_HEADER_ATOM, fmt)
        self._named = frozenset(name for name in FURTHER_ATOMS if f"%({name})" in fmt)
        self.parse_headers = bool(self._fields) or "request_id" in self._named
        self.counts = bool(self._response_fields or self._named.intersection(_TALLIED_ATOMS))
        self._clock_second = -1
        self._clock_text = ""
        self._check()

    def __call__(self, rtime: float, mtime: float, req: Mapping[str, Any], status: int) -> None:
        """Write the record of one exchange.

        Args:
            rtime: Start of the request, seconds since the epoch.
            mtime: The same on ``time.monotonic``.
            req: ``addr_remote protocol path qs method scheme``; when ``parse_headers``,
                ``headers`` as pairs of octets; ``responder``, which is a ``tally.Tally`` when
                ``counts`` (but for WebSockets, whose messages are not counted).
            status: The response's status code.
        """
        elapsed = time.monotonic() - mtime
        if access_logger.isEnabledFor(logging.INFO):
            access_logger.info(self._format, self._atoms(rtime, elapsed, req, status))

    def _atoms(
        self, rtime: float, elapsed: float, req: Mapping[str, Any], status: int
    ) -> Dict[str, Any]:
        atoms: Dict[str, Any] = {
            "addr": printable(req["addr_remote"] or "-"),
            "time": self._time(rtime),
            "dt_ms": elapsed * 1000.0,
            "status": status,
            "path": printable(req["path"]),
            "query_string": printable(req["qs"]),
            "method": printable(req["method"]),
            "scheme": req["scheme"],
            "protocol": req["protocol"],
            "worker": self._worker,
        }
        if self.parse_headers:
            found = _first_fields(req.get("headers") or ())
            for key, name in self._fields:
                atoms[key] = found.get(name, "-")
            if "request_id" in self._named:
                atoms["request_id"] = found.get(b"x-request-id", "-")
        if "pid" in self._named:
            atoms["pid"] = os.getpid()
        if "tls" in self._named:
            atoms["tls"] = _tls_version(getattr(req.get("responder"), "tls", None))
        if self.counts:
            self._add_tally(atoms, req.get("responder"))
        return atoms

    def _add_tally(self, atoms: Dict[str, Any], tally: Any) -> None:
        for atom in _TALLIED_ATOMS:
            if atom in self._named:
                atoms[atom] = getattr(tally, atom, 0)
        if self._response_fields:
            found = _first_fields(getattr(tally, "fields", ()))
            for key, name in self._response_fields:
                atoms[key] = found.get(name, "-")

    def _time(self, rtime: float) -> str:
        second = int(rtime)
        if second != self._clock_second:
            # Text before second: a thread that reads between the two formats once more, no worse.
            self._clock_text = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(second))
            self._clock_second = second
        return self._clock_text

    def _check(self) -> None:
        sample = dict.fromkeys(_REQUEST_KEYS, "")
        try:
            self._format % _Sample(self._atoms(0.0, 0.0, {**sample, "headers": ()}, 200))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"The access log format cannot be used: {error.args[0]}"
            ) from None


class _Sample(Dict[str, Any]):
    """Says which atom there is none of."""

    def __missing__(self, key: str) -> Any:
        raise KeyError(f"there is no atom {key!r}")


_TALLIED_ATOMS = ("bytes_in", "bytes_out")
"""Octets of the request's and of the response's body."""

FURTHER_ATOMS = (*_TALLIED_ATOMS, "pid", "request_id", "tls", "worker")
"""Atoms beyond upstream's, with ``response_header{Name}``: the above; the worker's process; the
``x-request-id`` field; the version of TLS; the worker's number."""

_REQUEST_KEYS = ("addr_remote", "protocol", "path", "qs", "method", "scheme", "headers")


def _named_fields(kind: str, pattern: "re.Pattern[str]", fmt: str) -> Tuple[Tuple[str, bytes], ...]:
    """Return the fields a format names: each atom's key and the field's name in lower case."""
    return tuple(
        (f"{kind}{{{name}}}", name.lower().encode("latin-1", "replace"))
        for name in pattern.findall(fmt)
    )


def _tls_version(facts: Optional[Mapping[str, Any]]) -> str:
    """Name the version in an ASGI ``tls`` extension as OpenSSL does: ``TLSv1.3``."""
    version = (facts or {}).get("tls_version")
    return f"TLSv1.{version - 0x0301}" if version else "-"


def _first_fields(headers: Any) -> Dict[bytes, str]:
    pairs: Iterable[Tuple[Any, Any]] = headers.items() if hasattr(headers, "items") else headers
    found: Dict[bytes, str] = {}
    for name, value in pairs:
        key = name if isinstance(name, bytes) else str(name).encode("latin-1", "replace")
        found.setdefault(key.lower(), printable(value))
    return found


def log_request_builder(fmt: str, worker: int = 1) -> AccessLine:
    """Compile an access line format.

    Args:
        fmt: ``%``-format over the atoms of ``AccessLine``; ``%(header{Name})s`` is a request field,
            ``%(response_header{Name})s`` one that the application set.
        worker: The number of the worker whose exchanges are logged.

    Raises:
        ConfigurationError: The format names an atom that does not exist, or converts it wrongly.
    """
    return AccessLine(fmt, worker)
