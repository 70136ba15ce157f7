"""Workers as threads of one process."""

import pytest

from granian.server import mt
from granian.server.worker import Assignment


@pytest.fixture
def made(monkeypatch):
    made = []
    monkeypatch.setattr(mt, "WorkerProcess", lambda *args: made.append(args))
    return made


@pytest.fixture
def server():
    server = mt.MTServer("a:b", interface="asgi", port=0, workers=3)
    yield server
    server._alarm.close()
    server.crew.close()


def test_one_process_holds_all_workers(server, made):
    assert list(server._places()) == [1]
    assert list(server._workers_at(1)) == [1, 2, 3]
    server._make_body(Assignment(1, server.worker_plan))
    assert made[0][0].replicas == 3


@pytest.mark.parametrize("gil", [True, False])
def test_state_of_the_gil_is_said(server, monkeypatch, gil):
    said = []
    monkeypatch.setattr(mt, "gil_enabled", lambda: gil)
    monkeypatch.setattr(mt.logger, "warning", said.append)
    server._prepare()
    assert any("GIL" in line for line in said) is gil
    assert any("shared by their loops" in line for line in said)
