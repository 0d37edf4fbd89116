"""The tree of a list filter, which every store can carry out.

There is no node for NOT: `negated` turns a tree into its opposite, and every leaf knows its own. So nobody needs SQL's
third truth value: a leaf that compares an attribute which a run does not have is false, whichever way round.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from perdure.core.execution.key import WORKFLOW
from perdure.core.visibility.attributes import NAMESPACE_DIVISION, Attribute

#: Texts as they are, times and durations as nanoseconds, statuses as their numbers.
Value = str | int | float | bool


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


_OPPOSITES = {
    Operator.EQUAL: Operator.NOT_EQUAL,
    Operator.NOT_EQUAL: Operator.EQUAL,
    Operator.LESS: Operator.GREATER_OR_EQUAL,
    Operator.GREATER_OR_EQUAL: Operator.LESS,
    Operator.GREATER: Operator.LESS_OR_EQUAL,
    Operator.LESS_OR_EQUAL: Operator.GREATER,
}


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Compare:
    attribute: Attribute
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class OneOf:
    attribute: Attribute
    values: tuple[Value, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Both ends belong to it."""

    attribute: Attribute
    low: Value
    high: Value
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class StartsWith:
    attribute: Attribute
    prefix: str
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    attribute: Attribute
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    """A list of keywords has one of these. Temporal: negated, it holds for a run without the list too."""

    attribute: Attribute
    values: tuple[str, ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Mentions:
    """A text has one of these phrases (see `values.words`). Temporal: negated, it holds for a run without the text."""

    attribute: Attribute
    phrases: tuple[str, ...]
    is_negated: bool = False


Condition = All | Any | Compare | OneOf | Between | StartsWith | IsNull | Contains | Mentions


@dataclass(frozen=True, slots=True)
class Filter:
    condition: Condition
    #: Counts only: one count for each value of this field.
    group_by: Attribute | None = None
    #: The archetype of the executions; None for any.
    archetype: int | None = WORKFLOW


#: Temporal: what belongs to a division of a namespace (as a rule, a part of the server) shows only if it is asked for.
IN_NO_DIVISION = IsNull(Attribute(NAMESPACE_DIVISION, NAMESPACE_DIVISION))
EVERYTHING = Filter(IN_NO_DIVISION)


def negated(condition: Condition) -> Condition:
    match condition:
        case All(parts):
            return Any(tuple(negated(part) for part in parts))
        case Any(parts):
            return All(tuple(negated(part) for part in parts))
        case Compare(attribute, operator, value):
            return Compare(attribute, _OPPOSITES[operator], value)
        case _:
            return replace(condition, is_negated=not condition.is_negated)


def statuses_only(filter: Filter) -> Condition | None:
    """Return what a filter says of statuses, if it speaks of nothing else: then kept counts answer it."""
    if filter.group_by is not None and filter.group_by.field != "ExecutionStatus":
        return None
    condition = filter.condition
    parts = condition.parts if isinstance(condition, All) else (condition,)
    if IN_NO_DIVISION not in parts:
        return None
    rest = All(tuple(part for part in parts if part != IN_NO_DIVISION))
    return rest if all(leaf.attribute.field == "ExecutionStatus" for leaf in leaves(rest)) else None


def leaves(
    condition: Condition,
) -> Iterator[Compare | OneOf | Between | StartsWith | IsNull | Contains | Mentions]:
    if isinstance(condition, All | Any):
        for part in condition.parts:
            yield from leaves(part)
    else:
        yield condition
