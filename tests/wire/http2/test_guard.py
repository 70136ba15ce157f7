from granian.wire.http2.guard import Budget, Guard


def test_a_budget_gives_what_it_has_and_refills_with_time():
    budget = Budget(3, 1.0)
    assert [budget.spend(10.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.spend(10.5)
    assert budget.spend(11.0)
    assert not budget.spend(11.5)
    assert [budget.spend(1000.0) for _ in range(4)] == [True, True, True, False]


def test_empty_data_counts_in_a_row_only():
    guard = Guard()
    for _ in range(5):
        assert all(guard.data(0, 1.0) for _ in range(Guard.EMPTY_DATA_MAX))
        assert guard.data(1, 1.0)
    assert all(guard.data(0, 1.0) for _ in range(Guard.EMPTY_DATA_MAX))
    assert not guard.data(0, 1.0)


def test_updates_are_earned_by_what_is_sent():
    guard = Guard()
    assert sum(guard.update(1.0) for _ in range(3000)) == Guard.UPDATES_MAX + 1000
    guard.updates += 10
    assert sum(guard.update(1.0) for _ in range(20)) == 10


def test_more_than_half_of_a_sample_reset_is_too_much():
    guard = Guard()
    guard.client_resets = Budget(1e9, 0)
    assert all(guard.client_reset(1.0) for _ in range(250))
    assert not guard.client_reset(1.0)
