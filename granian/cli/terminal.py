"""What the place that text goes to can show. Standard library only; the command's process."""

import os
import sys
from typing import IO, Mapping, Optional

from ..errors import FatalError


def shows_panels(stream: "Optional[IO[str]]", environ: Mapping[str, str]) -> bool:
    """Tell whether to draw panels and colours, or write plain lines that programs can read.

    ``NO_COLOR`` (not empty) and ``TERM=dumb`` say no, ``FORCE_COLOR`` (not empty) says yes,
    otherwise a terminal does; the earlier wins.
    """
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    if environ.get("FORCE_COLOR"):
        return stream is not None
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def columns(stream: "Optional[IO[str]]", environ: Mapping[str, str], otherwise: int = 80) -> int:
    """Return the width of what a stream writes to, ``COLUMNS`` first."""
    given = environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if stream is None:
        return otherwise
    try:
        return os.get_terminal_size(stream.fileno()).columns or otherwise
    except (OSError, ValueError):
        return otherwise


def say(text: str, stream: "Optional[IO[str]]") -> None:
    """Write a text whole.

    A reader that has gone away (``granian --help | head``) is no error, nor is a stream that was
    closed before the interpreter started.

    Raises:
        FatalError: It cannot be written for another reason, such as a full disk.
    """
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        encoding = getattr(stream, "encoding", None) or "ascii"
        say(text.encode(encoding, "backslashreplace").decode(encoding), stream)
    except OSError as error:
        # The interpreter would try to flush once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError) and stream is not sys.stderr:
            raise FatalError(f"The output cannot be written: {error.strerror}") from None
