"""Update with start: both happen, or neither does."""

import asyncio
from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    fail_workflow,
    failure,
    start_timer,
)
from tests.build.updates import accepts, completes, rejects
from tests.differential.registry import script
from tests.differential.updates import (
    accept_and_complete,
    poll_update,
    respond,
    update,
    update_request,
)
from tests.differential.wire import Refusal
from tests.differential.world import Workflow, World

LONG = start_timer("long", 1000)


async def update_with_start(
    workflow: Workflow,
    update_id: str = "one",
    label: str = "",
    *,
    wait: str = "UNSPECIFIED",
    start: dict[str, Any] | None = None,
    asks: dict[str, Any] | None = None,
    timeout: float = 10,
) -> Any:
    """`start` and `asks` are added to the two operations."""
    request = api.ExecuteMultiOperationRequest()
    first = request.operations.add().start_workflow
    first.CopyFrom(workflow.start_request())
    first.request_id = ""
    ParseDict({"workflow_id_conflict_policy": 2} | (start or {}), first)
    second = request.operations.add().update_workflow
    second.CopyFrom(update_request(workflow, update_id, wait=wait))
    ParseDict(asks or {}, second)
    for operation in (first, second):
        operation.namespace = operation.namespace or workflow.world.namespace
    reply = await workflow.world.attempt(request, label or update_id, timeout=timeout)
    if not isinstance(reply, Refusal):
        workflow.saw_run(reply.responses[0].start_workflow.run_id)
    return reply


async def running(world: World) -> Workflow:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(LONG)
    return workflow


async def closed(world: World, *, well: bool = True) -> Workflow:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(complete_workflow() if well else fail_workflow())
    return workflow


# It starts


@script
async def start_with_an_update(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await accept_and_complete(await workflow.poll(), LONG)
    await poll_update(workflow)


@script
async def start_with_an_update_to_be_accepted(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow, wait="ACCEPTED")):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])], LONG)
    await workflow.signal()
    await respond(await workflow.poll(), [completes("one")], complete_workflow())


@script
async def start_with_an_update_that_is_rejected(world: World) -> None:
    """The workflow stays."""
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])], LONG)


@script
async def start_with_an_update_that_is_passed_over(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await workflow.poll_and_complete(LONG)


@script
async def start_with_an_update_without_a_worker(world: World) -> None:
    """The caller gives up; asked again, it finds the workflow and the update."""
    workflow = world.workflow()
    await update_with_start(workflow, label="gives up", timeout=1)
    async with world.meanwhile(update_with_start(workflow, label="again")):
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def start_with_an_update_asked_twice(world: World) -> None:
    """The request id of the start says that it is the same."""
    workflow = world.workflow()
    fields = {"request_id": "same", "workflow_id_conflict_policy": 1}
    async with world.meanwhile(update_with_start(workflow, label="first", start=fields)):
        await accept_and_complete(await workflow.poll(), LONG)
    await update_with_start(workflow, label="again", start=fields)
    async with world.meanwhile(update_with_start(workflow, "two", start=fields)):
        await accept_and_complete(await workflow.poll())
    await update_with_start(
        workflow, "three", start={"request_id": "another", "workflow_id_conflict_policy": 1}
    )


@script
async def start_with_an_update_whose_first_task_fails(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await (await workflow.poll()).fail(failure("broken"))
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def start_with_an_update_and_end_at_once(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await accept_and_complete(await workflow.poll(), complete_workflow())
    await update_with_start(workflow, label="again", timeout=1)


@script
async def start_with_an_update_and_end_without_it(world: World) -> None:
    """The client is told to try again, since another run could still do it."""
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await workflow.poll_and_complete(complete_workflow())


@script
async def start_with_an_update_and_terminate(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await workflow.terminate()


@script
async def start_with_an_update_and_continue(world: World) -> None:
    workflow = world.workflow()
    async with world.meanwhile(update_with_start(workflow)):
        await workflow.poll_and_complete(continue_as_new())
        await workflow.poll_and_complete(complete_workflow())


# It runs already


@script
async def update_with_start_of_what_runs(world: World) -> None:
    workflow = await running(world)
    async with world.meanwhile(update_with_start(workflow)):
        await accept_and_complete(await workflow.poll())
    await update_with_start(workflow, label="again")


@script
async def update_with_start_fails_for_what_runs(world: World) -> None:
    workflow = await running(world)
    await update_with_start(workflow, start={"workflow_id_conflict_policy": 1})


@script
async def update_with_start_terminates_what_runs(world: World) -> None:
    workflow = await running(world)
    policy = {"workflow_id_conflict_policy": 3}
    async with world.meanwhile(update_with_start(workflow, start=policy)):
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_with_start_without_a_conflict_policy(world: World) -> None:
    workflow = await running(world)
    await update_with_start(workflow, start={"workflow_id_conflict_policy": 0}, timeout=1)


@script
async def update_with_start_is_rejected_by_what_runs(world: World) -> None:
    workflow = await running(world)
    async with world.meanwhile(update_with_start(workflow)):
        task = await workflow.poll()
        await respond(task, [rejects(task.reply.messages[0])])


@script
async def update_with_start_while_the_last_task_is_in_flight(world: World) -> None:
    """The workflow that it found ends: it is started anew."""
    workflow = await running(world)
    await workflow.signal()
    task = await workflow.poll()
    async with world.meanwhile(update_with_start(workflow)):
        await task.complete(complete_workflow())
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_with_start_while_what_runs_is_terminated(world: World) -> None:
    workflow = await running(world)
    async with world.meanwhile(update_with_start(workflow)):
        await workflow.terminate()
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_with_start_of_what_keeps_failing(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for attempt in range(3):
        await (await workflow.poll()).fail(failure(f"{attempt}"))
    await update_with_start(workflow, timeout=2)


@script
async def update_with_start_beyond_the_limit(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    waiting = []
    for number in range(10):
        waiting.append(asyncio.create_task(update(workflow, f"{number}", timeout=3)))
        await world.settle()
    await update_with_start(workflow, "one too many")
    await asyncio.gather(*waiting)


# It ran


@script
async def update_with_start_of_what_has_ended(world: World) -> None:
    workflow = await closed(world)
    async with world.meanwhile(update_with_start(workflow)):
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_with_start_of_what_must_not_start_again(world: World) -> None:
    workflow = await closed(world)
    await update_with_start(workflow, "duplicate", start={"workflow_id_reuse_policy": 3})
    await update_with_start(workflow, "failed only", start={"workflow_id_reuse_policy": 2})


@script
async def update_with_start_of_what_failed(world: World) -> None:
    workflow = await closed(world, well=False)
    policy = {"workflow_id_reuse_policy": 2}
    async with world.meanwhile(update_with_start(workflow, start=policy)):
        await accept_and_complete(await workflow.poll(), LONG)


@script
async def update_with_start_that_was_done_by_what_has_ended(world: World) -> None:
    """The answer is known: nothing is started."""
    workflow = await running(world)
    async with world.meanwhile(update(workflow)):
        await accept_and_complete(await workflow.poll(), complete_workflow())
    await update_with_start(workflow, label="reject", start={"workflow_id_reuse_policy": 3})
    await update_with_start(workflow, label="allow", timeout=1)


@script
async def update_with_start_that_was_accepted_by_what_has_ended(world: World) -> None:
    workflow = await running(world)
    async with world.meanwhile(update(workflow, wait="ACCEPTED")):
        task = await workflow.poll()
        await respond(task, [accepts(task.reply.messages[0])])
    await workflow.terminate()
    await update_with_start(workflow, label="reject", start={"workflow_id_reuse_policy": 3})
    await update_with_start(workflow, label="allow", timeout=1)


# It is wrong

_UNKNOWN_RUN = "6d1f5a2e-0000-4000-8000-000000000000"
_STARTS: dict[str, dict[str, Any]] = {
    "cron": {"cron_schedule": "* * * * *"},
    "eager": {"request_eager_execution": True},
    "delay": {"workflow_start_delay": "1s"},
    "no type": {"workflow_type": {"name": ""}},
    "policies": {"workflow_id_reuse_policy": 4, "workflow_id_conflict_policy": 1},
    "another namespace": {"namespace": "another"},
    "timeout": {"workflow_run_timeout": "-1s"},
}
_ASKED: dict[str, dict[str, Any]] = {
    "first run": {"first_execution_run_id": _UNKNOWN_RUN},
    "run": {"workflow_execution": {"run_id": _UNKNOWN_RUN}},
    "no run id": {"workflow_execution": {"run_id": "run"}},
    "another workflow": {"workflow_execution": {"workflow_id": "another"}},
    "another namespace": {"namespace": "another"},
    "no name": {"request": {"input": {"name": ""}}},
    "admitted": {"wait_policy": {"lifecycle_stage": 1}},
}


@script
async def refused_updates_with_start(world: World) -> None:
    workflow = world.workflow()
    for label, fields in _STARTS.items():
        await update_with_start(workflow, label=f"start: {label}", start=fields)
    for label, fields in _ASKED.items():
        await update_with_start(workflow, label=f"update: {label}", asks=fields)
    await update_with_start(
        workflow, label="both", start=_STARTS["no type"], asks=_ASKED["no name"]
    )


@script
async def refused_multi_operations(world: World) -> None:
    workflow = world.workflow()
    start = {"start_workflow": {"workflow_id": workflow.id}}
    asks = {"update_workflow": {"workflow_execution": {"workflow_id": workflow.id}}}
    for label, operations in {
        "none": [],
        "start": [start],
        "update": [asks],
        "update, start": [asks, start],
        "start, start": [start, start],
        "three": [start, asks, asks],
        "nothing": [{}, {}],
        "bare": [start, asks],
    }.items():
        await world.attempt(api.ExecuteMultiOperationRequest(), label, operations=operations)
    await world.attempt(
        api.ExecuteMultiOperationRequest(namespace="nowhere"),
        "no namespace",
        operations=[start, asks],
    )
    await world.attempt(
        api.ExecuteMultiOperationRequest(), "resource", operations=[start, asks], resource_id="r"
    )
