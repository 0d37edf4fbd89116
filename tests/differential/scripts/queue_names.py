"""Names of task queues that are the server's own, or no names, wherever a caller may give one."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import continue_as_new, schedule_activity, start_child
from tests.differential.registry import add
from tests.differential.scripts.multi_operation import update_with_start
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

Place = Callable[[Workflow, str], Awaitable[object]]

_NAMES = {
    "of-namespaces": "temporal-sys-per-ns-tq",
    "of-other-namespaces": "temporal-sys-per-ns-other",
    "of-the-controller": "temporal-sys-worker-controller-per-ns-tq",
    "of-the-server": "temporal-sys-delete-namespace-activity-tq",
    "of-its-default-worker": "default-worker-tq",
    "in-capitals": "TEMPORAL-SYS-PER-NS-TQ",
    "part": "/_sys/queue/1",
    "no-part": "/_sys/",
    "empty": "",
    "long": "q" * 1000,
    "too-long": "q" * 1001,
}


async def _start(workflow: Workflow, name: str) -> None:
    await workflow.try_start(task_queue={"name": name})


async def _signal_with_start(workflow: Workflow, name: str) -> None:
    await workflow.signal_with_start(task_queue={"name": name})


async def _update_with_start(workflow: Workflow, name: str) -> None:
    call = update_with_start(workflow, start={"task_queue": {"name": name}}, timeout=10)
    async with workflow.world.meanwhile(call) as made:
        if not made.done():
            await workflow.terminate(quiet=True)


async def _activity(workflow: Workflow, name: str) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", name))


async def _child(workflow: Workflow, name: str) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(start_child(workflow.world.id("child"), name))
    await workflow.world.settle()


async def _continued(workflow: Workflow, name: str) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(continue_as_new(task_queue={"name": name}))


async def _sticky(workflow: Workflow, name: str) -> None:
    if name == _NAMES["of-namespaces"]:
        return  # The real server's own worker would take the task.
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    sticky = workflow.sticky()
    sticky["worker_task_queue"]["name"] = name
    await task.complete(sticky_attributes=sticky)
    await workflow.signal()


async def _normal_name(workflow: Workflow, name: str) -> None:
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    sticky = workflow.sticky()
    sticky["worker_task_queue"]["normal_name"] = name
    await task.complete(sticky_attributes=sticky)
    await workflow.signal()


async def _options(workflow: Workflow, name: str) -> None:
    """The queue of an activity that waits is changed."""
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", workflow.world.id("queue")))
    request = api.UpdateActivityOptionsRequest(execution=workflow.execution(), id="a")
    await workflow.world.attempt(
        request, activity_options={"task_queue": {"name": name}}, update_mask="taskQueue.name"
    )


async def _workflow_poll(workflow: Workflow, name: str) -> None:
    await _refused(workflow, api.PollWorkflowTaskQueueRequest(task_queue=TaskQueue(name=name)))


async def _activity_poll(workflow: Workflow, name: str) -> None:
    await _refused(workflow, api.PollActivityTaskQueueRequest(task_queue=TaskQueue(name=name)))


async def _refused(
    workflow: Workflow,
    request: api.PollWorkflowTaskQueueRequest | api.PollActivityTaskQueueRequest,
) -> None:
    """Note why a poll is refused, if it is: else it waits."""
    world = workflow.world
    poll = asyncio.create_task(world.attempt(request, quiet=True))
    await world.settle()
    reply = poll.result() if poll.done() else "waits"
    poll.cancel()
    world.note("poll", reply.message if isinstance(reply, Refusal) else "waits")


_PLACES: dict[str, Place] = {
    "start": _start,
    "signal_with_start": _signal_with_start,
    "update_with_start": _update_with_start,
    "activity": _activity,
    "child": _child,
    "continue_as_new": _continued,
    "sticky_queue": _sticky,
    "normal_name_of_a_sticky_queue": _normal_name,
    "options_of_an_activity": _options,
    "workflow_poll": _workflow_poll,
    "activity_poll": _activity_poll,
}


def _add(place: str, give: Place) -> None:
    async def play(world: World) -> None:
        if place.endswith("poll"):
            await world.own_namespace()  # Others put tasks on queues of these names.
        for label, name in _NAMES.items():
            workflow = world.workflow(label)
            await give(workflow, name)
            await workflow.terminate(quiet=True)

    add(f"queue_names_in_{place}", play)


for _place, _give in _PLACES.items():
    _add(_place, _give)
