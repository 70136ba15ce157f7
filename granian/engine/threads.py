"""Several threads of one runtime: who waits for readiness, who serves it, and how many there are.

No queue lies between I/O and a WSGI application: the thread that takes a ready connection reads,
parses, runs the application and answers. One thread *leads*: it polls, keeps what is ready in a
shared deque and serves it itself. The others are *parked*. What happens next depends on how long
it takes to serve, which is to say on how the application's calls behave:

* they return quickly: the leader goes on alone, since threads that share would only fight for
  the interpreter (*late promotion*). A sentinel notices within a tick when a call does not
  return; a parked thread then takes over the deque and the poller.
* they have been blocking: the leader hands over before the call, not after a tick.

Two threads may for a moment both believe that they lead; ownership is decided by
``SharedPoller.armed`` alone, so the worst is a wait that finds nothing. Threads are started when
none is parked, up to the limit, and leave when they were not needed for a while. The first one
stays, so another that leads gives it the lead before it leaves: an idle crew is one thread.

Without a GIL there is a crew for each processor, each with a poller of its own: what threads share
costs them more there than what they do. The limit is theirs together. A crew that may have no
further thread *lends* its poller while all of its own are in calls: the others wait on it too.
"""

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple

from .._compat import HAS_EPOLL, gil_enabled
from .poller import MOST, Poller
from .runtime import Runtime
from .shared import SharedPoller

if TYPE_CHECKING:
    from .runtime import Engine

_log = logging.getLogger("_granian")

TICK = 0.002
"""Seconds after which a call counts as blocking, and another thread takes over."""

_JOIN = 1.0  # seconds that other threads have to end after the last connection
_DOZE = 50  # quiet ticks after which the sentinel sleeps until it is rung for
_BRISK = 0.01  # slowness below which answers may wait for each other
_BLOCKING = 0.5  # slowness from which the leader hands over before a call
# Together they reach it when a fifth of what is served blocks: a head whose body has yet to come
# is served quickly too.
_RISE = 0.2
_DECAY = 0.05


class Hand:
    """One thread of the crew; ``turn`` is released to make it the leader."""

    __slots__ = ("thread", "turn")

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.turn.acquire()
        self.thread: Optional[threading.Thread] = None


class Allowance:
    """How many threads some crews may have together."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one; False if there is none left."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            return True

    def give(self) -> None:
        """Give one back."""
        with self._lock:
            self._left += 1


class Crew:
    """The threads that serve one poller.

    Args:
        poller: What they share.
        allowance: Of which every thread takes one, the one that calls ``run`` included.
        idle_timeout: Seconds after which a parked thread leaves.

    Attributes:
        siblings: Crews of the same allowance, to help one another.
        busy_since: When the leader began a call that nobody stands in for; 0.0 if it did not.
        busy_time: Seconds spent serving, by all threads together.
        slowness: How much the recent calls have been blocking, from 0.0 to 1.0.
    """

    def __init__(self, poller: SharedPoller, allowance: Allowance, idle_timeout: float) -> None:
        self._poller = poller
        self._allowance = allowance
        allowance.take()  # for the thread that stays
        self._idle_timeout = idle_timeout
        self._ready: Deque[Tuple[int, int]] = deque()
        self._parked: Deque[Hand] = deque()
        self._hands: List[Hand] = []
        self._lock = threading.Lock()  # held to add a thread, or to lend and reclaim the poller
        self._lent = False
        self._leader: Optional[Hand] = None
        self._stopping = False
        self._dozing = False
        self._bell = threading.Event()
        self._sentinel: Optional[threading.Thread] = None
        self.siblings: Sequence[Crew] = ()
        self.busy_since = 0.0
        self.busy_time = 0.0
        self.slowness = 0.0

    # any thread

    @property
    def busy(self) -> int:
        """Threads that are serving a connection, as nearly as can be told from another thread."""
        polling = 0 if self.busy_since else 1
        return max(0, len(self._hands) - len(self._parked) - polling)

    @property
    def size(self) -> int:
        """Threads there are."""
        return len(self._hands)

    @property
    def waiting(self) -> int:
        """Ready connections that no thread has come to yet."""
        return len(self._ready)

    def stop(self) -> None:
        """Have every thread end when it has served what it serves."""
        self._stopping = True
        if self._lent:
            self._reclaim()
        self._poller.nudge()
        self._bell.set()
        for hand in list(self._hands):  # those that park are in no list that stands still
            _release(hand.turn)

    # the threads of the crew

    def run(self) -> None:
        """Be the first thread of the crew until it is stopped."""
        hand = Hand()
        self._hands.append(hand)
        self._leader = hand
        self._sentinel = threading.Thread(target=self._watch, name="granian-sentinel", daemon=True)
        self._sentinel.start()
        self._work(hand)
        self._hands.remove(hand)
        self._poller.nudge()

    def join(self, seconds: float) -> None:
        """Wait for the other threads; those that the application holds are left behind."""
        end = time.monotonic() + seconds
        threads = [hand.thread for hand in list(self._hands)]
        for thread in [self._sentinel, *threads]:
            if thread is not None:
                thread.join(max(0.0, end - time.monotonic()))

    def _has_ended(self) -> bool:
        return self._stopping

    def _start(self) -> bool:
        """Add a thread, as the leader, if there may be one more."""
        with self._lock:
            if self._stopping or not self._allowance.take():
                return False
            hand = Hand()
            name = f"granian-blocking-{len(self._hands) + 1}"
            hand.thread = threading.Thread(
                target=self._run_hand, args=(hand,), name=name, daemon=True
            )
            self._hands.append(hand)
        before, self._leader = self._leader, hand
        try:
            hand.thread.start()
        except RuntimeError:  # the system gives no more threads: those that are must do
            self._hands.remove(hand)
            self._allowance.give()
            self._leader = before
            return False
        return True

    def _run_hand(self, hand: Hand) -> None:
        try:
            self._work(hand)
        finally:
            self._hands.remove(hand)
            self._allowance.give()
            if self._stopping:
                self._poller.nudge()  # a wake-up wakes one thread: pass it on

    def _work(self, me: Hand) -> None:
        while not self._stopping:
            if self._leader is me:
                try:
                    self._lead(me)
                except Exception:
                    if self._has_ended():
                        return
                    _log.exception("A thread failed in the server and goes on")
            elif self.busy_since and self.slowness > _BLOCKING:
                self._leader = me  # all others are in calls: stand in for the leader at once
                self.busy_since = 0.0
            elif not self._park(me):
                return

    def _lead(self, me: Hand) -> None:  # hot
        ready = self._ready
        poller = self._poller
        clock = time.monotonic
        patience = None if me.thread is None else self._idle_timeout
        start = clock()
        poller.send_gathered()  # what a leader whose call does not return had gathered
        while self._leader is me:
            try:
                fd, event = ready.popleft()
            except IndexError:
                poller.send_gathered()
                self.busy_since = poller.busy_since = 0.0
                if self._lent:
                    self._reclaim()
                if self._stopping:
                    return
                poller.gathering = False
                ready.extend(poller.collect(patience, MOST))
                if not ready and patience is not None and poller.now - start >= patience:
                    self._step_down()
                poller.gathering = len(ready) > 1 and self.slowness < _BRISK
                continue
            handed = self.slowness > _BLOCKING and self._promote()
            start = clock()
            if not handed:
                self.busy_since = poller.busy_since = start
                if self._dozing:
                    self._bell.set()
            poller.serve(fd, event)
            took = clock() - start
            self.busy_time += took
            if took > TICK:
                poller.send_gathered()
                self.slowness += (1.0 - self.slowness) * _RISE
            else:
                self.slowness -= self.slowness * _DECAY
        poller.send_gathered()

    def _promote(self) -> bool:
        """Make another thread the leader; False if all are in calls and there may be no more."""
        try:
            hand = self._parked.pop()
        except IndexError:
            return self._start()
        self.busy_since = 0.0
        self._leader = hand
        _release(hand.turn)
        return True

    def _step_down(self) -> None:
        """Give the first thread the lead, if it is free: it is the one that stays."""
        first = self._hands[0]
        try:
            self._parked.remove(first)
        except ValueError:
            return
        self._leader = first
        _release(first.turn)

    def _park(self, me: Hand) -> bool:
        """Wait to become the leader; False when nobody needed this thread for long."""
        self._parked.append(me)
        if self._stopping:
            return False
        while not me.turn.acquire(timeout=self._idle_timeout):
            if me.thread is None:
                continue  # the first one stays
            try:
                self._parked.remove(me)
            except ValueError:
                continue  # promoted at the last moment
            return False
        return True

    def _watch(self) -> None:
        """Promote when the leader's call does not return; sleep while all is quiet."""
        quiet = 0
        while not self._stopping:
            time.sleep(TICK)
            since = self.busy_since
            if since:
                quiet = 0
                late = time.monotonic() - since > TICK and self.busy_since == since
                if late and not self._promote():
                    self._poller.send_gathered()  # no thread is free to do it
                    if self.siblings and not self._lent:
                        self._lend()
                continue
            quiet += 1
            if quiet > _DOZE:
                self._bell.clear()
                self._dozing = True
                if not self.busy_since:
                    self._bell.wait()
                self._dozing = False
                quiet = 0

    # helping each other, where they do not exclude each other

    def _lend(self) -> None:
        """Let the other crews serve what is ready here while all threads are in calls."""
        with self._lock:
            if self._stopping:
                return
            self._lent = True
            for sibling in self.siblings:
                sibling._poller.borrow(self._poller)
            # What was collected is reported again, to whoever looks now.
            self._ready.clear()
            if not self.busy_since:
                self._return()  # back before it was lent

    def _reclaim(self) -> None:
        with self._lock:
            self._return()

    def _return(self) -> None:
        self._lent = False
        for sibling in self.siblings:
            sibling._poller.give_back(self._poller)


class BlockingRuntime(Runtime):
    """A runtime whose threads are the application's: WSGI with several blocking threads."""

    poller: SharedPoller

    def __init__(self, engine: "Engine", index: int, allowance: Allowance) -> None:
        super().__init__(engine, index)
        self.crew = Crew(self.poller, allowance, self.plan.blocking_threads_idle_timeout)
        self._halted = False

    def _create_poller(self) -> Poller:
        return SharedPoller(self._welcome, self._on_second)

    def _serve_blocking(self) -> None:
        self.crew.run()
        self.crew.join(0.0 if self._halted else _JOIN)

    # any thread

    @property
    def gauges(self) -> Dict[str, int]:
        """Threads, what waits for them, and how long they have worked in microseconds."""
        crew = self.crew
        return {
            **super().gauges,
            "requests_in_flight": crew.busy,
            "blocking_threads": crew.size,
            "blocking_queue": crew.waiting,
            "blocking_busy_cumulative": int(crew.busy_time * 1e6),
        }

    def post_to(self, connection: Any, call: Callable[[], None]) -> None:
        """Run ``call`` when the connection is released, or here if nobody owns it."""
        self.poller.visit(connection, lambda _: call())

    def visit(self, connection: Any, action: Callable[[Any], None]) -> None:
        """Run ``action(connection)`` now, or when the thread that serves it is done."""
        self.poller.visit(connection, action)

    def end(self) -> None:
        """Stop the threads when they have served what they serve."""
        super().end()
        self.crew.stop()

    def halt(self) -> None:
        """Drop everything and end; threads that the application holds are left behind."""
        self._halted = True
        super().halt()


def create_blocking_runtimes(engine: "Engine") -> "List[Runtime]":
    """Make the runtimes of a worker that may have ``blocking_threads`` threads."""
    plan = engine.plan
    alone = gil_enabled() or not HAS_EPOLL  # which can wait for another of its kind
    count = 1 if alone else min(plan.processors, plan.blocking_threads)
    allowance = Allowance(plan.blocking_threads)
    runtimes = [BlockingRuntime(engine, index, allowance) for index in range(count)]
    for one in runtimes:
        one.crew.siblings = [other.crew for other in runtimes if other is not one]
    return list(runtimes)


def _release(turn: threading.Lock) -> None:
    try:
        turn.release()
    except RuntimeError:
        pass  # released by somebody else at the same moment: that hand is awake
