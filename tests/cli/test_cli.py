import subprocess
import sys

import pytest

import granian.cli

HEAVY = ("pydantic", "pydantic_settings", "rich", "asyncio", "h11", "h2", "wsproto", "watchdog")


@pytest.mark.parametrize("name", granian.cli.__all__)
def test_public_names_are_there(name):
    assert getattr(granian.cli, name) is not None


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = granian.cli.nothing


def loaded(code, *args):
    """The modules that a fresh interpreter has loaded after some code, however that ended."""
    program = f"import sys, atexit\natexit.register(lambda: print(*sys.modules, sep='\\n'))\n{code}"
    run = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in run.stderr
    return set(run.stdout.splitlines())


def test_importing_the_command_loads_nothing():
    modules = loaded("import granian.cli")
    assert {name for name in modules if name.startswith("granian")} == {
        "granian",
        "granian._version",
        "granian.cli",
    }
    assert "click" not in modules


@pytest.mark.parametrize(
    "args",
    [
        ["--version"],
        ["--help"],
        ["--show-completion", "bash"],
        ["--init-config"],
        ["--no-such-option"],
        ["a", "b"],
    ],
)
def test_what_needs_no_server_loads_none(args):
    modules = loaded("from granian.cli import entrypoint; entrypoint()", *args)
    assert "granian.cli.parser" in modules
    assert not modules.intersection(HEAVY)
    assert not any(name.startswith("granian.server") for name in modules)
