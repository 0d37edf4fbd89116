"""Writes a filter's tree as SQL. Every value of a client becomes a bound parameter.

A value that a row lacks compares as NULL. NULL counts as false at every leaf, because `core.visibility.filters` has no
NOT above a leaf.
"""

from typing import Any, Protocol

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.visibility import filters
from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import Condition, Filter, Value
from perdure.store.port import NEVER_NS

_COLUMNS = {
    "WorkflowId": "workflow_id",
    "RunId": "run_id",
    "WorkflowType": "workflow_type",
    "StartTime": "start_time_ns",
    "ExecutionTime": "execution_time_ns",
    "CloseTime": "close_time_ns",
    "ExecutionStatus": "status",
    "TaskQueue": "task_queue",
    "HistoryLength": "history_length",
    "HistorySizeBytes": "history_size_bytes",
    "StateTransitionCount": "state_transition_count",
    "ParentWorkflowId": "parent_workflow_id",
    "ParentRunId": "parent_run_id",
    "RootWorkflowId": "root_workflow_id",
    "RootRunId": "root_run_id",
}
_IS_CLOSED = f"close_time_ns < {NEVER_NS}"
#: The condition under which a run has the value, where the column always holds one.
_PRESENT = {
    "CloseTime": _IS_CLOSED,
    "HistoryLength": _IS_CLOSED,
    "HistorySizeBytes": _IS_CLOSED,
    "StateTransitionCount": _IS_CLOSED,
    "ExecutionDuration": _IS_CLOSED,
    "ParentWorkflowId": "parent_workflow_id <> ''",
    "ParentRunId": "parent_run_id <> ''",
}
TRUE, FALSE = "1 = 1", "1 = 0"


class Dialect(Protocol):
    """The SQL that differs between databases. A method that takes a value returns SQL with its parameter in it."""

    duration: str

    def indexed(self, field: str, kind: Type.ValueType) -> str:
        """Return the expression for a field that `core.visibility.indexing` stored; NULL if it stored none."""

    def is_null(self, field: str, is_negated: bool) -> str:
        """Return the test for a missing value, to the letter as in the conditions of indexes."""

    def parameter(self, arguments: list[Any], value: Value) -> str: ...

    def one_of(self, arguments: list[Any], expression: str, values: tuple[Value, ...]) -> str: ...

    def contains(
        self, arguments: list[Any], field: str, values: tuple[str, ...], is_negated: bool
    ) -> str:
        """Return the test for a list with one of `values`. The negated test is true where there is no list."""

    def mentions(self, arguments: list[Any], expression: str, phrase: str) -> str: ...


def selected(filter: Filter, condition: Condition, dialect: Dialect, arguments: list[Any]) -> str:
    """Return the filter's archetype and `condition` as SQL; its parameters are added to `arguments`."""
    written = _Writer(dialect, arguments).write(condition)
    # A literal and no parameter: the planner then knows that nearly every row has this archetype.
    return (
        written if filter.archetype is None else f"archetype = {filter.archetype:d} AND {written}"
    )


def group_expression(attribute: Attribute, dialect: Dialect) -> str:
    """Return the expression that rows are grouped by; its value is '' for rows without one."""
    column = _COLUMNS.get(attribute.field)
    return column or f"coalesce({dialect.indexed(attribute.field, attribute.kind)}, '')"


class _Writer:
    def __init__(self, dialect: Dialect, arguments: list[Any]) -> None:
        self._dialect = dialect
        self._arguments = arguments

    def write(self, condition: Condition) -> str:
        match condition:
            case filters.All(parts):
                return f"({' AND '.join(self.write(part) for part in parts)})" if parts else TRUE
            case filters.Any(parts):
                return f"({' OR '.join(self.write(part) for part in parts)})" if parts else FALSE
            case filters.IsNull(attribute, is_negated):
                return self._is_null(attribute, is_negated)
            case filters.Contains(attribute, values, is_negated):
                return self._dialect.contains(self._arguments, attribute.field, values, is_negated)
            case filters.Mentions(attribute, phrases, is_negated):
                return self._mentions(attribute, phrases, is_negated)
            case _:
                leaf = self._compared(condition)
                guard = _PRESENT.get(condition.attribute.field)
                return f"({guard} AND {leaf})" if guard else leaf

    def _compared(
        self,
        leaf: "filters.Compare | filters.OneOf | filters.Between | filters.StartsWith",
    ) -> str:
        expression = self._expression(leaf.attribute)
        arguments, dialect = self._arguments, self._dialect
        match leaf:
            case filters.Compare(_, operator, value):
                sign = "<>" if operator is filters.Operator.NOT_EQUAL else operator.value
                return f"{expression} {sign} {dialect.parameter(arguments, value)}"
            case filters.OneOf(_, values, is_negated):
                found = dialect.one_of(arguments, expression, values)
            case filters.Between(_, low, high, is_negated):
                found = (
                    f"({expression} >= {dialect.parameter(arguments, low)}"
                    f" AND {expression} <= {dialect.parameter(arguments, high)})"
                )
            case filters.StartsWith(_, prefix, is_negated):
                found = f"({expression} >= {dialect.parameter(arguments, prefix)}"
                end = _after_prefix(prefix)
                if end:
                    found += f" AND {expression} < {dialect.parameter(arguments, end)}"
                found += ")"
        return f"NOT {found}" if is_negated else found

    def _expression(self, attribute: Attribute) -> str:
        if attribute.field == "ExecutionDuration":
            return self._dialect.duration
        column = _COLUMNS.get(attribute.field)
        return column or self._dialect.indexed(attribute.field, attribute.kind)

    def _is_null(self, attribute: Attribute, is_negated: bool) -> str:
        guard = _PRESENT.get(attribute.field)
        if guard is not None:
            return guard if is_negated else f"NOT {guard}"
        if attribute.field in _COLUMNS:
            return TRUE if is_negated else FALSE
        return self._dialect.is_null(attribute.field, is_negated)

    def _mentions(self, attribute: Attribute, phrases: tuple[str, ...], is_negated: bool) -> str:
        expression = self._dialect.indexed(attribute.field, attribute.kind)
        each = [self._dialect.mentions(self._arguments, expression, phrase) for phrase in phrases]
        found = f"({' OR '.join(each)})" if each else f"({FALSE})"
        return f"({expression} IS NULL OR NOT {found})" if is_negated else found


def _after_prefix(prefix: str) -> str:
    """Return the first text, by bytes, after all texts that begin with `prefix`; "" if there is none."""
    while prefix:
        last = ord(prefix[-1]) + 1
        if last == 0xD800:
            last = 0xE000
        if last <= 0x10FFFF:
            return prefix[:-1] + chr(last)
        prefix = prefix[:-1]
    return ""
