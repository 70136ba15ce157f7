"""Adaptive windows: how much arrives during one round trip is how much must be allowed to.

A PING is sent when octets begin to come; what has come when its answer does is an estimate of the
bandwidth-delay product. A window that is nearly filled in one round trip limits the peer.
"""

WINDOW_START = 65_535
WINDOW_CEILING = 16 * 1024 * 1024


class Adaptive:
    """Estimate of the bandwidth-delay product: what arrives during one round trip."""

    __slots__ = ("_bandwidth", "_octets", "_sent_at", "_waiting")

    def __init__(self, now: float) -> None:
        self._octets = 0
        self._bandwidth = 0.0
        self._sent_at = now
        self._waiting = False

    def received(self, size: int, now: float) -> bool:
        """Count octets; True when a PING should measure the round trip they come in."""
        self._octets += size
        if self._waiting:
            return False
        self._waiting = True
        self._octets = size
        self._sent_at = now
        return True

    def answered(self, now: float, window: int) -> int:
        """Take the answer; return the window that the connection deserves."""
        self._waiting = False
        bandwidth = self._octets / max(now - self._sent_at, 0.001)
        if self._octets * 3 < window * 2 or bandwidth <= self._bandwidth:
            return window
        self._bandwidth = bandwidth
        return min(self._octets * 2, WINDOW_CEILING)
