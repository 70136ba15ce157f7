"""Streams whose application may block: it runs on another thread, the stream stays where it is.

An HTTP/2 connection carries many exchanges, so its thread must not wait for one of them. The
application's thread calls a ``BlockingStream``; each verb is done by the connection's thread while
the caller waits for its outcome, so that an ``AppError`` reaches who caused it.
"""

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Deque, Optional, Tuple

from .._typing import Address
from ..wire.head import RequestHead
from ..wire.waist import Fields
from ..wsgi.body import GatheringBody, gathers

if TYPE_CHECKING:
    from .http2 import Http2Stream
    from .runtime import Runtime

_LOOK = 5.0  # seconds after which a waiting application looks whether anybody is left to answer


class BlockingThreads:
    """Threads that run applications: grown on demand, gone when idle.

    Args:
        most: How many there may be.
        idle_timeout: Seconds without work after which one leaves.
    """

    def __init__(self, most: int, idle_timeout: float) -> None:
        self._most = most
        self._idle_timeout = idle_timeout
        self._changed = threading.Condition()
        self._work: Deque[Callable[[], None]] = deque()
        self._idle = 0
        self._count = 0

    # any thread

    def run(self, work: Callable[[], None]) -> None:
        """Have ``work`` run on a thread that may block, as soon as there is one."""
        with self._changed:
            self._work.append(work)
            if self._idle >= len(self._work) or self._count >= self._most:
                self._changed.notify()
                return
            self._count += 1
        threading.Thread(target=self._serve, name="granian-blocking", daemon=True).start()

    # its own threads

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    self._idle += 1
                    woken = self._changed.wait(self._idle_timeout)
                    self._idle -= 1
                    if not woken and not self._work:
                        self._count -= 1
                        return
                work = self._work.popleft()
            work()
            del work  # an idle thread keeps no exchange alive


class BlockingStream:
    """The responder that an application on another thread sees, and the stream's handler.

    Attributes:
        handler: Set by the application's interface; hears of a disconnect.
    """

    __slots__ = (
        "_changed",
        "_gone",
        "_last",
        "_pieces",
        "_runtime",
        "_stream",
        "_taken",
        "handler",
    )

    def __init__(self, stream: "Http2Stream", runtime: "Runtime", complete: bool) -> None:
        self._stream = stream
        self._runtime = runtime
        self._changed = threading.Condition()
        self._pieces: Deque[bytes] = deque()
        self._last = complete
        self._gone = False
        self._taken = 0
        self.handler: Any = None

    # the application's thread

    def run(self, application: Any, head: RequestHead, body: bytes) -> None:
        """Run the exchange to its end, unless its client has gone while it waited for a thread."""
        if not self._gone:
            try:
                application.begin(self, head, body, self._last and not self._pieces)
            except ConnectionAbortedError:
                pass  # the server has stopped under the application

    @property
    def closed(self) -> bool:
        """Tell that nothing sent can reach the peer any more."""
        return self._gone

    @property
    def context(self) -> Any:
        """What the interface keeps of the connection."""
        return self._stream.context

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self._stream.scheme

    @property
    def client(self) -> Optional[Address]:
        """The peer's address."""
        return self._stream.client

    @property
    def server(self) -> Optional[Address]:
        """Our own address."""
        return self._stream.server

    @property
    def tls(self) -> Optional[Any]:
        """What is known of the connection's security."""
        return self._stream.tls

    loop = None

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """See ``waist.Responder.respond``."""
        self._call(self._stream.respond, status, tuple(headers), body)

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """See ``waist.Responder.respond_file``."""
        self._call(self._stream.respond_file, status, tuple(headers), descriptor, offset, count)

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Responder.start``."""
        return bool(self._call(self._stream.start, status, tuple(headers), data))

    def write(self, data: bytes) -> bool:
        """See ``waist.Responder.write``."""
        return bool(self._call(self._stream.write, data))

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Responder.finish``."""
        self._call(self._stream.finish, tuple(trailers), data)

    def inform(self, status: int, headers: Fields) -> None:
        """See ``waist.Responder.inform``."""
        self._call(self._stream.inform, status, tuple(headers))

    def abort(self) -> None:
        """See ``waist.Responder.abort``."""
        self._call(self._stream.abort)

    def pull_body(self) -> bytes:
        """See ``waist.BlockingResponder.pull_body``."""
        with self._changed:
            while not self._pieces:
                if self._last:
                    return b""
                if self._gone:
                    raise ConnectionAbortedError("the stream has ended")
                taken, self._taken = self._taken, 0
                # The session resets the stream when nothing comes for too long.
                self._post(partial(self._want, taken))
                self._changed.wait()
            piece = self._pieces.popleft()
            self._taken += len(piece)
            return piece

    def want_body(self, consumed: int) -> None:
        """See ``waist.Responder.want_body``."""
        self._post(partial(self._want, consumed))

    def wait_writable(self) -> None:
        """See ``waist.BlockingResponder.wait_writable``."""
        with self._changed:
            while not self._gone and self._stream.waiting:
                self._changed.wait()
            if self._gone:
                raise ConnectionAbortedError("the stream has ended")

    def _post(self, call: Callable[[], None]) -> None:
        self._runtime.post_to(self._stream.session.owner, call)

    def _call(self, verb: Callable[..., Any], *args: Any) -> Any:
        """Have the connection's thread do something and wait for what comes of it."""
        call = _Call(verb, args)
        self._post(call)
        while not call.done.acquire(timeout=_LOOK):
            if self._runtime.stopped:
                raise ConnectionAbortedError("the server has stopped")
        return call.outcome()

    # the connection's thread

    def _want(self, consumed: int) -> None:
        with self._changed:
            if self._pieces or self._last or self._gone:
                consumed, self._taken = 0, self._taken + consumed
                return
        self._stream.want_body(consumed)

    def on_body(self, data: bytes, last: bool) -> None:
        """Keep octets for whoever pulls them."""
        with self._changed:
            if data:
                self._pieces.append(data)
            self._last = last
            self._changed.notify()

    def on_writable(self) -> None:
        """Let the application's thread go on."""
        with self._changed:
            self._changed.notify()

    def on_disconnect(self) -> None:
        """Wake the application's thread with the news."""
        with self._changed:
            self._gone = True
            handler = self.handler
            self._changed.notify()
        if handler is not None:
            handler.on_disconnect()


class _Call:
    """A call posted to another thread, and its outcome."""

    __slots__ = ("_args", "_error", "_result", "_verb", "done")

    def __init__(self, verb: Callable[..., Any], args: Tuple[Any, ...]) -> None:
        self._verb = verb
        self._args = args
        self.done = threading.Lock()
        self.done.acquire()
        self._result: Any = None
        self._error: Optional[BaseException] = None

    def __call__(self) -> None:
        try:
            self._result = self._verb(*self._args)
        except BaseException as error:
            self._error = error
        self.done.release()

    def outcome(self) -> Any:
        """Return the result, or raise the error."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._result


def begin_blocking(runtime: "Runtime") -> Callable[["Http2Stream", RequestHead, bytes, bool], None]:
    """Make the ``begin`` of connections whose application blocks; not for two callers at once."""
    plan, engine = runtime.plan, runtime.engine
    if engine.stream_threads is None:
        limit, idle_timeout = plan.blocking_threads, plan.blocking_threads_idle_timeout
        engine.stream_threads = BlockingThreads(limit, idle_timeout)
    threads = engine.stream_threads
    application = runtime.application

    def run(stream: Any, head: RequestHead, body: bytes, complete: bool) -> None:
        responder = stream.handler = BlockingStream(stream, runtime, complete)
        threads.run(partial(responder.run, application, head, body))

    def begin(stream: "Http2Stream", head: RequestHead, body: bytes, complete: bool) -> None:
        if complete or not gathers(head, body):
            run(stream, head, body, complete)
        else:
            stream.handler = GatheringBody(stream, head, body, run)
            stream.want_body(len(body))

    return begin
