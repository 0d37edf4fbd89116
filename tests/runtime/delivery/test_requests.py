"""A parent reaches its child by the run that it has started, also when the child has gone on as another run."""

import asyncio

import pytest
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    RespondWorkflowTaskCompletedRequest,
)

from tests.build.commands import (
    cancel_external,
    continue_as_new,
    signal_external,
    start_child,
    start_timer,
)
from tests.build.requests import poll_request, start_request
from tests.served import client_of, serving

SIGNALED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
CANCEL_REQUESTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED


@pytest.fixture
async def stub():
    async with serving() as server, client_of(server) as stub:
        yield stub


async def work(stub, queue: str, *commands: Command) -> None:
    task = await stub.PollWorkflowTaskQueue(poll_request(queue), timeout=60)
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
    await stub.StartWorkflowExecution(start_request("parent", task_queue={"name": "parents"}))
    await work(stub, "parents", start_child("child", "children"))
    await until(stub, "parent", EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    first = await current_run(stub, "child")
    await work(stub, "children", continue_as_new())
    assert await current_run(stub, "child") != first
    return first


@pytest.mark.parametrize("by_parent", [True, False])
async def test_a_signal(stub, by_parent):
    first = await parent_of_one_that_went_on(stub)
    wanted = signal_external("child", "s", run_id=first, child_workflow_only=by_parent)
    await work(stub, "parents", wanted, start_timer("t", 100))
    done = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED
    failed = EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
    assert (done in await until(stub, "parent", done, failed)) == by_parent
    assert (SIGNALED in await until(stub, "child", 1)) == by_parent


@pytest.mark.parametrize("by_parent", [True, False])
async def test_a_request_to_stop(stub, by_parent):
    first = await parent_of_one_that_went_on(stub)
    wanted = cancel_external("child", run_id=first, child_workflow_only=by_parent)
    await work(stub, "parents", wanted, start_timer("t", 100))
    done = EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    await until(stub, "parent", done)  # Temporal: also when a run that has closed is asked.
    assert (CANCEL_REQUESTED in await until(stub, "child", 1)) == by_parent
