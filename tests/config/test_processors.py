import os

import pytest

from granian.config.processors import available_processors, cgroup_quota


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_without_files_the_affinity_decides(tmp_path):
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert cgroup_quota(str(tmp_path)) is None
    assert available_processors(str(tmp_path)) == expected


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("50000 100000", (50_000, 100_000)), ("max 100000", None), ("", None), ("0 100000", None)],
)
def test_second_version_of_control_groups(tmp_path, quota, expected):
    root = tree(
        tmp_path,
        {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": quota + "\n"},
    )
    assert cgroup_quota(root) == expected


def test_the_tightest_group_above_counts(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
        },
    )
    assert cgroup_quota(root) == (100_000, 100_000)
    assert available_processors(root) == 1


def test_first_version_of_control_groups(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert cgroup_quota(root) == (150_000, 100_000)


def test_a_fraction_of_a_processor_is_one(tmp_path):
    root = tree(
        tmp_path,
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "10000 100000\n"},
    )
    assert available_processors(root) == 1


def test_paths_cannot_leave_the_tree(tmp_path):
    root = tree(
        tmp_path / "root",
        {"proc/self/cgroup": "0::/../../outside\n"},
    )
    tree(tmp_path, {"outside/cpu.max": "1 100000\n"})
    assert cgroup_quota(root) is None
