"""What surrounds a connection in a runtime, without a kernel, a clock or a thread behind it."""

from granian.engine.deadlines import Deadlines
from granian.engine.http1 import PHASE_NAMES, Http1Connection
from granian.engine.poller import READ, WRITE, Newcomer
from granian.engine.runtime import SERVING, Counters
from granian.plan import WorkerPlan
from granian.wire.http1.lane import HeadLane
from granian.wire.http1.writer import HeadWriter

from .fakes import FakeClock, ScriptedSocket, Turn

DATE = b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


class FakePoller(Turn):
    """A poller whose readiness comes from ``Served`` and whose clock moves when told."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock()
        self.deadlines = Deadlines()
        self.connections = {}
        self.watched = {}

    @property
    def now(self):
        return self.clock.now

    def adopt(self, connection, events=READ):
        self.connections[connection.fd] = connection
        self.watched[connection.fd] = events

    def replace(self, connection):
        assert connection.fd in self.connections, "nothing to be replaced"
        self.connections[connection.fd] = connection

    def watch(self, connection, events):
        assert connection.fd in self.connections, "watched after it was forgotten"
        self.watched[connection.fd] = events

    def forget(self, connection):
        self.connections.pop(connection.fd, None)
        self.watched.pop(connection.fd, None)

    def advance(self, seconds):
        """Move the clock and let what is due expire."""
        self.deadlines.expire(self.clock.advance(seconds))


class RecordingHandler:
    """A handler that writes down what it is told."""

    def __init__(self, log):
        self.log = log

    def on_body(self, data, last):
        self.log.append(("body", data, last))

    def on_writable(self):
        self.log.append(("writable",))

    def on_disconnect(self):
        self.log.append(("disconnect",))


class RecordingApplication:
    """An application that does with each request what the next of its scripts says.

    Attributes:
        log: What it was told, in order.
        heads: The heads of its exchanges.
        scripts: Callables of ``(responder, body, complete)``, one per exchange; with none left an
            exchange stays open until the test answers it.
    """

    def __init__(self, *scripts):
        self.log = []
        self.heads = []
        self.scripts = list(scripts)

    def connect(self, peer):
        return {"peer": peer}

    def disconnect(self, context):
        assert "peer" in context
        self.log.append(("closed",))

    def begin(self, responder, head, body, complete):
        self.heads.append(head)
        self.log.append(("begin", body, complete))
        responder.handler = RecordingHandler(self.log)
        if self.scripts:
            self.scripts.pop(0)(responder, body, complete)


class FakeRuntime:
    """What connections share, with calls that are posted kept until ``Served`` runs them."""

    def __init__(self, application, plan=None):
        self.plan = plan or WorkerPlan(interface="asgi")
        self.application = application
        self.poller = FakePoller()
        self.call_soon = None
        self.state = SERVING
        self.linger_time = 5.0
        self.lane = HeadLane(self.plan.http1.buffer_size)
        self.writer = HeadWriter(DATE)
        self.counters = Counters()
        self.posted = []
        self.closed = []
        self.refusals = []

    def post(self, call):
        self.posted.append(call)

    def post_to(self, connection, call):
        self.post(call)

    def log_refusal(self, connection, error):
        self.refusals.append(error.status)

    def on_closed(self, connection):
        self.closed.append(connection)
        self.application.disconnect(connection.context)


class Served:
    """One HTTP/1 connection over a scripted socket: the test is its peer, kernel and clock."""

    def __init__(self, *scripts, plan=None, room=None):
        self.application = RecordingApplication(*scripts)
        self.runtime = FakeRuntime(self.application, plan)
        self.poller = self.runtime.poller
        self.sock = ScriptedSocket(room=room)
        self.connection = Http1Connection(
            Newcomer(self.sock, ("127.0.0.1", 50_000), ("127.0.0.1", 8_000)), self.runtime
        )
        self.poller.adopt(self.connection)
        self.fd = self.connection.fd
        self.connection.on_readable()  # as who makes one does: its octets may be there already

    @property
    def log(self):
        return self.application.log

    @property
    def phase(self):
        return PHASE_NAMES[self.connection.phase]

    @property
    def watched(self):
        """What the poller watches: any of the letters r and w, and - for the end alone."""
        events = self.poller.watched[self.fd]
        return ("r" if events & READ else "") + ("w" if events & WRITE else "") or "-"

    def receive(self, *data):
        """The peer sends; the poller calls as often as there is something and it is watched."""
        self.sock.feed(*data)
        while self.sock.script and self.poller.watched.get(self.fd, 0) & READ:
            self.connection.on_readable()
        return self

    def end(self):
        """The peer sends its end of stream."""
        return self.receive(b"")

    def run_posted(self):
        posted, self.runtime.posted = self.runtime.posted, []
        for call in posted:
            call()
        return self

    def drain(self, room=None):
        """The peer reads all that was sent, and the poller says so while that is watched."""
        taken = self.sock.drain(room)
        while self.poller.watched.get(self.fd, 0) & WRITE and self.sock.room != 0:
            self.connection.on_writable()
            taken += self.sock.take()
        return taken

    def sent(self):
        """The octets sent since the last question."""
        return self.sock.take()
