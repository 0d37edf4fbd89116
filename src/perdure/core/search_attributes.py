"""Which search attributes a run may be given, and what their values must look like. Names are the API's."""

import json
import re
from collections.abc import Mapping, MutableMapping
from decimal import Decimal
from math import isfinite
from typing import Any

from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType as Type
from temporalio.api.history.v1 import (
    StartChildWorkflowExecutionInitiatedEventAttributes,
    WorkflowExecutionContinuedAsNewEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)

from perdure.core.limits import Limits

Beginning = (
    WorkflowExecutionStartedEventAttributes
    | WorkflowExecutionContinuedAsNewEventAttributes
    | StartChildWorkflowExecutionInitiatedEventAttributes
)
#: Facts about a run that nobody can set.
SYSTEM: dict[str, Type.ValueType] = {
    "WorkflowId": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "RunId": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "WorkflowType": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "StartTime": Type.INDEXED_VALUE_TYPE_DATETIME,
    "ExecutionTime": Type.INDEXED_VALUE_TYPE_DATETIME,
    "CloseTime": Type.INDEXED_VALUE_TYPE_DATETIME,
    "ExecutionStatus": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TaskQueue": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "HistoryLength": Type.INDEXED_VALUE_TYPE_INT,
    "ExecutionDuration": Type.INDEXED_VALUE_TYPE_INT,
    "StateTransitionCount": Type.INDEXED_VALUE_TYPE_INT,
    "HistorySizeBytes": Type.INDEXED_VALUE_TYPE_INT,
    "ParentWorkflowId": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "ParentRunId": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "RootWorkflowId": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "RootRunId": Type.INDEXED_VALUE_TYPE_KEYWORD,
}
#: Known everywhere without being added. The server sets them, and callers may.
_CALLER_SET: dict[str, Type.ValueType] = {
    "TemporalChangeVersion": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "BinaryChecksums": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "BuildIds": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "BatcherNamespace": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "BatcherUser": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalScheduledStartTime": Type.INDEXED_VALUE_TYPE_DATETIME,
    "TemporalScheduledById": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalSchedulePaused": Type.INDEXED_VALUE_TYPE_BOOL,
    "TemporalNamespaceDivision": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalPauseInfo": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "TemporalReportedProblems": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}
#: Known everywhere, too. The server alone sets them.
_SERVER_SET: dict[str, Type.ValueType] = {
    "TemporalWorkerDeployment": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalWorkerDeploymentVersion": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalWorkflowVersioningBehavior": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalUsedWorkerDeploymentVersions": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "TemporalExternalPayloadCount": Type.INDEXED_VALUE_TYPE_INT,
    "TemporalExternalPayloadSizeBytes": Type.INDEXED_VALUE_TYPE_INT,
}
PREDEFINED = _CALLER_SET | _SERVER_SET
#: Names that begin so are the server's.
RESERVED_PREFIX = "Temporal"

TYPE_NAMES = {
    Type.INDEXED_VALUE_TYPE_TEXT: "Text",
    Type.INDEXED_VALUE_TYPE_KEYWORD: "Keyword",
    Type.INDEXED_VALUE_TYPE_INT: "Int",
    Type.INDEXED_VALUE_TYPE_DOUBLE: "Double",
    Type.INDEXED_VALUE_TYPE_BOOL: "Bool",
    Type.INDEXED_VALUE_TYPE_DATETIME: "Datetime",
    Type.INDEXED_VALUE_TYPE_KEYWORD_LIST: "KeywordList",
}
#: How bytes are written that would end a text, or cannot be seen.
_ESCAPES = {chr(code): f"\\x{code:02x}" for code in (*range(32), 127)} | {
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
#: RFC 3339.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
TYPES_BY_NAME = {name: kind for kind, name in TYPE_NAMES.items()}


def fault(
    fields: Mapping[str, Payload],
    custom: Mapping[str, Type.ValueType],
    namespace: str,
    limits: Limits,
) -> str | None:
    """Return what is wrong with the attributes that a request sets, in the API's words; None if nothing is.

    `custom` holds those that were added to the namespace.
    """
    if not fields:
        return None
    # Temporal: names are translated before anything is counted.
    for name in fields:
        if name not in SYSTEM and name not in custom and name not in PREDEFINED:
            return f"Namespace {namespace} has no mapping defined for search attribute {name}"
    if 0 < limits.search_attributes_count < len(fields):
        limit = limits.search_attributes_count
        return f"number of search attributes {len(fields)} exceeds limit {limit}"
    for name, payload in fields.items():
        if name in SYSTEM or name in _SERVER_SET:
            return f"{name} attribute can't be set in SearchAttributes"
        kind = custom.get(name) or PREDEFINED[name]
        if not _is_valid(payload, kind):
            shown = _shown(payload)
            return f"invalid value for search attribute {name} of type {TYPE_NAMES[kind]}: {shown}"
    return _size_fault(fields, limits)


def _size_fault(fields: Mapping[str, Payload], limits: Limits) -> str | None:
    for name, payload in fields.items():
        if 0 < limits.search_attribute_value_size < len(payload.data):
            return (
                f"search attribute {name} value size {len(payload.data)}"
                f" exceeds size limit {limits.search_attribute_value_size}"
            )
    total = SearchAttributes(indexed_fields=fields).ByteSize()
    limit = limits.search_attributes_size
    if 0 < limit < total:
        return f"total size of search attributes {total} exceeds size limit {limit}"
    return None


def is_nothing(payload: Payload) -> bool:
    """Temporal: a payload whose data says nothing takes the attribute away, whatever its encoding."""
    return payload.data in (b"", b"null", b"[]")


def drop_nothing(attributes: Beginning) -> None:
    """Temporal: what begins a run has no attributes, and no memo, that are nothing."""
    if attributes.HasField("search_attributes"):
        fields = attributes.search_attributes.indexed_fields
        _drop(fields)
        if not fields:
            attributes.ClearField("search_attributes")
    if attributes.HasField("memo"):
        fields = attributes.memo.fields
        _drop(fields)
        if not fields:
            attributes.ClearField("memo")


def _drop(fields: MutableMapping[str, Payload]) -> None:
    for name in [name for name, payload in fields.items() if is_nothing(payload)]:
        del fields[name]


def _is_valid(payload: Payload, kind: Type.ValueType) -> bool:
    try:
        value = decoded(payload)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, bytes):
        return False
    if value is None or value == []:
        return True
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        value = unwrapped(value)
        return isinstance(value, list) and all(
            each is None or isinstance(each, str) for each in value
        )
    if not isinstance(value, list):
        return _fits(value, kind)
    # Temporal: a null in a list is the zero of its type.
    return len(value) == 1 and (value[0] is None or _fits(value[0], kind))


def unwrapped(value: Any) -> Any:
    """Temporal: a list that has nothing but another list is that."""
    is_wrapped = isinstance(value, list) and len(value) == 1 and isinstance(value[0], list)
    return value[0] if is_wrapped else value


def decoded(payload: Payload) -> Any:
    """Return the value that clients encoded; raise `ValueError` if that is none."""
    return decoded_data(payload.metadata.get("encoding"), payload.data)


def decoded_data(encoding: bytes | None, data: bytes) -> Any:
    """Like `decoded`, for the parts of a payload."""
    match encoding:
        case b"binary/null":
            return None
        case b"json/protobuf" if data == b"null":
            return None
        case b"binary/plain":
            return data
        case b"json/plain":
            return _DECODER.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    raise ValueError("unknown encoding")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number) or text == "NaN":
        raise ValueError(f"{text} is no number in JSON")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


#: `json.loads` would make one for each value.
_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_whole, parse_constant=_finite)


def with_types(fields: MutableMapping[str, Payload], custom: Mapping[str, Type.ValueType]) -> None:
    """Temporal: every stored value says of which type it is."""
    for name in list(fields):
        kind = custom.get(name) or PREDEFINED.get(name)
        if kind is not None and "type" not in fields[name].metadata:
            fields[name].metadata["type"] = TYPE_NAMES[kind].encode()


def _shown(payload: Payload) -> str:
    """Return a value as the API's error texts show it."""
    try:
        shown = _as_go(decoded(payload))
    except (ValueError, RecursionError):
        parts = [
            f"metadata:{{key:{_quoted(key.encode())}  value:{_quoted(payload.metadata[key])}}}"
            for key in sorted(payload.metadata)
        ]
        if payload.data:
            parts.append(f"data:{_quoted(payload.data)}")
        return f"value from <{'  '.join(parts)}>"
    # Half a pair in JSON cannot be said in UTF-8.
    return shown.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _quoted(raw: bytes) -> str:
    """Return bytes as protobuf's text form has them."""
    text = "".join(
        f"\\x{ord(letter) - 0xDC00:02x}"
        if "\udc80" <= letter <= "\udcff"
        else _ESCAPES.get(letter, letter)
        for letter in raw.decode(errors="surrogateescape")
    )
    return f'"{text}"'


def _as_go(value: Any) -> str:
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_as_go(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(_as_go(each) for each in value)}]"
    if isinstance(value, bytes):
        return f"[{' '.join(str(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return _number_as_go(float(value))
    return "<nil>" if value is None else f"{value}"


def _number_as_go(number: float) -> str:
    exact = Decimal(repr(number)).normalize()
    if not number or -4 <= exact.adjusted() < 6:
        return f"{exact:f}"
    return f"{number:.{len(exact.as_tuple().digits) - 1}e}"


def _fits(value: Any, kind: Type.ValueType) -> bool:
    if kind == Type.INDEXED_VALUE_TYPE_BOOL:
        return isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_INT:
        return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
    if kind == Type.INDEXED_VALUE_TYPE_DOUBLE:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_DATETIME:
        return isinstance(value, str) and _is_time(value)
    return isinstance(value, str)


def _is_time(value: str) -> bool:
    return _TIME.fullmatch(value) is not None
