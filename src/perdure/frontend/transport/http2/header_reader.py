"""Reads HPACK (RFC 7541), the compression of headers. The static table and the Huffman code are python-hyper's `hpack`.

Why not its `Decoder`: clients send nearly the same headers with each call, a byte for each; here that is one look-up.
"""

from functools import lru_cache

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from perdure.frontend.transport.http2.frames import Breach, Fault
from perdure.frontend.transport.http2.limits import ConnectionLimits

Field = tuple[str, str]

#: The size of the table that every client may use, and that an entry has besides its texts.
TABLE_BYTES_MAX, ENTRY_BYTES = 4096, 32
#: So few fields of a short block are not too long together: an entry of the table has at most 4 KiB.
_FEW_FIELDS = 64
#: Longer Huffman-coded texts are not kept once they are decoded.
_KEPT_BYTES_MAX = 64
_STATIC: list[Field] = [(name.decode(), value.decode()) for name, value in HeaderTable.STATIC_TABLE]


class HeaderReader:
    """The decoding half of one connection."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._fields_max, self._bytes_max = limits.fields, limits.header_bytes
        #: The dynamic table, the newest entry last.
        self._table: list[Field] = []
        self._table_bytes, self._table_bytes_max = 0, TABLE_BYTES_MAX
        #: Grows whenever the table changes: as long as it stays, the same bytes mean the same fields.
        self.changes = 0

    def read(self, block: bytes) -> list[Field]:
        """Return the fields of a header block. Raises `Breach`: the table is lost, and the connection with it."""
        try:
            fields = self._read(block)
        except (IndexError, HPACKError) as error:
            raise Breach(Fault.COMPRESSION) from error
        is_long = len(block) > TABLE_BYTES_MAX or len(fields) > _FEW_FIELDS
        if is_long and sum(len(name) + len(value) for name, value in fields) > self._bytes_max:
            raise Breach(Fault.ENHANCE_YOUR_CALM)
        return fields

    def _read(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        at, end, table = 0, len(block), self._table
        while at < end:
            first = block[at]
            if first & 0x80:  # A field of a table.
                if first == 0x80:
                    raise Breach(Fault.COMPRESSION)
                if first < 0xFF:
                    index, at = first & 0x7F, at + 1
                else:
                    index, at = _integer(block, at, 0x7F)
                fields.append(_STATIC[index - 1] if index < 62 else table[61 - index])
            elif first & 0xE0 == 0x20:
                if fields:
                    raise Breach(Fault.COMPRESSION)
                at = self._resize(block, at)
            else:
                is_kept = first & 0x40
                index, at = _integer(block, at, 0x3F if is_kept else 0x0F)
                if index:
                    name = (_STATIC[index - 1] if index < 62 else table[61 - index])[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                fields.append((name, value))
                if is_kept:
                    self._keep(name, value)
            # A short block can name one long entry of the table thousands of times.
            if len(fields) > self._fields_max:
                raise Breach(Fault.ENHANCE_YOUR_CALM)
        return fields

    def _resize(self, block: bytes, at: int) -> int:
        size, at = _integer(block, at, 0x1F)
        if size > TABLE_BYTES_MAX:
            raise Breach(Fault.COMPRESSION)
        self._table_bytes_max = size
        self._evict()
        self.changes += 1
        return at

    def _keep(self, name: str, value: str) -> None:
        self._table.append((name, value))
        self._table_bytes += len(name) + len(value) + ENTRY_BYTES
        self._evict()
        self.changes += 1

    def _evict(self) -> None:
        while self._table_bytes > self._table_bytes_max:
            name, value = self._table.pop(0)
            self._table_bytes -= len(name) + len(value) + ENTRY_BYTES


def _string(block: bytes, at: int) -> tuple[str, int]:
    size, start = _integer(block, at, 0x7F)
    end = start + size
    raw = block[start:end]
    if len(raw) != size:
        raise Breach(Fault.COMPRESSION)
    if not block[at] & 0x80:
        return raw.decode("latin-1"), end
    return (_kept_text if size <= _KEPT_BYTES_MAX else _text)(raw), end


def _text(raw: bytes) -> str:
    return decode_huffman(raw).decode("latin-1")


_kept_text = lru_cache(1024)(_text)


def _integer(block: bytes, at: int, top: int) -> tuple[int, int]:
    """Return the number in the bits of `top` and after them, and where the rest begins."""
    value = block[at] & top
    if value < top:
        return value, at + 1
    for place in range(4):
        byte = block[at + 1 + place]
        value += (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + 2 + place
    raise Breach(Fault.COMPRESSION)
