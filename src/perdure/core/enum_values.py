"""Makes `EventType.EVENT_TYPE_…` and all other enum values of the API cheap to read: one workflow reads some fifty.

Generated enums look each value up by its name, in a `__getattr__` that takes 0.9 µs. A value that is an attribute of
its own takes 0.06 µs. `core/__init__.py` binds them, once, before any rule is imported.
"""

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from temporalio.api.enums import v1 as enums


def bind() -> None:
    """Give each enum of the API its values as attributes. Doing it again changes nothing."""
    for enum in vars(enums).values():
        if isinstance(enum, EnumTypeWrapper):
            for name, number in enum.items():
                setattr(enum, name, number)
