"""A worker whose workflow tasks fail again and again: what lists say of it, attempt by attempt."""

import json

from tests.build.commands import failure, start_timer
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.world import Workflow, World

_CAUSES = (
    "WORKFLOW_WORKER_UNHANDLED_FAILURE",
    "NON_DETERMINISTIC_ERROR",
    "GRPC_MESSAGE_TOO_LARGE",
    "PAYLOADS_TOO_LARGE",
    "UNSPECIFIED",
)


async def _note(workflow: Workflow, label: str) -> None:
    described = await workflow.describe(quiet=True)
    fields = described.workflow_execution_info.search_attributes.indexed_fields
    problems = (
        fields["TemporalReportedProblems"].data if "TemporalReportedProblems" in fields else b"null"
    )
    task = described.pending_workflow_task
    workflow.world.note(label, [json.loads(problems), task.attempt])


async def _fail(workflow: Workflow, label: str, cause: str, *, sticky: bool = False) -> None:
    task = await workflow.poll(quiet=True, sticky=sticky)
    await task.fail(failure(), cause=f"WORKFLOW_TASK_FAILED_CAUSE_{cause}", quiet=True)
    await _note(workflow, label)


async def _until_attempt(workflow: Workflow, attempt: int) -> None:
    for _ in range(100):
        described = await workflow.describe(quiet=True)
        if described.pending_workflow_task.attempt == attempt:
            return
        await workflow.world.wait(0.1)
    raise AssertionError("there was no such attempt")


@script
async def problems_of_a_worker_that_panics(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await _note(workflow, "before")
    for number in range(1, 9):
        await _fail(workflow, f"failed {number} times", _CAUSES[0])
    task = await workflow.poll(quiet=True)
    await task.complete(start_timer("t", 100), quiet=True)
    await _note(workflow, "completed")
    await workflow.signal(quiet=True)
    await _fail(workflow, "failed again", _CAUSES[0])


@script
async def problems_of_many_causes(world: World) -> None:
    for cause in _CAUSES:
        workflow = world.workflow(cause)
        await workflow.start(quiet=True)
        for number in range(1, 7):
            await _fail(workflow, f"{cause}: failed {number} times", cause)


@script
async def problems_whose_cause_changes(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for number in range(1, 5):
        await _fail(workflow, f"failed {number} times", _CAUSES[0])
    for number in range(1, 4):
        await _fail(workflow, f"failed {number} times otherwise", _CAUSES[1])


@script
async def problems_with_signals_in_between(world: World) -> None:
    """New events make the next attempt the first."""
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for number in range(1, 9):
        await _fail(workflow, f"failed {number} times", _CAUSES[0])
        await workflow.signal(quiet=True)
        await _note(workflow, f"signalled {number} times")


@script
async def problems_of_a_sticky_worker(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(start_timer("t", 100), sticky_attributes=workflow.sticky(), quiet=True)
    task = await workflow.signal_and_poll_sticky()
    await task.fail(
        failure(), cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR", quiet=True
    )
    await _note(workflow, "failed on the sticky queue")
    for number in range(1, 8):
        await _fail(workflow, f"failed {number} times", _CAUSES[1])


@script(
    intended=[
        Intended(
            "* at the end *.start_to_close_timeout",
            "there the time of the next attempts is drawn at random",
            sometimes=True,
        )
    ]
)
async def problems_of_commands_that_are_refused(world: World) -> None:
    """The server itself fails the task, and then lets it time out."""
    workflow = world.workflow()
    await workflow.start(quiet=True, workflow_task_timeout="1s")
    for number in range(1, 6):
        task = await workflow.poll(quiet=True)
        await task.complete(start_timer("", 100), quiet=True)
        await _note(workflow, f"refused {number} times")


@script
async def problems_of_a_worker_that_is_too_slow(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True, workflow_task_timeout="1s")
    for number in range(1, 4):
        task = await workflow.poll(quiet=True)
        assert task.reply.task_token
        await _note(workflow, f"polled {number} times")
    await _until_attempt(workflow, 4)
    for number in range(1, 4):
        await _fail(workflow, f"failed {number} times at last", _CAUSES[0])
