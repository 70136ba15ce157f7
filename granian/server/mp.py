"""Workers as processes, each a fresh interpreter that inherits nothing but its sockets.

A fresh interpreter costs 15 ms more than a fork and buys three things: a worker holds none of the
command's libraries, no thread of the supervisor is torn by the copy, and a reload loads the
application anew. ``multiprocessing`` would add 30 ms per worker and run the user's ``__main__``
again, which happens here only if the assignment refers to it.

Supervisor's main thread; the worker's side is ``process``.
"""

import os
import pickle
import socket
import sys
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple

from .common import AbstractServer
from .crew import SERVING, STARTING, Body
from .newborn import Newborn
from .process import Parcel
from .worker import Assignment

if TYPE_CHECKING:
    from .preload import Nursery


class WorkerProcess(Body):
    """One worker process, seen from the supervisor."""

    __slots__ = ("link", "pid", "process")

    kind = "PID"

    def __init__(
        self,
        assignment: Assignment,
        sockets: Sequence[socket.socket],
        newborn: Optional[Newborn] = None,
    ) -> None:
        newborn = newborn or Newborn()
        self.process = newborn.process
        self.link = newborn.link
        self.pid = self.process.pid
        try:
            self.link.send_block(pickle.dumps(_parcel(assignment)), sockets)
            self.link.send_block(pickle.dumps(assignment))
        except OSError:
            pass  # it died at birth: its exit code tells

    def exit_code(self) -> Optional[int]:
        """Return how the process ended (negative: by that signal), or None while it runs."""
        return self.process.poll()

    def interrupt(self) -> None:
        """Break off the loading of the application."""
        self.process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()


class MPServer(AbstractServer):
    """A supervisor whose workers are processes, started afresh or forked from a nursery."""

    _nursery: "Optional[Nursery]" = None

    def _make_body(self, assignment: Assignment) -> Body:
        if self._nursery is not None and assignment.number:
            return self._nursery.fork(assignment)
        return WorkerProcess(assignment, self._sockets, self._take_newborn())

    def _open_generation(self) -> bool:
        if not self.plan.preload:
            return True
        from .preload import Nursery

        previous = self._nursery
        nursery = Nursery(self._assignment(0), self._sockets, self._take_newborn())
        self.crew.join(nursery.member)
        while nursery.member.phase == STARTING and not self._stopping:
            self.crew.pump(None)
        if nursery.member.phase != SERVING:
            return False
        self._nursery = nursery
        if previous is not None:
            # It leaves when the last of its workers has.
            self.crew.dismiss(previous.member, None, 0.0)
            previous.close()
        return True

    def _succeed(self, number: int, respawned: bool = False) -> bool:
        if number == 0:
            return self._open_generation()
        return super()._succeed(number, respawned)


def _parcel(assignment: Assignment) -> Parcel:
    try:
        folder: Optional[str] = os.getcwd()
    except OSError:
        folder = None  # it has been removed; the worker starts where we did
    return Parcel(*_main_module(assignment), environ=dict(os.environ), folder=folder)


def _main_module(assignment: Assignment) -> Tuple[Optional[str], Optional[str]]:
    """Return the path and name of ``__main__`` if the assignment refers to it, else nothing."""
    referred: List[Any] = [
        assignment.loader,
        assignment.run,
        *(builder for _, _, builder in assignment.loops),
    ]
    if not any(getattr(item, "__module__", None) == "__main__" for item in referred):
        return None, None
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return None, spec.name
    path = getattr(main, "__file__", None)
    return (os.path.abspath(path) if path else None), None
