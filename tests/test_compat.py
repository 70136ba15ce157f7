"""Facts about this interpreter, held against what it really does."""

import asyncio
import subprocess
import sys

import pytest

from granian import _compat


def test_a_build_with_a_gil_runs_with_it():
    assert _compat.gil_enabled() or not _compat.BUILD_GIL


@pytest.mark.skipif(_compat.BUILD_GIL, reason="needs a free-threaded build")
@pytest.mark.parametrize("forced", [0, 1])
def test_a_forced_gil_is_seen(forced):
    code = "from granian import _compat; print(_compat.gil_enabled(), _compat.BUILD_GIL)"
    command = [sys.executable, "-X", f"gil={forced}", "-c", code]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert seen.split() == [str(bool(forced)), "False"]


def test_eager_tasks_are_where_the_loop_can_make_them():
    steps = []

    async def step():
        steps.append("ran")

    async def main():
        task = asyncio.Task(step(), loop=asyncio.get_running_loop(), eager_start=True)
        assert steps == ["ran"]
        await task

    if _compat.EAGER_TASKS:
        asyncio.run(main())
    else:
        with pytest.raises(TypeError):
            asyncio.Task(None, eager_start=True)
