"""The environment that workers inherit, as the env files say now.

The files are read in the main process at start and at every reload; a later file wins over an
earlier one, and no file wins over a variable that was there before the start. Main thread.
"""

import os
from typing import Dict, Sequence

from ..errors import FatalError


class Environment:
    """Applies env files to ``os.environ``, again and again."""

    __slots__ = ("_files", "_given", "_set")

    def __init__(self, files: Sequence[str]) -> None:
        self._files = tuple(files)
        self._given = frozenset(os.environ) if files else frozenset()
        self._set: Dict[str, str] = {}

    def apply(self) -> None:
        """Read the files; what a file no longer sets is unset again.

        Raises:
            FatalError: A file cannot be read.
        """
        if not self._files:
            return
        found = self._read()
        for name in self._set.keys() - found.keys():
            os.environ.pop(name, None)
        os.environ.update(found)
        self._set = found

    def _read(self) -> Dict[str, str]:
        from dotenv import dotenv_values

        found: Dict[str, str] = {}
        for path in self._files:
            try:
                with open(path, encoding="utf-8") as stream:
                    values = dotenv_values(stream=stream)
            except (OSError, UnicodeError) as error:
                raise FatalError(f"Cannot read the env file {path}: {error}") from None
            found.update({k: v for k, v in values.items() if v is not None})
        return {name: value for name, value in found.items() if name not in self._given}
