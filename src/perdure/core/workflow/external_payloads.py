"""How many payloads of a run's history are kept elsewhere by its clients, and how large they are.

Nothing is recorded for it: every row of events is looked through once, when it is made and when it is folded. Rows
without any, which are nearly all of them, are told by a look at their bytes. Search attributes do not count.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.history.v1 import History

#: A byte that a `Payload` with such a part has: field 3, with its length after it.
_TAG = Payload.DESCRIPTOR.fields_by_name["external_payloads"].number << 3 | 2
#: What the part holds: nothing, or its size as field 1, a number of up to 10 bytes.
_SIZE_TAG = 1 << 3
_LONGEST = 11


class External(NamedTuple):
    number: int = 0
    size_bytes: int = 0


_NONE = External()


def external_payloads(events: bytes) -> External:
    """Count those of a serialized `History`."""
    return _counted(History.FromString(events)) if _may_have_any(events) else _NONE


def _may_have_any(data: bytes) -> bool:
    at = data.find(_TAG)
    while at >= 0:
        length = data[at + 1] if at + 1 < len(data) else _LONGEST + 1
        if length == 0:
            return True
        if length <= _LONGEST and data[at + 2 : at + 3] == bytes((_SIZE_TAG,)):
            return True
        at = data.find(_TAG, at + 1)
    return False


def _counted(message: Message) -> External:
    if isinstance(message, Payload):
        parts = message.external_payloads
        return External(len(parts), sum(part.size_bytes for part in parts))
    count = size = 0
    paths = _paths(message.DESCRIPTOR)
    for field, value in message.ListFields():
        if field.name in paths:
            for each in _messages(field, value):
                if _may_have_any(each.SerializeToString()):
                    found = _counted(each)
                    count += found.number
                    size += found.size_bytes
    return External(count, size)


def _messages(field: FieldDescriptor, value: object) -> Iterable[Message]:
    if isinstance(value, Message):
        return (value,)
    # A map of messages, or a list of them.
    return value.values() if hasattr(value, "values") else value  # type: ignore[return-value]


@cache
def _paths(kind: Descriptor) -> frozenset[str]:
    """Return the fields of a message that may hold a payload, somewhere."""
    return frozenset(
        field.name
        for field in kind.fields
        if field.message_type is not None and _may_hold(field.message_type, frozenset())
    )


def _may_hold(kind: Descriptor, above: frozenset[str]) -> bool:
    if kind.full_name == Payload.DESCRIPTOR.full_name:
        return True
    if kind.full_name in above or kind.full_name == SearchAttributes.DESCRIPTOR.full_name:
        return False
    within = above | {kind.full_name}
    return any(
        field.message_type is not None and _may_hold(field.message_type, within)
        for field in kind.fields
    )
