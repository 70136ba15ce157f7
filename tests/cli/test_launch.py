import logging
import sys

import pytest

import granian.cli
from granian.cli.launch import cli
from granian.errors import FatalError, UnusableError


class Server:
    """A server that only remembers what it was made from."""

    made = None
    fails = None
    refuses = None

    @classmethod
    def from_plans(cls, supervisor, worker):
        if cls.refuses is not None:
            raise cls.refuses
        server = Server.made = cls()
        server.supervisor, server.worker = supervisor, worker
        server.hooks, server.served = [], False
        return server

    def adopt(self, newborn):
        newborn.dismiss()

    def on_startup(self, hook):
        self.hooks.append(hook)

    def serve(self):
        self.served = True
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(granian.cli, "Server", Server, raising=False)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    Server.made = Server.fails = Server.refuses = None
    return Server


def run(*args):
    with pytest.raises(SystemExit) as caught:
        cli(list(args))
    return caught.value.code


def test_the_server_is_made_from_the_plans_and_serves(server, monkeypatch):
    monkeypatch.setenv("GRANIAN_INTERFACE", "asgi")
    assert run("--port", "7", "main:app", "--no-ws") == 0
    assert server.made.served
    assert server.made.supervisor.port == 7
    assert server.made.supervisor.sources == ("1 environment variable", "2 flags")
    assert server.made.worker.target == "main:app"
    assert server.made.worker.interface == "asgi"
    assert not server.made.worker.websockets
    assert server.made.hooks == []


def test_the_application_may_be_named_by_a_variable(server, monkeypatch):
    monkeypatch.setenv("GRANIAN_APP", "main:app")
    assert run() == 0
    assert server.made.worker.target == "main:app"


def test_a_panel_is_asked_for_where_it_can_be_shown(server, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("TERM", raising=False)
    assert run("main:app") == 0
    assert len(server.made.hooks) == 1
    assert run("main:app", "--no-log") == 0
    assert server.made.hooks == []


def test_whoever_debugs_is_told_in_a_line(server, caplog):
    assert run("main:app", "--log-level", "debug") == 0
    server.made.urls = ("http://[::1]:8000",)
    (hook,) = server.made.hooks
    logger = logging.getLogger("_granian")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level("INFO", logger="_granian"):
            hook()
    finally:
        logger.removeHandler(caplog.handler)
    assert caplog.messages[0].startswith("address: http://[::1]:8000; application: main:app, RSGI")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ([], "Error: Missing argument 'APP'. Name an application, such as main:app."),
        (["a", "b", "c"], "Error: Got unexpected extra argument (b c)."),
        (["a", "--port", "x"], "Error: Invalid value for '--port': 'x' is not a valid integer."),
        (
            ["--show-config=xml"],
            "Error: Invalid value for '--show-config': 'xml' is not one of 'text', 'json', 'toml'.",
        ),
        (
            ["--show-completion", "tcsh"],
            "Error: Invalid value for '--show-completion': 'tcsh' is not one of 'bash', 'zsh', "
            "'fish', 'powershell', 'pwsh'. Did you mean 'zsh'?",
        ),
    ],
)
def test_usage_errors_leave_with_two(server, args, line, capsys):
    assert run(*args) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.splitlines()[-1].startswith(line[:60])
    assert server.made is None


def test_what_a_setting_names_and_cannot_be_used_is_a_usage_error(server, capsys):
    server.refuses = UnusableError("host", "Nobody lives there", "Name {}", "port")
    assert run("--host", "nowhere", "main:app") == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert errors.splitlines()[-1] == (
        "Error: Invalid value for '--host': Nobody lives there. Name --port."
    )
    assert server.made is None


def test_errors_for_the_operator_are_a_line_and_one(server, capsys):
    server.fails = FatalError("the port is in use")
    assert run("main:app") == 1
    assert capsys.readouterr().err == "Error: the port is in use\n"


def test_an_interrupt_is_no_traceback(server, capsys):
    server.fails = KeyboardInterrupt()
    assert run("main:app") == 130
    assert capsys.readouterr().err.strip() == ""


def test_the_servers_own_exit_code_is_the_commands(server):
    server.fails = SystemExit(1)
    assert run("main:app") == 1


def test_warnings_go_to_standard_error(server, monkeypatch, capsys):
    monkeypatch.setenv("GRANIAN_WORKRES", "1")
    assert run("main:app") == 0
    assert capsys.readouterr() == (
        "",
        "Warning: GRANIAN_WORKRES is not a variable of this server; did you mean "
        "GRANIAN_WORKERS?\n",
    )


@pytest.mark.parametrize(
    ("args", "start"),
    [
        (["--init-config"], "# Settings of granian"),
        (["--show-config", "main:app"], "host "),
        (["--show-config=JSON"], "{"),
        (["--show-completion", "fish"], "# fish completion"),
        (["--check-config=files", "main:app"], "settings     ok"),
    ],
)
def test_what_is_done_instead_of_serving(server, args, start, capsys):
    assert run(*args) == 0
    assert capsys.readouterr().out.startswith(start)
    assert server.made is None


def test_completion_may_be_asked_for_by_a_variable(server, monkeypatch, capsys):
    monkeypatch.setenv("GRANIAN_SHOW_COMPLETION", "ZSH")
    assert run("main:app") == 0
    assert capsys.readouterr().out.startswith("#compdef granian")


def test_the_real_server_is_taken_when_nobody_set_another():
    from granian import server as home

    before = granian.cli.__dict__.pop("Server", None)
    try:
        assert granian.cli.Server is home.Server
    finally:
        if before is not None:
            granian.cli.Server = before
    assert "granian.server" in sys.modules


@pytest.mark.parametrize(
    ("interface", "config", "environ", "warm"),
    [
        (None, None, {}, "loop"),
        ("wsgi", None, {}, "engine"),
        ("WSGI", None, {}, "engine"),
        ("asgi", "x.toml", {}, "loop"),
        (None, "x.toml", {}, "engine"),
        (None, None, {"GRANIAN_INTERFACE": "wsgi"}, "engine"),
        (None, None, {"GRANIAN_CONFIG": "x.toml"}, "engine"),
    ],
)
def test_first_worker_imports_no_loop_that_it_may_not_need(
    monkeypatch, interface, config, environ, warm
):
    from granian.cli.launch import _warmth

    for name in ("GRANIAN_INTERFACE", "GRANIAN_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert _warmth({"interface": interface, "config": config}) == warm
