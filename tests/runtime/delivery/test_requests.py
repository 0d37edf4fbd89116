"""A parent reaches its child by the run that it has started, also when the child has gone on as another run."""

import asyncio

import grpc
import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    PollWorkflowTaskQueueRequest,
    RegisterNamespaceRequest,
    RespondWorkflowTaskCompletedRequest,
    StartWorkflowExecutionRequest,
)
from temporalio.api.workflowservice.v1.service_pb2_grpc import WorkflowServiceStub

from perdure.server import Server
from perdure.settings import ServerSettings, Settings, StoreSettings
from tests.build.commands import command, continue_as_new, start_child, start_timer

SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


@pytest.fixture
async def stub():
    server = Server(
        Settings(
            server=ServerSettings(port=0, http_port=0, metrics_port=0),
            store=StoreSettings(url="sqlite::memory:"),
        )
    )
    await server.start()
    try:
        address = "{}:{}".format(*server.address)
        async with grpc.aio.insecure_channel(address) as channel:
            stub = WorkflowServiceStub(channel)
            request = RegisterNamespaceRequest(namespace="ns")
            request.workflow_execution_retention_period.FromSeconds(86400)
            await stub.RegisterNamespace(request)
            yield stub
    finally:
        await server.stop(0)


async def work(stub, queue: str, *commands: Command) -> None:
    request = PollWorkflowTaskQueueRequest(namespace="ns")
    request.task_queue.name = queue
    task = await stub.PollWorkflowTaskQueue(request, timeout=60)
    await stub.RespondWorkflowTaskCompleted(
        RespondWorkflowTaskCompletedRequest(task_token=task.task_token, commands=commands)
    )


async def current_run(stub, workflow_id: str) -> str:
    request = DescribeWorkflowExecutionRequest(namespace="ns")
    request.execution.workflow_id = workflow_id
    reply = await stub.DescribeWorkflowExecution(request)
    return reply.workflow_execution_info.execution.run_id


async def until(stub, workflow_id: str, *kinds: int) -> list[int]:
    """Wait for an event of one of these kinds; return the kinds of all that there are."""
    request = GetWorkflowExecutionHistoryRequest(namespace="ns")
    request.execution.workflow_id = workflow_id
    async with asyncio.timeout(60):
        while True:
            reply = await stub.GetWorkflowExecutionHistory(request)
            found = [event.event_type for event in reply.history.events]
            if set(kinds) & set(found):
                return found
            await asyncio.sleep(0.01)


async def parent_of_one_that_went_on(stub) -> str:
    """Return the child's first run."""
    request = StartWorkflowExecutionRequest(namespace="ns", workflow_id="parent")
    request.workflow_type.name, request.task_queue.name = "Parent", "parents"
    await stub.StartWorkflowExecution(request)
    await work(stub, "parents", start_child("child", "children"))
    await until(stub, "parent", EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    first = await current_run(stub, "child")
    await work(stub, "children", continue_as_new())
    assert await current_run(stub, "child") != first
    return first


@pytest.mark.parametrize("by_parent", [True, False])
async def test_a_signal(stub, by_parent):
    first = await parent_of_one_that_went_on(stub)
    wanted = command(
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
        execution={"workflow_id": "child", "run_id": first},
        signal_name="s",
        child_workflow_only=by_parent,
    )
    await work(stub, "parents", wanted, start_timer("t", 100))
    done = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
    failed = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
    assert (done in await until(stub, "parent", done, failed)) == by_parent
    assert (SIGNALED in await until(stub, "child", 1)) == by_parent


@pytest.mark.parametrize("by_parent", [True, False])
async def test_a_request_to_stop(stub, by_parent):
    first = await parent_of_one_that_went_on(stub)
    wanted = command(
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION",
        workflow_id="child",
        run_id=first,
        child_workflow_only=by_parent,
    )
    await work(stub, "parents", wanted, start_timer("t", 100))
    done = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    await until(stub, "parent", done)  # Temporal: also when a run that has closed is asked.
    assert (CANCEL_REQUESTED in await until(stub, "child", 1)) == by_parent
