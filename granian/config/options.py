"""Every option of the command, once.

The flags, the ``GRANIAN_*`` variables, the TOML keys, the settings model, both kinds of help, the
completion scripts and the sample file are all derived from ``OPTIONS``. A row's name is its TOML
key and, in capitals behind ``GRANIAN_``, its variable; only the flag may be irregular. This module
converts nothing and reads nothing: it is standard library only and cheap to import, because
``--help`` and completion need nothing else. Runs in the command's process, never in a worker.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

PREFIX = "GRANIAN_"

BOOL = "bool"
INT = "int"
FLOAT = "float"
COUNT = "count"  # a whole number, or "auto"
DURATION = "duration"  # seconds, or 1d2h3m4s
OCTAL = "octal"  # decimal, or octal with a leading zero
CHOICE = "choice"
TEXT = "text"
PATH = "path"  # need not exist
FILE = "file"  # must exist
DIRECTORY = "directory"  # must exist
PATH_KINDS = frozenset((PATH, FILE, DIRECTORY))

BIND = "Bind"
APP = "App"
WORKERS = "Workers"
CONNECTIONS = "Connections"
HTTP1 = "HTTP/1"
HTTP2 = "HTTP/2"
WEBSOCKET = "WebSocket"
TLS = "TLS"
LOGGING = "Logging"
STATIC = "Static files"
PROCESS = "Process"
METRICS = "Metrics"
DEVELOPMENT = "Development"
CONFIGURATION = "Configuration"

GROUPS = (
    BIND,
    APP,
    WORKERS,
    CONNECTIONS,
    HTTP1,
    HTTP2,
    WEBSOCKET,
    TLS,
    LOGGING,
    STATIC,
    PROCESS,
    METRICS,
    DEVELOPMENT,
    CONFIGURATION,
)

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

INTERFACES = ("asgi", "asginl", "rsgi", "wsgi")
HTTP_MODES = ("auto", "1", "2")
RUNTIME_MODES = ("auto", "mt", "st")
LOOPS = ("auto", "asyncio", "rloop", "uvloop", "winloop")
LOG_LEVELS = ("critical", "error", "warning", "warn", "info", "debug", "notset")


class Option(NamedTuple):
    """One row of the table.

    Attributes:
        name: Setting, TOML key and, in capitals behind ``GRANIAN_``, variable.
        kind: How a value is written; one of the constants of this module.
        group: The panel it stands in.
        help: One sentence or phrase without a full stop.
        default: The value when nobody gives one; ``None`` means off, unset or ``computed``.
        flags: Spellings on the command line when ``--name-with-dashes`` is not the only one.
        minimum: Lowest number accepted, in the option's own unit.
        maximum: Highest number accepted, in the option's own unit.
        choices: The words accepted, in lower case.
        unit: What a number counts, where the flag's name does not say it.
        multiple: May be given several times; the variable holds a list.
        secret: Never printed; its variable with ``_FILE`` names a file that holds the value.
        computed: How the default is found, when it is not a constant.
        common: Shown on a terminal; the other rows are only named there.
        alias_of: The row whose setting this one sets under an older name.
        translation: For an alias, its words and what they are called now.
        why: Why the default or range is not the one of Granian.
    """

    name: str
    kind: str
    group: str
    help: str
    default: Any = None
    flags: Tuple[str, ...] = ()
    minimum: Optional[int] = None
    maximum: Optional[int] = None
    choices: Tuple[str, ...] = ()
    unit: str = ""
    multiple: bool = False
    secret: bool = False
    computed: str = ""
    common: bool = False
    alias_of: str = ""
    translation: Tuple[Tuple[str, str], ...] = ()
    why: str = ""

    @property
    def spellings(self) -> Tuple[str, ...]:
        """The flags, the preferred one first."""
        return self.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def negations(self) -> Tuple[str, ...]:
        """The flags that switch a boolean off."""
        if self.kind != BOOL:
            return ()
        return tuple("--no-" + flag[2:] for flag in self.spellings)

    @property
    def flag(self) -> str:
        """The flag to name in messages."""
        return self.spellings[0]

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


OPTIONS: Tuple[Option, ...] = (
    # Bind
    Option(
        "host",
        TEXT,
        BIND,
        "Address or host name to listen on",
        default="127.0.0.1",
        common=True,
        why="it takes addresses only, here names are resolved",
    ),
    Option(
        "port",
        INT,
        BIND,
        "Port to listen on; 0 lets the system choose",
        default=8000,
        minimum=0,
        maximum=65_535,
        common=True,
    ),
    Option("uds", PATH, BIND, "Unix socket to listen on, instead of host and port", common=True),
    Option(
        "uds_permissions",
        OCTAL,
        BIND,
        "File mode of the Unix socket; octal with a leading zero",
        minimum=0,
        maximum=0o7777,
        computed="umask",
    ),
    Option(
        "fd",
        INT,
        BIND,
        "Inherited file descriptor of a listening socket to use",
        minimum=0,
    ),
    Option(
        "backlog",
        INT,
        BIND,
        "Connections the system may hold before they are accepted",
        default=1024,
        minimum=128,
    ),
    # App
    Option(
        "interface",
        CHOICE,
        APP,
        "Interface between the server and the application",
        default="rsgi",
        choices=INTERFACES,
        common=True,
    ),
    Option(
        "factory",
        BOOL,
        APP,
        "Serve what the target returns when it is called",
        default=False,
        common=True,
    ),
    Option(
        "url_path_prefix", TEXT, APP, "URL path prefix the application is mounted on", common=True
    ),
    Option("working_dir", DIRECTORY, APP, "Folder to import the application from", common=True),
    Option(
        "env_files",
        FILE,
        APP,
        "Environment file to load before the application",
        multiple=True,
        common=True,
    ),
    # Workers
    Option(
        "workers",
        COUNT,
        WORKERS,
        "Number of workers, or auto for one for each processor",
        default=1,
        minimum=1,
        common=True,
    ),
    Option(
        "runtime_threads",
        INT,
        WORKERS,
        "I/O threads of each worker",
        default=1,
        minimum=1,
        common=True,
    ),
    Option(
        "threads",
        INT,
        WORKERS,
        "Older name of --runtime-threads",
        default=1,
        minimum=1,
        alias_of="runtime_threads",
    ),
    Option(
        "runtime_mode",
        CHOICE,
        WORKERS,
        "One runtime for all I/O threads (mt), or one for each (st)",
        default="auto",
        choices=RUNTIME_MODES,
        common=True,
    ),
    Option(
        "threading_mode",
        CHOICE,
        WORKERS,
        "Older name of --runtime-mode: runtime is mt, workers is st",
        choices=("runtime", "workers"),
        computed="--runtime-mode",
        alias_of="runtime_mode",
        translation=(("runtime", "mt"), ("workers", "st")),
    ),
    Option(
        "blocking_threads",
        INT,
        WORKERS,
        "Threads of each worker that run WSGI applications",
        minimum=1,
        computed="backpressure/2 for wsgi, else 1",
        common=True,
    ),
    Option(
        "blocking_threads_idle_timeout",
        DURATION,
        WORKERS,
        "Time after which an idle blocking thread ends",
        default=30,
        minimum=5,
        maximum=600,
    ),
    Option(
        "runtime_blocking_threads",
        INT,
        WORKERS,
        "No effect: files are read by the threads that serve connections",
        minimum=1,
        computed="512",
    ),
    Option("loop", CHOICE, WORKERS, "Event loop", default="auto", choices=LOOPS, common=True),
    Option(
        "loop_opt",
        BOOL,
        WORKERS,
        "Step coroutines without asyncio tasks, below Python 3.12",
        default=False,
        flags=("--opt", "--loop-opt"),
    ),
    Option(
        "task_impl",
        CHOICE,
        WORKERS,
        "Newer name of --opt: rust means that it is on",
        default="asyncio",
        choices=("asyncio", "rust"),
        alias_of="loop_opt",
        translation=(("asyncio", "false"), ("rust", "true")),
    ),
    Option(
        "lifespan_required",
        BOOL,
        WORKERS,
        "Do not serve when the start-up code of an ASGI application raises",
        default=False,
    ),
    Option(
        "respawn_failed_workers",
        BOOL,
        WORKERS,
        "Replace a worker that died instead of stopping",
        default=False,
        common=True,
    ),
    Option(
        "respawn_interval",
        FLOAT,
        WORKERS,
        "Seconds between a new worker's start and the old one's stop",
        default=3.5,
        minimum=0,
    ),
    Option(
        "workers_lifetime",
        DURATION,
        WORKERS,
        "Replace a worker after this time",
        minimum=60,
        common=True,
    ),
    Option(
        "workers_lifetime_jitter",
        DURATION,
        WORKERS,
        "Random time added to each worker's lifetime",
        default=0,
        minimum=0,
    ),
    Option(
        "workers_max_requests",
        INT,
        WORKERS,
        "Replace a worker after this many requests",
        minimum=1,
        common=True,
    ),
    Option(
        "workers_max_requests_jitter",
        INT,
        WORKERS,
        "Random number added to each worker's request limit",
        default=0,
        minimum=0,
    ),
    Option(
        "workers_max_rss",
        INT,
        WORKERS,
        "Replace a worker that holds more memory than this",
        minimum=1,
        unit="MiB",
        common=True,
    ),
    Option(
        "rss_sample_interval",
        DURATION,
        WORKERS,
        "Time between two looks at the workers' memory",
        default=30,
        minimum=1,
        maximum=300,
    ),
    Option(
        "rss_samples",
        INT,
        WORKERS,
        "Looks in a row that must find too much memory",
        default=1,
        minimum=1,
    ),
    Option(
        "workers_kill_timeout",
        DURATION,
        WORKERS,
        "Time a stopping worker has before it is killed",
        minimum=1,
        maximum=1800,
        computed="never",
        common=True,
    ),
    Option(
        "preload",
        BOOL,
        WORKERS,
        "Load the application once, before the workers are forked",
        default=False,
    ),
    # Connections
    Option(
        "http", CHOICE, CONNECTIONS, "HTTP version", default="auto", choices=HTTP_MODES, common=True
    ),
    Option(
        "backpressure",
        INT,
        CONNECTIONS,
        "Most connections a worker holds open at once",
        minimum=1,
        computed="backlog/workers",
        common=True,
    ),
    Option(
        "body_read_timeout",
        DURATION,
        CONNECTIONS,
        "Longest silence of a client while it sends a body",
        default=60,
        minimum=1,
        why="it waits for ever, and slow bodies can hold every connection",
    ),
    Option(
        "write_timeout",
        DURATION,
        CONNECTIONS,
        "Longest time a client may take nothing of a response",
        default=60,
        minimum=1,
        why="it waits for ever, and stalled readers can hold every connection",
    ),
    Option(
        "forwarded_allow_ips",
        TEXT,
        CONNECTIONS,
        "Proxy whose X-Forwarded fields are believed: address, network, unix or *",
        multiple=True,
        computed="none",
        common=True,
    ),
    # HTTP/1
    Option(
        "http1_buffer_size",
        INT,
        HTTP1,
        "Largest request head and read buffer of a connection",
        default=417_792,
        minimum=8192,
        unit="octets",
    ),
    Option(
        "http1_header_read_timeout",
        INT,
        HTTP1,
        "Time to send a request head, and to stay idle between two",
        default=30_000,
        minimum=1,
        maximum=3_600_000,
        unit="milliseconds",
        common=True,
        why="its maximum is a minute",
    ),
    Option(
        "http1_keep_alive",
        BOOL,
        HTTP1,
        "Keep connections open between requests",
        default=True,
        common=True,
    ),
    Option(
        "http1_pipeline_flush",
        BOOL,
        HTTP1,
        "No effect: the responses to pipelined requests are sent one by one",
        default=False,
    ),
    # HTTP/2
    Option(
        "http2_adaptive_window",
        BOOL,
        HTTP2,
        "Grow flow-control windows to what the connection can carry",
        default=False,
    ),
    Option(
        "http2_initial_connection_window_size",
        INT,
        HTTP2,
        "Receive window of a connection",
        default=1_048_576,
        minimum=1024,
        maximum=2_147_483_647,
        unit="octets",
    ),
    Option(
        "http2_initial_stream_window_size",
        INT,
        HTTP2,
        "Receive window of a stream",
        default=1_048_576,
        minimum=1024,
        maximum=2_147_483_647,
        unit="octets",
    ),
    Option(
        "http2_keep_alive_interval",
        INT,
        HTTP2,
        "Time between pings on an idle connection",
        minimum=1,
        maximum=60_000,
        unit="milliseconds",
        computed="disabled",
    ),
    Option(
        "http2_keep_alive_timeout", DURATION, HTTP2, "Time to answer a ping", default=20, minimum=1
    ),
    Option(
        "http2_max_concurrent_streams",
        INT,
        HTTP2,
        "Streams a client may have open at once",
        default=200,
        minimum=10,
    ),
    Option(
        "http2_max_frame_size",
        INT,
        HTTP2,
        "Largest frame accepted",
        default=16_384,
        minimum=16_384,
        maximum=16_777_215,
        unit="octets",
        why="it takes what RFC 9113 section 6.5.2 forbids",
    ),
    Option(
        "http2_max_headers_size",
        INT,
        HTTP2,
        "Largest field section accepted, as RFC 9113 counts it",
        default=65_536,
        minimum=1,
        unit="octets",
        why="its 16 MiB let one request hold tens of thousands of fields",
    ),
    Option(
        "http2_max_send_buffer_size",
        INT,
        HTTP2,
        "Most of a response held back for each stream",
        default=409_600,
        minimum=1024,
        unit="octets",
    ),
    # WebSocket
    Option(
        "websockets",
        BOOL,
        WEBSOCKET,
        "Accept WebSocket connections",
        default=True,
        flags=("--ws",),
        common=True,
    ),
    Option("ws_compression", BOOL, WEBSOCKET, "Offer per-message compression", default=True),
    Option(
        "ws_ping_interval",
        DURATION,
        WEBSOCKET,
        "Time between pings from the server",
        minimum=1,
        computed="disabled",
    ),
    Option(
        "ws_ping_timeout",
        DURATION,
        WEBSOCKET,
        "Time to answer a ping before the connection is closed",
        default=20,
        minimum=1,
    ),
    Option(
        "ws_max_message_size",
        INT,
        WEBSOCKET,
        "Largest message accepted, after decompression",
        default=67_108_864,
        minimum=1,
        unit="octets",
        common=True,
    ),
    Option(
        "ws_max_frame_size",
        INT,
        WEBSOCKET,
        "Largest frame accepted",
        default=16_777_216,
        minimum=125,
        unit="octets",
    ),
    # TLS
    Option("ssl_certificate", FILE, TLS, "Certificate file with its chain (PEM)", common=True),
    Option("ssl_keyfile", FILE, TLS, "Private key file (PEM)", common=True),
    Option(
        "ssl_keyfile_password",
        TEXT,
        TLS,
        "Password of the private key; better given by its variable, or a file named by "
        "GRANIAN_SSL_KEYFILE_PASSWORD_FILE",
        secret=True,
    ),
    Option(
        "ssl_protocol_min",
        CHOICE,
        TLS,
        "Lowest TLS version accepted",
        default="tls1.3",
        choices=("tls1.2", "tls1.3"),
        common=True,
    ),
    Option("ssl_ca", FILE, TLS, "Authorities that client certificates are checked against (PEM)"),
    Option("ssl_crl", FILE, TLS, "Revocation list for client certificates (PEM)", multiple=True),
    Option(
        "ssl_client_verify", BOOL, TLS, "Refuse clients without a valid certificate", default=False
    ),
    # Logging
    Option(
        "log_enabled",
        BOOL,
        LOGGING,
        "Write the server's log",
        default=True,
        flags=("--log",),
        common=True,
    ),
    Option(
        "log_level",
        CHOICE,
        LOGGING,
        "Lowest level written",
        default="info",
        choices=LOG_LEVELS,
        common=True,
    ),
    Option("log_config", FILE, LOGGING, "Logging configuration file (JSON or TOML)"),
    Option(
        "log_access_enabled",
        BOOL,
        LOGGING,
        "Write a line for each request",
        default=False,
        flags=("--access-log",),
        common=True,
    ),
    Option(
        "log_access_fmt",
        TEXT,
        LOGGING,
        "Format of that line",
        flags=("--access-log-fmt",),
        computed="the usual line",
    ),
    Option(
        "log_json",
        BOOL,
        LOGGING,
        "Write every record as one line of JSON",
        default=False,
        common=True,
    ),
    # Static files
    Option(
        "static_path_route",
        TEXT,
        STATIC,
        "URL path that static files are served under",
        multiple=True,
        computed="/static",
    ),
    Option(
        "static_path_mount",
        DIRECTORY,
        STATIC,
        "Folder of static files; one for each route",
        multiple=True,
        common=True,
    ),
    Option(
        "static_path_dir_to_file", TEXT, STATIC, "File to serve for a folder, such as index.html"
    ),
    Option(
        "static_path_expires",
        DURATION,
        STATIC,
        "Time clients may keep static files; 0 says nothing about it",
        default=86_400,
        minimum=0,
    ),
    # Process
    Option("pid_file", PATH, PROCESS, "File to write the main process's number to", common=True),
    Option("process_name", TEXT, PROCESS, "Name of the processes (needs granian[pname])"),
    Option(
        "health_path",
        TEXT,
        PROCESS,
        "URL path answered by the server itself: 200, or 503 while it stops",
        common=True,
    ),
    # Metrics
    Option(
        "metrics_enabled",
        BOOL,
        METRICS,
        "Serve Prometheus metrics (needs granian[metrics])",
        default=False,
        flags=("--metrics",),
        common=True,
    ),
    Option(
        "metrics_scrape_interval",
        DURATION,
        METRICS,
        "Time between two reports of a worker",
        default=15,
        minimum=1,
        maximum=60,
    ),
    Option("metrics_address", TEXT, METRICS, "Address to serve metrics on", default="127.0.0.1"),
    Option(
        "metrics_port",
        INT,
        METRICS,
        "Port to serve metrics on",
        default=9090,
        minimum=0,
        maximum=65_535,
    ),
    # Development
    Option(
        "reload",
        BOOL,
        DEVELOPMENT,
        "Start workers again when files change",
        default=False,
        common=True,
    ),
    Option(
        "reload_paths",
        PATH,
        DEVELOPMENT,
        "Folder or file to watch",
        multiple=True,
        computed="working directory",
        common=True,
    ),
    Option(
        "reload_ignore_dirs",
        TEXT,
        DEVELOPMENT,
        "Name of a folder not to watch, beside the usual ones",
        multiple=True,
    ),
    Option(
        "reload_ignore_patterns",
        TEXT,
        DEVELOPMENT,
        "Regular expression of file names not to watch, beside the usual ones",
        multiple=True,
    ),
    Option("reload_ignore_paths", PATH, DEVELOPMENT, "Path not to watch", multiple=True),
    Option(
        "reload_tick",
        INT,
        DEVELOPMENT,
        "Time in which changes count as one",
        default=50,
        minimum=50,
        maximum=5000,
        unit="milliseconds",
    ),
    Option(
        "reload_polling",
        BOOL,
        DEVELOPMENT,
        "Look for changes instead of being told, for network and container mounts",
        default=False,
    ),
    Option(
        "reload_ignore_worker_failure",
        BOOL,
        DEVELOPMENT,
        "Keep watching after a worker failed",
        default=True,
        why="there a half-typed file ends the server that waits for the other half",
    ),
    # Configuration
    Option(
        "platform_env",
        BOOL,
        CONFIGURATION,
        "Take PORT, WEB_CONCURRENCY and FORWARDED_ALLOW_IPS from the environment",
        default=False,
    ),
)
"""The settings of the server, in the order they are shown."""

APP_OPTION = Option(
    "app", TEXT, APP, "Application to serve: module:attribute, or a file and :attribute"
)
"""The argument; it has a variable and a key like any setting."""

CONFIG_OPTION = Option("config", FILE, CONFIGURATION, "Settings file (TOML)", common=True)
"""Which file holds settings; it has a variable, and cannot stand in the file."""

COMMANDS: Tuple[Option, ...] = (
    Option(
        "check_config",
        TEXT,
        CONFIGURATION,
        "Check the settings and what they name (files, tls, bind, app), then exit",
        common=True,
    ),
    Option(
        "show_config",
        CHOICE,
        CONFIGURATION,
        "Print each setting and where it came from, then exit",
        choices=("text", "json", "toml"),
        common=True,
    ),
    Option(
        "init_config",
        PATH,
        CONFIGURATION,
        "Print or write a settings file with every key, then exit",
        common=True,
    ),
    Option("version", BOOL, CONFIGURATION, "Show the version and exit"),
    Option(
        "install_completion",
        CHOICE,
        CONFIGURATION,
        "Install completion for this shell, or the one named, and exit",
        choices=SHELLS,
    ),
    Option(
        "show_completion",
        CHOICE,
        CONFIGURATION,
        "Print the completion script for this shell, or the one named, and exit",
        choices=SHELLS,
    ),
    Option("help", BOOL, CONFIGURATION, "Show this message and exit"),
)
"""What the command does instead of serving."""

SETTINGS: Dict[str, Option] = {row.name: row for row in (APP_OPTION, *OPTIONS)}
"""Every row that can stand in a file, a variable or on the command line, by name."""

CANONICAL: Dict[str, Option] = {name: row for name, row in SETTINGS.items() if not row.alias_of}
"""The same without older names: what a settings model, a plan or a printout has."""
