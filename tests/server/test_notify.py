"""sd_notify: what is sent, and to whom."""

import os
import re
import socket
from types import SimpleNamespace

import pytest

from granian.server import link as line
from granian.server import notify
from granian.server.notify import Notifier, Watchdog
from tests.support.fakes import FakeClock


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("notify")
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        yield sock


def test_states(manager):
    notifier = Notifier()
    notifier.ready("Serving with 2 workers")
    assert manager.recv(200) == b"READY=1\nSTATUS=Serving with 2 workers"
    notifier.reloading()
    assert re.match(rb"^RELOADING=1\nMONOTONIC_USEC=\d+$", manager.recv(200))
    notifier.alive()
    assert manager.recv(200) == b"WATCHDOG=1"
    notifier.stopping()
    assert manager.recv(200).startswith(b"STOPPING=1\n")


def test_workers_do_not_inherit_the_address(manager):
    Notifier()
    assert "NOTIFY_SOCKET" not in os.environ


def test_abstract_address(monkeypatch):
    name = f"@granian-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:])
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        Notifier().alive()
        assert sock.recv(200) == b"WATCHDOG=1"


def test_silence_without_a_manager(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready("x")
    assert notifier.watchdog is None


def test_manager_that_has_gone_is_no_error(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    Notifier().stopping()


@pytest.mark.parametrize(("pid", "expected"), [(None, 1.5), (str(os.getpid()), 1.5), ("1", None)])
def test_watchdog_asks_for_half_the_time(manager, monkeypatch, pid, expected):
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert Notifier().watchdog == expected
    assert "WATCHDOG_USEC" not in os.environ


class Line:
    def __init__(self):
        self.told = []

    def tell(self, what):
        self.told.append(what)


def serving(*answered):
    members = [SimpleNamespace(answered=one, body=SimpleNamespace(link=Line())) for one in answered]
    return SimpleNamespace(serving=members)


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(notify.time, "monotonic", clock)
    return clock


def watched(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    watchdog = Watchdog(Notifier())
    watchdog.start()
    return watchdog


def test_life_is_shown_while_all_answer(manager, monkeypatch, clock):
    watchdog = watched(monkeypatch)
    crew = serving(True, True)
    watchdog.look(crew)
    assert manager.recv(200) == b"WATCHDOG=1"
    assert [one.body.link.told for one in crew.serving] == [[line.PING], [line.PING]]
    assert not any(one.answered for one in crew.serving)
    assert watchdog.times() == [clock() + 1.5]
    watchdog.look(crew)
    assert [len(one.body.link.told) for one in crew.serving] == [1, 1], "asked before it is time"


def test_one_that_does_not_answer_silences_all(manager, monkeypatch, clock):
    watchdog = watched(monkeypatch)
    watchdog.look(serving(True, False))
    with pytest.raises(BlockingIOError):
        manager.recv(200)


def test_nobody_is_asked_where_no_life_is_wanted(manager):
    watchdog = Watchdog(Notifier())
    watchdog.start()
    crew = serving(True)
    watchdog.look(crew)
    assert watchdog.times() == []
    assert crew.serving[0].body.link.told == []
