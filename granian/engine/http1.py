"""One HTTP/1 connection: its octets, its one exchange at a time, and the answer's way out.

The connection is the Responder of the exchange in work (``wire.waist``). Everything runs on the
thread that owns it. RFC 9112.

Phases::

    IDLE      waiting for a head, or holding part of one
    SERVING   the application has a request; its body may still be arriving
    FLUSHING  the answer is complete but not yet taken by the kernel
    DISCARD   the answer is complete, the rest of the request's body is read and dropped
    LINGER    half-closed: what the peer still sends is dropped
    CLOSED    the descriptor is gone

    IDLE -head-> SERVING -answered-> IDLE | FLUSHING | DISCARD
    FLUSHING -drained-> IDLE | DISCARD;  DISCARD -body's end-> IDLE
    any -finish-> LINGER -end, deadline-> CLOSED;  any -lost, reset, deadline-> CLOSED
"""

import fcntl
import os
import termios
from typing import TYPE_CHECKING, Any, Optional, Tuple

from ..errors import AppError, PeerError
from ..wire.head import CHUNKED, HTTP_1_1, RequestHead
from ..wire.http1 import reader
from ..wire.http1.body import ChunkedBody
from ..wire.http1.lane import Section
from ..wire.http1.writer import (
    LAST_CHUNK,
    UNTIL_CLOSE,
    Head,
    encode_chunk,
    encode_interim,
    encode_trailers,
)
from ..wire.status import refusal
from ..wire.waist import Fields
from .connection import HIGH_WATER, Connection
from .deadlines import NEVER
from .poller import ERRORS, READ, Newcomer

if TYPE_CHECKING:
    from .runtime import Runtime

IDLE, SERVING, FLUSHING, DISCARD, LINGER, CLOSED = range(6)

PHASE_NAMES = ("idle", "serving", "flushing", "discarding", "lingering", "closed")

_NOT_STARTED, _STREAMING, _COMPLETE = range(3)  # the response of the exchange in work

_NO_BODY = -3  # framing of a streamed response whose content is not sent

MAX_DISCARD = 65_536
"""Octets of a body nobody read that are received to keep the connection (RFC 9112 section 9.3)."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says that speaks HTTP/2 (RFC 9113 section 3.4)."""

_NOTHING = bytes(4)  # a C int of zero

_LONGER = "the response is longer than its content-length"
_SHORTER = "the response is shorter than its content-length"

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE_LINE = b"connection: close\r\n"
_KEEP_ALIVE_LINE = b"connection: keep-alive\r\n"


class Http1Connection(Connection):
    """A connection that speaks HTTP/1, and the responder of its exchanges."""

    __slots__ = (
        "_body_left",
        "_body_open",
        "_chunked",
        "_discarded",
        "_ended",
        "_expects",
        "_fate",
        "_framing",
        "_head",
        "_in_turn",
        "_keep_alive",
        "_partial",
        "_pending",
        "_plain",
        "_response",
        "_scanned",
        "_wanted",
        "begin",
        "counters",
        "idle_timeout",
        "read_head",
        "section",
        "writer",
    )

    def __init__(self, newcomer: Newcomer, runtime: "Runtime") -> None:
        super().__init__(newcomer, runtime)
        # for the life of the worker
        self.read_head = runtime.lane.read_head
        self.writer = runtime.writer
        self.begin = runtime.application.begin
        self.counters = runtime.counters
        self.idle_timeout = runtime.plan.http1.header_read_timeout
        # for the life of the connection
        self.phase = IDLE
        self._keep_alive = runtime.plan.http1.keep_alive
        self._partial: Optional[bytearray] = None
        self._pending = b""
        self.section: Optional[Section] = None
        self._ended = False
        self._in_turn = False
        # for one exchange
        self._head: Optional[RequestHead] = None
        self._plain = False
        self._fate = b""
        self._response = _NOT_STARTED
        self._framing = 0
        self._body_open = False
        self._body_left = 0
        self._chunked: Optional[ChunkedBody] = None
        self._expects = False
        self._wanted = False
        self._discarded = 0
        self.context = runtime.application.connect(self)

    # reading

    def on_readable(self) -> None:  # hot: counted by test_budget
        """Receive once and serve what it completes."""
        if self._body_open and not self._wanted and self.phase != DISCARD:
            # Nobody has asked for the octets that are waiting: leave them to the kernel.
            self.watch(self.events & ~READ)
            return
        try:
            data = self.recv(65_536)
        except (BlockingIOError, InterruptedError):
            if self.phase == IDLE and self.deadline == NEVER:
                self.arm(self.idle_timeout)  # not one octet yet: they were announced too early
            return
        except OSError:
            self.lose()
            return
        if not data:
            self._on_end()
        elif self.phase == IDLE and self._partial is None:
            self._serve(data)
        else:
            self._on_more(data)

    def _serve(self, data: bytes) -> None:  # hot
        """Serve the requests at the front of ``data`` until one has to be waited for."""
        while True:
            result = self.read_head(data, self)
            if isinstance(result, int):
                read = self._read_unusual(data)
                if read is None:
                    return
                result = read
            head, consumed = result
            self._head = head
            self.phase = SERVING
            self.deadline = self.poller.never
            self._response = _NOT_STARTED
            if not head.keep_alive:
                self._keep_alive = False
            self._fate = b"" if self._keep_alive else _CLOSE_LINE
            self._plain = head.version == HTTP_1_1 and head.method != "HEAD"
            if head.body_length:
                body = self._open_body(head, data[consumed:])
                if self.phase != SERVING:
                    return
            else:
                body = b""
                self._pending = data[consumed:] if consumed != len(data) else b""
            if head.upgrade is not None and self._upgrade(head):
                return
            self._in_turn = True
            self.begin(self, head, body, not self._body_open)
            self._in_turn = False
            if self.phase != IDLE:
                return
            # An idle connection keeps nothing of its last exchange alive.
            self.handler = self._head = None
            data = self._pending
            if not data:
                return
            self._pending = b""

    def _read_unusual(self, data: bytes) -> Optional[Tuple[RequestHead, int]]:
        """Read what the lane declined, or keep what is not a whole head yet."""
        if data[:3] == b"PRI" and self._response == _NOT_STARTED and self._is_preface(data):
            return None
        limit = self.runtime.plan.http1.buffer_size
        end = reader.find_end(data, 2 if data[:2] == b"\r\n" else 0)
        try:
            if end < 0 or end > limit:
                reader.check_incomplete(data[: end if end > 0 else None], limit)
                self._keep_partial(data)
                return None
            return reader.read_head(data[:end], limit), end
        except PeerError as error:
            self._refuse(error)
            return None

    def _is_preface(self, data: bytes) -> bool:
        """Become HTTP/2 where a client speaks it unasked, or wait for the rest of its preface.

        RFC 9113 section 3.3.
        """
        if self.runtime.plan.http == "1" or data[:24] != PREFACE[: len(data)]:
            return False
        if len(data) < len(PREFACE):
            self._keep_partial(data)
            return True
        draining = not self._keep_alive
        connection: Any = self.runtime.protocol("h2")(self.give_up(), self.runtime)
        self.phase = CLOSED
        self.poller.replace(connection)
        connection.feed(data)
        if draining and not connection.closed:
            connection.drain()
        return True

    def _keep_partial(self, data: bytes) -> None:
        self._partial = bytearray(data)
        self._scanned = len(data)
        # From the first octet of a head to its last; an idle wait before it does not count.
        self.arm(self.idle_timeout)

    def _on_partial(self, data: bytes) -> None:
        """Add to a head that came in pieces, looking at each octet once."""
        partial = self._partial
        assert partial is not None
        partial += data
        end = reader.find_end(partial, self._scanned - 2)
        if end < 0:
            self._scanned = len(partial)
            try:
                reader.check_incomplete(partial, self.runtime.plan.http1.buffer_size)
            except PeerError as error:
                self._refuse(error)
            return
        self._partial = None
        self._serve(bytes(partial))

    def _on_more(self, data: bytes) -> None:
        """Take octets that begin no exchange."""
        phase = self.phase
        if phase == IDLE:
            self._on_partial(data)
        elif phase == LINGER:
            return
        elif phase == DISCARD or self._body_open:
            self._on_body(data)
        else:
            # The next request, early: one is in work, so it waits, and no more is read than a
            # head may have.
            self._pending += data
            if len(self._pending) >= self.runtime.plan.http1.buffer_size:
                self.watch(self.events & ~READ)

    def _on_end(self) -> None:
        """The peer sent its end of stream."""
        if self.gathered:
            self.send_gathered()  # its answer is of this very turn
        held = self.phase == IDLE and self._partial is not None and not self._scanned
        if held or (self._pending and self.phase in (SERVING, FLUSHING)):
            # Requests stand before it that have not had their turn: it is read again after them.
            self.watch(self.events & ~READ | ERRORS)
            return
        if self.phase not in (SERVING, FLUSHING) or self._body_open:
            self.lose()
            return
        # A whole request was sent: the peer may still read the answer (a half-close), but the
        # application is told, and the connection will not be used again.
        self._ended = True
        self._keep_alive = self._plain = False
        self.watch(self.events & ~READ | ERRORS)
        if self.phase == FLUSHING:
            self.closing = True
        elif self.handler is not None:
            self.handler.on_disconnect()

    def on_hangup(self) -> None:
        """The peer is gone, or it ended its stream while reading was paused."""
        if self.events & ERRORS:
            # The end is known already; what fires again is the reset of a dead connection.
            self.lose()
        elif self._body_open:
            # What is left of the body stands before the end: reading will find both.
            self.watch(self.events | ERRORS)
        else:
            self._on_end()

    # the request's body

    def _open_body(self, head: RequestHead, data: bytes) -> bytes:
        """Cut the body octets at hand from ``data``; what follows the body is pending."""
        self._pending = b""
        self._body_open = True
        self._wanted = False
        self._discarded = 0
        self._expects = head.expects_continue and not data
        if head.body_length == CHUNKED:
            self._chunked = ChunkedBody()
            self._body_left = 0
        else:
            self._body_left = head.body_length
        try:
            return self._cut_body(data) if data else b""
        except PeerError as error:
            self._refuse(error)
            return b""

    def _cut_body(self, data: bytes) -> bytes:
        """Return the octets of ``data`` that are content; at the body's end, keep the rest."""
        if self._chunked is not None:
            content, rest = self._chunked.feed(data)
            if rest is not None:
                self._chunked = None
                self._body_open = False
                self._pending = rest
            return content
        left = self._body_left
        if len(data) < left:
            self._body_left = left - len(data)
            return data
        self._body_left = 0
        self._body_open = False
        if len(data) > left:
            self._pending = data[left:]
            return data[:left]
        return data

    def _on_body(self, data: bytes) -> None:
        try:
            content = self._cut_body(data)
        except PeerError as error:
            if self.phase == DISCARD:
                self.linger()
            elif self._response == _NOT_STARTED:
                self._refuse(error)
            else:
                self.lose()
            return
        if self.phase == DISCARD:
            self._discarded += len(data)
            if not self._body_open:
                self._become_idle()
            elif self._discarded > MAX_DISCARD:
                self.linger()
            return
        if self._body_open and not content:
            self.arm(self.runtime.plan.body_read_timeout)
            return
        self._wanted = False
        if not self.out_size:
            self.deadline = NEVER
        if self.handler is not None:
            self.handler.on_body(content, not self._body_open)

    def want_body(self, consumed: int) -> None:
        """See ``waist.Responder.want_body``."""
        if not self._body_open or self.phase != SERVING:
            return
        if self._expects:
            self._expects = False
            if self._response == _NOT_STARTED:
                self.transmit(_CONTINUE)
        self._wanted = True
        self.watch(self.events | READ)
        self.arm(self.runtime.plan.body_read_timeout)

    def pull_body(self) -> bytes:
        """See ``waist.BlockingResponder.pull_body``; waits on this thread."""
        while self._body_open:
            if self.phase != SERVING:
                raise ConnectionAbortedError("the connection has ended")
            self.want_body(0)
            data = self.receive_now(self.runtime.plan.body_read_timeout)
            try:
                content = self._cut_body(data)
            except PeerError as error:
                if self._response == _NOT_STARTED:
                    self._refuse(error)
                else:
                    self.lose()
                raise ConnectionAbortedError(error.reason) from None
            if content:
                return content
        self._wanted = False
        if not self.out_size:
            self.deadline = NEVER
        return b""

    # answering

    def respond(self, status: int, headers: Fields, body: bytes) -> None:  # hot
        """See ``waist.Responder.respond``."""
        if self._plain and not self._body_open and not self.out_size:
            data = self.writer.encode_response(status, headers, body, self._fate)
            if data:
                self._response = _COMPLETE
                self._plain = False
                self.counters.requests_handled += 1
                poller = self.poller
                if poller.gathering:
                    self.dispatch(data)
                    if self.phase != SERVING:
                        return
                else:
                    poller.gathering = poller.followers_wait
                    try:
                        sent = self.send_octets(data)
                    except (BlockingIOError, InterruptedError):
                        sent = 0
                    except OSError:
                        self.lose()
                        return
                    if sent != len(data):
                        self.hold_back(data, sent)
                if self._fate or self.out_size:
                    self.phase = FLUSHING
                    self.closing = bool(self._fate)
                    if self.closing and not self.out_size and not self.gathered:
                        self.linger()
                    return
                self.phase = IDLE
                self.deadline = deadline = poller.now + self.idle_timeout
                if deadline < self.check:
                    poller.deadlines.push(self)
                if self._pending and not self._in_turn:
                    self._resume_later()
                return
        self._respond_unusual(status, headers, body)

    def hold_back(self, data: bytes, sent: int) -> None:
        """See ``Connection.hold_back``; what was gathered belongs to an exchange that is over.

        The request behind it, whole or begun, has its turn when the peer has taken the answer.
        """
        super().hold_back(data, sent)
        if self.phase == IDLE:
            self.phase = FLUSHING
            if self._partial is not None:
                self._pending = bytes(self._partial)
                self._partial = None

    def _respond_unusual(self, status: int, headers: Fields, body: bytes) -> None:
        """Answer a HEAD request, an HTTP/1.0 peer, for the last time, or with odd lengths."""
        if self.phase != SERVING or self._response != _NOT_STARTED:
            return
        head = self.writer.read_fields(status, headers)
        framing = len(body) if head.length is None else head.length
        missing = 0
        if head.bodiless or self._method == "HEAD":
            body = b""
        elif framing != len(body):
            missing = framing - len(body)
            body = body[:framing]
            self._keep_alive = self._keep_alive and missing < 0
        self._response = _COMPLETE
        if head.bodiless and (status != 304 or head.length is None):
            self.transmit(self._encode_head(head, None))
        else:
            self.transmit(self._encode_head(head, framing) + body)
        self._end_exchange()
        if missing:
            raise AppError(_SHORTER if missing > 0 else _LONGER, sent=True)

    @property
    def _method(self) -> str:
        assert self._head is not None
        return self._head.method

    def _encode_head(self, head: Head, framing: Optional[int]) -> bytes:
        """Render a head with the connection's fate, which is decided here."""
        request = self._head
        assert request is not None
        if (
            head.close
            or not request.keep_alive
            or framing == UNTIL_CLOSE
            or self._expects
            or (self._body_open and self._body_left > MAX_DISCARD)
        ):
            # An unanswered expectation leaves it open whether a body follows: the connection is
            # not used again (RFC 9110 section 10.1.1).
            self._keep_alive = False
        if not self._keep_alive:
            line = _CLOSE_LINE
        else:
            line = _KEEP_ALIVE_LINE if request.version == "1.0" else b""
        return self.writer.encode_head(head, framing, line)

    def respond_file(
        self, status: int, headers: Fields, descriptor: int, offset: int, count: int
    ) -> None:
        """See ``waist.Responder.respond_file``."""
        if self.phase != SERVING or self._response != _NOT_STARTED:
            os.close(descriptor)
            return
        head = self.writer.read_fields(status, headers)
        if head.length is not None and head.length != count:
            raise AppError("content-length is not the number of octets of the file")
        self._response = _COMPLETE
        if self._method == "HEAD" or head.bodiless:
            os.close(descriptor)
            self.transmit(self._encode_head(head, None if head.bodiless else count))
        else:
            self.transmit(self._encode_head(head, count))
            if self.closed:
                os.close(descriptor)
                return
            self.transmit_file(descriptor, offset, count)
        self._end_exchange()

    def start(self, status: int, headers: Fields, data: bytes = b"") -> bool:
        """See ``waist.Responder.start``."""
        if self.phase != SERVING or self._response != _NOT_STARTED:
            return False
        head = self.writer.read_fields(status, headers)
        request = self._head
        assert request is not None
        framing: Optional[int] = head.length
        if head.bodiless or request.method == "HEAD":
            self._framing = _NO_BODY
            if head.bodiless and status != 304:
                framing = None
        elif framing is not None:
            self._framing = framing
        else:
            framing = self._framing = CHUNKED if request.version == HTTP_1_1 else UNTIL_CLOSE
        self._response = _STREAMING
        self._plain = False
        octets = self._encode_head(head, framing)
        longer = 0 <= self._framing < len(data)
        if longer:
            data = data[: self._framing]
        self.transmit(octets + self._frame(data) if data else octets)
        if longer:
            raise AppError(_LONGER, sent=True)
        return self.out_size > HIGH_WATER

    def _frame(self, data: bytes) -> bytes:
        """Frame a piece of the response; octets beyond the announced length are cut."""
        framing = self._framing
        if framing == CHUNKED:
            return encode_chunk(data)
        if framing == UNTIL_CLOSE:
            return data
        if framing == _NO_BODY:
            return b""
        if len(data) > framing:
            self._framing = 0
            if framing:
                self.transmit(data[:framing])
            raise AppError(_LONGER, sent=True)
        self._framing = framing - len(data)
        return data

    def write(self, data: bytes) -> bool:
        """See ``waist.Responder.write``."""
        if self.phase != SERVING or self._response != _STREAMING or not data:
            return False
        framed = self._frame(data)
        if framed:
            self.transmit(framed)
        return self.out_size > HIGH_WATER

    def finish(self, trailers: Fields = (), data: bytes = b"") -> None:
        """See ``waist.Responder.finish``."""
        if self.phase != SERVING or self._response != _STREAMING:
            return
        end = b""
        if self._framing == CHUNKED:
            end = encode_trailers(trailers) if trailers else LAST_CHUNK
        longer = 0 <= self._framing < len(data)
        if longer:
            data = data[: self._framing]
        framed = self._frame(data) + end if data else end
        if framed:
            self.transmit(framed)
        self._response = _COMPLETE
        if self._framing > 0:
            self._end_connection()
            raise AppError(_SHORTER, sent=True)
        self._end_exchange()
        if longer:
            raise AppError(_LONGER, sent=True)

    def inform(self, status: int, headers: Fields) -> None:
        """See ``waist.Responder.inform``."""
        if self.phase == SERVING and self._response == _NOT_STARTED:
            octets = encode_interim(status, headers)
            if self._head is not None and self._head.version == HTTP_1_1:
                self.transmit(octets)

    def abort(self) -> None:
        """See ``waist.Responder.abort``."""
        if self.phase != SERVING:
            return
        if self._framing == UNTIL_CLOSE and self._response == _STREAMING:
            # Nothing but a reset tells this peer from a complete answer.
            self.reset()
        else:
            self._end_connection()

    # the end of an exchange

    def _end_exchange(self) -> None:
        """Decide what the connection does after a complete response."""
        if self.phase != SERVING:
            return
        self.counters.requests_handled += 1
        self._wanted = False
        if not self._keep_alive or self._ended:
            self._end_connection()
        elif self.out_size or self._file is not None:
            self.phase = FLUSHING
        elif self._body_open:
            self._start_discarding()
        else:
            self._become_idle()

    def _start_discarding(self) -> None:
        self.phase = DISCARD
        self.watch(self.events | READ)
        self.arm(self.runtime.plan.body_read_timeout)

    def _become_idle(self) -> None:
        self.phase = IDLE
        self._body_open = False
        self.watch(READ)
        self.arm(self.idle_timeout)
        if not self._keep_alive:
            self._end_connection()
        elif self._pending and not self._in_turn:
            self._resume_later()

    def _resume_later(self) -> None:
        """Serve the pipelined request in a turn of its own, not on the application's stack."""
        # As a head in pieces: octets that are received before that turn come after these.
        self._partial = bytearray(self._pending)
        self._scanned = 0
        self._pending = b""
        self.runtime.post_to(self, self._resume)

    def _resume(self) -> None:
        if self.phase == IDLE and self._partial is not None and not self._scanned:
            data = bytes(self._partial)
            self._partial = None
            self.watch(self.events & ~ERRORS | READ)
            self._serve(data)

    def on_drained(self) -> None:
        """Go on after the kernel took what was unsent."""
        if self.phase == SERVING:
            if self._body_open and self._wanted:
                self.arm(self.runtime.plan.body_read_timeout)
            elif not self.out_size:
                self.deadline = NEVER
            if self.handler is not None:
                self.handler.on_writable()
        elif self.phase == FLUSHING and not self.out_size:
            if self._body_open:
                self._start_discarding()
            else:
                self._become_idle()

    # the end of the connection

    def _refuse(self, error: PeerError, fields: bytes = b"") -> None:
        """Answer a message that broke the rules, and nothing after it."""
        self.counters.connections_err += 1
        self._partial = None
        self._pending = b""
        self._body_open = False
        self._keep_alive = self._plain = False
        self._response = _NOT_STARTED
        self.runtime.log_refusal(self, error)
        self.transmit(refusal(error.status, self.writer.date + fields))
        handler, self.handler = self.handler, None
        self._end_connection()
        if handler is not None:
            handler.on_disconnect()

    def _end_connection(self) -> None:
        """Close after what is unsent, reading on while the peer might still be sending."""
        if self.closed:
            return
        self._keep_alive = False
        if self.out_size or self.gathered or self._file is not None:
            self.phase = FLUSHING
            self.closing = True
        else:
            self.linger()

    def linger(self) -> None:
        """See ``Connection.linger``; a peer that already ended, or owes nothing, is closed."""
        handler, self.handler = self.handler, None
        whole = self._response == _COMPLETE and not self._body_open and not self._pending
        # Input that comes after a close resets the connection, and a reset takes away whatever of
        # the answer is not with the peer yet; who asked for the close may send all the same.
        whole = whole and not _has_unacknowledged(self.fd)
        self._body_open = self._plain = False
        self.phase = CLOSED
        if not (self._ended or whole) and self.half_close(self.runtime.linger_time):
            self.phase = LINGER
        try:
            if handler is not None and not self._ended:
                handler.on_disconnect()
        finally:
            if self.phase == CLOSED:
                self.close()

    def on_deadline(self) -> None:
        """See the phases: each has one thing that may take too long."""
        if self.phase == IDLE and self._partial is not None:
            self._refuse(PeerError(408, "head not complete in time"))
        elif self.phase == SERVING and self._body_open and not self.out_size:
            if self._response == _NOT_STARTED:
                self._refuse(PeerError(408, "body not received in time"))
            else:
                self.lose()
        elif self.phase in (SERVING, FLUSHING):
            self.reset()
        else:
            self.lose()

    def on_lost(self) -> None:
        """Tell whoever runs for this connection that the peer is gone."""
        self.phase = CLOSED
        self._plain = False
        handler, self.handler = self.handler, None
        if handler is not None and not self._ended:
            handler.on_disconnect()

    @property
    def idle(self) -> bool:
        """Tell whether closing now would lose nothing of the peer's."""
        return self.phase == IDLE and self._partial is None and not (self._pending or self.gathered)

    def drain(self, grace: float = 0.0) -> None:
        """Close if idle, else mark this exchange as the last."""
        self.send_gathered()
        self._keep_alive = self._plain = False
        if self.phase == IDLE:
            if grace:
                self.arm(grace)
            elif self._partial is None or self._scanned:
                self.lose()
        elif self.phase in (DISCARD, LINGER):
            self.lose()

    # becoming another protocol

    def _upgrade(self, head: RequestHead) -> bool:
        """Become another protocol if the peer offers one we speak; False serves the request."""
        if not self.runtime.plan.websockets or self.runtime.plan.interface == "wsgi":
            return False
        from . import websocket

        try:
            return websocket.upgrade(self, head)
        except PeerError as error:
            self._refuse(error, websocket.VERSION_FIELD if error.status == 426 else b"")
            return True

    @property
    def answerable(self) -> bool:
        """Tell whether a request waits for its answer and the peer for the connection's."""
        return self.phase == SERVING and self._response == _NOT_STARTED and not self._ended

    def hand_over(self, successor: Connection) -> bytes:
        """Give socket, unsent octets and the poller's attention to another protocol.

        Returns:
            What the peer sent behind the head.
        """
        data, self._pending = self._pending, b""
        self.phase = CLOSED
        self._plain = False
        self.handler = None
        successor.take_over(self)
        return data


def _has_unacknowledged(fd: int) -> bool:
    """Tell whether the kernel still holds octets that the peer has not acknowledged."""
    count = bytearray(4)  # what can be written to is taken at once; octets are tried for it first
    try:
        fcntl.ioctl(fd, termios.TIOCOUTQ, count)
        return count != _NOTHING
    except OSError:
        return False
