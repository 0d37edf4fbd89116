"""A workflow is taken back to one of its workflow tasks, and goes on from there as a new run."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    command,
    complete_workflow,
    continue_as_new,
    failure,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

LONG = start_timer("long", 100)


async def reset(
    workflow: Workflow, event_id: int, label: str = "", *, run_id: str = "", **fields: Any
) -> str:
    """Reset `workflow`; return the id of the new run, or nothing if that was refused."""
    request = api.ResetWorkflowExecutionRequest(
        workflow_execution=workflow.execution(run_id),
        reason="why",
        workflow_task_finish_event_id=event_id,
        request_id=f"reset {label}",
    )
    reply = await workflow.world.attempt(request, label, **fields)
    if isinstance(reply, Refusal):
        return ""
    workflow.saw_run(reply.run_id)
    return str(reply.run_id)


def child_of(child: Workflow, **fields: Any) -> Any:
    return command(
        "START_CHILD_WORKFLOW_EXECUTION",
        workflow_id=child.id,
        workflow_type={"name": "Child"},
        task_queue={"name": child.task_queue},
        **fields,
    )


async def see_child(parent: Workflow, child: Workflow) -> None:
    """Wait until the child is started."""
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    described = await child.describe(quiet=True)
    child.saw_run(described.workflow_execution_info.execution.run_id)


# Where to


@script
async def reset_to_a_started_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(memo={"fields": {}}, user_metadata={"summary": {"data": "InMi"}})
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 3)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_between_a_task_scheduled_and_started(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.signal("first")
    await workflow.signal("second")
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4, "between")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_to_a_failed_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail(failure())
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4, "failed")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_to_a_task_that_was_tried_again(world: World) -> None:
    """Its later attempts left no events but the last."""
    workflow = world.workflow()
    await workflow.start()
    for _ in range(2):
        await (await workflow.poll()).fail(failure())
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 7, "third attempt")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_a_task_that_a_worker_holds(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await reset(workflow, 3, "held")
    await task.complete(complete_workflow(), label="stale")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_while_events_wait(world: World) -> None:
    """A signal that came while a worker held the task is taken along."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    await workflow.signal("first")
    await workflow.poll()
    await workflow.signal("waiting")
    await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_a_sticky_workflow(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG, sticky_attributes=workflow.sticky())
    async with world.meanwhile(workflow.poll(sticky=True)) as polling:
        await workflow.signal()
    await polling.result().complete(sticky_attributes=workflow.sticky())
    await reset(workflow, 9)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_a_closed_workflow(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow("again"))


@script
async def reset_a_reset(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(record_marker("first"))
    await workflow.signal("first")
    await workflow.poll_and_complete(record_marker("second"))
    await reset(workflow, 9, "later")
    await workflow.poll_and_complete(record_marker("third"))
    await reset(workflow, 4, "earlier")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_an_older_run(world: World) -> None:
    """The current run, which has nothing to do with it, makes room."""
    workflow = world.workflow()
    older = await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await workflow.start(request_id="another")
    await workflow.signal("not for the older")
    await reset(workflow, 4, run_id=older)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_an_older_run_when_all_are_closed(world: World) -> None:
    workflow = world.workflow()
    older = await workflow.start()
    await workflow.poll_and_complete(complete_workflow())
    await workflow.start(request_id="another")
    await workflow.poll_and_complete(complete_workflow())
    await reset(workflow, 4, run_id=older)
    await workflow.poll_and_complete(complete_workflow())


@script(
    intended=[
        Intended("* unknown reapply type.*", "the real server calls this an error of its own")
    ]
)
async def resets_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    unknown = "6d1f5a2e-0000-4000-8000-000000000000"
    for label, fields in (
        ("no request id", {"request_id": None}),
        ("long request id", {"request_id": "x" * 1001}),
        ("no execution", {"workflow_execution": {}}),
        ("bad run id", {"workflow_execution": {"workflow_id": workflow.id, "run_id": "junk"}}),
        ("unknown", {"workflow_execution": {"workflow_id": "nobody"}}),
        ("unknown run", {"workflow_execution": {"workflow_id": workflow.id, "run_id": unknown}}),
        ("unknown namespace", {"namespace": "nowhere"}),
        ("no event", {"workflow_task_finish_event_id": 0}),
        ("first event", {"workflow_task_finish_event_id": 1}),
        ("second event", {"workflow_task_finish_event_id": 2}),
        ("last event", {"workflow_task_finish_event_id": 5}),
        ("no such event", {"workflow_task_finish_event_id": 6}),
        ("unknown reapply type", {"reset_reapply_type": 99}),
        ("empty operation", {"post_reset_operations": [{}]}),
        (
            "bad mask",
            {"post_reset_operations": [{"update_workflow_options": {"update_mask": "nobody"}}]},
        ),
        ("signal operation", {"post_reset_operations": [{"signal_workflow": {}}]}),
        (
            "signal operation, unknown run",
            {
                "workflow_execution": {"workflow_id": workflow.id, "run_id": unknown},
                "post_reset_operations": [{"signal_workflow": {}}],
            },
        ),
        (
            "signal operation, no such event",
            {
                "workflow_task_finish_event_id": 6,
                "post_reset_operations": [{"signal_workflow": {}}],
            },
        ),
    ):
        fields = {  # noqa: PLW2901
            "workflow_execution": {"workflow_id": workflow.id},
            "workflow_task_finish_event_id": 4,
            "request_id": "reset",
        } | fields
        await world.attempt(api.ResetWorkflowExecutionRequest(), label, **fields)
    await world.attempt(api.ResetWorkflowExecutionRequest(request_id="reset"), "nothing set")


@script
async def resets_refused_within_what_belongs_together(world: World) -> None:
    """The real server writes an activity's start and end at once: there is nothing between them."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(schedule_activity("a", queue))
    await workflow.signal()
    activity = await world.poll_activity(queue)
    await activity.complete()
    await workflow.poll_and_complete(LONG)
    await workflow.history("before")
    for event_id in range(6, 12):
        await reset(workflow, event_id, f"to {event_id}", run_id=workflow.run_ids[0])
    await workflow.poll_and_complete(complete_workflow())


@script(
    intended=[Intended("* a run of its own", "a reset that is asked for again is not made again")]
)
async def one_request_to_reset_twice(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(LONG)
    request = {
        "workflow_execution": {"workflow_id": workflow.id, "run_id": first},
        "workflow_task_finish_event_id": 4,
        "request_id": "one",
    }
    replies = [
        await world.do(api.ResetWorkflowExecutionRequest(), quiet=True, **request) for _ in range(2)
    ]
    world.note("a run of its own", replies[0].run_id != replies[1].run_id)


@script
async def reset_with_the_request_of_the_start(world: World) -> None:
    """It is known already."""
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4)
    await reset(workflow, 4, "as the start", request_id="workflow-start", run_id=first)
    await workflow.try_start("again")
    await workflow.poll_and_complete(complete_workflow())


# Taken along


async def _one_of_each(world: World) -> Workflow:
    """A workflow with a signal and a request to cancel after its first task."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.signal("before")
    await workflow.poll_and_complete(LONG)
    await workflow.signal("after", request_id="signal", input={"payloads": [{"data": "InMi"}]})
    await workflow.cancel()
    return workflow


@script
async def reset_with_all(world: World) -> None:
    workflow = await _one_of_each(world)
    await reset(workflow, 5)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_without_signals(world: World) -> None:
    workflow = await _one_of_each(world)
    await reset(workflow, 5, reset_reapply_exclude_types=["RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL"])
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_without_anything(world: World) -> None:
    workflow = await _one_of_each(world)
    await reset(workflow, 5, reset_reapply_type="RESET_REAPPLY_TYPE_NONE")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_without_every_type(world: World) -> None:
    workflow = await _one_of_each(world)
    kinds = ("SIGNAL", "UPDATE", "NEXUS", "CANCEL_REQUEST")
    excluded = [f"RESET_REAPPLY_EXCLUDE_TYPE_{kind}" for kind in kinds]
    await reset(workflow, 5, reset_reapply_exclude_types=excluded)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_signals_alone(world: World) -> None:
    workflow = await _one_of_each(world)
    await reset(workflow, 5, reset_reapply_type="RESET_REAPPLY_TYPE_SIGNAL")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_what_was_asked_to_cancel(world: World) -> None:
    """The request came before the task that it is reset to."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.cancel()
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 5)
    await workflow.cancel("again")
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_a_chain_of_runs(world: World) -> None:
    """Signals and updates of later runs are taken along, too."""
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(LONG)
    await workflow.signal("first")
    await workflow.poll_and_complete(continue_as_new())
    await workflow.signal("second")
    await workflow.poll_and_complete(LONG)
    await workflow.signal("third")
    await reset(workflow, 4, run_id=first)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_the_second_run_of_a_chain(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_execution_timeout="1000s")
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(LONG)
    await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_with_attached_requests(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for request_id in ("before", "after"):
        await workflow.try_start(
            request_id,
            request_id=request_id,
            workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
            on_conflict_options={"attach_request_id": True, "attach_links": True},
        )
        if request_id == "before":
            await workflow.poll_and_complete(LONG)
    await reset(workflow, 5)
    await workflow.poll_and_complete(complete_workflow())


@script
async def reset_without_what_was_upserted(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={"fields": {"a": {"data": "InMi"}}})
    )
    await workflow.signal()
    await workflow.poll_and_complete(
        command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo={"fields": {"b": {"data": "InMi"}}})
    )
    await reset(workflow, 9)
    await workflow.describe("first only")
    await workflow.poll_and_complete(complete_workflow())
