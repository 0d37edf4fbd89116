"""How many payloads of a run's history are kept elsewhere by its clients, and how large they are.

Nothing is recorded for it: every row of events is looked through once, when it is made and when it is folded. Most rows
without any are known by a look at their bytes; some look as if they had some, such as those of activities with a retry
policy, so looking closer must be cheap, too. Search attributes do not count.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.history.v1 import History

from perdure.core.workflow.records import ends_of_events

#: A `Payload` with such a part has in its bytes: field 3, its length, and in it nothing or the size as field 1.
_TRACE = re.compile(rb"\x1a(?:\x00|[\x02-\x0b]\x08)")


class External(NamedTuple):
    number: int = 0
    size_bytes: int = 0


_NONE = External()


def external_payloads(events: bytes) -> External:
    """Count those of a serialized `History`."""
    if _TRACE.search(events) is None:
        return _NONE
    number = size_bytes = at = 0
    for end in ends_of_events(events):
        # Most of them have no trace, also of a row in which one has.
        if _TRACE.search(events, at, end) is not None:
            own = _counted(History.FromString(events[at:end]).events[0])
            number, size_bytes = number + own[0], size_bytes + own[1]
        at = end
    return External(number, size_bytes)


def _counted(message: Any) -> tuple[int, int]:
    if isinstance(message, Payload):
        parts = message.external_payloads
        return (len(parts), sum(part.size_bytes for part in parts)) if parts else (0, 0)
    count = size = 0
    for each in _within(message):
        number, size_bytes = _counted(each)
        count += number
        size += size_bytes
    return count, size


def _within(message: Any) -> Iterable[Message]:
    """Yield the messages in the fields of one that may hold a payload, somewhere."""
    paths = _paths(message.DESCRIPTOR)
    for name in paths.single:
        if message.HasField(name):
            yield getattr(message, name)
    for choice, names in paths.choices:
        name = message.WhichOneof(choice)
        if name in names:
            yield getattr(message, name)
    for name in paths.lists:
        yield from getattr(message, name)
    for name in paths.maps:
        yield from getattr(message, name).values()


class _Paths(NamedTuple):
    """The fields of a message that may hold a payload, somewhere."""

    single: tuple[str, ...]
    #: Name of a choice → those of its fields.
    choices: tuple[tuple[str, frozenset[str]], ...]
    lists: tuple[str, ...]
    maps: tuple[str, ...]


@cache
def _paths(kind: Descriptor) -> _Paths:
    fields = [
        field
        for field in kind.fields
        if field.message_type is not None and _may_hold(field.message_type, frozenset())
    ]
    repeated = [field for field in fields if field.is_repeated]
    single = [field for field in fields if field not in repeated]
    choices = {field.containing_oneof.name for field in single if field.containing_oneof}
    return _Paths(
        single=tuple(field.name for field in single if not field.containing_oneof),
        choices=tuple(
            (
                choice,
                frozenset(
                    field.name
                    for field in single
                    if field.containing_oneof and field.containing_oneof.name == choice
                ),
            )
            for choice in sorted(choices)
        ),
        lists=tuple(field.name for field in repeated if not _is_map(field)),
        maps=tuple(field.name for field in repeated if _is_map(field)),
    )


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


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
