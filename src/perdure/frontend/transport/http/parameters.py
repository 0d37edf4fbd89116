"""Query parameters as fields of a request: `?execution.runId=…&pageSize=10`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from perdure.core.visibility.values import moment
from perdure.frontend.transport.http.json_text import BadJson, Number
from perdure.frontend.transport.http.payloads import bytes_in_alphabet
from perdure.frontend.transport.http.protojson import (
    enum_type,
    is_map,
    message_type,
    scalar,
)
from perdure.frontend.transport.http.well_known import TIMES_S

_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
#: No number has more digits; a longer text is refused like one that is no number.
_INTEGER = re.compile(r"[+-]?\d{1,400}", re.ASCII)
#: A parameter for a member of a map: `name[key]=value`.
_MEMBER = re.compile(r"(.*)\[(.*)\]", re.DOTALL)

F = FieldDescriptor


class BadParameter(Exception):
    """A parameter cannot be read, or does not fit its field."""


def parse(query: str) -> dict[str, list[str]]:
    """Return the values of each parameter, in order. Raises `BadParameter`."""
    parameters: dict[str, list[str]] = {}
    for part in query.split("&"):
        if ";" in part:
            raise BadParameter("invalid semicolon separator in query")
        if part:
            name, _, value = part.partition("=")
            parameters.setdefault(_unquoted(name), []).append(_unquoted(value))
    return parameters


def readable(query: str) -> Iterator[str]:
    """Yield the names of the parameters that can be read."""
    for part in query.split("&"):
        try:
            yield from parse(part)
        except BadParameter:  # The caller only looks for parameters that name a format.
            continue


def _unquoted(text: str) -> str:
    bad = re.search(r"%(?![0-9a-fA-F]{2})..?", text) or re.search("%$", text)
    if bad:
        raise BadParameter(f'invalid URL escape "{bad.group()}"')
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError as error:
        raise BadParameter(f"invalid UTF-8 in query: {text}") from error


def populate(
    request: Message, parameters: Mapping[str, list[str]], taken: Iterable[str] = ()
) -> None:
    """Set the fields that parameters name. A name that is no field is ignored.

    `taken` are the fields that the path has set: they and what is below them stay as they are. Raises `BadParameter`.
    """
    skipped = [path.split(".") for path in taken]
    for key, given in parameters.items():
        name, values = key, given
        member = _MEMBER.fullmatch(key)
        if member:
            name, values = member[1], [member[2], *given]
        path = _normal(request.DESCRIPTOR, name.split("."))
        if not any(path[: len(each)] == each for each in skipped):
            set_field(request, path, values)


def _normal(descriptor: Any, path: list[str]) -> list[str]:
    """Return a path with the fields' names in the descriptor. A path that leads nowhere stays as it is."""
    normal = []
    for n, name in enumerate(path):
        field = _field(descriptor, name)
        if field is None:
            return path
        normal.append(field.name)
        if n < len(path) - 1:
            if field.message_type is None or field.is_repeated:
                return path
            descriptor = field.message_type
    return normal


def _field(descriptor: Any, name: str) -> FieldDescriptor | None:
    field: FieldDescriptor | None = descriptor.fields_by_name.get(name)
    return field or descriptor.fields_by_camelcase_name.get(name)


def set_field(message: Message, path: list[str], values: list[str]) -> None:
    """Set the field at the end of a path. Raises `BadParameter`."""
    for n, name in enumerate(path):
        field = _field(message.DESCRIPTOR, name)
        if field is None:
            return
        _check_oneof(field, message)
        if n == len(path) - 1:
            break
        if field.message_type is None or field.is_repeated:
            raise BadParameter(f'invalid path: "{name}" is not a message')
        message = getattr(message, field.name)
        message.SetInParent()
    assert field is not None
    try:
        _set(message, field, values)
    except BadJson as error:
        raise BadParameter(str(error)) from error


def _check_oneof(field: FieldDescriptor, message: Message) -> None:
    oneof = field.containing_oneof
    # A oneof that exists for `optional` alone has a single field.
    if oneof is None or len(oneof.fields) == 1:
        return
    there = message.WhichOneof(oneof.name)
    if there is not None and (field.message_type is None or there != field.name):
        raise BadParameter(f'field already set for oneof "{oneof.name}"')


def _set(message: Message, field: FieldDescriptor, values: list[str]) -> None:
    if is_map(field):
        if len(values) != 2:
            raise BadParameter(
                f'more than one value provided for key "{values[0]}" in map "{field.full_name}"'
            )
        of_key, of_value = (message_type(field).fields_by_name[name] for name in ("key", "value"))
        key = _value(of_key, values[0], f'parsing map key "{field.name}"')
        found = _value(of_value, values[1], f'parsing map value "{field.name}"')
        members = getattr(message, field.name)
        if of_value.type == F.TYPE_MESSAGE:
            members[key].CopyFrom(found)
        else:
            members[key] = found
    elif field.is_repeated:
        what = f'parsing list "{field.name}"'
        getattr(message, field.name).extend([_value(field, value, what) for value in values])
    elif len(values) > 1:
        raise BadParameter(f'too many values for field "{field.name}": {", ".join(values)}')
    else:
        found = _value(field, values[0], f'parsing field "{field.name}"')
        if field.type == F.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(found)
        else:
            setattr(message, field.name, found)


def _value(field: FieldDescriptor, text: str, what: str) -> Any:
    try:
        return _parsed(field, text)
    except ValueError as error:
        raise BadParameter(f"{what}: {error}") from error


def _parsed(field: FieldDescriptor, text: str) -> Any:
    if field.type == F.TYPE_MESSAGE:
        return _message(message_type(field).full_name, text)
    if field.type == F.TYPE_STRING:
        return text
    if field.type == F.TYPE_BOOL:
        if text not in _BOOLEANS:
            raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
        return _BOOLEANS[text]
    if field.type == F.TYPE_BYTES:
        found = bytes_in_alphabet(text, is_url=False, is_padded=True)
        if found is None:
            found = bytes_in_alphabet(text, is_url=True, is_padded=True)
        if found is None:
            raise ValueError("illegal base64 data")
        return found
    if field.type == F.TYPE_ENUM:
        return _enum(field, text)
    return _number(field, text)


def _number(field: FieldDescriptor, text: str) -> Any:
    """Temporal: unlike in a body, a number may have a plus and zeros before it, and no fraction or power after it."""
    is_real = field.type in (F.TYPE_DOUBLE, F.TYPE_FLOAT)
    kind = "Float" if is_real else "Int"
    if not (is_real or _INTEGER.fullmatch(text)):
        raise ValueError(f'strconv.Parse{kind}: parsing "{text}": invalid syntax')
    try:
        return scalar(field, Number(text if is_real else int(text)))
    except BadJson as error:
        why = "invalid syntax" if is_real else "value out of range"
        raise ValueError(f'strconv.Parse{kind}: parsing "{text}": {why}') from error


def _enum(field: FieldDescriptor, text: str) -> int:
    named = enum_type(field).values_by_name.get(text)
    if named is not None:
        return named.number
    if (
        re.fullmatch(r"[+-]?\d{1,10}", text, re.ASCII)
        and int(text) in enum_type(field).values_by_number
    ):
        return int(text)
    raise ValueError(f'"{text}" is not a valid value')


def _message(name: str, text: str) -> Message:
    if name == "google.protobuf.Timestamp":
        return _timestamp(text)
    if name == "google.protobuf.Duration":
        return _duration(text)
    if name == "google.protobuf.FieldMask":
        return FieldMask(paths=text.split(","))
    raise ValueError(f'unsupported message type: "{name}"')


def _timestamp(text: str) -> Timestamp:
    found = moment(text)
    if found is None:
        raise ValueError(
            f'parsing time "{text}": cannot parse it as "2006-01-02T15:04:05.999999999Z07:00"'
        )
    if found[0] not in TIMES_S:
        raise ValueError(f"{text} before 0001-01-01")
    return Timestamp(seconds=found[0], nanos=found[1])


def _duration(text: str) -> Duration:
    parts = _DURATION.findall(text)
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if len(text) > 64 or (
        unsigned != "0" and (not parts or "".join(n + unit for n, unit in parts) != unsigned)
    ):
        raise ValueError(f'time: invalid duration "{text}"')
    total = sum(round(float(n) * _UNITS_NS[unit]) for n, unit in parts)
    if total >= 2**63:
        raise ValueError(f'time: invalid duration "{text}"')
    duration = Duration()
    duration.FromNanoseconds(-total if text.startswith("-") else total)
    return duration
