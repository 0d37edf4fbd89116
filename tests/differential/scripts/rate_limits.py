"""Limits on calls, so low that a script reaches them. How many calls they let through is a matter of time: not compared."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.registry import script
from tests.differential.transcript import plain
from tests.differential.wire import Refusal
from tests.differential.world import World

_OF_NAMESPACES = (
    "frontend.namespaceRPS=2",
    "frontend.namespaceBurstRatio=8.0",
    "frontend.namespaceRPS.visibility=3",
    "frontend.namespaceCount=2",
)
_OF_THE_SERVER = ("frontend.rps=4",)
_CALLS_MAX = 60


def _exhausted(reply: Any) -> bool:
    return isinstance(reply, Refusal) and reply.code == "RESOURCE_EXHAUSTED"


async def _until_refused(world: World, label: str, call: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(_CALLS_MAX):
        reply = await call()
        if _exhausted(reply):
            world.note(label, plain(reply))
            return
    world.note(label, "never refused")


def _describe(world: World) -> Callable[[], Awaitable[Any]]:
    nobody = {"workflow_id": "nobody"}
    return lambda: world.attempt(
        api.DescribeWorkflowExecutionRequest(), quiet=True, execution=nobody
    )


@script(settings=_OF_NAMESPACES)
async def too_many_calls_of_a_namespace(world: World) -> None:
    """Calls of one priority are refused, those before it go on; another namespace is not concerned."""
    await world.own_namespace()
    await _until_refused(world, "describing", _describe(world))
    await world.attempt(
        api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name="q"), identity="w"),
        "comes after",
    )
    signal = api.SignalWorkflowExecutionRequest(signal_name="s", identity="c")
    await world.attempt(signal, "comes before", workflow_execution={"workflow_id": "nobody"})
    await world.attempt(api.DescribeNamespaceRequest(namespace="nobody"), "no such namespace")
    await world.attempt(
        api.DescribeWorkflowExecutionRequest(namespace="nobody"), "also no such namespace"
    )
    await world.attempt(api.GetSystemInfoRequest(), "of no namespace", quiet=True)
    world.namespace = "default"
    await world.attempt(
        api.DescribeWorkflowExecutionRequest(), "elsewhere", execution={"workflow_id": "nobody"}
    )


@script(settings=_OF_NAMESPACES)
async def too_many_lists_of_a_namespace(world: World) -> None:
    await world.own_namespace()
    await _until_refused(
        world,
        "counting",
        lambda: world.attempt(api.CountWorkflowExecutionsRequest(), quiet=True),
    )
    await world.attempt(
        api.DescribeWorkflowExecutionRequest(), "no list", execution={"workflow_id": "nobody"}
    )


@script(settings=_OF_NAMESPACES)
async def too_many_polls_at_once(world: World) -> None:
    """So many of each kind; one that ends makes room."""
    await world.own_namespace()
    poll = api.PollWorkflowTaskQueueRequest(
        task_queue=TaskQueue(name=world.id("q")), identity="worker"
    )

    def polls(label: str, quiet: bool = True) -> Any:
        return world.attempt(poll, label, quiet=quiet, timeout=3)

    async with asyncio.TaskGroup() as group:
        first = [group.create_task(polls(f"{n}")) for n in range(2)]
        await world.settle()
        await world.attempt(poll, "third", timeout=3)
        activity = api.PollActivityTaskQueueRequest(
            task_queue=TaskQueue(name=world.id("q")), identity="worker"
        )
        await world.attempt(activity, "of another kind", timeout=3)
    assert not any(isinstance(each.result(), Refusal) for each in first)
    await world.attempt(poll, "later", timeout=3)


@script(settings=_OF_THE_SERVER)
async def too_many_calls_of_a_server(world: World) -> None:
    await _until_refused(world, "describing", _describe(world))
    await _until_refused(
        world,
        "asking what it can",
        lambda: world.attempt(api.GetSystemInfoRequest(), quiet=True),
    )
    await _until_refused(
        world,
        "counting",
        lambda: world.attempt(api.CountWorkflowExecutionsRequest(), quiet=True),
    )
