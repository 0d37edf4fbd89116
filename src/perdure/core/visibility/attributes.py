"""Finds the search attribute that a name in a list filter means, with its type and field."""

from collections.abc import Mapping
from typing import NamedTuple

from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.search_attributes import PREDEFINED, RESERVED_PREFIX, SYSTEM, TYPES_BY_NAME

#: Temporal: how many custom search attributes of each type a namespace can have.
CUSTOM_MAX = {
    "Bool": 3,
    "Datetime": 3,
    "Double": 3,
    "Int": 3,
    "Keyword": 10,
    "KeywordList": 3,
    "Text": 3,
}
#: The fields that the custom attributes of all namespaces are stored in: "Keyword01" … A namespace gives them names.
CUSTOM_FIELDS: dict[str, Type.ValueType] = {
    f"{name}{number:02}": TYPES_BY_NAME[name]
    for name, count in CUSTOM_MAX.items()
    for number in range(1, count + 1)
}
#: Every field that a filter can compare, with its type.
FIELDS: dict[str, Type.ValueType] = SYSTEM | PREDEFINED | CUSTOM_FIELDS

NAMESPACE_DIVISION = "TemporalNamespaceDivision"


def kind_of(field: str) -> Type.ValueType:
    """Return the type of what a field holds. That of a custom one's is in its name."""
    kind = FIELDS.get(field)
    return TYPES_BY_NAME[field.rstrip("0123456789")] if kind is None else kind


class CustomAttribute(NamedTuple):
    """A search attribute that was added to a namespace."""

    #: The field that its values are stored in.
    field: str
    #: A value that a run was given before then is that of an attribute of the same name, which was removed.
    since_ns: int = 0

    def stored_name(self, name: str) -> str:
        """Return what a row calls the attribute `name`: values of one that was removed have another name there."""
        return f"{name}\0{self.since_ns}" if self.since_ns else name


class Attribute(NamedTuple):
    #: As the client wrote it.
    name: str
    #: One of `FIELDS`, or another one for values of a custom attribute.
    field: str

    @property
    def kind(self) -> Type.ValueType:
        return kind_of(self.field)


def find(name: str, custom: Mapping[str, str]) -> Attribute | None:
    """Return the attribute that `name` means in a namespace; `custom`: name → field."""
    is_own = name not in SYSTEM and name not in PREDEFINED and not name.startswith(RESERVED_PREFIX)
    if is_own and name in custom:
        return Attribute(name, custom[name])
    if is_own and name == "ScheduleId":
        return Attribute(name, "WorkflowId")
    # Temporal: the prefix may be left out, or added.
    for field in (name, RESERVED_PREFIX + name, name.removeprefix(RESERVED_PREFIX)):
        if field in FIELDS:
            return Attribute(name, field)
    return None
