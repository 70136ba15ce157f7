"""What each stream still owes the peer: windows, frame cutting, fairness.

Every octet of a body leaves through here, within the peer's windows and frame size, by urgency
(RFC 9218), each stream in its turn. A small whole response that meets no queue is appended
directly by ``Stream.respond``; all else waits in its stream until ``pump`` is called, once per
turn, with the room that the transport has.

RFC 9113 sections 5.2, 6.1 and 6.9; RFC 9218 section 10.
"""

from collections import deque
from typing import TYPE_CHECKING, Deque, List, Optional, Protocol, Tuple, Union

from .codes import CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, frame, pack_header
from .guard import Guard

if TYPE_CHECKING:
    from .stream import Stream

Octets = Union[bytes, memoryview]


class Windowed(Protocol):
    """What the outflow needs of the h2 connection."""

    outbound_flow_control_window: int


class Outflow:
    """The sending half of a connection.

    Attributes:
        octets: Pieces ready for the transport, in order.
        judge: The h2 connection, whose ``outbound_flow_control_window`` is the shared window.
        max_frame: The peer's frame size.
        waiting: Streams with something queued.
    """

    __slots__ = ("_guard", "_ready", "judge", "max_frame", "octets", "waiting")

    def __init__(self, judge: Windowed, guard: Guard) -> None:
        self.octets: List[Octets] = []
        self.judge = judge
        self.max_frame = 16_384
        self.waiting = 0
        self._guard = guard
        self._ready: List[Optional[Deque[Stream]]] = [None] * 8  # by urgency, made when needed

    def headers(self, number: int, block: bytes, last: bool) -> None:
        """Append a whole header block, in several frames if the peer's frame size demands it."""
        end = END_STREAM if last else 0
        size = len(block)
        if size <= self.max_frame:
            header = pack_header(size >> 16, size & 0xFFFF, HEADERS, END_HEADERS | end, number)
            self.octets += (header, block)
            return
        self.octets.append(frame(HEADERS, end, number, block[: self.max_frame]))
        for at in range(self.max_frame, size, self.max_frame):
            piece = block[at : at + self.max_frame]
            flags = END_HEADERS if at + self.max_frame >= size else 0
            self.octets.append(frame(CONTINUATION, flags, number, piece))

    def enlist(self, stream: "Stream") -> None:
        """Give a stream its place in the round if it has something to send and a window."""
        if not stream.listed and stream.send_window > 0:
            stream.listed = True
            self._level(stream.urgency).append(stream)

    def _level(self, urgency: int) -> "Deque[Stream]":
        level = self._ready[urgency]
        if level is None:
            level = self._ready[urgency] = deque()
        return level

    def relist(self, stream: "Stream", urgency: int) -> None:
        """Move a stream to another urgency."""
        if stream.listed:
            self._level(stream.urgency).remove(stream)
            self._level(urgency).append(stream)
        stream.urgency = urgency

    def delist(self, stream: "Stream") -> None:
        """Forget a stream that was reset, and what it had queued."""
        if stream.listed:
            self._level(stream.urgency).remove(stream)
            stream.listed = False
        if stream.queued:
            stream.queue.clear()
            stream.queued = 0
            self.waiting -= 1

    def pump(self, room: int, now: float) -> "Tuple[List[Stream], int]":
        """Cut frames until the room, the connection's window or the queues are used up.

        Args:
            room: Octets the transport should be given now; the last frame may exceed it.
            now: For the deadline of streams that make no progress.

        Returns:
            The streams that sent something, and the room that is left.
        """
        touched: List[Stream] = []
        judge = self.judge
        for level in self._ready:
            while level and room > 0:
                window = judge.outbound_flow_control_window
                if window <= 0:
                    return touched, room
                stream = level[0]
                size = min(window, stream.send_window, self.max_frame, stream.queued)
                if size <= 0:  # waits for its own window, or has nothing left
                    level.popleft()
                    stream.listed = False
                    continue
                judge.outbound_flow_control_window = window - size
                stream.send_window -= size
                self._cut(stream, size)
                stream.moved_at = now
                room -= size
                touched.append(stream)
                if not stream.queued or stream.send_window <= 0:
                    level.popleft()
                    stream.listed = False
                elif stream.incremental:
                    level.rotate(-1)
        return touched, room

    def _cut(self, stream: "Stream", size: int) -> None:
        """Append one DATA frame of exactly ``size`` octets from a stream's queue."""
        stream.queued -= size
        if self._guard.updates < Guard.UPDATES_MAX:
            self._guard.updates += 10
        if not stream.queued:
            self.waiting -= 1
        last = stream.ending and not stream.queued and stream.trailers is None
        flags = END_STREAM if last else 0
        out = self.octets
        out.append(pack_header(size >> 16, size & 0xFFFF, DATA, flags, stream.number))
        queue = stream.queue
        while size:
            piece = queue[0]
            length = len(piece)
            if length <= size:
                out.append(queue.popleft())
                size -= length
            else:
                view = piece if isinstance(piece, memoryview) else memoryview(piece)
                out.append(view[:size])
                queue[0] = view[size:]
                size = 0
