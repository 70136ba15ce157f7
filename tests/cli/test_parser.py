import pytest

from granian.cli.parser import make_command, with_values
from granian.config.options import BOOL, COMMANDS, CONFIG_OPTION, OPTIONS

TAKEN = {}


def _take(**values):
    TAKEN.clear()
    TAKEN.update(values)
    return 0


COMMAND = make_command(_take)


def parse(*args):
    with pytest.raises(SystemExit) as caught:
        COMMAND(list(args))
    assert caught.value.code in (0, None)
    return {name: value for name, value in TAKEN.items() if value not in (None, ())}


def refused(capsys, *args):
    with pytest.raises(SystemExit) as caught:
        COMMAND(list(args))
    assert caught.value.code == 2
    output, errors = capsys.readouterr()
    assert output == ""
    usage, hint, blank, *lines = errors.splitlines()
    assert (usage, blank) == ("Usage: granian [OPTIONS] APP", "")
    assert hint == "Try 'granian --help' for help."
    return lines


@pytest.mark.parametrize("row", [*OPTIONS, CONFIG_OPTION], ids=lambda row: row.name)
def test_every_spelling_of_every_option_is_understood(row):
    if row.kind == BOOL:
        assert all(parse(flag) == {row.name: True} for flag in row.spellings)
        assert all(parse(flag) == {row.name: False} for flag in row.negations)
        return
    for flag in row.spellings:
        expected = {row.name: ("x",) if row.multiple else "x"}
        assert parse(flag, "x") == expected
        assert parse(f"{flag}=x") == expected


def test_nothing_is_converted_defaulted_or_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("GRANIAN_PORT", "1")
    assert parse() == {}
    assert parse("--workers", "many") == {"workers": "many"}


def test_options_may_follow_the_application():
    assert parse("main:app", "--port", "1") == {"apps": ("main:app",), "port": "1"}
    assert parse("--port", "1", "--", "--strange") == {"apps": ("--strange",), "port": "1"}


def test_the_last_one_wins_and_lists_grow():
    assert parse("--port", "1", "--port", "2") == {"port": "2"}
    assert parse("--no-ws", "--ws") == {"websockets": True}
    assert parse("--ssl-crl", "a", "--ssl-crl", "b") == {"ssl_crl": ("a", "b")}


@pytest.mark.parametrize(
    ("args", "filled"),
    [
        (["--show-config", "main:app"], ["--show-config=text", "main:app"]),
        (["--show-config=json", "main:app"], ["--show-config=json", "main:app"]),
        (["--init-config"], ["--init-config=-"]),
        (["--check-config", "a"], ["--check-config=all", "a"]),
        (["--show-completion", "zsh"], ["--show-completion", "zsh"]),
        (["--show-completion"], ["--show-completion="]),
        (["--install-completion", "--port", "1"], ["--install-completion=", "--port", "1"]),
        (["--host", "--show-config", "a"], ["--host", "--show-config", "a"]),
        (["--ws", "--show-config"], ["--ws", "--show-config=text"]),
        (["--", "--show-config"], ["--", "--show-config"]),
        (["--"], ["--"]),
        (["--", "a", "b", "c"], ["--", "a", "b", "c"]),
        (["a", "--port"], ["a", "--port"]),
        ([], []),
    ],
)
def test_values_that_may_be_left_out(args, filled):
    assert with_values(args) == filled


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--prot", "1"], "Error: No such option '--prot'. Did you mean '--port'?"),
        (["--work"], "Error: No such option '--work'. Did you mean '--workers'?"),
        (["--xyzzyx"], "Error: No such option '--xyzzyx'."),
        (["-h"], "Error: No such option '-h'. Did you mean '--help'?"),
        (["--port"], "Error: Option '--port' requires an argument."),
        (["--ws=true"], "Error: Option '--ws' does not take a value."),
    ],
)
def test_usage_errors_are_ours_on_every_click(capsys, args, line):
    assert refused(capsys, *args) == [line]


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        COMMAND(["--version"])
    assert caught.value.code == 0
    name, number = capsys.readouterr().out.split()
    assert name == "granian"
    assert number[0].isdigit()


def test_help_off_a_terminal_is_plain(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with pytest.raises(SystemExit) as caught:
        COMMAND(["--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("Usage: granian [OPTIONS] APP\n")


def test_other_programs_may_run_the_command_without_leaving():
    assert COMMAND.main(["--port", "1"], standalone_mode=False) == 0
    assert TAKEN["port"] == "1"


def test_commands_are_options_of_the_command():
    names = {parameter.name for parameter in COMMAND.params}
    assert {row.name for row in (*OPTIONS, *COMMANDS)} < names
