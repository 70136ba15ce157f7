"""A future that wakes the task waiting for it on the stack of whoever settles it.

A task that waits for a future is woken through ``call_soon``: one handle, one turn of the loop and
several microseconds after the octets were read. ``Waiter.fire`` runs the task at once instead,
in its own context, because the poller's stack is as good a place for a task as the loop's.

Everything else of a waiter is the future of asyncio, by inheritance: cancellation, exceptions,
several callbacks, ``wait_for`` and ``gather``. Only one thing is kept apart: the callback of a
single waiting task, which is recognised by the context it brings. Of a loop's own thread only.
Imports asyncio, so a worker that serves WSGI must not import it.
"""

from asyncio import AbstractEventLoop, CancelledError, Future, current_task
from contextvars import Context
from typing import Any, Callable, Generator, Optional, Tuple, Union

Callback = Callable[[Any], object]


def _many(_: object) -> None:
    """Stand in ``_wake`` for: callbacks are with the future, in the order they came."""


class Waiter(Future):  # type: ignore[type-arg]  # subscripting fails before 3.9
    """A future for one waiting task; made by ``new_waiter`` only."""

    __slots__ = ("_context", "_wake")

    _wake: Optional[Callback]
    _context: Context

    def fire(self, value: object) -> None:
        """Settle with ``value`` and resume the waiting task before returning.

        To be called from the poller's stack, where no code of the application is half way
        through. Within a task the wake-up goes through the loop, as a future's.

        Args:
            value: What the task's ``await`` returns.

        Raises:
            asyncio.InvalidStateError: Settled or cancelled before; test ``done()``.
        """
        wake = self._wake
        Future.set_result(self, value)
        if wake is None or wake is _many:
            return
        self._wake = None
        if current_task(self._loop) is None:
            self._context.run(wake, self)
        else:
            self._loop.call_soon(wake, self, context=self._context)

    def set_result(self, result: object) -> None:
        """Settle as a future does: the task is woken by the loop's next turn."""
        Future.set_result(self, result)
        self._schedule()

    def set_exception(self, exception: Union[type, BaseException]) -> None:
        """Fail as a future does: the task is woken by the loop's next turn."""
        Future.set_exception(self, exception)
        self._schedule()

    def cancel(self, *args: object, **message: object) -> bool:
        """Cancel as a future does; arguments as the interpreter's ``Future.cancel`` takes."""
        if not Future.cancel(self, *args, **message):
            return False
        self._schedule()
        return True

    def add_done_callback(self, callback: Callback, *, context: Optional[Context] = None) -> None:
        """Keep a lone task's wake-up for ``fire``; leave all else to the future."""
        wake = self._wake
        if wake is None and context is not None and not self.done():
            self._wake = callback
            self._context = context
            return
        if wake is not _many and not self.done():
            self._wake = _many
            if wake is not None:
                Future.add_done_callback(self, wake, context=self._context)
        Future.add_done_callback(self, callback, context=context)

    def remove_done_callback(self, callback: Callback) -> int:
        """Forget a callback, as a future does."""
        wake = self._wake
        if wake is not None and wake is not _many:
            if wake != callback:
                return 0
            self._wake = None
            return 1
        return Future.remove_done_callback(self, callback)

    def _schedule(self) -> None:
        wake = self._wake
        if wake is not None and wake is not _many:
            self._wake = None
            self._loop.call_soon(wake, self, context=self._context)


def new_waiter(loop: AbstractEventLoop) -> Waiter:
    """Make a waiter of ``loop``; half the cost of a constructor written in Python."""
    waiter = Waiter(loop=loop)
    waiter._wake = None
    return waiter


_nothing = bool  # to call it costs less than a function of ours


class Bell:
    """What one task at a time waits for, again and again: half the cost of a waiter for each wait.

    Only for an ``await`` of our own, behind which nobody sees it: it is not a future, though it
    speaks as much of its protocol as a task asks for.

    Attributes:
        wake: The waiting task's wake-up, until it is told to go on; ``ring`` needs one.
        result: What the task calls when it goes on: raises if it was cancelled.
        taken: For the waiting coroutine to set before its ``await`` and to clear after it: nobody
            else may wait meanwhile.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_context",
        "_loop",
        "_reason",
        "result",
        "taken",
        "wake",
    )

    _context: Context
    _reason: Tuple[object, ...]

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop  # tasks look for it here, to see that it is theirs
        self._asyncio_future_blocking = False
        self.wake: Optional[Callback] = None
        self.result: Callable[[], object] = _nothing
        self.taken = False

    def __await__(self) -> "Generator[Bell, None, None]":
        """Wait until it is rung or the task is cancelled."""
        self._asyncio_future_blocking = True
        yield self

    def ring(self) -> None:
        """Resume the waiting task before returning; see ``Waiter.fire``."""
        wake = self.wake
        assert wake is not None
        self.wake = None
        if current_task(self._loop) is None:
            self._context.run(wake, self)
        else:
            self._loop.call_soon(wake, self, context=self._context)

    # what a task asks of it

    def add_done_callback(self, callback: Callback, *, context: Context) -> None:
        """Keep the waiting task's wake-up."""
        self.wake = callback
        self._context = context

    def cancel(self, *args: object, **message: object) -> bool:
        """Have the task resumed by the loop, with ``CancelledError``; False if it was rung."""
        wake = self.wake
        if wake is None:
            return False
        self.wake = None
        said = args or tuple(message.values())
        self._reason = said if said and said[0] is not None else ()
        self.result = self._raise
        self._loop.call_soon(wake, self, context=self._context)
        return True

    def _raise(self) -> None:
        self.result = _nothing
        raise CancelledError(*self._reason)
