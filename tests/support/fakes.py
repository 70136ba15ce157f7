"""Stand-ins that do what the real thing does, without a kernel or a clock behind them."""

import errno
import math
from collections import deque
from contextlib import contextmanager
from typing import Any, Deque, Iterator, List, Optional, Union


class FakeClock:
    """A monotonic clock that moves when told."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        self.now += seconds
        return self.now


class ScriptedSocket:
    """A non-blocking stream socket whose peer is a script.

    Reading: ``feed`` queues what each ``recv`` gives, an exception to raise, or b"" for the end;
    with nothing queued ``recv`` would block. Writing: ``room`` octets are taken (None: all), then
    ``send`` would block until ``drain`` makes room again.
    """

    def __init__(self, *script: Union[bytes, BaseException], room: Optional[int] = None) -> None:
        self.script: Deque[Union[bytes, BaseException]] = deque(script)
        self.room = room
        self.sent = bytearray()
        self.sends: List[bytes] = []
        self.closed = False
        self.half_closed = False
        self.send_error: Optional[OSError] = None
        self.options: List[tuple] = []
        self.family = 2

    def feed(self, *script: Union[bytes, BaseException]) -> None:
        self.script.extend(script)

    def take(self) -> bytes:
        """What was sent since the last call."""
        taken = bytes(self.sent)
        self.sent.clear()
        return taken

    def drain(self, room: Optional[int] = None) -> bytes:
        """The peer reads everything and leaves this much room."""
        self.room = room
        return self.take()

    def fileno(self) -> int:
        return -1 if self.closed else 99

    def recv(self, size: int) -> bytes:
        self._check()
        if not self.script:
            raise BlockingIOError(errno.EAGAIN, "nothing to read")
        step = self.script.popleft()
        if isinstance(step, BaseException):
            raise step
        if len(step) > size:
            self.script.appendleft(step[size:])
        return step[:size]

    def recv_into(self, buffer, size: int = 0) -> int:
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data, flags: int = 0) -> int:
        self._check()
        if self.send_error is not None:
            raise self.send_error
        if self.half_closed:
            raise BrokenPipeError(errno.EPIPE, "half-closed")
        taken = bytes(data) if self.room is None else bytes(data[: self.room])
        if data and not taken:
            raise BlockingIOError(errno.EAGAIN, "no room")
        if self.room is not None:
            self.room -= len(taken)
        self.sent += taken
        self.sends.append(taken)
        return len(taken)

    def sendmsg(self, buffers, *_) -> int:
        return self.send(b"".join(buffers))

    def shutdown(self, how: int) -> None:
        self._check()
        self.half_closed = True

    def close(self) -> None:
        self.closed = True

    def setblocking(self, flag: bool) -> None:
        assert not flag, "only non-blocking sockets are served"

    def setsockopt(self, *option) -> None:
        self.options.append(option)

    def getpeername(self):
        return ("127.0.0.1", 50_000)

    def getsockname(self):
        return ("127.0.0.1", 8_000)

    def _check(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "closed")


class Turn:
    """What of a poller decides when answers leave: in one turn together, or each at once."""

    never = math.inf

    def __init__(self) -> None:
        self.gathering = False
        self.followers_wait = False
        self._gathered: List[Any] = []

    def gather(self, connection: Any) -> None:
        assert self.gathering, "kept back where nobody waits for others"
        self._gathered.append(connection)

    def send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for connection in gathered:
            connection.send_gathered()

    @contextmanager
    def callbacks(self) -> Iterator[None]:
        """Let a loop's callbacks answer: the first leaves at once, the others at the end."""
        self.followers_wait = True
        yield
        self.send_gathered()
        self.followers_wait = self.gathering = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Serve several connections at once: what is answered within leaves at the end."""
        self.gathering = True
        yield
        self.send_gathered()
        self.gathering = False
