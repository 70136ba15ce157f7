import pytest

from granian.health import HealthPath
from tests.support.responder import FakeResponder, make_head


class Application:
    def __init__(self):
        self.begun = []

    def connect(self, peer):
        return "context"

    def disconnect(self, context):
        pass

    def begin(self, responder, head, body, complete):
        self.begun.append((head.path, body, complete))


@pytest.fixture
def application():
    return Application()


def answer(health, method="GET", target=b"/up"):
    responder = FakeResponder()
    health.begin(responder, make_head(method, target), b"", True)
    return responder.events


def test_the_path_tells_whether_the_worker_serves(application):
    stopping = []
    health = HealthPath("/up", application, lambda: bool(stopping))
    ((verb, status, headers, body),) = answer(health)
    assert (verb, status, body) == ("respond", 200, b"serving\n")
    assert (b"cache-control", b"no-store") in headers
    stopping.append(True)
    ((verb, status, _, body),) = answer(health)
    assert (verb, status, body) == ("respond", 503, b"stopping\n")
    assert application.begun == []


@pytest.mark.parametrize(("method", "target"), [("GET", b"/up?verbose"), ("HEAD", b"/up")])
def test_a_query_and_the_method_head_make_no_difference(application, method, target):
    health = HealthPath("/up", application, lambda: False)
    ((verb, status, *_),) = answer(health, method, target)
    assert (verb, status) == ("respond", 200)


@pytest.mark.parametrize(
    ("method", "target"), [("GET", b"/"), ("GET", b"/up/"), ("GET", b"/upper"), ("POST", b"/up")]
)
def test_everything_else_is_the_applications(application, method, target):
    health = HealthPath("/up", application, lambda: False)
    assert answer(health, method, target) == []
    assert len(application.begun) == 1


def test_the_rest_of_the_application_is_reached(application):
    health = HealthPath("/up", application, lambda: False)
    assert health.connect(None) == "context"
    assert health.begin_websocket is None
