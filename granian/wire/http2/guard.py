"""Budgets: how much of what is legal one connection may send before it is told to calm down.

Each budget is a bucket that empties by use and refills with time; the clock is passed in.
CVE-2023-44487 (rapid reset), CVE-2025-8671 (made-you-reset), CVE-2019-9511 to 9518 (floods).
"""


class Budget:
    """So many at once, so many a second.

    Attributes:
        level: What may still be spent at once.
    """

    __slots__ = ("_at", "_rate", "_size", "level")

    def __init__(self, size: float, rate: float) -> None:
        self._size = size
        self._rate = rate
        self._at = 0.0
        self.level = size

    def spend(self, now: float) -> bool:
        """Take one; False when there is none left."""
        if self.level < 1:
            self.level = min(self._size, self.level + (now - self._at) * self._rate)
            self._at = now
            if self.level < 1:
                return False
        elif self.level == self._size:
            self._at = now
        self.level -= 1
        return True


class Guard:
    """The budgets of one connection, and the counts that time does not heal.

    Attributes:
        client_resets: RST_STREAM before the answer was complete.
        server_resets: RST_STREAM that the client made us send.
        settings: SETTINGS frames.
        pings: PING frames.
        odd: PRIORITY, PRIORITY_UPDATE and unknown frames, WINDOW_UPDATE beyond ``updates``.
        small_data: DATA frames whose header outweighs them.
        updates: WINDOW_UPDATE frames in hand: ten for each DATA frame sent.
        empty_data: Empty DATA frames in a row.
        seen: Requests of the running sample of 500, and how many of them were reset.
    """

    __slots__ = (
        "client_resets",
        "empty_data",
        "odd",
        "pings",
        "reset",
        "seen",
        "server_resets",
        "settings",
        "small_data",
        "updates",
    )

    SAMPLE = 500
    EMPTY_DATA_MAX = 100
    SMALL_DATA = 64
    UPDATES_MAX = 1000
    QUEUED_MAX = 1000

    def __init__(self) -> None:
        self.client_resets = Budget(200, 200 / 30)
        self.server_resets = Budget(100, 10)
        self.settings = Budget(100, 100 / 60)
        self.pings = Budget(600, 600 / 60)
        self.odd = Budget(1000, 1000 / 60)
        self.small_data = Budget(10_000, 1000)
        self.updates = self.UPDATES_MAX
        self.empty_data = 0
        self.seen = 0
        self.reset = 0

    def request(self) -> None:
        """Count a request."""
        self.seen += 1
        if self.seen > self.SAMPLE:
            self.seen = self.reset = 0

    def client_reset(self, now: float) -> bool:
        """Count a premature reset; False when there were too many, or more than every second."""
        self.reset += 1
        return self.client_resets.spend(now) and self.reset * 2 <= self.SAMPLE

    def data(self, size: int, now: float) -> bool:
        """Count a DATA frame below ``SMALL_DATA`` that is no last one; False for a flood of them.

        Any other frame sets ``empty_data`` back.
        """
        if size:
            self.empty_data = 0
        else:
            self.empty_data += 1
            if self.empty_data > self.EMPTY_DATA_MAX:
                return False
        return self.small_data.spend(now)

    def update(self, now: float) -> bool:
        """Count a WINDOW_UPDATE; False when they outnumber what was sent by far."""
        if self.updates > 0:
            self.updates -= 1
            return True
        return self.odd.spend(now)
