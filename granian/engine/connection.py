"""What every connection does, whatever it speaks: send, hold back, time out, close.

A connection belongs to exactly one thread, the one whose poller serves it; nothing here locks.
Only the owner closes the descriptor, and always after the poller forgot it.
"""

import os
import select
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Optional, Tuple

from .deadlines import NEVER
from .poller import READ, WRITE, Newcomer

if TYPE_CHECKING:
    from .runtime import Runtime

HIGH_WATER = 65_536
"""Unsent octets beyond which a writer is told to wait."""

LOW_WATER = 16_384
"""Unsent octets at which it is told to go on."""

LINGER_TIME = 5.0
"""Seconds in which a peer may go on sending to a connection that answered its last."""

GATHER = 32_768
"""Octets up to which an answer may wait for the end of the turn, see ``Poller``."""

_FLUSH = 262_144  # octets joined for one send
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: close() sends RST


class Connection:
    """A connected socket and its unsent octets.

    Attributes:
        phase: A module integer of the protocol's own table; ``CLOSED`` ends every one.
        out_size: Octets not yet taken by the kernel.
        gathered: Octets that were not offered to the kernel yet: they wait for the end of the
            poller's turn. Every verb but those that gather sends them first.
        deadline: When something must have happened, in the poller's clock; ``NEVER`` if nothing.
        check: When the deadlines will next look at this connection.
        events: What the poller watches.
    """

    __slots__ = (
        "_file",
        "_out",
        "_severed",
        "check",
        "client",
        "closing",
        "context",
        "deadline",
        "events",
        "fd",
        "gathered",
        "handler",
        "out_size",
        "phase",
        "poller",
        "recv",
        "runtime",
        "scheme",
        "send_octets",
        "server",
        "sock",
        "tls",
    )

    phase: int
    handler: Any
    context: Any

    def __init__(self, newcomer: Newcomer, runtime: "Runtime") -> None:
        self.sock = sock = newcomer.sock
        self.fd = newcomer.fd
        self.recv = sock.recv
        self.send_octets = sock.send
        self.runtime = runtime
        self.poller = runtime.poller
        self.tls: Optional[Any] = getattr(sock, "facts", None)
        self.scheme = "http" if self.tls is None else "https"
        self.client = newcomer.client
        self.server = newcomer.server
        self.handler = self.context = None
        self._out: Optional[Deque[bytes]] = None  # most connections never need one
        self.out_size = 0
        self.gathered = b""
        self._file: Optional[Tuple[int, int, int]] = None
        self.closing = False
        self._severed = False
        self.events = READ
        self.deadline = NEVER
        self.check = NEVER

    # what a protocol defines

    def on_readable(self) -> None:
        """Receive and serve."""
        raise NotImplementedError

    def on_drained(self) -> None:
        """The unsent octets have fallen below the low-water mark, or there are none left."""
        raise NotImplementedError

    def on_deadline(self) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def on_lost(self) -> None:
        """The transport failed or the connection was closed: tell the application, once."""
        raise NotImplementedError

    def disconnect_streams(self) -> None:
        """Tell the application that its client is gone, though it is not."""
        if self.handler is not None:
            self.handler.on_disconnect()

    def drain(self, grace: float = 0.0) -> None:
        """End soon: answer what was received; what is idle may use ``grace`` seconds more."""
        raise NotImplementedError

    @property
    def idle(self) -> bool:
        """Tell whether closing now would lose nothing of the peer's."""
        raise NotImplementedError

    def take_over(self, predecessor: "Connection") -> None:
        """Take the socket of a connection that ends here, and what it has not sent yet."""
        predecessor.send_gathered()
        self._out, predecessor._out = predecessor._out, self._out
        self.out_size, predecessor.out_size = predecessor.out_size, 0
        self.events = predecessor.events
        self.context = predecessor.context
        self.poller.deadlines.discard(predecessor)
        predecessor.fd = -1
        self.poller.replace(self)
        if self.out_size:
            self.arm(self.runtime.plan.write_timeout)

    # sending

    def transmit(self, data: bytes) -> None:
        """Send now what the kernel takes, keep the rest, under the write deadline."""
        if self.gathered:
            self.send_gathered()
        if self.out_size or self._file is not None:
            self._keep(data)
            return
        poller = self.poller
        if poller.followers_wait:
            poller.gathering = True
        try:
            sent = self.send_octets(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.lose()
            return
        if sent < len(data):
            self.hold_back(data, sent)

    def dispatch(self, data: bytes) -> None:  # hot
        """Send with the other answers of this turn, or now if it is not to be waited for."""
        poller = self.poller
        if not poller.gathering or self.out_size or len(data) > GATHER:
            self.transmit(data)
        elif not self.gathered:
            self.gathered = data
            poller.gather(self)
        else:
            self.gathered += data
            if len(self.gathered) > GATHER:
                self.send_gathered()

    def send_gathered(self) -> None:  # hot
        """Send what waited for the end of the turn."""
        data = self.gathered
        if not data:
            return
        self.gathered = b""
        try:
            sent = self.send_octets(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.lose()
            return
        if sent != len(data):
            self.hold_back(data, sent)
        elif self.closing:
            self.linger()

    def hold_back(self, data: bytes, sent: int) -> None:
        """Keep what the kernel did not take of ``data`` and wait for it to take more."""
        self._keep(data[sent:] if sent else data)
        self.watch(self.events | WRITE)
        self.arm(self.runtime.plan.write_timeout)

    def _keep(self, data: bytes) -> None:
        if self._out is None:
            self._out = deque()
        self._out.append(data)
        self.out_size += len(data)

    def transmit_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send ``count`` octets of an open file after what is unsent; closes the descriptor."""
        self.send_gathered()
        self._file = (descriptor, offset, count)
        self.arm(self.runtime.plan.write_timeout)
        if not self.out_size:
            self._send_file()

    def on_writable(self) -> None:
        """Send more of what was kept."""
        if self.out_size:
            before = self.out_size
            try:
                self._flush()
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                self.lose()
                return
            if self.out_size != before:
                self.arm(self.runtime.plan.write_timeout)
            if self.out_size > LOW_WATER:
                return
        if self._file is not None and not self.out_size and not self._send_file():
            return
        if not self.out_size:
            self.watch(self.events & ~WRITE)
            if self.closing:
                self.linger()
                return
        self.on_drained()

    def _flush(self) -> None:
        out = self._out
        while out:
            if len(out) > 1 and self.out_size <= _FLUSH:
                joined = b"".join(out)
                out.clear()
                out.append(joined)
            data = out[0]
            sent = self.send_octets(memoryview(data)[:_FLUSH] if len(data) > _FLUSH else data)
            self.out_size -= sent
            if sent == len(data):
                out.popleft()
            else:
                # A view, so that a large body is not copied again for each piece of it.
                out[0] = memoryview(data)[sent:]  # type: ignore[assignment]
                if sent < _FLUSH:
                    return

    def _send_file(self) -> bool:
        """Send from the open file until the kernel takes no more; True when all is sent."""
        assert self._file is not None
        descriptor, offset, count = self._file
        try:
            while count:
                sent = self._send_file_piece(descriptor, offset, min(count, 1 << 20))
                if not sent:
                    # The file shrank under us: the announced length can no longer be kept.
                    self.reset()
                    return False
                offset += sent
                count -= sent
                self._file = (descriptor, offset, count)
                self.arm(self.runtime.plan.write_timeout)
        except (BlockingIOError, InterruptedError):
            self.watch(self.events | WRITE)
            return False
        except OSError:
            self.lose()
            return False
        os.close(descriptor)
        self._file = None
        return True

    def _send_file_piece(self, descriptor: int, offset: int, count: int) -> int:
        if self.tls is None and hasattr(os, "sendfile"):
            return os.sendfile(self.fd, descriptor, offset, count)
        data = os.pread(descriptor, min(count, 65_536), offset)
        return self.send_octets(data) if data else 0

    # waiting, where the application's thread owns the connection (WSGI)

    def receive_now(self, seconds: float) -> bytes:
        """Wait for octets and return them; never empty.

        Raises:
            ConnectionError: The peer ended or broke the connection, or sent nothing in time.
        """
        while not self.closed:
            try:
                data = self.recv(65_536)
            except (BlockingIOError, InterruptedError):
                self.send_gathered()
                self.poller.send_gathered()
                if wait_ready(self.fd, READ | (WRITE if self.out_size else 0), seconds):
                    if self.out_size:
                        self._flush_now()
                    continue
                self.reset()
                raise ConnectionAbortedError("the peer sent nothing for too long") from None
            except OSError:
                break
            if not data:
                break
            return data
        self.lose()
        raise ConnectionResetError("the peer has left")

    def wait_writable(self) -> None:
        """See ``waist.BlockingResponder.wait_writable``; waits on this thread."""
        if self.out_size > LOW_WATER:
            self.poller.send_gathered()
        while self.out_size > LOW_WATER:
            before = self.out_size
            self._flush_now()
            if self.out_size == before and not wait_ready(
                self.fd, WRITE, self.runtime.plan.write_timeout
            ):
                self.reset()
        if self.closed:
            raise ConnectionResetError("the peer has left, or takes nothing")

    def _flush_now(self) -> None:
        try:
            self._flush()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.lose()

    # time and readiness

    def arm(self, seconds: float) -> None:
        """Give the peer this long until ``on_deadline``."""
        self.deadline = self.poller.now + seconds
        if self.deadline < self.check:
            self.poller.deadlines.push(self)

    def watch(self, events: int) -> None:
        """Watch for READ, WRITE, both, or for the peer's end alone."""
        if events != self.events:
            self.events = events
            self.poller.watch(self, events)

    def on_hangup(self) -> None:
        """The peer has gone while it was not read from."""
        self.lose()

    # becoming another protocol

    def give_up(self) -> Newcomer:
        """Hand the socket over: this object serves it no longer, and another must be made."""
        self.send_gathered()
        newcomer = Newcomer(self.sock, self.client, self.server)
        self.poller.deadlines.discard(self)
        if self.context is not None:
            self.runtime.application.disconnect(self.context)
        self.fd = -1
        return newcomer

    # closing

    @property
    def closed(self) -> bool:
        """Tell whether the descriptor is gone, or about to go because the transport failed."""
        return self.fd < 0 or self._severed

    def lose(self) -> None:
        """Close because the transport failed, and tell the application."""
        if not self.closed:
            self._severed = True
            try:
                self.on_lost()
            finally:
                self.close()

    def close(self) -> None:
        """Close the socket now; idempotent. Unsent octets are dropped."""
        if self.fd < 0:
            return
        self.poller.forget(self)
        self.poller.deadlines.discard(self)
        self.fd = -1
        self.sock.close()
        if self._file is not None:
            os.close(self._file[0])
            self._file = None
        self._out = None
        self.out_size = 0
        self.gathered = b""
        self.runtime.on_closed(self)

    def linger(self) -> None:
        """Half-close, then drop what the peer still sends: a reset would take our answer away.

        RFC 9112 section 9.6.
        """
        raise NotImplementedError

    def half_close(self, seconds: float) -> bool:
        """Say that nothing more comes, and hear the peer out for so long; False if it has gone."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        self.watch(READ)
        self.arm(seconds)
        return True

    def reset(self) -> None:
        """Close so that the peer sees an error, not an end."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # already gone, which is what was wanted
        self.lose()


def wait_ready(fd: int, events: int, seconds: float) -> bool:
    """Wait until a descriptor is ready; False when the time ran out first."""
    if not hasattr(select, "poll"):
        reading, writing = [fd] if events & READ else [], [fd] if events & WRITE else []
        return any(select.select(reading, writing, [], seconds))
    poll = select.poll()
    poll.register(
        fd, (select.POLLIN if events & READ else 0) | (select.POLLOUT if events & WRITE else 0)
    )
    return bool(poll.poll(seconds * 1000.0))
