"""Turn one complete set of settings into the two plans.

Owns what settings mean together: contradictions, values computed from others, units. The
command's settings and the keywords of ``Granian(...)`` both pass through here, so a rule about two
options is written once. Values arrive converted (durations in seconds, choices as their words);
whoever calls says how a setting is called where it came from. Runs once in the supervisor; imports
the standard library only.
"""

import ipaddress
import os
import re
import sys
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._compat import BUILD_GIL
from .._loops import loops
from ..errors import ConfigurationError
from ..log import log_request_builder
from ..plan import (
    Http1Plan,
    Http2Plan,
    MetricsPlan,
    ReloadPlan,
    StaticPlan,
    SupervisorPlan,
    TlsPlan,
    WebsocketPlan,
    WorkerPlan,
)
from .options import CANONICAL
from .processors import available_processors

_MIB = 1024 * 1024


_WITHOUT_EFFECT = {
    "http1_pipeline_flush": "the responses to pipelined requests are always sent one by one",
    "runtime_blocking_threads": "files are read by the threads that serve connections",
}
"""Settings of Granian's that this server has no use for, and what it does instead."""

if sys.version_info >= (3, 12):
    _WITHOUT_EFFECT["loop_opt"] = "from Python 3.12 on asyncio's own tasks start as quickly"


class Plans(NamedTuple):
    """What a set of settings comes to; each warning is one line."""

    supervisor: SupervisorPlan
    worker: WorkerPlan
    warnings: Tuple[str, ...]


class ContradictionError(ConfigurationError):
    """Settings that cannot be satisfied together.

    Attributes:
        problems: One sentence each, naming the settings as their giver knows them.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def flag_of(setting: str) -> str:
    """Name a setting by its flag."""
    return CANONICAL[setting].flag


def make_plans(
    settings: Mapping[str, Any],
    *,
    log_config: Optional[Dict[str, Any]] = None,
    called: Callable[[str], str] = flag_of,
    sources: Tuple[str, ...] = (),
) -> Plans:
    """Make the plans of a supervisor and its workers.

    Args:
        settings: Converted values by name (``options.CANONICAL``); a missing one has its default.
        log_config: What the logging configuration file holds, or what was passed instead of one.
        called: How a setting is called in messages, given its name.
        sources: Where the settings came from, in words.

    Raises:
        ContradictionError: With every problem found, not only the first.
    """
    values = {name: row.default for name, row in CANONICAL.items()}
    values.update(settings)
    made = _Making(values, called)
    worker = made.worker()._replace(log_config=log_config)
    supervisor = made.supervisor(worker)._replace(sources=sources)
    if made.problems:
        raise ContradictionError(made.problems)
    return Plans(supervisor, worker, tuple(made.warnings))


class _Making:
    """The plans while they are made, and what was found wrong."""

    __slots__ = ("called", "problems", "values", "warnings", "workers")

    def __init__(self, values: Dict[str, Any], called: Callable[[str], str]) -> None:
        self.values = values
        self.called = called
        self.problems: List[str] = []
        self.warnings: List[str] = []
        self.workers: int = values["workers"]
        if values["workers"] == "auto":
            self.workers = available_processors()

    def worker(self) -> WorkerPlan:
        values = self.values
        wsgi = values["interface"] == "wsgi"
        backpressure = values["backpressure"] or max(1, values["backlog"] // self.workers)
        return WorkerPlan(
            target=values["app"] or "",
            interface=values["interface"],
            factory=values["factory"],
            working_dir=_absolute(values["working_dir"]),
            env_files=_absolutes(values["env_files"]),
            workers=self.workers,
            runtime_threads=values["runtime_threads"],
            runtime_mode=self._runtime_mode(),
            runtime_blocking_threads=values["runtime_blocking_threads"] or 512,
            processors=max(1, available_processors() // self.workers),
            blocking_threads=self._blocking_threads(wsgi, backpressure),
            blocking_threads_idle_timeout=float(values["blocking_threads_idle_timeout"]),
            loop=values["loop"],
            step_coroutines=values["loop_opt"],
            lifespan_required=values["lifespan_required"],
            backpressure=backpressure,
            http=values["http"],
            websockets=values["websockets"] and not wsgi,
            url_path_prefix=_route(values["url_path_prefix"] or ""),
            body_read_timeout=float(values["body_read_timeout"]),
            write_timeout=float(values["write_timeout"]),
            http1=self._http1(),
            http2=self._http2(),
            websocket=self._websocket(),
            tls=self._tls(),
            static=self._static(),
            log_enabled=values["log_enabled"],
            log_level=values["log_level"],
            log_json=values["log_json"],
            log_access=values["log_access_enabled"],
            log_access_format=values["log_access_fmt"],
            metrics_scrape_interval=(
                float(values["metrics_scrape_interval"]) if self._metrics_served() else None
            ),
            health_path=self._health_path(),
            forwarded_allow_ips=self._forwarded_allow_ips(),
            workers_kill_timeout=_seconds(values["workers_kill_timeout"]),
            workers_max_requests=values["workers_max_requests"],
            workers_max_requests_jitter=values["workers_max_requests_jitter"],
            process_name=values["process_name"],
        )

    def supervisor(self, worker: WorkerPlan) -> SupervisorPlan:
        values = self.values
        self._check_address()
        self._check_workers(worker)
        self._check_words(worker)
        for name, instead in _WITHOUT_EFFECT.items():
            if self.values[name]:
                self._warn(f"{{0}} has no effect: {instead}.", name)
        lifetime, max_rss = self._replacement()
        return SupervisorPlan(
            host=values["host"],
            port=values["port"],
            uds=_absolute(values["uds"]),
            uds_permissions=values["uds_permissions"],
            fd=values["fd"],
            backlog=values["backlog"],
            workers=self.workers,
            respawn_failed_workers=values["respawn_failed_workers"],
            respawn_interval=float(values["respawn_interval"]),
            workers_lifetime=lifetime,
            workers_lifetime_jitter=float(values["workers_lifetime_jitter"]),
            workers_max_rss=max_rss,
            rss_sample_interval=float(values["rss_sample_interval"]),
            rss_samples=values["rss_samples"],
            workers_kill_timeout=worker.workers_kill_timeout,
            preload=self._preload(),
            reload=self._reload(),
            metrics=self._metrics(),
            process_name=values["process_name"],
            pid_file=_absolute(values["pid_file"]),
        )

    def _refuse(self, template: str, *settings: str) -> None:
        self.problems.append(template.format(*map(self.called, settings)))

    def _warn(self, template: str, *settings: str) -> None:
        self.warnings.append(template.format(*map(self.called, settings)))

    def _runtime_mode(self) -> str:
        mode: str = self.values["runtime_mode"]
        if mode != "auto":
            return mode
        # One application loop per worker is what applications with loop-bound globals need, and
        # what Granian gives them however many runtime threads there are.
        return "st" if self.values["runtime_threads"] == 1 else "mt"

    def _blocking_threads(self, wsgi: bool, backpressure: int) -> int:
        given: Optional[int] = self.values["blocking_threads"]
        if wsgi:
            return given or max(1, backpressure // 2)
        if given is not None and given > 1:
            self._refuse(
                "{0} can only be 1 when {1} is "
                f"{self.values['interface']}: one thread runs the event loop.",
                "blocking_threads",
                "interface",
            )
        return 1

    def _http1(self) -> Http1Plan:
        values = self.values
        return Http1Plan(
            keep_alive=values["http1_keep_alive"],
            header_read_timeout=values["http1_header_read_timeout"] / 1000,
            buffer_size=values["http1_buffer_size"],
            pipeline_flush=values["http1_pipeline_flush"],
        )

    def _http2(self) -> Http2Plan:
        values = self.values
        interval = values["http2_keep_alive_interval"]
        return Http2Plan(
            adaptive_window=values["http2_adaptive_window"],
            initial_connection_window_size=values["http2_initial_connection_window_size"],
            initial_stream_window_size=values["http2_initial_stream_window_size"],
            keep_alive_interval=None if interval is None else interval / 1000,
            keep_alive_timeout=float(values["http2_keep_alive_timeout"]),
            max_concurrent_streams=values["http2_max_concurrent_streams"],
            max_frame_size=values["http2_max_frame_size"],
            max_headers_size=values["http2_max_headers_size"],
            max_send_buffer_size=values["http2_max_send_buffer_size"],
        )

    def _websocket(self) -> WebsocketPlan:
        values = self.values
        return WebsocketPlan(
            max_message_size=values["ws_max_message_size"],
            max_frame_size=values["ws_max_frame_size"],
            compression=values["ws_compression"],
            ping_interval=_seconds(values["ws_ping_interval"]),
            ping_timeout=float(values["ws_ping_timeout"]),
        )

    def _tls(self) -> Optional[TlsPlan]:
        values = self.values
        certificate, keyfile = values["ssl_certificate"], values["ssl_keyfile"]
        if (certificate is None) != (keyfile is None):
            given, missing = "ssl_certificate", "ssl_keyfile"
            if certificate is None:
                given, missing = missing, given
            self._refuse(
                "{0} is given without {1}: TLS needs both, and nothing is served in "
                "clear text by accident.",
                given,
                missing,
            )
            return None
        if certificate is None:
            for name in ("ssl_ca", "ssl_crl", "ssl_client_verify"):
                if values[name]:
                    self._refuse("{0} needs {1} and {2}.", name, "ssl_certificate", "ssl_keyfile")
            return None
        for name in ("ssl_client_verify", "ssl_crl"):
            if values[name] and values["ssl_ca"] is None:
                self._refuse("{0} needs {1}: there is nothing to check against.", name, "ssl_ca")
        return TlsPlan(
            certificate=os.path.abspath(certificate),
            keyfile=os.path.abspath(keyfile),
            password=values["ssl_keyfile_password"],
            protocol_min=values["ssl_protocol_min"],
            ca=_absolute(values["ssl_ca"]),
            crl=_absolutes(values["ssl_crl"]),
            client_verify=values["ssl_client_verify"],
        )

    def _static(self) -> Optional[StaticPlan]:
        values = self.values
        mounts, routes = values["static_path_mount"] or (), values["static_path_route"] or ()
        if mounts and not routes:
            routes = ("/static",) if len(mounts) == 1 else ()
        if len(mounts) != len(routes):
            self._refuse(
                "{0} and {1} must be given equally often; there are "
                f"{len(routes)} routes and {len(mounts)} folders.",
                "static_path_route",
                "static_path_mount",
            )
            return None
        if not mounts:
            return None
        pairs = tuple(
            (_route(route), os.path.realpath(mount)) for route, mount in zip(routes, mounts)
        )
        return StaticPlan(
            mounts=pairs,
            dir_to_file=values["static_path_dir_to_file"],
            expires=values["static_path_expires"],
        )

    def _health_path(self) -> Optional[str]:
        path: Optional[str] = self.values["health_path"]
        if path is not None and not path.startswith("/"):
            self._refuse(f"{{0}} must start with a slash, as in /{_braced(path)}.", "health_path")
        return path

    def _forwarded_allow_ips(self) -> Tuple[str, ...]:
        hosts = tuple(self.values["forwarded_allow_ips"] or ())
        for host in hosts:
            try:
                ipaddress.ip_network(host)
            except ValueError:
                if host not in ("*", "unix"):
                    self._refuse(
                        f"{{0}}: {_braced(repr(host))} is neither an address, nor a network, "
                        "nor unix, nor *.",
                        "forwarded_allow_ips",
                    )
        return hosts

    def _check_address(self) -> None:
        values = self.values
        if values["uds"] is not None:
            if values["fd"] is not None:
                self._refuse("{0} and {1} exclude each other.", "uds", "fd")
            if sys.platform == "win32":
                self._refuse("{0} is not available on Windows; use {1} and {2}.", *_UDS)
        elif values["uds_permissions"] is not None:
            self._warn("{0} does nothing without {1}.", "uds_permissions", "uds")

    def _check_workers(self, worker: WorkerPlan) -> None:
        processors = available_processors()
        if self.workers > processors:
            there_are = "is 1 processor" if processors == 1 else f"are {processors} processors"
            self._warn(f"{{0}} is {self.workers}, but there {there_are} to use.", "workers")
        if worker.interface == "wsgi" and self.values["blocking_threads"] is not None:
            enough = 2 * processors + 1
            if worker.blocking_threads > enough:
                self._warn(
                    f"{{0}} is {worker.blocking_threads}; more than {enough} help only an "
                    "application that waits a lot.",
                    "blocking_threads",
                )

    def _check_words(self, worker: WorkerPlan) -> None:
        """Refuse words that only a worker would stumble over, once for each of them."""
        if worker.interface != "wsgi" and worker.loop not in loops:
            known = ", ".join(loops.keys())
            self._refuse(f"{{0}}: {worker.loop} is not installed; there are {known}.", "loop")
        for pattern in self.values["reload_ignore_patterns"] or ():
            try:
                re.compile(pattern)
            except re.error as error:
                self._refuse(
                    f"{{0}}: {_braced(repr(pattern))} is no regular expression: {error}.",
                    "reload_ignore_patterns",
                )
        if worker.log_access and worker.log_access_format:
            try:
                log_request_builder(worker.log_access_format)
            except ConfigurationError as error:
                self._refuse(f"{{0}}: {_braced(str(error))}.", "log_access_fmt")

    def _replacement(self) -> Tuple[Optional[float], Optional[int]]:
        lifetime = _seconds(self.values["workers_lifetime"])
        max_rss = self.values["workers_max_rss"]
        if lifetime is not None and self.values["reload"]:
            self._warn("{0} does nothing with {1}.", "workers_lifetime", "reload")
            lifetime = None
        if max_rss is not None:
            if self.values["reload"]:
                self._warn("{0} does nothing with {1}.", "workers_max_rss", "reload")
                max_rss = None
            elif not BUILD_GIL:
                self._warn(
                    "{0} does nothing on a free-threaded build: its workers share one memory.",
                    "workers_max_rss",
                )
                max_rss = None
        return lifetime, None if max_rss is None else max_rss * _MIB

    def _preload(self) -> bool:
        if self.values["preload"] and self.values["reload"]:
            self._refuse(
                "{0} and {1} exclude each other: what was loaded once cannot change.",
                "preload",
                "reload",
            )
        return bool(self.values["preload"])

    def _reload(self) -> Optional[ReloadPlan]:
        values = self.values
        if not values["reload"]:
            return None
        return ReloadPlan(
            paths=_absolutes(values["reload_paths"]),
            ignore_dirs=tuple(values["reload_ignore_dirs"] or ()),
            ignore_patterns=tuple(values["reload_ignore_patterns"] or ()),
            ignore_paths=_absolutes(values["reload_ignore_paths"]),
            tick=values["reload_tick"] / 1000,
            ignore_worker_failure=values["reload_ignore_worker_failure"],
            polling=values["reload_polling"],
        )

    def _metrics_served(self) -> bool:
        return bool(self.values["metrics_enabled"]) and not self.values["reload"]

    def _metrics(self) -> Optional[MetricsPlan]:
        values = self.values
        if values["metrics_enabled"] and values["reload"]:
            self._warn("{0} does nothing with {1}.", "metrics_enabled", "reload")
        if not self._metrics_served():
            return None
        return MetricsPlan(
            address=values["metrics_address"],
            port=values["metrics_port"],
            scrape_interval=float(values["metrics_scrape_interval"]),
        )


_UDS = ("uds", "host", "port")


def _seconds(value: Optional[float]) -> Optional[float]:
    return None if value is None else float(value)


def _absolute(path: Optional[str]) -> Optional[str]:
    return None if path is None else os.path.abspath(path)


def _absolutes(paths: Optional[Sequence[str]]) -> Tuple[str, ...]:
    return tuple(os.path.abspath(path) for path in paths or ())


def _braced(text: str) -> str:
    """Protect a text of the operator's from the template it is put into."""
    return text.replace("{", "{{").replace("}", "}}")


def _route(path: str) -> str:
    """Return a URL path with a slash in front and none behind; the root is empty."""
    path = path.strip("/")
    return "/" + path if path else ""
