"""What every server object has before it serves."""

import inspect
import socket
from pathlib import Path

import pytest

from granian import Granian
from granian.config.plans import make_plans
from granian.constants import Interfaces, RuntimeModes
from granian.errors import ConfigurationError, UnusableError
from granian.server import embed
from granian.server.base import BaseServer, call
from tests.support.certs import path as cert

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
]


def test_parameters_are_upstreams_in_their_order():
    parameters = list(inspect.signature(BaseServer.__init__).parameters)
    assert parameters[1:-1] == UPSTREAM
    assert parameters[-1] == "more"


def test_public_attributes():
    server = BaseServer("a:b", interface="asgi", port=1234)
    missing = [name for name in ATTRIBUTES if not hasattr(server, name)]
    assert missing == []
    assert server.bind_port == 1234
    assert server.interface is Interfaces.ASGI


def test_further_settings_and_old_names():
    server = BaseServer("a:b", workers_max_requests=10, threading_mode="runtime", threads=2)
    assert server.worker_plan.workers_max_requests == 10
    assert server.runtime_mode is RuntimeModes.mt
    assert server.runtime_threads == 2


def test_nothing_is_bound_by_construction():
    assert BaseServer("a:b", port=80)._sockets == []


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError, match="wrokers"):
        BaseServer("a:b", wrokers=2)


def test_contradiction_is_found_by_construction():
    with pytest.raises(ConfigurationError):
        BaseServer("a:b", interface="asgi", blocking_threads=3)


@pytest.mark.parametrize(
    ("keywords", "begin", "end"),
    [
        ({"ssl_cert": "none"}, "ssl_cert: Cannot read the certificate", "and its chain."),
        ({"ssl_key": "other-key"}, "ssl_key: The key in ", "was made for."),
        ({"ssl_key": "server-key-encrypted"}, "ssl_key: The key in ", "by ssl_key_password."),
        (
            {"ssl_key": "server-key-encrypted", "ssl_key_password": "wrong"},
            "ssl_key_password: The password does not open",
            "it was encrypted with.",
        ),
        ({"ssl_ca": "server-key"}, "ssl_ca: Cannot use ", "a PEM file of certificates."),
        ({"ssl_ca": "ca", "ssl_crl": ["ca"]}, "ssl_crl: Cannot use ", "of such a list."),
    ],
)
@pytest.mark.parametrize("kind", [BaseServer, Granian, embed.Server])
def test_files_of_tls_are_tried_by_construction(kind, keywords, begin, end):
    def located(name, value):
        if name == "ssl_key_password":
            return value
        return [cert(one) for one in value] if isinstance(value, list) else Path(cert(value))

    keywords = {"ssl_cert": "server", "ssl_key": "server-key", **keywords}
    keywords = {name: located(name, value) for name, value in keywords.items()}
    with pytest.raises(ConfigurationError) as caught:
        kind("a:b", interface="asgi", **keywords)
    assert str(caught.value).startswith(begin)
    assert str(caught.value).endswith(end)
    assert "wrong" not in str(caught.value)


def test_who_has_made_the_plans_names_the_settings():
    plans = make_plans({"ssl_certificate": cert("server"), "ssl_keyfile": cert("other-key")})
    with pytest.raises(UnusableError) as caught:
        BaseServer("a:b", plans=plans[:2])
    assert caught.value.setting == "ssl_keyfile"


def test_hooks_are_returned_so_that_they_decorate():
    server = BaseServer("a:b")

    def hook():
        pass

    for register, hooks in (
        (server.on_startup, server.hooks_startup),
        (server.on_reload, server.hooks_reload),
        (server.on_shutdown, server.hooks_shutdown),
    ):
        assert register(hook) is hook
        assert hooks == [hook]


def test_hooks_are_called_in_order_and_the_first_that_raises_ends_it():
    called = []

    def fails():
        called.append(2)
        raise LookupError

    with pytest.raises(LookupError):
        call([lambda: called.append(1), fails, lambda: called.append(3)])
    assert called == [1, 2]


class Bound(BaseServer):
    """Listens on a socket that tells what is done to it."""

    def __init__(self, sock, **keywords):
        super().__init__("a:b", log_enabled=False, **keywords)
        self.given = sock

    def _init_shared_socket(self):
        self._share([self.given])


@pytest.fixture
def sock():
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        yield made


def test_what_is_listened_on_is_said_under_upstreams_names(sock):
    server = Bound(sock)
    assert server.urls == []
    server._listen()
    assert server.bind_port == sock.getsockname()[1]
    assert server.urls == [f"http://127.0.0.1:{server.bind_port}"]
    assert (server._sso, server._sfd) == (sock, sock.fileno())
    assert server._shd.get_fd() == sock.fileno()
    assert not sock.getblocking()
    server._close_sockets()
    assert sock.fileno() == -1


@pytest.mark.parametrize("attribute", ["_sso", "_shd"])
def test_socket_left_by_an_extension_is_found(sock, attribute):
    class Own(BaseServer):
        def _init_shared_socket(self):
            made = sock if attribute == "_sso" else Holder()
            setattr(self, attribute, made)

    class Holder:
        def listen(self):
            return sock

    server = Own("a:b", log_enabled=False)
    server._listen()
    assert server._sockets == [sock]
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@pytest.mark.parametrize("replaced", [False, True])
def test_only_its_own_socket_file_is_removed(tmp_path, replaced):
    path = tmp_path / "s"
    server = BaseServer("a:b", uds=path, log_enabled=False)
    server._listen()
    if replaced:
        path.unlink()
        path.write_text("somebody else's")
    server._close_sockets()
    server._remove_socket_file()
    assert path.exists() is replaced
