"""The line between the supervisor and one worker.

One stream socket each way. The supervisor sends the assignment (framed octets) and then commands;
the worker sends reports; both are lines of JSON. The end of the stream means that the other side
has died, however it died: this is how workers notice a killed supervisor (promise P9). Each end
belongs to its main thread; nothing here waits unless it says so.
"""

import json
import os
import socket
import struct
from array import array
from typing import Any, List, Sequence, Tuple

_LENGTH = struct.Struct("!I")
_RECEIVE = 65_536

_SOCKETS_MAX = 64
"""More sockets than any server listens on; the kernel's own limit is 253 (unix(7))."""

_PATIENCE = 1.0
"""Seconds to wait for a side that does not read (a stopped process) before giving up on telling."""

DRAIN = "drain"
HALT = "halt"
DISCONNECT = "disconnect"
DUMP = "dump"
PING = "ping"

READY = "ready"
FAILED = "failed"
METRICS = "metrics"
SPENT = "spent"
SIGNALLED = "signalled"
PONG = "pong"

Report = Tuple[str, Any]
"""What is said and what goes with it; both ends use the same shape."""


class Link:
    """One end of the line; ``fileno`` makes it fit a selector.

    Attributes:
        closed: The other side has gone; nothing more will come.
    """

    __slots__ = ("_buffer", "_received", "closed", "sock")

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(_PATIENCE)
        self.sock = sock
        self._buffer = b""
        self._received = 0
        self.closed = False

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self.sock.fileno()

    def send_block(self, data: bytes, sockets: Sequence[socket.socket] = ()) -> None:
        """Send framed octets and copies of sockets; waits until the other side has taken them."""
        numbers = array("i", [sock.fileno() for sock in sockets])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if sockets else []
        self.sock.settimeout(None)
        self.sock.sendmsg([_LENGTH.pack(len(data))], rights)
        self.sock.sendall(data)
        self.sock.settimeout(_PATIENCE)

    def read_block(self) -> Tuple[bytes, List[int]]:
        """Wait for framed octets; return them with the descriptors that came along.

        Raises:
            EOFError: The other side has gone.
        """
        self.sock.settimeout(None)
        numbers = array("i")
        space = socket.CMSG_SPACE(_SOCKETS_MAX * numbers.itemsize)
        begin, rights, _, _ = self.sock.recvmsg(_LENGTH.size, space)
        for _, _, content in rights:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
        for number in numbers:
            os.set_inheritable(number, False)
        if not begin:
            raise EOFError("the supervisor has gone")
        (length,) = _LENGTH.unpack(begin + self._read_exactly(_LENGTH.size - len(begin)))
        block = self._read_exactly(length)
        self.sock.settimeout(_PATIENCE)
        return block, list(numbers)

    def tell(self, what: str, value: Any = None) -> None:
        """Say something; nothing happens if the other side has gone or does not listen."""
        line = json.dumps([what, value], separators=(",", ":")).encode() + b"\n"
        try:
            self.sock.sendall(line)
        except OSError:
            pass  # the read side notices and decides

    def heard(self) -> List[Report]:
        """Return what has arrived, after the selector said that something has."""
        try:
            data = self.sock.recv(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return []
        self._received += len(data)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [_report(line) for line in lines if line]

    def last_words(self) -> List[Report]:
        """Return all that has arrived from a side that has ended, without waiting for more."""
        reports: List[Report] = []
        self.sock.setblocking(False)
        before = -1
        while not self.closed and before != self._received:
            before = self._received
            reports += self.heard()
        return reports

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        self.sock.close()

    def _read_exactly(self, count: int) -> bytes:
        parts: List[bytes] = []
        while count:
            data = self.sock.recv(min(count, _RECEIVE))
            if not data:
                raise EOFError("the supervisor has gone")
            parts.append(data)
            count -= len(data)
        return b"".join(parts)


def _report(line: bytes) -> Report:
    what, value = json.loads(line)
    return what, value


def pair() -> Tuple[socket.socket, socket.socket]:
    """Return the two ends of a new line, neither of them inheritable."""
    return socket.socketpair()
