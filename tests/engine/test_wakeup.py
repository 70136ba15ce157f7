"""Calls posted to an owner, and the octets that interrupt its wait."""

import select
import threading

import pytest

from granian.engine.wakeup import Wakeup


@pytest.fixture
def wakeup():
    wakeup = Wakeup()
    yield wakeup
    wakeup.close()


def is_ready(wakeup):
    return bool(select.select([wakeup.fd], [], [], 0)[0])


def test_a_post_interrupts_and_runs(wakeup):
    calls = []
    assert not is_ready(wakeup)
    wakeup.post(lambda: calls.append(1))
    assert is_ready(wakeup)
    assert calls == []
    wakeup.on_readable()
    assert calls == [1]
    assert not is_ready(wakeup)


def test_calls_run_in_order_for_one_octet(wakeup, monkeypatch):
    calls = []
    for number in range(1_000):
        wakeup.post(lambda number=number: calls.append(number))
    assert len(wakeup._reader.recv(4096)) == 1
    wakeup.on_readable()
    assert calls == list(range(1_000))


def test_a_call_may_post(wakeup):
    calls = []
    wakeup.post(lambda: wakeup.post(lambda: calls.append("inner")))
    wakeup.on_readable()
    assert calls == ["inner"]
    wakeup.post(lambda: calls.append("later"))
    assert is_ready(wakeup)
    wakeup.on_readable()
    assert calls == ["inner", "later"]


def test_a_call_that_fails_is_logged_and_the_others_run(wakeup, caplog):
    calls = []
    wakeup.post(lambda: 1 / 0)
    wakeup.post(lambda: calls.append(1))
    wakeup.on_readable()
    assert calls == [1]
    assert "A posted call failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_spurious_wake_up_is_nothing(wakeup):
    wakeup.on_readable()
    wakeup.on_writable()
    wakeup.on_hangup()
    wakeup.lose()
    wakeup.post(lambda: None)
    assert is_ready(wakeup)


def test_a_post_to_nobody_is_nothing():
    wakeup = Wakeup()
    wakeup.close()
    wakeup.post(lambda: None)


def test_a_full_pipe_is_enough(wakeup):
    while select.select([], [wakeup._writer], [], 0)[1]:
        wakeup._writer.send(b"\0" * 4096)
    calls = []
    wakeup.post(lambda: calls.append(1))
    wakeup.on_readable()
    assert calls == [1]


def test_no_post_of_many_threads_is_lost(wakeup):
    calls = []

    def post():
        for _ in range(500):
            wakeup.post(lambda: calls.append(1))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(calls) < 2_000:
        assert select.select([wakeup.fd], [], [], 5)[0], f"lost after {len(calls)}"
        wakeup.on_readable()
    for thread in threads:
        thread.join()
