"""Application coroutines as tasks and stepped by hand: the same promises for both."""

import asyncio
import contextvars
import gc
import sys

import pytest

from granian.engine.tasks import EagerTasks, SteppedTask, SteppedTasks, create_tasks
from tests.support.loops import on_stack

VARIABLE = contextvars.ContextVar("VARIABLE", default="outside")


@pytest.fixture(params=[EagerTasks, SteppedTasks], ids=["tasks", "stepped"])
def kind(request):
    return request.param


def test_the_first_step_runs_before_spawn_returns(kind, asyncio_loop):
    order = []
    tasks = kind(asyncio_loop)

    async def steps():
        order.append("first")
        await asyncio.sleep(0)
        order.append("second")

    on_stack(asyncio_loop, lambda: (tasks.spawn(steps()), order.append("returned")))
    assert order == ["first", "returned", "second"]


def test_every_loop_runs_the_coroutine(kind, loop):
    order = []
    tasks = kind(loop)

    async def steps():
        order.append("first")
        await asyncio.sleep(0)
        order.append("second")

    on_stack(loop, lambda: tasks.spawn(steps()))
    assert order == ["first", "second"]
    assert not tasks.pending


def test_the_current_task_is_the_new_one_in_every_step(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    seen = []

    async def steps():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    assert on_stack(
        asyncio_loop, lambda: (tasks.spawn(steps()), asyncio.current_task(asyncio_loop))
    ) == (None, None)
    assert seen[0] is seen[1] is not None
    assert isinstance(seen[0], asyncio.Task) == (kind is EagerTasks)


def test_one_task_may_spawn_inside_the_first_step_of_no_other(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    seen = []

    async def one(name):
        seen.append(name)

    on_stack(asyncio_loop, lambda: (tasks.spawn(one("a")), tasks.spawn(one("b"))))
    assert seen == ["a", "b"]


def test_a_first_step_has_a_context_of_its_own_and_keeps_it(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    seen = []

    async def steps():
        seen.append(VARIABLE.get())
        VARIABLE.set("inside")
        await asyncio.sleep(0)
        seen.append(VARIABLE.get())

    def call():
        VARIABLE.set("caller")
        tasks.spawn(steps())
        return VARIABLE.get()

    assert contextvars.copy_context().run(on_stack, asyncio_loop, call) == "caller"
    assert seen == ["caller", "inside"]


def test_call_soon_is_as_it_was(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    seen = []

    async def steps():
        asyncio_loop.call_soon(seen.append, "inside")

    on_stack(asyncio_loop, lambda: tasks.spawn(steps()))
    assert seen == ["inside"]
    assert "call_soon" not in vars(asyncio_loop)


def test_tasks_are_kept_while_they_wait_and_no_longer(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    future = asyncio_loop.create_future()

    async def at_once():
        pass

    async def waits():
        await future

    on_stack(asyncio_loop, lambda: (tasks.spawn(at_once()), tasks.spawn(waits())))
    assert len(tasks.pending) == 1
    on_stack(asyncio_loop, lambda: future.set_result(None))
    assert not tasks.pending


def test_what_a_coroutine_raises_stays_in_its_task(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    failures = []
    asyncio_loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))

    async def raises():
        raise ValueError

    assert on_stack(asyncio_loop, lambda: tasks.spawn(raises())) is None
    gc.collect()
    assert [type(failure) for failure in failures] == [ValueError]


def test_a_pending_task_can_be_cancelled(kind, asyncio_loop):
    tasks = kind(asyncio_loop)
    seen = []

    async def waits():
        try:
            await asyncio_loop.create_future()
        finally:
            seen.append("cancelled")

    on_stack(asyncio_loop, lambda: tasks.spawn(waits()))
    (task,) = tasks.pending
    on_stack(asyncio_loop, task.cancel)
    assert seen == ["cancelled"]


# what is looked for in a stepped task


def stepped(loop, coroutine):
    """Start a coroutine that does not end in its first step; return its task."""
    tasks = SteppedTasks(loop)
    _, task = on_stack(loop, lambda: (tasks.spawn(coroutine), *tasks.pending))
    return task


def finish(loop, task):
    async def until():
        while not task.done():
            await asyncio.sleep(0)

    loop.run_until_complete(asyncio.wait_for(until(), 5))


def test_it_waits_for_futures_and_bare_yields(asyncio_loop):
    seen = []

    async def steps():
        seen.append(await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b")))
        await asyncio.sleep(0)
        try:
            await asyncio.wait_for(asyncio_loop.create_future(), 0.001)
        except asyncio.TimeoutError:
            seen.append("late")

    task = stepped(asyncio_loop, steps())
    finish(asyncio_loop, task)
    assert seen == [["a", "b"], "late"]
    assert task.result() is None
    assert task.exception() is None
    assert not task.cancelled()


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout is of Python 3.11")
def test_timeouts_and_groups_find_their_task(asyncio_loop):
    seen = []

    async def fails():
        raise ValueError

    async def steps():
        try:
            async with asyncio.timeout(0.001):
                await asyncio_loop.create_future()
        except TimeoutError:
            seen.append("late")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                await asyncio_loop.create_future()
        except Exception as group_error:
            seen.append(type(group_error.exceptions[0]))

    task = stepped(asyncio_loop, steps())
    finish(asyncio_loop, task)
    assert seen == ["late", ValueError]
    assert task.cancelling() == 0


def test_anyio_and_sniffio_find_their_way(asyncio_loop):
    anyio = pytest.importorskip("anyio")
    sniffio = pytest.importorskip("sniffio")
    seen = []

    async def steps():
        seen.append(sniffio.current_async_library())
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep(5)
        seen.append(scope.cancelled_caught)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0)
        seen.append(await anyio.to_thread.run_sync(lambda: "thread"))

    finish(asyncio_loop, stepped(asyncio_loop, steps()))
    assert seen == ["asyncio", True, "thread"]


def test_cancellation_ends_it_or_is_caught(asyncio_loop):
    async def stubborn():
        try:
            await asyncio_loop.create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    async def obedient():
        await asyncio_loop.create_future()

    one, other = stepped(asyncio_loop, stubborn()), stepped(asyncio_loop, obedient())
    assert one.cancel()
    assert other.cancel()
    finish(asyncio_loop, one)
    finish(asyncio_loop, other)
    assert not one.cancelled()
    assert one.cancelling() == 1
    assert one.uncancel() == 0
    assert other.cancelled()
    with pytest.raises(asyncio.CancelledError):
        other.result()
    assert not other.cancel()


def test_a_task_that_cancels_itself_ends_at_its_next_wait(asyncio_loop):
    seen = []

    async def steps():
        await asyncio.sleep(0)
        asyncio.current_task().cancel()
        seen.append("on")
        await asyncio_loop.create_future()
        seen.append("never")

    task = stepped(asyncio_loop, steps())
    finish(asyncio_loop, task)
    assert seen == ["on"]
    assert task.cancelled()


def test_a_coroutine_that_yields_nonsense_is_told(asyncio_loop):
    class Nonsense:
        def __await__(self):
            yield 7

    seen = []

    async def steps():
        try:
            await Nonsense()
        except RuntimeError as error:
            seen.append(str(error))

    finish(asyncio_loop, stepped(asyncio_loop, steps()))
    assert seen == ["a coroutine yielded 7, which cannot be waited for"]


def test_callbacks_are_called_once_it_has_ended(asyncio_loop):
    called = []
    future = asyncio_loop.create_future()
    task = stepped(asyncio_loop, asyncio.wait_for(future, None))
    with pytest.raises(asyncio.InvalidStateError):
        task.result()
    task.add_done_callback(called.append)
    task.add_done_callback(called.remove)
    task.add_done_callback(called.append)
    assert task.remove_done_callback(called.append) == 2
    assert task.remove_done_callback(called.remove) == 1
    assert task.remove_done_callback(called.remove) == 0
    task.add_done_callback(called.append)
    future.set_result(None)
    finish(asyncio_loop, task)
    task.add_done_callback(called.append)
    asyncio_loop.run_until_complete(asyncio.sleep(0))
    assert called == [task, task]


def test_it_knows_its_coroutine_its_loop_and_its_name(asyncio_loop):
    coroutine = asyncio.sleep(0)
    task = stepped(asyncio_loop, coroutine)
    assert task.get_coro() is coroutine
    assert task.get_loop() is asyncio_loop
    assert task.get_name().startswith("Stepped-")
    finish(asyncio_loop, task)


@pytest.mark.parametrize("wanted", [True, False])
def test_stepping_is_for_the_pythons_it_helps(asyncio_loop, wanted):
    steps = wanted and sys.version_info < (3, 12)
    assert isinstance(create_tasks(asyncio_loop, wanted), SteppedTasks if steps else EagerTasks)


def test_a_stepped_task_is_light(asyncio_loop):
    task = stepped(asyncio_loop, asyncio.sleep(0))
    assert type(task) is SteppedTask
    assert task not in asyncio.all_tasks(asyncio_loop)
    finish(asyncio_loop, task)
