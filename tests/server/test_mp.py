"""What a new worker process is sent."""

import os
import sys
import types

import pytest

from granian.plan import WorkerPlan
from granian.server import mp
from granian.server.worker import Assignment


def assignment(**options):
    return Assignment(1, WorkerPlan(), **options)


def in_main():
    """Stands for a function of the user's script."""


@pytest.fixture
def main(monkeypatch):
    module = types.ModuleType("__main__")
    module.__spec__ = None
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(in_main, "__module__", "__main__")
    return module


def test_users_script_is_not_run_again_without_need(main):
    main.__file__ = "serve.py"
    assert mp._main_module(assignment()) == (None, None)
    assert mp._main_module(assignment(loader=os.getcwd)) == (None, None)


@pytest.mark.parametrize(
    "options", [{"loader": in_main}, {"run": in_main}, {"loops": (("auto", (), in_main),)}]
)
def test_users_script_is_run_again_for_what_lives_in_it(main, options):
    main.__file__ = "serve.py"
    assert mp._main_module(assignment(**options)) == (os.path.abspath("serve.py"), None)


def test_module_that_was_run_with_m_is_named(main):
    main.__spec__ = types.SimpleNamespace(name="shop.serve")
    assert mp._main_module(assignment(loader=in_main)) == (None, "shop.serve")


def test_interactive_main_has_nothing_to_run(main):
    assert mp._main_module(assignment(loader=in_main)) == (None, None)


def test_server_makes_processes():
    server = mp.MPServer("a:b", port=0, workers=3)
    assert list(server._places()) == [1, 2, 3]
    assert server._workers_at(2) == (2,)
    server._alarm.close()
    server.crew.close()
