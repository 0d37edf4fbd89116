"""The values that a list filter compares with: each fits the type of its attribute, or is refused."""

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.errors import Rejected, invalid_argument
from perdure.core.search_attributes import TYPE_NAMES
from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import (
    Value,
)
from perdure.core.visibility.indexing import cleaned
from perdure.core.visibility.values import INT64_MAX, duration_ns, status, time_ns, words

NOT_SUPPORTED = "operation is not supported"
INVALID = "invalid expression"
_TEXTS = (
    Type.INDEXED_VALUE_TYPE_KEYWORD,
    Type.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    Type.INDEXED_VALUE_TYPE_TEXT,
)


def refused(why: str) -> Rejected:
    return invalid_argument(f"invalid query: {why}")


def number_of(text: str) -> int | float:
    try:
        number = int(text)
    except ValueError:
        return float(text)
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else float(number)


def checked(attribute: Attribute, value: Value) -> Value:
    """Return a literal as what its attribute is compared with. Raises `Rejected` if it has the wrong type."""
    if not isinstance(value, bool):
        if attribute.field == "ExecutionStatus":
            return _status(attribute, value)
        if attribute.field == "ExecutionDuration":
            return _duration(attribute, value)
    kind = attribute.kind
    if kind in _TEXTS and isinstance(value, str):
        return cleaned(value)
    if kind == Type.INDEXED_VALUE_TYPE_BOOL and isinstance(value, bool):
        return value
    if kind in (Type.INDEXED_VALUE_TYPE_INT, Type.INDEXED_VALUE_TYPE_DOUBLE) and type(value) in (
        int,
        float,
    ):
        return value
    if kind == Type.INDEXED_VALUE_TYPE_DATETIME:
        if type(value) is int:
            return value
        if isinstance(value, str):
            found = time_ns(value)
            if found is None:
                raise refused(f"{INVALID}: unable to parse datetime '{value}'")
            return found
    raise refused(
        f"{INVALID}: invalid value type for search attribute {attribute.name}"
        f" of type {TYPE_NAMES[kind]}: {_as_go(value)}"
    )


def _status(attribute: Attribute, value: str | int | float) -> int:
    if isinstance(value, float):
        raise refused(
            f"{INVALID}: unexpected value type float64 for search attribute {attribute.field}"
        )
    found = status(value)
    if found is None:
        shown = f"'{value}'" if isinstance(value, str) else value
        raise refused(f"{INVALID}: invalid ExecutionStatus value {shown}")
    return found


def _duration(attribute: Attribute, value: str | int | float) -> int:
    if isinstance(value, float):
        raise refused(
            f"{INVALID}: unexpected value type float64 for search attribute {attribute.field}"
        )
    found = duration_ns(value) if isinstance(value, str) else value
    if found is None:
        raise refused(
            f"{INVALID}: invalid duration value for search attribute {attribute.field}: {value}"
        )
    return found


def text_of(value: Value) -> str:
    assert isinstance(value, str)
    return value


def phrases_of(text: str, attribute: Attribute) -> tuple[str, ...]:
    parts = [part for part in text.split(" ") if part]
    if not parts:
        raise refused(
            f"{INVALID}: no tokens found filtering on Text type search attribute {attribute.name}"
        )
    # A part without a letter is in no text.
    return tuple(phrase for part in parts if (phrase := words(part)) != " ")


def unsupported(operator: str, attribute: Attribute) -> Rejected:
    return refused(
        f"{NOT_SUPPORTED}: operator '{operator}' not supported for {TYPE_NAMES[attribute.kind]}"
        f" type search attribute '{attribute.name}'"
    )


def _as_go(value: Value) -> str:
    if isinstance(value, bool):
        return f"{str(value).lower()} (type: bool)"
    if isinstance(value, str):
        return f'"{value}" (type: string)'
    return f"{value} (type: {'int64' if isinstance(value, int) else 'float64'})"
