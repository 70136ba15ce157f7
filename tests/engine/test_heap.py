"""What the allocator gives back to the kernel between two turns."""

import platform
import subprocess
import sys

import pytest

CHURN = """
import resource, sys
from granian.engine.heap import keep_top

if sys.argv[1] == "kept":
    keep_top()
def turn():
    bodies = [bytes([number]) * 10_240 for number in range(64)]
for _ in range(5):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a habit of glibc")
def test_a_turn_finds_the_memory_of_the_last_one():
    if faults("trimmed") < 1000:
        pytest.skip("this interpreter's allocator does not trim")
    assert faults("kept") < 200
