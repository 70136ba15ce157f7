"""The nursery: a process that loads the application once and forks workers that share its memory.

For ``--preload``. The nursery is a fresh interpreter like any worker's, so that neither the
supervisor's memory nor its threads are copied, and a reload, which starts a new nursery, loads the
application anew. It never serves. What it promises ends where fork does: threads that importing
the application started are not in the workers, and connections that it opened are shared by them.

The supervisor asks on the nursery's line and passes the worker's end of a new line beside it; the
nursery answers with a process number and later reports how that process ended, whose parent it is.
"""

import gc
import os
import select
import signal
import socket
import struct
import sys
from array import array
from typing import Dict, List, Optional, Sequence

from ..log import logger
from . import link as line
from .crew import Body, Member
from .link import Link, pair
from .mp import WorkerProcess
from .newborn import Newborn
from .process import entitle
from .signals import CHILD, Alarm, pid_is_alive
from .worker import EXIT_FAILED, Assignment, Stopper, configure, load_application, run_worker

FORK = "fork"
EXITED = "exited"

NAME = "preload"
"""How the nursery is called in the log."""

_PID = struct.Struct("!i")
_PATIENCE = 10.0
"""Seconds that a nursery may take to fork."""


class NurseryProcess(WorkerProcess):
    """The nursery's process; knows how its children ended."""

    __slots__ = ("exits",)

    def __init__(
        self,
        assignment: Assignment,
        sockets: Sequence[socket.socket],
        newborn: Optional[Newborn] = None,
    ) -> None:
        self.exits: Dict[int, int] = {}
        super().__init__(assignment._replace(run=run_nursery), sockets, newborn)

    def take_report(self, what: str, value: List[int]) -> None:
        """Take note of a child's end."""
        if what == EXITED:
            pid, code = value
            self.exits[pid] = code


class Nursery:
    """A nursery as the supervisor sees it: a member without a place."""

    __slots__ = ("_body", "_channel", "member")

    def __init__(
        self,
        assignment: Assignment,
        sockets: Sequence[socket.socket],
        newborn: Optional[Newborn] = None,
    ) -> None:
        self._channel, theirs = pair()
        self._channel.settimeout(_PATIENCE)
        with theirs:
            self._body = NurseryProcess(assignment, [*sockets, theirs], newborn)
        self.member = Member(0, self._body, workers=(), name=NAME)

    def fork(self, assignment: Assignment) -> "ForkedWorker":
        """Have a worker forked; waits for its process number."""
        ours, theirs = pair()
        with theirs:
            self._body.link.tell(FORK, [assignment.number, assignment.requests])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))]
            try:
                self._channel.sendmsg([b"\0"], rights)
                (pid,) = _PID.unpack(self._channel.recv(_PID.size))
            except (OSError, struct.error):
                pid = 0  # the nursery has died: so has, before its birth, this worker
        return ForkedWorker(pid, Link(ours), self._body)

    def close(self) -> None:
        """Ask for nothing more."""
        self._channel.close()


class ForkedWorker(Body):
    """A worker whose parent is a nursery."""

    __slots__ = ("_nursery", "link", "pid")

    kind = "PID"

    def __init__(self, pid: int, link: Link, nursery: NurseryProcess) -> None:
        self.pid = pid
        self.link = link
        self._nursery = nursery

    def exit_code(self) -> Optional[int]:
        """Return what the nursery reported; after its own death, only whether it still runs."""
        if self.pid == 0:
            return EXIT_FAILED
        code = self._nursery.exits.get(self.pid)
        if code is None and self._nursery.exit_code() is not None and not pid_is_alive(self.pid):
            return EXIT_FAILED
        return code

    def interrupt(self) -> None:
        """Break off its start."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.exit_code() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended meanwhile; the nursery's report is on its way


def run_nursery(
    assignment: Assignment,
    link: Link,
    sockets: Sequence[socket.socket],
    stopper: Stopper,
    alarm: Alarm,
) -> int:
    """Load the application, then fork on demand; runs in place of ``run_worker``."""
    from ..errors import FatalError

    *listeners, channel = sockets
    try:
        application = load_application(assignment)
    except FatalError as error:
        link.tell(line.FAILED, str(error))
        return EXIT_FAILED
    except Exception as error:
        logger.exception("The application could not be loaded")
        link.tell(line.FAILED, f"{type(error).__name__}: {error}")
        return EXIT_FAILED
    _warm_up(assignment.plan.interface)
    stopper.loading = False
    link.tell(line.READY, 0)
    order = _Keeper(link, channel, alarm).keep()
    if order is None:
        return 0
    number, requests, descriptor = order
    # From here on this is the worker.
    link.close()
    channel.close()
    alarm.close()
    own_alarm = Alarm()
    own_stopper = Stopper(own_alarm)
    own_stopper.loading = False
    assignment = assignment._replace(number=number, requests=requests, run=None)
    configure(assignment)
    entitle(assignment)
    own_stopper.install()
    return run_worker(
        assignment,
        Link(socket.socket(fileno=descriptor)),
        listeners,
        application,
        own_stopper,
        own_alarm,
    )


class _Keeper:
    """The nursery while it waits for orders and for its children."""

    __slots__ = ("alarm", "channel", "children", "leaving", "link")

    def __init__(self, link: Link, channel: socket.socket, alarm: Alarm) -> None:
        self.link = link
        self.channel = channel
        self.alarm = alarm
        self.children: set[int] = set()
        self.leaving = False

    def keep(self) -> "Optional[tuple[int, Optional[int], int]]":
        """Return None when all is over, or in a child what to become and the end of its line."""
        if CHILD is not None:
            signal.signal(CHILD, _remember)
        channel = self.channel
        channel.settimeout(_PATIENCE)
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        poll.register(self.alarm, select.POLLIN)
        while not self.leaving or self.children:
            for fd, _ in poll.poll():
                if fd == self.alarm.fileno():
                    self.alarm.hush()
                    continue
                for what, value in self.link.heard():
                    if what in (line.DRAIN, line.HALT):
                        self.leaving = True
                    elif what == line.PING:
                        self.link.tell(line.PONG)
                    elif what == FORK:
                        descriptor = self._fork()
                        if descriptor is not None:
                            return value[0], value[1], descriptor
                if self.link.closed:
                    return None
            self._reap()
        return None

    def _fork(self) -> Optional[int]:
        """Fork; return the descriptor of its line in the child, None in the parent."""
        space = socket.CMSG_SPACE(array("i").itemsize)
        _, rights, _, _ = self.channel.recvmsg(1, space)
        (descriptor,) = array("i", rights[0][2])
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.set_inheritable(descriptor, False)
            return descriptor
        os.close(descriptor)
        self.children.add(pid)
        self.channel.sendall(_PID.pack(pid))
        return None

    def _reap(self) -> None:
        for pid in tuple(self.children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.children.discard(pid)
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self.link.tell(EXITED, [pid, code])


def _remember(*_: object) -> None:
    """Exist, so that a child's end rings the alarm."""


def _warm_up(interface: str) -> None:
    """Import what every worker will need, and put all of it where no collection touches it.

    Collecting in a child would write into every page that holds an object, and so copy it.
    """
    from ..engine import adapters, http1, runtime  # noqa: F401 - for the memory they share

    if interface == "wsgi":
        from ..wsgi import application as wsgi  # noqa: F401 - likewise
    elif interface == "rsgi":
        from ..engine import bridge
        from ..rsgi import application as rsgi  # noqa: F401 - likewise
    else:
        from ..asgi import http as asgi  # noqa: F401 - likewise
        from ..engine import bridge  # noqa: F401 - likewise
    gc.collect()
    gc.freeze()
