"""The supervisor: binds, starts workers, watches them, replaces them, stops them.

``AbstractServer`` owns the main process from ``serve`` to its end; what a worker is made of, ``mp``
and ``mt`` say. Everything runs on the main thread; other threads and signal
handlers only set a flag and ring the alarm. It never serves a request itself.

The order of a life: log, pid file, signal handlers, bind, log the address, env files, startup
hooks, the first worker, and once that one serves the others. An application that cannot be loaded
is therefore reported once, however many workers there are.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from .. import net
from .._loops import loops
from ..constants import Interfaces, Loops
from ..errors import FatalError
from ..log import logger
from ..plan import SupervisorPlan, WorkerPlan
from . import link as line
from . import title
from .base import BaseServer, call
from .crew import DEAD, SERVING, Body, Crew, Member
from .departure import see_off
from .environment import Environment
from .notify import Notifier, Watchdog
from .pidfile import PidFile
from .respawn import Respawns
from .signals import (
    CHILD,
    DUMP,
    HANGUP,
    SIGNAL_RACE,
    STOP_SIGNALS,
    Alarm,
    Handlers,
    Interrupt,
)
from .succession import Succession
from .upkeep import Upkeep
from .worker import Assignment

if TYPE_CHECKING:
    from .exporter import Exporter
    from .newborn import Newborn
    from .reloader import Reloader

__all__ = ["AbstractServer", "Interfaces", "Loops"]

RELOAD_PATIENCE = 2.0
"""Seconds that workers get to finish when a file has changed: nobody waits for old code."""


class AbstractServer(BaseServer):
    """A supervisor; subclasses say what its workers are made of. Instances serve once.

    Hooks run in the main process: ``on_startup`` after binding and before the first worker,
    ``on_reload`` before workers are replaced on request, ``on_shutdown`` after the last has gone.
    """

    @classmethod
    def from_plans(cls, supervisor: SupervisorPlan, worker: WorkerPlan) -> "AbstractServer":
        """Make a server from plans that the command has made already.

        It passes through the constructor, which extensions override to add a keyword of theirs.
        """
        return cls(worker.target, plans=(supervisor, worker))

    def _settle(
        self, supervisor: SupervisorPlan, worker: WorkerPlan, reload_filter: Optional[Any]
    ) -> None:
        super()._settle(supervisor, worker, reload_filter)
        self._hooked = False
        self.pid = 0
        self.interrupt_signal = False
        self.reload_signal = False
        self.interrupt_children: List[int] = []
        self._alarm = Alarm()
        self.main_loop_interrupt = Interrupt(self._alarm)
        self._handlers = Handlers()
        self._signals: List[float] = []
        self._dump_signal = False
        self._pid_file: Optional[PidFile] = None
        self._loader: Tuple[Optional[Callable[..., Any]], bool] = (None, True)
        self._spawn_target: Optional[Callable[..., Any]] = None
        self.crew = Crew(self._alarm, self._on_metrics)
        self._environment = Environment(worker.env_files)
        self._notifier = Notifier()
        self._watchdog = Watchdog(self._notifier)
        self._respawns = Respawns(supervisor)
        self._upkeep = Upkeep(supervisor)
        self._succession = Succession(
            self.crew,
            self._upkeep,
            self._bear,
            lambda: self._stopping,
            lambda: None if self._reloader is None else self._reloader.wait(),
            supervisor.workers_kill_timeout,
        )
        self._newborn: Optional[Newborn] = None
        self._exporter: Optional[Exporter] = None
        self._reloader: Optional[Reloader] = None

    @property
    def wrks(self) -> List[Member]:
        """The workers that serve now."""
        return self.crew.serving

    def signal_handler_interrupt(self, *_: object) -> None:
        """Stop gracefully; a second call stops at once. Any thread, any signal handler."""
        self._signals.append(time.monotonic())
        self.interrupt_signal = True
        self._alarm.ring()

    def signal_handler_reload(self, *_: object) -> None:
        """Replace all workers; calls while that goes on count as one. Any thread."""
        self.reload_signal = True
        self._alarm.ring()

    def serve(
        self,
        spawn_target: Optional[Callable[..., Any]] = None,
        target_loader: Optional[Callable[..., Any]] = None,
        wrap_loader: bool = True,
    ) -> None:
        """Run until stopped; main thread only.

        Args:
            spawn_target: Runs in each worker instead of ``worker.run_worker``, with its arguments.
            target_loader: Called in each worker, must return the application; picklable.
            wrap_loader: Call ``target_loader`` with the target; else without arguments.

        Raises:
            FatalError: The operator must change something; nothing is running any more.
            SystemExit: With status 1, because a worker failed.
        """
        self._spawn_target = spawn_target
        self._loader = (target_loader, wrap_loader)
        self._serve()

    def _serve(self) -> None:
        try:
            self.startup()
            self._serve_loop()
        except FatalError:
            self._release()
            raise
        except BaseException:
            self.shutdown()
            raise
        self.shutdown()
        if self.interrupt_children:
            sys.exit(1)

    def startup(self) -> None:
        """Do everything that comes before waiting: from the first line to the last worker."""
        self.pid = os.getpid()
        logger.info("Starting granian (main PID: %d)", self.pid)
        if self.plan.pid_file:
            self._pid_file = PidFile(self.plan.pid_file, self.pid)
            self._pid_file.write()
        self._install_handlers()
        self._prepare()
        self._listen()
        self._entitle()
        self._environment.apply()
        self._hooked = True
        call(self.hooks_startup)
        self._start_helpers()
        self._spawn_workers()

    def shutdown(self) -> None:
        """Stop whatever runs and undo what ``startup`` did."""
        logger.info("Shutting down granian")
        self._release()
        logger.info("Granian shutdown completed, see ya!")

    def _release(self) -> None:
        """Stop what runs, in order, and give back what was taken."""
        self._notifier.stopping()
        self._stop_helpers()
        if self._newborn is not None:
            self._newborn.dismiss()
        self._close_sockets()
        if self.crew.present:
            self._stop_workers()
        if self._hooked:
            call(self.hooks_shutdown)
        self._remove_socket_file()
        if self._pid_file is not None:
            self._pid_file.remove()
        self._handlers.restore()
        self.crew.close()
        self._alarm.close()

    def _prepare(self) -> None:
        """Check what must hold in the main process before anything is bound."""
        title.check(self.plan.process_name)

    def _entitle(self) -> None:
        """Name this process, and the workers after it, by what it serves and where."""
        if not title.available():
            return
        where = self.urls[0].partition("://")[2]
        name = self.plan.process_name or f"granian {self.interface} {where} {self.target}"
        title.entitle(name)
        self.worker_plan = self.worker_plan._replace(process_name=name)

    def _make_body(self, assignment: Assignment) -> Body:
        raise NotImplementedError

    def adopt(self, newborn: "Newborn") -> None:
        """Use an interpreter that was started early for the first worker."""
        self._newborn = newborn

    def _take_newborn(self) -> "Optional[Newborn]":
        newborn, self._newborn = self._newborn, None
        if newborn is not None and not newborn.usable():
            newborn.dismiss()
            return None
        return newborn

    def _install_handlers(self) -> None:
        handlers: Dict[int, Any] = dict.fromkeys(STOP_SIGNALS, self.signal_handler_interrupt)
        if HANGUP is not None:
            handlers[HANGUP] = self.signal_handler_reload
        if DUMP is not None:
            handlers[DUMP] = self._on_dump
        if CHILD is not None:
            handlers[CHILD] = self._on_child
        self._handlers.install(handlers, self._alarm)

    def _on_dump(self, *_: object) -> None:
        self._dump_signal = True

    def _on_child(self, *_: object) -> None:
        """Exist, so that a child's end rings the alarm; ``Crew.pump`` finds out which it was."""

    def _init_shared_socket(self) -> None:
        passed = net.take_activated()
        if passed:
            self._share([net.adopt(number, self.plan.backlog) for number in passed])
            logger.info("Serving on sockets passed by the service manager, not on host and port")
        else:
            super()._init_shared_socket()

    @property
    def _stopping(self) -> bool:
        return self.interrupt_signal or self.main_loop_interrupt.is_set()

    def _assignment(self, number: int) -> Assignment:
        loader, wrap = self._loader
        return Assignment(
            number=number,
            plan=self.worker_plan,
            loader=loader,
            wrap_loader=wrap,
            loops=loops.custom(),
            requests=self._upkeep.requests(self.worker_plan),
            metrics_interval=self.worker_plan.metrics_scrape_interval,
            run=self._spawn_target,
        )

    def _bear(self, number: int, respawned: bool) -> Member:
        body = self._make_body(self._assignment(number))
        return Member(number, body, respawned, self._workers_at(number))

    def _places(self) -> Sequence[int]:
        """Return the numbers of all places; a place may hold several workers."""
        return range(1, self.workers + 1)

    def _workers_at(self, place: int) -> Sequence[int]:
        """Return the numbers of the workers in a place."""
        return (place,)

    def _spawn_workers(self) -> None:
        """Start all workers: the first alone, since it shows whether the application loads."""
        if not self._open_generation():
            return
        numbers = list(self._places())
        for group in (numbers[:1], numbers[1:]):
            if not self._succession.fill(group):
                return
        self._notifier.ready(f"Serving with {self.workers} workers")

    def _serve_loop(self) -> None:
        self._watchdog.start()
        while not self._stopping:
            self._see_deaths()
            self._respawn_due()
            if self.reload_signal and not self._stopping:
                self._reload()
            self._reload_on_change()
            self._replace_worn()
            if self._dump_signal:
                self._dump()
            self._watchdog.look(self.crew)
            if not self._stopping:
                self.crew.pump(self._next_wait())

    def _next_wait(self) -> Optional[float]:
        if self.crew.dead or self.reload_signal or self._dump_signal:
            return 0.0
        now = time.monotonic()
        times = (
            *self._respawns.due.values(),
            *self._upkeep.times(self.crew),
            *self._watchdog.times(),
        )
        waits = [when - now for when in times]
        change = None if self._reloader is None else self._reloader.wait()
        if change is not None:
            waits.append(change)
        return max(0.0, min(waits)) if waits else None

    def _see_deaths(self) -> None:
        while self.crew.dead and not self._stopping:
            member = self.crew.dead.pop(0)
            if member.signalled and self._signal_is_shared():
                return
            self.crew.report(member)
            if self._respawns.survives(member):
                continue
            self.interrupt_children.append(member.number)
            self.main_loop_interrupt.set()

    def _signal_is_shared(self) -> bool:
        """Tell whether the signal that ended a worker went to the whole process group."""
        deadline = time.monotonic() + SIGNAL_RACE
        while not self._stopping and time.monotonic() < deadline:
            self.crew.pump(deadline - time.monotonic())
        return self._stopping

    def _respawn_due(self) -> None:
        numbers = self._respawns.take()
        if numbers and not self._stopping:
            self._upkeep.counts["err"] += len(numbers)
            self._respawn_workers(numbers)

    def _respawn_workers(self, numbers: Sequence[int]) -> None:
        """Start workers in these places; who serves there leaves when its successor is ready."""
        for number in numbers:
            if not self._succeed(number, respawned=True):
                return

    def _succeed(self, number: int, respawned: bool = False) -> bool:
        """Put a fresh worker into a place; the old one goes on if the new one does not start."""
        for worker in self._workers_at(number):
            logger.info("Respawning worker-%d", worker)
        return self._succession.fill([number], respawned)

    def _reload(self) -> None:
        """Replace all workers one after the other, without losing a request.

        The listening socket stays open throughout. An application that does not start any more
        leaves the old workers where they are.
        """
        self.reload_signal = False
        self._notifier.reloading()
        logger.info("Reloading: new workers load the application again, settings stay as they are")
        if self._prepare_reload() and not (self._open_generation() and self._replace_all()):
            self._replacement_failed()
        self._notifier.ready(f"Serving with {self.workers} workers")

    def _open_generation(self) -> bool:
        """Prepare what the next workers are made from; False if that failed."""
        return True

    def _replace_all(self) -> bool:
        for number in self._places():
            self._respawns.forget(number)
            if not self._succeed(number):
                return False
        return True

    def _prepare_reload(self) -> bool:
        """Do what comes before new workers; False if it failed and the old ones must go on."""
        try:
            self._environment.apply()
            call(self.hooks_reload)
        except FatalError as error:
            logger.error("%s", error)
        except Exception:
            logger.exception("A reload hook failed, nothing is reloaded")
        else:
            return True
        return False

    def _replacement_failed(self) -> None:
        for member in [one for one in self.crew.dead if one.phase == DEAD]:
            if member.failure is not None or self.crew.places.get(member.number) is not None:
                self.crew.dead.remove(member)
                self.crew.report(member)
        if not self._stopping:
            logger.error("The new workers do not start, the old ones go on serving")

    def _replace_worn(self) -> None:
        for member in self._upkeep.worn(self.crew):
            if self._stopping:
                return
            if not self._succeed(member.number):
                self._upkeep.postpone(member)
                self._replacement_failed()

    def _start_helpers(self) -> None:
        """Start what runs beside the workers."""
        if self.plan.metrics is not None:
            from .exporter import Exporter

            self._exporter = Exporter(self.plan.metrics, self._upkeep.counts)
            self._exporter.start()
        if self.plan.reload is not None:
            from .reloader import Reloader

            self._reloader = Reloader(self.plan.reload, self.reload_filter, self._alarm.ring)
            self._reloader.start()

    def _stop_helpers(self) -> None:
        """Stop what runs beside the workers."""
        if self._exporter is not None:
            self._exporter.stop()
        if self._reloader is not None:
            self._reloader.stop()

    def _on_metrics(self, member: Member) -> None:
        if self._exporter is not None:
            self._exporter.report(member.number, member.born, member.counters)

    def _reload_on_change(self) -> None:
        """Start all workers anew because a file has changed; nobody waits for old code."""
        if self._reloader is None:
            return
        changes = self._reloader.take()
        if not changes:
            return
        logger.info("Changes detected, reloading workers..")
        for change, path in changes:
            logger.info("%s: %s", change.name.capitalize(), path)
        if not self._prepare_reload():
            return
        self._respawns.due.clear()
        limit = self.plan.workers_kill_timeout or RELOAD_PATIENCE
        for member in self.crew.present:
            self.crew.dismiss(member, limit, 0.0)
        while self.crew.present and not self._stopping:
            self.crew.pump(None)
        if not self._stopping:
            self._spawn_workers()

    def _stop_workers(self) -> None:
        """Let everybody finish; a second signal, or the kill timeout, ends the wait."""
        for member in self.crew.present:
            if member.phase <= SERVING:
                for worker in member.workers:
                    logger.info("Stopping worker-%d", worker)
                self._succession.dismiss(member)
        see_off(self.crew, self._signals)

    def _dump(self) -> None:
        self._dump_signal = False
        logger.info("State of the main process (PID %d): %s", self.pid, self.crew.summary())
        self.crew.tell_all(line.DUMP)
