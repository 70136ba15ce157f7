"""An interpreter that waits for its assignment."""

import os
import sys
from pathlib import Path

import pytest

from granian.server import newborn as module
from granian.server.newborn import Newborn, import_path, interpreter_flags


@pytest.fixture
def newborn():
    made = Newborn()
    yield made
    made.dismiss()
    assert made.process.returncode is not None


def test_usable_until_something_changes(newborn, monkeypatch):
    assert newborn.usable()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_identity", lambda: ["another user"])
        assert not newborn.usable()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, "/another"])
        assert not newborn.usable()
    assert newborn.usable()


def test_dead_one_is_of_no_use():
    made = Newborn()
    made.process.kill()
    made.process.wait()
    assert not made.usable()
    made.dismiss()


def test_umask_is_looked_at_and_left_alone():
    before = os.umask(0o027)
    try:
        assert module._identity()[-1] == 0o027
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_current_folder_is_pinned(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "/a", Path("/b")])
    assert import_path() == [os.getcwd(), "/a", "/b"]


def test_interpreter_keeps_its_flags():
    assert isinstance(interpreter_flags(), list)
