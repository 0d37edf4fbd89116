"""Clients list workflow executions; a filter's grammar that cannot be loaded now is loaded later."""

import errno

import grpc
import pytest
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

from perdure.frontend.visibility import lists
from tests.build.requests import start_request


async def test_the_first_filter_can_be_read_when_files_can_be_opened_again(stub, monkeypatch):
    await stub.StartWorkflowExecution(start_request())
    load = lists._load_grammar
    failures = [OSError(errno.EMFILE, "Too many open files")]
    loads = []

    def fails_once() -> None:
        loads.append("begun")
        if failures:
            raise failures.pop()
        load()

    monkeypatch.setattr(lists, "_load_grammar", fails_once)
    request = ListWorkflowExecutionsRequest(namespace="ns", query="WorkflowId = 'w'")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListWorkflowExecutions(request)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "Too many open files" in refused.value.details()
    [found] = (await stub.ListWorkflowExecutions(request)).executions
    assert found.execution.workflow_id == "w"
    assert len(loads) == 2
