"""An overloaded node starts no new work, and finishes the work that there is."""

import grpc
import pytest
from temporalio.api.enums.v1 import ResourceExhaustedCause, ResourceExhaustedScope
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    PollWorkflowTaskQueueRequest,
    RespondWorkflowTaskCompletedRequest,
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.runtime.loop_watch import LoopWatch
from tests.served import client_of, serving


@pytest.fixture
async def stub(monkeypatch):
    """A client of a server that is overloaded once `stub.overload` has been called."""
    load = []
    monkeypatch.setattr(LoopWatch, "is_overloaded", lambda self: bool(load))
    async with serving() as server, client_of(server) as stub:
        stub.overload = lambda: load.append(True)
        yield stub


def start(kind=StartWorkflowExecutionRequest, workflow_id="w", **fields):
    request = kind(namespace="ns", workflow_id=workflow_id, request_id=workflow_id, **fields)
    request.workflow_type.name, request.task_queue.name = "T", "q"
    return request


async def test_work_that_has_begun_is_finished(stub):
    await stub.StartWorkflowExecution(start())
    stub.overload()
    signal = SignalWorkflowExecutionRequest(namespace="ns", signal_name="s")
    signal.workflow_execution.workflow_id = "w"
    await stub.SignalWorkflowExecution(signal)
    poll = PollWorkflowTaskQueueRequest(namespace="ns")
    poll.task_queue.name = "q"
    task = await stub.PollWorkflowTaskQueue(poll, timeout=60)
    assert task.workflow_execution.workflow_id == "w"
    await stub.RespondWorkflowTaskCompleted(
        RespondWorkflowTaskCompletedRequest(namespace="ns", task_token=task.task_token)
    )


async def test_new_work_is_refused_in_words_that_clients_know(stub):
    stub.overload()
    multi = ExecuteMultiOperationRequest(namespace="ns")
    with_signal = start(SignalWithStartWorkflowExecutionRequest, signal_name="s")
    for call in (
        stub.StartWorkflowExecution(start()),
        stub.SignalWithStartWorkflowExecution(with_signal),
        stub.ExecuteMultiOperation(multi),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        [detail] = [
            value
            for key, value in refusal.value.trailing_metadata()
            if key == "grpc-status-details-bin"
        ]
        packed = ResourceExhaustedFailure(
            cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_SYSTEM_OVERLOADED,
            scope=ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_SYSTEM,
        ).SerializeToString()
        assert packed in detail
