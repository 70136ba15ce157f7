"""Run this callable on the thread that owns that poller: a queue and a pipe to interrupt the wait.

``post`` may be called from any thread and from signal handlers; ``on_readable`` runs on the owner.
One octet wakes the owner however many callables wait, so a storm of posts costs one wake-up.
"""

import logging
import socket
from collections import deque
from typing import Callable, Deque

_log = logging.getLogger("_granian")


class Wakeup:
    """A queue of callables that an owner thread serves like any other readable descriptor."""

    __slots__ = ("_calls", "_reader", "_signalled", "_writer", "fd")

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._calls: Deque[Callable[[], None]] = deque()
        self._signalled = False
        self.fd = self._reader.fileno()

    # any thread

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` run on the owner thread, after what was posted before it."""
        self._calls.append(call)
        if not self._signalled:
            # Two threads may both see False: an octet too many, never one too few, because the
            # owner lowers the flag before it empties the queue.
            self._signalled = True
            try:
                self._writer.send(b"\0")
            except OSError:
                pass  # full: the owner has octets to wake for; closed: there is no owner any more

    # owner thread

    def on_readable(self) -> None:
        """Run everything that was posted."""
        try:
            self._reader.recv(4096)
        except OSError:
            pass  # woken twice for one octet
        self._signalled = False
        calls = self._calls
        while True:
            try:
                call = calls.popleft()
            except IndexError:
                return  # not asked before: two threads may lead a crew for a moment
            try:
                call()
            except Exception:
                _log.exception("A posted call failed")

    def on_writable(self) -> None:
        """Nothing is ever written to the owner's end."""

    def on_hangup(self) -> None:
        """Nothing: the pair is closed by ``close`` alone."""

    def send_gathered(self) -> None:
        """Nothing: it has no answers."""

    def lose(self) -> None:
        """Nothing: an owner without its wake-up would be deaf."""

    def close(self) -> None:
        """Release the descriptors."""
        self._reader.close()
        self._writer.close()
