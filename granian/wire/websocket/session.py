"""One WebSocket after its handshake: octets in, messages out, and back.

Knows frames, limits and the closing handshake; knows no socket, no time and no HTTP version, so
that a connection of HTTP/1 and a stream of HTTP/2 use it alike. Whole ordinary frames take the
lane, all others wsproto, frame by frame: what was declined ends where its header says, and the
lane goes on behind it. RFC 6455, RFC 7692. Owner thread only.

    (OPEN,    CLOSE_SENT)     -> CLOSING
    (OPEN,    CLOSE_RECEIVED) -> CLOSED    the close is answered
    (OPEN,    BROKEN)         -> CLOSED    a close with the reason's code is sent
    (CLOSING, CLOSE_RECEIVED) -> CLOSED
    (CLOSING, BROKEN)         -> CLOSED
"""

from typing import Any, Dict, List, Optional, Tuple

from ..._typing import Message
from ...plan import WebsocketPlan
from .deflate import Deflate, Deflater, InflateError, Inflater, TooLargeError
from .lane import DECLINED, INCOMPLETE, FrameResult, cut_packed, read_frame

OPEN, CLOSING, CLOSED = range(3)
CLOSE_SENT, CLOSE_RECEIVED, BROKEN = range(3)
TRANSITIONS: Dict[Tuple[int, int], int] = {
    (OPEN, CLOSE_SENT): CLOSING,
    (OPEN, CLOSE_RECEIVED): CLOSED,
    (OPEN, BROKEN): CLOSED,
    (CLOSING, CLOSE_RECEIVED): CLOSED,
    (CLOSING, BROKEN): CLOSED,
}

INVALID, TOO_LARGE = 1007, 1009

NO_CODE = 1005
"""Stands for a close without a code; never on the wire (RFC 6455 section 7.4.1)."""

MAX_REASON = 123
"""Octets of a close reason: 125 for a control frame, two of them the code (section 5.5)."""

JUDGED = 64
"""Frames that wsproto decides on before others have their turn: each costs as much as ten of the
lane's, and a flood of pings or fragments is made of nothing else."""

COMPRESSED_FROM = 64
"""Octets below which a message leaves uncompressed, which any message may (RFC 7692 section 6)."""

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
RSV1 = 0x40

TEXT_HEADS = [bytes((TEXT, size)) for size in range(126)]
BINARY_HEADS = [bytes((BINARY, size)) for size in range(126)]
"""Headers of the short frames, by the size of their payload."""


def encode_frame(first: int, payload: bytes) -> bytes:
    """Render one frame of a server: unmasked, ``first`` being its first octet (section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126, size >> 8, size & 255)) + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def decline(data: bytes, at: int, limit: int) -> FrameResult:
    """Stand in for the lane and send every frame to wsproto: the other side of the comparison."""
    return DECLINED


def frame_size(data: bytes, at: int) -> int:
    """Tell how many octets the frame at ``at`` has, header included; 0 if not to be seen yet."""
    size = len(data) - at
    if size < 2:
        return 0
    second = data[at + 1]
    length, head = second & 127, 2
    if length > 125:
        head = 4 if length == 126 else 10
        if size < head:
            return 0
        length = int.from_bytes(data[at + 2 : at + head], "big")
    return head + (second >> 7) * 4 + length


class Session:
    """The frames of one WebSocket, seen from the server.

    Feed octets, then take messages until there is none. Octets that the peer is owed collect in
    ``replies`` and are to be sent before the message that was returned is handled.

    Args:
        plan: Limits.
        deflate: permessage-deflate as agreed on, or None.
        lane: What reads ordinary frames.

    Attributes:
        phase: OPEN, CLOSING (our close is sent, the peer's awaited) or CLOSED.
        close_code: Code of the peer's close, or the one the peer was failed with.
        close_reason: Reason of the peer's close.
        held: Octets received, of which some are not taken yet; empty if there are none.
        failed: The peer broke the protocol or a limit.
        replies: Frames owed to the peer: pongs, and a close that answers or refuses.
        pongs: Pongs received so far.
        unfinished: There may be more in hand: call again, in another turn. Reset by the caller.
    """

    __slots__ = (
        "_at",
        "_deflater",
        "_inflater",
        "_lane",
        "_limit",
        "_owed",
        "_plan",
        "_reader",
        "close_code",
        "close_reason",
        "failed",
        "held",
        "phase",
        "pongs",
        "replies",
        "unfinished",
    )

    def __init__(
        self, plan: WebsocketPlan, deflate: Optional[Deflate] = None, lane: Any = read_frame
    ) -> None:
        self._plan = plan
        self._inflater = None if deflate is None else Inflater(deflate)
        self._deflater = None if deflate is None else Deflater(deflate)
        self._lane = lane
        self._limit = min(plan.max_frame_size, plan.max_message_size)
        self._reader: Any = None
        self.held = b""
        self._at = 0
        self._owed = 0
        self.phase = OPEN
        self.close_code = NO_CODE
        self.close_reason = ""
        self.failed = False
        self.replies: List[bytes] = []
        self.pongs = 0
        self.unfinished = False

    def feed(self, data: bytes) -> None:
        """Add octets received; dropped once the session is CLOSED."""
        at = self._at
        held = self.held
        self.held = data if at == len(held) else held[at:] + data
        self._at = 0

    def next_message(self, received: bytes = b"") -> Optional[Message]:  # hot
        """Return the next whole message, or None.

        None when more octets are needed, when none will follow, or when it is ``unfinished``.

        Args:
            received: Octets to add first, as ``feed`` does.
        """
        if received:
            at = self._at
            held = self.held
            self.held = received if at == len(held) else held[at:] + received
            self._at = 0
        judged = 0
        while self.phase != CLOSED:
            data = self.held
            if not data:
                return None
            at = self._at
            reader = self._reader
            if not self._owed and (reader is None or not reader.under_way):
                result = self._lane(data, at, self._limit)
                if result.__class__ is tuple:
                    message: Message
                    message, end = result
                    if end == len(data):
                        self.held = b""  # an idle connection holds no buffer
                        end = 0
                    self._at = end
                    if self.phase == OPEN:
                        return message
                    continue
                if result == INCOMPLETE:
                    return None
                if self._inflater is not None and self._lane is not decline:
                    packed = cut_packed(data, at, self._plan.max_frame_size)
                    if packed is not None:
                        unpacked = self._unpack(data[at], *packed)
                        if unpacked is not None and self.phase == OPEN:
                            return unpacked
                        continue
            if judged == JUDGED:
                self.unfinished = True
                return None
            judged += 1
            size = self._owed or frame_size(data, at)
            if not size:
                return None
            declined = self._judge(data[at : at + size], size)
            if declined is not None and self.phase == OPEN:
                return declined
        self.held = b""
        self._at = 0
        return None

    def encode(self, message: Message) -> bytes:  # hot
        """Render one message as a frame (RFC 6455 section 5.6), compressed if agreed on.

        Raises:
            UnicodeEncodeError: Text with a lone surrogate cannot be sent.
        """
        if isinstance(message, str):
            first, payload, heads = TEXT, message.encode(), TEXT_HEADS
        else:
            first, payload, heads = BINARY, message, BINARY_HEADS
        size = len(payload)
        if self._deflater is not None and size >= COMPRESSED_FROM:
            payload = self._deflater.deflate(payload)
            first |= RSV1
        elif size < 126:
            return heads[size] + payload
        return encode_frame(first, payload)

    def encode_ping(self) -> bytes:
        """Render a ping without payload (section 5.5.2)."""
        return encode_frame(PING, b"")

    def encode_close(self, code: Optional[int], reason: str = "") -> bytes:
        """Start the closing handshake: render a close, or nothing if one was sent before.

        Args:
            code: What ``is_sendable`` allows, or None for no code and no reason.
            reason: Cut to what a control frame takes, at a whole character.
        """
        if self.phase != OPEN:
            return b""
        self.phase = TRANSITIONS[self.phase, CLOSE_SENT]
        return encode_frame(CLOSE, close_payload(code, reason))

    def _unpack(self, first: int, payload: bytes, end: int) -> Optional[Message]:
        """Inflate a whole message that ends at ``end``; None when it fails the connection."""
        if end == len(self.held):
            self.held = b""
            end = 0
        self._at = end
        assert self._inflater is not None
        try:
            octets = self._inflater.whole(payload, self._plan.max_message_size)
            return octets.decode() if first & 1 else octets
        except TooLargeError:
            self._fail(TOO_LARGE)
        except (InflateError, UnicodeDecodeError):
            self._fail(INVALID)
        return None

    def _judge(self, piece: bytes, size: int) -> Optional[Message]:
        """Let wsproto decide on a piece of a frame of which ``size`` octets are owed."""
        from . import frames  # wsproto costs a worker nothing until a frame is declined

        reader = self._reader
        if reader is None:
            plan = self._plan
            guard = frames.Guard(plan.max_message_size, plan.max_frame_size, self._inflater)
            reader = self._reader = frames.FrameReader(guard)
        self._at += len(piece)
        if self._at == len(self.held):
            self.held = b""
            self._at = 0
        self._owed = size - len(piece)
        try:
            event = reader.feed(piece)
        except frames.BrokenError as broken:
            self._fail(broken.code)
            return None
        if event is None:
            return None
        opcode, payload = event
        if opcode < frames.CLOSE:
            message: Message = payload
            return message
        if opcode == frames.CLOSE:
            self._closed(*payload)
        elif opcode == frames.PONG:
            self.pongs += 1
        elif self.phase == OPEN:
            self.replies.append(encode_frame(PONG, payload))
        return None

    def _closed(self, code: int, reason: str) -> None:
        if self.phase == OPEN:
            payload = close_payload(None if code == NO_CODE else code, "")
            self.replies.append(encode_frame(CLOSE, payload))
        self.phase = TRANSITIONS[self.phase, CLOSE_RECEIVED]
        self.close_code, self.close_reason = code, reason

    def _fail(self, code: int) -> None:
        """Fail the connection (section 7.1.7): say why if nothing was said, hear no more."""
        if self.phase == OPEN:
            self.replies.append(encode_frame(CLOSE, close_payload(code, "")))
        self.phase = TRANSITIONS[self.phase, BROKEN]
        self.close_code = code
        self.failed = True


def is_sendable(code: int) -> bool:
    """Tell whether a close may carry this code (RFC 6455 section 7.4 and IANA's registry)."""
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def close_payload(code: Optional[int], reason: str) -> bytes:
    """Render code and reason of a close; the reason is cut at a whole character."""
    if code is None:
        return b""
    octets = reason.encode("utf-8", "replace")
    if len(octets) > MAX_REASON:
        octets = octets[:MAX_REASON].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + octets
