"""The task ids of events: positive, and rising through all runs of a workflow id, whichever way a history is read."""

from collections.abc import Sequence
from itertools import pairwise

from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.scripts.resetting import reset
from tests.differential.world import Workflow, World


async def _events(
    workflow: Workflow, run_id: str, *, page: int = 0, reverse: bool = False
) -> list[HistoryEvent]:
    """Read all pages of a history, and return its events from the first to the last."""
    kind = (
        api.GetWorkflowExecutionHistoryReverseRequest
        if reverse
        else api.GetWorkflowExecutionHistoryRequest
    )
    found: list[HistoryEvent] = []
    token = b""
    while True:
        request = kind(
            execution=workflow.execution(run_id), maximum_page_size=page, next_page_token=token
        )
        reply = await workflow.world.do(request, quiet=True)
        found += reply.history.events
        token = reply.next_page_token
        if not token:
            return found[::-1] if reverse else found


def _rise(events: Sequence[HistoryEvent]) -> bool:
    ids = [0, *(event.task_id for event in events)]
    return all(before < after for before, after in pairwise(ids))


async def _note(workflow: Workflow) -> None:
    chain: list[HistoryEvent] = []
    for number, run_id in enumerate(workflow.run_ids):
        events = await _events(workflow, run_id)
        workflow.world.note(
            f"run {number}",
            {
                "rise": _rise(events),
                "by pages": await _events(workflow, run_id, page=2) == events,
                "backwards": await _events(workflow, run_id, page=2, reverse=True) == events,
            },
        )
        chain += events
    workflow.world.note("through all runs", _rise(chain))


@script
async def task_ids_of_a_chain(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(retry_policy={"maximum_attempts": 2, "initial_interval": "1s"})
    await workflow.signal()
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.signal()
    await workflow.poll_and_complete(continue_as_new(retry_policy={"maximum_attempts": 2}))
    await workflow.poll_and_complete(fail_workflow())
    described = await workflow.describe(quiet=True)
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll_and_complete(complete_workflow())
    await workflow.start(request_id="another")
    await workflow.start(
        request_id="instead",
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING",
    )
    await _note(workflow)


@script
async def task_ids_of_a_reset(world: World) -> None:
    """The events that two runs share are the same; what follows comes after all that there was."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.signal()
    await reset(workflow, 4)
    await workflow.poll_and_complete(complete_workflow())
    await _note(workflow)
    base, new = [await _events(workflow, run_id) for run_id in workflow.run_ids]
    world.note("shared", [old == shared for old, shared in zip(base[:3], new, strict=False)])
    world.note("what follows", _rise([*base, *new[3:]]))


@script
async def task_ids_of_what_a_worker_is_given(world: World) -> None:
    """It sees the events of the history, also before its task is recorded."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    shown = await _events(workflow, workflow.run_id)
    world.note("as history shows it", shown == list(task.reply.history.events))
    await workflow.signal()
    await task.complete(start_timer("t", 100))
    recorded = await _events(workflow, workflow.run_id)
    world.note("as it is recorded", shown == recorded[:3])
    await _note(workflow)
