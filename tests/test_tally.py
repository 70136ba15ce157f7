"""What passes between an interface and a protocol, counted."""

import os

import pytest

from granian.errors import AppError
from granian.tally import TalliedApplication, Tally
from tests.support.responder import FakeResponder, make_head

FIELDS = [(b"content-type", b"text/plain")]


class Handler:
    def __init__(self):
        self.heard = []

    def on_body(self, data, last):
        self.heard.append((data, last))

    def on_disconnect(self):
        self.heard.append("disconnect")


def tally_of(method="GET", body=b"", complete=True, **facts):
    return Tally(FakeResponder(**facts), make_head(method), body, complete)


def out(tally):
    return tally.status, list(tally.fields), tally.bytes_out


def test_whole_response():
    tally = tally_of()
    assert out(tally) == (0, [], 0)
    tally.respond(201, iter(FIELDS), b"hello")
    assert out(tally) == (201, FIELDS, 5)
    assert tally.events == [("respond", 201, FIELDS, b"hello")]


def test_streamed_response_waits_as_below():
    tally = tally_of(blocked=True)
    assert tally.start(200, FIELDS, b"ab") is True
    assert tally.write(b"cde") is True
    tally.finish((), b"f")
    assert out(tally) == (200, FIELDS, 6)
    assert tally.streamed == b"abcde"
    assert tally.events[-1] == ("finish", [], b"f")


def test_file(tmp_path):
    (tmp_path / "file").write_bytes(b"0123456789")
    tally = tally_of()
    tally.respond_file(206, FIELDS, os.open(str(tmp_path / "file"), os.O_RDONLY), 2, 3)
    assert out(tally) == (206, FIELDS, 3)


@pytest.mark.parametrize(
    ("method", "status", "closed"),
    [("HEAD", 200, False), ("GET", 204, False), ("GET", 304, False), ("GET", 200, True)],
)
def test_what_no_peer_gets_is_not_counted(method, status, closed):
    tally = tally_of(method, closed=closed)
    tally.respond(status, FIELDS, b"dropped")
    assert out(tally) == (status, FIELDS, 0)


def test_refused_head_is_no_response():
    tally = tally_of(refuse="no")
    with pytest.raises(AppError):
        tally.respond(200, FIELDS, b"hello")
    assert out(tally) == (0, [], 0)
    tally.respond(500, (), b"oh")
    assert out(tally) == (500, [], 2)


def test_refused_after_it_was_sent_counts_up_to_the_announced_length():
    error = AppError("too long")
    error.sent = True
    fields = [(b"Content-Length", b"3")]
    tally = tally_of(refuse=error)
    with pytest.raises(AppError):
        tally.respond(200, fields, b"hello")
    assert out(tally) == (200, fields, 3)
    tally = tally_of(cut=error)
    tally.start(200, fields, b"he")
    with pytest.raises(AppError):
        tally.finish((), b"llo")
    assert out(tally) == (200, fields, 3)


def test_body_that_arrives_is_counted_on_its_way_up():
    tally = tally_of("POST", body=b"12", complete=False)
    handler = tally.handler = Handler()
    below = tally.handler
    assert below is not handler
    below.on_body(b"345", False)
    below.on_body(b"", True)
    below.on_disconnect()
    assert handler.heard == [(b"345", False), (b"", True), "disconnect"]
    assert tally.bytes_in == 5


def test_body_that_is_pulled_is_counted():
    tally = tally_of("POST", body=b"12", complete=False, pieces=[b"345"])
    assert [tally.pull_body(), tally.pull_body()] == [b"345", b""]
    assert tally.bytes_in == 5


def test_handler_stands_alone_where_no_more_body_comes():
    tally = tally_of("POST", body=b"12")
    handler = tally.handler = Handler()
    assert tally.handler is handler
    assert tally.bytes_in == 2
    tally.handler = None
    assert tally.handler is None


def test_all_else_is_the_responder_belows():
    tally = tally_of(tls={"tls_version": 0x0304})
    tally.want_body(7)
    assert tally.events == [("want_body", 7)]
    assert (tally.scheme, tally.closed, tally.tls["tls_version"]) == ("http", False, 0x0304)
    with pytest.raises(AttributeError, match="nothing"):
        _ = tally.nothing


def test_every_exchange_of_an_application_has_one():
    class Application:
        def connect(self, peer):
            return "context"

        def disconnect(self, context):
            pass

        def begin(self, responder, head, body, complete):
            self.begun = responder, head.method, body, complete

    below = Application()
    application = TalliedApplication(below)
    assert application.connect(None) == "context"
    assert application.begin_websocket is None
    application.begin(FakeResponder(), make_head("POST"), b"12", False)
    tally, *rest = below.begun
    assert rest == ["POST", b"12", False]
    assert (type(tally), tally.bytes_in) == (Tally, 2)
