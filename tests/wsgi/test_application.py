import subprocess
import sys
from wsgiref.validate import validator

import pytest

from granian.plan import WorkerPlan
from granian.wsgi.application import WsgiApplication
from granian.wsgi.body import GATHERED
from tests.support.responder import FakeResponder, make_head


def test_a_worker_for_wsgi_loads_no_asyncio():
    code = "import sys, granian.wsgi.application; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_reference_validator_finds_nothing(caplog):
    def target(environ, start_response):
        body = environ["wsgi.input"].read(4) + environ["wsgi.input"].readline()
        start_response("200 OK", [("content-type", "text/plain")])
        return [body]

    application = WsgiApplication(validator(target), WorkerPlan())
    responder = FakeResponder()
    responder.context = application.connect(responder)
    headers = [(b"host", b"x"), (b"content-type", b"a/b"), (b"content-length", b"5")]
    application.begin(responder, make_head("POST", headers=headers), b"bo", False)
    assert responder.events == [("want_body", 2)]
    responder.handler.on_body(b"dy\n", True)
    assert responder.streamed == b"body\n"
    assert not caplog.records


@pytest.mark.parametrize(
    "facts", [{"body_length": GATHERED + 1}, {"body_length": 9, "expects_continue": True}]
)
def test_large_and_expected_bodies_are_left_to_the_application(facts):
    def target(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    application = WsgiApplication(target, WorkerPlan())
    responder = FakeResponder(application, pieces=[b"rest"])
    application.begin(responder, make_head("POST", **facts), b"first ", False)
    assert responder.response == (200, [], b"first rest")
