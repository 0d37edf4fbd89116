"""Operators add search attributes to a namespace, list them and take them away."""

from typing import Any

from temporalio.api.operatorservice.v1 import request_response_pb2 as operator
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import json_payloads
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
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


@script
async def search_attributes_of_the_cluster(world: World) -> None:
    await world.attempt(api.GetSearchAttributesRequest())


@script
async def search_attributes_refused_in_order(world: World) -> None:
    """The order of the checks, and names that are odd but allowed."""
    await world.own_namespace()
    own = world.namespace
    unknown = operator.AddSearchAttributesRequest(namespace=own)
    unknown.search_attributes["Color"] = 77  # type: ignore[assignment]
    await world.attempt(unknown, "unknown type")
    await _add(world, "names of columns", Keyword01=_KEYWORD, Int02=_KEYWORD)
    await _add(world, "odd names", **{"with blank": _KEYWORD, "`quoted`": _KEYWORD, "": _KEYWORD})
    await world.attempt(operator.ListSearchAttributesRequest(), "odd names")
    remove = operator.RemoveSearchAttributesRequest
    for name in ("Keyword01", "Keyword01", "Text03", "TemporalColor"):
        await world.attempt(remove(), name, search_attributes=[name])
    world.namespace = ""
    await world.attempt(operator.AddSearchAttributesRequest(), "nothing")
    await _add(world, "predefined", BuildIds=_KEYWORD)
    await world.attempt(remove(), "nothing")
    await world.attempt(remove(), "predefined", search_attributes=["BuildIds"])


@script(
    intended=[
        Intended(
            f"*.search_attributes.indexed_fields.{name}",
            "a run of perdure keeps the name that an attribute had when it was set",
        )
        for name in ("Color", "Keyword*")
    ]
    + [
        Intended(
            "*.workflow_execution_info.search_attributes.indexed_fields",
            "the value of an attribute that was removed is gone, and not shown under its column's name",
        )
    ]
)
async def search_attributes_used_at_once(world: World) -> None:
    await world.own_namespace()
    before = world.workflow("before")
    value = {"indexed_fields": {"Color": json_payloads("red")["payloads"][0]}}
    await before.try_start("before", search_attributes=value)
    await _add(world, "one", Color=_KEYWORD)
    # Temporal: it is known everywhere only after a while.
    for _ in range(100):
        started = await world.attempt(before.start_request(), quiet=True, search_attributes=value)
        if not isinstance(started, Refusal):
            before.saw_run(started.run_id)
            break
        await world.wait(0.1)
    await world.attempt(operator.RemoveSearchAttributesRequest(), search_attributes=["Color"])
    await world.wait(1)
    await world.workflow("after").try_start("after", search_attributes=value)
