"""Compare events and messages with the text of a story. This module alone knows how stages differ, and evens that out.

Ids that a server made up have names. Durations are rounded. The time of an event is compared with that of the event before it,
and may be late on a real clock. A payload is the text in it, and the value of an enum has its name without the type.
"""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

#: Text that differs from one telling to the next, and what stands for it.
Names = Mapping[str, str]

_NEXT_EVENT = re.compile(r"\s+(?=\d+ [A-Z])")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: A clock of a server may be read a little before its timer is due.
_EARLY_S = 0.01


@dataclass(frozen=True, slots=True)
class _Expected:
    event_id: int
    name: str
    #: How long after the event before it; None: whenever.
    after_s: float | None
    fields: Mapping[str, str]

    @property
    def shown(self) -> str:
        return f"{self.event_id} {self.name}"


def check_history(
    events: Sequence[HistoryEvent], expected: str, names: Names, exact_s: float | None
) -> None:
    """Expect that `events` end with these and no others."""
    wanted = [_parsed(each) for each in _NEXT_EVENT.split(expected.strip())]
    first = wanted[0].event_id
    there = [_shown(event) for event in events[first - 1 :]]
    assert there == [each.shown for each in wanted], (
        f"history is {' '.join(_shown(event) for event in events)}"
    )
    for each in wanted:
        event = events[each.event_id - 1]
        _check_fields(_attributes(event), each.fields, names, each.shown)
        if each.after_s is not None:
            _check_time(events[each.event_id - 2], event, each, exact_s)


def check_message(message: Message, expected: str, names: Names, of: str = "") -> None:
    """Expect these fields; `of` is the path to the part of the message that has them."""
    within = f"{of}." if of else ""
    fields = dict(_pair(within + token) for token in shlex.split(expected))
    _check_fields(message, fields, names, type(message).__name__)


def _parsed(text: str) -> _Expected:
    """Read "6 TimerFired +1s timer_id=t"."""
    event_id, name, *tokens = shlex.split(text)
    after_s = None
    if tokens and tokens[0].startswith("+"):
        after_s = float(tokens.pop(0).strip("+s"))
    return _Expected(int(event_id), name, after_s, dict(_pair(token) for token in tokens))


def _pair(token: str) -> tuple[str, str]:
    path, separator, value = token.partition("=")
    assert separator, f"not a field=value: {token}"
    return path, value


def _check_fields(message: Message, fields: Mapping[str, str], names: Names, where: str) -> None:
    for path, expected in fields.items():
        found = text_at(message, path, names)
        assert found == expected, f"{where} has {path}={found!r}, not {expected!r}:\n{message}"


def _check_time(
    before: HistoryEvent, event: HistoryEvent, expected: _Expected, exact_s: float | None
) -> None:
    assert expected.after_s is not None
    took_s = (event.event_time.ToNanoseconds() - before.event_time.ToNanoseconds()) / 1e9
    off_s = took_s - expected.after_s
    is_due = off_s >= -_EARLY_S if exact_s is None else abs(off_s) <= exact_s
    assert is_due, f"{expected.shown} came {took_s} s after the event before it"


def _attributes(event: HistoryEvent) -> Message:
    attributes = getattr(event, event.WhichOneof("attributes") or "")
    assert isinstance(attributes, Message)
    return attributes


def _shown(event: HistoryEvent) -> str:
    words = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").split("_")
    return f"{event.event_id} " + "".join(word.capitalize() for word in words)


def text_at(message: Any, path: str, names: Names) -> str:
    """Return what stands at "a.0.b" as text: a step is a field, an index, a key, or a choice (which field is set)."""
    field: FieldDescriptor | None = None
    for step in path.split("."):
        if isinstance(message, Message) and step in message.DESCRIPTOR.oneofs_by_name:
            message = message.WhichOneof(step) or ""
        elif isinstance(message, Message):
            field = message.DESCRIPTOR.fields_by_name[step]
            message = getattr(message, step)
        else:
            message = message[int(step) if step.isdigit() else step]
    return with_names(_text(message, field), names)


def with_names(text: str, names: Names) -> str:
    for name, stands_for in names.items():
        text = text.replace(name, stands_for)
    return text


def _text(value: Any, field: FieldDescriptor | None) -> str:
    if isinstance(value, Payloads):
        return " ".join(_text(each, None) for each in value.payloads)
    if isinstance(value, Payload):
        return str(json.loads(value.data))
    if isinstance(value, Duration):
        # Temporal: an interval that is measured between two readings of a clock is a little too long.
        return f"{round(value.ToNanoseconds() / 1e9, 2):g}s"
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return " ".join(_text(each, field) for each in value)
    if field is not None and field.enum_type is not None:
        prefix = _WORDS.sub("_", field.enum_type.name).upper()
        return field.enum_type.values_by_number[value].name.removeprefix(f"{prefix}_")
    return str(value)
