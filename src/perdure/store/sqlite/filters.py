"""Writes the comparisons of list filters in SQLite's SQL. Fields with an index are columns, computed from the JSON."""

import json
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.visibility.filters import Value

_COLUMNS = {
    "TemporalNamespaceDivision",
    "TemporalScheduledById",
    *(f"Keyword{number:02}" for number in range(1, 11)),
    *(f"{kind}{number:02}" for kind in ("Datetime", "Double", "Int") for number in range(1, 4)),
}
_LISTED = "(SELECT value FROM json_each(?))"


class Sqlite:
    duration = "max(close_time_ns - execution_time_ns, 0)"

    def indexed(self, field: str, kind: Type.ValueType) -> str:
        return field if field in _COLUMNS else f"json_extract(attributes, '$.{field}')"

    def is_null(self, field: str, is_negated: bool) -> str:
        expression = field if field in _COLUMNS else f"json_extract(attributes, '$.{field}')"
        return f"{expression} IS {'NOT ' if is_negated else ''}NULL"

    def parameter(self, arguments: list[Any], value: Value) -> str:
        arguments.append(value)
        return "?"

    def one_of(self, arguments: list[Any], expression: str, values: tuple[Value, ...]) -> str:
        arguments.append(json.dumps(values))
        return f"{expression} IN {_LISTED}"

    def contains(
        self, arguments: list[Any], field: str, values: tuple[str, ...], is_negated: bool
    ) -> str:
        arguments.append(json.dumps(values))
        return (
            f"{'NOT ' if is_negated else ''}EXISTS (SELECT 1 FROM json_each(attributes, '$.{field}') AS each"
            f" WHERE each.value IN {_LISTED})"
        )

    def mentions(self, arguments: list[Any], expression: str, phrase: str) -> str:
        arguments.append(phrase)
        return f"instr({expression}, ?) > 0"


DIALECT = Sqlite()
