"""The facade of the native module's names."""

import granian
from granian import _granian


def test_every_name_is_there():
    for name in _granian.__all__:
        assert hasattr(_granian, name)
    assert _granian.__version__ == granian.__version__
    assert isinstance(_granian.BUILD_GIL, bool)


def test_memory_of_processes():
    import os

    assert list(_granian.ProcInfoCollector().memory()) == [os.getpid()]


def test_listener_specs_know_what_they_are():
    assert not _granian.ListenerSpec("127.0.0.1", 0, 128).is_uds()
    assert _granian.UnixListenerSpec("/x", 128, None).is_uds()


def test_signal_calls_back_before_or_after():
    calls = []
    early = _granian.WorkerSignal()
    early.add_cb(lambda: calls.append("early"))
    early.set()
    late = _granian.WorkerSignal()
    late.set()
    late.add_cb(lambda: calls.append("late"))
    assert calls == ["early", "late"]
