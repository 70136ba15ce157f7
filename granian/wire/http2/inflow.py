"""What the peer may still send: the connection's window, and how wide those of streams are.

The connection's window never waits on one stream: it is given back as octets arrive, until the
handlers together hold many windows' worth. A stream's window is given back as its application
consumes. Both may grow with the bandwidth-delay product (``adaptive``).

RFC 9113 sections 5.2 and 6.9.
"""

from typing import TYPE_CHECKING, List, Optional, Tuple

from h2.settings import SettingCodes
from h2.windows import WindowManager

from ...plan import Http2Plan
from .adaptive import WINDOW_START, Adaptive
from .codes import FLOW_CONTROL_ERROR, PING, WINDOW_MAX, Fault, frame, window_update
from .stream import COMPLETE, Stream

if TYPE_CHECKING:
    from .judge import Judge
    from .outflow import Octets

ADAPTIVE_PING = b"bandwdth"

_HELD_FACTOR = 8  # connection windows that handlers may hold before all streams wait


def window_sizes(plan: Http2Plan) -> Tuple[int, int]:
    """Find how wide the windows of the connection and of a stream are to begin with."""
    if plan.adaptive_window:
        return WINDOW_START, WINDOW_START
    connection = max(plan.initial_connection_window_size, WINDOW_START)
    return min(connection, WINDOW_MAX), min(plan.initial_stream_window_size, WINDOW_MAX)


class Inflow:
    """The receiving half of a connection.

    Attributes:
        window: Of the connection; h2's, too.
        stream_window: What a new stream may receive at first.
        held: Octets given to handlers and not yet consumed by them.
        adaptive: The estimate that lets the windows grow, where that is asked for.
    """

    __slots__ = ("_held_max", "_octets", "_withheld", "adaptive", "held", "stream_window", "window")

    def __init__(self, plan: Http2Plan, octets: "List[Octets]", now: float) -> None:
        connection, stream = window_sizes(plan)
        self.window = WindowManager(connection)
        # RFC 9113 section 6.5.3: until the peer acknowledges, the default may be in use.
        self.stream_window = max(stream, WINDOW_START)
        self.held = self._withheld = 0
        self.adaptive: Optional[Adaptive] = Adaptive(now) if plan.adaptive_window else None
        self._held_max = _HELD_FACTOR * connection
        self._octets = octets
        if connection > WINDOW_START:
            octets.append(window_update(0, connection - WINDOW_START))

    def drop(self, size: int) -> None:
        """Count octets of DATA that nobody is given.

        Raises:
            Fault: The peer has sent more than it may (section 6.9.1).
        """
        self.window.current_window_size -= size
        if self.window.current_window_size < 0:
            raise Fault(FLOW_CONTROL_ERROR)
        self.give_back(size)

    def give_back(self, size: int) -> None:
        """Give the connection its window back at once: it never waits on one stream.

        Only when the handlers together hold many windows' worth of octets is it kept back.
        """
        self._withheld += size
        # In steps of a quarter: h2 announces half a window at a time, so a quarter always is left.
        if self._withheld * 4 >= self.window.max_window_size and self.held <= self._held_max:
            withheld, self._withheld = self._withheld, 0
            increment = self.window.process_bytes(withheld)
            if increment:
                self._octets.append(window_update(0, increment))

    def credit(self, stream: Stream, size: int, held: int) -> bool:
        """Give a stream its window back, in steps of half a window.

        Args:
            stream: Whose octets they are.
            size: Octets that need no room any more.
            held: How many of them its handler held until now.

        Returns:
            Whether there may be something to send.
        """
        said = False
        if held:
            self.held -= held
            if self._withheld * 4 >= self.window.max_window_size:
                self.give_back(0)
                said = True
        credit = stream.credit = stream.credit + size
        if (
            stream.remote_open
            and stream.phase < COMPLETE
            and (credit * 2 >= self.stream_window or stream.receive_window <= 0)
        ):
            stream.credit = 0
            stream.receive_window += credit
            self._octets.append(window_update(stream.number, credit))
            return True
        return said

    def widen_streams(self, window: int) -> int:
        """Take the window of new streams that the peer has acknowledged; return the difference."""
        delta = window - self.stream_window
        self.stream_window = window
        return delta

    def measure(self, size: int, now: float) -> None:
        """Count octets, and ask how long a round trip takes while they come."""
        if self.adaptive is not None and self.adaptive.received(size, now):
            self._octets.append(frame(PING, 0, 0, ADAPTIVE_PING))

    def adapt(self, judge: "Judge", now: float) -> None:
        """Widen the windows after the answer to that question, if they were too narrow."""
        if self.adaptive is None:
            return
        window = self.adaptive.answered(now, self.window.max_window_size)
        grown = window - self.window.max_window_size
        if grown <= 0:
            return
        self.window.window_opened(grown)
        self._held_max = _HELD_FACTOR * window
        self._octets.append(window_update(0, grown))
        judge.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self._octets.append(judge.data_to_send())
