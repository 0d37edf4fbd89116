"""Times, durations, field masks and other messages that have a JSON form of their own."""

import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from perdure.core.visibility.values import moment
from perdure.frontend.transport.http.json_text import (
    BadJson,
    Number,
    Object,
    as_read,
    integer,
)

_PACKAGE = "google.protobuf."
NAMES = frozenset(
    f"{_PACKAGE}{name}"
    for name in (
        *("Any", "Duration", "Timestamp", "FieldMask", "Empty", "Struct", "Value", "ListValue"),
        *("BoolValue", "BytesValue", "DoubleValue", "FloatValue", "StringValue"),
        *("Int32Value", "Int64Value", "UInt32Value", "UInt64Value"),
    )
)
_DURATION = re.compile(r"([+-]?)(0|[1-9]\d*)?(?:\.(\d{0,9}))?s", re.ASCII)
_DURATION_MAX_S = 315_576_000_000
#: No duration has more seconds.
_DIGITS_MAX = 20
TIMES_S = range(-62_135_596_800, 253_402_300_800)
_FRACTION_TOO_LONG = re.compile(r"\.\d{10}")
_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def decode(value: Any, message: Message) -> None:
    """Read a value that comes from `json_text.read` into an empty message. Raises `BadJson`."""
    if isinstance(message, Duration | Timestamp | FieldMask):
        if not isinstance(value, str) or isinstance(value, Number):
            raise bad(f"syntax error: unexpected token {as_read(value)}")
        if isinstance(message, FieldMask):
            message.paths.extend(_paths(value))
        else:
            read = read_duration if isinstance(message, Duration) else read_timestamp
            message.seconds, message.nanos = read(value)
        return
    try:
        json_format.ParseDict(_loose(value), message)
    except (json_format.ParseError, ValueError, TypeError) as error:
        raise bad(f"invalid {message.DESCRIPTOR.full_name} value {as_read(value)}") from error


def read_duration(text: str) -> tuple[int, int]:
    match = _DURATION.fullmatch(text)
    if match is None or (match[2] is None and match[3] is None):
        raise bad(f"invalid {_PACKAGE}Duration value {as_read(text)}")
    sign = -1 if match[1] == "-" else 1
    seconds = int((match[2] or "0")[:_DIGITS_MAX])
    if seconds >= 2**63:
        raise bad(f"invalid {_PACKAGE}Duration value {as_read(text)}")
    if seconds > _DURATION_MAX_S:
        raise bad(f"{_PACKAGE}Duration value out of range: {as_read(text)}")
    return sign * seconds, sign * int((match[3] or "").ljust(9, "0"))


def read_timestamp(text: str) -> tuple[int, int]:
    found = moment(text)
    if found is None or _FRACTION_TOO_LONG.search(text):
        raise bad(f"invalid {_PACKAGE}Timestamp value {as_read(text)}")
    if found[0] not in TIMES_S:
        raise bad(f"{_PACKAGE}Timestamp value out of range: {as_read(text)}")
    return found


def _paths(text: str) -> list[str]:
    paths = []
    for path in text.strip().split(",") if text.strip() else ():
        name = re.sub("[A-Z]", lambda letter: f"_{letter.group().lower()}", path)
        if "_" in path or not _PATH.fullmatch(name):
            raise bad(f"{_PACKAGE}FieldMask.paths contains invalid path: {as_read(path)}")
        paths.append(name)
    return paths


def _loose(value: Any) -> Any:
    if isinstance(value, Number):
        whole = integer(value)
        return float(value) if whole is None else whole
    if isinstance(value, Object):
        return {name: _loose(member) for name, member in value}
    if isinstance(value, list):
        return [_loose(item) for item in value]
    return value


def bad(message: str) -> BadJson:
    return BadJson(f"temporalproto: {message}")
