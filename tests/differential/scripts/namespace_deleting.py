"""A namespace is deleted, with all that is in it."""

from typing import Any

from temporalio.api.enums.v1 import NamespaceState
from temporalio.api.operatorservice.v1 import DeleteNamespaceRequest
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import World

_SYSTEM_ID = "32049b68-7872-4094-8e63-d0dd59896a83"
_UNKNOWN_ID = "6d1f5a2e-0000-4000-8000-000000000000"


async def _registered(world: World, label: str = "ours") -> str:
    """Register a namespace that is used from here on, and wait until it can be used; return its id."""
    register = api.RegisterNamespaceRequest(namespace=world.id(label))
    register.workflow_execution_retention_period.FromSeconds(86400)
    await world.do(register, quiet=True)
    world.namespace = world.id(label)
    while isinstance(
        await world.attempt(api.CountWorkflowExecutionsRequest(), quiet=True), Refusal
    ):
        await world.wait(0.1)
    return await _id(world)


async def _id(world: World) -> str:
    described = await world.do(api.DescribeNamespaceRequest(), quiet=True)
    return str(described.namespace_info.id)


async def _delete(world: World, label: str, identity: str, **fields: Any) -> str:
    """Delete a namespace, and write down the name that it has then, without what its id makes different."""
    named = {"namespace": world.namespace} | fields
    reply = await world.do(DeleteNamespaceRequest(), quiet=True, **named)
    name = str(reply.deleted_namespace)
    world.note(f"deleted {label}", name.replace(identity[:5], "<5 of the id>"))
    return name


async def _describe(world: World, label: str, **fields: Any) -> Any:
    """Write down what is the same on all servers of a namespace that has the name of a deleted one."""
    named = {"namespace": ""} | fields
    reply = await world.attempt(api.DescribeNamespaceRequest(), quiet=True, **named)
    if isinstance(reply, Refusal):
        world.note(label, reply.code)
        return None
    state = NamespaceState.Name(reply.namespace_info.state)
    world.note(label, [state, reply.namespace_info.description])
    return reply


async def _gone(world: World, identity: str) -> None:
    while not isinstance(
        await world.attempt(api.DescribeNamespaceRequest(id=identity), quiet=True, namespace=""),
        Refusal,
    ):
        await world.wait(0.2)


async def _refused(world: World, label: str, **fields: Any) -> None:
    """Temporal: a namespace that is gone is forgotten some seconds later; what is refused until then differs."""
    named = {"namespace": ""} | fields
    for _ in range(40):
        reply = await world.attempt(DeleteNamespaceRequest(), quiet=True, **named)
        if isinstance(reply, Refusal) and reply.code == "NOT_FOUND":
            break
        await world.wait(0.2)
    await world.attempt(DeleteNamespaceRequest(), label, **named)


@script
async def namespace_not_to_be_deleted(world: World) -> None:
    delete = DeleteNamespaceRequest
    world.namespace = ""
    await world.attempt(delete(), "none")
    await world.attempt(delete(), "unknown", namespace="nowhere")
    await world.attempt(delete(), "too long", namespace="x" * 1001)
    await world.attempt(delete(), "unknown id", namespace_id=_UNKNOWN_ID)
    await world.attempt(delete(), "no id", namespace_id="nothing")
    await world.attempt(delete(), "both", namespace="default", namespace_id=_UNKNOWN_ID)
    await world.attempt(delete(), "the system's", namespace="temporal-system")
    await world.attempt(delete(), "the system's id", namespace_id=_SYSTEM_ID)


@script
async def namespace_deleted_with_what_is_in_it(world: World) -> None:
    identity = await _registered(world)
    await world.do(
        api.UpdateNamespaceRequest(),
        quiet=True,
        update_info={"description": "the first"},
    )
    for number in range(3):
        await world.do(world.workflow(f"open {number}").start_request(), quiet=True)
        closed = world.workflow(f"closed {number}")
        await world.do(closed.start_request(), quiet=True)
        await world.do(
            api.TerminateWorkflowExecutionRequest(workflow_execution=closed.execution()), quiet=True
        )
    world.workflows.clear()
    deleted = await _delete(world, "by name", identity)
    await _describe(world, "by its old name", namespace=world.namespace)
    await _describe(world, "by its new name", namespace=deleted)
    await _describe(world, "by its id", id=identity)
    listed = api.ListNamespacesRequest(page_size=1000)
    for label, shows_deleted in (("without", False), ("with", True)):
        page = await world.do(
            listed, quiet=True, namespace_filter={"include_deleted": shows_deleted}
        )
        ids = [each.namespace_info.id for each in page.namespaces]
        world.note(f"in a list {label} deleted ones", identity in ids)

    # Temporal: with something in it, it may take the real server minutes until it is gone.
    await _registered(world)
    await _describe(world, "another one of that name", namespace=world.namespace)
    await world.attempt(api.CountWorkflowExecutionsRequest(), "of another one of that name")


@script
async def namespace_deleted_later(world: World) -> None:
    """Its row stays for the delay; another request changes that."""
    identity = await _registered(world)
    deleted = await _delete(world, "with a delay", identity, namespace_delete_delay="3600s")
    for _ in range(15):
        await world.wait(1)
        assert await world.do(api.DescribeNamespaceRequest(id=identity), quiet=True, namespace="")
    await _delete(world, "again", identity, namespace="", namespace_id=identity)
    await _delete(world, "at once", identity, namespace=deleted, namespace_delete_delay="0s")
    second = await _registered(world)
    await _gone(world, identity)
    await _describe(world, "by its new name, at last", namespace=deleted)
    await _describe(world, "by its id, at last", id=identity)
    await _describe(world, "another one of that name, at last", id=second)
    world.namespace = ""
    await _refused(world, "of one that is gone", namespace_id=identity)


@script
async def namespace_deleted_from_any_state(world: World) -> None:
    for state in ("NAMESPACE_STATE_DEPRECATED", "NAMESPACE_STATE_DELETED"):
        identity = await _registered(world, state.lower())
        update: dict[str, Any] = {"update_info": {"state": state}}
        await world.do(api.UpdateNamespaceRequest(), quiet=True, **update)
        await _delete(world, state, identity, namespace_delete_delay="-1s")
        await _describe(world, f"{state}, by its id", id=identity)
