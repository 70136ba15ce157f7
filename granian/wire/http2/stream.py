"""One stream: one exchange, seen from the wire. Its verbs are those of ``waist.Responder``.

The engine's ``Http2Stream`` derives from it and adds what needs sockets, threads or an
application; the hooks named ``on_*`` are called here and defined there.

    awaiting --start--> streaming --finish--> complete
    awaiting --respond-----------------------> complete
    awaiting, streaming --reset, abort, lost--> broken

``remote_open`` tells whether the peer may still send; the stream leaves the connection's table
once both halves are over. RFC 9113 sections 5.1 and 8.1.
"""

from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Iterable, Optional, Tuple

from ...errors import AppError
from ..head import RequestHead
from ..status import forbids_body
from .codes import (
    CANCEL,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INTERNAL_ERROR,
    frame,
    pack_header,
)
from .outflow import Octets
from .request import DEFAULT_URGENCY
from .response import STREAMED, interim_block, response_block, trailer_block

if TYPE_CHECKING:
    from .session import Session

AWAITING, STREAMING, COMPLETE, BROKEN = 0, 1, 2, 3

Fields = Iterable[Tuple[bytes, bytes]]


class Stream:
    """The state of one stream and the verbs of its response.

    Attributes:
        number: The stream identifier.
        phase: AWAITING, STREAMING, COMPLETE or BROKEN: where the response is.
        remote_open: The peer has not ended its half.
        send_window: What the peer lets us send on this stream; may be negative.
        receive_window: What we let the peer send.
        credit: Octets consumed but not yet given back as window.
        held: Octets given to the handler and not yet consumed by it.
        expected: Octets of body announced, or ``CHUNKED``.
        received: Octets of body seen.
        fresh, early: The head of a request that is about to begin, and what came of its body.
        queue, queued: Pieces of the response not yet cut into frames, and their octets.
        ending, trailers: The response ends after the queue, with this block if it has trailers.
        remaining: Octets of the announced response still owed, or ``STREAMED``.
        listed: The stream has its place in the outflow's round.
        urgency, incremental: RFC 9218. Who does not ask for a priority gets a fair share.
        moved_at, heard_at: When something was last sent and received on it.
        wants_body: The application waits for body octets.
        waiting: ``write`` asked the application to wait.
        handler: Who is told on the application's side; let go at the end of the response, so that
            the two do not keep each other alive.
    """

    __slots__ = (
        "__weakref__",
        "credit",
        "early",
        "ending",
        "expected",
        "expects_continue",
        "fresh",
        "handler",
        "head_only",
        "heard_at",
        "held",
        "incremental",
        "listed",
        "moved_at",
        "number",
        "phase",
        "queue",
        "queued",
        "receive_window",
        "received",
        "remaining",
        "remote_open",
        "send_window",
        "session",
        "trailers",
        "urgency",
        "waiting",
        "wants_body",
    )

    queue: Deque[Octets]
    handler: Any

    def __init__(self, session: "Session", number: int) -> None:
        self.session = session
        self.number = number
        self.phase = AWAITING
        self.send_window = session.send_window
        self.receive_window = session.inflow.stream_window
        self.credit = self.held = self.received = self.queued = 0
        self.urgency = DEFAULT_URGENCY
        self.incremental = True
        self.listed = self.ending = self.waiting = self.wants_body = False
        self.trailers: Optional[bytes] = None
        self.remaining = STREAMED
        self.moved_at = self.heard_at = session.now
        self.head_only = self.expects_continue = self.remote_open = False
        self.expected = 0
        self.fresh: Optional[RequestHead] = None
        self.early = b""

    # Hooks, called by the session.

    def on_request(self, head: RequestHead, body: bytes, complete: bool) -> None:
        """Take the request and what has come of its body; ``complete`` if that is all of it."""
        raise NotImplementedError

    def on_data(self, data: bytes, last: bool) -> None:
        """Take body octets."""
        raise NotImplementedError

    def on_reset(self) -> None:
        """The stream is broken: by the peer, by its fault, or with its connection."""
        raise NotImplementedError

    def on_writable(self) -> None:
        """The queue has fallen below the low-water mark after ``write`` returned True."""
        raise NotImplementedError

    # Verbs, called by the application's side.

    @property
    def closed(self) -> bool:
        """Tell that nothing sent can reach the peer any more."""
        return self.phase == BROKEN

    def respond(self, status: int, headers: Fields, body: bytes) -> None:
        """Send a whole response; see ``waist.Responder``."""
        if self.phase != AWAITING:
            if self.phase == BROKEN:
                return
            raise AppError("Response already started")
        session = self.session
        size = len(body)
        pairs = tuple(headers)
        if self.head_only:
            block = response_block(session.lexicon, status, pairs, size, head=True)[0]
            size = 0
        else:
            try:
                block = session.lexicon.blocks[status, pairs, size]
            except (KeyError, TypeError):
                block = response_block(session.lexicon, status, pairs, size, head=False)[0]
            if status in (204, 304):
                size = 0
        outflow = session.outflow
        if session.encoder.prefix:
            block = session.block_prefix() + block
        length = len(block)
        if not size:
            outflow.headers(self.number, block, True)
        elif (
            outflow.waiting
            or size > self.send_window
            or size > session.judge.outbound_flow_control_window
            or size > outflow.max_frame
            or length > outflow.max_frame
        ):
            outflow.headers(self.number, block, False)
            self.phase = STREAMING
            self._enqueue(body, size)
            self._end()
            return
        else:
            session.judge.outbound_flow_control_window -= size
            number = self.number
            outflow.octets += (
                pack_header(length >> 16, length & 0xFFFF, HEADERS, END_HEADERS, number),
                block,
                pack_header(size >> 16, size & 0xFFFF, DATA, END_STREAM, number),
                body,
            )
        self.phase = COMPLETE
        session.local_end(self)

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """Begin a streamed response with its first piece; see ``waist.Responder``."""
        if self.phase != AWAITING:
            if self.phase == BROKEN:
                return False
            raise AppError("Response already started")
        session = self.session
        block, announced = response_block(
            session.lexicon, status, headers, STREAMED, head=self.head_only
        )
        session.outflow.headers(self.number, session.block_prefix() + block, False)
        self.remaining = announced
        self.phase = STREAMING
        if self.head_only or forbids_body(status):
            self.head_only = True
        session.wake()
        return self.write(data) if data else False

    def write(self, data: bytes) -> bool:
        """Send a piece; see ``waist.Responder``. What exceeds the announced length is cut."""
        if self.phase != STREAMING or self.ending or self.head_only:
            return False
        size = len(data)
        excess = False
        if self.remaining != STREAMED:
            if size > self.remaining:
                data, size, excess = data[: self.remaining], self.remaining, True
            self.remaining -= size
        if size:
            self._enqueue(data, size)
            self.session.wake()
        if excess:
            raise AppError("the response is longer than its content-length", sent=True)
        self.waiting = self.queued >= self.session.high_water
        return self.waiting

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """End a streamed response; see ``waist.Responder``."""
        if self.phase != STREAMING or self.ending:
            return
        block = trailer_block(trailers) if trailers else b""
        if data:
            try:
                self.write(data)
            except AppError:
                self._end()  # cut, but ended: nobody will come back to end it
                raise
        if self.remaining > 0 and not self.head_only:
            self.session.reset(self, INTERNAL_ERROR)
            raise AppError("the response is shorter than its content-length", sent=True)
        if block:
            self.trailers = block
        self._end()

    def inform(self, status: int, headers: Fields) -> None:
        """Send an interim response; see ``waist.Responder``."""
        if self.phase != AWAITING:
            return
        session = self.session
        block = session.block_prefix() + interim_block(status, headers)
        session.outflow.headers(self.number, block, False)
        session.wake()

    def want_body(self, consumed: int) -> None:
        """Give back window for what the application consumed; see ``waist.Responder``."""
        if self.expects_continue:
            self.expects_continue = False
            if not self.received:
                self.inform(100, ())
        self.wants_body = True
        self.heard_at = self.session.now
        if consumed:
            self.session.consumed(self, consumed)

    def abort(self) -> None:
        """Reset the stream so that the peer sees the response is not whole."""
        if self.phase < COMPLETE:
            self.session.reset(self, INTERNAL_ERROR)

    def cancel(self) -> None:
        """Reset the stream because the exchange is no longer wanted."""
        if self.phase < COMPLETE:
            self.session.reset(self, CANCEL)

    # Within the package.

    def _enqueue(self, data: bytes, size: int) -> None:
        if not self.queued:
            self.queue = deque()
            self.moved_at = self.session.now
            self.session.outflow.waiting += 1
        self.queue.append(data)
        self.queued += size
        self.session.outflow.enlist(self)

    def _end(self) -> None:
        self.ending = True
        if not self.queued:
            self.flush_end()
        self.session.wake()

    def flush_end(self) -> None:
        """Send what ends the response once the queue is empty: trailers or an empty frame."""
        session = self.session
        if self.trailers is not None:
            block = session.block_prefix() + self.trailers
            session.outflow.headers(self.number, block, True)
        else:
            session.outflow.octets.append(frame(DATA, END_STREAM, self.number))
        self.phase = COMPLETE
        session.local_end(self)
