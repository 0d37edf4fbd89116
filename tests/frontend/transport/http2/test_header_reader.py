"""RFC 7541: a table of what must be refused, and whatever `hpack` encodes comes out as it went in."""

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hypothesis import given
from hypothesis import strategies as st

from perdure.frontend.transport.http2.frames import Breach
from perdure.frontend.transport.http2.header_reader import HeaderReader
from perdure.frontend.transport.http2.limits import ConnectionLimits
from tests.frontend.transport.http2.wire import COMPRESSION, ENHANCE_YOUR_CALM, block

LIMITS = ConnectionLimits()
#: A literal that is kept in the table, with the name "a" and the value "b".
KEPT = b"\x40\x01a\x01b"

WRONG: dict[str, bytes] = {
    "2.3.3 index 0": b"\x80",
    "2.3.3 an index beyond both tables": b"\xbe",
    "2.3.3 an index one beyond the table": KEPT + b"\xbf",
    "2.3.3 a name's index beyond both tables": b"\x7e\x01b",
    "2.3.3 a name's index beyond, not kept": b"\x0f\x2f\x01b",
    "4.2 a table larger than we let": b"\x3f\xe2\x1f",
    "4.2 a new table size after a field": KEPT + b"\x20",
    "5.1 a number that is cut off": b"\xff",
    "5.1 a number that is cut off further on": b"\xff\x80\x80",
    "5.1 a number that is too large": b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0f",
    "5.1 a number of zeros without an end": b"\xff" + b"\x80" * 100,
    "5.2 a name that is cut off": b"\x40\x05abc",
    "5.2 a value that is cut off": b"\x40\x01a\x05abc",
    "5.2 a value that is missing": b"\x40\x01a",
    "5.2 a name that is missing": b"\x40",
    "5.2 a size beyond all bounds": b"\x40\x7f\xff\xff\xff\xff\x07",
    "5.2 Huffman: padding of more than 7 bits": b"\x40\x01a\x82\x1f\xff",
    "5.2 Huffman: padding of zeros": b"\x40\x01a\x81\x18",
    "5.2 Huffman: padding of a whole code": b"\x40\x01a\x81\x00",
    "5.2 Huffman: the end-of-string code": b"\x40\x01a\x84\xff\xff\xff\xff",
    "6.2.1 an emptied table has no entry": KEPT[:0] + b"\x20\x3f\xe1\x1f\xbe",
}


@pytest.mark.parametrize("rule", WRONG)
def test_what_must_be_refused(rule):
    with pytest.raises(Breach) as error:
        HeaderReader(LIMITS).read(WRONG[rule])
    assert error.value.fault == COMPRESSION


@pytest.mark.parametrize(
    ("encoded", "fields"),
    [
        # RFC 7541, C.2 to C.4.
        (b"\x40\x0acustom-key\x0dcustom-header", [("custom-key", "custom-header")]),
        (b"\x04\x0c/sample/path", [(":path", "/sample/path")]),
        (b"\x10\x08password\x06secret", [("password", "secret")]),
        (b"\x82", [(":method", "GET")]),
        (
            bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"),
            [
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
            ],
        ),
        # Two new sizes, and the table is emptied in between.
        (b"\x20\x3f\xe1\x1f\x82", [(":method", "GET")]),
        (b"", []),
        # An entry larger than the table empties it, and is no fault (4.4).
        (b"\x25" + KEPT, [("a", "b")]),
    ],
)
def test_what_must_be_read(encoded, fields):
    assert HeaderReader(LIMITS).read(encoded) == fields


def test_a_field_of_the_table_by_its_index():
    reader = HeaderReader(LIMITS)
    assert reader.read(KEPT + b"\xbe") == [("a", "b")] * 2
    assert reader.read(b"\x40\x01c\x01d\xbe\xbf") == [("c", "d"), ("c", "d"), ("a", "b")]
    assert reader.read(b"\x7f\x00\x01e") == [("a", "e")]
    with pytest.raises(Breach):
        reader.read(b"\x20\xbe")


@pytest.mark.parametrize(
    "bomb",
    [
        # One long entry of the table, and then its index again and again.
        b"\x40\x01a\x7f\x81\x1e" + b"x" * 3968 + b"\xbe" * 300,
        block([("a", "b")] * 257),
    ],
)
def test_a_block_that_becomes_too_much_is_refused(bomb):
    with pytest.raises(Breach) as error:
        HeaderReader(LIMITS).read(bomb)
    assert error.value.fault == ENHANCE_YOUR_CALM


def test_the_bytes_of_a_blocks_fields_are_bounded():
    reader = HeaderReader(ConnectionLimits(header_bytes=250_000))
    reader.read(b"\x40\x01a\x7f\x81\x1e" + b"x" * 3968)
    reader.read(b"\xbe" * 62)
    with pytest.raises(Breach) as error:
        reader.read(b"\xbe" * 65)
    assert error.value.fault == ENHANCE_YOUR_CALM


names = st.one_of(
    st.sampled_from(["a", "b", "cookie", ":path", ":method", "grpc-timeout", "te"]),
    st.text(st.characters(max_codepoint=255), max_size=50),
)
values = st.one_of(
    st.sampled_from(["", "b", "POST", "/", "trailers"]),
    st.text(st.characters(max_codepoint=255), max_size=200),
    st.integers(0, 5000).map(lambda size: "long" * (size // 4)),
)
fields = st.tuples(names, values, st.booleans())
blocks = st.tuples(
    st.lists(fields, max_size=20),
    st.booleans(),
    # New sizes of the table before the block.
    st.lists(st.integers(0, 4096), max_size=3),
)


@given(st.lists(blocks, max_size=12))
def test_whatever_hpack_encodes_is_read_as_it_went_in(sent):
    encoder, reader = Encoder(), HeaderReader(LIMITS)
    for fields, has_huffman, sizes in sent:
        for size in sizes:
            encoder.header_table_size = size
        encoded = encoder.encode(
            [
                (name.encode("latin-1"), value.encode("latin-1"), is_secret)
                for name, value, is_secret in fields
            ],
            huffman=has_huffman,
        )
        assert reader.read(bytes(encoded)) == [(name, value) for name, value, _ in fields]
        assert reader._table_bytes == sum(len(n) + len(v) + 32 for n, v in reader._table) <= 4096


@given(st.binary(max_size=200), st.binary(max_size=60))
def test_any_bytes_are_read_as_hpack_reads_them_or_refused(first, second):
    """Our reader takes nothing that `hpack` refuses, and refuses nothing that it takes, but for numbers of six bytes."""
    reader, decoder = HeaderReader(LIMITS), Decoder()
    for encoded in (first, second):
        try:
            wanted = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in decoder.decode(encoded, raw=True)
            ]
        except HPACKError:
            with pytest.raises(Breach):
                reader.read(encoded)
            return
        try:
            assert reader.read(encoded) == wanted
        except Breach:
            # A number that is drawn out by zeros: `hpack` bounds its value, we bound its length.
            assert b"\x80\x80\x80\x80" in encoded
            return
