"""Watching files, for ``--reload``: what changed, once per save.

watchdog's threads put what matters into a dictionary and ring the supervisor's alarm; the main
thread takes it out when nothing has followed for a tick. Opening, reading and closing a file are no
changes. Where the kernel's watches run out the same files are polled.
"""

import errno
import os
import re
import threading
import time
from enum import IntEnum
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserverVFS

from ..errors import FatalError
from ..log import logger
from ..plan import ReloadPlan

IGNORE_DIRS = (
    "__pycache__",
    ".git",
    ".hg",
    ".svn",
    ".tox",
    ".nox",
    ".venv",
    "site-packages",
    ".idea",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
)
"""Directory names below which nothing counts, on any component of a path."""

IGNORE_PATTERNS = (
    r"\.py[cod]$",
    r"\.___jb_...___$",
    r"\.sw.$",
    "~$",
    r"^\.\#",
    r"^\.DS_Store$",
    "^flycheck_",
)
"""Base names that do not count: what interpreters, editors and desktops leave behind."""

_POLL_SECONDS = 0.5
_LONGEST_TICKS = 20
"""A stream of changes that never pauses is cut after so many ticks."""

_WATCHES_GONE = (errno.ENOSPC, errno.EMFILE)


class Change(IntEnum):
    """What happened to a file; the numbers that filters of ``watchfiles`` know."""

    added = 1
    modified = 2
    deleted = 3


Filter = Callable[[Change, str], bool]

_KINDS = {
    "created": Change.added,
    "modified": Change.modified,
    "deleted": Change.deleted,
}


class DefaultFilter:
    """Decides which paths count; the ignore lists are those of the plan over the defaults."""

    def __init__(self, plan: ReloadPlan) -> None:
        self._dirs = frozenset((*IGNORE_DIRS, *plan.ignore_dirs))
        self._patterns = [_compiled(text) for text in (*IGNORE_PATTERNS, *plan.ignore_patterns)]
        self._paths = tuple(plan.ignore_paths)

    def __call__(self, change: Change, path: str) -> bool:
        """Tell whether a change counts."""
        parts = path.split(os.sep)
        if any(part in self._dirs for part in parts):
            return False
        if any(pattern.search(parts[-1]) for pattern in self._patterns):
            return False
        return not (self._paths and path.startswith(self._paths))

    def enters(self, name: str) -> bool:
        """Tell whether anything below a directory of this name can count."""
        return name not in self._dirs


def make_filter(plan: ReloadPlan, custom: Optional[Any]) -> Filter:
    """Return the filter of a plan.

    Args:
        plan: With what the user wants ignored beyond the defaults.
        custom: A filter class as ``watchfiles`` knows them, extended in place, or None.
    """
    if custom is None:
        return DefaultFilter(plan)
    for attribute, more in (
        ("ignore_dirs", plan.ignore_dirs),
        ("ignore_entity_patterns", plan.ignore_patterns),
        ("ignore_paths", plan.ignore_paths),
    ):
        if more:
            setattr(custom, attribute, (*(getattr(custom, attribute, None) or ()), *more))
    made: Filter = custom()
    return made


class Reloader(FileSystemEventHandler):
    """Collects changes until they are taken.

    Args:
        plan: What to watch.
        custom: A user's filter class, or None.
        ring: Wakes the main thread; called from watchdog's threads.
    """

    def __init__(self, plan: ReloadPlan, custom: Optional[Any], ring: Callable[[], None]) -> None:
        self._plan = plan
        self._paths = plan.paths or (os.getcwd(),)
        self._filter = make_filter(plan, custom)
        self._ring = ring
        self._lock = threading.Lock()
        self._changes: Dict[str, Change] = {}
        self._first = 0.0
        self._last = 0.0
        self._observer: Any = None

    def start(self) -> None:
        """Begin to watch.

        Raises:
            FatalError: A path does not exist.
        """
        for path in self._paths:
            if not os.path.exists(path):
                raise FatalError(f"Cannot watch {path}: it does not exist")
        if not self._plan.polling:
            try:
                self._observe(Observer())
                return
            except OSError as error:
                if error.errno not in _WATCHES_GONE:
                    raise FatalError(f"Cannot watch files: {error.strerror}") from None
                logger.warning("The kernel has no file watches left, polling instead")
        self._observe(self._polling())

    def stop(self) -> None:
        """Stop watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join()

    def wait(self) -> Optional[float]:
        """Return seconds until ``take`` may have something, or None while nothing has changed."""
        with self._lock:
            if not self._changes:
                return None
            return max(0.0, self._ripe_at() - time.monotonic())

    def take(self) -> List[Tuple[Change, str]]:
        """Return what has changed, once nothing more has for a tick; else nothing."""
        with self._lock:
            if not self._changes or time.monotonic() < self._ripe_at():
                return []
            taken = [(change, path) for path, change in sorted(self._changes.items())]
            self._changes.clear()
        return taken

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take note of one event; watchdog's thread."""
        if event.is_directory:
            return
        if event.event_type == "moved":
            self._note(Change.deleted, os.fsdecode(event.src_path))
            self._note(Change.added, os.fsdecode(event.dest_path))
        elif event.event_type in _KINDS:
            self._note(_KINDS[event.event_type], os.fsdecode(event.src_path))

    def _note(self, change: Change, path: str) -> None:
        if not path or not self._filter(change, path):
            return
        now = time.monotonic()
        with self._lock:
            if not self._changes:
                self._first = now
            self._changes[path] = change
            self._last = now
        self._ring()

    def _ripe_at(self) -> float:
        tick = self._plan.tick
        return min(self._last + tick, self._first + tick * _LONGEST_TICKS)

    def _observe(self, observer: Any) -> None:
        try:
            for path in self._paths:
                observer.schedule(self, path, recursive=True)
            observer.start()
        except BaseException:
            observer.unschedule_all()
            raise
        self._observer = observer

    def _polling(self) -> PollingObserverVFS:
        return PollingObserverVFS(
            stat=os.stat,
            listdir=self._entered,
            polling_interval=max(_POLL_SECONDS, self._plan.tick),
        )

    def _entered(self, path: Optional[str]) -> "Iterator[os.DirEntry[str]]":
        """List a directory without those below which nothing counts."""
        enters = getattr(self._filter, "enters", None)
        with os.scandir(path) as entries:
            for entry in entries:
                if enters is None or enters(entry.name):
                    yield entry


def _compiled(text: str) -> "re.Pattern[str]":
    try:
        return re.compile(text)
    except re.error as error:
        raise FatalError(f"The reload pattern {text!r} cannot be used: {error}") from None
