"""Status lines, and the answers that the server gives by itself."""

import pytest

from granian.wire.status import PHRASES, STATUS_LINES, forbids_body, refusal, status_line
from tests.support.wire import parse


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (103, b"HTTP/1.1 103 Early Hints\r\n"),
        (413, b"HTTP/1.1 413 Content Too Large\r\n"),
        (422, b"HTTP/1.1 422 Unprocessable Content\r\n"),
        (299, b"HTTP/1.1 299 \r\n"),
        (999, b"HTTP/1.1 999 \r\n"),
    ],
)
def test_status_line(status, line):
    assert status_line(status) == line


def test_final_status_lines_are_made_beforehand():
    assert STATUS_LINES[404] == status_line(404)
    assert set(STATUS_LINES) == {status for status in PHRASES if status >= 200}


def test_phrases_are_plain():
    assert all(phrase and phrase.isascii() and b"\n" not in phrase for phrase in PHRASES.values())


@pytest.mark.parametrize(
    ("status", "forbids"),
    [(100, True), (103, True), (199, True), (200, False), (204, True), (205, False), (304, True)],
)
def test_statuses_without_content(status, forbids):
    assert forbids_body(status) is forbids


@pytest.mark.parametrize("status", [400, 408, 414, 431, 501, 505])
def test_a_refusal_is_a_whole_response_that_ends_the_connection(status):
    (response,) = parse(refusal(status), [], True)
    assert (response.status, response.whole) == (status, True)
    assert response.body == PHRASES[status]
    assert dict(response.headers) == {
        b"server": b"granian",
        b"content-type": b"text/plain; charset=utf-8",
        b"content-length": b"%d" % len(PHRASES[status]),
        b"connection": b"close",
    }


def test_a_refusal_takes_further_fields():
    (response,) = parse(refusal(405, b"allow: GET\r\nx: y\r\n"))
    assert response.headers[-2:] == [(b"allow", b"GET"), (b"x", b"y")]


def test_a_refusal_with_an_unknown_code_has_no_body():
    (response,) = parse(refusal(499))
    assert (response.status, response.body) == (499, b"")
