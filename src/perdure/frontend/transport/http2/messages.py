"""Messages of gRPC inside of a request's body: a prefix of five bytes (is it compressed, its size), then its bytes."""

import zlib

from perdure.frontend.transport.http2.request_head import ENCODINGS

PREFIX_BYTES = 5
#: The codes of gRPC that the transport itself refuses with.
RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 8, 12, 13


class CallRefused(Exception):
    """A call is refused by the transport: the code of the status, its words, and trailers."""

    def __init__(self, code: int, words: str, trailers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(words)
        self.code, self.words, self.trailers = code, words, trailers


def check_size(prefix: bytes | bytearray, size_max: int) -> int:
    """Return the size that a message says it has, before it is there. Raises `CallRefused`."""
    size = int.from_bytes(prefix[1:PREFIX_BYTES], "big")
    if size > size_max:
        # Temporal: SDKs know this refusal by its text.
        words = f"grpc: received message larger than max ({size} vs. {size_max})"
        raise CallRefused(RESOURCE_EXHAUSTED, words)
    return size


def message_of(body: bytes, encoding: str, size_max: int) -> bytes:
    """Return the one message of a body, decompressed. Raises `CallRefused`."""
    if len(body) < PREFIX_BYTES:
        raise CallRefused(INTERNAL, "the request has no message")
    size = check_size(body, size_max)
    if len(body) != PREFIX_BYTES + size:
        raise CallRefused(INTERNAL, "the request has not exactly one message")
    if body[0] == 0:
        return body[PREFIX_BYTES:]
    if body[0] != 1:
        raise CallRefused(INTERNAL, "the request's message has unknown flags")
    return _decompressed(memoryview(body)[PREFIX_BYTES:], encoding, size_max)


def _decompressed(data: memoryview, encoding: str, size_max: int) -> bytes:
    window_bits = ENCODINGS.get(encoding)
    if window_bits is None:
        names = (("grpc-accept-encoding", ",".join(ENCODINGS)),)
        words = f'grpc: Decompressor is not installed for grpc-encoding "{encoding}"'
        raise CallRefused(UNIMPLEMENTED, words, names)
    if not window_bits:
        raise CallRefused(INTERNAL, "grpc: compressed flag set with identity or empty encoding")
    reader = zlib.decompressobj(window_bits)
    try:
        message = reader.decompress(data, size_max + 1)
    except zlib.error:
        message = b""
    else:
        if len(message) > size_max:
            words = f"grpc: received message after decompression larger than max {size_max}"
            raise CallRefused(RESOURCE_EXHAUSTED, words)
    if not reader.eof:
        raise CallRefused(INTERNAL, "grpc: failed to decompress the received message")
    return message
