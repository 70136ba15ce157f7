"""The pid file: claimed once, never through a link, removed only if ours."""

import os
import stat

import pytest

from granian.errors import PidFileError
from granian.server.pidfile import PidFile

NOBODY = 2**22 + 1


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "granian.pid")


def content(path):
    with open(path) as file:
        return file.read()


def test_written_whole_and_readable_by_all(path):
    PidFile(path, 42).write()
    assert content(path) == "42\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o644
    assert os.listdir(os.path.dirname(path)) == ["granian.pid"]


def test_removed_if_ours(path):
    file = PidFile(path, os.getpid())
    file.write()
    file.remove()
    assert not os.path.exists(path)
    file.remove()


def test_kept_if_anothers(path):
    PidFile(path, 42).write()
    PidFile(path, 43).remove()
    assert content(path) == "42\n"


def test_stale_file_is_replaced(path):
    PidFile(path, NOBODY).write()
    PidFile(path, 42).write()
    assert content(path) == "42\n"


def test_live_process_is_refused(path):
    PidFile(path, 1).write()
    with pytest.raises(PidFileError, match="belongs to running process 1"):
        PidFile(path, 42).write()
    assert content(path) == "1\n"


def test_own_pid_is_no_conflict(path):
    PidFile(path, os.getpid()).write()
    PidFile(path, os.getpid()).write()


@pytest.mark.parametrize("text", ["", "abc", "12 34", "-1", "1" * 10 + "x"])
def test_other_content_is_refused_and_kept(path, text):
    with open(path, "w") as file:
        file.write(text)
    with pytest.raises(PidFileError, match="is not a PID file"):
        PidFile(path, 42).write()
    PidFile(path, 42).remove()
    assert content(path) == text


def test_link_is_not_followed(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("1")
    os.symlink(victim, path)
    with pytest.raises(PidFileError, match="Cannot read"):
        PidFile(path, 42).write()
    PidFile(path, 1).remove()
    assert victim.read_text() == "1"
    assert os.path.islink(path)


def test_dangling_link_is_not_followed(path, tmp_path):
    os.symlink(tmp_path / "nowhere", path)
    with pytest.raises(PidFileError):
        PidFile(path, 42).write()
    assert not (tmp_path / "nowhere").exists()


def test_fifo_does_not_hang(path):
    os.mkfifo(path)
    with pytest.raises(PidFileError):
        PidFile(path, 42).write()


def test_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(PidFileError, match=r"Cannot write the PID file .*No such file"):
        PidFile(str(tmp_path / "no" / "x.pid"), 42).write()


def test_race_for_a_fresh_file_has_one_winner(path, monkeypatch):
    file = PidFile(path, 42)
    monkeypatch.setattr(file.__class__, "_holder", lambda self: None)
    PidFile(path, 43).write()
    with pytest.raises(PidFileError, match="Another process just wrote"):
        file.write()
    assert content(path) == "43\n"
    assert os.listdir(os.path.dirname(path)) == ["granian.pid"]
