"""Every file of conf/ does what it says with the settings that exist."""

import re
import shutil
from pathlib import Path

import pytest

from granian.cli.inspection import check
from granian.config.sources import resolve

ROOT = Path(__file__).parent.parent
CONF = ROOT / "conf"
CERTS = ROOT / "tests" / "certs"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of conf/ beside an application and the files it names."""
    copy = tmp_path / "conf"
    shutil.copytree(str(CONF), str(copy))
    (copy / "tls").mkdir()
    shutil.copy(str(CERTS / "server.pem"), str(copy / "tls" / "site.pem"))
    shutil.copy(str(CERTS / "server-key.pem"), str(copy / "tls" / "site.key"))
    monkeypatch.chdir(tmp_path)
    return copy


@pytest.mark.parametrize("path", sorted(CONF.glob("*.toml")), ids=lambda path: path.name)
def test_settings_files_pass_the_check(path, folder, capsys):
    arguments = {"config": str(folder / path.name), "app": "main:app"}
    assert check(arguments, {}, "files,tls") == 0
    output, errors = capsys.readouterr()
    assert " NO " not in output
    # One recipe for all builds: what one of them cannot do, it says.
    assert [line for line in errors.splitlines() if "free-threaded build" not in line] == []
    assert f"granian --config conf/{path.name} main:app" in path.read_text()


def variables(name, pattern):
    return dict(re.findall(pattern, (CONF / name).read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "pattern", "count"),
    [
        ("granian.env", r"^(GRANIAN_\w+)=(.*)$", 10),
        ("Dockerfile", r"\b(GRANIAN_\w+)=(\S+)", 7),
        ("compose.yaml", r'\b(GRANIAN_\w+): "(.*)"', 5),
    ],
)
def test_variables_are_settings(name, pattern, count):
    found = variables(name, pattern)
    assert len(found) == count
    resolved = resolve({}, found)
    assert resolved.warnings == ()
    assert {origin.name for origin in resolved.origins.values()} == set(found)


def test_the_units_call_the_command_as_it_is():
    (command,) = re.findall(
        r"^ExecStart=\S+/granian (.*)$", (CONF / "granian.service").read_text(), re.M
    )
    assert command == "--config /etc/granian.toml"


def test_deadlines_fit_into_each_other():
    """A server must be done before whoever runs it loses patience."""
    kill = resolve({"config": str(CONF / "production.toml")}, {}).values["workers_kill_timeout"]
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", (CONF / "granian.service").read_text(), re.M)
    assert kill < int(stop)
    container = resolve({"config": str(CONF / "container.toml")}, {}).values
    assert container["workers_kill_timeout"] < 10
