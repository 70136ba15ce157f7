"""Read the settings in a process of their own, and keep only the plans.

Validating settings takes libraries of some 20 MiB that a supervisor, which may live for months,
never needs again. A forked child imports them, writes the pickled plans to a pipe and is gone;
meanwhile this process imports what the server needs, so that on two processors it starts sooner
too. Where there is no cheap fork, or the child fails for any reason of its own, the settings are
read here: the result is the same.
"""

import os
import pickle
import sys
import threading
from typing import Any, Mapping, Optional, Tuple

from ..config.plans import Plans
from ..config.sources import SettingsError, resolve

FORKS = hasattr(os, "fork") and sys.platform != "darwin"
"""macOS forbids some of its libraries behind fork, and kills the child for it."""


class Reading:
    """One reading of the settings, under way from its creation."""

    def __init__(self, arguments: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._environ = environ
        self._child: Optional[Tuple[int, int]] = None
        if FORKS and threading.active_count() == 1:
            self._child = self._fork()

    def result(self) -> Plans:
        """Wait for the plans; its warnings are those of the settings as well.

        Raises:
            SettingsError: With every problem found.
        """
        answer = self._receive()
        if answer is None:
            resolved = resolve(self._arguments, self._environ)
            return resolved.plans._replace(warnings=resolved.warnings)
        if isinstance(answer, SettingsError):
            raise answer
        plans: Plans = answer
        return plans

    def _fork(self) -> Optional[Tuple[int, int]]:
        reader, writer = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(reader)
            os.close(writer)
            return None
        if pid == 0:
            os.close(reader)
            self._answer(writer)
        os.close(writer)
        return pid, reader

    def _answer(self, writer: int) -> None:
        """Be the child: write the answer and end, without the parent's cleanups."""
        try:
            answer: Any
            try:
                resolved = resolve(self._arguments, self._environ)
                answer = resolved.plans._replace(warnings=resolved.warnings)
            except SettingsError as error:
                answer = error.problems
            with os.fdopen(writer, "wb") as stream:
                pickle.dump(answer, stream)
        finally:
            os._exit(0)

    def _receive(self) -> Any:
        if self._child is None:
            return None
        pid, reader = self._child
        self._child = None
        with os.fdopen(reader, "rb") as stream:
            data = stream.read()
        os.waitpid(pid, 0)
        try:
            answer = pickle.loads(data)  # noqa: S301 - written by our own child
        except (EOFError, pickle.UnpicklingError):
            return None
        return answer if isinstance(answer, Plans) else SettingsError(answer)
