import io
import logging
import sys

import pytest

from granian.errors import AppError
from granian.log import log_request_builder
from granian.plan import WorkerPlan
from granian.utils.proxies import wrap_wsgi_with_proxy_headers
from granian.wsgi.application import WsgiApplication
from granian.wsgi.file import FileWrapper
from tests.support.responder import FakeResponder, make_head

TYPE = ("Content-Type", "text/plain")
RAW_TYPE = (b"Content-Type", b"text/plain")


def serve(application, access=None, responder=None, body=b"", complete=True, **facts):
    application = WsgiApplication(application, WorkerPlan(), access)
    responder = responder or FakeResponder()
    responder.context = application.connect(responder)
    application.begin(responder, make_head(**facts), body, complete)
    application.disconnect(responder.context)
    return responder


def returning(result, status="200 OK", headers=(TYPE,)):
    def target(environ, start_response):
        start_response(status, list(headers))
        return result

    return target


class Iterable:
    """Counts how often it is closed."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.closed = 0

    def __iter__(self):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ([b"body"], b"body"),
        ([b"two ", b"parts"], b"two parts"),
        ([], b""),
        ((b"tuple",), b"tuple"),
        ([bytearray(b"array")], b"array"),
        (iter([]), b""),
        (iter([b"", b""]), b""),
    ],
)
def test_whole_responses_leave_at_once(result, body):
    responder = serve(returning(result))
    assert responder.events == [("respond", 200, [RAW_TYPE], body)]


def test_pieces_leave_as_they_come():
    responder = serve(returning(iter([b"", b"one", b"", b"two"])))
    assert responder.events == [
        ("start", 200, [RAW_TYPE], b"one"),
        ("write", b"two"),
        ("finish",),
    ]


def test_an_announced_single_piece_leaves_whole():
    responder = serve(returning(Iterable(b"four"), headers=[("content-Length", "4")]))
    assert responder.names == ["respond"]


def test_pieces_beyond_the_announced_are_refused(caplog):
    result = Iterable(b"four", b"more")
    responder = serve(returning(result, headers=[("content-length", "4")]))
    assert responder.names == ["respond"]
    assert "longer than its content-length" in caplog.text
    assert result.closed == 1


@pytest.mark.parametrize("status", ["204 No Content", "204", "204 "])
def test_statuses(status):
    assert serve(returning([], status)).response[0] == 204


@pytest.mark.parametrize("status", ["", "20", "2000", "abc OK", "²00 OK", 200, None])
def test_what_is_no_status_is_a_500(status, caplog):
    assert serve(returning([b"x"], status)).response == (500, [], b"")
    assert caplog.records


def test_no_start_response_is_a_500(caplog):
    assert serve(lambda environ, start_response: [b"x"]).response == (500, [], b"")
    assert serve(lambda environ, start_response: iter([b"x"])).response == (500, [], b"")
    assert "start_response was not called" in caplog.text


def test_start_response_from_within_a_generator():
    def target(environ, start_response):
        start_response("404 Not Found", [TYPE])
        yield b"late"

    assert serve(target).events == [
        ("start", 404, [RAW_TYPE], b"late"),
        ("finish",),
    ]


def test_latin_1_fields():
    responder = serve(returning([b""], headers=[("x", "caf\xe9")]))
    assert responder.response[1] == [(b"x", b"caf\xe9")]
    assert serve(returning([b""], headers=[("x", "имя")])).response == (500, [], b"")


@pytest.mark.parametrize("error", [LookupError(), SystemExit(), KeyboardInterrupt()])
def test_an_application_that_raises_is_a_500(error, caplog):
    def target(environ, start_response):
        start_response("200 OK", [])
        raise error

    assert serve(target).response == (500, [], b"")
    (record,) = caplog.records
    assert record.getMessage() == "Application callable raised an exception"


def test_an_iterable_that_raises_at_once_is_a_500(caplog):
    result = Iterable(LookupError())
    assert serve(returning(result)).response == (500, [], b"")
    assert result.closed == 1


def test_an_iterable_that_raises_later_breaks_the_response(caplog):
    result = Iterable(b"half", LookupError())
    assert serve(returning(result)).names == ["start", "abort"]
    assert result.closed == 1
    assert caplog.records


@pytest.mark.parametrize("result", [["text"], iter(["text"]), None, 7, "text"])
def test_what_is_not_octets_is_a_500(result, caplog):
    assert serve(returning(result)).response == (500, [], b"")
    assert caplog.records


def test_close_is_called_once_after_the_last_piece():
    result = Iterable(b"one", b"two")
    assert serve(returning(result)).names == ["start", "write", "finish"]
    assert result.closed == 1


def test_a_close_that_raises_is_logged(caplog):
    class Wrong(Iterable):
        def close(self):
            raise LookupError

    assert serve(returning(Wrong(b"x"))).names == ["start", "finish"]
    assert "failed to close" in caplog.text


# start_response again


def test_exc_info_replaces_a_head_not_sent():
    def target(environ, start_response):
        start_response("200 OK", [TYPE])
        try:
            raise LookupError
        except LookupError:
            start_response("500 Oops", [("x", "y")], sys.exc_info())
        return [b"sorry"]

    assert serve(target).response == (500, [(b"x", b"y")], b"sorry")


def test_exc_info_after_the_head_is_raised(caplog):
    def target(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        try:
            raise LookupError("mine")
        except LookupError:
            start_response("500 Oops", [], sys.exc_info())

    assert serve(target).names == ["start", "abort"]
    assert caplog.records[0].exc_info[0] is LookupError


def test_a_second_start_response_is_refused(caplog):
    def target(environ, start_response):
        start_response("200 OK", [])
        with pytest.raises(AppError):
            start_response("201 Created", [])
        return [b"first"]

    assert serve(target).response == (200, [], b"first")


# write


def test_write_sends_at_once():
    def target(environ, start_response):
        write = start_response("200 OK", [TYPE])
        write(b"one ")
        write(b"")
        write(bytearray(b"two "))
        return [b"three"]

    assert serve(target).events == [
        ("start", 200, [RAW_TYPE], b"one "),
        ("write", b"two "),
        ("write", b"three"),
        ("finish",),
    ]


def test_write_to_a_peer_that_left_raises(caplog):
    def target(environ, start_response):
        write = start_response("200 OK", [])
        responder.closed = True
        responder.handler.on_disconnect()
        write(b"nobody")

    responder = FakeResponder()
    serve(target, responder=responder)
    assert not caplog.records


# slow peers and peers that leave


def test_a_slow_peer_is_waited_for():
    responder = FakeResponder(blocked=True)
    serve(returning(iter([b"one", b"two"])), responder=responder)
    assert responder.names == ["start", "wait_writable", "write", "wait_writable", "finish"]


def test_a_peer_that_leaves_ends_the_iteration(caplog):
    result = Iterable(b"one", b"two")
    responder = FakeResponder(blocked=True, on_wait=ConnectionResetError())
    serve(returning(result), responder=responder)
    assert responder.names == ["start", "wait_writable", "abort"]
    assert result.closed == 1
    assert not caplog.records


def test_a_peer_found_gone_ends_the_iteration():
    def pieces():
        yield b"one"
        responder.closed = True
        responder.handler.on_disconnect()
        yield b"two"
        raise AssertionError

    responder = FakeResponder()
    serve(returning(pieces()), responder=responder)
    assert responder.names == ["start"]


def test_errors_of_the_applications_own_connections_are_logged(caplog):
    def target(environ, start_response):
        raise ConnectionRefusedError("database")

    assert serve(target).response == (500, [], b"")
    assert caplog.records


# wsgi.input and wsgi.file_wrapper


def echo(environ, start_response):
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


def test_a_body_at_hand():
    assert serve(echo, body=b"body").response == (200, [], b"body")


def test_a_body_that_arrives():
    responder = FakeResponder(pieces=[b"two", b"three"])
    serve(echo, responder=responder, body=b"one", complete=False, body_length=99_999)
    assert responder.response == (200, [], b"onetwothree")


def test_files_are_sent_by_the_responder(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    opened = []

    def target(environ, start_response):
        start_response("200 OK", headers)
        opened.append(path.open("rb"))
        opened[-1].read(2)
        return environ["wsgi.file_wrapper"](opened[-1])

    headers = []
    assert serve(target).response == (200, [], b"23456789")
    headers = [("Content-Length", "3")]
    assert serve(target).response == (200, [(b"Content-Length", b"3")], b"234")
    responder = serve(target, responder=FakeResponder(refuse="length"))
    assert responder.response == (500, [], b"")
    assert all(file.closed for file in opened)


def test_what_is_no_plain_file_is_read_here():
    wrapper = FileWrapper(io.BytesIO(b"abcdef"), 4)
    assert serve(returning(wrapper)).streamed == b"abcdef"
    assert wrapper.filelike.closed


# the writer's verdict


@pytest.mark.parametrize(("sent", "names"), [(False, ["respond"]), (True, [])])
def test_a_refused_response(sent, names, caplog):
    responder = FakeResponder(refuse=AppError("wrong", sent))
    serve(returning([b"body"]), responder=responder)
    assert responder.names == names
    assert caplog.records


def test_the_access_line_names_whom_a_proxy_spoke_for(caplog):
    caplog.set_level(logging.INFO, "granian.access")
    wrapped = wrap_wsgi_with_proxy_headers(returning([b"x"]))
    serve(wrapped, log_request_builder("%(addr)s"), headers=[(b"x-forwarded-for", b"1.2.3.4")])
    assert caplog.records[-1].getMessage() == "1.2.3.4"


@pytest.mark.parametrize("result", [[b"x"], Iterable(LookupError())])
def test_the_access_line(caplog, result):
    caplog.set_level(logging.INFO, "granian.access")
    access = log_request_builder("%(addr)s %(method)s %(path)s %(protocol)s %(status)d")
    serve(returning(result), access, target=b"/p%20q?x")
    lines = [r.getMessage() for r in caplog.records if r.name == "granian.access"]
    status = 200 if result == [b"x"] else 500
    assert lines == [f"127.0.0.1 GET /p q HTTP/1.1 {status}"]
