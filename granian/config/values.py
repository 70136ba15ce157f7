"""How values are written, and what to say when one is written wrong.

The small grammars that no library knows (durations, file modes, lists in a variable) and the one
place that words complaints, so that a flag, a variable and a TOML key get the same sentence on
every version of the libraries beneath. Standard library only; pure functions.
"""

import os
import re
from math import isfinite
from typing import Any, Callable, Dict, Iterable, List, Optional, Union

from .options import (
    BOOL,
    CHOICE,
    COUNT,
    DIRECTORY,
    DURATION,
    FILE,
    FLOAT,
    INT,
    OCTAL,
    PATH_KINDS,
    TEXT,
    Option,
)

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_TRUE = frozenset(("1", "true", "t", "yes", "y", "on"))
_FALSE = frozenset(("0", "false", "f", "no", "n", "off"))


def parse_bool(value: Any) -> bool:
    """Read a boolean: a bool, or one of the usual words in any case.

    Raises:
        ValueError: When it is neither.
    """
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{value!r} is not a valid boolean")


def parse_int(value: Any) -> int:
    """Read a whole number, refusing booleans and fractions.

    Raises:
        ValueError: When it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is not a valid integer")
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a valid integer") from None


def parse_float(value: Any) -> float:
    """Read a finite number, refusing booleans.

    Raises:
        ValueError: When it is none.
    """
    if not isinstance(value, bool) and isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (OverflowError, ValueError):
            pass  # told below, like everything that is no finite number
        else:
            if isfinite(number):
                return number
    raise ValueError(f"{value!r} is not a valid number")


def parse_count(value: Any) -> Union[int, str]:
    """Read a whole number or ``auto``.

    Raises:
        ValueError: When it is neither.
    """
    return "auto" if fold(value) == "auto" else parse_int(value)


def fold(value: Any) -> Any:
    """Let choices ignore case, and let a TOML integer name an HTTP version."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value).strip().lower()
    return value


def parse_duration(value: Any) -> int:
    """Read a duration in seconds: a bare number, or days, hours, minutes and seconds in order.

    Args:
        value: ``30``, ``"30"``, ``"1h30m"``; the empty string is 0.

    Raises:
        ValueError: For anything else; there are no fractions, signs or spaces.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip()
        if text.isdecimal():
            return int(text)
        match = _DURATION.fullmatch(text)
        if match is not None:
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    raise ValueError(f"{value!r} is not a valid duration")


def parse_octal(value: Any) -> int:
    """Read a file mode: octal when it starts with a zero, decimal otherwise, as Granian does.

    Raises:
        ValueError: When the digits are not of that base.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            return int(text, 8 if text.startswith("0") else 10)
        except ValueError:
            raise ValueError(f"{value!r} is not a valid octal number") from None
    return parse_int(value)


def split_list(option: Option, text: str) -> List[str]:
    """Split what a variable holds for an option that may be given several times.

    Paths are separated as in ``PATH``; other texts by white space, and addresses of proxies by
    commas too, since that is how ``FORWARDED_ALLOW_IPS`` is written elsewhere.
    """
    if option.kind in PATH_KINDS:
        return [part for part in text.split(os.pathsep) if part]
    if option.name == "forwarded_allow_ips":
        text = text.replace(",", " ")
    return text.split()


def nearest(word: str, candidates: Iterable[str]) -> Optional[str]:
    """Return the candidate most like a word, if any is like it at all."""
    from difflib import get_close_matches

    folded = {candidate.lower(): candidate for candidate in candidates}
    found = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def range_text(option: Option) -> str:
    """Return the range of a number as help and complaints show it, or an empty text."""
    low, high = option.minimum, option.maximum
    if option.kind == OCTAL and high is not None:
        return f"{low}<=x<={high:#o}"
    if low is None and high is None:
        return ""
    if high is None:
        return f"x>={low}"
    return f"x<={high}" if low is None else f"{low}<=x<={high}"


_PARSERS: Dict[str, Callable[[Any], Any]] = {
    BOOL: parse_bool,
    INT: parse_int,
    COUNT: parse_int,
    FLOAT: parse_float,
    DURATION: parse_duration,
    OCTAL: parse_octal,
}
_NOUNS = {
    BOOL: "a valid boolean; true and false are (also yes and no, on and off, 1 and 0)",
    INT: "a valid integer",
    COUNT: "a valid integer or auto",
    FLOAT: "a valid number",
    DURATION: "a valid duration; 90, 90s and 1m30s are",
    OCTAL: "a valid file mode; 0660 and 0o660 are",
    TEXT: "a text; write it in quotes",
}


def complaint(option: Option, value: Any) -> str:
    """Say what is wrong with a value that was refused, and what would be right.

    Args:
        option: The row it was meant for.
        value: It, or the item of the list, as it was given.

    Returns:
        One sentence without the option's name.
    """
    if option.kind in PATH_KINDS:
        return _path_complaint(option, value)
    if option.kind == CHOICE:
        return _choice_complaint(option, value)
    parser = _PARSERS.get(option.kind)
    if parser is not None:
        try:
            number = parser(value)
        except (TypeError, ValueError):
            return f"{value!r} is not {_NOUNS[option.kind]}."
        bounds = range_text(option)
        if option.kind == DURATION:
            bounds += " (in seconds)"
        elif option.unit:
            bounds += f" ({option.unit})"
        return f"{number} is not in the range {bounds}."
    return f"{'The value' if option.secret else repr(value)} is not {_NOUNS[TEXT]}."


def _choice_complaint(option: Option, value: Any) -> str:
    listed = ", ".join(repr(choice) for choice in option.choices)
    guess = nearest(str(value), option.choices)
    hint = f" Did you mean {guess!r}?" if guess else ""
    return f"{str(value)!r} is not one of {listed}.{hint}"


def _path_complaint(option: Option, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)):
        return f"{value!r} is not a path; write it in quotes."
    path = os.fspath(value)
    noun = "Directory" if option.kind == DIRECTORY else "File"
    if not os.path.lexists(path):
        return f"{noun} {path!r} does not exist."
    if option.kind == FILE and os.path.isdir(path):
        return f"File {path!r} is a directory."
    if option.kind == DIRECTORY and not os.path.isdir(path):
        return f"Directory {path!r} is a file."
    return f"{noun} {path!r} is not readable."
