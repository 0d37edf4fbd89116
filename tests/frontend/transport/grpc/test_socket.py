"""Calls of real clients: those that are given up leave nothing behind, and a burst is answered."""

import asyncio
import gc

import grpc
import pytest
from temporalio.api.workflowservice.v1 import (
    GetSystemInfoRequest,
    GetWorkflowExecutionHistoryRequest,
    PollActivityTaskQueueRequest,
    PollWorkflowTaskQueueRequest,
    QueryWorkflowRequest,
    UpdateWorkflowExecutionRequest,
)

from perdure.core.matching.task_queue import Poller
from perdure.frontend.call import Call
from perdure.runtime.matching.task_queues import WORKFLOW_QUEUE, QueueName
from tests.build.requests import start_request
from tests.runtime.nodes import until

COUNT = 1000


@pytest.fixture
async def stub(stub):
    """Return a client when there is a workflow."""
    await stub.StartWorkflowExecution(start_request())
    return stub


def waiting_calls(stub) -> list[grpc.aio.Call]:
    """Make calls of every kind that waits, a thousand together."""
    polls = [
        (stub.PollWorkflowTaskQueue, PollWorkflowTaskQueueRequest(namespace="ns")),
        (stub.PollActivityTaskQueue, PollActivityTaskQueueRequest(namespace="ns")),
        (stub.GetWorkflowExecutionHistory, GetWorkflowExecutionHistoryRequest(namespace="ns")),
        (stub.QueryWorkflow, QueryWorkflowRequest(namespace="ns")),
        (stub.UpdateWorkflowExecution, UpdateWorkflowExecutionRequest(namespace="ns")),
    ]
    for _, request in polls[:2]:
        request.task_queue.name = "idle"
    for _, request in polls[2:4]:
        request.execution.workflow_id = "w"
    polls[2][1].wait_new_event = True
    polls[2][1].history_event_filter_type = 2  # The end of the run.
    polls[3][1].query.query_type = "query"
    update = polls[4][1]
    update.workflow_execution.workflow_id = "w"
    update.request.meta.update_id = "one"
    update.request.input.name = "update"
    update.wait_policy.lifecycle_stage = 3  # Completed.
    counts = (COUNT // 2, COUNT // 4, COUNT // 4, 1, 1)
    return [
        method(request, timeout=60)
        for (method, request), count in zip(polls, counts, strict=True)
        for _ in range(count)
    ]


def alive(kind: type) -> int:
    gc.collect()
    return sum(type(each) is kind for each in gc.get_objects())


async def test_a_thousand_polls_and_followers_that_are_given_up_leave_nothing(server, stub, caplog):
    queues, node = server.node.task_queues, server.node
    name = QueueName(node.namespaces.get("ns").id, "idle", WORKFLOW_QUEUE)
    before = {}

    async def all_wait():
        return _waiting(server) == COUNT + 2

    async def nobody_waits():
        return _waiting(server) == 0

    for turn in range(3):
        calls = waiting_calls(stub)

        await until(all_wait)
        for call in calls:
            call.cancel()

        await until(nobody_waits)
        await asyncio.gather(*calls, return_exceptions=True)
        del calls, call
        assert not list(queues.describe(name)._waiting)
        now = {"pollers": alive(Poller), "calls": alive(Call), "tasks": len(asyncio.all_tasks())}
        if turn == 0:
            before = now
    assert now["pollers"] == 0
    assert now["calls"] <= before["calls"] + 5
    assert now["tasks"] <= before["tasks"] + 5
    live = next(run for run in node.engine.cache.executions() if run.key.business_id == "w")
    assert live.waiters == {}
    assert list(live.execution.in_flight.queries) == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def _waiting(server) -> int:
    """Return how many calls wait for something."""
    node = server.node
    return (
        len(node.task_queues._polls)
        + len(node.executions._histories._waiting)
        + len(node.queries._waiting)
        + len(node.updates._waiting)
    )


async def test_every_call_of_a_burst_is_answered(stub):
    calls = [stub.GetSystemInfo(GetSystemInfoRequest()) for _ in range(4000)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
