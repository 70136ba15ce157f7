from granian.wire.http2.adaptive import WINDOW_CEILING, WINDOW_START, Adaptive


def test_a_window_nearly_filled_in_a_round_trip_doubles():
    adaptive = Adaptive(0.0)
    assert adaptive.received(20_000, 1.0)
    assert not adaptive.received(40_000, 1.01)
    assert adaptive.answered(1.05, WINDOW_START) == 120_000


def test_a_window_hardly_used_stays():
    adaptive = Adaptive(0.0)
    adaptive.received(1_000, 1.0)
    assert adaptive.answered(1.05, WINDOW_START) == WINDOW_START


def test_more_octets_in_more_time_are_no_reason_to_grow():
    adaptive = Adaptive(0.0)
    adaptive.received(60_000, 1.0)
    window = adaptive.answered(1.01, WINDOW_START)
    adaptive.received(110_000, 2.0)
    assert adaptive.answered(3.0, window) == window


def test_there_is_a_ceiling():
    adaptive = Adaptive(0.0)
    adaptive.received(100_000_000, 1.0)
    assert adaptive.answered(1.01, WINDOW_START) == WINDOW_CEILING
