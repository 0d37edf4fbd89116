"""Writes the comparisons of list filters in PostgreSQL's SQL. Indexes have the same expressions, to the letter."""

import json
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.visibility.filters import Value
from perdure.store.port import NEVER_NS

_CASTS = {
    Type.INDEXED_VALUE_TYPE_INT: "bigint",
    Type.INDEXED_VALUE_TYPE_DATETIME: "bigint",
    Type.INDEXED_VALUE_TYPE_DOUBLE: "double precision",
    Type.INDEXED_VALUE_TYPE_BOOL: "boolean",
}
#: The fields of the index of all keyword lists.
_LISTS_WITH_INDEX = (
    "KeywordList01",
    "KeywordList02",
    "KeywordList03",
    "TemporalChangeVersion",
    "TemporalPauseInfo",
    "TemporalReportedProblems",
)
_HAS_LISTS = "attributes ?| ARRAY[" + ", ".join(repr(field) for field in _LISTS_WITH_INDEX) + "]"


class Postgres:
    # The largest number stands for "still open", and must not grow.
    duration = f"greatest(least(close_time_ns, {NEVER_NS}) - execution_time_ns, 0)"

    def indexed(self, field: str, kind: Type.ValueType) -> str:
        found = f"(attributes ->> '{field}')"
        cast = _CASTS.get(kind)
        return f"({found}::{cast})" if cast else f'({found} COLLATE "C")'

    def is_null(self, field: str, is_negated: bool) -> str:
        return f"attributes ->> '{field}' IS {'NOT ' if is_negated else ''}NULL"

    def parameter(self, arguments: list[Any], value: Value) -> str:
        arguments.append(value)
        return f"${len(arguments)}::{_type(value)}"

    def one_of(self, arguments: list[Any], expression: str, values: tuple[Value, ...]) -> str:
        if any(isinstance(value, float) for value in values):
            values = tuple(float(value) for value in values)
        arguments.append(list(values))
        return f"{expression} = ANY(${len(arguments)}::{_type(values[0])}[])"

    def contains(
        self, arguments: list[Any], field: str, values: tuple[str, ...], is_negated: bool
    ) -> str:
        each = []
        for value in values:
            arguments.append(json.dumps({field: [value]}))
            each.append(f"attributes @> ${len(arguments)}::jsonb")
        found = f"({' OR '.join(each)})"
        if field in _LISTS_WITH_INDEX:
            found = f"({_HAS_LISTS} AND {found})"
        # The planner finds the index only for the bare condition; the negated one must never be NULL.
        return f"NOT coalesce({found}, false)" if is_negated else found

    def mentions(self, arguments: list[Any], expression: str, phrase: str) -> str:
        arguments.append(phrase)
        return f"strpos({expression}, ${len(arguments)}::text) > 0"


def _type(value: Value) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "bigint"
    return "double precision" if isinstance(value, float) else "text"


DIALECT = Postgres()
