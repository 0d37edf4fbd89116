"""Reading a history: pages, waiting for what comes, only the end, backwards."""

from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    failure,
    record_marker,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"


async def _long_history(world: World) -> Workflow:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for number in range(5):
        task = await workflow.poll(quiet=True)
        await task.complete(record_marker(f"marker {number}"), quiet=True)
        await workflow.signal(quiet=True)
    return workflow


async def _pages(workflow: Workflow, kind: Any, size: int) -> list[str]:
    """All events, page by page.

    The real server counts batches, which are what was written at once: so its pages are larger than asked for, and the
    last may be empty. perdure keeps to the size.
    """
    token = b""
    events: list[str] = []
    while True:
        request = kind(
            execution=workflow.execution(), maximum_page_size=size, next_page_token=token
        )
        reply = await workflow.world.do(request, quiet=True)
        events += [
            f"{event.event_id} {EventType.Name(event.event_type)}" for event in reply.history.events
        ]
        token = reply.next_page_token
        if not token:
            return events


@script
async def history_by_pages(world: World) -> None:
    workflow = await _long_history(world)
    for size in (1, 2, 7, 1000, 0, -1):
        forward = await _pages(workflow, api.GetWorkflowExecutionHistoryRequest, size)
        world.note(f"forward by {size}", forward)
        backward = await _pages(workflow, api.GetWorkflowExecutionHistoryReverseRequest, size)
        world.note(f"backward by {size}", backward)


@script
async def history_backwards(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    request = api.GetWorkflowExecutionHistoryReverseRequest(execution=workflow.execution())
    await world.attempt(request, "scheduled")
    task = await workflow.poll()
    await world.attempt(request, "started")
    await workflow.signal()
    await task.fail(failure())
    await world.attempt(request, "failed")
    await workflow.poll()
    await world.attempt(request, "second attempt")
    await workflow.terminate()
    await world.attempt(request, "closed")


@script
async def history_tokens_that_are_wrong(world: World) -> None:
    workflow = await _long_history(world)
    other = world.workflow("other")
    await other.start(quiet=True)
    first_page = await workflow.history(maximum_page_size=1, quiet=True)
    token = first_page.next_page_token
    for kind in (
        api.GetWorkflowExecutionHistoryRequest,
        api.GetWorkflowExecutionHistoryReverseRequest,
    ):
        request = kind(execution=workflow.execution(), next_page_token=b"junk")
        await world.attempt(request, "junk")
    history = api.GetWorkflowExecutionHistoryRequest
    await world.attempt(
        history(execution=workflow.execution(_UNKNOWN_RUN), next_page_token=token), "another run"
    )
    await world.attempt(
        history(execution=other.execution(), next_page_token=token), "another workflow"
    )
    await world.attempt(
        history(execution=WorkflowExecution(workflow_id="nobody"), next_page_token=token),
        "unknown workflow",
    )


@script
async def history_as_it_grows(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    page = await workflow.history("at once", wait_new_event=True)
    waiting = workflow.world.attempt(
        api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(),
            wait_new_event=True,
            next_page_token=page.next_page_token,
        ),
        "until a signal",
    )
    async with world.meanwhile(waiting) as read:
        await workflow.signal()
    page = read.result()
    await world.attempt(
        api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(),
            wait_new_event=True,
            next_page_token=page.next_page_token,
        ),
        "nothing comes",
        timeout=2,
    )
    waiting = workflow.world.attempt(
        api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(),
            wait_new_event=True,
            next_page_token=page.next_page_token,
        ),
        "until it closes",
    )
    async with world.meanwhile(waiting):
        await workflow.terminate()
    await workflow.history("closed", wait_new_event=True)


@script(
    intended=[
        Intended(
            "* from scheduled on.history.events?[1-9]*",
            "the real server writes that a worker took the task, perdure with what became of it",
        )
    ]
)
async def history_while_a_task_is_in_flight(world: World) -> None:
    """A buffered event wakes nobody up; the completion does."""
    workflow = world.workflow()
    await workflow.start()
    page = await workflow.history("scheduled", wait_new_event=True)
    waiting = workflow.world.attempt(
        api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(),
            wait_new_event=True,
            next_page_token=page.next_page_token,
        ),
        "from scheduled on",
    )
    async with world.meanwhile(waiting):
        task = await workflow.poll()
        await workflow.signal()
        await task.complete(start_timer("t", 100))
    await workflow.history("done", wait_new_event=True)


@script
async def history_only_the_end(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.history(
        "still running, short", wait_new_event=True, history_event_filter_type=2, timeout=2
    )
    await workflow.history("still running, no waiting", history_event_filter_type=2, timeout=2)
    ending = workflow.history("until it closes", wait_new_event=True, history_event_filter_type=2)
    async with world.meanwhile(ending):
        await workflow.poll_and_complete(complete_workflow())
    await workflow.history("closed", history_event_filter_type=2)
    await workflow.history("closed, waiting", wait_new_event=True, history_event_filter_type=2)


@script
async def history_with_odd_options(world: World) -> None:
    workflow = world.workflow()
    run_id = await workflow.start()
    await workflow.history("skip archival", skip_archival=True)
    await workflow.history("by run", run_id=run_id)
    await workflow.history("unknown filter", history_event_filter_type=99)
    await workflow.terminate()
    await workflow.history("by run, closed", run_id=run_id)
    await workflow.start(request_id="second")
    await workflow.history("whichever runs")
    closed = await workflow.history("the closed one", run_id=run_id)
    assert not isinstance(closed, Refusal)


async def _whole(workflow: Workflow, reply: Any) -> list[int]:
    """The ids of the events that come with a task, and of those on the pages after it."""
    found = list(reply.history.events)
    token = reply.next_page_token
    while token:
        request = api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(), next_page_token=token
        )
        page = await workflow.world.do(request, quiet=True)
        found += page.history.events
        token = page.next_page_token
    return [event.event_id for event in found]


@script(
    settings=(
        "frontend.historyMaxPageSize=3",
        "limit.historyMaxPageSize=2",
        "matching.historyMaxPageSize=2",
    ),
    intended=[
        Intended(
            "* at the end *.history.events?[0-9]*",
            "the first page by the operator's size: the real server counts what was written at once",
        )
    ],
)
async def history_by_short_pages(world: World) -> None:
    workflow = await _long_history(world)
    task = await workflow.poll(quiet=True)
    world.note("is cut", bool(task.reply.next_page_token))
    world.note("task", await _whole(workflow, task.reply))
    await task.complete(record_marker("last"), quiet=True)
    async with world.meanwhile(workflow.query("query")):
        query = await workflow.poll(quiet=True)
        world.note("query is cut", bool(query.reply.next_page_token))
        world.note("query", await _whole(workflow, query.reply))
        await query.answer_query(quiet=True)
    for size in (0, 100, 1000):
        page = await workflow.history(maximum_page_size=size, quiet=True)
        world.note(f"{size} is cut", bool(page.next_page_token))
        world.note(
            f"by {size}", await _pages(workflow, api.GetWorkflowExecutionHistoryRequest, size)
        )
