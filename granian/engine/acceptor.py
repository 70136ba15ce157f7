"""The listening thread: accept, hold back when full, hand the socket to a runtime.

One per worker, on ``selectors``. It never reads or writes a connection. A socket it has offered
belongs to it until its first octets arrive (``poller.newcomers``), so it also ends those that
stay silent, and takes back those that a blocked runtime cannot serve.
"""

import errno
import logging
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Deque, List, Sequence, Tuple

from .wakeup import Wakeup

if TYPE_CHECKING:
    from .runtime import Runtime

_log = logging.getLogger("_granian")

_BATCH = 64  # sockets accepted before the listener is asked again
_STUCK = 0.1  # seconds in one turn after which a runtime gets no new sockets if another is free
_PAUSE = 0.2  # seconds without accepting when descriptors or memory ran out

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor(threading.Thread):
    """Accepts connections of a worker until it is stopped.

    Args:
        sockets: Listening sockets, shared with other workers; not closed here.
        runtimes: Where connections go.
        limit: Connections the worker may have open.
        silence: Seconds a connection may stay silent before its first octet.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        runtimes: Sequence["Runtime"],
        limit: int,
        silence: float,
    ) -> None:
        super().__init__(name="granian-acceptor", daemon=True)
        self._sockets = list(sockets)
        self._runtimes = list(runtimes)
        self._limit = limit
        self._silence = silence
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._listening = False
        self._resume_at = 0.0
        self._last_warning = -60.0
        self._silent: Deque[Tuple[float, Runtime, int, socket.socket]] = deque()

    # any thread

    def stop(self) -> None:
        """Accept nothing more; the thread ends."""
        self._stopping = True
        self._wakeup.post(_nothing)

    def on_closed(self) -> None:
        """A connection has closed: there may be room again."""
        if not self._listening and not self._resume_at:
            self._wakeup.post(_nothing)

    # the acceptor's thread

    def run(self) -> None:
        """Accept until stopped."""
        self._selector.register(self._wakeup.fd, selectors.EVENT_READ, None)
        for sock in self._sockets:
            sock.setblocking(False)
        self._listen(True)
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._listen(False)
            self._selector.close()
            while self._silent:
                self._end_silent(self._silent.popleft())
            self._wakeup.close()

    def _turn(self) -> None:
        events = self._selector.select(self._wait_time())
        for key, _ in events:
            if key.data is None:
                self._wakeup.on_readable()
            elif not self._stopping:
                self._accept(key.data)
        now = time.monotonic()
        while self._silent and self._silent[0][0] <= now:
            self._end_silent(self._silent.popleft())
        if not self._listening and now >= self._resume_at and self._has_room():
            self._resume_at = 0.0
            self._listen(True)

    def _wait_time(self) -> "float | None":
        now = time.monotonic()
        wait = [self._silent[0][0] - now] if self._silent else []
        if self._resume_at:
            wait.append(self._resume_at - now)
        return max(0.0, min(wait)) if wait else None

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        for sock in self._sockets:
            if on:
                self._selector.register(sock, selectors.EVENT_READ, sock)
            else:
                self._selector.unregister(sock)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_BATCH):
            if not self._has_room() and not self._shed():
                # Full: idle connections make room, and the backlog waits for it.
                self._listen(False)
                return
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                continue  # this one was dead before it was accepted; the next may live
            self._offer(sock)

    def _offer(self, sock: socket.socket) -> None:
        runtime = self._choose()
        try:
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            fd = sock.fileno()
            runtime.poller.offer(sock)
        except OSError:
            sock.close()
            return
        silent = self._silent
        silent.append((time.monotonic() + self._silence, runtime, fd, sock))
        # Most of the front has spoken since: drop what no longer needs watching.
        while silent:
            _, owner, fd, first = silent[0]
            if owner.poller.newcomers.get(fd) is first:
                break
            silent.popleft()

    def _choose(self) -> "Runtime":
        """Take the least loaded runtime that is not stuck in a long turn."""
        runtimes = self._runtimes
        if len(runtimes) == 1:
            return runtimes[0]
        now = time.monotonic()
        free: List[Runtime] = [
            runtime for runtime in runtimes if not 0.0 < runtime.poller.busy_since < now - _STUCK
        ]
        return min(free or runtimes, key=_load)

    def _has_room(self) -> bool:
        return sum(map(_load, self._runtimes)) < self._limit

    def _shed(self) -> bool:
        """Give up silent newcomers, else have a runtime close idle connections; True if any."""
        while self._silent:
            entry = self._silent.popleft()
            if self._end_silent(entry):
                return True
        for runtime in self._runtimes:
            runtime.post(runtime.shed_idle)
        return False

    def _end_silent(self, entry: Tuple[float, "Runtime", int, socket.socket]) -> bool:
        """Close a socket that nobody has served yet; False if its first octets were quicker."""
        _, runtime, fd, sock = entry
        if runtime.poller.newcomers.get(fd) is not sock:
            return False
        taken = runtime.poller.withdraw(fd)
        if taken is None:
            return False
        taken.close()
        return True

    def _pause(self, error: OSError) -> None:
        now = time.monotonic()
        if now - self._last_warning >= 10.0:
            self._last_warning = now
            _log.warning("Cannot accept connections: %s; trying again", error.strerror)
        self._resume_at = now + _PAUSE
        self._listen(False)
        for runtime in self._runtimes:
            runtime.post(runtime.shed_idle)


def _load(runtime: "Runtime") -> int:
    poller = runtime.poller
    return len(poller.connections) + len(poller.newcomers)


def _nothing() -> None:
    """What is posted only to wake."""
