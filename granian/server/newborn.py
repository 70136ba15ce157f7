"""A worker's interpreter from its start to its assignment.

Every worker process begins as a newborn that knows only where to import from. The command starts
the first one before it has read its settings: while it reads them, the newborn imports what any
worker needs, so that on two processors a server answers a good deal sooner. Supervisor's main
thread. Imports little, because the command waits for it.
"""

import marshal
import os
import struct
import subprocess
import sys
from typing import List

from . import boot
from .link import Link, pair
from .signals import DUMP, HANGUP, STOP_SIGNALS, Held

_HELD = [*STOP_SIGNALS, *(number for number in (HANGUP, DUMP) if number is not None)]


class Newborn:
    """A started interpreter and the supervisor's end of its line."""

    __slots__ = ("_identity", "_path", "link", "process")

    def __init__(self, warm: str = boot.WARM_NOTHING) -> None:
        ours, theirs = pair()
        self._identity = _identity()
        self._path = import_path()
        number = str(theirs.fileno())
        command = [sys.executable, *interpreter_flags(), boot.__file__, number, warm]
        with Held(_HELD):
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                command, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL
            )
        theirs.close()
        self.link = Link(ours)
        head = marshal.dumps((self._path, list(sys.argv)))
        try:
            self.link.sock.sendall(struct.pack("!I", len(head)) + head)
        except OSError:
            pass  # it died at birth: its exit code tells

    def usable(self) -> bool:
        """Tell whether a process started now would be the same.

        Who has changed its user, its groups or its import path since must not find a worker
        that has not.
        """
        same = self._identity == _identity() and self._path == import_path()
        return same and self.process.poll() is None

    def dismiss(self) -> None:
        """End it: it has nothing to lose yet."""
        self.link.close()
        self.process.kill()
        self.process.wait()


def interpreter_flags() -> List[str]:
    """Return the options that give a child the same interpreter; as multiprocessing does it."""
    flags: List[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # not in the stubs
    return flags


def import_path() -> List[str]:
    """Return ``sys.path``, its empty entry (the current folder of whoever asks) pinned to ours."""
    return [os.fspath(entry) or os.getcwd() for entry in sys.path]


def _identity() -> List[object]:
    if os.name != "posix":
        return []
    umask = os.umask(0o077)
    os.umask(umask)
    return [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), os.getgroups(), umask]
