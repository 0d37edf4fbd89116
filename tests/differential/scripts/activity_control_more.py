"""Operators take a hand in activities: selections, jitter, heartbeats, timeouts, and what a worker is told."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    continue_as_new,
    failure,
    payloads,
    schedule_activity,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.activity_control import do, scheduled
from tests.differential.updates import accept_and_complete, update
from tests.differential.world import ActivityTask, Workflow, World

_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"
_SLOW = {"initial_interval": "100s"}
_RETRY_KEPT = "a retry keeps its interval and its last failure, whatever options are changed"
_KEEPS_ITS_RETRY = [
    Intended("*.current_retry_interval", _RETRY_KEPT),
    Intended("*.last_failure", _RETRY_KEPT),
]


async def _three(world: World) -> tuple[Workflow, str]:
    """Two activities of one type and one of another, each on its second attempt."""
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start()
    other = {"activity_type": {"name": "Other"}}
    await workflow.poll_and_complete(
        schedule_activity("a", queue, retry_policy=_SLOW),
        schedule_activity("b", queue, retry_policy=_SLOW),
        schedule_activity("c", queue, retry_policy=_SLOW, **other),
    )
    for _ in range(3):
        await (await world.poll_activity(queue, quiet=True)).fail(failure())
    return workflow, queue


async def _note_attempts(workflow: Workflow, label: str) -> None:
    described = await workflow.describe(quiet=True)
    workflow.world.note(
        label,
        {each.activity_id: [each.attempt, each.paused] for each in described.pending_activities},
    )


# Which ones


@script
async def activities_reset_by_type_and_all(world: World) -> None:
    workflow, _ = await _three(world)
    await _note_attempts(workflow, "before")
    await do(workflow, "reset", "by type", type="Activity")
    await _note_attempts(workflow, "by type")
    await do(workflow, "reset", "all", match_all=True)
    await _note_attempts(workflow, "all")


@script
async def activities_unpaused_by_type_and_all(world: World) -> None:
    workflow, _ = await _three(world)
    for kind in ("Activity", "Other"):
        await do(workflow, "pause", kind, type=kind)
    await _note_attempts(workflow, "paused")
    await do(workflow, "unpause", "by type", type="Activity")
    await _note_attempts(workflow, "by type")
    await do(workflow, "unpause", "all", unpause_all=True, reset_attempts=True)
    await _note_attempts(workflow, "all")


@script(intended=_KEEPS_ITS_RETRY)
async def activities_changed_by_type_and_all(world: World) -> None:
    workflow, _ = await _three(world)
    options = {"start_to_close_timeout": "7s"}
    mask = "startToCloseTimeout"
    await do(
        workflow, "change", "by type", type="Activity", activity_options=options, update_mask=mask
    )
    await workflow.describe("by type")
    await do(workflow, "change", "all", match_all=True, activity_options=options, update_mask=mask)
    await workflow.describe("all")


@script
async def activities_controlled_in_runs(world: World) -> None:
    """By the id of the current run, of an older one, of none."""
    workflow, _ = await scheduled(world)
    old = workflow.run_id
    for what in ("pause", "unpause", "reset"):
        await do(workflow, what, "this run", run_id=old)
        await do(workflow, what, "unknown run", run_id=_UNKNOWN_RUN)
    await workflow.signal()
    await workflow.poll_and_complete(continue_as_new())
    for what in ("pause", "unpause", "reset"):
        await do(workflow, what, "old run", run_id=old)


# When it goes on


@script
async def activity_unpaused_with_jitter(world: World) -> None:
    workflow, queue = await scheduled(world)
    await do(workflow, "pause")
    await do(workflow, "unpause", jitter="0.5s")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_with_jitter(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy=_SLOW)
    await (await world.poll_activity(queue)).fail(failure())
    await do(workflow, "reset", jitter="0.5s")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_unpaused_while_it_runs(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await do(workflow, "unpause")
    await activity.heartbeat()
    await workflow.describe("as if nothing had been")
    await activity.complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_before_it_starts(world: World) -> None:
    workflow, queue = await scheduled(world)
    await do(workflow, "reset")
    await workflow.describe("waits")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_keeps_its_heartbeat(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "1s"})
    activity = await world.poll_activity(queue)
    await activity.heartbeat()
    await do(workflow, "reset")
    await activity.fail(failure())
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_reset_and_paused_while_it_runs(world: World) -> None:
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "1s"})
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await do(workflow, "reset", keep_paused=True)
    await workflow.describe("paused and reset")
    await activity.heartbeat()
    await activity.fail(failure())
    await workflow.describe("failed")
    await do(workflow, "unpause")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_fails_for_good_while_it_is_paused(world: World) -> None:
    """Although no attempt is left it waits to go on, and only then fails."""
    workflow, queue = await scheduled(world, retry_policy={"maximum_attempts": 1})
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await activity.fail(failure())
    await world.settle()
    await workflow.describe("failed")
    await workflow.history("failed")
    await do(workflow, "unpause")
    await world.wait(1)
    await workflow.history("then")


@script
async def activity_fails_finally_while_it_is_paused(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await activity.fail(failure(non_retryable=True))
    await world.settle()
    await workflow.describe("failed")


@script
async def activity_cancelled_while_it_is_paused(world: World) -> None:
    workflow, _ = await scheduled(world)
    await do(workflow, "pause")
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_cancelled_while_it_runs_paused(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await activity.heartbeat("asked twice")
    await activity.canceled()
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)


@script
async def activity_paused_and_out_of_time(world: World) -> None:
    """Nothing is late while it is paused, not even all attempts together."""
    workflow, _ = await scheduled(world, schedule_to_close_timeout="1s")
    await do(workflow, "pause")
    await world.wait(2.2)
    await workflow.describe("late")
    await do(workflow, "unpause")
    await world.wait(1)
    await workflow.history("then")


@script
async def activity_runs_out_of_time_while_it_is_paused(world: World) -> None:
    """An attempt that is late makes room for no other."""
    workflow, queue = await scheduled(
        world, start_to_close_timeout="1s", retry_policy={"initial_interval": "1s"}
    )
    activity = await world.poll_activity(queue)
    await do(workflow, "pause")
    await world.wait(1.7)
    await workflow.describe("late")
    await activity.complete()
    await do(workflow, "unpause")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_completed_by_id_while_it_is_paused(world: World) -> None:
    workflow, _ = await scheduled(world)
    await do(workflow, "pause")
    await world.attempt(
        api.RespondActivityTaskCompletedByIdRequest(
            workflow_id=workflow.id, activity_id="a", identity="somebody", result=payloads("done")
        )
    )
    await workflow.until(_COMPLETED)


# Options


@script(
    intended=[Intended("08 PollActivityTaskQueue.*_timeout", "the worker is told what counts now")]
)
async def activity_options_changed_while_it_runs(world: World) -> None:
    """They count for the next attempt."""
    workflow, queue = await scheduled(world, retry_policy={"initial_interval": "1s"})
    activity = await world.poll_activity(queue)
    await do(
        workflow,
        "change",
        activity_options={"start_to_close_timeout": "7s", "priority": {"priority_key": 3}},
        update_mask="startToCloseTimeout,priority",
    )
    await workflow.describe("running")
    await activity.fail(failure())
    await world.poll_activity(queue)


@script(intended=_KEEPS_ITS_RETRY)
async def activity_retries_changed_while_it_waits(world: World) -> None:
    """The attempt to come is due by the new policy."""
    workflow, queue = await scheduled(world, retry_policy=_SLOW)
    await (await world.poll_activity(queue)).fail(failure())
    await do(
        workflow,
        "change",
        activity_options={"retry_policy": {"initial_interval": "1s"}},
        update_mask="retryPolicy.initialInterval",
    )
    await workflow.describe("changed")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_options_changed_while_it_is_paused(world: World) -> None:
    workflow, _ = await scheduled(world)
    await do(workflow, "pause")
    await do(
        workflow,
        "change",
        activity_options={"task_queue": {"name": world.id("elsewhere")}},
        update_mask="taskQueue.name",
    )
    await workflow.describe("paused")
    await do(workflow, "unpause")
    await (await world.poll_activity(world.id("elsewhere"))).complete()
    await workflow.until(_COMPLETED)


@script
async def activity_options_by_masks(world: World) -> None:
    workflow, _ = await scheduled(world, retry_policy=_SLOW, heartbeat_timeout="50s")
    options: dict[str, Any] = {
        "task_queue": {"name": "elsewhere"},
        "schedule_to_close_timeout": "70s",
        "schedule_to_start_timeout": "60s",
        "start_to_close_timeout": "50s",
        "heartbeat_timeout": "40s",
        "retry_policy": {
            "initial_interval": "3s",
            "backoff_coefficient": 4,
            "maximum_interval": "30s",
            "maximum_attempts": 6,
        },
        "priority": {"priority_key": 4, "fairness_key": "key", "fairness_weight": 2},
    }
    for mask in (
        "scheduleToStartTimeout",
        "heartbeatTimeout",
        "retryPolicy.backoffCoefficient,retryPolicy.maximumInterval",
        "retryPolicy",
        "priority.fairnessKey,priority.fairnessWeight",
        "priority",
        "taskQueue",
        "nothing",
        "retryPolicy.nothing",
    ):
        await do(workflow, "change", mask, activity_options=options, update_mask=mask)
    await do(workflow, "change", "empty", activity_options={}, update_mask="heartbeatTimeout")
    await workflow.describe("at last")


# Carried values


@script
async def activity_with_priority_and_fairness(world: World) -> None:
    """Its own, and what it inherits from its workflow."""
    workflow, queue = world.workflow(), world.id("activities")
    await workflow.start(
        priority={"priority_key": 2, "fairness_key": "tenant", "fairness_weight": 2.5}
    )
    await workflow.poll_and_complete(
        schedule_activity("inherits", queue),
        schedule_activity("has its own", world.id("second"), priority={"priority_key": 5}),
        schedule_activity("has a key", world.id("third"), priority={"fairness_key": "other"}),
    )
    for name in ("activities", "second", "third"):
        await world.poll_activity(world.id(name))


@script
async def activity_by_id_in_runs(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity: ActivityTask = await world.poll_activity(queue)
    known: dict[str, Any] = {"workflow_id": workflow.id, "activity_id": "a"}
    for label, run_id in {"this run": workflow.run_id, "unknown run": _UNKNOWN_RUN}.items():
        await world.attempt(
            api.RecordActivityTaskHeartbeatByIdRequest(
                **known, run_id=run_id, details=payloads("beat")
            ),
            label,
        )
        await world.attempt(
            api.RespondActivityTaskFailedByIdRequest(
                workflow_id=workflow.id, activity_id="nobody", run_id=run_id
            ),
            f"nobody in {label}",
        )
    old = workflow.run_id
    await workflow.signal()
    await workflow.poll_and_complete(continue_as_new())
    for label, run_id in {"old run": old, "no run": ""}.items():
        await world.attempt(
            api.RespondActivityTaskCompletedByIdRequest(**known, run_id=run_id), label
        )
        await world.attempt(
            api.RecordActivityTaskHeartbeatByIdRequest(**known, run_id=run_id), label
        )
    await activity.complete()
    await activity.heartbeat()


@script
async def start_to_close_begins_anew(world: World) -> None:
    """Each attempt has all of its time."""
    workflow, queue = await scheduled(
        world,
        start_to_close_timeout="1.5s",
        retry_policy={"initial_interval": "0.2s", "maximum_attempts": 2},
    )
    activity = await world.poll_activity(queue)
    await world.wait(1)
    await activity.fail(failure())
    activity = await world.poll_activity(queue)
    await world.wait(1)
    await activity.complete()
    await workflow.until(_COMPLETED)


@script
async def errors_of_restored_options(world: World) -> None:
    policy = {"maximum_attempts": 5, "non_retryable_error_types": ["Fatal"]}
    workflow, _ = await scheduled(world, retry_policy=policy)
    await do(workflow, "change", restore_original=True)
    await workflow.describe("restored")


@script
async def activity_unpaused_while_an_update_waits(world: World) -> None:
    """The update's task becomes a normal one, although nothing changes."""
    workflow, _ = await scheduled(world)
    async with world.meanwhile(update(workflow)):
        await do(workflow, "unpause")
        await workflow.describe("unpaused")
        await accept_and_complete(await workflow.poll())


@script
async def activity_paused_again_while_an_update_waits(world: World) -> None:
    workflow, _ = await scheduled(world)
    await do(workflow, "pause", request_id="one")
    async with world.meanwhile(update(workflow)):
        await do(workflow, "pause", "same request", request_id="one")
        await workflow.describe("paused")
        await accept_and_complete(await workflow.poll())
