"""Writes the header blocks of answers. They use no table, so that those of nearly all answers are constants."""

from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote

from hpack.hpack import encode_integer

#: gRPC: these characters of a status message are sent as they are.
_LEGAL = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"

Trailers = Iterable[tuple[str, str | bytes]]


def field(name: str, value: bytes) -> bytes:
    """Return the bytes of a header that enters no table."""
    key = name.encode()
    sizes = bytes(encode_integer(len(key), 7)), bytes(encode_integer(len(value), 7))
    return b"\0" + sizes[0] + key + sizes[1] + value


def status_block(code: int, words: str = "", more: Trailers = ()) -> bytes:
    """Return the header block that ends an answer. `more`: see `trailer_block`."""
    block = field("grpc-status", b"%d" % code)
    if words:
        block += field("grpc-message", quote(words, safe=_LEGAL).encode())
    return block + trailer_block(more)


def trailer_block(trailers: Trailers) -> bytes:
    """Return further headers that end an answer. Those with bytes have names in `-bin`."""
    return b"".join(
        field(name, value.encode() if isinstance(value, str) else b64encode(value).rstrip(b"="))
        for name, value in trailers
    )
