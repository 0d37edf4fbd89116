"""The caller or the store goes away in the middle: nothing is lost, and nobody learns anything too early."""

import asyncio

import pytest
from temporalio.api.enums.v1 import (
    QueryRejectCondition,
    UpdateWorkflowExecutionLifecycleStage,
)
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.update.v1 import Acceptance, Request

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.start_workflow import StartWorkflow
from perdure.core.workflow.updates import AdmitUpdate
from perdure.core.workflow.views import Describe
from perdure.runtime.delivery.updates import Wait
from perdure.runtime.replies import QueryTaskReply, StartFailed
from tests.build.commands import protocol_message
from tests.build.requests import start_request
from tests.build.updates import update_messages
from tests.runtime.nodes import (
    ALLOW,
    FAIL,
    SetClock,
    Slow,
    complete,
    later,
    poll,
    start,
    started_node,
)

ANY = QueryRejectCondition.QUERY_REJECT_CONDITION_NONE
Stage = UpdateWorkflowExecutionLifecycleStage
ACCEPTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
ACCEPTANCE = Acceptance(
    accepted_request_message_id="u/request", accepted_request_sequencing_event_id=1
)


@pytest.fixture
async def store():
    return Slow()


@pytest.fixture
async def node(store):
    node = await started_node(store, SetClock())
    yield node
    store.may_commit.set()
    await node.stop()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_nobody_hears_that_an_update_was_accepted_before_that_is_durable(
    node, store, monkeypatch
):
    is_looked_at, read = asyncio.Event(), node.executions.read

    async def looked_at(*question):
        is_looked_at.set()
        return await read(*question)

    monkeypatch.setattr(node.executions, "read", looked_at)
    key = await start(node, "ns", "w")
    await complete(node, await poll(node))
    request = Request()
    request.meta.update_id, request.input.name = "u", "update"
    update = asyncio.create_task(
        node.updates.update(
            key,
            AdmitUpdate("u", request.SerializeToString()),
            Wait(COMPLETED, later() + 1, asyncio.get_running_loop().time() + 0.2),
        )
    )
    task = await poll(node)
    store.may_commit.clear()
    accepted = [protocol_message("u/0")], update_messages("u", ACCEPTANCE)
    completion = asyncio.create_task(complete(node, task, *accepted))
    await is_looked_at.wait()
    await turns()
    assert not update.done()
    store.may_commit.set()
    await completion
    assert (await update).stage == ACCEPTED


async def test_a_refused_start_of_update_with_start_waits_for_the_run_that_it_rests_on(node, store):
    store.may_commit.clear()
    first = asyncio.create_task(start(node, "ns", "w"))
    await turns()
    again = start_request(request_id="again")
    request = Request()
    request.meta.update_id, request.input.name = "u", "update"
    refused = asyncio.create_task(
        node.updates.update_with_start(
            node.executions.key("ns", "w"),
            StartWorkflow(
                "ns", again, ALLOW, FAIL, update=AdmitUpdate("u", request.SerializeToString())
            ),
            Wait(ACCEPTED, later(), later()),
        )
    )
    await turns()
    assert not refused.done()
    store.may_commit.set()
    await first
    with pytest.raises(StartFailed) as failure:
        await refused
    assert failure.value.refusal.code is Code.ALREADY_EXISTS


@pytest.mark.parametrize("ends", ["with its poller", "with the store"])
async def test_a_query_is_not_lost(node, store, ends):
    key = await start(node, "ns", "w")
    await complete(node, await poll(node))
    live = await node.engine.get(key)
    live.tail_first_event_id = 100  # Its history has to be read.
    query = WorkflowQuery(query_type="q")
    asked = asyncio.create_task(node.queries.ask(key, query, ANY, later()))
    await turns()
    store.may_read.clear()
    first = asyncio.create_task(poll(node))
    await turns()
    if ends == "with its poller":
        first.cancel()
    store.reads_fail = ends == "with the store"
    store.may_read.set()
    [failed] = await asyncio.gather(first, return_exceptions=True)
    assert isinstance(failed, asyncio.CancelledError | Rejected)
    store.reads_fail = False
    async with asyncio.timeout(60):
        task = await poll(node)
        assert isinstance(task, QueryTaskReply)
        node.queries.respond(task.query_id, b"answer")
        assert await asked == b"answer"


async def test_a_node_that_has_slept_does_not_say_that_there_is_no_such_run(store):
    """Another node may have started it meanwhile."""
    clock = SetClock()
    node = await started_node(store, clock)
    missing = node.executions.key("ns", "w")
    with pytest.raises(Rejected) as refusal:
        await node.executions.ask(missing, Terminate("", None, ""))
    assert refusal.value.code is Code.NOT_FOUND
    clock.go_on(60)
    for asked in (
        node.executions.ask(missing, Terminate("", None, "")),
        node.executions.read(missing, Describe()),
        node.executions.delete(missing),
    ):
        with pytest.raises(Rejected) as refusal:
            await asked
        assert refusal.value.code is Code.UNAVAILABLE
    await node.stop()


async def test_a_node_that_slept_while_it_committed_does_not_answer_later_questions_by_that(store):
    """Its commit is durable. Another node may have gone on since, so only the caller of that commit may be answered."""
    clock = SetClock()
    node = await started_node(store, clock)
    key = await start(node, "ns", "w")
    store.may_commit.clear()
    signalled = asyncio.create_task(node.executions.ask(key, Signal("s", None, "", "")))
    await turns()
    clock.go_on(10)
    described = asyncio.create_task(node.executions.read(key, Describe()))
    await turns()
    assert not described.done()
    store.may_commit.set()
    await signalled
    with pytest.raises(Rejected) as refusal:
        await described
    assert refusal.value.code is Code.UNAVAILABLE
    clock.go_on(-10)
    await node.stop()
