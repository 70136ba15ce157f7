"""The h2 connection that judges what the session and its lane do not decide themselves.

It shares our decoder, encoder, connection windows, settings and highest stream, and knows no stream
but the one it is briefed about for one frame. Bad lengths and full windows are taken out of its
hands: h2 makes connection errors of them where one stream's is enough.
"""

from typing import TYPE_CHECKING, Dict, Iterable, Optional

from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, ConnectionInputs, H2Connection
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamClosedBy, StreamState
from hpack.exceptions import HPACKError, OversizedHeaderListError

from .closed import Closed
from .codes import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, PREFACE, WINDOW_MAX
from .compression import Decoder, Encoder
from .stream import COMPLETE, Stream

if TYPE_CHECKING:
    from hpack.struct import Header

_LENGTH_MAX = 0xFFFFFF  # of a frame: ours is checked before, and blocks come put together


class Judge(H2Connection):
    """h2 as a server past the preface, with our codecs."""

    def __init__(
        self,
        settings: Dict[int, int],
        decoder: Decoder,
        encoder: Encoder,
        closed: Closed,
    ) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        values: Dict[SettingCodes, int] = settings  # type: ignore[assignment] # codes are ints
        self.local_settings = Settings(client=False, initial_values=values)
        self.max_inbound_frame_size = _LENGTH_MAX
        self.decoder = decoder
        self.encoder = encoder  # type: ignore[assignment] # only its table size is asked for
        self._closed = closed
        self.initiate_connection()
        self.receive_data(PREFACE)
        # The lane opens streams that h2 never hears of; to h2 the connection must count as open.
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        _relieve(stream)
        return stream

    def _stream_closed_by(self, stream_id: int) -> Optional[StreamClosedBy]:
        brief = self.streams.get(stream_id)
        return self._closed.how(stream_id) if brief is None else brief.closed_by

    def release(self) -> None:
        """Judge no more; what remains goes with the last reference to it."""
        self._frame_dispatch_table.clear()

    def brief(self, stream: Stream) -> None:
        """Let h2 know one of our streams; to be cleared after the frame in question."""
        brief = H2Stream(stream.number, self.config, WINDOW_MAX, WINDOW_MAX)
        _relieve(brief)
        machine = brief.state_machine
        machine.client = False
        machine.headers_received = True
        if stream.phase >= COMPLETE:
            machine.headers_sent = True
            machine.state = StreamState.HALF_CLOSED_LOCAL
        elif stream.remote_open:
            machine.state = StreamState.OPEN
        else:
            machine.state = StreamState.HALF_CLOSED_REMOTE
        self.streams[stream.number] = brief


class _Unlimited:
    """A window that h2 may consume from; the stream's own is kept by ``Stream``."""

    __slots__ = ()

    def window_consumed(self, size: int) -> None:
        """Take it as read."""


_UNLIMITED = _Unlimited()


class _Relieved(H2Stream):
    """An h2 stream that leaves the length of the body to us."""

    def _initialize_content_length(self, headers: "Iterable[Header]") -> None:
        """Read nothing: ``read_request`` has."""

    def _track_content_length(self, length: int, end_stream: bool) -> None:
        """Count nothing: ``Session.data`` does."""


def _relieve(stream: H2Stream) -> None:
    stream.__class__ = _Relieved
    stream._inbound_window_manager = _UNLIMITED  # type: ignore[assignment] # all h2 calls of it


def code_of(error: ProtocolError) -> int:
    """Find the code for a GOAWAY; h2 calls lost compression state a protocol error."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OversizedHeaderListError):
        return ENHANCE_YOUR_CALM
    if isinstance(cause, HPACKError):
        return COMPRESSION_ERROR
    return int(error.error_code)
