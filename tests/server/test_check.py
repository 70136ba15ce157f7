import os
import socket
import sys
from pathlib import Path

import pytest

from granian.errors import FatalError
from granian.plan import SupervisorPlan, TlsPlan, WorkerPlan
from granian.server.check import address, application, certificate, files

TLS = Path(__file__).parent.parent / "certs"


def with_tls(**changes):
    plan = TlsPlan(str(TLS / "server.pem"), str(TLS / "server-key.pem"))
    return WorkerPlan(tls=plan._replace(**{k: str(TLS / v) for k, v in changes.items()}))


def test_a_certificate_and_its_key():
    assert certificate(with_tls()) == f"{TLS / 'server.pem'}, tls1.3 or newer"
    assert certificate(with_tls(ca="ca.pem"))
    assert certificate(WorkerPlan()) == "not used"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keyfile": "other-key.pem"}, "does not belong to the certificate"),
        ({"keyfile": "server-key-encrypted.pem"}, "is encrypted and no password was given"),
        ({"keyfile": "none.pem"}, "No such file or directory"),
    ],
)
def test_files_that_do_not_fit_are_told_in_words(changes, sentence):
    with pytest.raises(FatalError, match=sentence):
        certificate(with_tls(**changes))


def test_files_to_be_written_need_their_folder(tmp_path):
    assert files(SupervisorPlan(pid_file=str(tmp_path / "pid")), WorkerPlan()).endswith("pid")
    with pytest.raises(FatalError, match="is not a folder"):
        files(SupervisorPlan(uds=str(tmp_path / "no" / "socket")), WorkerPlan())


def test_a_logging_configuration_must_make_sense():
    bad = {"version": 1, "handlers": {"x": {"class": "nowhere.Nothing"}}}
    with pytest.raises(FatalError, match="The log configuration cannot be used"):
        files(SupervisorPlan(), WorkerPlan(log_config=bad))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_files_to_be_written_need_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FatalError, match="is not writable"):
        files(SupervisorPlan(pid_file=str(tmp_path / "pid")), WorkerPlan())


def test_an_address_is_left_free_again():
    found = address(SupervisorPlan(port=0), WorkerPlan())
    assert found.startswith("http://127.0.0.1:")
    assert not found.endswith(":0")
    port = int(found.rpartition(":")[2])
    assert address(SupervisorPlan(port=port), with_tls()) == f"https://127.0.0.1:{port}"


def test_an_address_in_use():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(FatalError, match="the port is in use"):
            address(SupervisorPlan(port=port), WorkerPlan())


def test_a_unix_socket_is_removed_again(tmp_path):
    path = str(tmp_path / "socket")
    assert address(SupervisorPlan(uds=path), WorkerPlan()) == f"http://unix:{path}"
    assert not os.path.exists(path)


def test_a_passed_descriptor_is_not_touched():
    assert address(SupervisorPlan(fd=99), WorkerPlan()) == "file descriptor 99, not tried"


def test_an_application(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checked_here.py").write_text("async def app(scope, receive, send): ...")
    worker = WorkerPlan(target="checked_here:app", interface="asgi")
    assert application(worker) == "checked_here:app, asgi"
    with pytest.raises(FatalError, match="but the interface is wsgi"):
        application(worker._replace(interface="wsgi"))
