"""The pid file: ours alone, never followed through a link, removed only if still ours.

Main thread of the supervisor. Refuses a file of another live process (CWE-59, CWE-367).
"""

import os
import tempfile
from typing import Optional

from ..errors import PidFileError
from .signals import pid_is_alive

_MODE = 0o644
_LONGEST = 32
"""Octets read of a pid file; no pid is longer, and a wrong path may be anything."""


class PidFile:
    """A pid file from ``write`` to ``remove``."""

    __slots__ = ("path", "pid")

    def __init__(self, path: str, pid: int) -> None:
        self.path = path
        self.pid = pid

    def write(self) -> None:
        """Claim the file; one left by a process that is gone is replaced.

        It appears whole, by rename over what was there or by link where nothing was, so that
        two servers started at once cannot both believe they have it.

        Raises:
            PidFileError: A live process has it, it is no pid file, or it cannot be written.
        """
        holder = self._holder()
        if holder is not None and holder != self.pid and pid_is_alive(holder):
            raise PidFileError(f"The PID file {self.path} belongs to running process {holder}")
        folder, name = os.path.split(os.path.abspath(self.path))
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
            try:
                os.write(descriptor, f"{self.pid}\n".encode())
                os.fchmod(descriptor, _MODE)
                os.close(descriptor)
                self._place(temporary, fresh=holder is None)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise PidFileError(f"Cannot write the PID file {self.path}: {error.strerror}") from None

    def remove(self) -> None:
        """Remove the file if it still holds our pid; nothing that goes wrong is an error now."""
        try:
            if self._holder() == self.pid:
                os.unlink(self.path)
        except (OSError, PidFileError):
            pass

    def _place(self, temporary: str, fresh: bool) -> None:
        if not fresh:
            os.replace(temporary, self.path)
            return
        try:
            os.link(temporary, self.path, follow_symlinks=False)
        except FileExistsError:
            raise PidFileError(f"Another process just wrote the PID file {self.path}") from None
        os.unlink(temporary)

    def _holder(self) -> Optional[int]:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PidFileError(f"Cannot read the PID file {self.path}: {error.strerror}") from None
        try:
            content = os.read(descriptor, _LONGEST)
        except OSError as error:
            raise PidFileError(f"Cannot read the PID file {self.path}: {error.strerror}") from None
        finally:
            os.close(descriptor)
        text = content.strip()
        if not text.isdigit():
            raise PidFileError(f"{self.path} is not a PID file: it does not hold a number")
        return int(text)
