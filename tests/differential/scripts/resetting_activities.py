"""Resets of runs whose activities operators have changed, and of runs that are about to start."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.scripts.activity_control import do, scheduled
from tests.differential.scripts.resetting import LONG, reset
from tests.differential.world import Workflow, World

_COMPLETED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED


async def _further(workflow: Workflow) -> None:
    """Another workflow task after the one that scheduled the activity."""
    await workflow.signal()
    await workflow.poll_and_complete(record_marker("later"))


@script
async def reset_with_a_paused_activity(world: World) -> None:
    workflow, queue = await scheduled(world)
    await do(workflow, "pause")
    await _further(workflow)
    await reset(workflow, 8)
    await workflow.describe("reset")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_changed_options_of_an_activity(world: World) -> None:
    workflow, queue = await scheduled(world)
    await do(
        workflow,
        "change",
        activity_options={"start_to_close_timeout": "7s"},
        update_mask="startToCloseTimeout",
    )
    await _further(workflow)
    await reset(workflow, 8)
    await workflow.describe("reset")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(_COMPLETED)


@script
async def reset_with_an_activity_that_is_asked_to_stop(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await _further(workflow)
    await reset(workflow, 13)
    await workflow.describe("reset")
    await activity.heartbeat()
    activity = await world.poll_activity(queue)
    await activity.heartbeat()
    await activity.canceled()
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)


@script
async def reset_with_a_heartbeat(world: World) -> None:
    workflow, queue = await scheduled(
        world, heartbeat_timeout="100s", retry_policy={"initial_interval": "1s"}
    )
    activity = await world.poll_activity(queue)
    await activity.heartbeat()
    await _further(workflow)
    await reset(workflow, 8)
    await workflow.describe("reset")
    await (await world.poll_activity(queue)).fail(failure())


@script
async def reset_to_before_an_activity_and_schedule_it_again(world: World) -> None:
    workflow, queue = await scheduled(world)
    activity = await world.poll_activity(queue)
    await reset(workflow, 3)
    await workflow.poll_and_complete(schedule_activity("a", queue))
    await activity.complete("of the old run")
    await (await world.poll_activity(queue)).complete("of the new run")
    await workflow.until(_COMPLETED)


@script
async def reset_a_run_that_waits_for_its_retry(world: World) -> None:
    """The first attempt is reset while the second waits."""
    workflow = world.workflow()
    first = await workflow.start(retry_policy={"initial_interval": "100s"})
    await workflow.poll_and_complete(LONG)
    await workflow.signal()
    await workflow.poll_and_complete(fail_workflow())
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await reset(workflow, 4, run_id=first)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_a_cron_run(world: World) -> None:
    """The schedule's next run follows the new run."""
    workflow = world.workflow()
    first = await workflow.start(cron_schedule="@every 1s")
    await workflow.poll_and_complete(complete_workflow("one"))
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await reset(workflow, 4, run_id=first)
    await workflow.poll_and_complete(complete_workflow("again"))
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)


@script
async def reset_and_retry(world: World) -> None:
    """Attempts are counted on."""
    workflow = world.workflow()
    await workflow.start(retry_policy={"initial_interval": "1s", "maximum_attempts": 2})
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4)
    await workflow.poll_and_complete(fail_workflow("first"))
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll_and_complete(fail_workflow("second"))


@script
async def reset_and_go_on_as_new(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4)
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(start_timer("t", 100))
    fields: dict[str, Any] = {"reset_reapply_type": "RESET_REAPPLY_TYPE_ALL_ELIGIBLE"}
    await reset(workflow, 4, "the new run", **fields)
    await workflow.poll_and_complete(complete_workflow())
