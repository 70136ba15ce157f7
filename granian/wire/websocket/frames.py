"""wsproto's frame layer with our limits: the judge of every frame that the lane declined.

wsproto reads headers, keeps the rules of fragmentation, decodes text as it arrives and checks
close codes. It has no limits and inflates without a bound, so its extension point is where ours
stand: ``Guard`` sees every header before its payload and every piece of payload before it is
kept. Imported when the first frame is declined. RFC 6455 section 5, RFC 7692. Owner thread only.
"""

from io import StringIO
from typing import Any, Optional, Tuple, Union

from wsproto.extensions import Extension
from wsproto.frame_protocol import (
    CloseReason,
    FrameDecoder,
    FrameProtocol,
    Opcode,
    ParseFailed,
    RsvBits,
)

from ..._typing import Message
from .deflate import InflateError, Inflater, TooLargeError

MAX_FRAGMENTS = 65_536
"""Frames of one message."""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

Event = Tuple[int, Union[Message, Tuple[int, str]]]
"""``(opcode, payload)``: a whole message, the payload of a ping or pong, or (code, reason)."""


class BrokenError(Exception):
    """The peer broke the protocol; ``code`` is what to close with (RFC 6455 section 7.4.1)."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Guard(Extension):
    """Limits, and permessage-deflate where it was agreed on, as an extension of wsproto.

    Args:
        max_message: Octets of a message after inflating.
        max_frame: Octets of a frame's payload, as its header announces them.
        inflater: The peer's stream, where compression was agreed on.
    """

    name = "limits"

    def __init__(self, max_message: int, max_frame: int, inflater: Optional[Inflater]) -> None:
        self.max_message = max_message
        self.max_frame = max_frame
        self.inflater = inflater
        self.size = self.fragments = 0
        self.compressed = self.control = False

    def enabled(self) -> bool:
        """Tell wsproto to use it."""
        return True

    def offer(self) -> bool:
        """Offer nothing: the handshake is not wsproto's."""
        return False

    def frame_inbound_header(
        self,
        proto: Union[FrameDecoder, FrameProtocol],
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,
    ) -> Union[CloseReason, RsvBits]:
        """Judge a header before any of its payload is taken."""
        self.control = opcode.iscontrol()
        if self.control:
            return RsvBits(False, False, False)
        # wsproto asks again when the header came in pieces: nothing may be counted here.
        if opcode is not Opcode.CONTINUATION:
            self.size, self.fragments, self.compressed = 0, 0, rsv.rsv1
        elif rsv.rsv1:
            return CloseReason.PROTOCOL_ERROR
        if (
            payload_length > self.max_frame
            or self.fragments >= MAX_FRAGMENTS
            or (not self.compressed and self.size + payload_length > self.max_message)
        ):
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(self.inflater is not None, False, False)

    def frame_inbound_payload_data(
        self, proto: Union[FrameDecoder, FrameProtocol], data: bytes
    ) -> Union[bytes, CloseReason]:
        """Count a piece of payload, inflated first if its message is compressed."""
        if self.control:
            return data
        if not self.compressed:
            self.size += len(data)
            return data
        return self._inflated(data, False)

    def frame_inbound_complete(
        self, proto: Union[FrameDecoder, FrameProtocol], fin: bool
    ) -> Union[bytes, CloseReason, None]:
        """Count a frame that has ended; after the last one, end a compressed message."""
        if self.control:
            return None
        self.fragments += 1
        if not fin or not self.compressed:
            return None
        self.compressed = False  # a continuation of nothing is wsproto's to refuse
        return self._inflated(b"", True)

    def _inflated(self, data: bytes, last: bool) -> Union[bytes, CloseReason]:
        inflater = self.inflater
        if inflater is None:  # the header was refused before
            return CloseReason.PROTOCOL_ERROR
        room = self.max_message - self.size
        try:
            result = inflater.finish(room) if last else inflater.inflate(data, room)
        except TooLargeError:
            return CloseReason.MESSAGE_TOO_BIG
        except InflateError:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self.size += len(result)
        return result


class FrameReader:
    """Frames of one peer through wsproto, as whole messages and control frames."""

    __slots__ = ("_binary", "_protocol", "_text", "under_way")

    def __init__(self, guard: Guard) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[guard])
        self._text = StringIO()
        self._binary = bytearray()
        self.under_way = False
        """A message has begun and not ended."""

    def feed(self, data: bytes) -> Optional[Event]:
        """Take octets of one frame, whole or a piece; return what it completes, if anything.

        Raises:
            BrokenError: The frame, or its message, is not allowed.
        """
        event: Optional[Event] = None
        self._protocol.receive_bytes(data)
        try:
            for frame in self._protocol.received_frames():
                opcode: int = int(frame.opcode)
                payload: Any = frame.payload
                if opcode == CLOSE:
                    event = opcode, (int(payload[0]), payload[1])
                elif opcode > CLOSE:
                    event = opcode, bytes(payload)
                else:
                    whole = self._collect(payload, frame.message_finished)
                    if whole is not None:
                        event = opcode, whole
        except ParseFailed as failure:
            raise BrokenError(int(failure.code)) from None
        return event

    def _collect(self, piece: Message, last: bool) -> Optional[Message]:
        """Add a piece to the message under way; return the message at its end.

        Buffers, not lists: a message sent octet by octet must not cost an object for each.
        """
        if not self.under_way and last:
            return piece
        self.under_way = not last
        if isinstance(piece, str):
            self._text.write(piece)
            if not last:
                return None
            text, self._text = self._text.getvalue(), StringIO()
            return text
        self._binary += piece
        if not last:
            return None
        binary, self._binary = bytes(self._binary), bytearray()
        return binary
