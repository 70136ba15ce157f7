"""What every server object has, wherever its workers are: keywords, attributes, hooks, sockets.

Upstream's names stand here once; ``common`` makes a supervisor of them, ``embed`` a guest in
somebody's event loop. Nothing is bound before ``_listen``. Thread of whoever serves.
"""

import os
import socket
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple, TypeVar

from .. import net
from ..constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols, TaskImpl
from ..errors import ConfigurationError, UnusableError
from ..http import HTTP1Settings, HTTP2Settings
from ..log import LogLevels, configure_logging, logger
from ..plan import SupervisorPlan, WorkerPlan
from .keywords import ALIASES, keyword_of, plans_of

Hook = TypeVar("Hook", bound=Callable[[], Any])


class BaseServer:
    """A server that has been described and does not serve yet.

    The public attributes are those of upstream; assigning to them before ``serve`` has the effect
    of the keyword that they come from only where that is said.
    """

    def __init__(
        self,
        target: Any,
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

        ``target`` is ``"module:attribute"``, or the application itself in an embedded server.
        ``more`` takes every other setting of the command by its name in a configuration file
        (``workers_max_requests=1000``) and the keywords of the 1.x line.

        Raises:
            ConfigurationError: Some of them cannot be satisfied, alone or together.
            TypeError: There is no such keyword.
        """
        made: Optional[Tuple[SupervisorPlan, WorkerPlan]] = more.pop("plans", None)
        if made is not None:
            self._settle(*made, reload_filter)
            return
        keywords = dict(locals())
        for name in ("self", "more", "made", "__class__"):
            keywords.pop(name, None)
        for name, value in more.items():
            keywords[ALIASES.get(name, name)] = value
        plans = plans_of(keywords)
        try:
            self._settle(plans.supervisor, plans.worker, reload_filter)
        except UnusableError as error:
            named = f"{keyword_of(error.setting)}: {error.sentences(keyword_of)}"
            raise ConfigurationError(named) from None
        for warning in plans.warnings:
            logger.warning("%s", warning)

    def _settle(
        self, supervisor: SupervisorPlan, worker: WorkerPlan, reload_filter: Optional[Any]
    ) -> None:
        """Take the plans; what a subclass keeps besides them is made in its own version.

        Raises:
            UnusableError: TLS cannot be served with the files that the plan names.
        """
        if worker.tls is not None:
            from ..engine import tls  # a server in clear text needs no ssl

            tls.check(worker.tls, worker.http)
        self.plan = supervisor
        self.worker_plan = worker
        self.reload_filter = reload_filter
        self._expose(supervisor, worker)
        configure_logging(self.log_level, self.log_config, self.log_enabled, worker.log_json)
        self.hooks_startup: List[Callable[[], Any]] = []
        self.hooks_reload: List[Callable[[], Any]] = []
        self.hooks_shutdown: List[Callable[[], Any]] = []
        self._sockets: List[socket.socket] = []
        self._shd: Optional[net.SocketHolder] = None
        self._sfd: Optional[int] = None
        self._sso: Optional[socket.socket] = None
        self._uds_identity: Optional[Tuple[int, int]] = None

    def _expose(self, supervisor: SupervisorPlan, worker: WorkerPlan) -> None:
        self.target: Any = worker.target
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
    def urls(self) -> List[str]:
        """Where this server is reached; empty until it is bound."""
        scheme = "http" if self.worker_plan.tls is None else "https"
        return [net.url(sock, scheme) for sock in self._sockets]

    def on_startup(self, hook: Hook) -> Hook:
        """Register a callable that runs after binding, before an application is loaded."""
        self.hooks_startup.append(hook)
        return hook

    def on_reload(self, hook: Hook) -> Hook:
        """Register a callable that runs before applications are replaced on request."""
        self.hooks_reload.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Register a callable that runs when the last application has stopped."""
        self.hooks_shutdown.append(hook)
        return hook

    def _listen(self) -> None:
        self._init_shared_socket()
        if not self._sockets:
            # A subclass made the socket itself, and left what it made in upstream's attributes.
            if self._sso is None and self._shd is not None:
                self._sso = self._shd.listen()
            if self._sso is not None:
                self._sockets = [net.listening(self._sso, self.backlog)]
        for sock, url in zip(self._sockets, self.urls):
            sock.setblocking(False)
            logger.info("Listening at: %s", url)

    def _init_shared_socket(self) -> None:
        """Open what the plan asks for; extensions override this to bring a socket of theirs."""
        self._share(net.open_listeners(self.plan))

    def _share(self, sockets: List[socket.socket]) -> None:
        plan = self.plan
        self._sockets = sockets
        self._sso = sockets[0]
        if plan.uds is not None:
            self._uds_identity = net.identity(plan.uds)
        elif self._sso.family != socket.AF_UNIX:
            self.bind_port = self._sso.getsockname()[1]
        self._sfd = self._sso.fileno()
        self._shd = net.SocketHolder(self._sfd, plan.uds is not None, plan.backlog)

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()

    def _remove_socket_file(self) -> None:
        if self.plan.uds is not None:
            net.unlink_own(self.plan.uds, self._uds_identity)


def call(hooks: Sequence[Callable[[], Any]]) -> None:
    """Call hooks in the order of their registration; the first that raises is the last."""
    for hook in hooks:
        hook()
