"""A server inside the caller's own event loop: one worker, no processes, no signals.

``Server.serve`` is awaited on the loop that also runs the application; only accepting connections
has a thread of its own. Everything here runs on that loop's thread; ``stop`` and ``reload`` belong
there too (from elsewhere: ``loop.call_soon_threadsafe(server.stop)``).
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, TypeVar

from .. import net
from ..constants import HTTPModes, Interfaces, SSLProtocols, TaskImpl
from ..engine.adapters import create_application, create_lifecycle
from ..engine.bridge import LoopDriver
from ..engine.runtime import STOPPED, Engine, Runtime
from ..engine.tasks import EagerTasks
from ..errors import ConfigurationError, FatalError
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogLevels, configure_logging, logger
from ..plan import SupervisorPlan, WorkerPlan
from .keywords import plans_of

Hook = TypeVar("Hook", bound=Callable[[], Any])

_HALT_PATIENCE = 2.0
"""Seconds that connections get to close when the task that serves is cancelled."""


class HostedRuntime(Runtime):
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


class HostedEngine(Engine):
    """An engine whose one runtime lives on the running loop."""

    def _create_runtimes(self, count: int) -> List[Runtime]:
        return [HostedRuntime(self, index) for index in range(count)]

    async def serve(self) -> None:
        """Run the application's startup, accept, and return when drained or halted."""
        (runtime,) = self.runtimes
        assert isinstance(runtime, HostedRuntime)
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


class Server:
    """A server for an application object, awaited inside the caller's loop.

    Args:
        target: The application itself, or what makes it when ``factory`` is set.

    The other parameters are those of ``granian.Granian`` that make sense for one worker.

    Raises:
        ConfigurationError: The interface is WSGI, or settings contradict each other.
    """

    def __init__(
        self,
        target: Any,
        address: str = "127.0.0.1",
        port: int = 8000,
        uds: "Optional[os.PathLike[str]]" = None,
        interface: Interfaces = Interfaces.RSGI,
        blocking_threads: Optional[int] = None,
        blocking_threads_idle_timeout: int = 30,
        runtime_threads: int = 1,
        runtime_blocking_threads: Optional[int] = None,
        task_impl: TaskImpl = TaskImpl.asyncio,
        http: HTTPModes = HTTPModes.auto,
        websockets: bool = True,
        backlog: int = 128,
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
        factory: bool = False,
        static_path_route: Optional[Sequence[str]] = None,
        static_path_mount: Optional[Sequence[Path]] = None,
        static_path_dir_to_file: Optional[str] = None,
        static_path_expires: int = 86_400,
        **more: Any,
    ) -> None:
        keywords = dict(locals())
        for name in ("self", "more", "target", "factory", "__class__"):
            keywords.pop(name, None)
        if str(interface) == "wsgi":
            raise ConfigurationError("WSGI applications cannot be served from an event loop")
        # One runtime on one loop, whatever is asked for.
        plans = plans_of({**keywords, **more, "runtime_threads": 1, "target": "embedded"})
        self.target = target
        self.factory = factory
        self.plan: SupervisorPlan = plans.supervisor
        self.worker_plan: WorkerPlan = plans.worker._replace(factory=factory)
        self.bind_addr = self.plan.host
        self.bind_port = self.plan.port
        self.backlog = self.plan.backlog
        self.interface = Interfaces(self.worker_plan.interface)
        self.hooks_startup: List[Callable[[], Any]] = []
        self.hooks_reload: List[Callable[[], Any]] = []
        self.hooks_shutdown: List[Callable[[], Any]] = []
        self._sockets: List[socket.socket] = []
        self._shd: Optional[net.SocketHolder] = None
        self._sfd: Optional[int] = None
        self._sso: Optional[socket.socket] = None
        self._engine: Optional[HostedEngine] = None
        self._stopped = False
        self._reloading = False
        worker = self.worker_plan
        configure_logging(worker.log_level, worker.log_config, worker.log_enabled, worker.log_json)
        for warning in plans.warnings:
            logger.warning("%s", warning)

    def on_startup(self, hook: Hook) -> Hook:
        """Register a callable that runs after binding, before the application starts."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Register a callable that runs before the application is started anew."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Register a callable that runs when everything has stopped."""
        self.hooks_shutdown.append(hook)
        return hook

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
        sockets = self._listen()
        identity = None if self.plan.uds is None else net.identity(self.plan.uds)
        try:
            _call(self.hooks_startup)
            while not self._stopped:
                await self._serve_once(sockets)
                if self._reloading and not self._stopped:
                    self._reloading = False
                    logger.info("Reloading")
                    _call(self.hooks_reload)
        finally:
            logger.info("Shutting down granian")
            for sock in sockets:
                sock.close()
            if self.plan.uds is not None:
                net.unlink_own(self.plan.uds, identity)
            _call(self.hooks_shutdown)
            logger.info("Granian shutdown completed, see ya!")

    async def _serve_once(self, sockets: Sequence[socket.socket]) -> None:
        target = self.target() if self.factory else self.target
        self._engine = HostedEngine(self.worker_plan, target, sockets)
        try:
            await self._engine.serve()
        finally:
            self._engine = None
        if not self._reloading:
            self._stopped = True

    def _listen(self) -> List[socket.socket]:
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
        sockets, self._sockets = self._sockets, []
        return sockets

    def _init_shared_socket(self) -> None:
        self._sockets = net.open_listeners(self.plan)
        if self.plan.uds is None:
            self.bind_port = self._sockets[0].getsockname()[1]
        self._sso = self._sockets[0]
        self._sfd = self._sso.fileno()
        self._shd = net.SocketHolder(self._sfd, self.plan.uds is not None, self.backlog)


def _call(hooks: Sequence[Callable[[], Any]]) -> None:
    for hook in hooks:
        hook()
