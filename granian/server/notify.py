"""What systemd wants to hear, one datagram each; silent where nobody listens.

Main thread of the supervisor. sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
import time
from typing import List, Optional

from . import link as line
from .crew import Crew


class Notifier:
    """Sends states to ``NOTIFY_SOCKET``, which the environment loses so that no worker has it.

    Attributes:
        watchdog: Seconds between two signs of life that the service manager asks for, or None.
    """

    __slots__ = ("_address", "watchdog")

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        micros = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", "")
        wanted = micros.isdigit() and pid in ("", str(os.getpid())) and self._address
        # sd_watchdog_enabled(3) recommends half of the time that the manager waits.
        self.watchdog: Optional[float] = int(micros) / 2_000_000 if wanted else None

    def ready(self, status: str) -> None:
        """The first worker serves, or a reload is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Workers are being replaced (Type=notify-reload wants the time of it)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Workers finish what they have."""
        self._send("STOPPING=1\nSTATUS=Stopping")

    def alive(self) -> None:
        """All workers have answered."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError:
            pass  # the manager has gone or never was; serving matters more


class Watchdog:
    """Signs of life for the service manager: one for each time that all workers have answered."""

    __slots__ = ("_at", "_notifier")

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._at: Optional[float] = None

    def start(self) -> None:
        """Begin, if signs of life are wanted at all."""
        if self._notifier.watchdog is not None:
            self._at = time.monotonic()

    def times(self) -> List[float]:
        """Return when ``look`` has something to do, if ever."""
        return [] if self._at is None else [self._at]

    def look(self, crew: Crew) -> None:
        """When it is time: speak for the workers that have answered, and ask them again."""
        now = time.monotonic()
        if self._at is None or now < self._at or self._notifier.watchdog is None:
            return
        self._at = now + self._notifier.watchdog
        members = crew.serving
        if all(member.answered for member in members):
            self._notifier.alive()
        for member in members:
            member.answered = False
            member.body.link.tell(line.PING)
