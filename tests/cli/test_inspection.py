import json
import socket
import sys

import pytest

from granian.cli.inspection import check, show
from granian.config.options import CANONICAL
from granian.config.sources import resolve
from tests.support.certs import path as cert

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "granian.toml").write_text(
        "[granian]\nworkers = 1\nbacklog = 256\nssl_keyfile_password = 'hunter2'\n"
        "pid_file = 'run/pid'\n"
    )
    return tmp_path


ARGUMENTS = {"config": "granian.toml", "port": "0", "app": "some:app"}
ENVIRON = {"GRANIAN_INTERFACE": "asgi"}


def test_settings_are_shown_with_where_they_came_from(folder, capsys):
    assert show(ARGUMENTS, ENVIRON, "text") == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == set(CANONICAL)
    assert lines["port"] == ["0", "--port"]
    assert lines["interface"] == ["asgi", "GRANIAN_INTERFACE"]
    assert lines["backlog"] == ["256", "granian.toml"]
    assert lines["app"] == ["some:app", "APP"]
    assert lines["host"] == ["127.0.0.1", "default"]
    assert lines["backpressure"] == ["256", "default", "(backlog/workers)"]
    assert lines["ssl_keyfile_password"][0] == "******"


def test_settings_as_json(folder, capsys):
    show(ARGUMENTS, ENVIRON, "json")
    document = json.loads(capsys.readouterr().out)
    assert set(document) == set(CANONICAL)
    assert document["port"] == {"value": 0, "source": "command line", "from": "--port"}
    assert document["backlog"] == {"value": 256, "source": "file", "from": "granian.toml"}
    assert document["uds"]["value"] is None
    assert "hunter2" not in json.dumps(document)


def test_settings_as_toml_give_the_same_settings_again(folder, capsys, tmp_path_factory):
    show(ARGUMENTS, ENVIRON, "toml")
    text = capsys.readouterr().out
    assert "hunter2" not in text
    path = tmp_path_factory.mktemp("other") / "again.toml"
    path.write_text(text)
    first, again = resolve(ARGUMENTS, ENVIRON), resolve({"config": str(path)}, {})
    assert again.plans.supervisor._replace(sources=()) == first.plans.supervisor._replace(
        sources=()
    )
    assert again.plans.worker == first.plans.worker
    assert tomllib.loads(text)["granian"]["interface"] == "asgi"


def test_errors_in_settings_are_usage_errors(capsys):
    with pytest.raises(SystemExit) as caught:
        show({"port": "x", "backlog": "1"}, {}, "text")
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("Error: ") == 2


def checked(capsys, arguments, wanted="all"):
    code = check({"port": "0", "interface": "asgi", **arguments}, {}, wanted)
    return code, capsys.readouterr().out.splitlines()


def test_everything_is_in_order(folder, capsys):
    (folder / "fine.py").write_text("async def app(scope, receive, send): ...\n")
    code, lines = checked(capsys, {"app": "fine:app", "pid_file": "pid"})
    assert code == 0
    assert [line.split()[:2] for line in lines] == [
        ["settings", "ok"],
        ["files", "ok"],
        ["address", "ok"],
        ["application", "ok"],
    ]


def test_each_problem_is_told(folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, lines = checked(capsys, {"app": "nothing:app", "pid_file": "no/pid", "port": port})
    assert code == 1
    assert [line.split()[:2] for line in lines if line[:1] != " "] == [
        ["settings", "ok"],
        ["files", "NO"],
        ["address", "NO"],
        ["application", "NO"],
    ]


def test_checks_can_be_chosen(folder, capsys):
    code, lines = checked(capsys, {"app": "nothing:app"}, "bind, files")
    assert code == 0
    assert len(lines) == 2
    with pytest.raises(SystemExit) as caught:
        checked(capsys, {}, "everything")
    assert caught.value.code == 2


SECURE = {"ssl_certificate": cert("server"), "ssl_keyfile": cert("server-key")}


def test_the_files_of_tls_are_tried(capsys):
    code, lines = checked(capsys, SECURE, "tls")
    assert code == 0
    assert [line.split()[:2] for line in lines] == [["settings", "ok"], ["certificate", "ok"]]


@pytest.mark.parametrize("wanted", ["all", "files,tls"])
def test_what_is_wrong_with_them_is_a_usage_error(capsys, wanted):
    with pytest.raises(SystemExit) as caught:
        checked(capsys, {**SECURE, "ssl_keyfile": cert("other-key")}, wanted)
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert "Error: Invalid value for '--ssl-keyfile': The key in " in errors


def test_they_are_left_alone_where_something_else_is_asked_for(capsys):
    broken = {**SECURE, "ssl_keyfile": cert("other-key")}
    assert checked(capsys, broken, "files") == (0, ["settings     ok  4 flags"])
    assert show(broken, {}, "text") == 0


def test_warnings_go_to_standard_error(capsys):
    check({"port": "0"}, {"GRANIAN_PROT": "1"}, "files")
    output, errors = capsys.readouterr()
    assert errors.startswith("Warning: GRANIAN_PROT is not a variable of this server")
    assert "Warning" not in output
