import pytest

from granian.plan import Http2Plan
from granian.wire.http2.adaptive import WINDOW_START
from granian.wire.http2.codes import (
    FLOW_CONTROL_ERROR,
    PING,
    WINDOW_MAX,
    Fault,
    frame,
    window_update,
)
from granian.wire.http2.inflow import ADAPTIVE_PING, Inflow, window_sizes
from granian.wire.http2.stream import AWAITING, COMPLETE

NARROW = Http2Plan(
    initial_connection_window_size=WINDOW_START, initial_stream_window_size=WINDOW_START
)


class FakeStream:
    number = 1
    phase = AWAITING
    remote_open = True
    receive_window = WINDOW_START
    credit = 0


class FakeJudge:
    def update_settings(self, settings):
        self.settings = settings

    def data_to_send(self):
        return b"settings"


def make(plan=NARROW):
    octets = []
    return Inflow(plan, octets, 0.0), octets


@pytest.mark.parametrize(
    ("plan", "sizes"),
    [
        (Http2Plan(), (1_048_576, 1_048_576)),
        (Http2Plan(adaptive_window=True), (WINDOW_START, WINDOW_START)),
        (NARROW._replace(initial_connection_window_size=1000), (WINDOW_START, WINDOW_START)),
        (NARROW._replace(initial_stream_window_size=1000), (WINDOW_START, 1000)),
        (NARROW._replace(initial_stream_window_size=1 << 40), (WINDOW_START, WINDOW_MAX)),
    ],
)
def test_sizes(plan, sizes):
    assert window_sizes(plan) == sizes


def test_a_wide_window_is_announced_and_a_narrow_one_not_before_it_is_acknowledged():
    assert make(Http2Plan())[1] == [window_update(0, 1_048_576 - WINDOW_START)]
    inflow, octets = make(NARROW._replace(initial_stream_window_size=1000))
    assert octets == []
    assert inflow.stream_window == WINDOW_START
    assert inflow.widen_streams(1000) == 1000 - WINDOW_START
    assert inflow.stream_window == 1000


def test_the_connection_has_its_window_back_at_once():
    inflow, octets = make()
    for _ in range(4):
        inflow.window.current_window_size -= 16_384
        inflow.give_back(16_384)
    assert octets
    assert inflow.window.current_window_size >= WINDOW_START // 2


def test_not_while_handlers_hold_many_windows_worth():
    inflow, octets = make()
    stream = FakeStream()
    inflow.held = 9 * WINDOW_START
    inflow.window.current_window_size -= 60_000
    inflow.give_back(60_000)
    assert octets == []
    assert inflow.credit(stream, 2 * WINDOW_START, 2 * WINDOW_START)
    assert octets == [window_update(0, 60_000), window_update(1, 2 * WINDOW_START)]
    assert inflow.held == 7 * WINDOW_START


def test_what_is_dropped_counts_too():
    inflow, _ = make()
    inflow.drop(WINDOW_START)
    inflow.window.current_window_size = 10
    with pytest.raises(Fault) as raised:
        inflow.drop(11)
    assert raised.value.code == FLOW_CONTROL_ERROR


def test_a_stream_is_credited_in_steps_of_half_a_window():
    inflow, octets = make()
    stream = FakeStream()
    assert not inflow.credit(stream, 20_000, 0)
    assert octets == []
    assert inflow.credit(stream, 20_000, 0)
    assert octets == [window_update(1, 40_000)]
    assert stream.credit == 0
    assert stream.receive_window == WINDOW_START + 40_000


def test_a_narrow_stream_that_ran_dry_is_credited_at_once():
    inflow, octets = make()
    stream = FakeStream()
    stream.receive_window = 0
    assert inflow.credit(stream, 1, 0)
    assert octets == [window_update(1, 1)]


@pytest.mark.parametrize(("name", "value"), [("remote_open", False), ("phase", COMPLETE)])
def test_a_stream_that_needs_no_more_gets_none(name, value):
    inflow, octets = make()
    stream = FakeStream()
    setattr(stream, name, value)
    assert not inflow.credit(stream, WINDOW_START, 0)
    assert octets == []


def test_the_windows_grow_with_what_a_round_trip_carries():
    inflow, octets = make(Http2Plan(adaptive_window=True))
    judge = FakeJudge()
    inflow.measure(60_000, 1.0)
    assert octets == [frame(PING, 0, 0, ADAPTIVE_PING)]
    inflow.adapt(judge, 1.05)
    assert octets[1:] == [window_update(0, 120_000 - WINDOW_START), b"settings"]
    assert list(judge.settings.values()) == [120_000]
    assert inflow.window.max_window_size == 120_000


def test_without_that_option_nothing_is_measured():
    inflow, octets = make()
    inflow.measure(60_000, 1.0)
    inflow.adapt(FakeJudge(), 1.05)
    assert octets == []
