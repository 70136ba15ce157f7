"""How application coroutines run: as asyncio tasks that start at once, or stepped by hand.

Both kinds run the first step on the stack of whoever brought the request, before ``spawn``
returns. Of one loop's thread only.
"""

import asyncio
import sys
from collections import deque
from contextvars import Context, copy_context
from typing import Any, Callable, Coroutine, Deque, Optional, Protocol, Set, Tuple

Callback = Callable[[Any], object]


class Tasks(Protocol):
    """Starts coroutines and knows which have not ended.

    Attributes:
        pending: Tasks that did not finish in their first step; asyncio keeps only weak references.
    """

    pending: Set[Any]

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it waits, then leave it to the loop."""


class EagerTasks:
    """Starts application coroutines on the caller's stack, as tasks.

    Most applications finish their answer in the first step, before a scheduled task would even
    have begun. From 3.12 on tasks can do so themselves; below, the task's own first step is taken
    out of the loop's hands and run here, in the task's context, with ``current_task`` set.

    Attributes:
        pending: Tasks that did not finish in their first step; asyncio keeps only weak references.
    """

    __slots__ = ("_loop", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pending: Set[asyncio.Task[None]] = set()

    if sys.version_info >= (3, 12):

        def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:  # hot
            """Run a coroutine until it waits, then leave it to the loop."""
            task = asyncio.Task(coroutine, loop=self._loop, eager_start=True)
            if not task.done():
                self.pending.add(task)
                task.add_done_callback(self.pending.discard)

    else:

        def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:  # hot
            """Run a coroutine until it waits, then leave it to the loop."""
            loop: Any = self._loop
            first_step: Any = None
            own: Any = None

            def capture(step: Any, *args: Any, context: Any = None) -> None:
                nonlocal first_step, own
                first_step, own = step, context

            try:
                loop.call_soon = capture
            except AttributeError:
                task = loop.create_task(coroutine)
            else:
                try:
                    task = asyncio.Task(coroutine, loop=loop)
                finally:
                    del loop.call_soon
                own.run(first_step)
            if not task.done():
                self.pending.add(task)
                task.add_done_callback(self.pending.discard)


class SteppedTasks:
    """Steps coroutines by hand (``--opt``): no task is made for them.

    Below Python 3.12 a task costs more than most exchanges do: it is registered, watched by weak
    references and asks the loop for its debug mode. A stepped coroutine is none of that, and is
    found by ``current_task`` all the same.
    """

    __slots__ = ("_loop", "pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pending: Set[SteppedTask] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:  # hot
        """Run a coroutine until it waits, then leave it to the loop."""
        task = SteppedTask(coroutine, self._loop, self.pending)
        task.get_context().run(task.step)


class SteppedTask:
    """A coroutine stepped by hand, with as much of ``asyncio.Task`` as those who look for it need.

    ``asyncio.timeout``, ``wait_for``, task groups, anyio's cancel scopes and sniffio find their
    way; ``isinstance(current_task(), asyncio.Task)`` is false and ``asyncio.all_tasks`` does not
    list it.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_cancel_args",
        "_cancel_requests",
        "_context",
        "_coroutine",
        "_exception",
        "_fut_waiter",
        "_loop",
        "_must_cancel",
        "_pending",
        "_phase",
    )

    _asyncio_future_blocking = False
    _PENDING, _CANCELLED, _FINISHED = range(3)

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, None],
        loop: asyncio.AbstractEventLoop,
        pending: "Set[SteppedTask]",
    ) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self._pending = pending
        self._context = copy_context()
        self._phase = self._PENDING
        self._exception: Optional[BaseException] = None
        self._fut_waiter: Any = None
        self._must_cancel = False
        self._cancel_args: Tuple[Any, ...] = ()
        self._cancel_requests = 0
        self._callbacks: Optional[Deque[Tuple[Callback, Optional[Context]]]] = None

    # stepping, in the task's own context

    def step(self, error: Optional[BaseException] = None) -> None:
        """Run the coroutine until it waits again or ends."""
        if self._must_cancel:
            if not isinstance(error, asyncio.CancelledError):
                error = asyncio.CancelledError(*self._cancel_args)
            self._must_cancel = False
        self._fut_waiter = None
        asyncio.tasks._enter_task(self._loop, self)  # type: ignore[arg-type]  # documented for us
        try:
            if error is None:
                awaited: Any = self._coroutine.send(None)
            else:
                awaited = self._coroutine.throw(error)
        except StopIteration:
            self._end(self._CANCELLED if self._must_cancel else self._FINISHED, None)
        except asyncio.CancelledError as cancelled:
            self._end(self._CANCELLED, cancelled)
        except BaseException as failure:
            self._end(self._FINISHED, failure)
            if isinstance(failure, (KeyboardInterrupt, SystemExit)):
                raise
        else:
            self._wait_for(awaited)
        finally:
            asyncio.tasks._leave_task(self._loop, self)  # type: ignore[arg-type]

    def _wait_for(self, awaited: Any) -> None:
        self._pending.add(self)
        if getattr(awaited, "_asyncio_future_blocking", None):
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._wake, context=self._context)
            self._fut_waiter = awaited
            if self._must_cancel and awaited.cancel():
                self._must_cancel = False
        elif awaited is None:
            self._loop.call_soon(self.step, context=self._context)
        else:
            error = RuntimeError(f"a coroutine yielded {awaited!r}, which cannot be waited for")
            self._loop.call_soon(self.step, error, context=self._context)

    def _wake(self, future: Any) -> None:
        try:
            future.result()
        except BaseException as error:
            self.step(error)
        else:
            self.step()

    def _end(self, phase: int, exception: Optional[BaseException]) -> None:
        self._phase = phase
        self._exception = exception
        self._pending.discard(self)
        callbacks, self._callbacks = self._callbacks, None
        if exception is not None and not callbacks and phase == self._FINISHED:
            self._loop.call_exception_handler(
                {"message": "A stepped coroutine raised an exception", "exception": exception}
            )
        for callback, context in callbacks or ():
            self._loop.call_soon(callback, self, context=context)

    # what asyncio, and what builds on it, ask of a task

    def cancel(self, *args: Any, **message: Any) -> bool:
        """Have ``CancelledError`` raised in the coroutine, as ``asyncio.Task.cancel``."""
        if self._phase != self._PENDING:
            return False
        self._cancel_requests += 1
        if self._fut_waiter is not None and self._fut_waiter.cancel(*args, **message):
            return True
        self._must_cancel = True
        self._cancel_args = args or tuple(message.values())
        return True

    def cancelling(self) -> int:
        """Return how many cancellations are asked for and not withdrawn."""
        return self._cancel_requests

    def uncancel(self) -> int:
        """Withdraw one."""
        if self._cancel_requests:
            self._cancel_requests -= 1
            if not self._cancel_requests:
                self._must_cancel = False
        return self._cancel_requests

    def done(self) -> bool:
        """Tell whether the coroutine has ended."""
        return self._phase != self._PENDING

    def cancelled(self) -> bool:
        """Tell whether it ended by cancellation."""
        return self._phase == self._CANCELLED

    def result(self) -> None:
        """Return None, or raise what ended the coroutine."""
        exception = self.exception()
        if exception is not None:
            raise exception

    def exception(self) -> Optional[BaseException]:
        """Return what the coroutine raised.

        Raises:
            asyncio.InvalidStateError: It has not ended.
            asyncio.CancelledError: It was cancelled.
        """
        if self._phase == self._PENDING:
            raise asyncio.InvalidStateError("the coroutine has not ended")
        if self._phase == self._CANCELLED:
            raise asyncio.CancelledError(*self._cancel_args)
        return self._exception

    def add_done_callback(self, callback: Callback, *, context: Optional[Context] = None) -> None:
        """Have ``callback(self)`` called by the loop once the coroutine has ended."""
        if self._phase != self._PENDING:
            self._loop.call_soon(callback, self, context=context)
        elif self._callbacks is None:
            self._callbacks = deque([(callback, context)])
        else:
            self._callbacks.append((callback, context))

    def remove_done_callback(self, callback: Callback) -> int:
        """Forget a callback; return how often it was there."""
        before = self._callbacks or deque()
        kept = deque(entry for entry in before if entry[0] != callback)
        self._callbacks = kept or None
        return len(before) - len(kept)

    def get_coro(self) -> Coroutine[Any, Any, None]:
        """Return the coroutine."""
        return self._coroutine

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._loop

    def get_context(self) -> Context:
        """Return the context that the coroutine runs in."""
        return self._context

    def get_name(self) -> str:
        """Return a name for people."""
        return f"Stepped-{id(self):x}"


def create_tasks(loop: asyncio.AbstractEventLoop, stepped: bool) -> Tasks:
    """Choose how coroutines run on ``loop``.

    Args:
        loop: The runtime's loop.
        stepped: ``--opt`` was asked for; from Python 3.12 on tasks are as quick and it is not
            followed.
    """
    if stepped and sys.version_info < (3, 12):
        return SteppedTasks(loop)
    return EagerTasks(loop)
