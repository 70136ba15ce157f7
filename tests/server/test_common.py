"""The server object before and around its life; drills of its life are in tests/e2e."""

import pickle
import threading

import pytest

from granian.plan import SupervisorPlan, WorkerPlan
from granian.server.mp import MPServer


@pytest.fixture
def make():
    made = []

    def build(*args, **keywords):
        made.append(MPServer(*args, **keywords))
        return made[-1]

    yield build
    for server in made:
        server._alarm.close()
        server.crew.close()


ATTRIBUTES = [
    "wrks",
    "pid",
    "interrupt_signal",
    "reload_signal",
    "interrupt_children",
    "main_loop_interrupt",
]


def test_public_attributes(make):
    server = make("a:b", interface="asgi", port=1234)
    missing = [name for name in ATTRIBUTES if not hasattr(server, name)]
    assert missing == []
    assert server.wrks == []


def test_made_from_plans():
    server = MPServer.from_plans(SupervisorPlan(workers=2), WorkerPlan(target="a:b", workers=2))
    assert isinstance(server, MPServer)
    assert server.workers == 2
    assert server.target == "a:b"
    server._alarm.close()
    server.crew.close()


def test_an_extension_may_add_keywords_to_what_the_command_makes():
    class Filter:
        pass

    class Extended(MPServer):
        def __init__(self, *args, **kwargs):
            kwargs["reload_filter"] = Filter
            super().__init__(*args, **kwargs)

    server = Extended.from_plans(SupervisorPlan(port=7), WorkerPlan(target="a:b"))
    assert isinstance(server, Extended)
    assert server.reload_filter is Filter
    assert server.bind_port == 7
    server._alarm.close()
    server.crew.close()


def test_assignment_can_be_pickled(make):
    server = make("a:b", interface="asgi", workers=2)
    assignment = server._assignment(2)
    assert pickle.loads(pickle.dumps(assignment)) == assignment
    assert assignment.number == 2


def test_stop_may_be_asked_for_from_any_thread(make):
    server = make("a:b")
    thread = threading.Thread(target=server.main_loop_interrupt.set)
    thread.start()
    server.crew.pump(5)
    thread.join()
    assert server._stopping


def test_signal_handlers_set_flags_and_wake(make):
    server = make("a:b")
    server.signal_handler_reload()
    server.crew.pump(5)
    assert server.reload_signal
    assert not server._stopping
    server.signal_handler_interrupt(15, None)
    assert server._stopping


def test_broken_reload_hook_leaves_everything_as_it_is(make, caplog):
    server = make("a:b")
    server.on_reload(lambda: 1 / 0)
    assert not server._prepare_reload()
