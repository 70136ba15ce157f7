"""The workers as the supervisor sees them: who serves, who leaves, who died and why.

Main thread of the supervisor, which waits nowhere but in ``Crew.pump``. A place is a worker's
number; one member serves in it while its predecessors may still be leaving.

Phases of a member::

    STARTING --ready--> SERVING --dismiss--> LEAVING --ended--> GONE
        |                  |
        +------ ended -----+--> DEAD
"""

import os
import selectors
import time
from typing import Any, Callable, Dict, List, Optional, Sequence

from ..log import logger
from . import link as line
from .link import Link
from .signals import Alarm, name_of

STARTING = 0
SERVING = 1
LEAVING = 2
GONE = 3
DEAD = 4

HALT_PATIENCE = 3.0
"""Seconds that a worker told to drop everything gets before it is killed."""

_OOM_COUNTERS = "/proc/vmstat"


class Body:
    """What a member is made of: a process or a thread; ``mp`` and ``mt`` have one each."""

    __slots__ = ()

    kind: str
    link: Link
    pid: int

    def exit_code(self) -> Optional[int]:
        """Return how it ended (negative: by that signal), or None while it runs."""
        raise NotImplementedError

    def take_report(self, what: str, value: Any) -> None:
        """Take a report that only this kind of body sends."""

    def interrupt(self) -> None:
        """Break off the loading of the application, if that is possible."""
        raise NotImplementedError

    def kill(self) -> None:
        """End it at once, if that is possible."""
        raise NotImplementedError


class Member:
    """One worker from its birth to its end; or those that share a place (``mt``)."""

    __slots__ = (
        "answered",
        "body",
        "born",
        "code",
        "counters",
        "failure",
        "kill_at",
        "name",
        "number",
        "over_rss",
        "phase",
        "replaced",
        "respawned",
        "retire_at",
        "runtimes",
        "signalled",
        "spent",
        "workers",
    )

    def __init__(
        self,
        number: int,
        body: Body,
        respawned: bool = False,
        workers: Optional[Sequence[int]] = None,
        name: Optional[str] = None,
    ) -> None:
        self.number = number
        self.body = body
        self.workers = (number,) if workers is None else workers
        self.name = name or f"worker-{number}"
        self.respawned = respawned
        self.replaced = False
        self.phase = STARTING
        self.born = time.monotonic()
        self.code: Optional[int] = None
        self.failure: Optional[str] = None
        self.signalled: Optional[str] = None
        self.kill_at: Optional[float] = None
        self.retire_at: Optional[float] = None
        self.counters: Dict[str, Any] = {}
        self.runtimes = 0
        self.spent = False
        self.over_rss = 0
        self.answered = True

    @property
    def pid(self) -> int:
        """The process, or the thread, that this member is."""
        return self.body.pid

    @property
    def ended(self) -> bool:
        """Nothing of it is left."""
        return self.phase >= GONE

    def why(self, killed_for_memory: bool) -> str:
        """Say in words how a dead member ended."""
        code = self.code
        if code is None or code == 0:
            how = f"stopped by {self.signalled}" if self.signalled else "exit code 0"
        elif code > 0:
            how = f"exit code {code}"
        else:
            how = f"killed by {name_of(-code)}"
            if killed_for_memory:
                how += ", the kernel ran out of memory"
        return f"{self.body.kind} {self.pid}: {how}"


class Crew:
    """All members, and the one place where the supervisor waits for any of them.

    Attributes:
        places: Who serves, by number.
        leaving: Members that finish their last exchanges.
        dead: Members that ended unasked, until somebody takes them off the list.
    """

    def __init__(self, alarm: Alarm, on_metrics: Callable[[Member], None]) -> None:
        self.places: Dict[int, Member] = {}
        self.leaving: List[Member] = []
        self.dead: List[Member] = []
        self._starting: List[Member] = []
        self._alarm = alarm
        self._on_metrics = on_metrics
        self._selector = selectors.DefaultSelector()
        self._selector.register(alarm, selectors.EVENT_READ)
        self._oom_kills = _oom_kills()
        self._first = os.getpid() == 1

    @property
    def serving(self) -> List[Member]:
        """Who serves now, in the order of their numbers."""
        return [self.places[number] for number in sorted(self.places)]

    @property
    def present(self) -> List[Member]:
        """Everybody who has not ended."""
        return [*self._starting, *self.serving, *self.leaving]

    def join(self, member: Member) -> None:
        """Watch a member that has just been started."""
        self._starting.append(member)
        self._selector.register(member.body.link, selectors.EVENT_READ, member)

    def seat(self, member: Member) -> Optional[Member]:
        """Give a ready member its place; return who had it before."""
        predecessor = self.places.get(member.number)
        self.places[member.number] = member
        self._starting.remove(member)
        return predecessor

    def dismiss(self, member: Member, limit: Optional[float], grace: float) -> None:
        """Ask a member to finish and leave.

        Args:
            member: Who; nothing happens if it is leaving already.
            limit: Seconds after which it is killed; shortly before, it drops what is left by
                itself. None lets it finish.
            grace: Seconds that its idle connections may use for one more request.
        """
        if member.phase > SERVING:
            return
        loading = member.phase == STARTING
        member.phase = LEAVING
        self._take_out(member)
        self.leaving.append(member)
        if limit is not None:
            member.kill_at = time.monotonic() + limit
        member.body.link.tell(line.DRAIN, [limit, grace])
        if loading:
            member.body.interrupt()

    def halt(self, member: Member) -> None:
        """Make a leaving member drop everything; it is killed if even that takes long."""
        member.body.link.tell(line.HALT)
        patience = time.monotonic() + HALT_PATIENCE
        member.kill_at = patience if member.kill_at is None else min(member.kill_at, patience)

    def tell_all(self, what: str) -> None:
        """Say something to everybody who serves or leaves."""
        for member in [*self.places.values(), *self.leaving]:
            member.body.link.tell(what)

    def pump(self, timeout: Optional[float]) -> None:
        """Wait until something happens, at most ``timeout`` seconds, and take it in."""
        for key, _ in self._selector.select(self._shortest(timeout)):
            if key.data is None:
                self._alarm.hush()
            else:
                self._listen(key.data)
        self._kill_late()
        for member in self.present:
            code = member.body.exit_code()
            if code is not None:
                self._bury(member, code)
        if self._first:
            _reap_strangers({member.pid for member in self.present})

    def why(self, member: Member) -> str:
        """Say in words how a dead member ended, with the kernel's help."""
        kills = _oom_kills()
        for_memory = member.code == -9 and kills > self._oom_kills
        self._oom_kills = kills
        return member.why(for_memory)

    def report(self, member: Member) -> None:
        """Log that a member has died, and of what."""
        if member.failure is not None:
            logger.error("%s", member.failure)
        logger.error("Unexpected exit from %s (%s)", member.name, self.why(member))

    def summary(self) -> str:
        """Return who is there and in which phase, for the log."""
        names = ("starting", "serving", "leaving")
        return " ".join(f"{one.name}={one.pid}/{names[one.phase]}" for one in self.present)

    def close(self) -> None:
        """Stop watching."""
        self._selector.close()

    def _shortest(self, timeout: Optional[float]) -> Optional[float]:
        deadlines = [member.kill_at for member in self.leaving if member.kill_at is not None]
        if not deadlines:
            return timeout
        until = max(0.0, min(deadlines) - time.monotonic())
        return until if timeout is None else min(until, timeout)

    def _listen(self, member: Member) -> None:
        for what, value in member.body.link.heard():
            self._take_report(member, what, value)
        if member.body.link.closed:
            self._unwatch(member)

    def _take_report(self, member: Member, what: str, value: Any) -> None:
        if what == line.READY:
            member.runtimes = value
            if member.phase == STARTING:
                member.phase = SERVING
        elif what == line.FAILED:
            member.failure = value
        elif what == line.SIGNALLED:
            member.signalled = value
        elif what == line.SPENT:
            member.spent = True
        elif what == line.PONG:
            member.answered = True
        elif what == line.METRICS:
            member.counters = value
            self._on_metrics(member)
        else:
            member.body.take_report(what, value)

    def _unwatch(self, member: Member) -> None:
        self._selector.unregister(member.body.link)
        member.body.link.close()

    def _kill_late(self) -> None:
        now = time.monotonic()
        for member in self.leaving:
            if member.kill_at is not None and member.kill_at <= now:
                logger.warning("Killing %s after it refused to gracefully stop", member.name)
                member.kill_at = None
                member.body.kill()

    def _bury(self, member: Member, code: int) -> None:
        link = member.body.link
        if not link.closed:
            # The end of the stream may never come: a child of the worker can hold it open.
            for what, value in link.last_words():
                self._take_report(member, what, value)
            self._unwatch(member)
        self._take_out(member)
        member.code = code
        if member.phase == LEAVING:
            self.leaving.remove(member)
            member.phase = GONE
            for worker in member.workers:
                logger.info("Stopped %sworker-%d", "old " if member.replaced else "", worker)
        else:
            member.phase = DEAD
            self.dead.append(member)

    def _take_out(self, member: Member) -> None:
        if member in self._starting:
            self._starting.remove(member)
        if self.places.get(member.number) is member:
            del self.places[member.number]


def _oom_kills() -> int:
    try:
        with open(_OOM_COUNTERS, encoding="ascii") as lines:
            found = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    except OSError:
        found = []
    return int(found[0]) if found else 0


def _reap_strangers(own: "set[int]") -> None:
    """Reap orphans that became ours because we are process 1; our own are left to their bodies."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid in own:
                return
            os.waitpid(found.si_pid, 0)
        except ChildProcessError:
            return
