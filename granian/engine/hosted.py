"""One runtime of several threads for an application that lives on one of them.

The ``runtime`` mode of async interfaces: one poller, which every thread may wait on, and one
application loop. The loop's thread is the *host*. While it comes back to its poller quickly it
serves every connection itself, on the loop's own stack, and no request changes threads. When
something has been ready for longer than a tick and nobody came, because the application is in a
long call, another thread *stands in*: it reads, parses, refuses and serves files, for newcomers
too, and posts to the loop what is the application's (``posted``). The host's return ends that.

What the host has begun stays its own: a connection with such an exchange is *held* until it is
idle, because what the application asks of it, at any time, is done at once and needs no owner. A
stand-in never touches what is held, and what it has begun itself is asked for by visits.
"""

import logging
import selectors
import socket
import threading
import time
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set

from .connection import Connection
from .deadlines import NEVER
from .poller import MOST, READ, WAIT, Newcomer, Pollable, Poller, create_poller
from .posted import HostedApplication
from .runtime import Runtime
from .shared import SharedPoller, Visit, mask_of
from .wakeup import Wakeup

if TYPE_CHECKING:
    from .runtime import Engine

_log = logging.getLogger("_granian")

TICK = 0.002
"""Seconds after which somebody stands in for the host; up to twice as many after a busy time."""

_JOIN = 1.0  # seconds that the further threads have to end after the loop


class HostedPoller(SharedPoller):
    """A shared poller, and the part of it that is the host's alone.

    Args:
        welcome: As for every poller.
        on_second: Likewise; called by whoever polls.
        post: Runs a call on the host.

    Attributes:
        host: The ident of the host's thread.
        front: The loop's selector. It watches what is foreign, and this poller as one descriptor.
        begun: Sockets of the connections on which the host has begun exchanges; host only.
        held: Descriptor to such a connection while it is not served.
        led: Grows with everything that the host does here, for others to see that it is back.
    """

    def __init__(
        self,
        welcome: Callable[[Newcomer], Any],
        on_second: Callable[[], None],
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self.front = create_poller(_turn_away, on_second)
        super().__init__(welcome, on_second)
        self.host = 0
        self.begun: Set[Any] = set()  # by socket: what serves it may change
        self.held: Dict[int, Any] = {}
        self.led = 0
        self.gather = self._gather
        self.shelve = self._shelve
        self._post = post
        self._waiting: Dict[Any, None] = {}  # for the end of the host's turn; ordered
        self._nudges = Wakeup()
        super().adopt(self._nudges)
        self._lead = Lead(self)

    @property
    def busy_since(self) -> float:
        """See ``Poller``: of the host, whose loop waits on ``front``."""
        return self.front.busy_since

    @busy_since.setter
    def busy_since(self, since: float) -> None:
        self.front.busy_since = since

    # any thread

    @property
    def due(self) -> float:
        """When something is due, in the poller's clock; ``NEVER`` if nothing is."""
        try:
            return self.deadlines.heap[0][0]
        except IndexError:  # asked first, another thread might empty it
            return NEVER

    def patience(self) -> Optional[float]:
        """Return the seconds until something is due, 0.0 if something is, None if nothing."""
        due = self.due
        return None if due == NEVER else max(0.0, due - self._clock())

    def visit(self, connection: Any, action: Visit) -> None:
        """See ``SharedPoller``; what may be held is the host's to visit."""
        if get_ident() == self.host:
            super().visit(connection, action)
        else:
            self._post(partial(super().visit, connection, action))

    # the host

    def adopt(self, connection: Pollable, events: int = READ) -> None:
        """Serve the runtime's wake-up, which is the host's: ``front`` does."""
        self.front.adopt(connection, events)

    def attend(self) -> None:
        """Have the loop of this thread wait on this poller too."""
        self.host = get_ident()
        self.front.adopt(self._lead)

    def lead(self) -> None:  # hot
        """Serve everything that is ready, for one turn."""
        self.led += 1
        events = self.collect(0.0, MOST)
        since = self.now
        self.gathering = len(events) > 1 and since >= self._prompt_until
        for fd, event in events:
            self.led += 1
            self.serve(fd, event)
            if self._waiting:
                after = self._clock()
                if after - since > WAIT:
                    self._send_late(since, after)
                    since = after
        if self._waiting:
            self.send_gathered()
        self.gathering = False
        self._lead.expect()

    def send_gathered(self) -> None:
        """Send what was gathered in this turn, and let go of it."""
        while self._waiting:  # a peer that is lost has others told
            waiting, self._waiting = self._waiting, {}
            for connection in waiting:
                fd = connection.fd
                try:
                    connection.send_gathered()
                except Exception:
                    self._fail(connection)
                if fd >= 0:
                    self.held.pop(fd, None)  # it waited there, or was served in this turn
                    self.release(connection, fd)

    def settle(self) -> None:
        """Let go of what has become idle since it was served."""
        for fd, connection in list(self.held.items()):
            if connection.idle and self.held.get(fd) is connection:
                del self.held[fd]
                self.release(connection, fd)

    # whoever owns a connection; of what is held, the host

    def nudge(self) -> None:
        """See ``SharedPoller``; the host need not be woken."""
        if get_ident() == self.host:
            self._lead.expect()
        else:
            super().nudge()

    def watch(self, connection: Pollable, events: int) -> None:
        """See ``SharedPoller``; what is held is not released soon."""
        fd = connection.fd
        if self.held.get(fd) is connection:
            self._set_mask(fd, mask_of(events))

    def replace(self, connection: Pollable) -> None:
        """See ``SharedPoller``."""
        fd = connection.fd
        if get_ident() == self.host and fd in self.held:
            self.held[fd] = self.connections[fd] = connection
        else:
            super().replace(connection)

    def forget(self, connection: Any) -> None:
        """See ``Poller``."""
        fd = connection.fd
        if get_ident() == self.host:
            self.begun.discard(connection.sock)
            if self.held.get(fd) is connection:
                del self.held[fd]
        super().forget(connection)

    def _gather(self, connection: Any) -> None:
        # What a stand-in's connection has gathered leaves when it is released.
        if get_ident() == self.host:
            self._waiting[connection] = None

    def _put_back(self, connection: Any, fd: int) -> None:  # hot
        """Let go of what was served, unless it is to be when its answer is sent."""
        if not connection.gathered or get_ident() != self.host:
            self.release(connection, fd)

    def _shelve(self, connection: Any) -> Dict[int, Any]:  # hot
        if connection.sock in self.begun and get_ident() == self.host:
            if not connection.idle:
                return self.held
            self.begun.discard(connection.sock)
            connection.handler = None  # of an exchange that is over
        return self.armed

    def _take(self, sock: Any, fd: int) -> Any:
        taken = super()._take(sock, fd)
        if taken is None and get_ident() == self.host:
            held = self.held.get(fd)
            if held is not None and held.sock is sock:
                del self.held[fd]
                return held
        return taken

    def _serve_other(self, fd: int) -> Any:
        if get_ident() == self.host:
            try:
                return self.held.pop(fd)
            except KeyError:
                pass
        return super()._serve_other(fd)

    def _mute(self, fd: int) -> None:
        super()._mute(fd)
        # In this order: if the host holds it after the next line, it sees that it is muted.
        if fd in self.held and get_ident() != self.host:
            self._post(partial(self._unmute, fd))

    def _watched(self, fd: int) -> Any:
        if get_ident() == self.host:
            held = self.held.get(fd)
            if held is not None:
                return mask_of(held.events)
        return super()._watched(fd)

    def close(self) -> None:
        """Release the descriptors."""
        super().close()
        self._nudges.close()
        self.front.close()


class Lead:
    """A hosted poller as one connection of the loop's own: ready when anything in it is.

    Attributes:
        deadline: The first of all that the poller has.
        check: When the deadlines will next look at it.
    """

    __slots__ = ("_poller", "check", "deadline", "fd", "on_deadline", "on_readable")

    def __init__(self, poller: HostedPoller) -> None:
        self._poller = poller
        self.fd = poller.fileno()
        self.on_readable = self.on_deadline = poller.lead
        self.deadline = self.check = NEVER

    def expect(self) -> None:
        """Look at the poller again when something is due there."""
        self.deadline = due = self._poller.due
        if due < self.check:
            self._poller.front.deadlines.push(self)  # type: ignore[arg-type]  # all they need

    def on_writable(self) -> None:
        """Nothing is written to a poller."""

    def on_hangup(self) -> None:
        """A poller has no peer."""

    def send_gathered(self) -> None:
        """Nothing: ``HostedPoller.lead`` has done it."""

    def lose(self) -> None:
        """Nothing: a host that does not serve its connections would be deaf."""


class StandIns:
    """The further threads of a runtime.

    One of them watches: it looks whether what is ready is collected within a tick. If not, it
    stands in, and the next one watches, for the host and for it. The others are parked.

    Args:
        poller: Which they share with the host.
        count: How many they are.
    """

    def __init__(self, poller: HostedPoller, count: int) -> None:
        self._poller = poller
        self._count = count
        self._watch = threading.Lock()  # held by the one that watches
        self._stopping = threading.Event()
        self._near, self._far = socket.socketpair()
        self._threads: List[threading.Thread] = []

    # the host

    def start(self) -> None:
        """Start the threads, or as many of them as the system gives."""
        for number in range(2, self._count + 2):
            name = f"granian-io-{number}"
            thread = threading.Thread(target=self._run, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                _log.warning("Only %d runtime threads can be had: %s", number - 1, error)
                return
            self._threads.append(thread)

    def stop(self) -> None:
        """Have every thread end when it has served what it serves."""
        self._stopping.set()
        self._far.close()  # its other end is readable from now on, for all of them

    def join(self, seconds: float) -> None:
        """Wait for each so long."""
        for thread in self._threads:
            thread.join(seconds)
        self._near.close()

    # each of the threads

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._poller.fileno(), selectors.EVENT_READ)
            selector.register(self._near, selectors.EVENT_READ)
            while not self._stopping.is_set():
                with self._watch:
                    self._wait_until_late(selector)
                try:
                    self._stand_in(selector)
                except Exception:
                    if not self._stopping.is_set():
                        _log.exception("A thread failed in the server and goes on")

    def _wait_until_late(self, selector: selectors.BaseSelector) -> None:
        """Return when something was ready or due for a tick and nobody came, or at the end."""
        poller = self._poller
        suspected = False
        while not self._stopping.is_set():
            before = poller.now, poller.led
            time.sleep(TICK)
            if (poller.now, poller.led) != before:
                suspected = False  # as is usual while there is traffic
            elif selector.select(0) or poller.patience() == 0.0:
                if suspected:
                    return
                suspected = True  # it may have come a moment ago
            else:
                selector.select(poller.patience())
                suspected = True  # there is something for it from now on

    def _stand_in(self, selector: selectors.BaseSelector) -> None:
        """Serve in the host's place until it is back."""
        poller = self._poller
        led = poller.led
        while poller.led == led and not self._stopping.is_set():
            # One at a time: what is collected must not wait behind a call of this thread.
            for fd, event in poller.collect(0.0, 1):
                poller.serve(fd, event)
            selector.select(poller.patience())


class HostedRuntime(Runtime):
    """A runtime whose first thread is the application's loop, and whose others stand in for it."""

    poller: HostedPoller

    def __init__(self, engine: "Engine", index: int, threads: int) -> None:
        super().__init__(engine, index)
        self._selector = self.poller.front
        self._stand_ins = StandIns(self.poller, threads - 1)

    def _create_poller(self) -> Poller:
        return HostedPoller(self._welcome, self._on_second, self.post)

    # any thread

    def post_to(self, connection: Any, call: Callable[[], None]) -> None:
        """Run ``call`` soon, as the owner of a connection's ``sock``."""
        action = partial(self.visit, connection, lambda _: call())
        if self.loop is not None and get_ident() == self.poller.host:
            self.loop.call_soon(action)
        else:
            self.post(action)

    def visit(self, connection: Any, action: Callable[[Any], None]) -> None:
        """Run ``action(connection)`` on the host, or when the thread that serves it is done."""
        self.poller.visit(connection, action)

    def on_closed(self, connection: Connection) -> None:
        """A connection of this runtime has closed."""
        if get_ident() == self.poller.host:
            super().on_closed(connection)
        else:
            self.post(partial(super().on_closed, connection))

    # the host

    def reach(self, application: Any) -> Any:
        """Let every thread begin exchanges with the application."""
        return HostedApplication(application, self, self.poller.begun)

    def _run_loop(self) -> None:
        self.poller.attend()
        try:
            super()._run_loop()
        finally:
            self._stand_ins.stop()
            self._stand_ins.join(_JOIN)

    def _begin_serving(self) -> None:
        self.call_soon = None
        self._stand_ins.start()
        super()._begin_serving()

    def _on_second(self) -> None:
        super()._on_second()
        if get_ident() == self.poller.host:
            self.poller.settle()

    def end(self) -> None:
        """Stop all threads."""
        super().end()
        self._stand_ins.stop()


def create_hosted_runtimes(engine: "Engine", threads: int) -> List[Runtime]:
    """Make the one runtime of a worker whose loop has further threads."""
    if not hasattr(selectors.DefaultSelector, "fileno"):
        return [Runtime(engine, 0)]  # no poller can be waited on here
    return [HostedRuntime(engine, 0, threads)]


def _turn_away(newcomer: Newcomer) -> None:
    """Nobody is ever offered to a loop's own poller."""
    newcomer.sock.close()
