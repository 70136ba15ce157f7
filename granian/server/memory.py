"""Resident memory of other processes, in octets; what ``--workers-max-rss`` looks at.

Linux reads /proc; other systems ask ``ps``. Main thread of the supervisor.
"""

import os
import subprocess
import sys
from typing import Dict, Iterable, Optional

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_RESIDENT = 1
"""Field of /proc/PID/statm, counted in pages (proc_pid_statm(5))."""


def resident(pids: Iterable[int]) -> Dict[int, int]:
    """Return the resident octets of each process that still exists."""
    sizes = {pid: _resident(pid) for pid in pids}
    return {pid: size for pid, size in sizes.items() if size is not None}


def _resident(pid: int) -> Optional[int]:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[_RESIDENT]) * _PAGE
    except OSError:
        return None if sys.platform.startswith("linux") else _asked(pid)


def _asked(pid: int) -> Optional[int]:
    asked = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "rss=", "-p", str(pid)], stdout=subprocess.PIPE, check=False
    )
    text = asked.stdout.strip()
    return int(text) * 1024 if text.isdigit() else None


class ProcInfoCollector:
    """What upstream's native module offers for the same purpose."""

    __slots__ = ()

    def memory(self, pids: Optional[Iterable[int]] = None) -> Dict[int, int]:
        """Return resident octets by process, of this one if none is named."""
        return resident([os.getpid()] if pids is None else pids)
