"""Behaviour that surprises people; docs/surprises.md says why perdure is like that, or is not."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_external,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    signal_external,
    start_child,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import Workflow, World


@script
async def surprise_of_what_is_asked_for_in_the_last_task(world: World) -> None:
    """A child that is to be abandoned is not started; a signal and a request to stop do not arrive."""
    workflow, other, child = (world.workflow(name) for name in ("workflow", "other", "child"))
    await other.start()
    await workflow.start()
    await workflow.poll_and_complete(
        start_child(child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_ABANDON"),
        signal_external(other.id, "s"),
        cancel_external(other.id),
        complete_workflow(),
    )
    await world.wait(1)
    await child.describe("never started")


@script
async def surprise_of_a_policy_that_is_dropped(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"maximum_attempts": 3, "initial_interval": "1s"})
    await workflow.poll_and_complete(continue_as_new())
    await workflow.poll_and_complete(fail_workflow())


@script
async def surprise_of_a_delay_that_is_over_at_once(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="100s")
    await workflow.signal("waits")
    await workflow.describe("after a signal")
    await workflow.signal_with_start("begins it")
    await workflow.poll_and_complete(complete_workflow())


async def _reached(child: Workflow) -> list[str]:
    reply = await child.history(quiet=True)
    names = (EventType.Name(event.event_type) for event in reply.history.events)
    return [name for name in names if name.endswith(("EXECUTION_SIGNALED", "CANCEL_REQUESTED"))]


async def _by_first_run(world: World, *, is_child: bool) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start(quiet=True)
    task = await parent.poll(quiet=True)
    await task.complete(start_child(child.id, child.task_queue))
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    described = await child.describe(quiet=True)
    first = described.workflow_execution_info.execution.run_id
    await (await child.poll(quiet=True)).complete(continue_as_new())
    await (await parent.poll(quiet=True)).complete(
        signal_external(child.id, "s", run_id=first, child_workflow_only=is_child),
        cancel_external(child.id, run_id=first, child_workflow_only=is_child),
        start_timer("t", 100),
    )
    await parent.until(
        EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
    )
    await world.settle()
    world.note("reached", await _reached(child))
    for workflow in (parent, child):
        workflow.run_ids.clear()


@script(
    intended=[
        Intended("*reached*", "the last run of the chain is meant, as the parent knows no other id")
    ]
)
async def surprise_of_a_child_that_went_on(world: World) -> None:
    await _by_first_run(world, is_child=True)


@script
async def no_surprise_of_another_workflow_that_went_on(world: World) -> None:
    """A run id means that run."""
    await _by_first_run(world, is_child=False)


_REFUSED = Intended(
    "*", "there are stores without NUL in texts, and a program must not depend on that"
)


@script(intended=[_REFUSED])
async def surprise_of_a_type_with_nul(world: World) -> None:
    workflow = world.workflow()
    reply = await workflow.try_start(workflow_type={"name": "a\0b"})
    world.note("refused", getattr(reply, "message", "taken"))
