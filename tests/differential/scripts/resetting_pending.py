"""A reset carries what was pending: timers, activities, children, updates."""

import asyncio
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.update.v1 import Acceptance, Rejection
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    failure,
    record_marker,
    schedule_activity,
    signal_external,
    start_timer,
)
from tests.build.updates import accepts, completes, message
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.resetting import LONG, child_of, reset, see_child
from tests.differential.updates import poll_update, respond, update
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, WorkflowTask, World

# Pending before the reset


@script
async def reset_with_timers(world: World) -> None:
    """They run on from when they were started."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("short", 0.5), LONG)
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
    await workflow.poll_and_complete(record_marker("fired"))
    await workflow.signal()
    await workflow.poll_and_complete()
    await reset(workflow, 4, "before they were started")
    await workflow.poll_and_complete(start_timer("short", 0.5), LONG)
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_a_timer_that_is_over(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("short", 1))
    await workflow.signal()
    await workflow.poll_and_complete()
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED)
    await workflow.poll_and_complete()
    run_id = await reset(workflow, 9)
    await workflow.until(EventType.EVENT_TYPE_TIMER_FIRED, run_id=run_id)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_an_activity_that_waits(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue, schedule_to_close_timeout="50s"))
    await workflow.signal()
    await workflow.poll_and_complete()
    await reset(workflow, 9)
    await workflow.describe("waiting")
    activity = await world.poll_activity(queue)
    await activity.complete()
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_an_activity_that_runs(world: World) -> None:
    """Its worker works for the old run; the new run tries it again from the start."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue, heartbeat_timeout="20s"))
    old = await world.poll_activity(queue)
    await old.heartbeat()
    await workflow.signal()
    await workflow.poll_and_complete()
    await reset(workflow, 9)
    await old.heartbeat(label="of the old run")
    await old.complete(label="of the old run")
    await workflow.describe("running")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_an_activity_that_is_tried_again(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    retry = {"initial_interval": "100s"}
    await workflow.poll_and_complete(schedule_activity("a", queue, retry_policy=retry))
    await (await world.poll_activity(queue)).fail(failure())
    await workflow.signal()
    await workflow.poll_and_complete()
    await reset(workflow, 9)
    await workflow.describe("first attempt")
    await (await world.poll_activity(queue)).complete()
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_before_an_activity_ended(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue))
    await workflow.signal()
    await workflow.poll_and_complete()
    await (await world.poll_activity(queue)).complete()
    await workflow.poll_and_complete()
    await reset(workflow, 9)
    await (await world.poll_activity(queue)).complete("again")
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_timeouts(world: World) -> None:
    """The new run has all of its time again."""
    workflow = world.workflow()
    await workflow.start(workflow_execution_timeout="2s", workflow_run_timeout="2s")
    await workflow.poll_and_complete(LONG)
    await workflow.until_closed()
    run_id = await reset(workflow, 4)
    await workflow.describe("again")
    await workflow.until_closed(run_id)


@script
async def reset_with_a_start_delay(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1s", workflow_run_timeout="100s")
    await reset(workflow, 2, "too early")
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_a_signal_under_way(world: World) -> None:
    """It was delivered; the new run, which does not know that, sends it again."""
    workflow, other = world.workflow(), world.workflow("other")
    await other.start()
    await workflow.start()
    await workflow.poll()
    await workflow.signal("while the task is held")
    await reset(workflow, 3, "nothing yet")
    await workflow.poll_and_complete(
        signal_external(other.id),
        force_create_new_workflow_task=True,
    )
    await workflow.until(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED)
    await workflow.history("before")


# Children


@script
async def reset_with_a_child_that_runs(world: World) -> None:
    """The new run learns how the child ends."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    await parent.poll_and_complete()
    await reset(parent, 9)
    await parent.describe("still pending")
    await child.describe("still running")
    await child.poll_and_complete(complete_workflow("from the child"))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(complete_workflow())


@script
async def reset_to_before_a_child_was_known_to_run(world: World) -> None:
    """The child is found again, not started twice."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child), force_create_new_workflow_task=True)
    await see_child(parent, child)
    await parent.poll_and_complete()
    await parent.history("before")
    run_id = await reset(parent, 7, "initiated")
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED, run_id=run_id)
    await child.poll_and_complete(complete_workflow("from the child"))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, run_id=run_id)
    await parent.poll_and_complete(complete_workflow())


@script
async def reset_to_before_a_child_ended(world: World) -> None:
    """How it ended is taken along."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    await parent.poll_and_complete()
    await child.poll_and_complete(complete_workflow("from the child"))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(LONG)
    await reset(parent, 9)
    await parent.poll_and_complete(complete_workflow())


@script
async def reset_to_before_a_child_was_started(world: World) -> None:
    """The child goes on; the new run cannot start it again."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    run_id = await reset(parent, 4)
    await child.describe("still running")
    await parent.poll_and_complete(child_of(child))
    await parent.until(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, run_id=run_id)
    await child.poll_and_complete(complete_workflow())
    await parent.poll_and_complete(complete_workflow())


@script
async def close_a_reset_run_with_a_child(world: World) -> None:
    """The parent-close policy meets a child that an earlier run has started."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    await parent.poll_and_complete()
    await reset(parent, 9)
    await parent.poll_and_complete(complete_workflow())
    await asyncio.sleep(1)
    await child.describe("after its parent")


@script
async def reset_another_run_than_the_childs_parent(world: World) -> None:
    """The current run is no base: its end is an ordinary one for its child."""
    parent, child = world.workflow("parent"), world.workflow("child")
    older = await parent.start()
    await parent.poll_and_complete(complete_workflow())
    await parent.start(request_id="another")
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    await reset(parent, 4, run_id=older)
    await child.until_closed()
    await parent.poll_and_complete(complete_workflow())


@script
async def reset_a_child(world: World) -> None:
    """The parent learns only how the new run ends."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(child_of(child))
    await see_child(parent, child)
    await child.poll_and_complete(LONG)
    await reset(child, 4)
    await parent.poll_and_complete()
    await child.poll_and_complete(complete_workflow("from the child"))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
    await parent.poll_and_complete(complete_workflow())


# Updates


async def _answer(task: WorkflowTask, *commands: Any, completes_it: bool = True) -> None:
    """Accept every update of the task, and complete it, too, if that is wanted."""
    messages = []
    for asked in task.reply.messages:
        messages.append(accepts(asked))
        if completes_it:
            messages.append(completes(asked))
    await respond(task, messages, *commands, label="with answers")


async def _updated(world: World, *, is_done: bool = True) -> Workflow:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    asked = asyncio.create_task(update(workflow, "one"))
    await _answer(await workflow.poll(), completes_it=is_done)
    if is_done:
        await asked
    else:
        asked.cancel()
    return workflow


@script
async def reset_with_an_update(world: World) -> None:
    """The new run is asked to do it again."""
    workflow = await _updated(world)
    await reset(workflow, 4)
    async with world.meanwhile(update(workflow, "one")):
        await _answer(await workflow.poll())
    await reset(workflow, 4, "again")
    await _answer(await workflow.poll(), complete_workflow())


@script
async def reset_with_an_update_that_is_not_done(world: World) -> None:
    workflow = await _updated(world, is_done=False)
    async with world.meanwhile(poll_update(workflow, "one", wait="COMPLETED")):
        await reset(workflow, 4)
    async with world.meanwhile(update(workflow, "one")):
        await _answer(await workflow.poll(), complete_workflow())


@script
async def reset_while_an_update_waits(world: World) -> None:
    """It was not accepted, so there is nothing to take along."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    async with world.meanwhile(update(workflow, "one")):
        await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_without_updates(world: World) -> None:
    workflow = await _updated(world)
    await reset(workflow, 4, reset_reapply_exclude_types=["RESET_REAPPLY_EXCLUDE_TYPE_UPDATE"])
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_to_after_an_update(world: World) -> None:
    workflow = await _updated(world)
    await workflow.signal()
    await workflow.poll_and_complete(_marker())
    await reset(workflow, 13)
    await update(workflow, "one")
    await workflow.poll_and_complete(complete_workflow())


def _marker() -> Any:
    return record_marker("marker")


async def _admitted(world: World) -> tuple[Workflow, WorkflowTask]:
    """A workflow that was reset to before an update, which an event tells the worker of."""
    workflow = await _updated(world)
    await reset(workflow, 4)
    return workflow, await workflow.poll()


_KNOWN: dict[str, Any] = {
    "accepted_request_message_id": "one/request",
    "accepted_request_sequencing_event_id": 5,
}


@script
async def accept_an_update_after_a_reset(world: World) -> None:
    workflow, task = await _admitted(world)
    accepts = message("one", Acceptance(**_KNOWN), "answer")
    complete = api.RespondWorkflowTaskCompletedRequest
    await world.attempt(
        complete(task_token=task.reply.task_token, identity="worker", messages=[accepts]), "accepts"
    )
    await workflow.signal()
    task = await workflow.poll()
    done = completes("one")
    async with world.meanwhile(update(workflow, "one")):
        await world.attempt(
            complete(task_token=task.reply.task_token, identity="worker", messages=[done]),
            "does it",
        )
    await workflow.signal("last")
    await workflow.poll_and_complete(complete_workflow())


@script
async def refuse_an_update_after_a_reset(world: World) -> None:
    """The worker of the new run rejects what the old one had accepted."""
    workflow, task = await _admitted(world)
    rejection = Rejection(
        rejected_request_message_id="one/request",
        rejected_request_sequencing_event_id=5,
        failure=failure("no"),
    )
    rejects = message("one", rejection, "answer")
    async with world.meanwhile(update(workflow, "one")):
        await world.attempt(
            api.RespondWorkflowTaskCompletedRequest(
                task_token=task.reply.task_token, identity="worker", messages=[rejects]
            ),
            "rejects",
        )
    await workflow.signal()
    await workflow.poll_and_complete(complete_workflow())


# Changed along with it


@script
async def reset_with_other_options(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(priority={"priority_key": 3})
    await workflow.poll_and_complete(LONG)
    await workflow.signal()
    operations: list[Any] = [
        {
            "update_workflow_options": {
                "workflow_execution_options": {"priority": {"priority_key": 5}},
                "update_mask": mask,
            }
        }
        for mask in ("priority.priorityKey", "priority", "")
    ]
    await reset(workflow, 4, post_reset_operations=operations)
    await workflow.describe("changed")
    await workflow.poll_and_complete(complete_workflow())


# When the current run is gone


@script
async def reset_when_the_current_run_was_deleted(world: World) -> None:
    workflow = world.workflow()
    older = await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await workflow.start(request_id="another")
    await world.attempt(api.DeleteWorkflowExecutionRequest(workflow_execution=workflow.execution()))
    workflow.run_ids.pop()
    for _ in range(100):
        if isinstance(await workflow.describe(quiet=True), Refusal):
            break
        await asyncio.sleep(0.1)
    await reset(workflow, 4, "without a run")
    await reset(workflow, 4, run_id=older)
    await workflow.poll_and_complete(complete_workflow())


@script(
    intended=[
        Intended("* the child is still waited for", "the real server's new run waits for ever")
    ]
)
async def reset_after_a_child_has_closed(world: World) -> None:
    """It closed when its parent had closed, and so was heard of by nobody."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    policy = "PARENT_CLOSE_POLICY_ABANDON"
    await parent.poll_and_complete(child_of(child, parent_close_policy=policy))
    await see_child(parent, child)
    await parent.poll_and_complete(complete_workflow())
    await child.poll_and_complete(complete_workflow())
    await child.until_closed()
    await world.settle()
    run_id = await reset(parent, 9)
    parent.run_ids.remove(run_id)  # The two servers send it different events.
    await world.wait(1)
    described = await parent.describe(quiet=True)
    world.note("the child is still waited for", len(described.pending_children))
