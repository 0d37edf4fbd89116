"""Keeps the search attributes of a namespace apart, each for the time between its adding and its removal.

A removed attribute leaves its values where they are: in visibility rows, maybe millions, and in the states of runs.
Nobody may take them for values of another attribute, not even of one with the same name. So

- a field whose attribute was removed gives its next attribute another *column*, in which no row has a value;
- if an attribute has the name of a removed one, only values count that were set since it was added.

Nothing has to be written again for that. A column is used again once no row has a value in it.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import chain, count

import msgspec
from temporalio.api.enums.v1 import IndexedValueType

from perdure.core.search_attributes import PREDEFINED, TYPES_BY_NAME
from perdure.core.visibility.attributes import CUSTOM_FIELDS, CUSTOM_MAX, CustomAttribute, kind_of

#: This long after a removal every row that was on its way is there, or never will be.
ALL_ARRIVED_NS = 60 * 10**9
#: The columns of `CUSTOM_FIELDS` that have these types have an index. For other types any column will do.
WITH_INDEX = frozenset(TYPES_BY_NAME[name] for name in ("Datetime", "Double", "Int", "Keyword"))
#: A column that nothing is ever written to, of each type.
_NO_COLUMN = "00"

#: Field → name.
Aliases = Mapping[str, str]


class AttributePeriods(msgspec.Struct, frozen=True):
    """The search attributes that were removed, and the columns that may still hold their values."""

    #: Field → the column of its attribute's values, if that is another one than the field's own.
    columns: dict[str, str] = {}
    #: Column → when an attribute was removed whose values it may hold.
    worn: dict[str, int] = {}
    #: Name → the time before which its values are those of an attribute that was removed.
    since: dict[str, int] = {}
    removed_names: frozenset[str] = frozenset()
    #: The namespace is from before this was kept: every name may have been there before.
    is_older: bool = False


def known(periods: AttributePeriods | None, aliases: Aliases) -> AttributePeriods:
    """Return the periods of a namespace. None: an older version wrote it, which kept none."""
    if periods is not None:
        return periods
    return AttributePeriods(
        worn={field: 0 for field in CUSTOM_FIELDS if field not in aliases}, is_older=True
    )


def attached(
    periods: AttributePeriods,
    aliases: Aliases,
    field: str,
    name: str,
    *,
    now_ns: int,
    clean: Collection[str],
) -> tuple[AttributePeriods, dict[str, str]]:
    """Give an attribute to a free field. `clean`: worn columns that nothing is in any more."""
    worn = {column: at for column, at in periods.worn.items() if column not in clean}
    taken = worn.keys() | {_column(periods, each) for each in aliases}
    kind = field.rstrip("0123456789")
    column = next(each for each in _candidates(field, kind) if each not in taken)
    columns = periods.columns if column == field else {**periods.columns, field: column}
    since = periods.since
    if periods.is_older or name in periods.removed_names:
        since = {**since, name: now_ns}
    changed = msgspec.structs.replace(periods, columns=columns, worn=worn, since=since)
    return changed, {**aliases, field: name}


def _candidates(field: str, kind: str) -> Iterable[str]:
    with_index = (each for each in CUSTOM_FIELDS if each.rstrip("0123456789") == kind)
    others = (f"{kind}{number:02}" for number in count(CUSTOM_MAX[kind] + 1))
    return chain([field], with_index, others)


def detached(
    periods: AttributePeriods, aliases: Aliases, field: str, *, now_ns: int
) -> tuple[AttributePeriods, dict[str, str]]:
    """Take the attribute of a field away."""
    name = aliases[field]
    changed = AttributePeriods(
        columns={each: column for each, column in periods.columns.items() if each != field},
        worn={**periods.worn, _column(periods, field): now_ns},
        since={each: at for each, at in periods.since.items() if each != name},
        removed_names=periods.removed_names | {name},
        is_older=periods.is_older,
    )
    return changed, {each: kept for each, kept in aliases.items() if each != field}


def custom_attributes(periods: AttributePeriods, aliases: Aliases) -> dict[str, CustomAttribute]:
    """Return the attributes by their names."""
    return {
        name: CustomAttribute(_column(periods, field), periods.since.get(name, 0))
        for field, name in aliases.items()
    }


def filter_fields(periods: AttributePeriods, aliases: Aliases) -> dict[str, str]:
    """Return what names in filters mean: names of attributes, and of fields that mean another column than their own."""
    fields = {}
    used = set(periods.columns.values()) | periods.worn.keys()
    for field in CUSTOM_FIELDS:
        if field in periods.columns:
            fields[field] = periods.columns[field]
        elif field not in aliases and field in used:
            fields[field] = field.rstrip("0123456789") + _NO_COLUMN
    return fields | {name: _column(periods, field) for field, name in aliases.items()}


def stored_names(periods: AttributePeriods, aliases: Aliases) -> dict[str, str] | None:
    """Return what rows call the attributes that count: their name there → their name. None: all of a row's count."""
    if not periods.removed_names and not periods.is_older:
        return None
    attributes = custom_attributes(periods, aliases)
    return {name: name for name in PREDEFINED} | {
        attribute.stored_name(name): name for name, attribute in attributes.items()
    }


def to_look_at(
    periods: AttributePeriods, kinds: Collection[IndexedValueType.ValueType], now_ns: int
) -> list[str]:
    """Return the worn columns of some types that have an index, and that nothing is on its way to any more."""
    return [
        column
        for column, removed_at_ns in periods.worn.items()
        if column in CUSTOM_FIELDS
        and kind_of(column) in WITH_INDEX
        and kind_of(column) in kinds
        and removed_at_ns + ALL_ARRIVED_NS <= now_ns
    ]


def _column(periods: AttributePeriods, field: str) -> str:
    return periods.columns.get(field, field)
