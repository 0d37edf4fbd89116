"""Histories as serialized events, where an operator wants them so: by pages, followed, only the end."""

from typing import Any

from temporalio.api.enums.v1 import EncodingType, EventType, HistoryEventFilterType
from temporalio.api.history.v1 import History
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import complete_workflow, fail_workflow, record_marker
from tests.differential.registry import script
from tests.differential.transcript import raw_events
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

_RAW = ("frontend.sendRawWorkflowHistory=true",)
_CLOSE = HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT


async def _read(workflow: Workflow, **fields: Any) -> Any:
    request = api.GetWorkflowExecutionHistoryRequest(execution=workflow.execution(), **fields)
    reply = await workflow.world.do(request, quiet=True)
    for blob in reply.raw_history:
        assert blob.encoding_type == EncodingType.ENCODING_TYPE_PROTO3
        assert History.FromString(blob.data).events
    return reply


def _shown(reply: Any) -> dict[str, Any]:
    return {
        "raw": [event["event_type"] for event in raw_events(reply)],
        "decoded": [EventType.Name(event.event_type) for event in reply.history.events],
        "has history": reply.HasField("history"),
        "goes on": bool(reply.next_page_token),
    }


@script(settings=_RAW)
async def raw_history_by_pages(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for number in range(3):
        task = await workflow.poll(quiet=True)
        await task.complete(record_marker(f"marker {number}"), quiet=True)
        await workflow.signal(quiet=True)
    await workflow.history("whole")
    for size in (1, 3, 1000):
        token, events = b"", []
        while True:
            reply = await _read(workflow, maximum_page_size=size, next_page_token=token)
            assert not reply.history.events
            events += [event["event_id"] for event in raw_events(reply)]
            token = reply.next_page_token
            if not token:
                break
        world.note(f"by {size}", events)
    reverse = api.GetWorkflowExecutionHistoryReverseRequest(execution=workflow.execution())
    await world.do(reverse, "from its end")
    # History that comes with a task is never raw.
    task = await workflow.poll("with history")
    await task.complete(complete_workflow())


@script(settings=_RAW)
async def raw_history_followed(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    reply = await _read(workflow, wait_new_event=True)
    world.note("first", _shown(reply))
    async with world.meanwhile(
        _read(workflow, wait_new_event=True, next_page_token=reply.next_page_token)
    ) as following:
        await workflow.signal()
    reply = following.result()
    world.note("after a signal", _shown(reply))
    await workflow.poll_and_complete(complete_workflow())
    events = []
    while reply.next_page_token:
        reply = await _read(workflow, wait_new_event=True, next_page_token=reply.next_page_token)
        events += _shown(reply)["raw"]
    world.note("to the end", events)


async def _only_the_end(workflow: Workflow, label: str, **fields: Any) -> None:
    reply = await _read(workflow, history_event_filter_type=_CLOSE, **fields)
    shown = _shown(reply)
    # The real server sends all events that were written with the last one; clients look at the last.
    shown["raw"] = shown["raw"][-1:]
    workflow.world.note(label, shown)


@script(settings=_RAW)
async def raw_history_its_end(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await _only_the_end(workflow, "open")
    task = await workflow.poll(quiet=True)
    async with world.meanwhile(_only_the_end(workflow, "waited for", wait_new_event=True)):
        await task.complete(complete_workflow())
    await _only_the_end(workflow, "closed")


@script(settings=_RAW)
async def raw_history_of_a_run_that_failed_and_goes_on(world: World) -> None:
    """It is not made into something that old clients can follow: they decode what there is."""
    workflow = world.workflow()
    first = await workflow.start(
        quiet=True, retry_policy={"initial_interval": "0.1s", "maximum_attempts": 2}
    )
    task = await workflow.poll(quiet=True)
    await task.complete(fail_workflow(), quiet=True)
    request = api.GetWorkflowExecutionHistoryRequest(
        execution=workflow.execution(first), history_event_filter_type=_CLOSE
    )
    reply = await world.attempt(request, quiet=True)
    assert not isinstance(reply, Refusal)
    world.note("its end", _shown(reply)["raw"][-1:])
