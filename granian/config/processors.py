"""How many processors this process may use: ``--workers auto``.

The number the machine has is the wrong one in a container, so the affinity mask and the quota of
the control group count too. Standard library only; Linux's files are optional everywhere.
"""

import os
from typing import Iterator, Optional, Tuple


def available_processors(root: str = "/") -> int:
    """Return the processors this process may keep busy, at least 1.

    Args:
        root: Where ``proc`` and ``sys`` are; another folder in tests.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    quota = cgroup_quota(root)
    if quota is not None:
        count = min(count, -(-quota[0] // quota[1]))
    return max(1, count)


def cgroup_quota(root: str = "/") -> Optional[Tuple[int, int]]:
    """Return the tightest quota and its period in microseconds, or None without one.

    Every group above the process's own limits it as well, so all of them are read.
    """
    best: Optional[Tuple[int, int]] = None
    for quota, period in _quotas(root):
        if quota > 0 and period > 0 and (best is None or quota * best[1] < best[0] * period):
            best = (quota, period)
    return best


def _quotas(root: str) -> Iterator[Tuple[int, int]]:
    for line in _read(os.path.join(root, "proc/self/cgroup")).splitlines():
        _, _, group = line.partition(":")
        controllers, _, path = group.partition(":")
        if not controllers:
            for folder in _upwards(os.path.join(root, "sys/fs/cgroup"), path):
                words = _read(os.path.join(folder, "cpu.max")).split()
                if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
                    yield int(words[0]), int(words[1])
        elif "cpu" in controllers.split(","):
            for folder in _upwards(os.path.join(root, "sys/fs/cgroup/cpu"), path):
                quota = _read(os.path.join(folder, "cpu.cfs_quota_us")).strip()
                period = _read(os.path.join(folder, "cpu.cfs_period_us")).strip()
                if quota.isdigit() and period.isdigit():
                    yield int(quota), int(period)


def _upwards(base: str, path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        yield os.path.join(base, *parts[:depth])


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
