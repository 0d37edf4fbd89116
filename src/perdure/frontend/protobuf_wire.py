"""Builds serialized messages from serialized parts, without decoding the parts."""

from collections.abc import Iterable, Iterator

from google.protobuf.message import Message

from perdure.runtime.executions import PAGE_BYTES_MAX


def with_submessage(message: Message, field_number: int, submessage: bytes) -> bytes:
    """Return `message` serialized, with the serialized `submessage` in a field that `message` leaves unset.

    Protobuf allows fields in any order, so a reader sees the same message as if the whole were serialized.
    """
    return b"".join((message.SerializeToString(), field(field_number, submessage)))


def field(field_number: int, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(field_number << 3 | 2) + varint(len(content)) + content


def serialized(message: Message, name: str) -> bytes | None:
    """Return a submessage serialized, which may be empty; None if the message does not have it."""
    return getattr(message, name).SerializeToString() if message.HasField(name) else None


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fitting(parts: Iterable[bytes], bytes_max: int = PAGE_BYTES_MAX) -> Iterator[bytes]:
    """Yield as many of the first parts as fit into `bytes_max` bytes together. The first part always fits."""
    size = 0
    for number, part in enumerate(parts):
        size += len(part)
        if number and size > bytes_max:
            return
        yield part
