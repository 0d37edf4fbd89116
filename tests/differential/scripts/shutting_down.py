"""A worker says that it shuts down: its polls end, and nobody waits for it."""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import TaskQueueKind, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, start_timer
from tests.differential.registry import script
from tests.differential.world import Workflow, World

_ON = ("frontend.enableCancelWorkerPollsOnShutdown=true",)


def _key(workflow: Workflow) -> str:
    return workflow.world.id("instance")


def _queue(workflow: Workflow, *, sticky: bool = False) -> TaskQueue:
    if sticky:
        return TaskQueue(
            name=workflow.sticky_queue,
            kind=TaskQueueKind.TASK_QUEUE_KIND_STICKY,
            normal_name=workflow.task_queue,
        )
    return TaskQueue(name=workflow.task_queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)


def _poll(workflow: Workflow, label: str, kind: Any, key: str, *, sticky: bool = False) -> Any:
    request = kind(
        task_queue=_queue(workflow, sticky=sticky),
        identity="other" if key in ("other", "") else "it",
        worker_instance_key=key,
    )
    return workflow.world.attempt(request, label, timeout=5)


async def _shut_down(workflow: Workflow, label: str = "", **fields: Any) -> None:
    wanted = {
        "sticky_task_queue": workflow.sticky_queue,
        "identity": "it",
        "reason": "done",
        "worker_instance_key": _key(workflow),
        "task_queue": workflow.task_queue,
    }
    await workflow.world.attempt(api.ShutdownWorkerRequest(), label, **(wanted | fields))


async def _ends(polls: dict[str, Any], world: World, label: str) -> None:
    """Note which polls end at once."""
    await asyncio.wait(polls.values(), timeout=1.5)
    world.note(label, sorted(name for name, poll in polls.items() if poll.done()))
    await asyncio.wait(polls.values())


async def _polling(workflow: Workflow, label: str, **fields: Any) -> None:
    polls = {
        "workflow": _poll(workflow, "workflow", api.PollWorkflowTaskQueueRequest, _key(workflow)),
        "sticky": _poll(
            workflow, "sticky", api.PollWorkflowTaskQueueRequest, _key(workflow), sticky=True
        ),
        "activity": _poll(workflow, "activity", api.PollActivityTaskQueueRequest, _key(workflow)),
        "other's": _poll(workflow, "other's", api.PollWorkflowTaskQueueRequest, "other"),
        "nobody's": _poll(workflow, "nobody's", api.PollActivityTaskQueueRequest, ""),
    }
    tasks = {name: asyncio.create_task(poll) for name, poll in polls.items()}
    await workflow.world.settle()
    await _shut_down(workflow, label, **fields)
    await _ends(tasks, workflow.world, label)


def _described(workflow: Workflow, label: str, kind: TaskQueueType.ValueType) -> Any:
    request = api.DescribeTaskQueueRequest(task_queue=_queue(workflow), task_queue_type=kind)
    return workflow.world.attempt(request, label)


async def _idle(world: World) -> Workflow:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1000), sticky_attributes=workflow.sticky())
    return workflow


@script
async def shutdown_ends_no_polls_by_default(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "first")
    await _shut_down(workflow, "again")
    await world.attempt(api.DescribeNamespaceRequest(), "capabilities", quiet=True)


@script(settings=_ON)
async def shutdown_ends_the_polls_of_the_worker(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "first")
    await _shut_down(workflow, "again")
    await _described(workflow, "workflow", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    await _described(workflow, "activity", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    polls = {
        "workflow": _poll(workflow, "workflow", api.PollWorkflowTaskQueueRequest, _key(workflow)),
        "activity": _poll(workflow, "activity", api.PollActivityTaskQueueRequest, _key(workflow)),
        "other's": _poll(workflow, "other's", api.PollWorkflowTaskQueueRequest, "other"),
    }
    await _ends({n: asyncio.create_task(p) for n, p in polls.items()}, world, "later polls")
    await workflow.signal()
    await _poll(workflow, "gone worker", api.PollWorkflowTaskQueueRequest, _key(workflow))
    await workflow.poll_and_complete(complete_workflow())


@script(settings=_ON)
async def shutdown_of_some_kinds_of_polls(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "activities", task_queue_types=["TASK_QUEUE_TYPE_ACTIVITY"])
    await _described(workflow, "workflow", TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    await _described(workflow, "activity", TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


@script(settings=_ON)
async def shutdown_without_saying_who(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "no key", worker_instance_key="")
    await _polling(workflow, "no queue", task_queue="")


@script(settings=_ON)
async def shutdown_of_another_queue(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "another", task_queue="another", sticky_task_queue="another sticky")


@script(settings=_ON)
async def shutdown_with_an_odd_queue(world: World) -> None:
    workflow = await _idle(world)
    await _polling(workflow, "odd", task_queue="/_sys/x", sticky_task_queue="")


@script(settings=_ON)
async def shutdown_shows_as_a_capability(world: World) -> None:
    described = await world.attempt(api.DescribeNamespaceRequest(), quiet=True)
    capabilities = described.namespace_info.capabilities
    world.note("ends polls", capabilities.worker_poll_complete_on_shutdown)
