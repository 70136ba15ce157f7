"""A runtime without a kernel, a thread or an application: for connections under test."""

from types import SimpleNamespace
from typing import Any, Callable, List, Optional

from granian.engine.deadlines import Deadlines
from granian.engine.poller import Newcomer
from granian.plan import WorkerPlan
from granian.wire.http1.lane import HeadLane
from granian.wire.http1.writer import HeadWriter
from granian.wire.http2.compression import Lexicon
from tests.support.fakes import ScriptedSocket, Turn


class ScriptedPoller(Turn):
    """A poller whose clock and readiness are the test's."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.deadlines = Deadlines()
        self.connections: dict = {}
        self.watched: List[int] = []

    def replace(self, connection: Any) -> None:
        self.connections[connection.fd] = connection

    def forget(self, connection: Any) -> None:
        self.connections.pop(connection.fd, None)

    def watch(self, connection: Any, events: int) -> None:
        self.watched.append(events)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.deadlines.expire(self.now)


class ScriptedApplication:
    """An application that notes exchanges; ``script(responder, head, body, complete)`` answers."""

    def __init__(self, script: Optional[Callable[..., None]] = None) -> None:
        self.script = script
        self.begun: List[Any] = []
        self.disconnected: List[Any] = []

    def connect(self, peer: Any) -> Any:
        return {"peer": peer}

    def disconnect(self, context: Any) -> None:
        self.disconnected.append(context)

    def begin(self, responder: Any, head: Any, body: bytes, complete: bool) -> None:
        responder.handler = ScriptedHandler(responder, head)
        self.begun.append(responder.handler)
        if self.script is not None:
            self.script(responder, head, body, complete)


class ScriptedHandler:
    def __init__(self, responder: Any, head: Any) -> None:
        self.responder = responder
        self.head = head
        self.events: List[Any] = []

    def on_body(self, data: bytes, last: bool) -> None:
        self.events.append(("body", bytes(data), last))

    def on_writable(self) -> None:
        self.events.append(("writable",))

    def on_disconnect(self) -> None:
        self.events.append(("disconnect",))


class ScriptedRuntime:
    """What a connection needs of its runtime."""

    def __init__(
        self, script: Optional[Callable[..., None]] = None, plan: Optional[WorkerPlan] = None
    ) -> None:
        self.plan = plan or WorkerPlan()
        self.poller = ScriptedPoller()
        self.call_soon = None
        self.lane = HeadLane(self.plan.http1.buffer_size)
        self.writer = HeadWriter(b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n")
        self.lexicon = Lexicon()
        self.lexicon.set_date(b"Thu, 01 Jan 1970 00:00:00 GMT")
        self.stream_begin = self._begin
        self.application = ScriptedApplication(script)
        self.posted: List[Callable[[], None]] = []
        self.closed: List[Any] = []
        self.refused: List[Any] = []
        self.draining = self.stopped = False
        self.linger_time = 5.0

        class Counters:
            connections_handled = connections_err = requests_handled = 0
            websockets_handled = websockets_err = 0

        self.counters = Counters()
        self.engine = SimpleNamespace(stream_threads=None)

    def _begin(self, *args: Any) -> None:
        self.application.begin(*args)

    def post(self, call: Callable[[], None]) -> None:
        self.posted.append(call)

    def post_to(self, connection: Any, call: Callable[[], None]) -> None:
        self.post(call)

    def turn(self) -> None:
        """Run what was posted."""
        while self.posted:
            self.posted.pop(0)()

    def on_closed(self, connection: Any) -> None:
        self.closed.append(connection)

    def log_refusal(self, connection: Any, error: Any) -> None:
        self.refused.append(error)

    def protocol(self, alpn: Optional[str]) -> Any:
        from granian.engine.http1 import Http1Connection
        from granian.engine.http2 import Http2Connection

        return Http2Connection if self.plan.http == "2" or alpn == "h2" else Http1Connection

    def connect(self, alpn: Optional[str] = None, sock: Any = None) -> Any:
        """Make a connection as the poller would; its socket is ``connection.sock``."""
        sock = sock or ScriptedSocket()
        newcomer = Newcomer(sock, ("127.0.0.1", 50_000), ("127.0.0.1", 8_000))
        connection = self.protocol(alpn)(newcomer, self)
        self.poller.replace(connection)
        return connection
