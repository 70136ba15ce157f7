"""What systemd wants to hear, one datagram each; silent where nobody listens.

Main thread of the supervisor. sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
import time
from typing import Optional


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
