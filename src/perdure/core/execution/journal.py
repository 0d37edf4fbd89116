"""How an archetype's state and internal records become bytes, and back: MessagePack through msgspec.

A row's `internal` bytes are a list of (position, record): the record was made after `position` events of the row.
Journals outlive releases, so a record keeps its tag and the meaning of its fields for ever.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from google.protobuf.message import Message

#: The archetype's durable state: a `msgspec.Struct`.
S = TypeVar("S")


def _encode_message(value: Any) -> bytes:
    assert isinstance(value, Message), type(value)
    return value.SerializeToString()


def _decode_message(kind: type[Any], value: Any) -> Any:
    assert issubclass(kind, Message), kind
    return kind.FromString(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_message)


class Codec(Generic[S]):
    """Encodes one archetype's state and records; `records` is the union of their types, each with a tag."""

    __slots__ = ("_records", "_state")

    def __init__(self, state: type[S], records: Any) -> None:
        self._state = msgspec.msgpack.Decoder(state, dec_hook=_decode_message)
        # mypy takes the union for a value.
        kind: Any = list[tuple[int, records]]
        self._records = msgspec.msgpack.Decoder(kind, dec_hook=_decode_message)

    def encode_state(self, state: S) -> bytes:
        return _encoder.encode(state)

    def decode_state(self, snapshot: bytes) -> S:
        """Raise `msgspec.DecodeError` if `snapshot` is not one that `encode_state` made."""
        return self._state.decode(snapshot)

    def encode_internal(self, records: Sequence[tuple[int, Any]]) -> bytes:
        return _encoder.encode(records) if records else b""

    def decode_internal(self, internal: bytes) -> list[tuple[int, Any]]:
        decoded: list[tuple[int, Any]] = self._records.decode(internal) if internal else []
        return decoded
