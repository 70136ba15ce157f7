"""A worker's engine: its acceptor, its runtimes, and their common life.

``Runtime`` is one thread with a poller, a loop where the interface needs one, and the application
as that thread sees it. ``Engine`` starts them, drains them and waits for them; its methods may be
called from any thread, and those that a signal handler needs only post.

States of a runtime: starting, serving, draining (nothing new is taken; ends with the last
connection and the last task), stopped.
"""

import gc
import logging
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence

from ..errors import FatalError, PeerError
from ..metrics import DurationMeter
from ..plan import WorkerPlan
from ..wire.date import date_line
from ..wire.http1.lane import HeadLane
from ..wire.http1.writer import HeadWriter
from .acceptor import Acceptor
from .connection import LINGER_TIME
from .heap import keep_top
from .http1 import Http1Connection
from .poller import Newcomer, Poller, create_poller
from .wakeup import Wakeup

if TYPE_CHECKING:
    import asyncio

    from ..wire.http2.compression import Lexicon
    from .blocking import BlockingThreads
    from .connection import Connection
    from .tasks import Tasks
    from .tls import TlsContext

_log = logging.getLogger("_granian")

STARTING, SERVING, DRAINING, STOPPED = range(4)

_LAST_LINGER = 0.25  # seconds that a half-closed connection may hold up a worker that leaves
_MOMENT = 0.05  # seconds that an idle connection has at least: its request may have arrived already

_SHED_SHARE = 32  # of the connections, one in so many is given up at a time when the worker is full


class Counters:
    """What one runtime has done; plain integers of one thread, summed by whoever asks."""

    __slots__ = (
        "connections_err",
        "connections_handled",
        "requests_handled",
        "static_requests_err",
        "static_requests_handled",
        "websockets_err",
        "websockets_handled",
    )

    def __init__(self) -> None:
        self.connections_handled = 0
        self.connections_err = 0
        self.requests_handled = 0
        self.static_requests_handled = 0
        self.static_requests_err = 0
        self.websockets_handled = 0
        self.websockets_err = 0


class Runtime:
    """One runtime thread: what its connections share.

    Attributes:
        application: The interface around the target (``waist.Application``).
        lane: Reads heads; its memos are this thread's.
        writer: Renders heads; likewise.
        linger_time: Seconds that a half-closed connection waits for the peer's end.
        call_soon: Runs a call in the loop's next turn; None where connections have no loop, or are
            not always its thread's.
        lexicon, stream_begin: What HTTP/2 connections share, once there is one.
    """

    def __init__(self, engine: "Engine", index: int) -> None:
        self.engine = engine
        self.index = index
        self.plan = engine.plan
        self.state = STARTING
        self.linger_time = LINGER_TIME
        self.counters = Counters()
        self.loop: Optional[asyncio.AbstractEventLoop] = None
        self.call_soon: Optional[Callable[[Callable[[], None]], Any]] = None
        self.tasks: Optional[Tasks] = None
        self.meter: Optional[DurationMeter] = None
        self.lane = HeadLane(self.plan.http1.buffer_size)
        self.writer = HeadWriter(date_line(time.time()))
        self.lexicon: Optional[Lexicon] = None
        self.stream_begin: Callable[..., None]
        self._greet: Callable[[Newcomer, Runtime], Connection]
        self.application: Any = None
        self.poller = self._create_poller()
        self._selector = self.poller
        self._wakeup = Wakeup()
        self.poller.adopt(self._wakeup)
        self.thread = threading.Thread(
            target=self._run, name=f"granian-runtime-{index + 1}", daemon=True
        )
        self.started = threading.Event()
        self.failure: Optional[BaseException] = None
        self._drain_at_start = False

    def _create_poller(self) -> Poller:
        return create_poller(self._welcome, self._on_second)

    # any thread

    @property
    def gauges(self) -> Dict[str, int]:
        """What is true now, and what only some kinds of runtime count."""
        gauges = {} if self.meter is None else self.meter.counted()
        gauges["requests_in_flight"] = 0 if self.tasks is None else len(self.tasks.pending)
        return gauges

    def post(self, call: Callable[[], None]) -> None:
        """Run ``call`` on this runtime's thread."""
        self._wakeup.post(call)

    def post_to(self, connection: Any, call: Callable[[], None]) -> None:
        """Run ``call`` as the owner of a connection's ``sock``; soon, if that is another thread."""
        self._wakeup.post(call)

    def visit(self, connection: Any, action: Callable[[Any], None]) -> None:
        """Run ``action(connection)`` on the thread that owns the connection."""
        action(connection)

    # the runtime's thread

    def reach(self, application: Any) -> Any:
        """Return the ``waist.Application`` that this runtime's connections begin exchanges with."""
        return application

    def _run(self) -> None:
        try:
            if self.plan.interface == "wsgi":
                self._run_blocking()
            else:
                self._run_loop()
        except BaseException as error:
            self.failure = error
            if not isinstance(error, FatalError):
                _log.exception("A runtime failed")
            if self.state != STARTING:
                # Its connections are lost; a worker that serves some of them is worse than none.
                self.engine.halt()
        finally:
            self.state = STOPPED
            self.started.set()
            # Only a runtime that failed leaves any.
            for connection in self.connections():
                connection.sock.close()
            for newcomer in list(self.poller.newcomers.values()):
                newcomer.sock.close()
            self.poller.close()
            self._wakeup.close()

    def _run_blocking(self) -> None:
        """Serve an interface that has no event loop."""
        from .adapters import create_application

        self.application = create_application(self.engine.target, self)
        self._begin_serving()
        self._serve_blocking()

    def _serve_blocking(self) -> None:
        while self.state < STOPPED:
            self.poller.select(None)

    def _run_loop(self) -> None:
        """Serve an asynchronous interface on this thread's own loop."""
        import asyncio

        from .adapters import create_application, create_lifecycle
        from .bridge import create_loop
        from .tasks import create_tasks

        loop = self.loop = create_loop(self.plan.loop, self._selector)
        self.call_soon = loop.call_soon
        self.tasks = create_tasks(loop, self.plan.step_coroutines)
        lifecycle = create_lifecycle(self.engine.target, self)
        try:
            lifecycle.startup(loop)
            self.application = create_application(self.engine.target, self, lifecycle)
            self._begin_serving()
            loop.run_forever()
            lifecycle.shutdown(loop)
        finally:
            _cancel_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            if sys.version_info >= (3, 9):
                loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()

    def protocol(self, alpn: Optional[str]) -> "Callable[[Newcomer, Runtime], Connection]":
        """Choose who serves a connection for which ALPN chose this, or nothing.

        Where HTTP/1 is chosen and HTTP/2 allowed, a preface still leads to HTTP/2.
        """
        if self.plan.http == "2" or alpn == "h2":
            from .http2 import Http2Connection

            return Http2Connection

        return Http1Connection

    def _begin_serving(self) -> None:
        if self.engine.tls is None:
            self._greet = self.protocol(None)
        else:
            from .tls import TlsHandshake

            self._greet = TlsHandshake
        self.state = SERVING
        self.started.set()
        if self._drain_at_start:
            self.post(lambda: self.drain(0.0))

    def _welcome(self, newcomer: Newcomer) -> Any:
        """Make a connection of a socket whose first octets have arrived."""
        self.counters.connections_handled += 1
        connection = self._greet(newcomer, self)
        self.poller.replace(connection)
        if self.state == DRAINING:
            connection.drain(_MOMENT)
        connection.on_readable()
        return connection

    def _on_second(self) -> None:
        self.writer.date = line = date_line(time.time())
        if self.lexicon is not None:
            self.lexicon.set_date(line[6:-2])

    def log_refusal(self, connection: "Connection", error: PeerError) -> None:
        """Say at debug level why a client was refused: its fault, not the operator's."""
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("Refused %s with %d: %s", connection.client, error.status, error.reason)

    def on_closed(self, connection: "Connection") -> None:
        """A connection of this runtime has closed."""
        if connection.context is not None:
            self.application.disconnect(connection.context)
        if self.state == DRAINING:
            self.end_when_empty()
        else:
            self.engine.acceptor.on_closed()

    @property
    def stopped(self) -> bool:
        """Tell whether the thread has ended, or is about to."""
        return self.state == STOPPED

    @property
    def draining(self) -> bool:
        """Tell whether nothing new is taken."""
        return self.state == DRAINING

    def connections(self) -> "List[Connection]":
        """Return the connections being served."""
        return [
            connection
            for connection in list(self.poller.connections.values())
            if not isinstance(connection, Wakeup)
        ]

    def shed_idle(self) -> None:
        """Close the connections that have been idle longest: others wait for their places."""
        idle = [connection for connection in self.connections() if connection.idle]
        idle.sort(key=lambda connection: connection.deadline)
        for connection in idle[: max(1, len(idle) // _SHED_SHARE)]:
            self.visit(connection, _lose_idle)

    def drain(self, grace: float) -> None:
        """Serve what has been received, then end."""
        if self.state == STARTING:
            self._drain_at_start = True
        if self.state != SERVING:
            return
        self.state = DRAINING
        self.linger_time = _LAST_LINGER
        for connection in self.connections():
            self.visit(connection, lambda visited: visited.drain(max(grace, _MOMENT)))
        self.end_when_empty()

    def end_when_empty(self) -> None:
        """End if this runtime is draining and nothing is left to serve."""
        if self.state != DRAINING or self.engine.acceptor.offering:
            return
        if len(self.poller.connections) > 1 or self.poller.newcomers:
            return
        pending = self.tasks.pending if self.tasks is not None else None
        if pending:
            for task in list(pending):
                task.add_done_callback(self._on_task_done)
            return
        self.end()

    def _on_task_done(self, _: object) -> None:
        if self.state == DRAINING:
            self.post(self.end_when_empty)

    def end(self) -> None:
        """Stop the thread's loop now."""
        self.state = STOPPED
        if self.loop is not None:
            self.loop.stop()

    def halt(self) -> None:
        """Drop everything and end."""
        for connection in self.connections():
            self.visit(connection, _lose)
        if self.tasks is not None:
            for task in list(self.tasks.pending):
                task.cancel()
        self.end()

    def disconnect_streams(self) -> None:
        """Tell running exchanges that their client is gone, though it is not."""
        for connection in self.connections():
            self.visit(connection, _disconnect)

    def cancel_tasks(self) -> None:
        """Cancel what still runs of the application."""
        if self.tasks is not None:
            for task in list(self.tasks.pending):
                task.cancel()


class Engine:
    """Everything of a worker that serves.

    Args:
        plan: What was configured.
        target: The application, loaded.
        sockets: Listening sockets; they stay open.
        number: Of the worker, for its access lines.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        target: Any,
        sockets: Sequence[socket.socket],
        number: int = 1,
    ) -> None:
        self.plan = plan
        self.target = target
        self.number = number
        self.tls: Optional[TlsContext] = None
        self.stream_threads: Optional[BlockingThreads] = None
        if plan.tls is not None:
            from .tls import create_context

            self.tls = create_context(plan.tls, plan.http)
        threads = plan.runtime_threads if plan.runtime_mode == "st" else 1
        self.runtimes = self._create_runtimes(threads)
        self.acceptor = Acceptor(
            sockets,
            self.runtimes,
            plan.backpressure,
            plan.http1.header_read_timeout,
            plan.workers > 1,
        )

    def _create_runtimes(self, count: int) -> List[Runtime]:
        if self.plan.interface == "wsgi":
            # Its threads are the blocking threads; runtime threads beside them had no work.
            count = 1
            if self.plan.blocking_threads > 1:
                from .threads import create_blocking_runtimes

                return create_blocking_runtimes(self)
        elif self.plan.runtime_mode == "mt" and self.plan.runtime_threads > 1:
            from .hosted import create_hosted_runtimes

            return create_hosted_runtimes(self, self.plan.runtime_threads)
        return [Runtime(self, index) for index in range(count)]

    def start(self) -> None:
        """Run the application's startup on every runtime, then accept.

        Raises:
            FatalError: The application's startup failed; its reason has been logged.
        """
        keep_top()
        for runtime in self.runtimes:
            runtime.thread.start()
        for runtime in self.runtimes:
            runtime.started.wait()
        failures = [runtime.failure for runtime in self.runtimes if runtime.failure is not None]
        if failures:
            for runtime in self.runtimes:
                runtime.post(runtime.end)
            self.join(5.0)
            if isinstance(failures[0], FatalError):
                raise failures[0]
            raise FatalError("The application could not be started") from failures[0]
        # The application and the server are loaded: what is alive now stays, so it need not be
        # visited by every collection, nor be copied by one in a forked child.
        gc.collect()
        gc.freeze()
        self.accept()

    def accept(self) -> None:
        """Start to accept; ``start`` ends with it."""
        self.acceptor.offering = True
        self.acceptor.start()

    # any thread

    def drain(self, grace: float = 0.0) -> None:
        """Accept nothing new, answer what was received, then end; idempotent.

        Args:
            grace: Seconds an idle connection may use to send one more request, answered as its
                last; given where another worker goes on with the same listeners.
        """
        self.acceptor.stop(max(grace, _MOMENT), followed=grace > 0.0)
        for runtime in self.runtimes:
            runtime.post(lambda runtime=runtime: runtime.drain(grace))  # type: ignore[misc]

    def halt(self) -> None:
        """End now, dropping every connection; idempotent."""
        self.acceptor.stop()
        for runtime in self.runtimes:
            runtime.post(runtime.halt)

    def disconnect_streams(self) -> None:
        """Deliver a disconnect to every exchange that still runs."""
        for runtime in self.runtimes:
            runtime.post(runtime.disconnect_streams)

    def cancel_tasks(self) -> None:
        """Cancel every application task that still runs."""
        for runtime in self.runtimes:
            runtime.post(runtime.cancel_tasks)

    def join(self, timeout: Optional[float] = None) -> bool:
        """Wait until every thread has ended; False when the time ran out first."""
        end = None if timeout is None else time.monotonic() + timeout
        threads = [runtime.thread for runtime in self.runtimes]
        for thread in [self.acceptor, *threads]:
            if thread.ident is not None:
                thread.join(None if end is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in [self.acceptor, *threads])

    @property
    def connection_count(self) -> int:
        """Connections open now, those that have not spoken yet included."""
        return sum(
            len(runtime.poller.connections) - 1 + len(runtime.poller.newcomers)
            for runtime in self.runtimes
        )

    @property
    def counters(self) -> Dict[str, int]:
        """Sum what the runtimes have counted."""
        total = {
            name: sum(getattr(runtime.counters, name) for runtime in self.runtimes)
            for name in Counters.__slots__
        }
        total["connections_active"] = self.connection_count
        for runtime in self.runtimes:
            for name, value in runtime.gauges.items():
                total[name] = total.get(name, 0) + value
        return total

    def describe(self) -> Dict[str, Any]:
        """Return the worker's state for a person: connections by phase, threads, queue, lag.

        Waits for the runtimes a moment, so not for their threads.
        """
        phases: Dict[str, int] = {}
        for runtime in self.runtimes:
            for connection in runtime.connections():
                name = phase_name(connection)
                phases[name] = phases.get(name, 0) + 1
        return {
            "connections": self.connection_count,
            "phases": phases,
            "threads": [thread.name for thread in threading.enumerate()],
            "runtimes": [
                {
                    "index": runtime.index + 1,
                    "connections": len(runtime.poller.connections) - 1,
                    "waiting": len(runtime.poller.newcomers),
                    "lag_ms": round(lag * 1000.0, 1),
                    "tasks": len(runtime.tasks.pending) if runtime.tasks is not None else 0,
                }
                for runtime, lag in zip(self.runtimes, self.measure_lags())
            ],
            **self.counters,
        }

    def measure_lags(self, patience: float = 0.25) -> List[float]:
        """Return the seconds until each runtime does what it is asked to do now.

        Args:
            patience: Seconds to wait for the slowest; for one that did nothing meanwhile, how long
                it has been busy with something else already.
        """
        probes = [_Probe() for _ in self.runtimes]
        for runtime, probe in zip(self.runtimes, probes):
            runtime.post(probe)
        end = time.monotonic() + patience
        lags = []
        for runtime, probe in zip(self.runtimes, probes):
            if probe.done.wait(max(0.0, end - time.monotonic())):
                lags.append(probe.lag)
            else:
                busy = runtime.poller.busy_since
                lags.append(max(time.monotonic() - busy if busy else 0.0, patience))
        return lags


class _Probe:
    """Posted to a runtime to see how soon it runs."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.lag = 0.0
        self._posted = time.monotonic()

    def __call__(self) -> None:
        self.lag = time.monotonic() - self._posted
        self.done.set()


def phase_name(connection: "Connection") -> str:
    """Say what a connection speaks and where it is in that: ``http1 idle``."""
    module = sys.modules[type(connection).__module__]
    names: Sequence[str] = vars(module)["PHASE_NAMES"]
    return f"{module.__name__.rpartition('.')[2]} {names[connection.phase]}"


def _lose(connection: "Connection") -> None:
    connection.lose()


def _lose_idle(connection: "Connection") -> None:
    if connection.idle:
        connection.lose()


def _disconnect(connection: "Connection") -> None:
    connection.disconnect_streams()


def _cancel_all(loop: "asyncio.AbstractEventLoop") -> None:
    import asyncio

    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
