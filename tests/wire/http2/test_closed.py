from h2.stream import StreamClosedBy

from granian.wire.http2.closed import GAPS_MAX, RESETS_MAX, Closed

ENDED = StreamClosedBy.SEND_END_STREAM
RESET = StreamClosedBy.RECV_RST_STREAM


def test_what_was_used_in_its_turn_has_ended():
    closed = Closed()
    closed.enter(1)
    closed.enter(3)
    assert closed.how(1) is closed.how(3) is ENDED


def test_what_was_left_out_was_never_opened():
    closed = Closed()
    closed.enter(1)
    closed.enter(7)
    closed.enter(9)
    assert [closed.how(number) for number in (1, 3, 5, 7, 9)] == [ENDED, None, None, ENDED, ENDED]


def test_what_was_reset_is_known_by_whom():
    closed = Closed()
    closed.enter(1)
    closed.reset(1, RESET)
    closed.reset(3, StreamClosedBy.SEND_RST_STREAM)
    closed.enter(5)  # 3 was refused, so it was never entered
    assert closed.how(1) is RESET
    assert closed.how(3) is StreamClosedBy.SEND_RST_STREAM


def test_the_oldest_are_forgotten_and_count_as_ended():
    closed = Closed()
    for number in range(1, 4 * RESETS_MAX, 2):
        closed.enter(number)
        closed.reset(number, RESET)
        assert len(closed._resets) <= RESETS_MAX
    assert closed.how(1) is ENDED
    assert closed.how(number) is RESET


def test_gaps_are_bounded_too():
    closed = Closed()
    for number in range(3, 8 * GAPS_MAX, 4):
        closed.enter(number)
    assert closed.how(1) is ENDED
    assert closed.how(number - 2) is None
