"""A poller for several threads: each ready connection is served by the one that takes it.

To pop a connection from ``armed`` is to own it, for readiness, for expiry and for visits alike;
its owner puts it back with ``release``. Nobody else touches its socket or buffers, and nothing
here locks a connection.

The kernel goes on reporting a descriptor while its connection is owned. With one polling thread
at a time that is rare, so such a descriptor is *muted* when it is seen, and its owner unmutes it:
most requests need no call for their arming.
"""

import select
import selectors
import time
from collections import deque
from heapq import heappop, heappush
from threading import Lock, get_ident
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from .connection import Connection
from .deadlines import NEVER, Deadlines
from .poller import ERRORS, READ, WRITE, Newcomer, Pollable, Poller, Ready

IN, OUT, ERR, HUP, RDHUP, ONE_SHOT = 0x1, 0x4, 0x8, 0x10, 0x2000, 1 << 30
"""The bits of epoll, which the other kernels' lists are translated to."""

_BATCH = 256
_RECHECK = 1.0  # seconds until an expired deadline is looked at again whose connection is owned

Events = List[Tuple[int, int]]
Visit = Callable[[Any], None]


class SharedDeadlines(Deadlines):
    """Deadlines of connections that several threads own in turn; an entry never gets lost."""

    __slots__ = ("_lock", "_nudge", "_take")

    def __init__(self, take: Callable[[Any], bool], nudge: Callable[[], None]) -> None:
        super().__init__()
        self._lock = Lock()
        self._take = take
        self._nudge = nudge

    def push(self, connection: Connection) -> None:
        """Look at the connection at its deadline; wake the poller if nothing is due before it."""
        with self._lock:
            super().push(connection)
            first = self.heap[0][2] is connection
        if first:
            self._nudge()

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is closing."""
        with self._lock:
            super().discard(connection)

    def take_expired(self, now: float) -> List[Connection]:
        """Return the connections whose deadline has passed, owned by the caller from now on."""
        expired: List[Connection] = []
        heap = self.heap
        with self._lock:
            while heap and heap[0][0] <= now:
                due, _, connection = heappop(heap)
                if connection.check != due:
                    self._dead = max(0, self._dead - 1)
                    continue
                connection.check = NEVER
                if now < connection.deadline < NEVER:
                    super().push(connection)
                elif self._take(connection):
                    expired.append(connection)
                elif not connection.closed:
                    # In work. Its owner may be setting a deadline right now, seeing this check.
                    connection.check = now + _RECHECK
                    self._sequence += 1
                    heappush(heap, (connection.check, self._sequence, connection))
        return expired


class SharedPoller(Poller):
    """Readiness for any number of threads, on the platform's best interest list.

    Args:
        welcome: Makes a connection of a newcomer, serves it and returns it.
        on_second: Called about once a second while something happens.

    Attributes:
        armed: Descriptor to a connection that nobody owns. One whose answer was gathered is not
            among them until it is sent: to take it from those that wait is to own it.
        shelve: Chooses where a connection that is let go of waits, if not in ``armed``.
    """

    shelve: Optional[Callable[[Any], Dict[int, Any]]] = None

    def __init__(
        self,
        welcome: Callable[[Newcomer], Any],
        on_second: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(welcome, on_second, clock)
        self.armed: Dict[int, Any] = {}
        self.deadlines: SharedDeadlines = SharedDeadlines(self.take, self.nudge)
        self._interest: Any = select.epoll() if hasattr(select, "epoll") else _InterestList()
        self._poll = self._interest.poll
        self._gathered: Deque[Any] = deque()  # type: ignore[assignment]  # several threads take
        self.gather = _nothing_yet
        self._muted: Dict[int, bool] = {}
        self._masks: Dict[int, int] = {}
        self._heirs: Dict[int, Tuple[Any, int]] = {}
        self._visits: Dict[Any, List[Visit]] = {}  # by socket: what serves it may change
        self._visits_lock = Lock()
        self._wakeup: Optional[Pollable] = None
        self._borrowed: Dict[int, SharedPoller] = {}

    # any thread

    def nudge(self) -> None:
        """Interrupt a wait: what it waits for has changed."""
        wakeup: Any = self._wakeup
        if wakeup is not None:
            wakeup.post(_nothing)

    def visit(self, connection: Any, action: Visit) -> None:
        """Run ``action`` as the owner of a connection's socket, with what serves it by then.

        Args:
            connection: Anything with the connection's ``sock``.
            action: Called here if nobody owns it or it has closed, else when it is released.
        """
        sock = connection.sock
        with self._visits_lock:
            self._visits.setdefault(sock, []).append(action)
        fd = sock.fileno()
        if fd < 0:
            self._run_visits(sock, connection)
            return
        current = self._take(sock, fd)
        if current is not None:
            self.now = self._clock()  # nobody may have polled for long
            self._run_visits(sock, current)
            self.release(current, fd)

    def take(self, connection: Any) -> bool:
        """Become the owner of an armed connection; False if somebody is."""
        fd = connection.fd
        current = self._take(connection.sock, fd)
        if current is None:
            return False
        if current is connection:
            return True
        self.release(current, fd)
        return False

    def _take(self, sock: Any, fd: int) -> Any:
        """Become the owner of what serves this socket; None if somebody is."""
        try:
            taken = self.armed.pop(fd)
        except KeyError:
            return None
        if taken.sock is sock:
            return taken
        # The descriptor has been closed and given out again since.
        self.release(taken, fd)
        return None

    def adopt(self, connection: Pollable, events: int = READ) -> None:
        """Serve the runtime's own wake-up, which needs no owner."""
        self._wakeup = connection
        self.connections[connection.fd] = connection
        self._interest.register(connection.fd, IN)

    # the owner of a connection

    def replace(self, connection: Pollable) -> None:
        """Let another object serve a descriptor that this thread owns."""
        fd = connection.fd
        self._heirs[fd] = (connection, get_ident())
        self.connections[fd] = connection

    def forget(self, connection: Pollable) -> None:
        """Stop serving a connection; call before its descriptor is closed."""
        fd = connection.fd
        if self.connections.pop(fd, None) is not None:
            self._muted.pop(fd, None)
            self._heirs.pop(fd, None)
            self._masks.pop(fd, None)
            self._unwatch(fd)

    def watch(self, connection: Pollable, events: int) -> None:
        """Leave it to ``release``: until then nobody would be served by it."""

    def release(self, served: Any, fd: int) -> None:  # hot
        """Let anybody serve a connection again, unless it has closed; then look for visits.

        Args:
            served: What was taken; another connection may have taken its place since.
            fd: Its descriptor when it was taken.
        """
        while True:
            current = served
            if served.fd != fd:
                current = self._heir_of(fd)
                if current is None:
                    if self._visits:
                        self._run_visits(served.sock, served)
                    return
            if current.gathered:
                # By a visitor, or by what has taken its place: nobody else knows of it.
                current.send_gathered()
                continue
            mask = IN if current.events == READ else mask_of(current.events)
            if mask != IN or fd in self._masks:
                self._set_mask(fd, mask)
            shelf = self.armed if self.shelve is None else self.shelve(current)
            shelf[fd] = current
            if fd in self._muted:
                self._unmute(fd)
            if not self._visits or current.sock not in self._visits:
                return
            # After the arming: who comes later finds the connection armed, and takes it.
            try:
                current = shelf.pop(fd)
            except KeyError:
                return  # owned again; that owner will see to it
            self._run_visits(current.sock, current)
            served = current

    def _heir_of(self, fd: int) -> Any:
        """Return what has taken a connection's place while this thread owned it, else None."""
        try:
            heir, owner = self._heirs[fd]
        except KeyError:
            return None
        # The entry of another thread is that of a stranger with the same descriptor.
        return heir if owner == get_ident() and heir.fd == fd else None

    def _run_visits(self, sock: Any, current: Any) -> None:
        """Let the visitors of an owned or closed socket act on what serves it."""
        with self._visits_lock:
            actions = self._visits.pop(sock, [])
        for action in actions:
            try:
                action(current)
            except Exception:
                self._fail(current)

    def borrow(self, lender: "SharedPoller") -> None:
        """Have who waits here serve what becomes ready there, until it is given back."""
        try:
            fd = lender._interest.fileno()
            self._borrowed[fd] = lender
            self._interest.register(fd, IN)
        except (OSError, ValueError):
            pass  # one of us has closed

    def give_back(self, lender: "SharedPoller") -> None:
        """Leave a poller to its own threads again."""
        for fd, borrowed in list(self._borrowed.items()):
            if borrowed is lender:
                del self._borrowed[fd]
                self._unwatch(fd)

    # a polling thread

    def _serve_borrowed(self, lender: "SharedPoller") -> None:
        """Serve one descriptor of a lender's: others may have become ready here meanwhile."""
        try:
            events = lender.collect(0.0, 1)
        except (OSError, ValueError):
            return  # it has closed
        for fd, event in events:
            lender.serve(fd, event)
        lender.send_gathered()  # its own leader may not come back for long

    def collect(self, seconds: Optional[float], batch: int = _BATCH) -> Events:
        """Wait for readiness and return it; also ends what has expired."""
        wait = self._wait_time(seconds)
        events: Events = self._poll(wait, batch)
        now = self.now = self._clock()
        if now >= self._next_second:
            self._next_second = now + 1.0
            self.on_second()
        heap = self.deadlines.heap
        if heap and heap[0][0] <= now:
            for connection in self.deadlines.take_expired(now):
                self._expire(connection)
        return events

    def _expire(self, connection: Connection) -> None:
        fd = connection.fd
        if connection.deadline <= self.now:
            connection.deadline = NEVER
            try:
                connection.on_deadline()
            except Exception:
                self._fail(connection)
        self.release(connection, fd)

    def select(self, timeout: Optional[float] = None) -> Ready:
        """Wait once and serve everything ready on this thread; there are no foreign descriptors."""
        for fd, event in self.collect(timeout):
            self.serve(fd, event)
        return []

    def serve(self, fd: int, event: int) -> None:  # hot: counted by test_budget
        """Serve one ready descriptor on this thread, unless somebody else does."""
        try:
            connection = self.armed.pop(fd)
        except KeyError:
            connection = self._serve_other(fd)
            if connection is None:
                return
        since = self.now
        try:
            if event == IN:
                connection.on_readable()
            else:
                self._serve_unusual(connection, event)
        except Exception:
            self._fail(connection)
        late = self._clock() - since
        if late > _RECHECK and connection.deadline != NEVER:
            # Armed by a clock that may have stood still while the application ran.
            connection.deadline += late
        self._put_back(connection, fd)

    def _put_back(self, connection: Any, fd: int) -> None:  # hot
        """Let go of what was served, or leave it to whoever sends its answer."""
        if connection.gathered:
            self._gathered.append(connection)
        else:
            self.release(connection, fd)

    def send_gathered(self) -> None:
        """Send the answers that were gathered, by this thread or another, and let go of them."""
        while True:
            try:
                connection = self._gathered.popleft()
            except IndexError:
                return
            fd = connection.fd
            try:
                connection.send_gathered()
            except Exception:
                self._fail(connection)
            self.release(connection, fd)

    def _serve_unusual(self, connection: Any, event: int) -> None:
        if event & OUT:
            connection.on_writable()
        if connection.fd < 0:
            return
        if event & IN:
            connection.on_readable()
        elif event & (ERR | HUP | RDHUP) and _has_hung_up(connection.fd):
            connection.on_hangup()

    def _serve_other(self, fd: int) -> Any:
        """Serve the wake-up, a borrowed poller or a newcomer; mute a connection in work.

        Returns:
            A connection that this thread may serve all the same; None here.
        """
        wakeup = self._wakeup
        if wakeup is not None and fd == wakeup.fd:
            wakeup.on_readable()
            return None
        if fd in self._borrowed:
            self._serve_borrowed(self._borrowed[fd])
            return None
        try:
            newcomer = self.newcomers.pop(fd)
        except KeyError:
            self._mute(fd)
            return None
        try:
            self._put_back(self.welcome(newcomer), fd)
        except Exception as error:
            self._say_unserved(newcomer, error)
            self._unwatch(fd)
            self.connections.pop(fd, None)
            newcomer.sock.close()
        return None

    # Between a connection's entry in ``armed`` and the call that tells the kernel, somebody else
    # may own it, change what it watches, tell the kernel and let go: that call comes too late
    # then. So whoever has made one looks again.

    def _watched(self, fd: int) -> Optional[int]:
        """Return what is to be reported of a descriptor; None while it is owned."""
        try:
            return mask_of(self.armed[fd].events)
        except KeyError:
            return IN if fd in self.newcomers else None

    def _mute(self, fd: int) -> None:
        """Have the kernel report nothing of a descriptor that is owned."""
        if fd not in self._muted and self._modify(fd, ONE_SHOT):
            # In this order: whoever releases it after the next line sees the entry.
            self._muted[fd] = True
            self._unmute(fd)

    def _unmute(self, fd: int) -> None:
        """Undo it, unless somebody owns the descriptor, and will."""
        while True:
            mask = self._watched(fd)
            if mask is None or not self._muted.pop(fd, False):
                return
            self._modify(fd, mask)
            if self._watched(fd) == mask:
                return
            self._muted[fd] = True

    # the interest list

    def _watch_new(self, fd: int, events: int) -> None:
        self._interest.register(fd, mask_of(events))

    def _unwatch(self, fd: int) -> None:
        try:
            self._interest.unregister(fd)
        except (OSError, ValueError, KeyError):
            pass  # closed by its owner, and forgotten by the kernel then

    def _set_mask(self, fd: int, mask: int) -> None:
        if self._masks.get(fd, IN) != mask:
            self._modify(fd, mask)
        if mask == IN:
            self._masks.pop(fd, None)
        else:
            self._masks[fd] = mask

    def _modify(self, fd: int, mask: int) -> bool:
        try:
            self._interest.modify(fd, mask)
        except (OSError, ValueError, KeyError):
            return False  # closed meanwhile
        return True

    def fileno(self) -> int:
        """Return a descriptor that is readable while anything here is ready."""
        return int(self._interest.fileno())

    def close(self) -> None:
        """Release the kernel's interest list."""
        super().close()
        self._interest.close()


class _InterestList:
    """The interest list of other platforms with the words of epoll; one thread polls at a time."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = Lock()

    def register(self, fd: int, mask: int) -> None:
        self.modify(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        events = (READ if mask & IN else 0) | (WRITE if mask & OUT else 0)
        with self._lock:
            known = fd in self._selector.get_map()
            if not events:
                if known:
                    self._selector.unregister(fd)
            elif known:
                self._selector.modify(fd, events)
            else:
                self._selector.register(fd, events)

    def unregister(self, fd: int) -> None:
        with self._lock:
            self._selector.unregister(fd)

    def poll(self, timeout: float, _: int) -> Events:
        ready = self._selector.select(None if timeout < 0 else timeout)
        return [
            (key.fd, (IN if events & READ else 0) | (OUT if events & WRITE else 0))
            for key, events in ready
        ]

    def fileno(self) -> int:
        return int(self._selector.fileno())

    def close(self) -> None:
        self._selector.close()


def _has_hung_up(fd: int) -> bool:
    """Ask again: an event may have waited while its descriptor was given to somebody else."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(fd, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))


def mask_of(events: int) -> int:
    """Return what the interest list is asked for, from what a connection watches."""
    # ERRORS has the value of ERR, which is reported whether or not it is asked for.
    return (events & (READ | ERRORS)) | (OUT if events & WRITE else 0) or RDHUP


def _nothing() -> None:
    """What is posted only to wake."""


def _nothing_yet(_: Any) -> None:
    """Its owner lets others know of a gathered answer only when it is done with the connection."""
