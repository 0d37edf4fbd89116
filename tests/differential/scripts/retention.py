"""Closed workflows are kept for their namespace's retention, and are gone afterwards."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World


async def _namespace(world: World, retention: str) -> None:
    """Use a namespace of this retention from here on."""
    world.namespace = world.id("brief")
    await world.do(
        api.RegisterNamespaceRequest(),
        quiet=True,
        workflow_execution_retention_period=retention,
    )
    while isinstance(
        await world.attempt(api.CountWorkflowExecutionsRequest(), quiet=True), Refusal
    ):
        await world.wait(0.1)


async def _gone(world: World, workflow: Workflow, run_id: str) -> None:
    describe = api.DescribeWorkflowExecutionRequest
    while not isinstance(
        await world.attempt(describe(execution=workflow.execution(run_id)), quiet=True), Refusal
    ):
        await world.wait(0.1)


async def _ask_everything(world: World, workflow: Workflow, label: str, run_id: str) -> None:
    execution = workflow.execution(run_id)
    named: dict[str, Any] = {"workflow_id": execution.workflow_id, "run_id": execution.run_id}
    await world.attempt(api.DescribeWorkflowExecutionRequest(execution=execution), label)
    await world.attempt(api.GetWorkflowExecutionHistoryRequest(execution=execution), label)
    await world.attempt(api.GetWorkflowExecutionHistoryReverseRequest(execution=execution), label)
    for request in (
        api.SignalWorkflowExecutionRequest(signal_name="s"),
        api.TerminateWorkflowExecutionRequest(),
        api.RequestCancelWorkflowExecutionRequest(),
        api.DeleteWorkflowExecutionRequest(),
        api.ResetWorkflowExecutionRequest(workflow_task_finish_event_id=3, request_id="r"),
    ):
        await world.attempt(request, label, workflow_execution=named)
    query = {"query_type": "q"}
    await world.attempt(api.QueryWorkflowRequest(), label, execution=named, query=query)


@script
async def retention_is_over(world: World) -> None:
    await _namespace(world, "2s")
    workflow = world.workflow()
    run_id = await workflow.start()
    await world.wait(3)
    await workflow.describe("while it is open")
    await world.do(api.TerminateWorkflowExecutionRequest(workflow_execution=workflow.execution()))
    await workflow.describe("when it has just closed")
    await _gone(world, workflow, run_id)
    await world.wait(0.5)
    await world.attempt(api.CountWorkflowExecutionsRequest())
    await world.attempt(api.ListWorkflowExecutionsRequest())
    await _ask_everything(world, workflow, "of the run", run_id)
    await _ask_everything(world, workflow, "of the current run", "")
    workflow.run_ids.clear()
    reject = "WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE"
    await workflow.start("as if it had never run", workflow_id_reuse_policy=reject)


@script
async def retention_of_one_run_of_several(world: World) -> None:
    """The older run goes, the current one goes on."""
    await _namespace(world, "2s")
    workflow = world.workflow()
    first = await workflow.start()
    await world.do(api.TerminateWorkflowExecutionRequest(workflow_execution=workflow.execution()))
    await workflow.start("again", request_id="another")
    await _gone(world, workflow, first)
    workflow.run_ids.remove(first)
    await world.wait(0.5)
    await world.attempt(api.CountWorkflowExecutionsRequest())
    await workflow.poll("of the current one")
