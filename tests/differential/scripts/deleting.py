"""A workflow is deleted: nothing of it can be found any more.

The real server deletes what is closed when it comes to it, half a minute later or more: no script waits for that.
"""

import asyncio

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import command, complete_workflow, continue_as_new
from tests.differential.registry import script
from tests.differential.scripts.resetting import reset
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World


async def _delete(workflow: Workflow, label: str, run_id: str = "", **options: object) -> object:
    request = api.DeleteWorkflowExecutionRequest(workflow_execution=workflow.execution(run_id))
    return await workflow.world.attempt(request, label, **options)


async def _until_gone(workflow: Workflow, run_id: str = "") -> None:
    """The real server deletes a little later."""
    for _ in range(100):
        if isinstance(await workflow.describe(run_id=run_id, quiet=True), Refusal):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it was never deleted")


def _forget(workflow: Workflow) -> None:
    """There is nothing to be written down at the end."""
    workflow.run_ids.clear()


@script
async def delete_an_open_workflow(world: World) -> None:
    workflow = world.workflow()
    run_id = await workflow.start()
    await _delete(workflow, "open")
    await _until_gone(workflow)
    for which, label in (("", "current"), (run_id, "by run")):
        await workflow.describe(label, run_id=which)
        await workflow.history(label, run_id=which)
        await workflow.signal(label=label, run_id=which)
        await workflow.terminate(label, run_id=which)
        await _delete(workflow, label, which)
    _forget(workflow)


@script
async def delete_while_a_worker_holds_the_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _delete(workflow, "held")
    await _until_gone(workflow)
    await task.complete(complete_workflow())
    _forget(workflow)


@script
async def delete_a_child(world: World) -> None:
    """Its parent learns that it was terminated."""
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await parent.poll_and_complete(
        command(
            "START_CHILD_WORKFLOW_EXECUTION",
            workflow_id=child.id,
            workflow_type={"name": "Child"},
            task_queue={"name": child.task_queue},
        )
    )
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    await _delete(child, "child")
    await parent.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)
    await _until_gone(child)


async def _next_run(workflow: Workflow, run_id: str) -> str:
    """Have the run that is current go on as a new one, and return that."""
    await workflow.poll_and_complete(continue_as_new())
    for _ in range(100):
        described = await workflow.describe(quiet=True)
        current = str(described.workflow_execution_info.execution.run_id)
        if current != run_id:
            return current
        await asyncio.sleep(0.1)
    raise AssertionError("it never went on")


@script
async def reset_a_run_behind_which_the_current_one_was_deleted(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.signal("first")
    second = await _next_run(workflow, first)
    await workflow.signal("second")
    await _delete(workflow, "second", second)
    await _until_gone(workflow, second)
    await reset(workflow, 5, "behind it", run_id=first)
    await workflow.describe("current")
    await workflow.poll_and_complete(complete_workflow())


@script
async def deletions_refused(world: World) -> None:
    workflow = world.workflow()
    for label, execution in (
        ("no execution", None),
        ("no workflow id", WorkflowExecution()),
        ("bad run id", WorkflowExecution(workflow_id=workflow.id, run_id="junk")),
        ("unknown", workflow.execution()),
        ("unknown run", workflow.execution("6d1f5a2e-0000-4000-8000-000000000000")),
    ):
        await world.attempt(api.DeleteWorkflowExecutionRequest(workflow_execution=execution), label)
