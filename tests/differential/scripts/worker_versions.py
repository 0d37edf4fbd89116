"""Workers say which build they are, with every poll and every answer; histories keep some of it."""

from typing import Any

from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    schedule_activity,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.scripts.updating import idle
from tests.differential.updates import accept_and_complete, update
from tests.differential.world import World

_SAID: dict[str, dict[str, Any]] = {
    "nothing": {},
    "empty": {"worker_version": {}},
    "a build": {"worker_version": {"build_id": "build"}},
    "a versioned build": {"worker_version": {"build_id": "build", "use_versioning": True}},
}


@script
async def versions_of_activity_workers(world: World) -> None:
    """The started event of an activity that may be retried names the version of who ended it."""
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    for label, fields in _SAID.items():
        for way, attempts in (("complete", 1), ("fail", 1), ("fail", 2)):
            await workflow.poll_and_complete(
                schedule_activity(
                    f"{label} {way} {attempts}",
                    queue,
                    retry_policy={"maximum_attempts": attempts, "initial_interval": "0.1s"},
                )
            )
            for _ in range(attempts):
                task = await world.poll_activity(
                    queue, worker_version_capabilities={"build_id": "poller"}
                )
                if way == "complete":
                    await task.complete(label=label, **fields)
                else:
                    await task.fail(failure(), label=label, **fields)
    await workflow.poll_and_complete(complete_workflow())


@script
async def versions_of_activity_workers_that_cancel(world: World) -> None:
    for label, fields in _SAID.items():
        workflow, queue = world.workflow(label), world.id(f"activities of {label}")
        await workflow.start()
        await workflow.poll_and_complete(schedule_activity("a", queue))
        task = await world.poll_activity(queue)
        await workflow.signal()
        await workflow.poll_and_complete(cancel_activity(5))
        await task.canceled(label=label, **fields)
        await workflow.poll_and_complete(complete_workflow())


@script
async def versions_of_workflow_workers(world: World) -> None:
    """The started event of a task that was tried again names the version of who completed it."""
    for label in ("nothing", "empty", "a build"):
        fields = _SAID[label]
        workflow = world.workflow(label)
        await workflow.start()
        stamp = {"worker_version_stamp": fields["worker_version"]} if fields else {}
        await (await workflow.poll()).fail(failure(), label=label, **fields)
        await workflow.poll_and_complete(start_timer("t", 100), **stamp)
        await workflow.describe(label)
        await workflow.signal()
        await workflow.poll_and_complete(complete_workflow(), **stamp)


@script
async def versions_of_speculative_tasks(world: World) -> None:
    """So does that of a task that only an update has brought about."""
    workflow = await idle(world)
    for label in ("nothing", "empty", "a build"):
        fields = _SAID[label]
        stamp = {"worker_version_stamp": fields["worker_version"]} if fields else {}
        async with world.meanwhile(update(workflow, label)):
            await accept_and_complete(await workflow.poll(), **stamp)


@script
async def versions_of_tasks_given_at_once(world: World) -> None:
    """A task that the answer to the one before brings names the version of who gave that answer."""
    for label, fields in _SAID.items():
        if label == "a versioned build":
            continue
        workflow = world.workflow(label)
        await workflow.start()
        stamp = {"worker_version_stamp": fields["worker_version"]} if fields else {}
        task = await (await workflow.poll()).complete_and_get_next(
            force_create_new_workflow_task=True, **stamp
        )
        await task.complete(complete_workflow(), **stamp)


@script
async def capabilities_of_pollers(world: World) -> None:
    """The description of a task queue shows the builds of its pollers, if they say any."""
    workflow, queue = world.workflow(), world.id("activities")
    for label, capabilities in {"empty": {}, "a build": {"build_id": "build"}}.items():
        said = {"worker_version_capabilities": capabilities, "identity": "worker"}
        polled = (
            (workflow.task_queue, api.PollWorkflowTaskQueueRequest),
            (queue, api.PollActivityTaskQueueRequest),
        )
        for kind, (name, request) in enumerate(polled, 1):
            await world.do(request(task_queue=TaskQueue(name=name)), label, timeout=3, **said)
            await world.do(
                api.DescribeTaskQueueRequest(task_queue=TaskQueue(name=name)),
                label,
                task_queue_type=kind,
            )
