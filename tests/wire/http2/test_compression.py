import hpack
import pytest
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hypothesis import given
from hypothesis import strategies as st

from granian.wire.http2.compression import (
    Decoder,
    Encoder,
    Lexicon,
    encode_field,
    encode_fields,
)

NAMES = st.sampled_from([b":path", b"accept", b"cookie", b"x-a", b"content-length", b"x" * 130])
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300), st.booleans()), max_size=12)


@given(st.lists(FIELDS, max_size=5), st.booleans(), st.sampled_from([None, 0, 60, 200, 4096]))
def test_blocks_of_another_encoder_read_as_its_own_decoder_reads_them(blocks, huffman, size):
    encoder, theirs, ours = hpack.Encoder(), hpack.Decoder(), Decoder(Lexicon(), 1 << 20, 1000)
    for fields in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman)
        assert ours.decode(block) == [tuple(field) for field in theirs.decode(block, raw=True)]
        assert ours.header_table.dynamic_entries == theirs.header_table.dynamic_entries


@given(st.binary(max_size=60))
def test_any_octets_read_as_hpack_reads_them_or_are_refused(block):
    theirs, ours = hpack.Decoder(), Decoder(Lexicon(), 1 << 16, 1000)
    try:
        fields = ours.decode(block)
    except HPACKError:
        return
    # Only newer releases refuse an update after a field, and integers beyond all need.
    assert fields == [tuple(field) for field in theirs.decode(block, raw=True)]


@given(st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=12))
def test_our_blocks_leave_their_table_empty(fields):
    theirs = hpack.Decoder()
    decoded = theirs.decode(encode_fields(fields), raw=True)
    assert [tuple(field) for field in decoded] == fields
    assert len(theirs.header_table.dynamic_entries) == 0


def test_credentials_are_never_to_be_indexed():
    assert encode_field(b"set-cookie", b"a=b")[0] & 0xF0 == 0x10
    assert encode_field(b"server", b"granian")[0] & 0xF0 == 0x00
    assert encode_field(b":status", b"200") == b"\x88"


def test_the_version_tells_whether_a_block_may_be_remembered():
    decoder = Decoder(Lexicon(), 65_536, 1000)
    encoder = hpack.Encoder()
    first = encoder.encode([(b":method", b"GET"), (b"x-a", b"1")])
    decoder.decode(first)
    version = decoder.version
    decoder.decode(encoder.encode([(b":method", b"GET"), (b"x-a", b"1")]))
    assert decoder.version == version
    decoder.decode(encoder.encode([(b"x-a", b"2")]))
    assert decoder.version != version


def test_a_list_beyond_the_limit_is_read_to_its_end():
    decoder = Decoder(Lexicon(), 100, 1000)
    encoder = hpack.Encoder()
    decoder.decode(encoder.encode([(b"x-a", b"v" * 80), (b"x-b", b"w")]))
    assert decoder.oversized
    assert len(decoder.header_table.dynamic_entries) == 2
    assert decoder.decode(encoder.encode([(b"x-b", b"w")])) == [(b"x-b", b"w")]
    assert not decoder.oversized
    with pytest.raises(OversizedHeaderListError):
        decoder.decode(encoder.encode([(b"x-c", b"v" * 400)]))


def test_strings_are_remembered_but_not_credentials():
    lexicon = Lexicon()
    decoder = Decoder(lexicon, 65_536, 1000)
    encoder = hpack.Encoder()
    decoder.decode(encoder.encode([(b"user-agent", b"curl"), (b"cookie", b"secret")]))
    assert set(lexicon.strings.values()) == {b"curl"}


def test_the_memory_of_strings_is_bounded():
    lexicon = Lexicon()
    decoder = Decoder(lexicon, 65_536, 1000)
    for i in range(5000):
        decoder.decode(hpack.Encoder().encode([(b"x", b"value%d" % i)]))
    assert len(lexicon.strings) <= 4096


def test_the_table_tells_no_log_what_it_forgets(caplog):
    caplog.set_level("DEBUG")
    decoder = Decoder(Lexicon(), 65_536, 1000)
    for i in range(200):
        decoder.decode(hpack.Encoder().encode([(b"authorization", b"secret%d" % i)]))
    ours = [record.getMessage() for record in caplog.records if "Evicting" in record.msg]
    assert ours == []


def test_a_smaller_table_is_announced_once():
    encoder = Encoder()
    encoder.header_table_size = 1 << 30
    assert encoder.prefix == b""
    encoder.header_table_size = 100
    assert encoder.prefix == b"\x20"
    encoder.prefix = b""
    encoder.header_table_size = 50
    assert encoder.prefix == b""
    assert encoder.header_table_size == 0
