"""The completion scripts in real shells."""

import shutil
import subprocess

import pytest

from granian.cli import completion

BASH = shutil.which("bash")
ZSH = shutil.which("zsh")
FISH = shutil.which("fish")

pytestmark = pytest.mark.e2e


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def bash(folder, *words):
    """What bash offers for the last of the words of a command line."""
    listed = " ".join(f"'{word}'" for word in words)
    code = (
        f"{completion.script('bash')}\n"
        f"COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}\n"
        # compopt works only while readline completes
        "compopt() { :; }\n"
        "_granian; printf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    run = subprocess.run(
        [BASH, "--norc", "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert run.stderr == ""
    return run.stdout.split()


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes(tmp_path):
    (tmp_path / "main.py").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "src").mkdir()
    assert bash(tmp_path, "granian", "--http2-max-f") == ["--http2-max-frame-size"]
    assert "--no-ws" in bash(tmp_path, "granian", "--no-")
    assert bash(tmp_path, "granian", "--interface", "as") == ["asgi", "asginl"]
    assert bash(tmp_path, "granian", "--interface", "=", "w") == ["wsgi"]
    assert bash(tmp_path, "granian", "--http", "=") == ["auto", "1", "2"]
    assert bash(tmp_path, "granian", "--host", "") == []
    assert bash(tmp_path, "granian", "--working-dir", "") == ["src"]
    assert "notes.txt" in bash(tmp_path, "granian", "--config", "")
    assert bash(tmp_path, "granian", "") == ["main.py", "src"]
    assert bash(tmp_path, "granian", "--show-config", "") == ["main.py", "src"]
    assert bash(tmp_path, "granian", "--show-config", "=", "j") == ["json"]
    assert bash(tmp_path, "granian", "--show-completion", "pw") == ["pwsh"]


@pytest.mark.skipif(FISH is None, reason="needs fish")
def test_fish_completes(tmp_path, home):
    (tmp_path / "main.py").touch()
    (tmp_path / "src").mkdir()
    script = home / "granian.fish"
    script.write_text(completion.script("fish"))

    def offered(line):
        run = subprocess.run(
            [FISH, "--no-config", "-c", f"source {script}; complete -C '{line}'"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return [entry.split("\t")[0] for entry in run.stdout.splitlines()]

    assert offered("granian --http2-max-f") == ["--http2-max-frame-size"]
    assert "--no-ws" in offered("granian --no-")
    assert offered("granian --interface as") == ["asgi", "asginl"]
    assert offered("granian --interface=w") == ["--interface=wsgi"]
    assert offered("granian --working-dir s") == ["src/"]
    assert "main.py" in offered("granian --ws ma")
    assert offered("granian --show-completion pw") == ["pwsh"]


ZSH_DRIVER = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1= PS2= ; stty -echo 2>/dev/null; unsetopt zle_bracketed_paste 2>/dev/null'
zpty -w z 'autoload -Uz compinit && compinit -u -d $HOME/.dump && source $HOME/_granian'
zpty -w z 'zstyle ":completion:*" list-prompt ""; zstyle ":completion:*" menu no'
zpty -w z 'LISTMAX=10000; cd $HOME/work; bindkey "^I" complete-word; echo rea""dy'
zpty -r -m z seen '*ready*'
zpty -n -w z "$1"$'\t'
zpty -n -w z $'\n'
zpty -w z 'echo do""ne'
zpty -r -m z seen '*done*'
print -r -- "$seen"
"""


@pytest.mark.skipif(ZSH is None, reason="needs zsh")
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("granian --http2-max-f", "--http2-max-frame-size"),
        ("granian --interface rs", "--interface rsgi"),
        ("granian --interface=ws", "--interface=wsgi"),
        ("granian --working-dir s", "--working-dir src"),
        ("granian --ws ma", "--ws main.py"),
    ],
)
def test_zsh_completes(tmp_path, home, line, completed):
    work = home / "work"
    (work / "src").mkdir(parents=True)
    (work / "main.py").touch()
    (home / "_granian").write_text(completion.script("zsh"))
    # The command itself is a function that says what it was called with.
    driver = ZSH_DRIVER.replace("echo rea", "granian() { print -r -- called $* }; echo rea")
    run = subprocess.run(
        [ZSH, "-f", "-c", driver, "zsh", line],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert f"called {completed}" in run.stdout
