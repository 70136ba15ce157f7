import re
from pathlib import Path

import pytest

from granian.cli import completion
from granian.config.options import COMMANDS, CONFIG_OPTION, OPTIONS, SHELLS

POWERSHELL = Path(__file__).parent / "golden" / "completion.ps1"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_every_flag_is_in_every_script(shell):
    text = completion.script(shell)
    for row in (*OPTIONS, CONFIG_OPTION, *COMMANDS):
        for flag in row.spellings:
            assert (f"-l {flag[2:]}" if shell == "fish" else flag) in text


def test_powershells_script_is_the_stored_one():
    """Read by people and held here; no test runs it, as tests/e2e does those of the others.

    PowerShell cannot be had from Debian. Who has it: source the file, type granian --, press Tab.
    """
    assert completion.script("powershell") == POWERSHELL.read_text(encoding="utf-8")
    assert completion.script("pwsh") == completion.script("powershell")


def test_powershells_quotes_and_brackets_are_paired():
    bare = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", "", POWERSHELL.read_text(encoding="utf-8"))
    bare = re.sub(r"#.*", "", bare)
    assert not re.search("['\"]", bare)
    while True:
        shorter = re.sub(r"\(\s*\)|\[\s*\]|\{\s*\}", "", re.sub(r"[^][(){}]", "", bare))
        if shorter == bare:
            break
        bare = shorter
    assert bare == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed(shell, capsys):
    assert completion.run(False, shell) == 0
    assert capsys.readouterr().out == completion.script(shell)


@pytest.mark.parametrize(
    ("shell", "path"),
    [
        ("bash", ".local/share/bash-completion/completions/granian"),
        ("zsh", ".zfunc/_granian"),
        ("fish", ".config/fish/completions/granian.fish"),
    ],
)
def test_a_script_is_installed_where_the_shell_looks(shell, path, home, capsys):
    for _ in range(2):
        assert completion.run(True, shell) == 0
        assert (home / path).read_text() == completion.script(shell)
        assert f"was written to {home / path}" in capsys.readouterr().out
    assert sorted(p.relative_to(home) for p in home.rglob("*") if p.is_file()) == [Path(path)]


def test_powershell_profiles_are_appended_to_once(home, monkeypatch, capsys):
    profile = home / "profile.ps1"
    profile.write_text("# mine")
    monkeypatch.setattr(completion, "_profile", lambda shell: profile)
    assert completion.run(True, "pwsh") == 0
    once = profile.read_text()
    assert once.startswith("# mine\n# granian completion: begin\n")
    profile.write_text(once + "# mine too\n")
    assert completion.run(True, "pwsh") == 0
    assert profile.read_text() == once + "# mine too\n"


def test_the_usual_profile_is_taken_where_powershell_is_not_installed(home, monkeypatch):
    monkeypatch.setenv("PATH", str(home))
    assert completion._profile("pwsh").name == "Microsoft.PowerShell_profile.ps1"


def test_the_shell_is_found(home, monkeypatch):
    monkeypatch.setattr(completion.os, "getppid", lambda: 0)
    assert completion.detect_shell() == ""
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert completion.detect_shell() == "zsh"


def test_a_shell_that_is_not_found_must_be_named(home, monkeypatch, capsys):
    monkeypatch.setattr(completion, "detect_shell", lambda: "")
    assert completion.run(False, "") == 2
    assert "name one, as in --show-completion bash" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(home, capsys):
    (home / ".zfunc").write_text("")
    assert completion.run(True, "zsh") == 1
    assert capsys.readouterr().err.count("\n") == 1
