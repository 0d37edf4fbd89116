"""Every call on a namespace that is not named, not there, deprecated or deleted."""

from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from perdure.frontend.registry import OPERATOR_SERVICE, WORKFLOW_SERVICE, implemented
from tests.differential.registry import script
from tests.differential.scripts.namespaces import OWN_CAPABILITIES
from tests.differential.wire import Refusal
from tests.differential.world import World

#: They change or delete the namespace that they name, or make one.
_ABOUT_NAMESPACES = (
    "RegisterNamespace",
    "UpdateNamespace",
    "DeprecateNamespace",
    "DeleteNamespace",
)


def _requests() -> list[Message]:
    """Return an empty request for every call that is answered and names a namespace."""
    answered = implemented()
    return [
        GetMessageClass(method.input_type)()
        for service in (WORKFLOW_SERVICE, OPERATOR_SERVICE)
        for method in service.methods
        if f"/{service.full_name}/{method.name}" in answered
        and "namespace" in method.input_type.fields_by_name
        and method.name not in _ABOUT_NAMESPACES
    ]


async def _ask_all(world: World, label: str, name: str) -> None:
    before = world.namespace
    world.namespace = name
    for request in _requests():
        await world.attempt(request, label)
    world.namespace = before


@script
async def namespace_not_named(world: World) -> None:
    await _ask_all(world, "of none", "")


@script
async def namespace_unknown(world: World) -> None:
    await _ask_all(world, "of an unknown one", "nowhere")


@script
async def namespace_name_too_long(world: World) -> None:
    await _ask_all(world, "of a long one", "x" * 1001)


async def _refuses_starts(world: World) -> bool:
    refusal = await world.attempt(api.StartWorkflowExecutionRequest(), quiet=True)
    return isinstance(refusal, Refusal) and refusal.code == "FAILED_PRECONDITION"


async def _in_state(world: World, state: str) -> None:
    await world.own_namespace()
    update: dict[str, Any] = {"update_info": {"state": state}}
    await world.attempt(api.UpdateNamespaceRequest(), "into the state", **update)
    # Temporal: what a namespace has become is seen some seconds later.
    while not await _refuses_starts(world):
        await world.wait(0.5)
    await _ask_all(world, "of it", world.namespace)


@script(intended=[OWN_CAPABILITIES])
async def namespace_deprecated_and_asked(world: World) -> None:
    await _in_state(world, "NAMESPACE_STATE_DEPRECATED")


@script(intended=[OWN_CAPABILITIES])
async def namespace_deleted_and_asked(world: World) -> None:
    await _in_state(world, "NAMESPACE_STATE_DELETED")
    update: dict[str, Any] = {"update_info": {"description": "too late"}}
    await world.attempt(api.UpdateNamespaceRequest(), **update)
    await world.attempt(api.DeprecateNamespaceRequest())


@script
async def namespace_deleted_under_a_worker(world: World) -> None:
    """The token names the namespace as well as the request does."""
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(label="in another namespace", namespace="default")
    await task.complete(label="in an unknown namespace", namespace="nowhere")
    update: dict[str, Any] = {"update_info": {"state": "NAMESPACE_STATE_DELETED"}}
    await world.do(api.UpdateNamespaceRequest(), quiet=True, **update)
    while not await _refuses_starts(world):
        await world.wait(0.5)
    await task.complete(label="in the deleted namespace")
    await task.complete(label="in no namespace", namespace="")
    await task.complete(label="in another namespace, at last", namespace="default")
    await task.fail(label="in the deleted namespace")
    world.workflows.clear()
