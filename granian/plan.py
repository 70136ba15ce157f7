"""What a worker is told: every option resolved, in seconds and octets.

A plan is made once in the supervisor by ``config.plans`` (from the command's settings or from
keyword arguments), pickled to each worker, and never changed. It holds only builtins, so that
unpickling it imports nothing else. ``SupervisorPlan`` is its companion for the process that binds,
starts, watches and replaces workers; no worker sees it. Standard library only.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple


class TlsPlan(NamedTuple):
    """The files and floors of a TLS listener; paths are absolute."""

    certificate: str
    keyfile: str
    password: Optional[str] = None
    protocol_min: str = "tls1.3"
    ca: Optional[str] = None
    crl: Tuple[str, ...] = ()
    client_verify: bool = False
    handshake_timeout: float = 10.0


class Http1Plan(NamedTuple):
    """Limits and times of HTTP/1 connections; seconds and octets."""

    keep_alive: bool = True
    header_read_timeout: float = 30.0
    buffer_size: int = 417_792
    pipeline_flush: bool = False


class Http2Plan(NamedTuple):
    """Limits and times of HTTP/2 connections; seconds and octets."""

    adaptive_window: bool = False
    initial_connection_window_size: int = 1_048_576
    initial_stream_window_size: int = 1_048_576
    keep_alive_interval: Optional[float] = None
    keep_alive_timeout: float = 20.0
    max_concurrent_streams: int = 200
    max_frame_size: int = 16_384
    max_headers_size: int = 65_536
    max_send_buffer_size: int = 409_600


class WebsocketPlan(NamedTuple):
    """Limits and times of WebSocket connections; seconds and octets."""

    max_message_size: int = 67_108_864
    max_frame_size: int = 16_777_216
    compression: bool = True
    ping_interval: Optional[float] = None
    ping_timeout: float = 20.0


class StaticPlan(NamedTuple):
    """Static mounts in matching order: ``(route, real directory)``."""

    mounts: Tuple[Tuple[str, str], ...] = ()
    dir_to_file: Optional[str] = None
    expires: int = 86_400


class WorkerPlan(NamedTuple):
    """Everything a worker needs to know, with defaults that serve on their own."""

    target: str = ""
    interface: str = "rsgi"
    factory: bool = False
    working_dir: Optional[str] = None
    env_files: Tuple[str, ...] = ()
    workers: int = 1
    runtime_threads: int = 1
    runtime_mode: str = "st"
    runtime_blocking_threads: int = 512
    processors: int = 1
    blocking_threads: int = 1
    blocking_threads_idle_timeout: float = 30.0
    loop: str = "auto"
    step_coroutines: bool = False
    lifespan_required: bool = False
    backpressure: int = 1024
    http: str = "auto"
    websockets: bool = True
    url_path_prefix: str = ""
    body_read_timeout: float = 60.0
    write_timeout: float = 60.0
    http1: Http1Plan = Http1Plan()
    http2: Http2Plan = Http2Plan()
    websocket: WebsocketPlan = WebsocketPlan()
    tls: Optional[TlsPlan] = None
    static: Optional[StaticPlan] = None
    log_enabled: bool = True
    log_level: str = "info"
    log_config: Optional[Dict[str, Any]] = None
    log_json: bool = False
    log_access: bool = False
    log_access_format: Optional[str] = None
    metrics_scrape_interval: Optional[float] = None
    health_path: Optional[str] = None
    forwarded_allow_ips: Tuple[str, ...] = ()
    workers_kill_timeout: Optional[float] = None
    workers_max_requests: Optional[int] = None
    workers_max_requests_jitter: int = 0
    process_name: Optional[str] = None


class ReloadPlan(NamedTuple):
    """What is watched for changes; absolute paths, ``tick`` in seconds."""

    paths: Tuple[str, ...] = ()
    ignore_dirs: Tuple[str, ...] = ()
    ignore_patterns: Tuple[str, ...] = ()
    ignore_paths: Tuple[str, ...] = ()
    tick: float = 0.05
    ignore_worker_failure: bool = True
    polling: bool = False


class MetricsPlan(NamedTuple):
    """Where metrics are served and how often workers report, in seconds."""

    address: str = "127.0.0.1"
    port: int = 9090
    scrape_interval: float = 15.0


class SupervisorPlan(NamedTuple):
    """What only the supervising process needs; seconds and octets, absolute paths.

    ``uds`` and ``fd`` replace ``host`` and ``port``; at most one of them is set. What both sides
    need (``workers``, the kill timeout, the request limit) is in ``WorkerPlan`` too, with the
    same value. An empty ``ReloadPlan.paths`` means the current folder.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Optional[str] = None
    uds_permissions: Optional[int] = None
    fd: Optional[int] = None
    backlog: int = 1024
    workers: int = 1
    respawn_failed_workers: bool = False
    respawn_interval: float = 3.5
    workers_lifetime: Optional[float] = None
    workers_lifetime_jitter: float = 0.0
    workers_max_rss: Optional[int] = None
    rss_sample_interval: float = 30.0
    rss_samples: int = 1
    workers_kill_timeout: Optional[float] = None
    preload: bool = False
    reload: Optional[ReloadPlan] = None
    metrics: Optional[MetricsPlan] = None
    process_name: Optional[str] = None
    pid_file: Optional[str] = None
    sources: Tuple[str, ...] = ()
    """Where settings came from, in words for the start-up panel: ``granian.toml``, ``2 flags``."""
