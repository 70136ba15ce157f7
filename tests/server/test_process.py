"""A worker process's own side."""

import os
import subprocess
import sys
import types

import pytest

from granian.plan import WorkerPlan
from granian.server import process
from granian.server.process import Parcel
from granian.server.worker import Assignment


@pytest.mark.parametrize(
    ("warm", "module", "imported"),
    [
        ("cold", "granian.engine.runtime", False),
        ("engine", "granian.engine.runtime", True),
        ("engine", "asyncio", False),
        ("loop", "asyncio", True),
    ],
)
def test_warming_up_imports_no_more_than_allowed(warm, module, imported):
    script = (
        "import sys; from granian.server import process;"
        f"process._warm_up({warm!r}); print({module!r} in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    assert shown.stdout.decode().strip() == str(imported)


def test_environment_and_folder_are_the_supervisors_own(tmp_path, monkeypatch):
    monkeypatch.setattr(process.os, "environ", {"OLD": "1"})
    monkeypatch.chdir("/")
    process._move(Parcel(environ={"NEW": "2"}, folder=str(tmp_path)))
    assert process.os.environ == {"NEW": "2"}
    assert os.getcwd() == str(tmp_path)
    process._move(Parcel(environ={"NEW": "2"}))
    assert os.getcwd() == str(tmp_path)


@pytest.fixture
def main_module(monkeypatch):
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before
    sys.modules.pop("__mp_main__", None)


def test_script_of_the_user_is_run_under_another_name(tmp_path, main_module):
    script = tmp_path / "serve.py"
    script.write_text("name = __name__\ndef loader(): return name\n")
    process._prepare_main(Parcel(str(script)))
    assert sys.modules["__main__"].loader() == "__mp_main__"


def test_module_of_the_user_is_run_under_another_name(tmp_path, main_module, monkeypatch):
    (tmp_path / "users_main.py").write_text("name = __name__\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    process._prepare_main(Parcel(None, "users_main"))
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
