"""The lane against wsproto: any frames, cut anywhere, end in the same messages and octets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from granian.plan import WebsocketPlan
from granian.wire.websocket.deflate import Deflate
from granian.wire.websocket.lane import read_frame
from granian.wire.websocket.session import Session, decline

from ..wire.websocket.peer import deflate, frame, header

PLAN = WebsocketPlan(max_message_size=300, max_frame_size=200)

payloads = st.one_of(
    st.binary(max_size=140),
    st.text(max_size=60).map(str.encode),
    st.binary(max_size=100).map(deflate),
    st.just(b"\x03\xe8"),
    st.integers(190, 310).map(bytes),
)
frames = st.builds(
    frame,
    opcode=st.sampled_from([1, 1, 1, 2, 2, 2, 0, 0, 9, 10, 8, 3, 11]),
    payload=payloads,
    fin=st.sampled_from([True, True, True, False]),
    rsv=st.sampled_from([0] * 8 + [4, 4, 2, 1]),
    key=st.binary(min_size=4, max_size=4),
    mask=st.sampled_from([True] * 12 + [False]),
    long=st.sampled_from([0] * 12 + [2, 8]),
)
pieces = st.one_of(frames, frames, frames, st.binary(max_size=6), st.just(header(2, 201)))


def run(session, octets, cuts, close_at):
    """Feed the octets in pieces; return all that can be seen from outside."""
    seen = []
    edges = sorted({0, len(octets), *(cut % (len(octets) + 1) for cut in cuts)})
    for index, (start, end) in enumerate(zip(edges, edges[1:])):
        if index == close_at:
            seen.append(session.encode_close(4000))
        session.feed(octets[start:end])
        while True:
            message = session.next_message()
            seen += session.replies
            session.replies.clear()
            if message is not None:
                seen.append(message)
            elif session.unfinished:
                session.unfinished = False
            else:
                break
    return seen, session.phase, session.close_code, session.close_reason, session.pongs


@settings(max_examples=400, deadline=None)
@given(
    sent=st.lists(pieces, max_size=12),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    close_at=st.integers(0, 12),
    agreed=st.sampled_from([None, Deflate()]),
)
def test_lane_and_wsproto_agree(sent, cuts, close_at, agreed):
    octets = b"".join(sent)
    with_lane = run(Session(PLAN, agreed, read_frame), octets, cuts, close_at)
    without = run(Session(PLAN, agreed, decline), octets, cuts, close_at)
    assert with_lane == without


@settings(max_examples=200, deadline=None)
@given(sent=st.lists(pieces, max_size=8), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_cuts_do_not_matter(sent, cuts):
    octets = b"".join(sent)
    assert run(Session(PLAN), octets, cuts, -1) == run(Session(PLAN), octets, [], -1)
