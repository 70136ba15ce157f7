"""The fast lane: a new request in one HEADERS frame, and DATA on an open stream.

It serves what it is sure of and declines the rest to h2 by returning False, having touched
nothing. It shares its state with the h2 connection: decoder, connection window, highest stream.
The memo maps the octets of a block to the request they make, for as long as the decoder's table
stands: a block of indexed fields and plain literals does not change the table, so its octets mean
the same until another block does.
"""

from typing import TYPE_CHECKING, Dict, Optional, Tuple

from ..head import RequestHead
from .codes import (
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    PADDED,
    PRIORITY_FLAG,
    Fault,
)
from .request import Priority, read_request

if TYPE_CHECKING:
    from .session import Session

_MEMO_MAX = 64
_MEMO_OCTETS_MAX = 512
_RESIZES = 0x20  # a block that begins with a table size update is never remembered


class Lane:
    """The lane of one connection."""

    __slots__ = ("_decoder", "_memo", "_session", "_version")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._decoder = session.decoder
        self._memo: Dict[Tuple[bytes, bool], Tuple[RequestHead, Optional[Priority]]] = {}
        self._version = 0

    def headers(self, flags: int, number: int, data: bytes, start: int, stop: int) -> bool:
        """Take a HEADERS frame that opens a stream; False to decline.

        Args:
            flags: Of the frame.
            number: The stream, already known to be new and within the limits.
            data: Octets received.
            start: Where the payload begins in ``data``.
            stop: Where it ends.

        Raises:
            hpack.HPACKError: The connection's compression state is lost.
        """
        if flags & (PADDED | END_HEADERS) != END_HEADERS:
            return False
        if flags & PRIORITY_FLAG:
            if (
                stop - start < 5
                or int.from_bytes(data[start : start + 4], "big") & 0x7FFFFFFF == number
            ):
                return False
            start += 5  # the RFC 7540 tree is ignored
        block = data[start:stop]
        last = flags & END_STREAM == END_STREAM
        session, decoder = self._session, self._decoder
        if self._version == decoder.version:
            try:
                head, priority = self._memo[block, last]
            except KeyError:
                pass
            else:
                # The head is shared by the requests it was remembered for; the list of fields
                # belongs to the application, so each gets its own.
                head.headers = head.headers[:]
                session.judge.highest_inbound_stream_id = number
                session.open(number, head, priority, last)
                return True
        version = decoder.version
        fields = decoder.decode(block)
        session.judge.highest_inbound_stream_id = number
        request = (
            None if decoder.oversized else read_request(fields, last, session.connect_protocol)
        )
        if request is None:
            session.request(number, fields, last)  # refuses it
            return True
        if (
            version == decoder.version
            and len(block) <= _MEMO_OCTETS_MAX
            and block[0] & 0xE0 != _RESIZES
        ):
            self._remember(block, last, request)
        session.open(number, request[0], request[1], last)
        return True

    def _remember(
        self, block: bytes, last: bool, request: Tuple[RequestHead, Optional[Priority]]
    ) -> None:
        version = self._decoder.version
        if version != self._version or len(self._memo) >= _MEMO_MAX:
            self._memo.clear()
            self._version = version
        self._memo[block, last] = request

    def data(self, flags: int, number: int, data: bytes, start: int, stop: int) -> bool:
        """Take a DATA frame of an open stream; False to decline.

        Raises:
            Fault: The peer has sent more than it may (section 6.9.1).
        """
        session = self._session
        try:
            stream = session.streams[number]
        except KeyError:
            return False
        if flags & PADDED or not stream.remote_open:
            return False
        size = stop - start
        window = session.inflow.window
        window.current_window_size -= size
        if window.current_window_size < 0:
            raise Fault(FLOW_CONTROL_ERROR)
        session.data(stream, data[start:stop], size, flags & END_STREAM == END_STREAM)
        return True
