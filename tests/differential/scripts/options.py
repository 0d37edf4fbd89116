"""How an open run is treated is changed from outside."""

from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.commands import complete_workflow, start_child
from tests.differential.registry import script
from tests.differential.world import Workflow, World


async def _update(workflow: Workflow, label: str, mask: str | None, **options: Any) -> Any:
    request = api.UpdateWorkflowExecutionOptionsRequest(
        workflow_execution=WorkflowExecution(workflow_id=workflow.id), identity="operator"
    )
    return await workflow.world.attempt(
        request, label, update_mask=mask, workflow_execution_options=options
    )


@script
async def priority_changed(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(priority={"priority_key": 3})
    await _update(workflow, "key", "priority.priorityKey", priority={"priority_key": 5})
    await workflow.describe("changed")
    await _update(workflow, "same", "priority.priorityKey", priority={"priority_key": 5})
    await _update(
        workflow,
        "fairness",
        "priority.fairnessKey,priority.fairnessWeight",
        priority={"fairness_key": "key", "fairness_weight": 2.5},
    )
    await _update(workflow, "taken away", "priority")
    await workflow.describe("taken away")
    await _update(workflow, "all of it", "priority", priority={"priority_key": 1})
    await workflow.poll_and_complete(complete_workflow())
    await _update(workflow, "closed", "priority")


@script
async def priority_changed_while_a_worker_is_busy(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _update(workflow, "busy", "priority.priorityKey", priority={"priority_key": 5})
    await workflow.describe("busy")
    await task.complete(complete_workflow())
    await workflow.poll_and_complete(complete_workflow())


@script
async def changed_priority_is_inherited(world: World) -> None:
    parent, child = world.workflow("parent"), world.workflow("child")
    await parent.start()
    await _update(parent, "key", "priority.priorityKey", priority={"priority_key": 5})
    await parent.poll_and_complete(start_child(child.id, child.task_queue))
    await child.poll()


@script
async def options_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await _update(workflow, "no mask", None, priority={"priority_key": 5})
    request = api.UpdateWorkflowExecutionOptionsRequest
    execution = WorkflowExecution(workflow_id=workflow.id)
    await world.attempt(request(workflow_execution=execution), "no options", update_mask="priority")
    await world.attempt(request(), "nothing")
    await _update(workflow, "bad priority", "priority", priority={"priority_key": -1})
    nobody = WorkflowExecution(workflow_id=world.id("nobody"))
    await world.attempt(
        request(workflow_execution=nobody),
        "nobody",
        update_mask="priority",
        workflow_execution_options={"priority": {"priority_key": 2}},
    )
