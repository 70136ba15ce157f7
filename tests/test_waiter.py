"""A waiter is asyncio's future but for the moment its task runs; a bell is what a task asks for."""

import asyncio
import contextvars
import sys

import pytest

from granian._waiter import Bell, Waiter, new_waiter
from granian.engine.tasks import SteppedTasks

VARIABLE = contextvars.ContextVar("VARIABLE", default="outside")


def new_loops():
    yield asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        return
    yield uvloop.new_event_loop


@pytest.fixture(params=new_loops(), ids=lambda new: new.__module__)
def loop(request):
    loop = request.param()
    yield loop
    loop.close()


def turn(loop, call=lambda: None):
    """Run ``call`` from the loop, as the poller's stack; then a turn for the rest."""
    outcome = []

    async def two_turns():
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.call_soon(lambda: outcome.append(call()))
    loop.run_until_complete(two_turns())
    return outcome[0]


def test_resumes_the_task_before_fire_returns(loop):
    waiter, seen = new_waiter(loop), []

    async def wait():
        seen.append(await waiter)
        seen.append(asyncio.current_task())

    task = loop.create_task(wait())
    turn(loop)

    def fire():
        waiter.fire("message")
        return list(seen)

    assert turn(loop, fire) == ["message", task]
    assert task.done()
    assert waiter.result() == "message"


def test_runs_the_task_in_the_context_of_the_task(loop):
    waiter, seen = new_waiter(loop), []

    async def wait():
        VARIABLE.set("inside")
        await waiter
        seen.append(VARIABLE.get())
        VARIABLE.set("after")

    loop.create_task(wait())
    turn(loop)
    turn(loop, lambda: waiter.fire(None))
    assert seen == ["inside"]
    assert VARIABLE.get() == "outside"


def test_within_a_task_wakes_through_the_loop(loop):
    waiter, seen = new_waiter(loop), []

    async def wait():
        seen.append(await waiter)

    async def fire():
        waiter.fire("message")
        seen.append("fired")

    task = loop.create_task(wait())
    turn(loop)
    loop.run_until_complete(fire())
    loop.run_until_complete(task)
    assert seen == ["fired", "message"]


def test_fired_before_it_is_awaited_returns_at_once(loop):
    waiter = new_waiter(loop)
    waiter.fire("early")

    async def wait():
        return await waiter

    assert loop.run_until_complete(wait()) == "early"


def test_fired_twice_is_an_invalid_state(loop):
    waiter = new_waiter(loop)
    waiter.fire(1)
    with pytest.raises(asyncio.InvalidStateError):
        waiter.fire(2)


@pytest.mark.parametrize("settle", ["set_result", "set_exception"])
def test_settled_as_a_future_wakes_through_the_loop(loop, settle):
    waiter, seen = new_waiter(loop), []
    value = {"set_result": "value", "set_exception": LookupError("value")}[settle]

    async def wait():
        try:
            seen.append(await waiter)
        except LookupError as error:
            seen.append(error)

    task = loop.create_task(wait())
    turn(loop)

    def settled():
        getattr(waiter, settle)(value)
        return list(seen)

    assert turn(loop, settled) == []
    loop.run_until_complete(task)
    assert seen == [value]


def test_cancelling_the_task_cancels_the_waiter(loop):
    waiter = new_waiter(loop)

    async def wait():
        await waiter

    task = loop.create_task(wait())
    turn(loop)
    task.cancel()
    assert waiter.cancelled()
    assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert not waiter.cancel()


@pytest.mark.skipif(sys.version_info < (3, 9), reason="cancel takes a message from 3.9 on")
@pytest.mark.parametrize("new", [new_waiter, Bell])
def test_cancel_message_reaches_the_task(loop, new):
    waiter, seen = new(loop), []

    async def wait():
        try:
            await waiter
        except asyncio.CancelledError as error:
            seen.append(error.args)
            raise

    task = loop.create_task(wait())
    turn(loop)
    task.cancel("why")
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert seen == [("why",)]


def test_a_task_may_survive_its_cancellation(loop):
    first, second = new_waiter(loop), new_waiter(loop)

    async def wait():
        try:
            await first
        except asyncio.CancelledError:
            return await second

    task = loop.create_task(wait())
    turn(loop)
    task.cancel()
    turn(loop)
    turn(loop, lambda: second.fire("lives"))
    assert loop.run_until_complete(task) == "lives"


def test_cancelled_between_the_wait_and_the_step_of_the_task(loop):
    waiter = new_waiter(loop)

    async def wait():
        await waiter

    task = loop.create_task(wait())
    task.cancel()  # before its first step: the task cancels what it is about to await
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_wait_for_expires_and_cancels(loop):
    waiter = new_waiter(loop)

    async def wait():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(waiter, 0.001)

    loop.run_until_complete(wait())
    assert waiter.cancelled()


def test_wait_for_returns_what_was_fired(loop):
    waiter = new_waiter(loop)

    async def wait():
        loop.call_soon(waiter.fire, "in time")
        return await asyncio.wait_for(waiter, 5)

    assert loop.run_until_complete(wait()) == "in time"


def test_two_tasks_are_both_woken_in_their_order(loop):
    waiter, seen = new_waiter(loop), []

    async def wait(name):
        seen.append((name, await waiter))

    tasks = [loop.create_task(wait(name)) for name in "ab"]
    turn(loop)
    turn(loop, lambda: waiter.fire(1))
    turn(loop)
    assert [task.done() for task in tasks] == [True, True]
    assert seen == [("a", 1), ("b", 1)]


def test_a_task_and_a_callback_are_both_told(loop):
    waiter, seen = new_waiter(loop), []

    async def wait():
        seen.append(await waiter)

    waiter.add_done_callback(lambda future: seen.append(future.result()))
    task = loop.create_task(wait())
    turn(loop)
    turn(loop, lambda: waiter.fire(1))
    loop.run_until_complete(task)
    assert seen == [1, 1]


def test_removed_callbacks_are_not_called(loop):
    waiter, context = new_waiter(loop), contextvars.copy_context()
    waiter.add_done_callback(pytest.fail, context=context)
    assert waiter.remove_done_callback(print) == 0
    assert waiter.remove_done_callback(pytest.fail) == 1
    waiter.add_done_callback(pytest.fail)
    assert waiter.remove_done_callback(pytest.fail) == 1
    turn(loop, lambda: waiter.fire(None))


def test_gather_shield_and_wait_take_it_for_a_future(loop):
    waiters = [new_waiter(loop) for _ in range(3)]

    async def wait():
        for index, waiter in enumerate(waiters):
            loop.call_soon(waiter.fire, index)
        done, _ = await asyncio.wait({waiters[2]})
        return await asyncio.gather(asyncio.shield(waiters[0]), waiters[1], *done)

    assert loop.run_until_complete(wait()) == [0, 1, 2]
    assert asyncio.isfuture(waiters[0])
    assert isinstance(waiters[0], Waiter)


def test_the_task_may_wait_again_on_the_same_stack(loop):
    waiters, seen = [], []

    async def wait():
        for _ in range(3):
            waiters.append(new_waiter(loop))
            seen.append(await waiters[-1])

    task = loop.create_task(wait())
    turn(loop)

    def fire():
        for index in range(3):
            waiters[-1].fire(index)

    turn(loop, fire)
    assert task.done()
    assert seen == [0, 1, 2]


# the bell


class Guard:
    """A coroutine that waits for a bell until it has been rung ``times`` times."""

    def __init__(self, loop, times=1):
        self.bell = Bell(loop)
        self.heard = []
        self.task = loop.create_task(self.listen(times))
        turn(loop)

    async def listen(self, times):
        for _ in range(times):
            await self.bell
            self.heard.append(VARIABLE.get())
            VARIABLE.set("inside")


def test_a_bell_resumes_its_task_before_ring_returns_and_rings_again(loop):
    guard = Guard(loop, times=3)

    def ring():
        guard.bell.ring()
        return len(guard.heard), guard.bell.wake is not None

    assert [turn(loop, ring) for _ in range(3)] == [(1, True), (2, True), (3, False)]
    assert guard.task.done()
    assert guard.heard == ["outside", "inside", "inside"], "in the context of the task"
    assert VARIABLE.get() == "outside"


def test_rung_within_a_task_it_wakes_through_the_loop(loop):
    guard = Guard(loop)

    async def ring():
        guard.bell.ring()
        return list(guard.heard), guard.bell.wake is not None

    assert loop.run_until_complete(ring()) == ([], False)
    loop.run_until_complete(guard.task)
    assert guard.heard == ["outside"]


def test_a_task_that_waits_for_a_bell_can_be_cancelled(loop):
    guard = Guard(loop)
    guard.task.cancel()
    assert guard.bell.wake is None
    assert not guard.task.done()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(guard.task)
    assert not guard.bell.cancel()


def test_a_bell_may_be_waited_for_after_a_cancellation(loop):
    bell, seen = Bell(loop), []

    async def wait():
        try:
            await bell
        except asyncio.CancelledError as error:
            seen.append(error.args)
        await bell
        seen.append("rung")

    task = loop.create_task(wait())
    turn(loop)
    task.cancel()
    turn(loop)
    assert turn(loop, lambda: (bell.ring(), list(seen))[1]) == [(), "rung"]
    assert task.done()


def test_cancelled_after_the_ring_the_task_is_cancelled_all_the_same(loop):
    guard = Guard(loop)

    async def ring_and_cancel():
        guard.bell.ring()
        assert guard.task.cancel()

    loop.run_until_complete(ring_and_cancel())
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(guard.task)
    assert guard.heard == []


def test_waiting_for_a_bell_may_take_too_long(loop):
    bell = Bell(loop)

    async def hear():
        await bell

    async def wait():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(hear(), 0.001)
        return bell.wake

    assert loop.run_until_complete(wait()) is None


def test_a_stepped_coroutine_hears_a_bell_too(loop):
    bell, heard = Bell(loop), []
    tasks = SteppedTasks(loop)

    async def listen():
        await bell
        heard.append("rung")
        try:
            await bell
        except asyncio.CancelledError:
            heard.append("cancelled")

    turn(loop, lambda: tasks.spawn(listen()))
    assert turn(loop, lambda: (bell.ring(), list(heard))[1]) == ["rung"]
    (task,) = tasks.pending
    turn(loop, task.cancel)
    assert heard == ["rung", "cancelled"]
    assert not tasks.pending
