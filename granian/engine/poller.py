"""Readiness straight to ``on_readable``: a selector that serves our own connections by itself.

Each runtime thread owns one. To asyncio it is the loop's selector: ``select`` hands ready
connections of ours to their methods on the loop's own stack and returns only foreign descriptors,
so that a request meets no loop handle, no callback queue and no context switch. Without asyncio
(WSGI) the same ``select`` is called in a loop.

When several connections are ready in one turn, their answers are *gathered* and leave together at
its end: the peer is woken once instead of once for each, and the interpreter's code and the
kernel's displace each other from the caches once instead of twice per exchange (benchmarks:
every row with more than one client). An answer waits for others at most ``WAIT`` and the call
of the application that exceeds it; for a while after a call of ``_LONG`` nothing waits at all. Of
the answers that a loop's callbacks give between two turns, the first leaves at once and the others
with the next turn; for a while after callbacks of ``_SLOW`` none of them waits.

The acceptor *offers* sockets from its own thread: it enters them into ``newcomers`` and into the
kernel's interest list. To pop an entry from ``newcomers`` is to own the socket, so the runtime
that sees its first octets and the acceptor that finds it silent too long can never both have it.
Those that have spoken before they are offered are welcomed in the next turn, and enter the
interest list only if they outlive it: most that ask for one exchange never do.
"""

import logging
import select
import selectors
import socket
import time
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Protocol, Set, Tuple

from .._typing import Address
from .deadlines import Deadlines

_log = logging.getLogger("_granian")

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
MOST = 32
"""Connections served in one turn: beyond them, gathering gains nothing more."""

WAIT = 0.001
"""Seconds of a turn after which what was gathered is sent."""

_LONG = 0.05  # seconds of one call from which an application is not to be waited for
_SLOW = 0.002  # seconds of a loop's callbacks from which they are not to be waited for
_CAUTION = 20  # times a long call's duration: so long all answers leave at once

ERRORS = 8
"""Interest in nothing but the connection's failure: the peer's end is known, or can wait."""

Ready = List[Tuple[selectors.SelectorKey, int]]


class Pollable(Protocol):
    """What a poller serves. All methods are called on the poller's thread."""

    fd: int

    def on_readable(self) -> None:
        """Octets, an end or an error can be received."""

    def on_writable(self) -> None:
        """Octets can be sent."""

    def on_hangup(self) -> None:
        """The peer has gone while nothing was asked of it."""

    def send_gathered(self) -> None:
        """Send what was gathered of its answers in this turn, if anything."""

    def lose(self) -> None:
        """Close after a failure, and tell the application; never raises for being closed."""


class Newcomer:
    """An accepted socket that nobody has served yet."""

    __slots__ = ("client", "fd", "server", "sock")

    def __init__(
        self, sock: socket.socket, client: Optional[Address], server: Optional[Address]
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.client = client
        self.server = server


class Poller(selectors.BaseSelector):
    """Serves own connections, returns foreign readiness; one per runtime thread.

    Attributes:
        now: The monotonic clock in seconds, read after each wait.
        busy_since: ``now`` while ready connections are being served, 0.0 while waiting; the
            acceptor reads it to keep new sockets from a thread that an application blocks.
        connections: Descriptor to connection.
        newcomers: Descriptor to a socket that nobody has served yet.
        deadlines: The deadlines of ``connections``.
        gathering: Answers may wait for the end of the turn; a connection that keeps one back
            says so with ``gather``.
        gather: Takes a connection whose answer waits.
        never: As ``NEVER``, and no other thread's: see ``HTTP_1_1``.
        followers_wait: Set between two turns, while the loop's callbacks run: who sends without
            waiting then sets ``gathering``, so that the first answer leaves at once and the others
            together.
        welcome: Makes a connection of a newcomer and serves it.
        on_second: Called with ``now`` about once a second while something happens.
        greets_ready: Takes newcomers by ``offer_ready``.
    """

    greets_ready = False

    def __init__(
        self,
        welcome: Callable[[Newcomer], Any],
        on_second: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._keys: Dict[int, selectors.SelectorKey] = {}
        self._next_second = 0.0
        self.now = clock()
        self.busy_since = 0.0
        self.connections: Dict[int, Any] = {}
        self.newcomers: Dict[int, Newcomer] = {}
        self.deadlines = Deadlines()
        self.gathering = False
        self._gathered: List[Any] = []
        self.gather: Callable[[Any], None] = self._gathered.append
        # Until an application has shown for a while that it does not block.
        self._prompt_until = self.now + _CAUTION * _LONG
        self.never = float("inf")
        self._followers_from = self.never
        self._left_at = self.now
        self.followers_wait = False
        self.welcome = welcome
        self.on_second = on_second

    # foreign descriptors, as asyncio uses a selector

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a foreign descriptor; see ``selectors.BaseSelector``."""
        fd = _descriptor_of(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        self._watch_new(fd, events)
        self._keys[fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching a foreign descriptor; see ``selectors.BaseSelector``."""
        key = self._keys.pop(self._find(fileobj))
        self._unwatch(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what is watched of a foreign descriptor; see ``selectors.BaseSelector``."""
        fd = self._find(fileobj)
        key = self._keys[fd]
        if events != key.events:
            self._watch_again(fd, events)
        key = self._keys[fd] = key._replace(events=events, data=data)
        return key

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Return descriptor to key of the foreign descriptors."""
        return self._keys

    def _find(self, fileobj: Any) -> int:
        try:
            fd = _descriptor_of(fileobj)
        except ValueError:
            # A file object that was closed before it was unregistered.
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key.fd
            raise KeyError(f"{fileobj!r} is not registered") from None
        if fd not in self._keys:
            raise KeyError(f"{fileobj!r} is not registered")
        return fd

    # any thread

    def offer(self, newcomer: Newcomer) -> None:
        """Give a connected, non-blocking socket to this poller's thread."""
        self.newcomers[newcomer.fd] = newcomer
        try:
            self._watch_new(newcomer.fd, READ)
        except BaseException:
            self.newcomers.pop(newcomer.fd, None)
            raise

    def offer_ready(self, newcomer: Newcomer) -> None:
        """Give a socket whose first octets have arrived; the thread is to be woken then."""
        raise NotImplementedError

    def withdraw(self, newcomer: Newcomer) -> bool:
        """Take a newcomer back; False if its first octets were quicker.

        Thread:
            The one that offers: nobody else enters another with the same descriptor meanwhile.
        """
        if not self._claim(newcomer):
            return False
        self._unwatch(newcomer.fd)
        return True

    def _claim(self, newcomer: Newcomer) -> bool:
        """Own a newcomer from now on; False if somebody else does."""
        fd = newcomer.fd
        if self.newcomers.get(fd) is not newcomer:
            # Perhaps closed, and the descriptor given out again: whose it is now must not be
            # missing even for a moment, or its only turn may come in that moment.
            return False
        taken = self.newcomers.pop(fd, None)
        if taken is not None and taken is not newcomer:
            self.newcomers[fd] = taken  # offered between these lines
        return taken is newcomer

    # owner thread

    def adopt(self, connection: Pollable, events: int = READ) -> None:
        """Start serving a connection whose descriptor is not watched yet."""
        self._watch_new(connection.fd, events)
        self.connections[connection.fd] = connection

    def replace(self, connection: Pollable) -> None:
        """Let another object serve a descriptor that is watched already."""
        self.connections[connection.fd] = connection

    def forget(self, connection: Pollable) -> None:
        """Stop serving a connection; call before its descriptor is closed."""
        if self.connections.pop(connection.fd, None) is not None:
            self._unwatch(connection.fd)

    def watch(self, connection: Pollable, events: int) -> None:
        """Change what is watched: READ, WRITE, both, or 0 for the peer's end; see ``ERRORS``."""
        self._watch_again(connection.fd, events)

    def send_gathered(self) -> None:
        """Send the answers that were gathered: at the end of a turn, or before a wait."""
        gathered = self._gathered
        for connection in gathered:  # may grow: a peer that is lost has others told
            try:
                connection.send_gathered()
            except Exception:
                self._fail(connection)
        gathered.clear()

    def _send_late(self, since: float, now: float) -> None:
        """Send what was gathered since ``since``; remember an application that blocks."""
        self.send_gathered()
        if now - since > _LONG:
            self.gathering = False
            self._prompt_until = now + (now - since) * _CAUTION

    def has_more(self) -> bool:
        """Tell whether ``select`` left somebody to its next call, which is to come at once."""
        return False

    def drive_loop(self) -> None:
        """Be a loop's selector, whose ``select`` is called after each round of callbacks."""
        self._followers_from = self._prompt_until

    def _send_followers(self) -> bool:
        """Send what was gathered since ``select`` returned; remember callbacks that take long.

        Returns:
            True if all of it was taken and nobody had to be told of an end. Else an application
            may have asked something of its loop, which has already chosen how long to wait.
        """
        gathered = self._gathered
        plain = True
        for connection in gathered:  # may grow, as in ``send_gathered``
            try:
                connection.send_gathered()
            except Exception:
                self._fail(connection)
                plain = False
            if connection.closing or connection.out_size or connection.fd < 0:
                plain = False
        gathered.clear()
        now = self._clock()
        if now - self._left_at > _SLOW:
            self._followers_from = now + (now - self._left_at) * _CAUTION
        return plain

    def _wait_time(self, timeout: Optional[float]) -> float:
        """Bound a wait by the next check; ``self.now`` may be a turn old, deadlines are coarse."""
        heap = self.deadlines.heap
        if not heap:
            return -1 if timeout is None else timeout
        check = max(heap[0][0] - self.now, 0.0)
        return check if timeout is None or check < timeout else timeout

    def _woke(self) -> None:
        now = self.now = self.busy_since = self._clock()
        if now >= self._next_second:
            self._next_second = now + 1.0
            self.on_second()

    def _greet(self, fd: int) -> bool:
        """Serve a newcomer's first octets; False when the descriptor is no newcomer."""
        try:
            newcomer = self.newcomers.pop(fd)
        except KeyError:
            return False
        self._welcome(newcomer, fd)
        return True

    def _welcome(self, newcomer: Newcomer, fd: int) -> None:
        try:
            self.welcome(newcomer)
        except Exception as error:
            # Out of memory or out of luck: this one is lost, its thread serves the others.
            connection = self.connections.get(fd)
            if connection is not None:
                self._fail(connection)
                return
            self._say_unserved(newcomer, error)
            if newcomer.sock.fileno() == fd:
                self._unwatch(fd)
                newcomer.sock.close()
            else:
                self._forget_closed(fd)

    def _say_unserved(self, newcomer: Newcomer, error: Exception) -> None:
        """Say why a newcomer was lost, while its exception is handled."""
        if isinstance(error, ConnectionError):
            _log.debug("A connection from %s ended before it was served", newcomer.client)
        else:
            _log.exception("A connection could not be served")

    def _fail(self, connection: Any) -> None:
        """Close a connection whose code failed, and say so once: its thread serves the others."""
        _log.exception("A connection failed in the server and was closed")
        try:
            connection.lose()
        except Exception:
            _log.exception("Its application could not be told")

    def close(self) -> None:
        """Release the kernel's interest list, and the sockets that nobody came to serve."""
        self._keys.clear()
        while self.newcomers:
            _, newcomer = self.newcomers.popitem()
            newcomer.sock.close()

    # what the kinds of poller differ in

    def _watch_new(self, fd: int, events: int) -> None:
        raise NotImplementedError

    def _watch_again(self, fd: int, events: int) -> None:
        raise NotImplementedError

    def _unwatch(self, fd: int) -> None:
        raise NotImplementedError

    def _forget_closed(self, fd: int) -> None:
        """Drop what is known of a descriptor that was closed without ``_unwatch``."""
        self._unwatch(fd)


class EpollPoller(Poller):
    """The poller on Linux: one ``epoll_wait`` per turn, no object per event."""

    greets_ready = True
    _ERROR = 0x8 | 0x10  # EPOLLERR, EPOLLHUP: reported whatever is watched
    _GONE = 0x2000  # EPOLLRDHUP: the peer's end, seen without reading

    def __init__(
        self,
        welcome: Callable[[Newcomer], Any],
        on_second: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(welcome, on_second, clock)
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._ready: Deque[Newcomer] = deque()
        self._unwatched: Set[int] = set()

    def offer_ready(self, newcomer: Newcomer) -> None:
        """See ``Poller.offer_ready``; it is watched after its first turn, if it is still there."""
        if self._epoll.closed:
            raise ValueError("the poller is closed")
        self.newcomers[newcomer.fd] = newcomer
        self._ready.append(newcomer)

    def has_more(self) -> bool:
        """See ``Poller.has_more``; whoever calls ``select`` with a timeout need not ask."""
        return bool(self._ready)

    def _greet_ready(self, since: float) -> None:
        """End a turn with those who were offered with their first octets at hand."""
        ready = self._ready
        gathered = self._gathered
        # Who comes meanwhile has the next turn, and of a crowd whoever is behind the first few: a
        # loop's callbacks and who is known already are not to wait for all of it.
        for _ in range(min(len(ready), MOST)):
            newcomer = ready.popleft()
            if not self._claim(newcomer):
                continue  # withdrawn by the acceptor, and perhaps offered anew
            self._unwatched.add(newcomer.fd)
            self._welcome(newcomer, newcomer.fd)
            if gathered:
                after = self._clock()
                if after - since > WAIT or len(gathered) >= MOST:
                    self._send_late(since, after)
                    since = after
        self.send_gathered()
        # Who was served to the end, as most are that ask for it, was never watched.
        while self._unwatched:
            fd = self._unwatched.pop()
            try:
                self._epoll.register(fd, self._mask(self.connections[fd].events))
            except OSError:
                self._fail(self.connections[fd])

    def fileno(self) -> int:
        """Return the descriptor of the interest list."""
        return self._epoll.fileno()

    def select(self, timeout: Optional[float] = None) -> Ready:  # hot: counted by test_budget
        """Wait, serve own connections, and return foreign readiness."""
        gathered = self._gathered
        if (gathered and not self._send_followers()) or self._ready:
            timeout = 0
        self.busy_since = 0.0
        if timeout != 0:
            # ``_wait_time``, in line.
            heap = self.deadlines.heap
            if heap:
                check = heap[0][0] - self.now
                if timeout is None or check < timeout:
                    timeout = check if check > 0.0 else 0.0
        events = self._poll(timeout, MOST)
        # The next lines are ``_woke``, in line.
        now = self.now = self.busy_since = self._clock()
        if now >= self._next_second:
            self._next_second = now + 1.0
            self.on_second()
        foreign: Ready = []
        connections = self.connections
        since = now
        self.gathering = len(events) + len(self._ready) > 1 and now >= self._prompt_until
        self.followers_wait = False
        for fd, event in events:
            try:
                connection = connections[fd]
            except KeyError:
                if not self._greet(fd):
                    self._add_foreign(foreign, fd, event)
                continue
            try:
                if event == 1:
                    connection.on_readable()
                else:
                    self._serve(connection, event)
            except Exception:
                self._fail(connection)
            if gathered:
                after = self._clock()
                if after - since > WAIT:
                    self._send_late(since, after)
                    since = after
        if self._ready:
            self._greet_ready(since)
        elif gathered:
            self.send_gathered()
        self.gathering = False
        heap = self.deadlines.heap
        if heap and heap[0][0] <= now:
            self.deadlines.expire(now, self._fail)
        self._left_at = left = self._clock()
        self.followers_wait = left >= self._followers_from
        return foreign

    def _serve(self, connection: Any, event: int) -> None:
        """Serve anything but plain readability."""
        if event & 4:
            connection.on_writable()
        if event & 1:
            if connection.fd in self.connections:
                connection.on_readable()
        elif event & (self._ERROR | self._GONE) and connection.fd in self.connections:
            connection.on_hangup()

    def _add_foreign(self, foreign: Ready, fd: int, event: int) -> None:
        key = self._keys.get(fd)
        if key is not None:
            ready = (WRITE if event & ~1 else 0) | (READ if event & ~4 else 0)
            foreign.append((key, ready & key.events))

    def _watch_new(self, fd: int, events: int) -> None:
        self._epoll.register(fd, self._mask(events))

    def _watch_again(self, fd: int, events: int) -> None:
        if fd not in self._unwatched:
            self._epoll.modify(fd, self._mask(events))

    def _unwatch(self, fd: int) -> None:
        if fd in self._unwatched:
            self._unwatched.discard(fd)
            return
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            pass  # the descriptor was closed by its owner, and the kernel forgot it then

    def _forget_closed(self, fd: int) -> None:
        # The kernel has forgotten it, and may know another by this descriptor already.
        self._unwatched.discard(fd)

    def _mask(self, events: int) -> int:
        # ERRORS has the value of EPOLLERR, which is reported whether or not it is asked for.
        return (events & (READ | ERRORS)) | (4 if events & WRITE else 0) or self._GONE

    def close(self) -> None:
        """Release the kernel's interest list."""
        super().close()
        self._epoll.close()


class SelectorPoller(Poller):
    """The poller elsewhere: the platform's best selector, one key per event."""

    def __init__(
        self,
        welcome: Callable[[Newcomer], Any],
        on_second: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(welcome, on_second, clock)
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: Optional[float] = None) -> Ready:
        """Wait, serve own connections, and return foreign readiness."""
        if self._gathered and not self._send_followers():
            timeout = 0
        wait = self._wait_time(timeout)
        self.busy_since = 0.0
        events = self._selector.select(None if wait < 0 else wait)
        self._woke()
        foreign: Ready = []
        since = self.now
        self.gathering = len(events) > 1 and since >= self._prompt_until
        self.followers_wait = False
        for key, event in events:
            connection = self.connections.get(key.fd)
            if connection is None:
                if not self._greet(key.fd):
                    known = self._keys.get(key.fd)
                    if known is not None:
                        foreign.append((known, event & known.events))
                continue
            try:
                if event & WRITE:
                    connection.on_writable()
                if event & READ and connection.fd in self.connections:
                    connection.on_readable()
            except Exception:
                self._fail(connection)
            if self._gathered:
                after = self._clock()
                if after - since > WAIT:
                    self._send_late(since, after)
                    since = after
        self.send_gathered()
        self.gathering = False
        self.deadlines.expire(self.now, self._fail)
        self._left_at = self._clock()
        self.followers_wait = self._left_at >= self._followers_from
        return foreign

    def _watch_new(self, fd: int, events: int) -> None:
        self._selector.register(fd, events)

    def _watch_again(self, fd: int, events: int) -> None:
        # Selectors refuse an empty interest: such a descriptor is out until something is asked.
        events &= READ | WRITE
        if not events:
            self._unwatch(fd)
        elif fd in self._selector.get_map():
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)

    def _unwatch(self, fd: int) -> None:
        try:
            self._selector.unregister(fd)
        except (KeyError, OSError, ValueError):
            pass  # closed by its owner, or out already

    def close(self) -> None:
        """Release the kernel's interest list."""
        super().close()
        self._selector.close()


def _descriptor_of(fileobj: Any) -> int:
    fd = fileobj if isinstance(fileobj, int) else int(fileobj.fileno())
    if fd < 0:
        raise ValueError(f"invalid file descriptor: {fd}")
    return fd


def create_poller(welcome: Callable[[Newcomer], Any], on_second: Callable[[], None]) -> Poller:
    """Make the best poller of this platform."""
    return (EpollPoller if hasattr(select, "epoll") else SelectorPoller)(welcome, on_second)
