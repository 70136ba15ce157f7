"""The server object before and around its life; drills of its life are in tests/e2e."""

import inspect
import pickle
import threading

import pytest

from granian.constants import Interfaces, RuntimeModes
from granian.errors import ConfigurationError
from granian.plan import SupervisorPlan, WorkerPlan
from granian.server.common import AbstractServer, Interrupt
from granian.server.mp import MPServer
from granian.server.signals import Alarm

UPSTREAM = [
    "target",
    "address",
    "port",
    "uds",
    "uds_permissions",
    "interface",
    "workers",
    "blocking_threads",
    "blocking_threads_idle_timeout",
    "runtime_threads",
    "runtime_blocking_threads",
    "runtime_mode",
    "loop",
    "task_impl",
    "http",
    "websockets",
    "backlog",
    "backpressure",
    "http1_settings",
    "http2_settings",
    "log_enabled",
    "log_level",
    "log_dictconfig",
    "log_access",
    "log_access_format",
    "ssl_cert",
    "ssl_key",
    "ssl_key_password",
    "ssl_protocol_min",
    "ssl_ca",
    "ssl_crl",
    "ssl_client_verify",
    "url_path_prefix",
    "respawn_failed_workers",
    "respawn_interval",
    "rss_sample_interval",
    "rss_samples",
    "workers_lifetime",
    "workers_max_rss",
    "workers_kill_timeout",
    "factory",
    "working_dir",
    "env_files",
    "static_path_route",
    "static_path_mount",
    "static_path_dir_to_file",
    "static_path_expires",
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
]

ATTRIBUTES = [
    "target",
    "bind_addr",
    "bind_port",
    "bind_uds",
    "interface",
    "workers",
    "runtime_threads",
    "runtime_blocking_threads",
    "runtime_mode",
    "loop",
    "task_impl",
    "http",
    "websockets",
    "backlog",
    "backpressure",
    "blocking_threads",
    "http1_settings",
    "http2_settings",
    "log_enabled",
    "log_level",
    "log_config",
    "log_access",
    "log_access_format",
    "ssl_ctx",
    "url_path_prefix",
    "respawn_failed_workers",
    "reload_on_changes",
    "respawn_interval",
    "factory",
    "working_dir",
    "env_files",
    "static_path",
    "process_name",
    "pid_file",
    "hooks_startup",
    "hooks_reload",
    "hooks_shutdown",
    "wrks",
    "pid",
    "interrupt_signal",
    "reload_signal",
    "interrupt_children",
    "main_loop_interrupt",
]


@pytest.fixture
def make():
    made = []

    def build(*args, **keywords):
        made.append(MPServer(*args, **keywords))
        return made[-1]

    yield build
    for server in made:
        server._alarm.close()
        server.crew.close()


def test_parameters_are_upstreams_in_their_order():
    parameters = list(inspect.signature(AbstractServer.__init__).parameters)
    assert parameters[1:-1] == UPSTREAM
    assert parameters[-1] == "more"


def test_public_attributes(make):
    server = make("a:b", interface="asgi", port=1234)
    missing = [name for name in ATTRIBUTES if not hasattr(server, name)]
    assert missing == []
    assert server.bind_port == 1234
    assert server.interface is Interfaces.ASGI
    assert server.wrks == []


def test_further_settings_and_old_names(make):
    server = make("a:b", workers_max_requests=10, threading_mode="runtime", threads=2)
    assert server.worker_plan.workers_max_requests == 10
    assert server.runtime_mode is RuntimeModes.mt
    assert server.runtime_threads == 2


def test_nothing_is_bound_by_construction(make):
    assert make("a:b", port=80)._sockets == []


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="wrokers"):
        MPServer("a:b", wrokers=2)


def test_contradiction_is_found_by_construction():
    with pytest.raises(ConfigurationError):
        MPServer("a:b", interface="asgi", blocking_threads=3)


def test_made_from_plans():
    server = MPServer.from_plans(SupervisorPlan(workers=2), WorkerPlan(target="a:b", workers=2))
    assert isinstance(server, MPServer)
    assert server.workers == 2
    assert server.target == "a:b"
    server._alarm.close()
    server.crew.close()


def test_an_extension_may_add_keywords_to_what_the_command_makes():
    class Filter:
        pass

    class Extended(MPServer):
        def __init__(self, *args, **kwargs):
            kwargs["reload_filter"] = Filter
            super().__init__(*args, **kwargs)

    server = Extended.from_plans(SupervisorPlan(port=7), WorkerPlan(target="a:b"))
    assert isinstance(server, Extended)
    assert server.reload_filter is Filter
    assert server.bind_port == 7
    server._alarm.close()
    server.crew.close()


def test_hooks_are_returned_so_that_they_decorate(make):
    server = make("a:b")

    def hook():
        pass

    for register, hooks in (
        (server.on_startup, server.hooks_startup),
        (server.on_reload, server.hooks_reload),
        (server.on_shutdown, server.hooks_shutdown),
    ):
        assert register(hook) is hook
        assert hooks == [hook]


def test_assignment_can_be_pickled(make):
    server = make("a:b", interface="asgi", workers=2)
    assignment = server._assignment(2)
    assert pickle.loads(pickle.dumps(assignment)) == assignment
    assert assignment.number == 2


def test_stop_may_be_asked_for_from_any_thread(make):
    server = make("a:b")
    thread = threading.Thread(target=server.main_loop_interrupt.set)
    thread.start()
    server.crew.pump(5)
    thread.join()
    assert server._stopping


def test_signal_handlers_set_flags_and_wake(make):
    server = make("a:b")
    server.signal_handler_reload()
    server.crew.pump(5)
    assert server.reload_signal
    assert not server._stopping
    server.signal_handler_interrupt(15, None)
    assert server._stopping


def test_interrupt_rings():
    alarm = Alarm()
    interrupt = Interrupt(alarm)
    interrupt.set()
    assert interrupt.is_set()
    assert alarm._ear.recv(10)
    alarm.close()


def test_broken_reload_hook_leaves_everything_as_it_is(make, caplog):
    server = make("a:b")
    server.on_reload(lambda: 1 / 0)
    assert not server._prepare_reload()
