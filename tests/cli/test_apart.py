import os
import subprocess
import sys
import threading

import pytest

from granian.cli import apart
from granian.cli.apart import Reading
from granian.config.sources import SettingsError, resolve

needs_fork = pytest.mark.skipif(not apart.FORKS, reason="settings are read in place here")


@pytest.fixture(params=["apart", "in place"])
def reading(request, monkeypatch):
    if request.param == "in place":
        monkeypatch.setattr(apart, "FORKS", False)
    elif not apart.FORKS or threading.active_count() > 1:
        pytest.skip("settings are read in place here")
    return Reading


def test_plans_are_those_of_the_settings(reading):
    arguments, environ = {"app": "a:b", "port": "1"}, {"GRANIAN_PROT": "1"}
    plans = reading(arguments, environ).result()
    resolved = resolve(arguments, environ)
    assert plans.worker == resolved.plans.worker
    assert plans.supervisor == resolved.plans.supervisor
    assert plans.warnings == resolved.warnings
    assert len(plans.warnings) == 1


def test_problems_are_those_of_the_settings(reading):
    with pytest.raises(SettingsError) as caught:
        reading({"port": "x", "backlog": "1"}, {}).result()
    assert len(caught.value.problems) == 2


@needs_fork
def test_a_child_that_fails_is_done_without(monkeypatch):
    def fails(*_):
        os._exit(3)

    parent = os.getpid()
    real = apart.resolve
    monkeypatch.setattr(
        apart, "resolve", lambda *given: real(*given) if os.getpid() == parent else fails()
    )
    assert Reading({"port": "7"}, {}).result().supervisor.port == 7


@needs_fork
def test_a_system_without_processes_to_spare_reads_in_place(monkeypatch):
    def refuse():
        raise BlockingIOError

    monkeypatch.setattr(apart.os, "fork", refuse)
    assert Reading({"port": "7"}, {}).result().supervisor.port == 7


@needs_fork
def test_the_libraries_stay_in_the_child():
    code = (
        "import sys, os; from granian.cli.apart import Reading;"
        "r = Reading({'port': '7'}, os.environ).result();"
        "print(r.supervisor.port, 'pydantic' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "7 False\n"
