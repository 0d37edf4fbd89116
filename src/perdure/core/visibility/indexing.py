"""Encodes a run's search attributes for filters to compare with: one JSON object, field → value.

Times are nanoseconds, texts are words (see `values.words`). Values that their type cannot hold are left out: no filter
finds them, and no database has to refuse them.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from temporalio.api.common.v1 import SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.search_attributes import PREDEFINED, decoded_data, unwrapped
from perdure.core.visibility.attributes import CustomAttribute, kind_of
from perdure.core.visibility.values import INT64_MAX, time_ns, words

_ZEROS: Mapping[Type.ValueType, Any] = {
    Type.INDEXED_VALUE_TYPE_BOOL: False,
    Type.INDEXED_VALUE_TYPE_INT: 0,
    Type.INDEXED_VALUE_TYPE_DOUBLE: 0.0,
    Type.INDEXED_VALUE_TYPE_DATETIME: "0001-01-01T00:00:00Z",
}

#: Sorted, as a map of protobuf is in any order: the same state is the same row.
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True)


def indexed(attributes: SearchAttributes, custom: Mapping[str, CustomAttribute]) -> str:
    """Return the JSON; empty if there is nothing to compare. `custom`: name → attribute of the namespace."""
    found = {}
    for name, payload in attributes.indexed_fields.items():
        own = custom.get(name)
        field = name if name in PREDEFINED else own and own.field
        if field is not None:
            encoding = payload.metadata.get("encoding")
            value = _value(encoding, payload.data, kind_of(field))
            if value is not None:
                found[field] = value
    return _ENCODER.encode(found) if found else ""


@lru_cache(maxsize=1024)
def _value(encoding: bytes | None, data: bytes, kind: Type.ValueType) -> Any:
    """Return a payload as filters compare it; None if it is not of that kind. Many runs have the same values."""
    try:
        value = decoded_data(encoding, data)
    except (ValueError, RecursionError):
        return None
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        values = unwrapped(value)
        if not isinstance(values, list):
            return None
        # Temporal: what is empty, or null, is found by no filter, but the list is there.
        return [cleaned(each) for each in values if isinstance(each, str) and each]
    if isinstance(value, list):
        if not value:
            return None
        # Temporal: a null in a list is the zero of its type.
        value = _ZEROS.get(kind, "") if value[0] is None else value[0]
    match kind:
        case Type.INDEXED_VALUE_TYPE_BOOL:
            return value if isinstance(value, bool) else None
        case Type.INDEXED_VALUE_TYPE_INT:
            return value if _is_number(value, int) and abs(value) <= INT64_MAX else None
        case Type.INDEXED_VALUE_TYPE_DOUBLE:
            return value if _is_number(value, int | float) and _is_finite(value) else None
        case Type.INDEXED_VALUE_TYPE_DATETIME:
            return time_ns(value.upper()) if isinstance(value, str) else None
        case Type.INDEXED_VALUE_TYPE_TEXT:
            return words(cleaned(value)) if isinstance(value, str) else None
        case _:
            return cleaned(value) if isinstance(value, str) else None


def cleaned(text: str) -> str:
    """Return `text` without what a database cannot hold: the character NUL, and halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
