"""Signals as events."""

import os
import select
import signal

import pytest

from granian.server.signals import (
    Alarm,
    Handlers,
    Held,
    Interrupt,
    name_of,
    pid_is_alive,
    release,
)


@pytest.fixture
def alarm():
    alarm = Alarm()
    yield alarm
    alarm.close()


def rings(alarm):
    return bool(select.select([alarm], [], [], 0)[0])


def test_alarm_rings_until_hushed(alarm):
    assert not rings(alarm)
    alarm.ring()
    alarm.ring()
    assert rings(alarm)
    alarm.hush()
    assert not rings(alarm)


def test_alarm_never_blocks_and_never_fails(alarm):
    for _ in range(3_000):
        alarm.ring()
    alarm.close()
    alarm.ring()
    alarm.hush()


def test_signal_calls_its_handler_and_rings(alarm):
    got = []
    before = signal.getsignal(signal.SIGUSR2)
    handlers = Handlers()
    handlers.install({signal.SIGUSR2: lambda number, frame: got.append(number)}, alarm)
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert got == [signal.SIGUSR2]
        assert rings(alarm)
    finally:
        handlers.restore()
    assert signal.getsignal(signal.SIGUSR2) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_restoring_twice_changes_nothing(alarm):
    handlers = Handlers()
    handlers.install({signal.SIGUSR2: signal.SIG_IGN}, alarm)
    handlers.restore()
    handlers.restore()
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


def test_held_signal_comes_later():
    got = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: got.append(number))
    try:
        with Held([signal.SIGUSR2]):
            signal.raise_signal(signal.SIGUSR2)  # to this thread, whatever others there are
            assert got == []
        assert got == [signal.SIGUSR2]
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_release_lets_everything_through():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    release()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (99, "signal 99")])
def test_names(number, name):
    assert name_of(number) == name


def test_liveness():
    assert pid_is_alive(os.getpid())
    assert pid_is_alive(1)
    assert not pid_is_alive(2**22 + 1)


def test_interrupt_rings(alarm):
    interrupt = Interrupt(alarm)
    interrupt.set()
    assert interrupt.is_set()
    assert rings(alarm)
