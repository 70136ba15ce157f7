"""Signals as events: handlers that only remember, and a descriptor that wakes whoever waits.

Main thread only, as Python demands of ``signal.signal``; ``Alarm.ring`` is for any thread. Handlers
are installed with ``signal.signal`` as bound methods, so that libraries which look for the owner of
the SIGTERM handler find it (sse-starlette reads its ``should_exit``).
"""

import os
import signal
import socket
import threading
from types import FrameType
from typing import Any, Callable, Dict, Iterable, Optional

Handler = Callable[[int, Optional[FrameType]], Any]

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
HANGUP: Optional[int] = getattr(signal, "SIGHUP", None)
DUMP: Optional[int] = getattr(signal, "SIGUSR1", None)
CHILD: Optional[int] = getattr(signal, "SIGCHLD", None)

SIGNAL_RACE = 0.25
"""Seconds in which a signal to a process group may reach its members one after the other."""


class Alarm:
    """A descriptor that becomes readable when it rings; any thread and any handler may ring."""

    __slots__ = ("_bell", "_ear")

    def __init__(self) -> None:
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._ear.fileno()

    def bell(self) -> int:
        """Return the descriptor that ``signal.set_wakeup_fd`` writes to."""
        return self._bell.fileno()

    def ring(self) -> None:
        """Wake whoever waits; any thread."""
        try:
            self._bell.send(b"\0")
        except OSError:
            pass  # full: it has rung already; closed: nobody waits any more

    def hush(self) -> None:
        """Forget what has rung."""
        try:
            while self._ear.recv(4096):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Give the descriptors back."""
        self._ear.close()
        self._bell.close()


class Interrupt(threading.Event):
    """The event that ends a server, with a bell; setting it from any thread is enough."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__()
        self._alarm = alarm

    def set(self) -> None:
        """Set the event and wake whoever waits at the alarm."""
        super().set()
        self._alarm.ring()


class Handlers:
    """Handlers put in place of others for a while, with an alarm that every signal rings."""

    __slots__ = ("_previous", "_wakeup")

    def __init__(self) -> None:
        self._previous: Dict[int, Any] = {}
        self._wakeup: Optional[int] = None

    def install(self, handlers: Dict[int, Any], alarm: Alarm) -> None:
        """Put ``handlers`` (by signal number) in place and let every signal ring ``alarm``."""
        self._wakeup = signal.set_wakeup_fd(alarm.bell(), warn_on_full_buffer=False)
        for number, handler in handlers.items():
            self._previous[number] = signal.signal(number, handler)

    def restore(self) -> None:
        """Put back what was there before."""
        for number, handler in self._previous.items():
            # None: it was not installed from Python, and cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        if self._wakeup is not None:
            signal.set_wakeup_fd(self._wakeup)
            self._wakeup = None


class Held:
    """A context in which signals wait: a child started inside inherits the mask.

    A worker is born with its signals held and lets them go once its handlers stand, so that a
    signal to the process group can neither kill it half-way nor be lost.
    """

    __slots__ = ("_before", "_numbers")

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = tuple(numbers)
        self._before: Any = ()

    def __enter__(self) -> "Held":
        if hasattr(signal, "pthread_sigmask"):
            self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def release() -> None:
    """Let through all signals that a parent held back (``Held``)."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def name_of(number: int) -> str:
    """Return a signal's name, or its number in words."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def pid_is_alive(pid: int) -> bool:
    """Tell whether a process exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class WorkerSignal:
    """An event with a callback, as upstream's native module offers it; any thread."""

    __slots__ = ("_callback", "_event")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callback: Optional[Callable[[], Any]] = None

    def add_cb(self, callback: Callable[[], Any]) -> None:
        """Have ``callback`` called when the event is set; at once if it is."""
        self._callback = callback
        if self._event.is_set():
            callback()

    def set(self) -> None:
        """Set the event."""
        self._event.set()
        if self._callback is not None:
            self._callback()
