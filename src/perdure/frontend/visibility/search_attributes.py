"""Operators add search attributes to a namespace, list them and remove them."""

from collections import Counter

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    AddSearchAttributesResponse,
    ListSearchAttributesRequest,
    ListSearchAttributesResponse,
    RemoveSearchAttributesRequest,
    RemoveSearchAttributesResponse,
)
from temporalio.api.workflowservice.v1 import (
    GetSearchAttributesRequest,
    GetSearchAttributesResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.search_attributes import PREDEFINED, RESERVED_PREFIX, SYSTEM, TYPE_NAMES
from perdure.core.visibility.attributes import CUSTOM_FIELDS, CUSTOM_MAX
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.runtime.namespaces import Namespace

_NOT_SET = "SearchAttributes are not set on request."


class CustomSearchAttributes:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._namespaces = context.namespaces

    async def AddSearchAttributes(
        self, request: AddSearchAttributesRequest, call: Call
    ) -> AddSearchAttributesResponse:
        self._context.check_optional_namespace(request.namespace)
        if not request.search_attributes:
            raise invalid_argument(_NOT_SET)
        added = dict(request.search_attributes)
        for name, kind in added.items():
            if name in SYSTEM or name in PREDEFINED or name.startswith(RESERVED_PREFIX):
                raise invalid_argument(f"Search attribute {name} is reserved by system.")
            if kind not in IndexedValueType.values():
                raise invalid_argument(f"Unknown search attribute type: {kind}.")
        namespace = self._namespace(request.namespace)

        def check(old: Namespace) -> None:
            # Temporal: an attribute that exists already stays as it is, whatever its type.
            _check_count(old, {name: added[name] for name in added if name not in _names(old)})

        # Temporal: the empty name takes no column.
        named = {name: kind for name, kind in added.items() if name}
        check(namespace)
        await self._namespaces.add_search_attributes(namespace.name, named, check)
        return AddSearchAttributesResponse()

    async def ListSearchAttributes(
        self, request: ListSearchAttributesRequest, call: Call
    ) -> ListSearchAttributesResponse:
        namespace = self._namespace(request.namespace)
        return ListSearchAttributesResponse(
            custom_attributes=namespace.search_attribute_types(),
            system_attributes={**SYSTEM, **PREDEFINED},
        )

    async def RemoveSearchAttributes(
        self, request: RemoveSearchAttributesRequest, call: Call
    ) -> RemoveSearchAttributesResponse:
        self._context.check_optional_namespace(request.namespace)
        if not request.search_attributes:
            raise invalid_argument(_NOT_SET)
        namespace = self._namespace(request.namespace)
        fixed = (SYSTEM.keys() | PREDEFINED.keys() | CUSTOM_FIELDS.keys()) - _names(namespace)
        for name in request.search_attributes:
            if name in fixed:
                raise invalid_argument(f"Unable to remove non-custom search attributes: {name}.")
        gone = set(request.search_attributes)
        await self._namespaces.remove_search_attributes(namespace.name, gone)
        return RemoveSearchAttributesResponse()

    async def GetSearchAttributes(
        self, request: GetSearchAttributesRequest, call: Call
    ) -> GetSearchAttributesResponse:
        return GetSearchAttributesResponse(keys={**SYSTEM, **PREDEFINED, **CUSTOM_FIELDS})

    def _namespace(self, name: str) -> Namespace:
        if not name:
            raise invalid_argument("Namespace is not set on request.")
        return self._context.namespace(name)


def _names(namespace: Namespace) -> set[str]:
    return set(namespace.search_attribute_aliases.values())


def _check_count(old: Namespace, new: dict[str, IndexedValueType.ValueType]) -> None:
    counts = Counter([*old.search_attribute_types().values(), *new.values()])
    for kind in new.values():
        name = TYPE_NAMES.get(kind, "Unspecified")
        limit = CUSTOM_MAX.get(name, 0)
        if counts[kind] > limit:
            raise invalid_argument(
                "Unable to create search attributes:"
                f" cannot have more than {limit} search attribute of type {name}."
            )
