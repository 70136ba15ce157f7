"""One worker: the single function that every kind of worker executes.

``run_worker`` owns a worker from its assignment to its exit code: logging, the application, the
engine, and the line to the supervisor. It runs on the worker's own main thread (of its process, or
of one thread among others on free-threaded builds) and never runs the application's loop there.

Phases::

    STARTING --ready--> SERVING --drain--> DRAINING --engine ended--> STOPPED
        |                   |                  |
        +----- failed ------+------ halt ------+--------------------> STOPPED
"""

import logging
import os
import select
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .. import log
from ..errors import FatalError
from ..log import logger
from ..plan import WorkerPlan
from . import link as line
from .link import Link
from .signals import DUMP, HANGUP, STOP_SIGNALS, Alarm, Handlers, name_of, release

STARTING = 0
SERVING = 1
DRAINING = 2
STOPPED = 3

EXIT_STOPPED = 0
EXIT_FAILED = 1

GRACE = 30.0
"""Seconds that exchanges may last after a stop before their applications hear of it, where no
kill timeout says otherwise."""

_DISCONNECT_SHARE = 0.6
_CANCEL_SHARE = 0.75
_HALT_SHARE = 0.85
"""Of the kill timeout: when applications hear of a disconnect, when their tasks are cancelled, and
when everything left is dropped, so that the worker leaves by itself, lifespan shutdown included,
before the supervisor kills it."""

_ACCEPTOR_PATIENCE = 1.0
"""Seconds that the listening thread gets to let go of its sockets."""

_ORPHAN_DISCONNECT = 2.0
_ORPHAN_CANCEL = 2.5
_ORPHAN_HALT = 3.0
"""Seconds after the supervisor's death; a worker must be gone after five (promise P9)."""

_REQUESTS_CHECK = 0.25
"""Seconds between two looks at the request counter, if their number is limited."""

_HALT_PATIENCE = 1.5
"""Seconds that the engine gets to end after it was told to drop everything."""


class Assignment(NamedTuple):
    """What a worker is started with, beside its sockets; must be picklable.

    Attributes:
        number: 1-based, the same for all who fill this place one after the other.
        plan: The worker's plan.
        loader: The ``target_loader`` of ``serve``, called with the target if ``wrap_loader``.
        loops: Loops registered by the user: name, packages, builder.
        requests: Ask to be replaced after so many requests; jitter is added already.
        metrics_interval: Seconds between two reports of the counters, or None.
        run: What executes it instead of ``run_worker``.
        replicas: How many engines serve side by side in it: one, or as many as there are workers
            where threads need no processes to run at once (``mt``).
    """

    number: int
    plan: WorkerPlan
    loader: Optional[Callable[..., Any]] = None
    wrap_loader: bool = True
    loops: Tuple[Tuple[str, Sequence[str], Callable[..., Any]], ...] = ()
    requests: Optional[int] = None
    metrics_interval: Optional[float] = None
    run: Optional[Callable[..., int]] = None
    replicas: int = 1


class Stopper:
    """Owner of the SIGTERM and SIGINT handlers of a worker process.

    Attributes:
        loading: The application is being loaded; it may be interrupted anywhere.
        should_exit: A stop was asked for; libraries with endless streams watch it (sse-starlette).
        signalled: The signal that came straight to this process, if one did.
    """

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._handlers = Handlers()
        self.loading = True
        self.should_exit = False
        self.signalled: Optional[int] = None
        self.dump = False

    def handle_exit(self, number: int, frame: Optional[FrameType]) -> None:
        """Remember a stop; a second one changes nothing, the supervisor sets the pace.

        While the application is being loaded on this very thread there is nothing to finish:
        loading is broken off.
        """
        self.should_exit = True
        self.signalled = number
        if self.loading:
            raise SystemExit(EXIT_STOPPED)

    def handle_dump(self, number: int, frame: Optional[FrameType]) -> None:
        """Remember that the state is to be logged."""
        self.dump = True

    def handle_nothing(self, number: int, frame: Optional[FrameType]) -> None:
        """Leave a signal to the supervisor; to ignore it would bind the application's children."""

    def install(self) -> None:
        """Install the handlers and let through what was held back since the process began."""
        handlers = dict.fromkeys(STOP_SIGNALS, self.handle_exit)
        if DUMP is not None:
            handlers[DUMP] = self.handle_dump
        if HANGUP is not None:
            handlers[HANGUP] = self.handle_nothing
        self._handlers.install(handlers, self._alarm)
        release()


def load_application(assignment: Assignment) -> Any:
    """Load what is to be served.

    Raises:
        FatalError: The target cannot be loaded; its text is for the operator.
    """
    from .._internal import load_target

    plan = assignment.plan
    if assignment.loader is None:
        return load_target(plan.target, plan.working_dir, plan.factory, plan.interface)
    loaded = assignment.loader(plan.target) if assignment.wrap_loader else assignment.loader()
    return loaded() if plan.factory else loaded


def run_worker(
    assignment: Assignment,
    link: Link,
    sockets: Sequence[socket.socket],
    application: Optional[Any] = None,
    stopper: Optional[Stopper] = None,
    alarm: Optional[Alarm] = None,
) -> int:
    """Serve until told to stop; the one function every kind of worker executes.

    Args:
        assignment: What to do.
        link: The line to the supervisor.
        sockets: Listening sockets; closed when this returns.
        application: Loaded already, where several workers share it; else it is loaded here.
        stopper: The owner of this process's signal handlers; None in a thread.
        alarm: Rings on signals and when the engine ends.

    Returns:
        The exit code.
    """
    worker = _Worker(assignment, link, sockets, stopper, alarm or Alarm())
    try:
        if application is None:
            application = load_application(assignment)
        if stopper is not None:
            stopper.loading = False
        worker.start(application)
        return worker.serve()
    except FatalError as error:
        link.tell(line.FAILED, str(error))
    except Exception as error:
        logger.exception("Worker-%d failed", assignment.number)
        link.tell(line.FAILED, f"{type(error).__name__}: {error}")
    finally:
        for sock in worker.sockets:
            sock.close()
        worker.alarm.close()
    return EXIT_FAILED


class _Worker:
    """The worker's main thread between two of its waits."""

    __slots__ = (
        "alarm",
        "assignment",
        "counted",
        "engines",
        "leave",
        "link",
        "phase",
        "plan",
        "reported",
        "sockets",
        "spent",
        "steps",
        "stopper",
    )

    def __init__(
        self,
        assignment: Assignment,
        link: Link,
        sockets: Sequence[socket.socket],
        stopper: Optional[Stopper],
        alarm: Alarm,
    ) -> None:
        self.assignment = assignment
        self.plan = assignment.plan
        self.link = link
        self.sockets = sockets
        self.stopper = stopper
        self.alarm = alarm
        self.phase = STARTING
        self.engines: List[Any] = []
        self.steps: List[Tuple[float, Callable[[], None]]] = []
        self.reported = 0.0
        self.counted = 0.0
        self.spent = False
        self.leave = False

    def start(self, application: Any) -> None:
        from ..engine.runtime import Engine

        first = self.sockets
        for number in range(self.assignment.replicas):
            sockets = first if number == 0 else [sock.dup() for sock in first]
            self.sockets = [*self.sockets, *sockets] if number else sockets
            engine = Engine(self.plan, application, sockets, self.assignment.number + number)
            engine.start()
            self.engines.append(engine)
        threading.Thread(target=self._await_engines, name="granian-end", daemon=True).start()
        self.phase = SERVING
        self.link.tell(line.READY, self._runtimes())
        self.reported = self.counted = time.monotonic()

    def serve(self) -> int:
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        poll.register(self.alarm, select.POLLIN)
        while self.phase != STOPPED:
            wait = self._next_wait()
            for fd, _ in poll.poll(None if wait is None else wait * 1000.0):
                if fd == self.alarm.fileno():
                    self.alarm.hush()
                else:
                    self._listen()
                    if self.link.closed:
                        poll.unregister(fd)
                        self._orphaned()
            self._look_around()
        return EXIT_STOPPED

    def _await_engines(self) -> None:
        for engine in self.engines:
            engine.join()
        self.leave = True
        self.alarm.ring()

    def _runtimes(self) -> int:
        single = self.plan.interface != "wsgi" and self.plan.runtime_mode == "st"
        return self.plan.runtime_threads if single else 0

    def _next_wait(self) -> Optional[float]:
        times = [when for when, _ in self.steps]
        if self.assignment.metrics_interval is not None:
            times.append(self.reported + self.assignment.metrics_interval)
        if self.assignment.requests is not None and not self.spent:
            times.append(self.counted + _REQUESTS_CHECK)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _listen(self) -> None:
        for what, value in self.link.heard():
            if what == line.DRAIN:
                self._drain(*value)
            elif what == line.PING:
                self.link.tell(line.PONG)
            elif what == line.HALT:
                self._halt()
            elif what == line.DISCONNECT:
                self._disconnect()
            elif what == line.DUMP:
                self._dump()

    def _look_around(self) -> None:
        stopper = self.stopper
        if stopper is not None:
            if stopper.signalled is not None and self.phase == SERVING:
                self.link.tell(line.SIGNALLED, name_of(stopper.signalled))
                self._drain(self.plan.workers_kill_timeout, 0.0)
            if stopper.dump:
                stopper.dump = False
                self._dump()
        now = time.monotonic()
        due = [step for when, step in self.steps if when <= now]
        self.steps = [entry for entry in self.steps if entry[0] > now]
        for step in due:
            step()
        self._count(now)
        if self.leave:
            self.phase = STOPPED

    def _count(self, now: float) -> None:
        assignment = self.assignment
        if assignment.requests is not None and not self.spent and now - self.counted >= 0.2:
            self.counted = now
            if self._counters()["requests_handled"] >= assignment.requests:
                self.spent = True
                self.link.tell(line.SPENT)
        interval = assignment.metrics_interval
        if interval is not None and now - self.reported >= interval:
            self.reported = now
            self.link.tell(line.METRICS, self._counters())

    def _drain(self, limit: Optional[float], grace: float) -> None:
        """Finish what was received; ``grace`` is for idle connections, ``limit`` for all."""
        if self.phase != SERVING:
            return
        self.phase = DRAINING
        if self.stopper is not None:
            self.stopper.should_exit = True
        for engine in self.engines:
            engine.drain(grace)
        for engine in self.engines:
            engine.acceptor.listening_ended.wait(_ACCEPTOR_PATIENCE)
        # Once no process has it any more, the kernel refuses new connections.
        for sock in self.sockets:
            sock.close()
        now = time.monotonic()
        if limit is None:
            self.steps.append((now + GRACE, self._disconnect))
        else:
            self.steps.append((now + limit * _DISCONNECT_SHARE, self._disconnect))
            self.steps.append((now + limit * _CANCEL_SHARE, self._cancel))
            self.steps.append((now + limit * _HALT_SHARE, self._halt))

    def _orphaned(self) -> None:
        logger.error("The main process has gone, worker-%d leaves", self.assignment.number)
        self._drain(None, 0.0)
        now = time.monotonic()
        self.steps.append((now + _ORPHAN_DISCONNECT, self._disconnect))
        self.steps.append((now + _ORPHAN_CANCEL, self._cancel))
        self.steps.append((now + _ORPHAN_HALT, self._halt))

    def _halt(self) -> None:
        if self.phase == STOPPED:
            return
        if self.stopper is not None:
            self.stopper.should_exit = True
        self.phase = DRAINING
        for engine in self.engines:
            engine.halt()
        self.steps.append((time.monotonic() + _HALT_PATIENCE, self._abandon))

    def _abandon(self) -> None:
        """Leave although the engine has not ended: a thread is stuck in the application."""
        logger.warning("Worker-%d leaves a stuck application behind", self.assignment.number)
        self.phase = STOPPED
        if self.stopper is not None:
            # A thread that never returns would keep the interpreter from ending.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(EXIT_STOPPED)

    def _disconnect(self) -> None:
        for engine in self.engines:
            engine.disconnect_streams()

    def _cancel(self) -> None:
        for engine in self.engines:
            engine.cancel_tasks()

    def _counters(self) -> Dict[str, int]:
        total: Dict[str, int] = {}
        for engine in self.engines:
            for name, value in engine.counters.items():
                total[name] = total.get(name, 0) + value
        return total

    def _dump(self) -> None:
        number = self.assignment.number
        for engine in self.engines:
            text = " ".join(f"{key}={value}" for key, value in engine.describe().items())
            logger.info("State of worker-%d (PID %d): %s", number, os.getpid(), text)
            number += 1


def configure(assignment: Assignment) -> None:
    """Configure this process for a worker: its logging and the user's loops."""
    from .._loops import loops

    plan = assignment.plan
    log.worker_id = assignment.number if assignment.replicas == 1 else None
    log.configure_logging(plan.log_level, plan.log_config, plan.log_enabled, plan.log_json)
    for key, packages, builder in assignment.loops:
        loops.register(key, packages)(builder)
