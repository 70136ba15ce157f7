"""The listening thread: accept, hold back when full, hand the socket to a runtime.

One per worker, on ``selectors``. It never reads or writes a connection. A socket it has offered
belongs to it until a runtime comes to its first octets (``poller.newcomers``), so it also ends
those that stay silent, and takes back those that a blocked runtime cannot serve. Of several that
were accepted together it says which have spoken already.
"""

import errno
import logging
import select
import selectors
import socket
import sys
import threading
import time
from collections import deque
from socket import SocketType
from typing import TYPE_CHECKING, Any, Container, Deque, List, Optional, Sequence, Tuple

from .._typing import Address
from .poller import Newcomer
from .wakeup import Wakeup

if TYPE_CHECKING:
    from .runtime import Runtime

_log = logging.getLogger("_granian")

_BATCH = 64  # sockets accepted before the listener is asked again
_FEW = 16  # likewise where other workers accept too: whoever wakes first is not to take them all
_STUCK = 0.02  # seconds in one turn after which a runtime gets no new sockets if another is free
_LATE = 0.01  # seconds in one turn after which another worker should take who waits
_GATHER = 0.001  # seconds in which connections gather while every runtime is busy
_PAUSE = 0.2  # seconds without accepting when descriptors or memory ran out

_DEFERRED = 1  # seconds for which Linux keeps to itself who has not said anything yet
_CROSSING = 0.01  # seconds at the end in which the request of such a one may still come

_GRACE_TICK = 0.05  # seconds between two looks at who has spoken, while the last ones may

_SWEEP = 256  # sockets watched for silence before those that have spoken are looked for

_SETTLED = 0.5  # seconds in which a newcomer may be silent without losing its place

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listener:
    """A listening socket and what its connections have in common, asked once.

    Attributes:
        address: The server's address, unless it differs from connection to connection.
        set_options: Connections do not inherit the listener's options here.
    """

    __slots__ = ("_kind", "address", "set_options", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._kind = int(sock.family), int(sock.type), sock.proto
        sock.setblocking(False)
        name = sock.getsockname()
        self.address: Optional[Address] = None
        self.set_options = False
        if sock.family == getattr(socket, "AF_UNIX", None):
            self.address = (name if isinstance(name, str) else name.decode(), 0)
            return
        if name[0] not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            self.address = name[:2]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            # Who says nothing yet costs the worker nothing, and who is accepted has a request.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFERRED)
        self.set_options = not sys.platform.startswith("linux")

    def accept(self) -> Tuple[Any, Any]:
        """Accept one connection as ``socket.accept`` does, without its Python half.

        Returns:
            A non-blocking ``socket.SocketType``, and the peer's address.
        """
        fd, client = self.sock._accept()  # type: ignore[attr-defined]
        sock = SocketType(*self._kind, fd)
        sock.setblocking(False)
        return sock, client


class Acceptor(threading.Thread):
    """Accepts connections of a worker until it is stopped.

    Args:
        sockets: Listening sockets, shared with other workers; not closed here.
        runtimes: Where connections go.
        limit: Connections the worker may have open.
        silence: Seconds a connection may stay silent before its first octet.
        shared: Other workers accept from the same sockets: who waits is left to them while every
            runtime here is in a long turn.

    Attributes:
        offering: Runtimes may still be offered sockets; they do not end before.
        listening_ended: Set when the listeners are not watched any more.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        runtimes: Sequence["Runtime"],
        limit: int,
        silence: float,
        shared: bool = False,
    ) -> None:
        super().__init__(name="granian-acceptor", daemon=True)
        self._listeners = [Listener(sock) for sock in sockets]
        self._runtimes = list(runtimes)
        self._greets_ready = all(runtime.poller.greets_ready for runtime in self._runtimes)
        self._alone = len(self._runtimes) == 1
        self._limit = limit
        self._silence = silence
        self._shared = shared
        self.offering = False
        self.listening_ended = threading.Event()
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._grace = 0.0
        self._followed = False
        self._listening = False
        self._resume_at = 0.0
        self._ask_at = 0.0
        self._look_at = 0.0
        self._last_warning = -60.0
        self._silent: Deque[Tuple[float, Runtime, Newcomer]] = deque()
        self._sweep = _SWEEP

    # any thread

    def stop(self, grace: float = 0.0, followed: bool = False) -> None:
        """Accept nothing more; the thread ends, ``grace`` seconds later if somebody is silent.

        Args:
            grace: Seconds for those who were accepted and have said nothing.
            followed: Another worker has the same listeners, and what waits there is left to it.
        """
        self._grace = grace
        self._followed = followed
        self._stopping = True
        self._wakeup.post(_nothing)

    def on_closed(self) -> None:
        """A connection has closed: there may be room again."""
        if not self._listening and not self._resume_at:
            self._wakeup.post(_nothing)

    def close(self) -> None:
        """Give back the descriptors of a thread that was never started."""
        self._selector.close()
        self._wakeup.close()

    # the acceptor's thread

    def run(self) -> None:
        """Accept until stopped."""
        self._selector.register(self._wakeup.fd, selectors.EVENT_READ, None)
        self._listen(True)
        try:
            while not self._stopping:
                try:
                    self._turn()
                except Exception:  # a worker that accepts no more would look alive to everybody
                    _log.exception("Accepting failed, and goes on in %s s", _PAUSE)
                    time.sleep(_PAUSE)
            self._leave()
        finally:
            self._selector.close()
            self._wakeup.close()
            self.offering = False
            for runtime in self._runtimes:
                runtime.post(runtime.end_when_empty)

    def _leave(self) -> None:
        """Let go of the listeners, then of those who were accepted and have said nothing."""
        if self._listening and not self._followed:
            # What waits in the backlog may have been sent already, and is lost with the socket.
            end = time.monotonic() + _CROSSING
            while time.monotonic() < end:
                if not sum(self._accept(listener) for listener in self._listeners):
                    time.sleep(_CROSSING / 4)
        self._listen(False)
        self.listening_ended.set()
        began = time.monotonic()
        while any(map(_is_silent, self._silent)):
            left = began + self._grace - time.monotonic()  # ``stop`` may be called again
            if left <= 0.0:
                break
            self._selector.select(min(_GRACE_TICK, left))
            self._wakeup.on_readable()
        for entry in self._silent:
            if entry[1].stopped or not _has_spoken(entry[2].sock):
                self._end_silent(entry)

    def _turn(self) -> None:
        events = self._selector.select(self._wait_time())
        if all(runtime.poller.busy_since for runtime in self._runtimes):
            # Nobody could serve a newcomer now: let some more arrive, and fight for the
            # interpreter once for all of them (benchmarks: asgi-close).
            time.sleep(_GATHER)
        for key, _ in events:
            if key.data is None:
                self._wakeup.on_readable()
            elif self._stopping:
                continue
            elif self._shared and self._nobody_is_free():
                self._resume_at = time.monotonic() + _LATE / 2
                self._listen(False)
                break
            else:
                self._accept(key.data)
        self._forget_spoken()
        now = time.monotonic()
        while self._silent and self._silent[0][0] <= now:
            self._end_silent(self._silent.popleft())
        if self._look_at and now >= self._look_at:
            self._take_back(now)
        if not self._listening and now >= self._resume_at:
            self._resume_at = 0.0
            if self._room() > 0 or now >= self._ask_at:
                # Full or not: if somebody waits, who was busy may be idle by now.
                self._ask_at = 0.0
                self._listen(True)

    def _wait_time(self) -> "float | None":
        now = time.monotonic()
        wait = [self._silent[0][0] - now] if self._silent else []
        if self._resume_at or self._ask_at:
            wait.append((self._resume_at or self._ask_at) - now)
        if self._look_at:
            wait.append(self._look_at - now)
        return max(0.0, min(wait)) if wait else None

    def _listen(self, on: bool) -> None:
        if on == self._listening:
            return
        self._listening = on
        for listener in self._listeners:
            if on:
                self._selector.register(listener.sock, selectors.EVENT_READ, listener)
            else:
                self._selector.unregister(listener.sock)

    def _accept(self, listener: Listener) -> bool:
        """Accept a batch of those who wait, as far as there is room; tell whether more may wait."""
        accept = listener.accept
        room = self._room()
        if room <= 0:
            # Full, and somebody waits: who has been silent or idle longest makes room.
            if not self._shed():
                self._ask_at = time.monotonic() + _PAUSE
                self._listen(False)
                return False
            room = 1
        more = True
        accepted: List[Tuple[socket.socket, Any]] = []
        for _ in range(min(room, _FEW if self._shared else _BATCH)):
            try:
                accepted.append(accept())
            except (BlockingIOError, InterruptedError):
                more = False
                break
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    more = False
                    break
                # this one was dead before it was accepted; the next may live
        # Many at once have mostly spoken by now: to ask once costs less than to watch each.
        ready = _find_ready(accepted) if self._greets_ready and len(accepted) > 1 else ()
        now = time.monotonic()
        called: List[Runtime] = []
        for sock, client in accepted:
            runtime = self._offer(listener, sock, client, sock.fileno() in ready, now)
            if runtime is not None and runtime not in called:
                called.append(runtime)
        for runtime in called:
            runtime.post(_nothing)
        return more and bool(accepted)

    def _forget_spoken(self) -> None:
        """Drop what no longer needs to be watched for silence."""
        silent = self._silent
        # Most of the front has spoken since.
        while silent:
            _, owner, newcomer = silent[0]
            if owner.poller.newcomers.get(newcomer.fd) is newcomer:
                break
            silent.popleft()
        # One at the front that stays silent must not keep all that came after it in memory.
        if len(silent) > 2 * self._sweep:
            self._silent = deque(filter(_is_silent, silent))
            self._sweep = max(_SWEEP, len(self._silent))

    def _offer(
        self, listener: Listener, sock: socket.socket, client: Any, ready: bool, now: float
    ) -> "Optional[Runtime]":
        """Offer a socket to a runtime; return the runtime if it has to be told."""
        runtime = self._runtimes[0] if self._alone else self._choose()
        try:
            if listener.set_options:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = listener.address or sock.getsockname()[:2]
            # A peer on a UNIX socket may have bound a path; that is no address to be told of.
            newcomer = Newcomer(sock, client[:2] if isinstance(client, tuple) else None, server)
            if ready:
                runtime.poller.offer_ready(newcomer)
            else:
                runtime.poller.offer(newcomer)
        except (OSError, ValueError):  # ValueError: the runtime has ended
            sock.close()
            return None
        if runtime.poller.busy_since and not self._alone:
            self._look_at = self._look_at or now + _STUCK
        self._silent.append((now + self._silence, runtime, newcomer))
        return runtime if ready else None

    def _take_back(self, now: float) -> None:
        """Give those who wait for a runtime that is stuck to one that is not."""
        self._look_at = 0.0
        stuck = [one for one in self._runtimes if 0.0 < one.poller.busy_since < now - _STUCK]
        if not stuck:
            return
        if len(stuck) < len(self._runtimes):
            self._silent = deque(
                (due, *self._offer_again(newcomer))
                if owner in stuck and owner.poller.withdraw(newcomer)
                else (due, owner, newcomer)
                for due, owner, newcomer in self._silent
            )
        if any(one.poller.newcomers for one in stuck):
            self._look_at = now + _STUCK

    def _offer_again(self, withdrawn: Newcomer) -> "Tuple[Runtime, Newcomer]":
        runtime = self._choose()
        # Another object: whoever still has the first among those that are ready, and that may be
        # the runtime chosen now, sees that it is no longer meant.
        newcomer = Newcomer(withdrawn.sock, withdrawn.client, withdrawn.server)
        try:
            runtime.poller.offer(newcomer)
        except (OSError, ValueError):  # ValueError: the runtime has ended
            newcomer.sock.close()
        return runtime, newcomer

    def _nobody_is_free(self) -> bool:
        """Tell whether every runtime has been in one turn for long."""
        late = time.monotonic() - _LATE
        return all(0.0 < runtime.poller.busy_since < late for runtime in self._runtimes)

    def _choose(self) -> "Runtime":
        """Take the least loaded runtime that is not stuck in a long turn."""
        runtimes = self._runtimes
        now = time.monotonic()
        free: List[Runtime] = [
            runtime for runtime in runtimes if not 0.0 < runtime.poller.busy_since < now - _STUCK
        ]
        # Of two that have as much, one that waits: the other may be in a call that takes long.
        return min(free or runtimes, key=lambda one: (_load(one), one.poller.busy_since > 0.0))

    def _room(self) -> int:
        return self._limit - sum(map(_load, self._runtimes))

    def _shed(self) -> bool:
        """Give up a silent newcomer, else have a runtime close idle connections; True if one."""
        spoken = []
        found = False
        accepted_before = time.monotonic() + self._silence - _SETTLED
        while self._silent and not found and self._silent[0][0] <= accepted_before:
            entry = self._silent.popleft()
            if _is_silent(entry):
                if _has_spoken(entry[2].sock):
                    spoken.append(entry)
                else:
                    found = self._end_silent(entry)
        self._silent.extendleft(reversed(spoken))
        if found:
            return True
        for runtime in self._runtimes:
            runtime.post(runtime.shed_idle)
        return False

    def _end_silent(self, entry: Tuple[float, "Runtime", Newcomer]) -> bool:
        """Close a socket that nobody has served yet; False if its first octets were quicker."""
        _, runtime, newcomer = entry
        if not runtime.poller.withdraw(newcomer):
            return False
        newcomer.sock.close()
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
    return len(poller.connections) - 1 + len(poller.newcomers)  # one is the runtime's own wakeup


def _is_silent(entry: "Tuple[float, Runtime, Newcomer]") -> bool:
    _, runtime, newcomer = entry
    return runtime.poller.newcomers.get(newcomer.fd) is newcomer


def _find_ready(accepted: List[Tuple[socket.socket, Any]]) -> Container[int]:
    """Return the descriptors of those that can be read from now."""
    poll = select.poll()
    for sock, _ in accepted:
        poll.register(sock, select.POLLIN)
    return {fd for fd, _ in poll.poll(0)}


def _has_spoken(sock: socket.socket) -> bool:
    """Tell whether octets wait that a busy runtime has not come to yet."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _nothing() -> None:
    """What is posted only to wake."""
