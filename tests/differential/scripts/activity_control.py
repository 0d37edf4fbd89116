"""Operators pause activities, let them go on, begin their attempts anew, and change their options."""

from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, failure, schedule_activity
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import Workflow, World

_WITH = {
    "pause": api.PauseActivityRequest,
    "unpause": api.UnpauseActivityRequest,
    "reset": api.ResetActivityRequest,
    "change": api.UpdateActivityOptionsRequest,
}
_SELECTIONS = {"id", "type", "match_all", "unpause_all"}


async def do(
    workflow: Workflow, what: str, label: str = "", *, run_id: str = "", **fields: Any
) -> Any:
    """Ask for `what` to be done with the activity "a", unless `fields` name others."""
    request = _WITH[what](execution=workflow.execution(run_id), identity="operator")
    fields = fields if _SELECTIONS & set(fields) else {"id": "a"} | fields
    return await workflow.world.attempt(request, label, **fields)


async def scheduled(world: World, **fields: Any) -> tuple[Workflow, str]:
    """A workflow with the activity "a", and the queue that this is on."""
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue, **fields))
    return workflow, queue


_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


@script
async def activity_paused_before_it_starts(world: World) -> None:
    workflow, queue = await scheduled(world)
    await do(workflow, "pause", "first", reason="why", request_id="one")
    await workflow.describe("paused")
    await do(workflow, "pause", "same request", reason="why", request_id="one")
    await do(workflow, "pause", "another request", request_id="two")
    await world.poll_activity(queue, timeout=3)
    await do(workflow, "unpause")
    await workflow.describe("goes on")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_paused_while_it_runs(world: World) -> None:
    """The worker is told by its heartbeats; what it ends with counts."""
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await workflow.describe("asked to pause")
    await activity.heartbeat()
    await activity.complete()
    await workflow.until(_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_fails_while_it_is_paused(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "1s"})
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await activity.fail(failure())
    await workflow.describe("waits")
    await do(workflow, "unpause", reset_attempts=True, reset_heartbeat=True)
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_paused_between_attempts(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "100s"})
    await (await world.poll_activity(queue)).fail(failure())
    await do(workflow, "pause")
    await workflow.describe("paused")
    await do(workflow, "unpause")
    await workflow.describe("at once")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_paused_and_timeouts(world: World) -> None:
    """No time passes for one that is paused."""
    workflow, _ = await scheduled(
        world, schedule_to_start_timeout="1s", retry_policy={"maximum_attempts": 1}
    )
    await do(workflow, "pause")
    await world.wait(1.5)
    await workflow.describe("still there")
    await do(workflow, "unpause")
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)


@script
async def activities_paused_by_type(world: World) -> None:
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    other = {"activity_type": {"name": "Other"}}
    await workflow.poll_and_complete(
        schedule_activity("a", queue),
        schedule_activity("b", queue),
        schedule_activity("c", queue, **other),
    )
    await do(workflow, "pause", type="Activity")
    described = await workflow.describe(quiet=True)
    world.note("paused", {each.activity_id: each.paused for each in described.pending_activities})
    request = api.UnpauseActivityRequest(
        execution=WorkflowExecution(workflow_id=workflow.id), unpause_all=True
    )
    await world.attempt(request, "all")
    await workflow.describe("none")


@script
async def activity_reset_between_attempts(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "100s"})
    activity = await world.poll_activity(queue)
    await activity.heartbeat()
    await activity.fail(failure())
    await workflow.describe("second attempt")
    await do(workflow, "reset", reset_heartbeat=True)
    await workflow.describe("first attempt")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def worker_whose_attempt_comes_again(world: World) -> None:
    """It has the second attempt, the activity is reset, and another worker gets a second attempt: both are heard."""
    workflow, queue = await scheduled(
        world, start_to_close_timeout="1s", retry_policy={"initial_interval": "0.1s"}
    )
    await (await world.poll_activity(queue)).fail(failure())
    earlier = await world.poll_activity(queue)
    await do(workflow, "reset")
    await earlier.heartbeat("too late", "in the first attempt")
    later = await world.poll_activity(queue)
    await later.heartbeat("later", "later")
    await earlier.heartbeat("earlier", "earlier")
    await workflow.describe("both have reported")
    await earlier.complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_while_it_runs(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "1s"})
    activity = await world.poll_activity(queue)
    await activity.heartbeat()
    await do(workflow, "reset", reset_heartbeat=True)
    await workflow.describe("reset")
    await activity.heartbeat("again")
    await activity.fail(failure())
    await workflow.describe("failed")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_while_it_is_paused(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "100s"})
    await (await world.poll_activity(queue)).fail(failure())
    await do(workflow, "pause")
    await do(workflow, "reset", "keeps", keep_paused=True)
    await workflow.describe("paused")
    await do(workflow, "reset", "goes on")
    await workflow.describe("goes on")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script(
    intended=[
        Intended("*.expiration_time", "a new time for all attempts counts, and is shown"),
        Intended("* restored.*.current_retry_interval", "the attempt is due when it was"),
        Intended("* restored.*.last_failure", "the failure before stays in view"),
        Intended("07 PollActivityTaskQueue.*_timeout", "the worker is told what counts now"),
    ]
)
async def activity_options_changed(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "100s"})
    options = {
        "task_queue": {"name": world.id("elsewhere")},
        "start_to_close_timeout": "7s",
        "heartbeat_timeout": "3s",
        "schedule_to_close_timeout": "60s",
        "retry_policy": {"initial_interval": "2s", "maximum_attempts": 5},
        "priority": {"priority_key": 2},
    }
    mask = (
        "taskQueue.name,startToCloseTimeout,heartbeatTimeout,scheduleToCloseTimeout,"
        "retryPolicy.initialInterval,retryPolicy.maximumAttempts,priority.priorityKey"
    )
    await do(workflow, "change", activity_options=options, update_mask=mask)
    await workflow.describe("changed")
    await world.poll_activity(queue, timeout=3)
    activity = await world.poll_activity(world.id("elsewhere"))
    await activity.fail(failure())
    await workflow.describe("second attempt")
    await do(workflow, "change", "restored", restore_original=True)
    await workflow.describe("restored")
    await do(workflow, "change", "at last", activity_options=options, update_mask="taskQueue.name")
    await do(workflow, "reset", restore_original_options=True)
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_options_refused(world: World) -> None:
    workflow, _ = await scheduled(world)
    options: dict[str, Any] = {"start_to_close_timeout": "7s"}
    for label, fields in {
        "no options": {"update_mask": "startToCloseTimeout"},
        "no mask": {"activity_options": options},
        "both": {
            "activity_options": options,
            "update_mask": "startToCloseTimeout",
            "restore_original": True,
        },
        "no queue": {"activity_options": options, "update_mask": "taskQueue.name"},
        "no policy": {"activity_options": options, "update_mask": "retryPolicy"},
        "no priority": {"activity_options": options, "update_mask": "priority.priorityKey"},
        "bad timeout": {
            "activity_options": {"start_to_close_timeout": "-1s"},
            "update_mask": "startToCloseTimeout",
        },
        "bad policy": {
            "activity_options": {"retry_policy": {"initial_interval": "-1s"}},
            "update_mask": "retryPolicy.initialInterval",
        },
        "bad priority": {
            "activity_options": {"priority": {"priority_key": -1}},
            "update_mask": "priority.priorityKey",
        },
    }.items():
        await do(workflow, "change", label, **fields)


@script
async def activity_control_refused(world: World) -> None:
    workflow, _ = await scheduled(world)
    for what, make in _WITH.items():
        if what == "change":
            continue
        execution = WorkflowExecution(workflow_id=workflow.id)
        await world.attempt(make(), f"{what} nothing")
        await world.attempt(make(execution=execution), f"{what} no activity")
        await do(workflow, what, "unknown", id="nobody")
        await do(workflow, what, "unknown type", type="Nobody")
        nobody = WorkflowExecution(workflow_id=world.id("nobody"))
        await world.attempt(make(execution=nobody, id="a"), f"{what} unknown workflow")
    await do(workflow, "unpause", "what is not paused")
    await workflow.terminate()
    for what in ("pause", "unpause", "reset"):
        await do(workflow, what, "closed")
