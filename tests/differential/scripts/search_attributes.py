"""Operators add search attributes to a namespace, list them and take them away."""

from typing import Any

from temporalio.api.operatorservice.v1 import request_response_pb2 as operator

from tests.differential.registry import script
from tests.differential.world import World

_KEYWORD = "INDEXED_VALUE_TYPE_KEYWORD"


async def _add(world: World, label: str, **kinds: str) -> None:
    request = operator.AddSearchAttributesRequest()
    await world.attempt(request, label, search_attributes=kinds or None)


@script
async def search_attributes_added_and_removed(world: World) -> None:
    await world.own_namespace()
    await _add(world, "two", Color=_KEYWORD, Size="INDEXED_VALUE_TYPE_INT")
    await _add(world, "again", Color=_KEYWORD)
    await _add(world, "as another type", Color="INDEXED_VALUE_TYPE_INT")
    await world.attempt(operator.ListSearchAttributesRequest(), "added")
    for label in ("there", "gone"):
        await world.attempt(
            operator.RemoveSearchAttributesRequest(), label, search_attributes=["Color"]
        )
    await world.attempt(operator.ListSearchAttributesRequest(), "removed")


@script
async def search_attributes_refused(world: World) -> None:
    await world.own_namespace()
    await _add(world, "none")
    await _add(world, "no type", Color="INDEXED_VALUE_TYPE_UNSPECIFIED")
    await _add(world, "of the system", WorkflowId=_KEYWORD)
    await _add(world, "predefined", BuildIds=_KEYWORD)
    await _add(world, "reserved", TemporalColor=_KEYWORD)
    await _add(world, "too many", **{f"Is{n}": "INDEXED_VALUE_TYPE_BOOL" for n in range(4)})
    remove = operator.RemoveSearchAttributesRequest
    await world.attempt(remove(), "none")
    await world.attempt(remove(), "of the system", search_attributes=["WorkflowId"])
    await world.attempt(remove(), "of the system", search_attributes=["BuildIds", "RunId"])
    requests: list[Any] = [
        operator.AddSearchAttributesRequest(),
        operator.ListSearchAttributesRequest(),
        remove(),
    ]
    for request in requests:
        for namespace in ("nowhere", ""):
            world.namespace = namespace
            request.namespace = ""
            fields: dict[str, Any] = {}
            if request.DESCRIPTOR.name.startswith("Add"):
                fields = {"search_attributes": {"Color": _KEYWORD}}
            elif request.DESCRIPTOR.name.startswith("Remove"):
                fields = {"search_attributes": ["Color"]}
            await world.attempt(request, namespace or "no namespace", **fields)
