"""How the streams of a connection came to their end, for the frames that still come on them.

A stream below the highest number is closed, and nearly all have ended as they should, so only the
others are remembered: reset streams, and numbers that the peer went past without using them.
RFC 9113 sections 5.1 and 5.1.1.
"""

from itertools import islice
from typing import Dict, List, Optional, Tuple

from h2.stream import StreamClosedBy

RESETS_MAX = 1000
GAPS_MAX = 100

_SPARE = 100  # forgotten at once, so that the oldest are not looked for each time


class Closed:
    """The memory of one connection's closed streams; bounded, and empty with a sane peer.

    Attributes:
        next: The number that a peer who leaves none out uses next.
    """

    __slots__ = ("_gaps", "_resets", "next")

    def __init__(self) -> None:
        self.next = 1
        self._resets: Dict[int, StreamClosedBy] = {}
        self._gaps: List[Tuple[int, int]] = []

    def enter(self, number: int) -> None:
        """Note that the peer uses ``number``, and closes the lower ones that it has left out."""
        if number != self.next:
            self._gaps.append((self.next, number))
            del self._gaps[:-GAPS_MAX]
        self.next = number + 2

    def reset(self, number: int, how: StreamClosedBy) -> None:
        """Note which side reset a stream."""
        resets = self._resets
        resets[number] = how
        if len(resets) > RESETS_MAX:
            for oldest in list(islice(resets, _SPARE)):
                del resets[oldest]

    def how(self, number: int) -> Optional[StreamClosedBy]:
        """Tell how a stream that is not idle was closed; None where it was never opened.

        What is forgotten counts as ended.
        """
        how = self._resets.get(number)
        if how is None and not any(start <= number < stop for start, stop in self._gaps):
            return StreamClosedBy.SEND_END_STREAM
        return how
