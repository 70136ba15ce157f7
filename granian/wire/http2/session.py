"""An HTTP/2 connection without I/O: octets in, streams called, octets out.

The session cuts frames, keeps the budgets and the windows, and owns every stream. Ordinary HEADERS
and DATA go through the lane; whatever else needs a judgement goes to an ``h2`` connection,
which is briefed with the state of the stream in question and answers for that frame alone. What
h2 lets pass or punishes too hard is decided before it is asked: the first frame, frame sizes,
idle streams, resets, windows, more streams than announced, GOAWAY, floods.

    preface --preface--> greeting --SETTINGS--> open --drain--> draining --PING ACK--> leaving
    leaving --last stream--> closed;    any --fault--> closed

Runs on the thread that owns the connection; time is passed in. RFC 9113, 9218, 8441.
"""

from typing import Any, Callable, Dict, List, Optional, Set
from weakref import ReferenceType, ref

from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RemoteSettingsChanged,
    RequestReceived,
    SettingsAcknowledged,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from h2.stream import StreamClosedBy
from hpack.exceptions import HPACKError, OversizedHeaderListError

from ..._typing import RawHeaders
from ...plan import WorkerPlan
from ..head import CHUNKED, RequestHead
from .block import FieldBlock, unpad
from .clocks import (
    CHECK_INTERVAL,
    DRAIN_PING_TIMEOUT,
    LIVENESS_PING,
    PREFACE_TIMEOUT,
    SETTINGS_TIMEOUT,
    Clocks,
)
from .closed import Closed
from .codes import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_HEADER,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_FLAG,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MAX,
    WINDOW_MAX,
    WINDOW_UPDATE,
    Fault,
    frame,
    goaway,
    rst_stream,
)
from .compression import Decoder, Encoder, Lexicon, encode_fields
from .guard import Guard
from .inflow import ADAPTIVE_PING, Inflow, window_sizes
from .judge import Judge, code_of
from .lane import Lane
from .outflow import Outflow
from .request import Priority, read_priority, read_request, valid_trailers
from .stream import BROKEN, COMPLETE, Stream

AWAITING_PREFACE, GREETING, OPEN, DRAINING, LEAVING, CLOSED = range(6)

TRANSITIONS = {
    (AWAITING_PREFACE, "preface"): GREETING,
    (GREETING, "settings"): OPEN,
    (GREETING, "drain"): DRAINING,
    (OPEN, "drain"): DRAINING,
    (DRAINING, "acknowledged"): LEAVING,
    (LEAVING, "empty"): CLOSED,
    (OPEN, "empty"): CLOSED,
    (DRAINING, "empty"): CLOSED,
    (AWAITING_PREFACE, "fault"): CLOSED,
    (GREETING, "fault"): CLOSED,
    (OPEN, "fault"): CLOSED,
    (DRAINING, "fault"): CLOSED,
    (LEAVING, "fault"): CLOSED,
}

FIELDS_MAX = 1000
REQUESTS_MAX = 10_000

_UNREAD_MAX = 65_536  # of a body whose response is over: more is told to stop
_ROOM = 262_144  # octets of DATA put into the transport ahead of what the peer has taken
_NO_RFC7540_PRIORITIES = 9  # RFC 9218 section 2.1

_DRAIN_PING = b"draining"

_FIXED_SIZES = {RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_ON_CONNECTION = frozenset([SETTINGS, PING, GOAWAY, PRIORITY_UPDATE])
_ON_STREAM = frozenset([DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION])


class Session:
    """The state of one connection.

    Attributes:
        phase: One of the module's phases; CLOSED when the transport is to be closed after what
            ``collect`` still gives.
        now: The time of the last call that brought one.
        streams: Those the peer or we still have something to say on.
        zombies: Streams that were reset while their application runs on.
        busy: ``collect`` is going to be called; who queues something need not ask for it.
        completed: Responses given whole since somebody looked.
        owner: The engine's connection.
        send_window: What a new stream may send at first.
        inflow, outflow: What the peer may still send, and what it is still owed.
        high_water: Octets queued on a stream at which ``write`` asks to wait.
        connect_protocol: Extended CONNECT is announced (RFC 8441).
        lexicon: Shared by the connections of a thread.
    """

    __slots__ = (
        "_block",
        "_clocks",
        "_closed",
        "_control",
        "_fresh",
        "_lane",
        "_low_water",
        "_make_stream",
        "_max_frame",
        "_max_streams",
        "_milestone",
        "_on_wake",
        "_peer_leaving",
        "_priorities",
        "_requests",
        "_rest",
        "busy",
        "code",
        "completed",
        "connect_protocol",
        "decoder",
        "encoder",
        "guard",
        "high_water",
        "inflow",
        "judge",
        "lexicon",
        "more",
        "now",
        "outflow",
        "owner",
        "phase",
        "send_window",
        "streams",
        "zombies",
    )

    def __init__(
        self,
        plan: WorkerPlan,
        lexicon: Lexicon,
        make_stream: "Callable[[Session, int], Stream]",
        on_wake: Callable[[], None],
        now: float,
        *,
        owner: Any = None,  # the engine's; nothing here looks at it
        lane: bool = True,
    ) -> None:
        limits = plan.http2
        self.phase = AWAITING_PREFACE
        self.code = NO_ERROR
        self.owner = owner
        self.now = now
        self.busy = True
        self.more = False
        self.lexicon = lexicon
        self.streams: Dict[int, Stream] = {}
        self.zombies: Set[ReferenceType[Stream]] = set()
        self.completed = 0
        self.guard = Guard()
        self._make_stream = make_stream
        self._on_wake = on_wake
        self._rest = b""
        self._block = FieldBlock(limits.max_headers_size)
        self._control = self._requests = 0
        self._milestone = Guard.SAMPLE
        self._priorities: Dict[int, Priority] = {}
        self._fresh: List[Stream] = []
        self._peer_leaving = False
        self._max_streams = limits.max_concurrent_streams
        self._max_frame = max(16_384, min(limits.max_frame_size, 0xFFFFFF))
        # Half of it, for the piece that crosses the mark is kept whole.
        self.high_water = max(1, limits.max_send_buffer_size // 2)
        self._low_water = self.high_water // 2
        self.decoder = Decoder(lexicon, limits.max_headers_size, FIELDS_MAX)
        self.encoder = Encoder()
        self._closed = Closed()
        self.connect_protocol = plan.websockets and plan.interface != "wsgi"
        settings: Dict[int, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: self._max_streams,
            SettingCodes.INITIAL_WINDOW_SIZE: window_sizes(limits)[1],
            SettingCodes.MAX_FRAME_SIZE: self._max_frame,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_headers_size,
            SettingCodes.ENABLE_CONNECT_PROTOCOL: int(self.connect_protocol),
            _NO_RFC7540_PRIORITIES: 1,
        }
        self.judge = Judge(settings, self.decoder, self.encoder, self._closed)
        self.outflow = Outflow(self.judge, self.guard)
        self.send_window = self.judge.remote_settings.initial_window_size
        self.outflow.octets.append(self.judge.data_to_send())
        self.inflow = Inflow(limits, self.outflow.octets, now)
        self._clocks = Clocks(plan, self.outflow.octets, now)
        self.judge._inbound_flow_control_window_manager = self.inflow.window
        self._lane = Lane(self) if lane else None

    # Octets in.

    def feed(self, data: bytes, now: float) -> None:  # hot: one turn of the loop per frame
        """Take octets from the peer; the streams are called from here.

        Nothing is raised: a fault queues a GOAWAY, breaks the streams and closes the session.
        """
        self.now = now
        self.busy = True
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, size = 0, len(data)
        unpack, max_frame, lane = FRAME_HEADER.unpack_from, self._max_frame, self._lane
        block = self._block
        try:
            if self.phase == AWAITING_PREFACE:
                at = self._preface(data)
                if not at:
                    self._rest = data
                    return
            while size - at >= 9 and self.phase != CLOSED:
                high, low, kind, flags, number = unpack(data, at)
                length = high << 16 | low
                if length > max_frame:
                    raise Fault(FRAME_SIZE_ERROR)
                start = at + 9
                at = start + length
                if at > size:
                    at = start - 9
                    break
                number &= STREAM_ID_MAX
                if block.number or self.phase == GREETING:
                    self._in_sequence(kind, flags, number, data[start:at])
                elif kind == HEADERS and flags & END_HEADERS:
                    if (
                        lane is None
                        or not self._welcomes(number)
                        or not lane.headers(flags, number, data, start, at)
                    ):
                        self._headers(flags, number, data, start, at)
                elif kind == DATA:
                    self._data(flags, number, data, start, at)
                else:
                    self._unusual(kind, flags, number, data[start:at])
            if self._fresh:
                self._begin_fresh()
        except Fault as fault:
            self._fail(fault.code)
        except OversizedHeaderListError:
            self._fail(ENHANCE_YOUR_CALM)
        except HPACKError:
            self._fail(COMPRESSION_ERROR)
        else:
            self._rest = data[at:]

    def _preface(self, data: bytes) -> int:
        """Check what a connection begins with; return where the frames begin, 0 if not yet."""
        if data[:24] != PREFACE[: len(data)]:
            raise Fault(PROTOCOL_ERROR)
        if len(data) < 24:
            return 0
        self.phase = GREETING
        self._clocks.begin(self.now)
        return 24

    def _in_sequence(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take a frame where only one kind may come: the first, or inside a header block."""
        if self.phase == GREETING:
            if kind != SETTINGS or flags & ACK:  # section 3.4
                raise Fault(PROTOCOL_ERROR)
            self._unusual(kind, flags, number, payload)
            self.phase = OPEN
            return
        block = self._block.join(kind, flags, number, payload)
        if block is not None:
            flags, lane = self._block.flags, self._lane
            if (
                lane is None
                or not self._welcomes(number)
                or not lane.headers(flags, number, block, 0, len(block))
            ):
                self._headers(flags, number, block, 0, len(block))

    def _headers(self, flags: int, number: int, data: bytes, start: int, stop: int) -> None:
        """Take a whole header block that the lane has not taken."""
        if number > self.judge.highest_inbound_stream_id and number & 1:
            if self._welcomes(number):
                self._consult(frame(HEADERS, flags, number, data[start:stop]), number)
            else:
                self._turn_away(flags, number, data, start, stop)
            return
        if not number:
            raise Fault(PROTOCOL_ERROR)
        stream = self.streams.get(number)
        if stream is not None and stream.remote_open and not flags & END_STREAM:
            self._skip_block(flags, data, start, stop)  # section 8.1: trailers end the stream
            self._refuse(number, PROTOCOL_ERROR)
        elif stream is None and self._closed.how(number) is StreamClosedBy.SEND_RST_STREAM:
            self._skip_block(flags, data, start, stop)  # sent before our reset arrived
            self._spend_odd()
        else:
            self._consult(frame(HEADERS, flags, number, data[start:stop]), number)

    def _welcomes(self, number: int) -> bool:
        """Tell whether a request may open this stream now."""
        return (
            number > self.judge.highest_inbound_stream_id
            and number & 1 == 1
            and len(self.streams) + len(self.zombies) < self._max_streams
            and self.phase != LEAVING
        )

    def _skip_block(self, flags: int, data: bytes, start: int, stop: int) -> None:
        """Decode a block for the sake of the compression state alone."""
        start, stop = unpad(flags, data, start, stop)
        if flags & PRIORITY_FLAG:
            start += 5
        self.decoder.decode(data[start:stop])

    def _turn_away(self, flags: int, number: int, data: bytes, start: int, stop: int) -> None:
        """Refuse a stream beyond the limit, or ignore one beyond the final GOAWAY."""
        self._skip_block(flags, data, start, stop)
        if self.phase != LEAVING:
            self.judge.highest_inbound_stream_id = number
            self._refuse(number, REFUSED_STREAM)

    def _data(self, flags: int, number: int, data: bytes, start: int, stop: int) -> None:
        # Hot: every DATA frame.
        size = stop - start
        if size >= Guard.SMALL_DATA or flags & END_STREAM:
            self.guard.empty_data = 0
        elif not self.guard.data(size, self.now):
            raise Fault(ENHANCE_YOUR_CALM)
        if self._lane is not None and self._lane.data(flags, number, data, start, stop):
            return
        if not number:
            raise Fault(PROTOCOL_ERROR)
        if (
            number not in self.streams
            and self._closed.how(number) is StreamClosedBy.SEND_RST_STREAM
        ):
            self.inflow.drop(size)  # sent before our reset arrived
        else:
            self._consult(frame(DATA, flags, number, data[start:stop]), number)

    # What the lane and h2's events lead to.

    def open(
        self, number: int, head: RequestHead, priority: Optional[Priority], last: bool
    ) -> None:
        """Begin a stream with a well-formed request."""
        stream = self._make_stream(self, number)
        if head.method == "HEAD":
            stream.head_only = True
        if priority is not None:
            stream.urgency, stream.incremental = priority
        if self._priorities:
            update = self._priorities.pop(number, None)
            if update is not None:
                stream.urgency, stream.incremental = update
        self.streams[number] = stream
        closed = self._closed
        if number == closed.next:  # as ``enter``, in line
            closed.next = number + 2
        else:
            closed.enter(number)
        self._requests += 1
        if self._requests >= self._milestone:
            self._pass_milestone()
        stream.fresh = head
        self._fresh.append(stream)
        if not last:
            stream.remote_open = True
            stream.expected = head.body_length
            stream.expects_continue = head.expects_continue

    def _begin_fresh(self) -> None:
        """Begin requests with what has come of their bodies in the octets just received.

        Most small bodies come in one read with their head: then nobody waits for them. A stream
        that was reset in that read has cost its application nothing (CVE-2023-44487).
        """
        fresh, self._fresh = self._fresh, []
        for stream in fresh:
            head, stream.fresh = stream.fresh, None
            if head is not None and stream.phase != BROKEN:
                early = stream.early
                stream.early = b""
                stream.on_request(head, early, not stream.remote_open)

    def request(self, number: int, fields: RawHeaders, last: bool) -> None:
        """Begin a stream with decoded fields, or refuse it."""
        if self.decoder.oversized:
            self._refuse_oversized(number, last)
            return
        request = read_request(fields, last, self.connect_protocol)
        if request is None:
            self._refuse(number, PROTOCOL_ERROR)  # section 8.1.1
        else:
            self.open(number, request[0], request[1], last)

    def data(self, stream: Stream, payload: bytes, size: int, last: bool) -> None:
        """Take the content of a DATA frame; ``size`` counts its padding too."""
        inflow = self.inflow
        inflow.give_back(size)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise Fault(FLOW_CONTROL_ERROR)
        length = len(payload)
        stream.received += length
        stream.heard_at = self.now
        stream.wants_body = False
        expected = stream.expected
        if expected != CHUNKED and (
            stream.received > expected or (last and stream.received != expected)
        ):
            self._refuse(stream.number, PROTOCOL_ERROR)  # section 8.1.1
            return
        if inflow.adaptive is not None:
            inflow.measure(size, self.now)
        if last:
            stream.remote_open = False
        if stream.phase >= COMPLETE:
            self._unwanted(stream, length, last)
            return
        if length:
            stream.held += length
            inflow.held += length
        if size != length:
            inflow.credit(stream, size - length, 0)
        if stream.fresh is not None:
            stream.early += payload
        elif length or last:
            stream.on_data(payload, last)

    def _unwanted(self, stream: Stream, length: int, last: bool) -> None:
        """Drop the body of a request whose response is over; a long one is told to stop."""
        stream.held += length
        self.inflow.held += length
        if last:
            self._close(stream)
        elif stream.held > _UNREAD_MAX:
            self.reset(stream, NO_ERROR)

    def consumed(self, stream: Stream, size: int) -> None:
        """Give back the window of octets that the application has taken."""
        stream.held -= size
        if self.inflow.credit(stream, size, size):
            self.wake()

    def _trailers(self, number: int, fields: RawHeaders) -> None:
        stream = self.streams.get(number)
        if stream is None:
            return
        complete = stream.expected in (CHUNKED, stream.received)
        if self.decoder.oversized or not complete or not valid_trailers(fields):
            self._refuse(number, PROTOCOL_ERROR)
            return
        stream.remote_open = False
        if stream.phase >= COMPLETE:
            self._close(stream)
        elif stream.fresh is None:
            stream.on_data(b"", True)

    # The ends of streams.

    def local_end(self, stream: Stream) -> None:  # hot
        """The response is whole and on its way."""
        stream.handler = None
        self.completed += 1
        if not stream.remote_open:
            # The next lines are ``_close``, in line.
            del self.streams[stream.number]
            if stream.held:
                self.inflow.held -= stream.held
                stream.held = 0
            if not self.streams:
                self._clocks.idle_since = self.now
                if self._peer_leaving or self.phase == LEAVING:
                    self.phase = CLOSED
        if not self.busy:
            self.wake()

    def reset(self, stream: Stream, code: int) -> None:
        """Reset a stream from our side."""
        self.outflow.octets.append(rst_stream(stream.number, code))
        self._break(stream, StreamClosedBy.SEND_RST_STREAM)
        self.wake()

    def _close(self, stream: Stream) -> None:
        """Take a stream whose halves are both over from the table."""
        del self.streams[stream.number]
        if stream.held:
            self.inflow.held -= stream.held
            stream.held = 0
        if not self.streams:
            self._emptied()

    def _break(self, stream: Stream, how: StreamClosedBy) -> None:
        if self.streams.pop(stream.number, None) is None:
            return
        self._closed.reset(stream.number, how)
        self.outflow.delist(stream)
        self.inflow.held -= stream.held
        stream.held = 0
        unheard = stream.fresh is not None
        if stream.phase != COMPLETE:
            stream.phase = BROKEN
            if not unheard:
                self._mourn(stream)
        stream.remote_open = False
        if not self.streams:
            self._emptied()
        if not unheard:
            stream.on_reset()

    def _mourn(self, stream: Stream) -> None:
        """Count a reset stream as open until its application has let go of it.

        Rapid reset (CVE-2023-44487) lives on work that goes on after the reset. Whoever still
        runs for the stream holds it, and nobody else does once it has left the table.
        """
        self.zombies.add(ref(stream, self.zombies.discard))

    def _emptied(self) -> None:
        self._clocks.idle_since = self.now
        if self._peer_leaving or self.phase == LEAVING:
            self.phase = CLOSED

    def _refuse(self, number: int, code: int) -> None:
        """Reset a stream because of what the peer sent, within its budget (CVE-2025-8671)."""
        if not self.guard.server_resets.spend(self.now):
            raise Fault(ENHANCE_YOUR_CALM)
        self._count_control(1)
        stream = self.streams.get(number)
        if stream is not None:
            self.reset(stream, code)
        else:
            self._closed.reset(number, StreamClosedBy.SEND_RST_STREAM)
            self.outflow.octets.append(rst_stream(number, code))

    def _refuse_oversized(self, number: int, last: bool) -> None:
        """Answer 431 without an application (RFC 6585 section 5)."""
        self._closed.enter(number)
        fields = [(b":status", b"431"), (b"content-length", b"0"), (b"server", b"granian")]
        block = self.block_prefix() + encode_fields(fields) + self.lexicon.date
        self.outflow.headers(number, block, True)
        if not last:
            self._refuse(number, NO_ERROR)

    def _count_control(self, count: int) -> None:
        """Count frames that the peer made us send and may not be reading (CVE-2019-9512)."""
        self._control += count
        if self._control > Guard.QUEUED_MAX:
            raise Fault(ENHANCE_YOUR_CALM)

    def _spend_odd(self) -> None:
        if not self.guard.odd.spend(self.now):
            raise Fault(ENHANCE_YOUR_CALM)

    def _pass_milestone(self) -> None:
        """Every so many requests: a new sample of resets, and enough at last."""
        self._milestone += Guard.SAMPLE
        self.guard.reset = 0
        if self._requests >= REQUESTS_MAX:
            self.drain(self.now)

    # All other frames.

    def _unusual(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take any frame that is neither a whole header block nor DATA."""
        if (number and kind in _ON_CONNECTION) or (not number and kind in _ON_STREAM):
            raise Fault(PROTOCOL_ERROR)
        size = _FIXED_SIZES.get(kind)
        if size is not None and size != len(payload):
            raise Fault(FRAME_SIZE_ERROR)
        if kind == HEADERS:
            self._block.begin(flags, number, payload)
        elif kind == WINDOW_UPDATE:
            self._window_update(number, int.from_bytes(payload, "big") & WINDOW_MAX)
        elif kind == RST_STREAM:
            self._rst_stream(number)
        elif kind == SETTINGS:
            self._settings(flags, payload)
        elif kind == PING:
            budget = self.guard.odd if flags & ACK else self.guard.pings
            if not budget.spend(self.now):
                raise Fault(ENHANCE_YOUR_CALM)
            self._consult(frame(PING, flags, 0, payload), 0)
        elif kind == GOAWAY:
            if len(payload) < 8:
                raise Fault(FRAME_SIZE_ERROR)
            self._peer_leaving = True
            if not self.streams:
                self._emptied()
        elif kind == PRIORITY:
            self._priority(number, payload)
        elif kind == PRIORITY_UPDATE:
            self._priority_update(payload)
        elif kind == CONTINUATION:
            raise Fault(PROTOCOL_ERROR)  # section 6.10: outside a header block
        elif kind == PUSH_PROMISE:
            raise Fault(PROTOCOL_ERROR)  # section 8.4: a client cannot push
        else:
            self._spend_odd()  # section 4.1: ignored, but not without end

    def _window_update(self, number: int, increment: int) -> None:
        if not self.guard.update(self.now):
            raise Fault(ENHANCE_YOUR_CALM)
        if not number:
            if not increment:
                raise Fault(PROTOCOL_ERROR)
            window = self.judge.outbound_flow_control_window + increment
            if window > WINDOW_MAX:
                raise Fault(FLOW_CONTROL_ERROR)
            self.judge.outbound_flow_control_window = window
            return
        stream = self.streams.get(number)
        if stream is None:
            if self._is_idle(number):
                raise Fault(PROTOCOL_ERROR)  # section 5.1
            return
        if not increment:
            self._refuse(number, PROTOCOL_ERROR)
        elif stream.send_window + increment > WINDOW_MAX:
            self._refuse(number, FLOW_CONTROL_ERROR)
        else:
            stream.send_window += increment
            if stream.queued:
                self.outflow.enlist(stream)

    def _rst_stream(self, number: int) -> None:
        stream = self.streams.get(number)
        if stream is None:
            if self._is_idle(number):
                raise Fault(PROTOCOL_ERROR)  # section 6.4
            self._spend_odd()
            return
        premature = stream.phase < COMPLETE
        self._break(stream, StreamClosedBy.RECV_RST_STREAM)
        if premature and not self.guard.client_reset(self.now):
            raise Fault(ENHANCE_YOUR_CALM)

    def _is_idle(self, number: int) -> bool:
        """Tell whether a stream was never opened; we open none ourselves."""
        return not number & 1 or number > self.judge.highest_inbound_stream_id

    def _settings(self, flags: int, payload: bytes) -> None:
        if len(payload) % 6 or (flags & ACK and payload):
            raise Fault(FRAME_SIZE_ERROR)
        for _ in range(1 + len(payload) // 192):  # 32 values count as one frame
            if not self.guard.settings.spend(self.now):
                raise Fault(ENHANCE_YOUR_CALM)
        self._consult(frame(SETTINGS, flags, 0, payload), 0)

    def _priority(self, number: int, payload: bytes) -> None:
        self._spend_odd()
        if len(payload) != 5:
            if self._is_idle(number):
                raise Fault(FRAME_SIZE_ERROR)
            self._refuse(number, FRAME_SIZE_ERROR)
        elif int.from_bytes(payload[:4], "big") & STREAM_ID_MAX == number:
            self._consult(frame(PRIORITY, 0, number, payload), number)

    def _priority_update(self, payload: bytes) -> None:
        """Change the priority of a stream, or keep it for one to come (RFC 9218 section 7.1)."""
        self._spend_odd()
        if len(payload) < 4:
            raise Fault(FRAME_SIZE_ERROR)
        number = int.from_bytes(payload[:4], "big") & STREAM_ID_MAX
        if not number & 1:
            raise Fault(PROTOCOL_ERROR)
        priority = read_priority(payload[4:])
        stream = self.streams.get(number)
        if stream is not None:
            self.outflow.relist(stream, priority[0])
            stream.incremental = priority[1]
        elif self._is_idle(number) and len(self._priorities) < self._max_streams:
            self._priorities[number] = priority

    # Asking h2.

    def _consult(self, data: bytes, number: int) -> None:
        """Let h2 judge one frame, briefed about the stream it is on."""
        judge = self.judge
        stream = self.streams.get(number)
        if stream is not None:
            judge.brief(stream)
        try:
            events = judge.receive_data(data)
        except ProtocolError as error:
            raise Fault(code_of(error)) from None
        finally:
            judge.streams.clear()
        octets = judge.data_to_send()
        if octets:
            self._answer(octets)
        for event in events:
            self._on_event(event)

    def _answer(self, octets: bytes) -> None:
        """Queue the frames that h2 answers with, each within its budget."""
        at = 0
        while at < len(octets):
            high, low, kind, _, number = FRAME_HEADER.unpack_from(octets, at)
            at += 9 + (high << 16 | low)
            if kind == RST_STREAM:
                self._closed.reset(number, StreamClosedBy.SEND_RST_STREAM)
                if not self.guard.server_resets.spend(self.now):
                    raise Fault(ENHANCE_YOUR_CALM)
            if kind != WINDOW_UPDATE:
                self._count_control(1)
        self.outflow.octets.append(octets)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            ended = event.stream_ended is not None
            self.request(event.stream_id, event.headers, ended)
        elif isinstance(event, DataReceived):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                size = event.flow_controlled_length
                self.data(stream, bytes(event.data), size, event.stream_ended is not None)
        elif isinstance(event, TrailersReceived):
            self._trailers(event.stream_id, event.headers)
        elif isinstance(event, StreamReset):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                self._break(stream, StreamClosedBy.SEND_RST_STREAM)
        elif isinstance(event, RemoteSettingsChanged):
            self._settings_changed(event)
        elif isinstance(event, SettingsAcknowledged):
            self._settings_acknowledged()
        elif isinstance(event, PingAckReceived):
            self._ping_acknowledged(event.ping_data)

    def _settings_changed(self, event: RemoteSettingsChanged) -> None:
        window = self.judge.remote_settings.initial_window_size
        delta = window - self.send_window
        self.send_window = window
        if delta:  # section 6.9.2: windows may become negative
            for stream in self.streams.values():
                stream.send_window += delta
                if stream.send_window > WINDOW_MAX:
                    raise Fault(FLOW_CONTROL_ERROR)
                if stream.queued:
                    self.outflow.enlist(stream)

    def _settings_acknowledged(self) -> None:
        window = self.judge.local_settings.initial_window_size
        delta = self.inflow.widen_streams(window)
        if delta:
            for stream in self.streams.values():
                stream.receive_window += delta

    def _ping_acknowledged(self, data: Optional[bytes]) -> None:
        if data == _DRAIN_PING and self.phase == DRAINING:
            self._leave()
        elif data == LIVENESS_PING:
            self._clocks.answered()
        elif data == ADAPTIVE_PING:
            self.inflow.adapt(self.judge, self.now)

    # Octets out.

    def wake(self) -> None:
        """Ask the engine to call ``collect`` before long, unless it is about to anyway."""
        if not self.busy:
            self.busy = True
            self._on_wake()

    def block_prefix(self) -> bytes:
        """Take what the next header block must begin with (RFC 7541 section 4.2)."""
        prefix = self.encoder.prefix
        self.encoder.prefix = b""
        return prefix

    def collect(self, backlog: int) -> bytes:
        """Take the octets for the transport: all frames queued, and DATA as there is room.

        Afterwards ``more`` tells that only the room ended it: ``collect`` is to be called again
        when the transport has passed on what it was given, and nobody will be woken for it.

        Args:
            backlog: Octets given earlier that the transport has not passed on.
        """
        if not backlog:
            self._control = 0
        outflow = self.outflow
        self.busy = self.more = False
        if outflow.waiting:
            self.busy = True
            self.more = self._pump(_ROOM - backlog) <= 0
            self.busy = self.more
        octets = outflow.octets
        if not octets:
            return b""
        data = b"".join(octets)
        octets.clear()
        return data

    def _pump(self, room: int) -> int:
        """Cut frames and tell who may write again, until nothing moves; return the room left."""
        while room > 0:
            touched, room = self.outflow.pump(room, self.now)
            if not touched:
                return 1
            for stream in touched:
                if stream.phase == BROKEN:
                    continue
                if stream.ending:
                    if not stream.queued:
                        self._finished(stream)
                elif stream.waiting and stream.queued <= self._low_water:
                    stream.waiting = False
                    stream.on_writable()
        return room

    def _finished(self, stream: Stream) -> None:
        if stream.phase == COMPLETE:
            return
        if stream.trailers is not None:
            stream.flush_end()
        else:
            stream.phase = COMPLETE
            self.local_end(stream)

    # Time, drain, end.

    def drain(self, now: float) -> None:
        """Announce the end: no more streams after a round trip, the open ones finish.

        Spec:
            RFC 9113 section 6.8.
        """
        self.now = now
        if self.phase in (AWAITING_PREFACE, GREETING, OPEN):
            self.phase = DRAINING
            self._clocks.drain(now)
            self.outflow.octets += (
                goaway(STREAM_ID_MAX, NO_ERROR),
                frame(PING, 0, 0, _DRAIN_PING),
            )
            self.wake()

    def _leave(self) -> None:
        """Say which stream was the last."""
        self.phase = LEAVING
        self.outflow.octets.append(goaway(self.judge.highest_inbound_stream_id, NO_ERROR))
        self.wake()
        if not self.streams:
            self._emptied()

    def lost(self) -> None:
        """The transport is gone: break every stream, and let go of what weighs; called once.

        An application may hold its stream, and with it the session, for as long as it runs, and
        what refers to itself waits for the collector: neither is to keep the tables of a client
        that came only to reset its streams and leave.
        """
        self._end(NO_ERROR)
        self._lane = None
        self._rest = b""
        self.streams.clear()  # empty, but as large as it ever was
        self.zombies.clear()
        self._block.forget()
        self._priorities.clear()
        self.outflow.octets.clear()
        self.judge.release()
        del self.judge, self.outflow.judge, self.decoder, self.encoder, self._closed

    def tick(self, now: float) -> float:
        """Do what is due, and tell in how many seconds to ask again."""
        self.now = now
        try:
            return self._tick(now)
        except Fault as fault:
            self._fail(fault.code)
            return CHECK_INTERVAL

    def _tick(self, now: float) -> float:
        clocks = self._clocks
        if self.phase <= GREETING:
            limit = PREFACE_TIMEOUT if self.phase == AWAITING_PREFACE else SETTINGS_TIMEOUT
            return clocks.greeting(limit, now)
        if self.phase == DRAINING:
            if clocks.drained(now):
                self._leave()
            return min(CHECK_INTERVAL, DRAIN_PING_TIMEOUT)
        due = CHECK_INTERVAL
        if self.streams:
            for stream in list(self.streams.values()):
                if clocks.stalled(stream, now):
                    self.reset(stream, CANCEL)
        elif self.phase == OPEN:
            due = clocks.idle(now)
            if due <= 0:
                self._leave()
                return CHECK_INTERVAL
        due = clocks.keep_alive(due, now)
        if self.outflow.octets:
            self.wake()
        return due

    def _fail(self, code: int) -> None:
        """Break off with a GOAWAY."""
        if self.phase == CLOSED:
            return
        last = self.judge.highest_inbound_stream_id
        self._end(code)
        self.outflow.octets.append(goaway(last, code))
        self.wake()

    def _end(self, code: int) -> None:
        self.phase = CLOSED
        self.code = code
        for stream in list(self.streams.values()):
            self._break(stream, StreamClosedBy.SEND_RST_STREAM)
        self._fresh.clear()
