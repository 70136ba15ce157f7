"""The supervisor: binds, starts workers, watches them, replaces them, stops them.

``AbstractServer`` owns the main process from ``serve`` to its end; what a worker is made of, ``mp``
and ``mt`` say. Everything runs on the main thread; other threads and signal
handlers only set a flag and ring the alarm. It never serves a request itself.

The order of a life: log, pid file, signal handlers, bind, log the address, env files, startup
hooks, the first worker, and once that one serves the others. An application that cannot be loaded
is therefore reported once, however many workers there are.
"""

import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from .. import net
from .._loops import loops
from ..constants import (
    HTTPModes,
    Interfaces,
    Loops,
    RuntimeModes,
    SSLProtocols,
    TaskImpl,
)
from ..errors import FatalError
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogLevels, configure_logging, logger
from ..plan import SupervisorPlan, WorkerPlan
from . import link as line
from . import title
from .crew import DEAD, SERVING, Body, Crew, Member
from .environment import Environment
from .keywords import ALIASES, plans_of
from .notify import Notifier
from .pidfile import PidFile
from .respawn import Respawns
from .signals import CHILD, DUMP, HANGUP, STOP_SIGNALS, Alarm, Handlers
from .upkeep import Upkeep
from .worker import Assignment

if TYPE_CHECKING:
    from .exporter import Exporter
    from .newborn import Newborn
    from .reloader import Reloader

Hook = TypeVar("Hook", bound=Callable[[], Any])

SIGNAL_RACE = 0.25
"""Seconds in which a signal that a worker got may reach the supervisor as well."""

PATIENCE = 1.0
"""Seconds of a stop after which it is said what it waits for."""

IDLE_GRACE = 0.5
"""Seconds in which a connection that outlives its worker may send one more request, to be told
``Connection: close`` with the answer instead of being closed between two requests."""

HANGING = 5.0
"""Seconds after which a worker that has not started gives way to changed files."""

RELOAD_PATIENCE = 2.0
"""Seconds that workers get to finish when a file has changed: nobody waits for old code."""


class Interrupt(threading.Event):
    """The event that ends ``serve``, with a bell; setting it from any thread is enough."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__()
        self._alarm = alarm

    def set(self) -> None:
        """Set the event and wake the supervisor."""
        super().set()
        self._alarm.ring()


class AbstractServer:
    """A supervisor; subclasses say what its workers are made of.

    The public attributes are those of upstream; assigning to them before ``serve`` has the effect
    of the keyword that they come from only where that is said. Instances serve once.
    """

    def __init__(
        self,
        target: str,
        address: str = "127.0.0.1",
        port: int = 8000,
        uds: "Optional[os.PathLike[str]]" = None,
        uds_permissions: Optional[int] = None,
        interface: Interfaces = Interfaces.RSGI,
        workers: int = 1,
        blocking_threads: Optional[int] = None,
        blocking_threads_idle_timeout: int = 30,
        runtime_threads: int = 1,
        runtime_blocking_threads: Optional[int] = None,
        runtime_mode: RuntimeModes = RuntimeModes.auto,
        loop: Loops = Loops.auto,
        task_impl: TaskImpl = TaskImpl.asyncio,
        http: HTTPModes = HTTPModes.auto,
        websockets: bool = True,
        backlog: int = 1024,
        backpressure: Optional[int] = None,
        http1_settings: Optional[HTTP1Settings] = None,
        http2_settings: Optional[HTTP2Settings] = None,
        log_enabled: bool = True,
        log_level: Optional[LogLevels] = LogLevels.info,
        log_dictconfig: Optional[Dict[str, Any]] = None,
        log_access: bool = False,
        log_access_format: Optional[str] = None,
        ssl_cert: Optional[Path] = None,
        ssl_key: Optional[Path] = None,
        ssl_key_password: Optional[str] = None,
        ssl_protocol_min: SSLProtocols = SSLProtocols.tls13,
        ssl_ca: Optional[Path] = None,
        ssl_crl: Optional[List[Path]] = None,
        ssl_client_verify: bool = False,
        url_path_prefix: Optional[str] = None,
        respawn_failed_workers: bool = False,
        respawn_interval: float = 3.5,
        rss_sample_interval: int = 30,
        rss_samples: int = 1,
        workers_lifetime: Optional[int] = None,
        workers_max_rss: Optional[int] = None,
        workers_kill_timeout: Optional[int] = None,
        factory: bool = False,
        working_dir: Optional[Path] = None,
        env_files: Optional[Sequence[Path]] = None,
        static_path_route: Optional[Sequence[str]] = None,
        static_path_mount: Optional[Sequence[Path]] = None,
        static_path_dir_to_file: Optional[str] = None,
        static_path_expires: int = 86_400,
        metrics_enabled: bool = False,
        metrics_scrape_interval: int = 15,
        metrics_address: str = "127.0.0.1",
        metrics_port: int = 9090,
        reload: bool = False,
        reload_paths: Optional[Sequence[Path]] = None,
        reload_ignore_dirs: Optional[Sequence[str]] = None,
        reload_ignore_patterns: Optional[Sequence[str]] = None,
        reload_ignore_paths: Optional[Sequence[Path]] = None,
        reload_filter: Optional[Any] = None,
        reload_tick: int = 50,
        reload_ignore_worker_failure: Optional[bool] = None,
        process_name: Optional[str] = None,
        pid_file: Optional[Path] = None,
        **more: Any,
    ) -> None:
        """Check the settings and configure logging; nothing is bound yet.

        ``more`` takes every other setting of the command by its name in a configuration file
        (``workers_max_requests=1000``) and the keywords of the 1.x line.
        """
        made: Optional[Tuple[SupervisorPlan, WorkerPlan]] = more.pop("plans", None)
        if made is not None:
            self._settle(made[0], made[1], reload_filter)
            return
        keywords = dict(locals())
        for name in ("self", "more", "made", "__class__"):
            keywords.pop(name, None)
        for name, value in more.items():
            keywords[ALIASES.get(name, name)] = value
        plans = plans_of(keywords)
        self._settle(plans.supervisor, plans.worker, reload_filter)
        for warning in plans.warnings:
            logger.warning("%s", warning)

    @classmethod
    def from_plans(cls, supervisor: SupervisorPlan, worker: WorkerPlan) -> "AbstractServer":
        """Make a server from plans that the command has made already.

        It passes through the constructor, which extensions override to add a keyword of theirs.
        """
        return cls(worker.target, plans=(supervisor, worker))

    def _settle(
        self, supervisor: SupervisorPlan, worker: WorkerPlan, reload_filter: Optional[Any]
    ) -> None:
        self.plan = supervisor
        self.worker_plan = worker
        self.reload_filter = reload_filter
        self._expose(supervisor, worker)
        configure_logging(self.log_level, self.log_config, self.log_enabled, worker.log_json)
        self.hooks_startup: List[Callable[[], Any]] = []
        self.hooks_reload: List[Callable[[], Any]] = []
        self.hooks_shutdown: List[Callable[[], Any]] = []
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
        self._sockets: List[socket.socket] = []
        self._shd: Optional[net.SocketHolder] = None
        self._sfd: Optional[int] = None
        self._sso: Optional[socket.socket] = None
        self._uds_identity: Optional[Tuple[int, int]] = None
        self._pid_file: Optional[PidFile] = None
        self._loader: Tuple[Optional[Callable[..., Any]], bool] = (None, True)
        self._spawn_target: Optional[Callable[..., Any]] = None
        self._respawns = Respawns(supervisor)
        self.crew = Crew(self._alarm, self._on_metrics)
        self._environment = Environment(worker.env_files)
        self._notifier = Notifier()
        self._watch_at: Optional[float] = None
        self._upkeep = Upkeep(supervisor)
        self._newborn: Optional[Newborn] = None
        self._exporter: Optional[Exporter] = None
        self._reloader: Optional[Reloader] = None

    def _expose(self, supervisor: SupervisorPlan, worker: WorkerPlan) -> None:
        self.target = worker.target
        self.bind_addr = supervisor.host
        self.bind_port = supervisor.port
        self.bind_uds = None if supervisor.uds is None else Path(supervisor.uds)
        self.interface = Interfaces(worker.interface)
        self.workers = supervisor.workers
        self.runtime_threads = worker.runtime_threads
        self.runtime_blocking_threads = worker.runtime_blocking_threads
        self.runtime_mode = RuntimeModes(worker.runtime_mode)
        self.loop = worker.loop
        self.task_impl = TaskImpl.rust if worker.step_coroutines else TaskImpl.asyncio
        self.http = HTTPModes(worker.http)
        self.websockets = worker.websockets
        self.backlog = supervisor.backlog
        self.backpressure = worker.backpressure
        self.blocking_threads = worker.blocking_threads
        self.http1_settings = worker.http1
        self.http2_settings = worker.http2
        self.log_enabled = worker.log_enabled
        self.log_level = worker.log_level
        self.log_config = worker.log_config
        self.log_access = worker.log_access
        self.log_access_format = worker.log_access_format
        self.ssl_ctx = worker.tls
        self.url_path_prefix = worker.url_path_prefix or None
        self.respawn_failed_workers = supervisor.respawn_failed_workers
        self.reload_on_changes = supervisor.reload is not None
        self.respawn_interval = supervisor.respawn_interval
        self.factory = worker.factory
        self.working_dir = worker.working_dir
        self.env_files = worker.env_files
        self.static_path = worker.static
        self.process_name = supervisor.process_name
        self.pid_file = supervisor.pid_file

    @property
    def wrks(self) -> List[Member]:
        """The workers that serve now."""
        return self.crew.serving

    @property
    def urls(self) -> List[str]:
        """Where this server is reached; empty until it is bound."""
        scheme = "http" if self.worker_plan.tls is None else "https"
        return [net.url(sock, scheme) for sock in self._sockets]

    def on_startup(self, hook: Hook) -> Hook:
        """Register a callable for the main process: after binding, before the first worker."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Register a callable for the main process: before workers are replaced on request."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Register a callable for the main process: after the last worker has gone."""
        self.hooks_shutdown.append(hook)
        return hook

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
        _call(self.hooks_startup)
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
        for sock in self._sockets:
            sock.close()
        if self.crew.present:
            self._stop_workers()
        if self._hooked:
            _call(self.hooks_shutdown)
        if self.plan.uds is not None:
            net.unlink_own(self.plan.uds, self._uds_identity)
        if self._pid_file is not None:
            self._pid_file.remove()
        self._handlers.restore()
        self.crew.close()
        self._alarm.close()

    def _prepare(self) -> None:
        """Check what must hold in the main process before anything is bound."""
        title.check(self.plan.process_name)
        if self.worker_plan.tls is not None:
            from ..engine import tls  # a server in clear text needs no ssl

            tls.check(self.worker_plan.tls, self.worker_plan.http)

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

    def _listen(self) -> None:
        self._init_shared_socket()
        if not self._sockets:
            # A subclass made the socket itself, and left what it made in upstream's attributes.
            if self._sso is None and self._shd is not None:
                self._sso = self._shd.listen()
            if self._sso is not None:
                self._sockets = [net.listening(self._sso, self.backlog)]
        scheme = "http" if self.worker_plan.tls is None else "https"
        for sock in self._sockets:
            sock.setblocking(False)
            logger.info("Listening at: %s", net.url(sock, scheme))

    def _init_shared_socket(self) -> None:
        plan = self.plan
        passed = net.take_activated()
        if passed:
            self._sockets = [net.adopt(number, plan.backlog) for number in passed]
            logger.info("Serving on sockets passed by the service manager, not on host and port")
        else:
            self._sockets = net.open_listeners(plan)
        if plan.uds is not None:
            self._uds_identity = net.identity(plan.uds)
        elif self._sockets[0].family != socket.AF_UNIX:
            self.bind_port = self._sockets[0].getsockname()[1]
        self._sso = self._sockets[0]
        self._sfd = self._sso.fileno()
        self._shd = net.SocketHolder(self._sfd, plan.uds is not None, plan.backlog)

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

    def _spawn(self, number: int, respawned: bool = False) -> Member:
        body = self._make_body(self._assignment(number))
        member = Member(number, body, respawned, self._workers_at(number))
        for worker in member.workers:
            logger.info("Spawning worker-%d with %s: %d", worker, body.kind, body.pid)
        self.crew.join(member)
        self._upkeep.spawned(member)
        return member

    def _await_ready(self, members: Sequence[Member]) -> bool:
        """Wait until each has taken its place or died, or something else is more urgent.

        Returns:
            True if all have taken their places.
        """
        waiting = list(members)
        outdated_at = time.monotonic() + HANGING
        while waiting and not self._stopping:
            change = None if self._reloader is None else self._reloader.wait()
            if change is None:
                self.crew.pump(None)
            else:
                self.crew.pump(max(change, outdated_at - time.monotonic(), 0.0))
                if time.monotonic() >= outdated_at:
                    return False  # what hangs there may have been mended meanwhile
            for member in [one for one in waiting if one.phase == SERVING]:
                waiting.remove(member)
                self._take_place(member)
            if any(member.phase == DEAD for member in waiting):
                waiting = [member for member in waiting if member.phase != DEAD]
                members = ()
        return bool(members) and not waiting

    def _take_place(self, member: Member) -> None:
        """Let a ready worker serve; who served in its place finishes and leaves."""
        for worker in member.workers:
            logger.info("Started worker-%d", worker)
            for runtime in range(1, member.runtimes + 1):
                logger.info("Started worker-%d runtime-%d", worker, runtime)
        predecessor = self.crew.seat(member)
        if predecessor is not None and not predecessor.ended:
            predecessor.replaced = True
            for worker in predecessor.workers:
                logger.info("Stopping old worker-%d", worker)
            self._dismiss(predecessor, IDLE_GRACE)

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
            if group and not self._await_ready([self._spawn(number) for number in group]):
                return
        self._notifier.ready(f"Serving with {self.workers} workers")

    def _serve_loop(self) -> None:
        if self._notifier.watchdog is not None:
            self._watch_at = time.monotonic()
        while not self._stopping:
            self._see_deaths()
            self._respawn_due()
            if self.reload_signal and not self._stopping:
                self._reload()
            self._reload_on_change()
            self._replace_worn()
            if self._dump_signal:
                self._dump()
            self._feed_watchdog()
            if not self._stopping:
                self.crew.pump(self._next_wait())

    def _next_wait(self) -> Optional[float]:
        if self.crew.dead or self.reload_signal or self._dump_signal:
            return 0.0
        now = time.monotonic()
        waits = [
            when - now for when in (*self._respawns.due.values(), *self._upkeep.times(self.crew))
        ]
        if self._watch_at is not None:
            waits.append(self._watch_at - now)
        change = None if self._reloader is None else self._reloader.wait()
        if change is not None:
            waits.append(change)
        return max(0.0, min(waits)) if waits else None

    def _see_deaths(self) -> None:
        while self.crew.dead and not self._stopping:
            member = self.crew.dead.pop(0)
            if member.signalled and self._signal_is_shared():
                return
            self._report_death(member)
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

    def _report_death(self, member: Member) -> None:
        if member.failure is not None:
            logger.error("%s", member.failure)
        logger.error("Unexpected exit from %s (%s)", member.name, self.crew.why(member))

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
        return self._await_ready([self._spawn(number, respawned)])

    def _dismiss(self, member: Member, grace: float) -> None:
        self.crew.dismiss(member, self.plan.workers_kill_timeout, grace)

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
            _call(self.hooks_reload)
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
                self._report_death(member)
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
                self._dismiss(member, 0.0)
        begun = time.monotonic()
        told = False
        while self.crew.present:
            if self._signals and self._signals[-1] > begun + SIGNAL_RACE:
                logger.info("Second signal, stopping now")
                self._signals.clear()
                for member in self.crew.leaving:
                    self.crew.halt(member)
            self.crew.pump(None if told else max(0.0, begun + PATIENCE - time.monotonic()))
            if not told and time.monotonic() >= begun + PATIENCE and self.crew.present:
                told = True
                names = ", ".join(member.name for member in self.crew.present)
                logger.info("Waiting for %s to finish, a second signal stops now", names)

    def _feed_watchdog(self) -> None:
        """Tell the service manager that all workers have answered since the last time."""
        now = time.monotonic()
        if self._watch_at is None or now < self._watch_at or self._notifier.watchdog is None:
            return
        self._watch_at = now + self._notifier.watchdog
        members = self.crew.serving
        if all(member.answered for member in members):
            self._notifier.alive()
        for member in members:
            member.answered = False
            member.body.link.tell(line.PING)

    def _dump(self) -> None:
        self._dump_signal = False
        names = ("starting", "serving", "leaving")
        members = " ".join(f"{one.name}={one.pid}/{names[one.phase]}" for one in self.crew.present)
        logger.info("State of the main process (PID %d): %s", self.pid, members)
        self.crew.tell_all(line.DUMP)


def _call(hooks: Sequence[Callable[[], Any]]) -> None:
    for hook in hooks:
        hook()
