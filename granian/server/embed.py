"""A server inside the caller's own event loop: one worker, no processes, no signals.

``Server.serve`` is awaited on the loop that also runs the application; only accepting connections
has a thread of its own. Everything here runs on that loop's thread; ``stop`` and ``reload`` belong
there too (from elsewhere: ``loop.call_soon_threadsafe(server.stop)``).
"""

import asyncio
from typing import Any, Callable, List, Optional

from ..constants import Interfaces
from ..engine.adapters import create_application, create_lifecycle
from ..engine.bridge import LoopDriver
from ..engine.runtime import STOPPED, Engine, Runtime
from ..engine.tasks import EagerTasks
from ..errors import ConfigurationError, FatalError
from ..log import logger
from .base import BaseServer, call
from .keywords import like

_FOR_PROCESSES = (
    "uds_permissions",
    "workers",
    "runtime_mode",
    "loop",
    "respawn_failed_workers",
    "respawn_interval",
    "rss_sample_interval",
    "rss_samples",
    "workers_lifetime",
    "workers_max_rss",
    "workers_kill_timeout",
    "working_dir",
    "env_files",
    "metrics_enabled",
    "metrics_scrape_interval",
    "metrics_address",
    "metrics_port",
    "reload",
    "reload_paths",
    "reload_ignore_dirs",
    "reload_ignore_patterns",
    "reload_ignore_paths",
    "reload_filter",
    "reload_tick",
    "reload_ignore_worker_failure",
    "process_name",
    "pid_file",
)
"""Keywords about what there is none of here: processes, their loops and what watches them."""

_HALT_PATIENCE = 2.0
"""Seconds that connections get to close when the task that serves is cancelled."""


class GuestRuntime(Runtime):
    """A runtime on a loop that somebody else runs."""

    def __init__(self, engine: Engine, index: int) -> None:
        super().__init__(engine, index)
        self.ended = asyncio.get_running_loop().create_future()

    async def host(self, ready: Callable[[], None]) -> None:
        """Serve on the running loop until drained or halted.

        Raises:
            FatalError: The application's startup failed.
        """
        loop = self.loop = asyncio.get_running_loop()
        self.call_soon = loop.call_soon
        self.tasks = EagerTasks(loop)
        lifecycle = create_lifecycle(self.engine.target, self)
        lifespan = lifecycle.lifespan
        if lifespan is not None:
            await lifespan.startup()
            if lifespan.errored:
                raise FatalError("ASGI lifespan startup failed")
        else:
            lifecycle.startup(loop)
        driver = LoopDriver(loop, self.poller)
        driver.start()
        try:
            self.application = create_application(self.engine.target, self, lifecycle)
            self._begin_serving()
            ready()
            await self.ended
        finally:
            driver.stop()
            if lifespan is not None:
                await lifespan.shutdown()
            else:
                lifecycle.shutdown(loop)

    def end(self) -> None:
        """Let ``host`` return; the loop goes on."""
        self.state = STOPPED
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Give the descriptors back."""
        self.poller.close()
        self._wakeup.close()


class GuestEngine(Engine):
    """An engine whose one runtime lives on the running loop."""

    def _create_runtimes(self, count: int) -> List[Runtime]:
        return [GuestRuntime(self, index) for index in range(count)]

    async def serve(self) -> None:
        """Run the application's startup, accept, and return when drained or halted."""
        (runtime,) = self.runtimes
        assert isinstance(runtime, GuestRuntime)
        try:
            await runtime.host(self.accept)
        except asyncio.CancelledError:
            runtime.halt()
            raise
        finally:
            runtime.state = STOPPED
            if self.acceptor.ident is None:
                self.acceptor.close()
            else:
                self.acceptor.stop()
                self.acceptor.join(_HALT_PATIENCE)
            runtime.close()


class Server(BaseServer):
    """A server for an application object, awaited inside the caller's loop.

    Args:
        target: The application itself, or what makes it when ``factory`` is set.

    The other parameters are those of ``granian.Granian`` that make sense for one worker.

    Raises:
        ConfigurationError: The interface is WSGI, or settings contradict each other.
    """

    @like(BaseServer.__init__, without=_FOR_PROCESSES, backlog=128)
    def __init__(self, target: Any, interface: Interfaces, **keywords: Any) -> None:
        if str(interface) == "wsgi":
            raise ConfigurationError("WSGI applications cannot be served from an event loop")
        # One runtime on one loop, whatever is asked for.
        keywords["runtime_threads"] = 1
        super().__init__("embedded", interface=interface, **keywords)
        self.target = target
        self._engine: Optional[GuestEngine] = None
        self._stopped = False
        self._reloading = False

    def stop(self) -> None:
        """Finish what was received, then let ``serve`` return."""
        self._stopped = True
        if self._engine is not None:
            self._engine.drain()

    def reload(self) -> None:
        """Finish what was received, then start the application anew on the same socket."""
        self._reloading = True
        if self._engine is not None:
            self._engine.drain(0.0)

    async def serve(self, spawn_target: Optional[Callable[..., Any]] = None) -> None:
        """Serve until ``stop``; await it on the loop that runs the application.

        Args:
            spawn_target: Accepted for upstream's callers; there is nothing to spawn.

        Raises:
            FatalError: The address cannot be had, or the application's startup failed.
        """
        logger.info("Starting granian (embedded)")
        self._listen()
        try:
            call(self.hooks_startup)
            while not self._stopped:
                await self._serve_once()
                if self._reloading and not self._stopped:
                    self._reloading = False
                    logger.info("Reloading")
                    call(self.hooks_reload)
        finally:
            logger.info("Shutting down granian")
            self._close_sockets()
            self._remove_socket_file()
            call(self.hooks_shutdown)
            logger.info("Granian shutdown completed, see ya!")

    async def _serve_once(self) -> None:
        target = self.target() if self.factory else self.target
        self._engine = GuestEngine(self.worker_plan, target, self._sockets)
        try:
            await self._engine.serve()
        finally:
            self._engine = None
        if not self._reloading:
            self._stopped = True
