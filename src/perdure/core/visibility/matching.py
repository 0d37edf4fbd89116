"""Decides whether a row matches a filter. Tests compare the databases' SQL with this model."""

import operator
from collections.abc import Callable, Mapping
from typing import Any as Anything

from perdure.core.visibility.filters import (
    All,
    Any,
    Between,
    Compare,
    Condition,
    Contains,
    IsNull,
    Mentions,
    OneOf,
    Operator,
    StartsWith,
)

_COMPARE: dict[Operator, Callable[[Anything, Anything], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


def matches(condition: Condition, row: Mapping[str, Anything]) -> bool:
    """`row`: field → value, without the fields that the run does not have."""
    match condition:
        case All(parts):
            return all(matches(part, row) for part in parts)
        case Any(parts):
            return any(matches(part, row) for part in parts)
    value = row.get(condition.attribute.field)
    match condition:
        case IsNull():
            return (value is None) is not condition.is_negated
        case Contains():
            return any(each in condition.values for each in value or ()) is not condition.is_negated
        case Mentions():
            return (
                any(phrase in (value or "") for phrase in condition.phrases)
                is not condition.is_negated
            )
    if value is None:
        return False
    match condition:
        case Compare():
            return _COMPARE[condition.operator](value, condition.value)
        case OneOf():
            return (value in condition.values) is not condition.is_negated
        case Between():
            return (condition.low <= value <= condition.high) is not condition.is_negated
        case StartsWith():
            return value.startswith(condition.prefix) is not condition.is_negated
