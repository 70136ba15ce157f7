"""A worker process's own side."""

import socket
import sys
import types

import pytest

from granian.plan import WorkerPlan
from granian.server import process
from granian.server.process import Parcel
from granian.server.worker import Assignment


def test_sockets_are_taken_and_not_passed_on():
    with socket.socket() as sock:
        number = sock.dup().detach()
        taken = process._take(number)
        assert taken.fileno() == number
        assert not taken.get_inheritable()
        taken.close()


@pytest.fixture
def main_module(monkeypatch):
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before
    sys.modules.pop("__mp_main__", None)


def test_script_of_the_user_is_run_under_another_name(tmp_path, main_module):
    script = tmp_path / "serve.py"
    script.write_text("name = __name__\ndef loader(): return name\n")
    process._prepare_main(Parcel(str(script), None, ()))
    assert sys.modules["__main__"].loader() == "__mp_main__"


def test_module_of_the_user_is_run_under_another_name(tmp_path, main_module, monkeypatch):
    (tmp_path / "users_main.py").write_text("name = __name__\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    process._prepare_main(Parcel(None, "users_main", ()))
    assert sys.modules["__main__"].name == "__mp_main__"


def test_title_names_the_worker(monkeypatch):
    titles = []
    module = types.ModuleType("setproctitle")
    module.setproctitle = titles.append
    monkeypatch.setitem(sys.modules, "setproctitle", module)
    process.entitle(Assignment(2, WorkerPlan(process_name="shop")))
    process.entitle(Assignment(2, WorkerPlan()))
    assert titles == ["shop worker-2"]


def test_no_title_without_its_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    process.entitle(Assignment(2, WorkerPlan(process_name="shop")))
