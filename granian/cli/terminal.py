"""What the place that text goes to can show. Standard library only; the command's process."""

import os
from typing import IO, Mapping


def shows_panels(stream: "IO[str]", environ: Mapping[str, str]) -> bool:
    """Tell whether to draw panels and colours, or write plain lines that programs can read.

    ``NO_COLOR`` (not empty) and ``TERM=dumb`` say no, ``FORCE_COLOR`` (not empty) says yes,
    otherwise a terminal does; the earlier wins.
    """
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    if environ.get("FORCE_COLOR"):
        return True
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def columns(stream: "IO[str]", environ: Mapping[str, str], otherwise: int = 80) -> int:
    """Return the width of what a stream writes to, ``COLUMNS`` first."""
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or otherwise
    except (OSError, ValueError, AttributeError):
        return otherwise


def say(text: str, stream: "IO[str]") -> None:
    """Write a text whole; a reader that has gone away (``granian --help | head``) is no error."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The interpreter would try to flush once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
