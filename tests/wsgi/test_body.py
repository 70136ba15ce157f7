import pytest

from granian.wsgi.body import GATHERED, GatheringBody, open_body
from tests.support.responder import FakeResponder, make_head

PIECES = [b"ne\nsecond", b" line\nthi", b"rd"]
WHOLE = b"one\nsecond line\nthird"


def arriving(*pieces, first=b"o"):
    responder = FakeResponder()
    responder.pieces = list(pieces or PIECES)
    return open_body(responder, first), responder


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda body: body.read(), WHOLE),
        (lambda body: body.read(-1), WHOLE),
        (lambda body: body.read(None), WHOLE),
        (lambda body: body.read(5), WHOLE[:5]),
        (lambda body: body.read(0), b""),
        (lambda body: body.read(999), WHOLE),
        (lambda body: body.readline(), b"one\n"),
        (lambda body: body.readline(2), b"on"),
        (lambda body: body.readlines(), [b"one\n", b"second line\n", b"third"]),
        (lambda body: body.readlines(5), [b"one\n", b"second line\n"]),
        (list, [b"one\n", b"second line\n", b"third"]),
        (lambda body: body.readline() + body.read(), WHOLE),
        (lambda body: body.read(2) + body.readline() + body.read(), WHOLE),
    ],
)
def test_it_reads_as_a_file_does(read, expected):
    body, _ = arriving()
    assert read(body) == expected


def test_nothing_is_pulled_before_it_is_needed():
    body, responder = arriving(first=b"0123456789")
    assert responder.events == []
    assert body.read1(4) == b"0123"
    assert responder.events == []


def test_the_end_is_pulled_once():
    body, responder = arriving(b"")
    assert body.read() == b"o"
    assert body.read() == b""
    assert body.readline() == b""
    assert responder.names == ["pull_body"]


def test_large_pieces_are_kept():
    body, _ = arriving(b"x" * 200_000, first=b"")
    assert len(body.read(100)) == 100
    assert len(body.read()) == 199_900


def test_a_body_cut_short_never_seems_whole():
    body, responder = arriving(b"half", ConnectionResetError("gone"))
    with pytest.raises(ConnectionError):
        body.read()
    with pytest.raises(ConnectionError):
        body.read(10)
    assert responder.names == ["pull_body", "pull_body"]


# gathering


def gathering(body=b"one"):
    responder, runs = FakeResponder(), []
    head = make_head("POST")
    handler = GatheringBody(responder, head, body, lambda *args: runs.append(args))
    return handler, responder, runs, head


def test_the_application_is_called_with_the_whole_body():
    handler, responder, runs, head = gathering()
    handler.on_body(b"two", False)
    assert responder.events == [("want_body", 3)]
    assert runs == []
    handler.on_body(b"three", True)
    assert runs == [(responder, head, b"onetwothree", True)]


def test_the_rest_of_a_large_body_arrives_under_the_application():
    handler, responder, runs, head = gathering(b"")
    handler.on_body(b"x" * GATHERED, False)
    assert runs == []
    handler.on_body(b"y", False)
    assert runs == [(responder, head, b"x" * GATHERED + b"y", False)]


def test_a_client_that_leaves_meanwhile_never_reaches_the_application():
    handler, _, runs, _ = gathering()
    handler.on_disconnect()
    assert runs == []
