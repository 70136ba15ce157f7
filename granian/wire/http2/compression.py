"""HPACK both ways, with memos: the decoder and the encoder that lane and h2 share.

The decoder replaces the loop of ``hpack.Decoder`` and keeps its table: bounded integers, a cap on
fields and octets while decoding, and no line in a log that could hold a credential. A block that
leaves the table as it was may be remembered by its octets until the table changes: that is what
``version`` tells. The encoder never inserts into the peer's table, so that a response block
is a pure function of its fields: it costs no memory per connection, no table size that a peer
announces concerns it, and one connection's block serves every other.

Thread: a ``Lexicon`` belongs to one runtime thread, a decoder to one connection. RFC 7541.
"""

from typing import Dict, Iterable, List, Tuple

from hpack import Decoder as _Decoder
from hpack.exceptions import (
    HPACKDecodingError,
    InvalidTableIndex,
    InvalidTableSizeError,
    OversizedHeaderListError,
)
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from ..._typing import RawHeaders

STATIC = HeaderTable.STATIC_TABLE
"""RFC 7541 appendix A, from index 1."""

_ENTRY_OVERHEAD = 32  # RFC 7541 section 4.1
_DEFAULT_TABLE = 4096  # RFC 9113 section 6.5.2
_STRINGS_MAX = 4096
_STRING_OCTETS_MAX = 40  # longer strings rarely come twice; credentials are longer

_STATIC_NAMES: Dict[bytes, int] = {}
for _index, (_name, _) in reversed(list(enumerate(STATIC, 1))):
    _STATIC_NAMES[_name] = _index
_STATIC_FIELDS = {field: index for index, field in enumerate(STATIC, 1)}
_CREDENTIALS = frozenset([b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"])
_TABLE_SIZE_ZERO = b"\x20"


class Lexicon:
    """What the connections of one thread share, because it depends on no connection.

    Attributes:
        strings: Huffman strings seen before, decoded.
        blocks: Whole response blocks by ``(status, fields, body length)``, good until the date
            changes.
        date: The encoded date field.
    """

    __slots__ = ("blocks", "date", "strings")

    def __init__(self) -> None:
        self.strings: Dict[bytes, bytes] = {}
        self.blocks: Dict[Tuple[int, Tuple[Tuple[bytes, bytes], ...], int], bytes] = {}
        self.date = b""

    def set_date(self, value: bytes) -> None:
        """Take the value of the date field for this second."""
        self.date = encode_field(b"date", value)
        self.blocks.clear()


class _Table(HeaderTable):
    """A dynamic table that tells no log what it forgets: a value may be a credential."""

    def _shrink(self) -> None:
        size = self._current_size
        while size > self._maxsize:
            name, value = self.dynamic_entries.pop()
            size -= len(name) + len(value) + _ENTRY_OVERHEAD
        self._current_size = size


class Decoder(_Decoder):
    """A decoder of request blocks that h2 uses as its own.

    Attributes:
        version: Changes whenever the dynamic table does.
        oversized: The last block exceeded the list limit or the field cap, yet was read to its
            end: the table is in step, and what ``decode`` returned is not to be used.
    """

    def __init__(self, lexicon: Lexicon, list_max: int, fields_max: int) -> None:
        super().__init__()
        self.header_table = _Table()
        self.version = 0
        self.oversized = False
        self.max_header_list_size = list_max
        self._fields_max = fields_max
        self._strings = lexicon.strings

    def decode(self, data: bytes, raw: bool = False) -> RawHeaders:  # type: ignore[override]
        """Decode one whole block; names and values stay octets whatever ``raw`` says.

        Raises:
            OversizedHeaderListError: Four times the limit of fields or octets.
            HPACKDecodingError: The block is malformed; the connection cannot go on.

        Spec:
            RFC 7541 sections 3, 4.2, 5 and 6.
        """
        entries = self.header_table.dynamic_entries
        fields: RawHeaders = []
        list_max, fields_max = self.max_header_list_size, self._fields_max
        size = count = at = 0
        end = len(data)
        try:
            while at < end:
                octet = data[at]
                at += 1
                if octet & 0x80:  # indexed field
                    index = octet & 0x7F
                    if index == 0x7F:
                        index, at = _integer(data, at, 0x7F)
                    if index < 62:
                        if not index:
                            raise InvalidTableIndex("index 0")
                        field = STATIC[index - 1]
                    else:
                        field = entries[index - 62]
                elif octet & 0xE0 == 0x20:  # dynamic table size update
                    if count:
                        raise HPACKDecodingError("table size update after a field")
                    at = self._resize(data, at, octet)
                    continue
                else:  # literal field
                    inserted = octet & 0x40
                    mask = 0x3F if inserted else 0x0F
                    index = octet & mask
                    if index == mask:
                        index, at = _integer(data, at, mask)
                    if not index:
                        name, at = self._string(data, at, b"")
                    elif index < 62:
                        name = STATIC[index - 1][0]
                    else:
                        name = entries[index - 62][0]
                    value, at = self._string(data, at, name)
                    field = (name, value)
                    if inserted:
                        self.header_table.add(name, value)
                        self.version += 1
                count += 1
                size += len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD
                if size <= list_max and count <= fields_max:
                    fields.append(field)
                elif size > 4 * list_max or count > 4 * fields_max:
                    raise OversizedHeaderListError("header list far beyond the limit")
        except IndexError:
            raise InvalidTableIndex("block cut short, or an index beyond the table") from None
        if self.header_table_size > self.max_allowed_table_size:
            raise InvalidTableSizeError("table not shrunk as the settings demand")
        self.oversized = size > list_max or count > fields_max
        return fields

    def _resize(self, data: bytes, at: int, octet: int) -> int:
        size = octet & 0x1F
        if size == 0x1F:
            size, at = _integer(data, at, 0x1F)
        if size > self.max_allowed_table_size:
            raise InvalidTableSizeError("table size update beyond the limit")
        self.header_table_size = size
        self.version += 1
        return at

    def _string(self, data: bytes, at: int, name: bytes) -> Tuple[bytes, int]:
        octet = data[at]
        at += 1
        length = octet & 0x7F
        if length == 0x7F:
            length, at = _integer(data, at, 0x7F)
        stop = at + length
        if stop > len(data):
            raise HPACKDecodingError("block cut short in a string")
        string = data[at:stop]
        if not octet & 0x80:
            return string, stop
        try:
            return self._strings[string], stop
        except KeyError:
            plain = bytes(decode_huffman(string))
        if length <= _STRING_OCTETS_MAX and name not in _CREDENTIALS:
            if len(self._strings) >= _STRINGS_MAX:
                self._strings.clear()
            self._strings[string] = plain
        return plain, stop


def _integer(data: bytes, at: int, prefix: int) -> Tuple[int, int]:
    """Read the rest of an integer whose prefix was all ones; at most 28 bits (section 5.1)."""
    value = prefix
    for shift in (0, 7, 14, 21):
        octet = data[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise HPACKDecodingError("integer too long")


class Encoder:
    """What h2 believes to be its encoder: it hears which table size the peer allows.

    Attributes:
        prefix: What the next block must begin with; to be cleared once sent.
    """

    __slots__ = ("_announced", "prefix")

    def __init__(self) -> None:
        self.prefix = b""
        self._announced = False

    @property
    def header_table_size(self) -> int:
        """The size of the peer's table that we use: none."""
        return 0

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        # Section 4.2: a limit below the size in use is acknowledged in the next block. Ours
        # counts as the default until the peer is told otherwise, which once is enough.
        if value < _DEFAULT_TABLE and not self._announced:
            self._announced = True
            self.prefix = _TABLE_SIZE_ZERO


def encode_field(name: bytes, value: bytes) -> bytes:
    """Encode one field without indexing, by its static index where it has one.

    Values stay plain: Huffman coding costs a Python loop an octet and spares a quarter. What
    must never enter a table on the way is marked so (RFC 7541 section 7.1.3).
    """
    index = _STATIC_FIELDS.get((name, value))
    if index is not None:
        return bytes((0x80 | index,))
    form = 0x10 if name in _CREDENTIALS else 0x00
    index = _STATIC_NAMES.get(name, 0)
    head = bytes((form | index,)) if index < 15 else bytes((form | 15, index - 15))
    if not index:
        head += _length(len(name)) + name
    return b"%b%b%b" % (head, _length(len(value)), value)


def encode_fields(fields: Iterable[Tuple[bytes, bytes]]) -> bytes:
    """Encode several fields, in order."""
    pieces: List[bytes] = [encode_field(name, value) for name, value in fields]
    return b"".join(pieces)


def _length(size: int) -> bytes:
    """Encode the length of a plain string: an integer with a prefix of seven bits."""
    if size < 0x7F:
        return bytes((size,))
    rest = size - 0x7F
    octets = bytearray((0x7F,))
    while rest >= 0x80:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    octets.append(rest)
    return bytes(octets)
