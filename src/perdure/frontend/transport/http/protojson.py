"""Messages as JSON: the mapping of Protocol Buffers, with the API's shorthand for payloads where a request asks for it.

This module does not use `google.protobuf.json_format`, which knows no shorthand inside of messages, is less strict than
the real server, and does not name the wrong field in its errors.
"""

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, Payloads

from perdure.frontend.transport.http import well_known
from perdure.frontend.transport.http.json_text import (
    BadJson,
    Number,
    Object,
    as_read,
    integer,
    number,
    real,
)
from perdure.frontend.transport.http.payloads import bytes_of, payload_of, short
from perdure.frontend.transport.http.well_known import bad

_PAYLOAD = Payload.DESCRIPTOR.full_name
_PAYLOADS = Payloads.DESCRIPTOR.full_name
_ANY = "google.protobuf.Any"

F = FieldDescriptor
_INTEGERS: Mapping[int, tuple[str, int, int]] = {
    **{kind: ("int32", -(2**31), 2**31) for kind in (F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32)},
    **{kind: ("int64", -(2**63), 2**63) for kind in (F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64)},
    **{kind: ("uint32", 0, 2**32) for kind in (F.TYPE_UINT32, F.TYPE_FIXED32)},
    **{kind: ("uint64", 0, 2**64) for kind in (F.TYPE_UINT64, F.TYPE_FIXED64)},
}
_FLOATS = {F.TYPE_DOUBLE: "double", F.TYPE_FLOAT: "float"}
#: Protocol Buffers read a hundred levels at most, and a message that is read here becomes part of a larger one.
_DEPTH_MAX = 80
_FLOAT_MAX = 3.4028235677973366e38
_BETWEEN_WORDS = re.compile(
    "(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-zA-Z])(?=[0-9])|(?<=[0-9])(?=[a-z])"
)
#: No enum value has a longer name.
_ENUM_NAME_MAX = 200
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# Writing


def encode(message: Message, *, shorthand: bool) -> Any:
    """Return the message as `json_text.write` takes it."""
    name = message.DESCRIPTOR.full_name
    if shorthand and name in (_PAYLOAD, _PAYLOADS):
        value = short(message)  # type: ignore[arg-type]
        if value is not None:
            return value
    if name == _ANY:
        return _encode_any(message, shorthand)
    if name in well_known.NAMES:
        return _well_known(json_format.MessageToDict(message))
    encoded = {}
    for field, value in sorted(message.ListFields(), key=_declared):
        encoded[field.json_name] = _encode_field(field, value, shorthand)
    return encoded


def _declared(item: tuple[FieldDescriptor, Any]) -> int:
    return item[0].index


def _encode_field(field: FieldDescriptor, value: Any, shorthand: bool) -> Any:
    if is_map(field):
        of = message_type(field).fields_by_name["value"]
        return {_key(key): _encode_one(of, value[key], shorthand) for key in sorted(value)}
    if field.is_repeated:
        return [_encode_one(field, item, shorthand) for item in value]
    return _encode_one(field, value, shorthand)


def _key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _encode_one(field: FieldDescriptor, value: Any, shorthand: bool) -> Any:
    if field.type == F.TYPE_MESSAGE:
        return encode(value, shorthand=shorthand)
    if field.type == F.TYPE_ENUM:
        known = enum_type(field).values_by_number.get(value)
        return known.name if known else Number(value)
    if field.type == F.TYPE_BYTES:
        return base64.b64encode(value).decode()
    if field.type in _FLOATS:
        special = _special(value)
        return special or number(value)
    if field.type in _INTEGERS:
        return str(value) if _INTEGERS[field.type][0].endswith("64") else Number(value)
    return value


def _special(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "")


def _encode_any(message: Any, shorthand: bool) -> Any:
    """Return an `Any`, mostly the detail of an error: its fields beside the name of its type."""
    inner = _resolved(message.type_url)
    if not message.type_url:
        return {}
    if inner is None:
        return {"@type": message.type_url, "value": base64.b64encode(message.value).decode()}
    inner.ParseFromString(message.value)
    encoded = encode(inner, shorthand=shorthand)
    if inner.DESCRIPTOR.full_name in well_known.NAMES:
        encoded = {"value": encoded}
    return {"@type": message.type_url, **encoded}


def _resolved(type_url: str) -> Message | None:
    from google.protobuf import descriptor_pool, message_factory

    try:
        found = descriptor_pool.Default().FindMessageTypeByName(type_url.rpartition("/")[2])
    except KeyError:
        return None
    return message_factory.GetMessageClass(found)()


def _well_known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _well_known(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_well_known(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(float(value))
    return value


# Reading


def decode(value: Any, message: Message, *, shorthand: bool) -> None:
    """Read a value that comes from `json_text.read` into an empty message. Raises `BadJson`."""
    try:
        _decode(value, message, shorthand, 0)
    except RecursionError as error:
        raise BadJson("temporalproto: exceeded max recursion depth") from error
    except UnicodeEncodeError as error:  # Half of a surrogate pair.
        raise BadJson("temporalproto: invalid UTF-8 in string") from error


def _decode(value: Any, message: Message, shorthand: bool, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise bad("exceeded max recursion depth")
    descriptor = message.DESCRIPTOR
    name = descriptor.full_name
    if shorthand and name == _PAYLOAD:
        message.CopyFrom(payload_of(value))
    elif (
        shorthand
        and name == _PAYLOADS
        and isinstance(value, list)
        and not isinstance(value, Object)
    ):
        message.CopyFrom(Payloads(payloads=[payload_of(item) for item in value]))
    elif name in well_known.NAMES:
        well_known.decode(value, message)
    else:
        if not isinstance(value, Object):
            raise _unexpected(value)
        seen: set[str] = set()
        for key, member in value:
            field = _field(descriptor, key)
            if field.name in seen:
                raise bad(f"duplicate field {as_read(key)}")
            seen.add(field.name)
            if member is not None or _may_be_null(field):
                _check_oneof(field, key, message)
                _decode_field(field, member, message, shorthand, depth + 1)


def _field(descriptor: Any, key: str) -> FieldDescriptor:
    field: FieldDescriptor | None = descriptor.fields_by_camelcase_name.get(key)
    field = field or descriptor.fields_by_name.get(key)
    if field is None:
        raise bad(f"unknown field {as_read(key)}")
    return field


def _may_be_null(field: FieldDescriptor) -> bool:
    of = field.message_type
    return of is not None and not field.is_repeated and of.full_name == "google.protobuf.Value"


def _check_oneof(field: FieldDescriptor, key: str, message: Message) -> None:
    oneof = field.containing_oneof
    if oneof is not None and message.WhichOneof(oneof.name) is not None:
        raise bad(f"error parsing {as_read(key)}, oneof {oneof.full_name} is already set")


def _decode_field(
    field: FieldDescriptor, value: Any, message: Message, shorthand: bool, depth: int
) -> None:
    if is_map(field):
        if not isinstance(value, Object):
            raise _unexpected(value)
        _decode_map(field, value, getattr(message, field.name), shorthand, depth)
    elif field.is_repeated:
        if not isinstance(value, list) or isinstance(value, Object):
            raise _unexpected(value)
        items = getattr(message, field.name)
        for item in value:
            if field.type == F.TYPE_MESSAGE:
                _decode(item, items.add(), shorthand, depth)
            else:
                items.append(scalar(field, item))
    elif field.type == F.TYPE_MESSAGE:
        member = getattr(message, field.name)
        member.SetInParent()
        _decode(value, member, shorthand, depth)
    else:
        setattr(message, field.name, scalar(field, value))


def _decode_map(
    field: FieldDescriptor, value: Object, into: Any, shorthand: bool, depth: int
) -> None:
    of_key, of_value = (message_type(field).fields_by_name[name] for name in ("key", "value"))
    seen = set()
    for text, member in value:
        key = _map_key(of_key, text)
        if key in seen:
            raise bad(f"duplicate map key {as_read(text)}")
        seen.add(key)
        if of_value.type == F.TYPE_MESSAGE:
            _decode(member, into[key], shorthand, depth)
        else:
            into[key] = scalar(of_value, member)


def _map_key(field: FieldDescriptor, text: str) -> Any:
    if field.type == F.TYPE_STRING:
        return scalar(field, text)
    if field.type == F.TYPE_BOOL:
        return scalar(field, {"true": True, "false": False}.get(text, text))
    return scalar(field, Number(text))


def scalar(field: FieldDescriptor, value: Any) -> Any:
    """Return the value of a field that is no message. Raises `BadJson`."""
    found, kind = _READERS[field.type](field, value)
    if found is None:
        raise bad(f"invalid value for {kind} type: {as_read(value)}")
    return found


def _string(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    fits = isinstance(value, str) and not isinstance(value, Number)
    return (value if fits else None), "string"


def _boolean(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    return (value if isinstance(value, bool) else None), "bool"


def _bytes(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    return bytes_of(value), "bytes"


def _whole(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    kind, low, high = _INTEGERS[field.type]
    found = integer(value) if isinstance(value, str) else None
    return (found if found is not None and low <= found < high else None), kind


def _real(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    kind = _FLOATS[field.type]
    if not isinstance(value, str):
        return None, kind
    if value in _SPECIAL and not isinstance(value, Number):
        return _SPECIAL[value], kind
    found = real(value)
    limit = math.inf if kind == "double" else _FLOAT_MAX
    return (found if found is not None and abs(found) < limit else None), kind


def _enum(field: FieldDescriptor, value: Any) -> tuple[Any, str]:
    enum = enum_type(field)
    if isinstance(value, Number):
        found = integer(value)
        return (found if found is not None and -(2**31) <= found < 2**31 else None), "enum"
    if not isinstance(value, str):
        return None, "enum"
    known = enum.values_by_name.get(value) or enum.values_by_name.get(_in_full(enum, value))
    return (known.number if known else None), "enum"


def _in_full(enum: EnumDescriptor, name: str) -> str:
    """Return the full name of an enum value that came without the enum's name, as "AllEligible" does."""
    words = f"{enum.name}_{name}".strip()
    if len(words) > _ENUM_NAME_MAX:
        return ""
    return re.sub(r"[ .-]", "_", _BETWEEN_WORDS.sub("_", words)).upper()


_READERS: Mapping[int, Callable[[FieldDescriptor, Any], tuple[Any, str]]] = {
    F.TYPE_STRING: _string,
    F.TYPE_BOOL: _boolean,
    F.TYPE_BYTES: _bytes,
    F.TYPE_ENUM: _enum,
    **dict.fromkeys(_INTEGERS, _whole),
    **dict.fromkeys(_FLOATS, _real),
}


def message_type(field: FieldDescriptor) -> Descriptor:
    assert field.message_type is not None
    return field.message_type


def enum_type(field: FieldDescriptor) -> EnumDescriptor:
    assert field.enum_type is not None
    return field.enum_type


def is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _unexpected(value: Any) -> BadJson:
    return bad(f"syntax error: unexpected token {as_read(value)}")
