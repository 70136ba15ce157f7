"""The names that users and other packages import, with the shapes they rely on."""

import importlib
import inspect
import re
import subprocess
import sys

import pytest

import granian

NAMES = {
    "granian": ["Granian", "__version__", "loops"],
    "granian._granian": [
        "BUILD_GIL",
        "ListenerSpec",
        "ProcInfoCollector",
        "RSGIHTTPProtocol",
        "SocketHolder",
        "UnixListenerSpec",
        "WorkerSignal",
        "__version__",
    ],
    "granian._loops": ["loops"],
    "granian.asgi": ["LifespanProtocol"],
    "granian.cli": ["Duration", "EnumType", "OctalIntType", "Server", "cli", "entrypoint"],
    "granian.constants": [
        "HTTPModes",
        "Interfaces",
        "Loops",
        "RuntimeModes",
        "SSLProtocols",
        "TaskImpl",
        "ThreadModes",
    ],
    "granian.errors": ["ConfigurationError", "FatalError", "PidFileError"],
    "granian.http": ["HTTP1Settings", "HTTP2Settings"],
    "granian.log": [
        "DEFAULT_ACCESSLOG_FMT",
        "LOGGING_CONFIG",
        "LogLevels",
        "access_logger",
        "configure_logging",
        "log_levels_map",
        "log_request_builder",
        "logger",
    ],
    "granian.net": ["SocketHolder", "SocketSpec", "UnixSocketSpec"],
    "granian.rsgi": [
        "HTTPProtocol",
        "Headers",
        "Scope",
        "WebsocketMessage",
        "WebsocketMessageType",
        "WebsocketProtocol",
    ],
    "granian.server": ["Granian", "Server"],
    "granian.server.common": ["AbstractServer", "Interfaces", "Loops"],
    "granian.server.embed": ["Server"],
    "granian.server.mp": ["MPServer"],
    "granian.server.mt": ["MTServer"],
    "granian.utils.proxies": ["wrap_asgi_with_proxy_headers", "wrap_wsgi_with_proxy_headers"],
    "granian.wsgi": [],
}

# granian.constants, member by member: what a command line and a keyword argument may say.
CHOICES = {
    "HTTPModes": {"auto": "auto", "http1": "1", "http2": "2"},
    "Interfaces": {"ASGI": "asgi", "ASGINL": "asginl", "RSGI": "rsgi", "WSGI": "wsgi"},
    "Loops": {name: name for name in ("auto", "asyncio", "rloop", "uvloop", "winloop")},
    "RuntimeModes": {"auto": "auto", "mt": "mt", "st": "st"},
    "SSLProtocols": {"tls12": "tls1.2", "tls13": "tls1.3"},
    "TaskImpl": {"asyncio": "asyncio", "rust": "rust"},
    "ThreadModes": {"runtime": "runtime", "workers": "workers"},
}

PAIRS = [(module, name) for module, names in NAMES.items() for name in names]


@pytest.mark.parametrize("module", NAMES)
def test_module_imports(module):
    importlib.import_module(module)


@pytest.mark.parametrize(("module", "name"), PAIRS)
def test_name_is_there(module, name):
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_their_strings(name):
    kind = getattr(importlib.import_module("granian.constants"), name)
    assert {member.name: member.value for member in kind} == CHOICES[name]
    for member in kind:
        assert str(member) == member.value == member
        assert {member.value: "found"}[member] == "found"


def test_package_all():
    assert sorted(granian.__all__) == ["Granian", "__version__", "loops"]


def test_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?(a|b|rc|dev)\d+)?", granian.__version__)


def test_bare_import_loads_what_others_reach_through_it():
    """Frameworks write ``import granian`` and use ``granian.http.HTTP1Settings``."""
    expected = "constants errors http log net rsgi asgi wsgi server".split()  # noqa: SIM905 as prose
    code = f"import granian; [getattr(granian, name) for name in {expected!r}]"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_granian_is_the_server():
    from granian.server import Granian, Server

    assert granian.Granian is Granian is Server


def test_constructor_takes_upstreams_parameters_in_order():
    parameters = list(inspect.signature(granian.Granian).parameters)
    assert parameters[:5] == ["target", "address", "port", "uds", "uds_permissions"]


def test_loops_registry_is_one_object():
    from granian._loops import loops

    assert granian.loops is loops
    assert "asyncio" in loops
