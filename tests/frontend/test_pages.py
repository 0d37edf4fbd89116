"""Every page can be taken by a client of gRPC with the limit that it has by default, and pages together are the whole."""

import asyncio

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Memo, Payload, Payloads, WorkflowExecution
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.update.v1 import Request
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
    ListClosedWorkflowExecutionsRequest,
    ListNamespacesRequest,
    ListOpenWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
    PollActivityTaskQueueRequest,
    RegisterNamespaceRequest,
    ResetWorkflowExecutionRequest,
    RespondWorkflowTaskCompletedRequest,
    ScanWorkflowExecutionsRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from perdure.dynamic_config import DynamicConfig
from tests.build.commands import schedule_activity
from tests.build.requests import poll_request, start_request

#: The largest message that gRPC takes by default.
TAKEN_BYTES = 4 * 1024 * 1024
LARGE = 700_000


def large(number: int, size: int = LARGE) -> Payload:
    return Payload(metadata={"encoding": b"binary/plain"}, data=number.to_bytes(4) * (size // 4))


def inputs(number: int, size: int = LARGE) -> Payloads:
    return Payloads(payloads=[large(number, size)])


async def start(stub, workflow_id: str, **more) -> WorkflowExecution:
    # No task times out while its history is read.
    request = start_request(workflow_id, request_id=workflow_id, workflow_task_timeout="120s")
    request.MergeFrom(StartWorkflowExecutionRequest(**more))
    reply = await stub.StartWorkflowExecution(request)
    return WorkflowExecution(workflow_id=workflow_id, run_id=reply.run_id)


async def poll(stub):
    reply = await stub.PollWorkflowTaskQueue(poll_request(), timeout=60)
    assert reply.task_token
    return reply


def activity(number: int, **more) -> Command:
    command = schedule_activity(str(number), "q", start_to_close_timeout="600s", **more)
    command.schedule_activity_task_command_attributes.input.CopyFrom(inputs(number))
    return command


async def signal(stub, execution: WorkflowExecution, number: int) -> None:
    await stub.SignalWorkflowExecution(
        SignalWorkflowExecutionRequest(
            namespace="ns",
            workflow_execution=execution,
            signal_name="s",
            input=inputs(number),
            request_id=str(number),
        )
    )


async def forward(
    stub, execution: WorkflowExecution, token: bytes = b"", size: int = 0, *, follows: bool = False
):
    """Return all events, and how many each page had."""
    events: list[HistoryEvent] = []
    counts = []
    while True:
        page = await stub.GetWorkflowExecutionHistory(
            GetWorkflowExecutionHistoryRequest(
                namespace="ns",
                execution=execution,
                next_page_token=token,
                maximum_page_size=size,
                wait_new_event=follows,
            )
        )
        assert page.ByteSize() < TAKEN_BYTES
        found = list(page.history.events)
        for blob in page.raw_history:
            found += History.FromString(blob.data).events
        events += found
        counts.append(len(found))
        token = page.next_page_token
        if not token:
            return events, counts


async def backward(stub, execution: WorkflowExecution, size: int = 0) -> list[HistoryEvent]:
    events: list[HistoryEvent] = []
    token = b""
    while True:
        page = await stub.GetWorkflowExecutionHistoryReverse(
            GetWorkflowExecutionHistoryReverseRequest(
                namespace="ns",
                execution=execution,
                next_page_token=token,
                maximum_page_size=size,
            )
        )
        events += page.history.events
        token = page.next_page_token
        if not token:
            return events


def is_gapless(events: list[HistoryEvent]) -> bool:
    return [event.event_id for event in events] == list(range(1, len(events) + 1))


async def test_pages_of_a_history_of_large_events(server, stub):
    # Transitions with many large events, of which some were buffered, then many transitions with one each.
    execution = await start(stub, "w", input=inputs(1, 2_000_000))
    for first in range(0, 20, 5):
        task = await poll(stub)
        for number in range(first, first + 2):
            await signal(stub, execution, number)
        commands = [activity(number) for number in range(first, first + 5)]
        await stub.RespondWorkflowTaskCompleted(
            RespondWorkflowTaskCompletedRequest(task_token=task.task_token, commands=commands)
        )
    for number in range(20, 28):
        await signal(stub, execution, number)
    events, counts = await forward(stub, execution)
    assert is_gapless(events)
    assert len(events) == 1 + 4 * 3 + 20 + 8 + 1 + 8
    assert len(counts) > 12
    scheduled = [
        event.activity_task_scheduled_event_attributes.input
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert scheduled == [inputs(number) for number in range(20)]
    for size in (1, 3, 1000):
        assert (await forward(stub, execution, size=size))[0] == events
        assert (await backward(stub, execution, size))[::-1] == events
    task = await poll(stub)
    rest, _ = await forward(stub, execution, task.next_page_token)
    seen = [*task.history.events, *rest]
    assert [event.event_id for event in seen] == list(range(1, len(events) + 2))
    assert seen[:-1] == events

    # A run that was reset has all that it shares with its base in one transition.
    request = ResetWorkflowExecutionRequest(
        namespace="ns", workflow_execution=execution, request_id="reset"
    )
    request.workflow_task_finish_event_id = len(events) + 1
    reset = await stub.ResetWorkflowExecution(request)
    execution = WorkflowExecution(workflow_id="w", run_id=reset.run_id)
    rows = await server.node.store.history(0, reset.run_id, after_seq=0, limit=1000)
    assert max(len(row.events) for row in rows) <= 2_100_000, "no page means to read many"
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    task = await poll(stub)
    rest, _ = await forward(stub, execution, task.next_page_token)
    again = [*task.history.events, *rest]
    assert is_gapless(again)
    assert [event.event_type for event in again][: len(events)] == [
        event.event_type for event in events
    ]
    shown, _ = await forward(stub, execution)
    assert (await backward(stub, execution))[::-1] == shown


async def test_an_event_that_is_larger_than_a_page_comes_alone(stub):
    execution = await start(stub, "w", memo=Memo(fields={"m": large(1, 2_000_000)}))
    await signal(stub, execution, 2)
    assert (await forward(stub, execution))[1] == [2, 1]
    execution = await start(
        stub, "v", memo=Memo(fields={"m": large(1, 2_000_000)}), input=inputs(2, 2_000_000)
    )
    assert (await forward(stub, execution))[1] == [1, 1]
    assert len(await backward(stub, execution)) == 2


async def test_pages_of_lists_with_large_memos(stub):
    memo = Memo(fields={"m": large(1)})
    executions = [await start(stub, f"w{number}", memo=memo) for number in range(12)]

    async def listed(rpc, request) -> list[str]:
        found: list[str] = []
        while True:
            page = await rpc(request)
            assert all(info.memo == memo for info in page.executions)
            found += [info.execution.workflow_id for info in page.executions]
            if not page.next_page_token:
                return found
            request.next_page_token = page.next_page_token

    newest_first = [execution.workflow_id for execution in executions][::-1]
    for query in ("", "WorkflowType = 'T'"):
        for rpc, request in (
            (stub.ListWorkflowExecutions, ListWorkflowExecutionsRequest),
            (stub.ScanWorkflowExecutions, ScanWorkflowExecutionsRequest),
        ):
            for size in (0, 1, 5):
                asked = request(namespace="ns", query=query, page_size=size)
                assert await listed(rpc, asked) == newest_first
    request = ListOpenWorkflowExecutionsRequest(namespace="ns")
    assert await listed(stub.ListOpenWorkflowExecutions, request) == newest_first
    for execution in executions:
        await stub.TerminateWorkflowExecution(
            TerminateWorkflowExecutionRequest(namespace="ns", workflow_execution=execution)
        )
    request = ListClosedWorkflowExecutionsRequest(namespace="ns")
    assert await listed(stub.ListClosedWorkflowExecutions, request) == newest_first


async def test_pages_of_namespaces_with_much_data(stub):
    names = {f"large-{number}" for number in range(9)}
    for name in names:
        request = RegisterNamespaceRequest(namespace=name, data={"k": "v" * LARGE})
        request.workflow_execution_retention_period.FromSeconds(86400)
        await stub.RegisterNamespace(request)
    found: list[str] = []
    request = ListNamespacesRequest()
    while True:
        page = await stub.ListNamespaces(request)
        found += [each.namespace_info.name for each in page.namespaces]
        if not page.next_page_token:
            break
        request.next_page_token = page.next_page_token
    assert len(found) == len(set(found))
    assert names < set(found)


async def test_updates_that_do_not_fit_into_a_task_come_with_the_next(stub):
    execution = await start(stub, "w")
    task = await poll(stub)
    await stub.RespondWorkflowTaskCompleted(
        RespondWorkflowTaskCompletedRequest(task_token=task.task_token)
    )
    for number in range(3):
        await signal(stub, execution, number)

    async def update(number: int):
        request = UpdateWorkflowExecutionRequest(namespace="ns", workflow_execution=execution)
        request.request.meta.update_id = str(number)
        request.request.input.name = "u"
        request.request.input.args.CopyFrom(inputs(number, 1_400_000))
        return await stub.UpdateWorkflowExecution(request)

    updates = [asyncio.create_task(update(number)) for number in range(5)]
    seen: list[str] = []
    while len(seen) < 5:
        task = await poll(stub)
        for message in task.messages:
            sent = Request()
            message.body.Unpack(sent)
            seen.append(sent.meta.update_id)
        await stub.RespondWorkflowTaskCompleted(
            RespondWorkflowTaskCompletedRequest(task_token=task.task_token)
        )
    assert sorted(seen) == [str(number) for number in range(5)]
    # They were not mentioned by the worker, which counts as refused.
    for reply in await asyncio.gather(*updates):
        assert reply.outcome.HasField("failure")


async def test_eager_activities_that_do_not_fit_into_the_answer_go_to_any_worker(stub):
    execution = await start(stub, "w")
    task = await poll(stub)
    await signal(stub, execution, 1)
    commands = [activity(number, request_eager_execution=True) for number in range(5)]
    reply = await stub.RespondWorkflowTaskCompleted(
        RespondWorkflowTaskCompletedRequest(
            task_token=task.task_token,
            commands=commands,
            return_new_workflow_task=True,
            force_create_new_workflow_task=True,
        )
    )
    eager = [each.activity_id for each in reply.activity_tasks]
    assert 0 < len(eager) < 5
    rest, _ = await forward(stub, execution, reply.workflow_task.next_page_token)
    ids = [event.event_id for event in (*reply.workflow_task.history.events, *rest)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    request = PollActivityTaskQueueRequest(namespace="ns")
    request.task_queue.name = "q"
    while len(eager) < 5:
        taken = await stub.PollActivityTaskQueue(request, timeout=60)
        eager.append(taken.activity_id)
    assert sorted(eager) == [str(number) for number in range(5)]


async def test_pages_of_a_history_that_is_followed_or_sent_as_it_is(server, stub):
    execution = await start(stub, "w")
    for number in range(12):
        await signal(stub, execution, number)
    events, counts = await forward(stub, execution)
    assert len(events) == 14
    assert len(counts) > 4
    server.node.configure(DynamicConfig({"frontend": {"sendRawWorkflowHistory": True}}))
    first = await stub.GetWorkflowExecutionHistory(
        GetWorkflowExecutionHistoryRequest(namespace="ns", execution=execution)
    )
    assert first.raw_history
    assert not first.history.events
    for size in (0, 1, 5):
        assert (await forward(stub, execution, size=size))[0] == events
    await stub.TerminateWorkflowExecution(
        TerminateWorkflowExecutionRequest(namespace="ns", workflow_execution=execution)
    )
    whole, _ = await forward(stub, execution)
    assert whole[:-1] == events
    assert (await forward(stub, execution, follows=True))[0] == whole
    server.node.configure(DynamicConfig({}))
    assert (await forward(stub, execution, follows=True))[0] == whole
