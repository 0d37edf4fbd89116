"""Workflows of real SDK workers, over gRPC, on every store."""

import asyncio
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowContinuedAsNewError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowUpdateFailedError,
)
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    CancelledError,
    TerminatedError,
    TimeoutError,
    WorkflowAlreadyStartedError,
)
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from tests.e2e.workflows import (
    ACTIVITIES,
    WORKFLOWS,
    Cancelling,
    Collecting,
    Counting,
    FailingAtFirst,
    Family,
    Greeting,
    Parent,
    Regular,
    Retrying,
    wait_for_cancel,
)

pytestmark = pytest.mark.slow


def worker(client, queue, **options):
    return Worker(client, task_queue=queue, workflows=WORKFLOWS, activities=ACTIVITIES, **options)


async def test_a_workflow_with_an_activity(client, queue, name):
    async with worker(client, queue):
        result = await client.execute_workflow(
            Greeting.run, "Temporal", id=name("hello"), task_queue=queue
        )
    assert result == "Hello Temporal!"


async def test_nineteen_at_once(client, queue, name):
    async with worker(client, queue):
        results = await asyncio.gather(
            *(
                client.execute_workflow(Greeting.run, str(n), id=name(n), task_queue=queue)
                for n in range(19)
            )
        )
    assert results == [f"Hello {n}!" for n in range(19)]


async def test_retries_carry_heartbeat_details(client, queue, name):
    async with worker(client, queue):
        seen = await client.execute_workflow(Retrying.run, 3, id=name("r"), task_queue=queue)
    assert seen == 2


async def test_signals_queries_and_their_order(client, queue, name):
    handle = await client.start_workflow(Collecting.run, id=name("c"), task_queue=queue)
    await handle.signal(Collecting.add, "before the worker")
    async with worker(client, queue):
        assert await handle.query(Collecting.words) == ["before the worker"]
        for n in range(5):
            await handle.signal(Collecting.add, str(n))
        assert await handle.query(Collecting.words) == ["before the worker", *"01234"]
        await handle.signal(Collecting.stop)
        assert await handle.result() == ["before the worker", *"01234"]
        assert await handle.query(Collecting.words) == ["before the worker", *"01234"]
    async with worker(client, queue):  # Another worker replays it all for the query.
        assert len(await handle.query(Collecting.words)) == 6


async def test_updates(client, queue, name):
    async with worker(client, queue):
        handle = await client.start_workflow(Collecting.run, id=name("u"), task_queue=queue)
        assert await handle.execute_update(Collecting.append, "a") == 1
        before = (await handle.describe()).history_length
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(Collecting.append, "")
        assert (await handle.describe()).history_length == before, "a rejection left a trace"
        assert await handle.execute_update(Collecting.append, "b", id="once") == 2
        assert await handle.execute_update(Collecting.append, "b", id="once") == 2
        start = WithStartWorkflowOperation(
            Collecting.run,
            id=name("new"),
            task_queue=queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        assert (
            await client.execute_update_with_start_workflow(
                Collecting.append, "c", start_workflow_operation=start
            )
            == 1
        )
        await handle.terminate()
        await (await start.workflow_handle()).terminate()


async def test_parent_and_children(client, queue, name):
    async with worker(client, queue):
        result = await client.execute_workflow(Parent.run, id=name("p"), task_queue=queue)
        assert result == Family("Hello child!", True)
        left = client.get_workflow_handle(name("p") + "-4")
        with pytest.raises(WorkflowFailureError) as refused:
            await left.result()
    assert isinstance(refused.value.cause, TerminatedError)


async def test_continue_as_new(client, queue, name):
    async with worker(client, queue):
        handle = await client.start_workflow(Counting.run, 1, id=name("n"), task_queue=queue)
        assert await handle.result() == handle.first_execution_run_id
    assert (await client.get_workflow_handle(name("n")).describe()).run_id != (
        handle.first_execution_run_id
    )


async def test_a_failed_run_is_retried(client, queue, name):
    """The client follows the chain of runs to its end."""
    async with worker(client, queue):
        handle = await client.start_workflow(
            FailingAtFirst.run,
            3,
            id=name("r"),
            task_queue=queue,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=100)),
        )
        assert await handle.result() == ["3", "attempt 2"]
    last = await client.get_workflow_handle(name("r")).describe()
    assert last.run_id != handle.first_execution_run_id


async def test_a_cron_schedule(client, queue, name):
    """Each run is given the result of the one before."""
    async with worker(client, queue):
        handle = await client.start_workflow(
            Regular.run, id=name("c"), task_queue=queue, cron_schedule="@every 1s"
        )
        run_id = str(handle.first_execution_run_id)
        for count in (1, 2):
            run = client.get_workflow_handle_for(Regular.run, name("c"), run_id=run_id)
            with pytest.raises(WorkflowContinuedAsNewError) as ended:
                await run.result(follow_runs=False)
            run_id = ended.value.new_execution_run_id
            run = client.get_workflow_handle_for(Regular.run, name("c"), run_id=run_id)
            started = (await run.fetch_history()).events[0]
            attributes = started.workflow_execution_started_event_attributes
            assert attributes.last_completion_result.payloads[0].data == str(count).encode()
        await handle.terminate()


async def test_a_reset_takes_signals_and_updates_along(client, queue, name):
    """The worker is told of both by the history of the new run."""
    async with worker(client, queue):
        handle = await client.start_workflow(
            Collecting.run,
            id=name("c"),
            task_queue=queue,
            start_signal="add",
            start_signal_args=["a"],
        )
        await handle.execute_update(Collecting.append, "b")
        reply = await client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace="default",
                workflow_execution={"workflow_id": name("c")},
                workflow_task_finish_event_id=4,
                request_id="reset",
                reason="why",
            )
        )
        again = client.get_workflow_handle(name("c"), run_id=reply.run_id)
        await again.signal(Collecting.add, "c")
        await again.signal(Collecting.stop)
        assert sorted(await again.result()) == ["a", "b", "c"]


async def test_a_cancelled_activity_learns_it_by_its_heartbeat(client, queue, name):
    started = asyncio.Event()

    @activity.defn(name="wait_for_cancel")
    async def wait() -> str:
        started.set()
        return await wait_for_cancel()

    # Heartbeats go out often, so that the timeout can be long: one of seconds is over on a busy machine.
    often = timedelta(milliseconds=100)
    async with Worker(
        client,
        task_queue=queue,
        workflows=[Cancelling],
        activities=[wait],
        max_heartbeat_throttle_interval=often,
    ):
        handle = await client.start_workflow(Cancelling.run, id=name("c"), task_queue=queue)
        await started.wait()
        [pending] = (await handle.describe()).raw_description.pending_activities
        assert pending.activity_type.name == "wait_for_cancel"
        assert pending.attempt == 1
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as refused:
            await handle.result()
    assert isinstance(refused.value.cause, CancelledError)


async def test_terminate(client, queue, name):
    handle = await client.start_workflow(Greeting.run, "x", id=name("t"), task_queue=queue)
    await handle.terminate("enough")
    with pytest.raises(WorkflowFailureError) as refused:
        await handle.result()
    assert isinstance(refused.value.cause, TerminatedError)
    with pytest.raises(RPCError) as twice:
        await handle.terminate()
    assert twice.value.status is RPCStatusCode.NOT_FOUND


async def test_a_run_that_takes_too_long(client, queue, name):
    handle = await client.start_workflow(
        Greeting.run, "x", id=name("t"), task_queue=queue, run_timeout=timedelta(seconds=1)
    )
    with pytest.raises(WorkflowFailureError) as late:
        await handle.result()
    assert isinstance(late.value.cause, TimeoutError)


async def test_without_a_cache_every_task_replays(client, queue, name):
    async with worker(client, queue, max_cached_workflows=0):
        handle = await client.start_workflow(Collecting.run, id=name("c"), task_queue=queue)
        for n in range(3):
            await handle.signal(Collecting.add, str(n))
            assert (await handle.query(Collecting.words))[-1] == str(n)
        await handle.signal(Collecting.stop)
        assert await handle.result() == ["0", "1", "2"]


async def test_a_start_delay(client, queue, name):
    async with worker(client, queue):
        handle = await client.start_workflow(
            Greeting.run,
            "x",
            id=name("d"),
            task_queue=queue,
            start_delay=timedelta(seconds=1),
        )
        await handle.result()
    described = await handle.describe()
    assert described.execution_time - described.start_time == timedelta(seconds=1)
    started, scheduled = (await handle.fetch_history()).events[:2]
    assert scheduled.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
    waited_ns = scheduled.event_time.ToNanoseconds() - started.event_time.ToNanoseconds()
    assert waited_ns >= 10**9


async def test_workflow_id_policies(client, queue, name):
    first = await client.start_workflow(Collecting.run, id=name("p"), task_queue=queue)

    async def again(**policies):
        return await client.start_workflow(
            Collecting.run, id=name("p"), task_queue=queue, **policies
        )

    with pytest.raises(WorkflowAlreadyStartedError):
        await again()
    used = await again(id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING)
    assert used.first_execution_run_id == first.first_execution_run_id
    second = await again(id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING)
    assert second.first_execution_run_id != first.first_execution_run_id
    await second.terminate()
    with pytest.raises(WorkflowAlreadyStartedError):
        await again(id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE)
    third = await again(id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY)
    await third.terminate()


async def test_lists_show_what_was_just_started(client, queue, name):
    async def ids():
        return [each.id async for each in client.list_workflows() if each.task_queue == queue]

    for n in range(5):
        before = (await client.count_workflows()).count
        handle = await client.start_workflow(Collecting.run, id=name(n), task_queue=queue)
        assert name(n) in await ids()
        assert (await client.count_workflows()).count == before + 1
    await handle.terminate()
    [ended] = [each async for each in client.list_workflows() if each.id == name(4)]
    assert ended.status is WorkflowExecutionStatus.TERMINATED


async def test_history_in_pages_from_both_ends(client, queue, name):
    async with worker(client, queue):
        handle = await client.start_workflow(Collecting.run, id=name("h"), task_queue=queue)
        for n in range(30):
            await handle.signal(Collecting.add, str(n))
        await handle.signal(Collecting.stop)
        await handle.result()

    async def pages(call, request_type):
        token, found = b"", []
        while True:
            request = request_type(namespace="default", maximum_page_size=7, next_page_token=token)
            request.execution.workflow_id = name("h")
            reply = await call(request)
            found += [event.event_id for event in reply.history.events]
            token = reply.next_page_token
            if not token:
                return found

    service = client.workflow_service
    forward = await pages(
        service.get_workflow_execution_history, GetWorkflowExecutionHistoryRequest
    )
    assert forward == list(range(1, len(forward) + 1))
    back = await pages(
        service.get_workflow_execution_history_reverse, GetWorkflowExecutionHistoryReverseRequest
    )
    assert back == forward[::-1]


async def test_history_is_followed_as_it_grows(client, queue, name):
    handle = await client.start_workflow(Collecting.run, id=name("f"), task_queue=queue)
    seen = []

    async def follow():
        async for event in handle.fetch_history_events(wait_new_event=True):
            seen.append(event.event_type)

    following = asyncio.create_task(follow())
    async with worker(client, queue):
        await handle.signal(Collecting.add, "a")
        await handle.signal(Collecting.stop)
        await handle.result()
        await asyncio.wait_for(following, 60)
    assert seen[-1] == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
    assert seen.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == 2
