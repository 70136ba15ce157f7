"""Completion scripts for five shells, made from the table; no Python runs when Tab is pressed.

``--show-completion`` prints one, ``--install-completion`` puts it where the shell looks and says
where that is. Files of the user's own are only ever appended to, between two marker lines, and only
for PowerShell, which knows no folder of completions. Standard library only.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, List, Optional, Tuple

from ..config.options import (
    BOOL,
    CHOICE,
    COMMANDS,
    CONFIG_OPTION,
    COUNT,
    DIRECTORY,
    FILE,
    OPTIONS,
    PATH,
    SHELLS,
    Option,
)
from .parser import FAILURE, USAGE_ERROR, WITHOUT_VALUE
from .terminal import say

_ROWS = (*OPTIONS, CONFIG_OPTION, *COMMANDS)
_BEGIN = "# granian completion: begin"
_END = "# granian completion: end"
_ATTACHED = ("--check-config", "--show-config", "--init-config")
"""Options whose value, if any, stands behind an equals sign only."""


def run(install: bool, shell: str) -> int:
    """Print or install the completion of a shell; an empty name means the one we are run from.

    Returns:
        The exit code.
    """
    shell = shell or detect_shell()
    if not shell:
        say(
            f"Error: this shell is not one of {', '.join(SHELLS)}; name one, as in "
            "--show-completion bash.\n",
            sys.stderr,
        )
        return USAGE_ERROR
    if not install:
        say(script(shell), sys.stdout)
        return 0
    try:
        say(_INSTALLERS[shell](shell), sys.stdout)
    except OSError as error:
        say(f"Error: completion could not be installed: {error}.\n", sys.stderr)
        return FAILURE
    return 0


def detect_shell() -> str:
    """Name the shell this process was started from: its parent, else the login shell."""
    names = [os.path.basename(os.environ.get("SHELL", ""))]
    try:
        names.insert(0, Path(f"/proc/{os.getppid()}/comm").read_text().strip())
    except OSError:
        pass  # no such file on this system
    if sys.platform == "win32":
        names.append("powershell")
    return next((name for name in names if name in SHELLS), "")


def script(shell: str) -> str:
    """Return the completion script for a shell."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}.get(shell, _powershell)()


# What may stand behind an option


def _words(row: Option) -> Tuple[str, ...]:
    """Return the words a value can be, if they are known."""
    if row.kind == CHOICE:
        return row.choices
    if row.name == "check_config":
        return ("all", "files", "tls", "bind", "app")
    return ("auto",) if row.kind == COUNT else ()


def _takes_value(row: Option) -> bool:
    return row.kind != BOOL


def _flags(row: Option) -> Tuple[str, ...]:
    return (*row.spellings, *(() if row in COMMANDS else row.negations))


def _every_flag() -> List[str]:
    return [flag for row in _ROWS for flag in _flags(row)]


# The scripts


def _bash() -> str:
    cases = []
    for row in _ROWS:
        if not _takes_value(row):
            continue
        pattern = "|".join(row.spellings)
        if _words(row):
            action = f'COMPREPLY=($(compgen -W "{" ".join(_words(row))}" -- "$cur"))'
        elif row.kind == DIRECTORY:
            action = 'compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))'
        elif row.kind in (FILE, PATH):
            action = 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))'
        else:
            action = ""
        cases.append(f"        {pattern}) {action or ':'}; return ;;")
    attached = "|".join(_ATTACHED)
    return f"""\
# bash completion for granian
_granian() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="" IFS=$'\\n'
    COMPREPLY=()
    ((COMP_CWORD > 0)) && prev="${{COMP_WORDS[COMP_CWORD-1]}}"
    # bash splits words at the equals sign of --option=value
    local joined=
    if [[ $cur == "=" ]]; then
        cur="" joined=1
    elif [[ $prev == "=" ]] && ((COMP_CWORD > 1)); then
        prev="${{COMP_WORDS[COMP_CWORD-2]}}" joined=1
    fi
    case $prev in
        {attached}) [[ $joined ]] || prev="" ;;
    esac
    IFS=$' \\t\\n'
    case $prev in
{chr(10).join(cases)}
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "{" ".join(_every_flag())}" -- "$cur"))
        return
    fi
    compopt -o filenames
    COMPREPLY=($(compgen -f -X '!*.py' -- "$cur") $(compgen -d -- "$cur"))
}}
complete -F _granian granian
"""


def _zsh() -> str:
    lines = []
    for row in _ROWS:
        help_text = _zsh_quote(row.help)
        repeat = "*" if row.multiple else ""
        for flag in _flags(row):
            if not _takes_value(row):
                lines.append(f"'{repeat}{flag}[{help_text}]'")
                continue
            if row.kind == DIRECTORY:
                action = "_files -/"
            elif row.kind in (FILE, PATH):
                action = "_files"
            else:
                action = f"({' '.join(_words(row))})"
            sign = "=-" if flag in _ATTACHED else "="
            value = "::" if flag in WITHOUT_VALUE else ":"
            lines.append(f"'{repeat}{flag}{sign}[{help_text}]{value}{row.kind}:{action}'")
    body = " \\\n    ".join(lines)
    return f"""\
#compdef granian
# zsh completion for granian
_granian() {{
  _arguments -S \\
    {body} \\
    '1:application:_files -g "*.py(-.)"'
}}
if [[ $funcstack[1] == _granian ]]; then
  _granian "$@"
else
  compdef _granian granian
fi
"""


def _zsh_quote(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, "\\" + special)
    return text.replace("'", "'\\''")


def _fish() -> str:
    lines = ["# fish completion for granian", "complete -c granian -e"]
    for row in _ROWS:
        for flag in _flags(row):
            line = f"complete -c granian -l {flag[2:]}"
            if _takes_value(row) and flag not in _ATTACHED:
                line += " -r"
                if row.kind == DIRECTORY:
                    line += " -f -a '(__fish_complete_directories)'"
                elif row.kind in (FILE, PATH):
                    line += " -F"
                else:
                    line += " -f"
            if _words(row):
                line += f" -a '{' '.join(_words(row))}'"
            description = row.help.replace("\\", "\\\\").replace("'", "\\'")
            lines.append(f"{line} -d '{description}'")
    lines.append("complete -c granian -n 'not string match -q -- \"-*\" (commandline -ct)' -F")
    return "\n".join(lines) + "\n"


def _powershell() -> str:
    table = []
    for row in _ROWS:
        words = ", ".join(f"'{word}'" for word in _words(row))
        for flag in _flags(row):
            kind = "switch" if not _takes_value(row) else "path" if _is_path(row) else "value"
            help_text = row.help.replace("'", "''")
            table.append(f"        '{flag}' = @('{kind}', @({words}), '{help_text}')")
    body = "\n".join(table)
    return f"""\
# PowerShell completion for granian
Register-ArgumentCompleter -Native -CommandName granian -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)
    $options = [ordered]@{{
{body}
    }}
    $words = @($commandAst.CommandElements | ForEach-Object {{ $_.ToString() }})
    $before = if ($wordToComplete) {{ $words[-2] }} else {{ $words[-1] }}
    $known = $options[[string]$before]
    if ($known -and $known[0] -ne 'switch') {{
        $known[1] | Where-Object {{ $_ -like "$wordToComplete*" }} | ForEach-Object {{
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }}
        return
    }}
    if ($wordToComplete -like '-*') {{
        $options.Keys | Where-Object {{ $_ -like "$wordToComplete*" }} | ForEach-Object {{
            [System.Management.Automation.CompletionResult]::new(
                $_, $_, 'ParameterName', $options[$_][2])
        }}
    }}
}}
"""


def _is_path(row: Option) -> bool:
    return row.kind in (FILE, PATH, DIRECTORY)


# Where shells look


def _install_bash(shell: str) -> str:
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    path = Path(data, "bash-completion", "completions", "granian").expanduser()
    return _put(path, shell) + "It is used by new shells that load bash-completion.\n"


def _install_zsh(shell: str) -> str:
    path = Path("~/.zfunc/_granian").expanduser()
    return _put(path, shell) + (
        "It is used by new shells if ~/.zshrc has these lines:\n"
        "  fpath+=~/.zfunc\n"
        "  autoload -Uz compinit && compinit\n"
    )


def _install_fish(shell: str) -> str:
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    path = Path(config, "fish", "completions", "granian.fish").expanduser()
    return _put(path, shell) + "It is used by new shells.\n"


def _put(path: Path, shell: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script(shell), encoding="utf-8")
    return f"Completion for {shell} was written to {path}.\n"


def _install_powershell(shell: str) -> str:
    path = _profile(shell)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    block = f"{_BEGIN}\n{script(shell)}{_END}\n"
    before, begin, rest = text.partition(_BEGIN + "\n")
    if begin:
        after = rest.partition(_END + "\n")[2]
        text = before + block + after
    else:
        text += ("" if not text or text.endswith("\n") else "\n") + block
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"Completion for {shell} was added to {path}.\nIt is used by new shells.\n"


def _profile(shell: str) -> Path:
    """Ask PowerShell where its profile is; where it does not answer, where it usually is."""
    answer: Optional[str] = None
    try:
        answer = subprocess.run(  # noqa: S603 - one of two fixed names, looked up in PATH
            [shell, "-NoProfile", "-NonInteractive", "-Command", "$PROFILE"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass  # not installed here; the usual place will be right when it is
    if answer:
        return Path(answer)
    if sys.platform == "win32":
        folder = "WindowsPowerShell" if shell == "powershell" else "PowerShell"
        return Path.home() / "Documents" / folder / "Microsoft.PowerShell_profile.ps1"
    return Path.home() / ".config" / "powershell" / "Microsoft.PowerShell_profile.ps1"


_INSTALLERS: Dict[str, Callable[[str], str]] = {
    "bash": _install_bash,
    "zsh": _install_zsh,
    "fish": _install_fish,
    "powershell": _install_powershell,
    "pwsh": _install_powershell,
}
