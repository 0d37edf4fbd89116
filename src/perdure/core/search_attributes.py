"""Which search attributes a run may be given, and what their values must look like. Names are the API's."""

import json
import re
from collections.abc import Mapping, MutableMapping
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.workflow.outcome import Limits

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
#: Known everywhere without being added; workers and the server itself set them.
PREDEFINED: dict[str, Type.ValueType] = {
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
    "TemporalWorkerDeployment": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalWorkerDeploymentVersion": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalWorkflowVersioningBehavior": Type.INDEXED_VALUE_TYPE_KEYWORD,
    "TemporalUsedWorkerDeploymentVersions": Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "TemporalExternalPayloadCount": Type.INDEXED_VALUE_TYPE_INT,
    "TemporalExternalPayloadSizeBytes": Type.INDEXED_VALUE_TYPE_INT,
}
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
    # Temporal: names are translated before anything is counted.
    for name in fields:
        if name not in SYSTEM and name not in custom and name not in PREDEFINED:
            return f"Namespace {namespace} has no mapping defined for search attribute {name}"
    if 0 < limits.search_attributes_count < len(fields):
        limit = limits.search_attributes_count
        return f"number of search attributes {len(fields)} exceeds limit {limit}"
    total = 0
    for name, payload in fields.items():
        if name in SYSTEM:
            return f"{name} attribute can't be set in SearchAttributes"
        kind = custom.get(name) or PREDEFINED[name]
        if not _is_valid(payload, kind):
            shown = _shown(payload)
            return f"invalid value for search attribute {name} of type {TYPE_NAMES[kind]}: {shown}"
        if 0 < limits.search_attribute_value_size < len(payload.data):
            return (
                f"search attribute {name} value size {len(payload.data)}"
                f" exceeds size limit {limits.search_attribute_value_size}"
            )
        total += len(name) + len(payload.data)
    limit = limits.search_attributes_size
    if 0 < limit < total:
        return f"total size of search attributes {total} exceeds size limit {limit}"
    return None


def is_nothing(payload: Payload) -> bool:
    """Temporal: an empty payload, or one that encodes nothing, takes the attribute away."""
    return payload.metadata.get("encoding") == b"binary/null" or payload.data in (
        b"",
        b"null",
        b"[]",
    )


def _is_valid(payload: Payload, kind: Type.ValueType) -> bool:
    if is_nothing(payload):
        return True
    try:
        value = json.loads(payload.data)
    except (ValueError, RecursionError):
        return False
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST and not isinstance(value, list):
        return False
    values = value if isinstance(value, list) else [value]
    return all(_fits(each, kind) for each in values)


def with_types(fields: MutableMapping[str, Payload], custom: Mapping[str, Type.ValueType]) -> None:
    """Temporal: every stored value says of which type it is."""
    for name in list(fields):
        kind = custom.get(name) or PREDEFINED.get(name)
        if kind is not None and "type" not in fields[name].metadata:
            fields[name].metadata["type"] = TYPE_NAMES[kind].encode()


def _shown(payload: Payload) -> str:
    """Return a value as the API's error texts show it."""
    try:
        shown = _as_go(json.loads(payload.data))
    except (ValueError, RecursionError):
        return payload.data.decode(errors="replace")
    # What is half a pair in JSON cannot be said in UTF-8.
    return shown.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _as_go(value: Any) -> str:
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_as_go(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(_as_go(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else f"{value}"


def _fits(value: Any, kind: Type.ValueType) -> bool:
    if kind == Type.INDEXED_VALUE_TYPE_BOOL:
        return isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_INT:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_DOUBLE:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == Type.INDEXED_VALUE_TYPE_DATETIME:
        return isinstance(value, str) and _is_time(value)
    return isinstance(value, str)


def _is_time(value: str) -> bool:
    return _TIME.fullmatch(value) is not None
