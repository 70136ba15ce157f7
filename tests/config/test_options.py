import ast
from pathlib import Path

import pytest

from granian import constants, plan
from granian.config import options
from granian.config.options import CANONICAL, COMMANDS, CONFIG_OPTION, GROUPS, OPTIONS, SETTINGS

EVERY = (options.APP_OPTION, *OPTIONS, CONFIG_OPTION, *COMMANDS)

# spec/cli.md section 1: flag, variable behind GRANIAN_, default.
SPEC = """
--host HOST 127.0.0.1
--port PORT 8000
--uds UDS -
--uds-permissions UDS_PERMISSIONS -
--interface INTERFACE rsgi
--http HTTP auto
--ws WEBSOCKETS True
--url-path-prefix URL_PATH_PREFIX -
--factory FACTORY False
--workers WORKERS 1
--threads THREADS 1
--threading-mode THREADING_MODE -
--runtime-threads RUNTIME_THREADS 1
--runtime-mode RUNTIME_MODE auto
--runtime-blocking-threads RUNTIME_BLOCKING_THREADS -
--blocking-threads BLOCKING_THREADS -
--blocking-threads-idle-timeout BLOCKING_THREADS_IDLE_TIMEOUT 30
--loop LOOP auto
--opt LOOP_OPT False
--task-impl TASK_IMPL asyncio
--backlog BACKLOG 1024
--backpressure BACKPRESSURE -
--http1-buffer-size HTTP1_BUFFER_SIZE 417792
--http1-header-read-timeout HTTP1_HEADER_READ_TIMEOUT 30000
--http1-keep-alive HTTP1_KEEP_ALIVE True
--http1-pipeline-flush HTTP1_PIPELINE_FLUSH False
--http2-adaptive-window HTTP2_ADAPTIVE_WINDOW False
--http2-initial-connection-window-size HTTP2_INITIAL_CONNECTION_WINDOW_SIZE 1048576
--http2-initial-stream-window-size HTTP2_INITIAL_STREAM_WINDOW_SIZE 1048576
--http2-keep-alive-interval HTTP2_KEEP_ALIVE_INTERVAL -
--http2-keep-alive-timeout HTTP2_KEEP_ALIVE_TIMEOUT 20
--http2-max-concurrent-streams HTTP2_MAX_CONCURRENT_STREAMS 200
--http2-max-frame-size HTTP2_MAX_FRAME_SIZE 16384
--http2-max-headers-size HTTP2_MAX_HEADERS_SIZE 65536
--http2-max-send-buffer-size HTTP2_MAX_SEND_BUFFER_SIZE 409600
--log LOG_ENABLED True
--log-level LOG_LEVEL info
--log-config LOG_CONFIG -
--access-log LOG_ACCESS_ENABLED False
--access-log-fmt LOG_ACCESS_FMT -
--ssl-certificate SSL_CERTIFICATE -
--ssl-keyfile SSL_KEYFILE -
--ssl-keyfile-password SSL_KEYFILE_PASSWORD -
--ssl-protocol-min SSL_PROTOCOL_MIN tls1.3
--ssl-ca SSL_CA -
--ssl-crl SSL_CRL -
--ssl-client-verify SSL_CLIENT_VERIFY False
--respawn-failed-workers RESPAWN_FAILED_WORKERS False
--respawn-interval RESPAWN_INTERVAL 3.5
--workers-lifetime WORKERS_LIFETIME -
--workers-max-rss WORKERS_MAX_RSS -
--rss-sample-interval RSS_SAMPLE_INTERVAL 30
--rss-samples RSS_SAMPLES 1
--workers-kill-timeout WORKERS_KILL_TIMEOUT -
--working-dir WORKING_DIR -
--env-files ENV_FILES -
--static-path-route STATIC_PATH_ROUTE -
--static-path-mount STATIC_PATH_MOUNT -
--static-path-dir-to-file STATIC_PATH_DIR_TO_FILE -
--static-path-expires STATIC_PATH_EXPIRES 86400
--process-name PROCESS_NAME -
--pid-file PID_FILE -
--metrics METRICS_ENABLED False
--metrics-scrape-interval METRICS_SCRAPE_INTERVAL 15
--metrics-address METRICS_ADDRESS 127.0.0.1
--metrics-port METRICS_PORT 9090
--reload RELOAD False
--reload-paths RELOAD_PATHS -
--reload-ignore-dirs RELOAD_IGNORE_DIRS -
--reload-ignore-patterns RELOAD_IGNORE_PATTERNS -
--reload-ignore-paths RELOAD_IGNORE_PATHS -
--reload-tick RELOAD_TICK 50
--reload-ignore-worker-failure RELOAD_IGNORE_WORKER_FAILURE True
"""


@pytest.mark.parametrize("line", SPEC.strip().splitlines())
def test_options_of_granian_have_their_flag_variable_and_default(line):
    flag, variable, default = line.split()
    row = SETTINGS[variable.lower()]
    assert flag in row.spellings
    assert row.variable == "GRANIAN_" + variable
    assert default == ("-" if row.default is None else str(row.default))


def test_names_and_flags_are_given_once():
    names = [row.name for row in EVERY]
    flags = [flag for row in EVERY for flag in row.spellings + row.negations]
    assert len(names) == len(set(names))
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("row", EVERY, ids=lambda row: row.name)
def test_rows_are_well_formed(row):
    assert row.group in GROUPS
    assert not row.help.endswith(".")
    assert row.name == row.name.lower()
    assert row.name.isidentifier()
    assert (row.kind == options.CHOICE) == bool(row.choices)
    assert all(choice == choice.lower() for choice in row.choices)
    if row.choices and row.default is not None:
        assert row.default in row.choices
    if row.default is not None and row.computed:
        pytest.fail("either a default or a rule, not both")
    if row.minimum is not None and row.default is not None:
        assert row.minimum <= row.default
    if row.maximum is not None and row.default is not None:
        assert row.default <= row.maximum
    if row.multiple:
        assert row.default is None
    if row.alias_of:
        assert row.alias_of in CANONICAL
        assert {old for old, _ in row.translation} == set(row.choices)


def test_choices_are_the_public_constants():
    rows = {
        "interface": constants.Interfaces,
        "http": constants.HTTPModes,
        "runtime_mode": constants.RuntimeModes,
        "threading_mode": constants.ThreadModes,
        "loop": constants.Loops,
        "task_impl": constants.TaskImpl,
        "ssl_protocol_min": constants.SSLProtocols,
    }
    for name, enumeration in rows.items():
        assert set(SETTINGS[name].choices) == {member.value for member in enumeration}


def test_flags_can_be_negated_in_each_spelling():
    assert SETTINGS["loop_opt"].negations == ("--no-opt", "--no-loop-opt")
    assert SETTINGS["websockets"].negations == ("--no-ws",)
    assert SETTINGS["port"].negations == ()


def test_defaults_agree_with_the_plans():
    assert SETTINGS["http2_max_headers_size"].default == plan.Http2Plan().max_headers_size
    assert SETTINGS["ws_max_frame_size"].default == plan.WebsocketPlan().max_frame_size
    assert SETTINGS["backlog"].default == plan.SupervisorPlan().backlog
    assert SETTINGS["reload_ignore_worker_failure"].default == (
        plan.ReloadPlan().ignore_worker_failure
    )


def test_the_table_needs_nothing_but_typing():
    tree = ast.parse(Path(options.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"typing"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
