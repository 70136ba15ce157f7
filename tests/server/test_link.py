"""The line between supervisor and worker, both ends in one thread."""

import socket

import pytest

from granian.server import link as line
from granian.server.link import Link, pair


@pytest.fixture
def ends():
    ours, theirs = map(Link, pair())
    yield ours, theirs
    for end in (ours, theirs):
        end.close()


def test_what_is_told_is_heard_in_order(ends):
    ours, theirs = ends
    ours.tell(line.DRAIN, [1.5, 0.5])
    ours.tell(line.DUMP)
    assert theirs.heard() == [("drain", [1.5, 0.5]), ("dump", None)]


def test_a_report_may_arrive_in_pieces(ends):
    ours, theirs = ends
    ours.sock.sendall(b'["rea')
    assert theirs.heard() == []
    ours.sock.sendall(b'dy", 2]\n["f')
    assert theirs.heard() == [("ready", 2)]
    assert not theirs.closed


def test_line_breaks_inside_a_value_survive(ends):
    ours, theirs = ends
    ours.tell(line.FAILED, "two\nlines")
    assert theirs.heard() == [("failed", "two\nlines")]


def test_blocks_come_before_lines(ends):
    ours, theirs = ends
    ours.send_block(b"\0\n" * 5)
    ours.send_block(b"")
    ours.tell(line.HALT)
    assert theirs.read_block() == (b"\0\n" * 5, [])
    assert theirs.read_block() == (b"", [])
    assert theirs.heard() == [("halt", None)]


def test_sockets_come_with_a_block_as_copies(ends):
    ours, theirs = ends
    with socket.socket() as one, socket.socket(socket.AF_UNIX) as two:
        ours.send_block(b"x" * 100_000, [one, two])
        ours.send_block(b"y")
        block, numbers = theirs.read_block()
        assert theirs.read_block() == (b"y", [])
        assert block == b"x" * 100_000
        copies = [socket.socket(fileno=number) for number in numbers]
        assert [copy.family for copy in copies] == [one.family, two.family]
        assert not any(copy.get_inheritable() for copy in copies)
        for copy in copies:
            copy.close()


def test_the_end_is_noticed_once(ends):
    ours, theirs = ends
    ours.close()
    assert theirs.heard() == []
    assert theirs.closed


def test_a_block_cut_short_is_the_end(ends):
    ours, theirs = ends
    ours.sock.sendall(b"\0\0\0\5abc")
    ours.close()
    with pytest.raises(EOFError):
        theirs.read_block()


def test_telling_a_side_that_has_gone_is_harmless(ends):
    ours, theirs = ends
    theirs.close()
    ours.tell(line.DRAIN)
    ours.tell(line.DRAIN)


def test_last_words_are_all_of_them(ends):
    ours, theirs = ends
    for number in range(50):
        ours.tell(line.METRICS, {"requests": number})
    words = theirs.last_words()
    assert [value["requests"] for _, value in words] == list(range(50))
    assert not theirs.closed


def test_last_words_end_with_the_stream(ends):
    ours, theirs = ends
    ours.tell(line.FAILED, "why")
    ours.close()
    assert theirs.last_words() == [("failed", "why")]
    assert theirs.closed


def test_a_side_that_does_not_read_does_not_hold_up_for_long(ends):
    ours, _ = ends
    ours.sock.settimeout(0.0)
    for _ in range(5000):
        ours.tell(line.PING, "x" * 100)
    assert not ours.closed


def test_nothing_is_inheritable():
    for sock in pair():
        assert not sock.get_inheritable()
        assert sock.type == socket.SOCK_STREAM
        sock.close()
