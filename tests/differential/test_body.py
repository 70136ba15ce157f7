"""The chunk decoder against h11: what it accepts, h11 reads the same, however it was cut."""

import re

import h11
from hypothesis import example, given
from hypothesis import strategies as st

from granian.errors import PeerError
from granian.wire.http1.body import ChunkedBody

from .strategies import EXAMPLES, chunked_bodies, cuts, mutants

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMING_TRAILER = re.compile(rb"(?i)\n(content-length|transfer-encoding|host)")
bodies = st.one_of(chunked_bodies(), mutants(chunked_bodies()))


def ours(pieces):
    """(content, octets after the body or None while it goes on); an error for a refusal."""
    decoder, content = ChunkedBody(), b""
    for number, piece in enumerate(pieces):
        try:
            more, rest = decoder.feed(piece)
        except PeerError as error:
            return error
        content += more
        if rest is not None:
            return content, rest + b"".join(pieces[number + 1 :])
    return content, None


def h11_reads(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
    connection.receive_data(HEAD + data)
    content = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return error
        if event is h11.NEED_DATA:
            return content, None
        if isinstance(event, h11.Data):
            content += event.data
        elif isinstance(event, h11.EndOfMessage):
            return content, connection.trailing_data[0]


@EXAMPLES
@given(bodies)
@example(b"5\r\nhello\r\n0\r\n\r\n")
@example(b"0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n")
@example(b"5\r\nhelloXX0\r\n\r\n")
@example(b"5;a\r\nhello\r\n0\r\n\r\n")
def test_what_we_accept_h11_reads_the_same(data):
    mine = ours([data])
    if isinstance(mine, PeerError):
        assert mine.status == 400
        return
    theirs = h11_reads(data)
    if mine[1] is None and isinstance(theirs, h11.RemoteProtocolError):
        return  # we wait for the end of a line that h11 has refused already: nothing is delivered
    if isinstance(theirs, h11.RemoteProtocolError) and FRAMING_TRAILER.search(data):
        return  # h11 judges framing fields even where they cannot act; we drop them unread
    assert mine == theirs


@EXAMPLES
@given(bodies, st.lists(st.integers(0, 200), max_size=8))
def test_cuts_change_nothing(data, points):
    whole, pieces = ours([data]), ours(cuts(data, points))
    if isinstance(whole, PeerError):
        assert isinstance(pieces, PeerError)
    else:
        assert pieces == whole


@EXAMPLES
@given(bodies)
def test_octet_by_octet_changes_nothing(data):
    whole, pieces = ours([data]), ours([data[i : i + 1] for i in range(len(data))])
    assert isinstance(pieces, PeerError) if isinstance(whole, PeerError) else pieces == whole


@EXAMPLES
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=20))
def test_every_well_formed_body_is_accepted(chunks, after):
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert ours([data + after]) == (b"".join(chunks), after)
