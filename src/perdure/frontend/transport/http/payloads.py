"""The shorthand of payloads: `[1, "a"]` instead of base64 in base64.

A payload whose encoding is JSON or null is written as the value that it holds. A value in a request becomes a payload,
unless it is a payload written in full. Only the meaning of the JSON is kept: numbers are rounded, names are sorted.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads

from perdure.frontend.transport.http.json_text import (
    BadJson,
    Number,
    Object,
    integer,
    number,
    write,
)

_NULL = b"binary/null"
_PLAIN = b"json/plain"
_PROTOBUF = b"json/protobuf"
_MESSAGE_TYPE = "_protoMessageType"
_DECODER = json.JSONDecoder(parse_int=float)
_SHORT_NULL = {"metadata": {"encoding": base64.b64encode(_NULL).decode()}}


#: A value that is nested deeper is written in full.
_DEPTH_MAX = 100


class _NotShort(Exception):
    """The payload has to be written in full."""


# Writing


def short(message: Payload | Payloads) -> Any:
    """Return the shorthand, as `json_text.write` takes it; None if there is none for this message."""
    try:
        if isinstance(message, Payloads):
            return [_short(payload) for payload in message.payloads]
        return _short(message)
    except _NotShort:
        return None


def _short(payload: Payload) -> Any:
    metadata: Mapping[str, bytes] = payload.metadata
    encoding = metadata.get("encoding")
    if encoding == _NULL:
        return _SHORT_NULL
    if encoding == _PLAIN and len(metadata) == 1:
        value = _shown(_held(payload.data))
        return _SHORT_NULL if value is None else value
    if encoding == _PROTOBUF and len(metadata) == 2 and metadata.get("messageType"):
        value = _held(payload.data)
        if isinstance(value, dict):
            message_type = metadata["messageType"].decode(errors="replace")
            return _shown({**value, _MESSAGE_TYPE: message_type})
    raise _NotShort


def _held(data: bytes) -> Any:
    """Return the JSON value. Raises `_NotShort` if the data is not what its encoding says: clients may store anything.

    Temporal: with such a payload the real server fails to answer.
    """
    try:
        return _DECODER.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise _NotShort from error


def _shown(value: Any, depth: int = 0) -> Any:
    if depth > _DEPTH_MAX:
        raise _NotShort
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _NotShort
        return number(value)
    if isinstance(value, dict):
        return {name: _shown(value[name], depth + 1) for name in sorted(value)}
    if isinstance(value, list):
        # Temporal: an empty list is written as null.
        return [_shown(item, depth + 1) for item in value] or None
    return value


# Reading


def payload_of(value: Any) -> Payload:
    """Return the payload that a value means. Raises `BadJson`."""
    if value is None:
        return Payload(metadata={"encoding": _NULL})
    if not isinstance(value, Object):
        return Payload(metadata={"encoding": _PLAIN}, data=_plain(value))
    members = dict(value)
    in_full = _in_full(members)
    if in_full is not None:
        return in_full
    if _MESSAGE_TYPE not in members:
        return Payload(metadata={"encoding": _PLAIN}, data=_plain(value))
    message_type = members.pop(_MESSAGE_TYPE)
    if not isinstance(message_type, str) or isinstance(message_type, Number):
        raise BadJson(
            f'unable to unmarshal payload: internal key "{_MESSAGE_TYPE}" should have type string'
        )
    return Payload(
        metadata={"encoding": _PROTOBUF, "messageType": message_type.encode()},
        data=_plain(Object(members.items())),
    )


def _in_full(members: Mapping[str, Any]) -> Payload | None:
    """Return the payload that is written in full; None if the value is something else."""
    metadata = members.get("metadata")
    if not isinstance(metadata, Object):
        return None
    decoded = {}
    for name, text in metadata:
        value = bytes_of(text)
        if value is None:
            return None
        decoded[name] = value
    if "encoding" not in decoded:
        return None
    if "data" not in members:
        # Temporal: only a null payload may come without data.
        return Payload(metadata={"encoding": _NULL}) if decoded["encoding"] == _NULL else None
    data = bytes_of(members["data"])
    if data is None or len(members) != 2:
        return None
    return Payload(metadata=decoded, data=data)


def bytes_of(text: Any) -> bytes | None:
    """Decode base64 of either alphabet, padded or not; None if the text is not base64."""
    if not isinstance(text, str) or isinstance(text, Number):
        return None
    is_url = "-" in text or "_" in text
    return bytes_in_alphabet(text, is_url=is_url, is_padded=len(text) % 4 == 0)


def bytes_in_alphabet(text: str, *, is_url: bool, is_padded: bool) -> bytes | None:
    """Decode base64 of one alphabet as Go does, ignoring line ends; None if the text is not base64."""
    text = text.replace("\r", "").replace("\n", "")
    if is_url:
        if "+" in text or "/" in text:
            return None
        text = text.replace("-", "+").replace("_", "/")
    if len(text) % 4 if is_padded else "=" in text:
        return None
    text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _plain(value: Any) -> bytes:
    return write(_kept(value), quoted=_escaped).encode()


def _kept(value: Any) -> Any:
    if isinstance(value, Number):
        whole = integer(value)
        if whole is not None and -(2**63) <= whole < 2**63:
            return Number(whole)
        rounded = float(value)
        if rounded in (float("inf"), float("-inf")):
            raise BadJson(f"unable to unmarshal payload: unable to parse number from {value}")
        return number(rounded)
    if isinstance(value, Object):
        members = dict(value)
        return {name: _kept(members[name]) for name in sorted(members)}
    if isinstance(value, list):
        # Temporal: an empty list is stored as null.
        return [_kept(item) for item in value] or None
    return value


_ESCAPES = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def _escaped(text: str) -> str:
    """Quote a string as Go does: it could stand in a web page."""
    return re.sub(
        "[<>&\u2028\u2029]",
        lambda found: _ESCAPES[found.group()],
        json.encoder.encode_basestring(text),
    )
