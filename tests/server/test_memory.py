"""Resident memory."""

import os

from granian.server import memory


def test_own_size_is_plausible():
    sizes = memory.resident([os.getpid()])
    assert 2_000_000 < sizes[os.getpid()] < 4_000_000_000


def test_process_that_has_gone_is_left_out():
    assert memory.resident([2**22 + 1]) == {}


def test_systems_without_proc_are_asked(monkeypatch):
    class Asked:
        stdout = b"  2048\n"

    monkeypatch.setattr(memory.subprocess, "run", lambda *a, **k: Asked)
    assert memory._asked(1) == 2048 * 1024
    Asked.stdout = b""
    assert memory._asked(1) is None
