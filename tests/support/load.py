"""Clients that keep asking while something happens to the server, and count what went wrong.

A client obeys: it opens a new connection when the last answer said ``Connection: close``. What
remains to be counted is the server's doing.
"""

import socket
import threading
import time
from collections import Counter
from typing import List

GET = b"GET / HTTP/1.1\r\nhost: load\r\n\r\n"
GET_CLOSE = b"GET / HTTP/1.1\r\nhost: load\r\nconnection: close\r\n\r\n"


class Load:
    """Threads that ask until the context ends.

    Attributes:
        outcomes: How often: ok, refused, reset, short, status, late, closed (between requests).
    """

    def __init__(self, address, fresh: int = 2, kept: int = 2, pause: float = 0.002) -> None:
        self.address = address
        self.pause = pause
        self.outcomes: Counter = Counter()
        self.slowest = 0.0
        self._stop = threading.Event()
        targets = [self._ask_fresh] * fresh + [self._ask_kept] * kept
        self._threads = [threading.Thread(target=target, daemon=True) for target in targets]
        self._counts: List[Counter] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
        for count in self._counts:
            self.outcomes.update(count)

    @property
    def failures(self) -> dict:
        return {name: n for name, n in self.outcomes.items() if name != "ok"}

    @property
    def answered(self) -> int:
        return sum(count["ok"] for count in self._counts)

    def wait_answered(self, more: int, timeout: float = 10.0) -> None:
        """Wait until so many further requests have been answered."""
        wanted = self.answered + more
        deadline = time.monotonic() + timeout
        while self.answered < wanted:
            assert time.monotonic() < deadline, f"only {self.answered} of {wanted} answered"
            time.sleep(0.01)

    def _ask_fresh(self) -> None:
        count: Counter = Counter()
        self._counts.append(count)
        while not self._stop.is_set():
            sock = self._connect(count)
            if sock is not None:
                with sock:
                    count[self._exchange(sock, GET_CLOSE, False)[0]] += 1
            time.sleep(self.pause)

    def _ask_kept(self) -> None:
        count: Counter = Counter()
        self._counts.append(count)
        while not self._stop.is_set():
            sock = self._connect(count)
            if sock is None:
                time.sleep(self.pause)
                continue
            with sock:
                used, keep = False, True
                while keep and not self._stop.is_set():
                    outcome, keep = self._exchange(sock, GET, used)
                    count[outcome] += 1
                    used = True
                    time.sleep(self.pause)

    def _connect(self, count: Counter):
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(10)
        try:
            sock.connect(self.address)
        except OSError:
            count["refused"] += 1
            sock.close()
            return None
        return sock

    def _exchange(self, sock: socket.socket, request: bytes, used: bool):
        """Ask once; return the outcome and whether the connection may be used again."""
        begun = time.monotonic()
        data = b""
        try:
            sock.sendall(request)
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return ("closed" if used and not data else "short"), False
                data += more
            head, _, body = data.partition(b"\r\n\r\n")
            fields = head.lower()
            length = int(fields.split(b"content-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                more = sock.recv(65536)
                if not more:
                    return "short", False
                body += more
        except socket.timeout:
            return "late", False
        except OSError:
            return ("closed" if used and not data else "reset"), False
        self.slowest = max(self.slowest, time.monotonic() - begun)
        keep = b"connection: close" not in fields
        return ("ok" if b" 200 " in head.split(b"\r\n")[0] else "status"), keep
