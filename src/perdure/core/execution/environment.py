"""The environment of a transition: settings, names and fresh ids, all passed in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from temporalio.api.enums.v1 import IndexedValueType

from perdure.core.limits import Limits


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that a transition may know besides the execution: settings, and a source of fresh ids."""

    limits: Limits
    fresh_id: Callable[[], str]
    #: Namespace id → its custom search attributes: name → type.
    search_attribute_types: Callable[[str], Mapping[str, IndexedValueType.ValueType]] = lambda _: {}
    #: Namespace id → for how long its closed runs are kept.
    retention_ns: Callable[[str], int] = lambda _: 0
    #: Name of a namespace → its id; empty if it is not there.
    namespace_id: Callable[[str], str] = lambda _: ""
    #: Namespace id, name of a search attribute, when its value was set → whether that is the attribute of that name.
    is_current_attribute: Callable[[str, str, int], bool] = lambda *_: True
    #: Draws a number that names one start of a task; never 0.
    fresh_nonce: Callable[[], int] = lambda: 1
