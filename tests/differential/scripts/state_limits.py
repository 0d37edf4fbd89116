"""A limit on the state of a run that is not its history, so low that a script reaches it."""

from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    json_payloads,
    payloads,
    record_marker,
    schedule_activity,
    start_child,
    start_timer,
    upsert_memo,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.scripts.limits import json_fields
from tests.differential.updates import accept_and_complete, update_request
from tests.differential.world import ActivityTask, Workflow, World

_SETTINGS = ("limit.mutableStateSize.error=30000", "limit.mutableStateSize.warn=20000")
_SIZES = Intended("*.history_size_bytes", "sizes are of the server's own encoding", sometimes=True)
_CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_PART = "x" * 12_000


def _limited(*, intended: tuple[Intended, ...] = ()) -> Any:
    return script(settings=_SETTINGS, intended=intended)


async def _update(workflow: Workflow, update_id: str, text: str) -> Any:
    request = update_request(workflow, update_id)
    request.request.input.args.CopyFrom(payloads(text))
    return await workflow.world.attempt(request, update_id)


async def _completed(workflow: Workflow, *commands: Any, **fields: Any) -> None:
    task = await workflow.poll(quiet=True)
    await task.complete(*commands, **fields)


async def _activities(world: World, workflow: Workflow) -> list[ActivityTask]:
    """Return three that a worker holds."""
    await workflow.start(quiet=True)
    queues = [world.id(f"{workflow.name}{n}") for n in range(3)]
    task = await workflow.poll(quiet=True)
    await task.complete(*(schedule_activity(each, each) for each in queues), quiet=True)
    return [await world.poll_activity(each, quiet=True) for each in queues]


@_limited()
async def state_full_of_heartbeats(world: World) -> None:
    """The details of the last heartbeat of each activity count, also of the next attempt; what came before does not."""
    workflow = world.workflow()
    tasks = await _activities(world, workflow)
    await tasks[0].heartbeat(_PART, "first")
    await tasks[0].heartbeat(_PART, "first again")
    await tasks[0].heartbeat(_PART, "first once more")
    await tasks[1].heartbeat(_PART, "second")
    await tasks[0].complete(label="makes room")
    await tasks[2].heartbeat(_PART, "third")
    await workflow.describe()


@_limited()
async def state_fuller_than_it_may_be(world: World) -> None:
    workflow = world.workflow()
    tasks = await _activities(world, workflow)
    for n, task in enumerate(tasks):
        await task.heartbeat(_PART, f"activity {n}")
    await tasks[0].complete(label="closed")
    await workflow.signal()
    await workflow.describe()


@_limited()
async def state_full_of_buffered_signals(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll()
    for n in range(3):
        await workflow.signal("signal", f"signal {n}", input=json_payloads(_PART))
    await task.complete()
    await workflow.describe()


@_limited()
async def state_full_of_a_memo(world: World) -> None:
    workflow = world.workflow("grown")
    await workflow.start(quiet=True, memo={"fields": json_fields(_PART)})
    upsert = upsert_memo(**{f"more{n}": json_fields(_PART)["a"] for n in range(2)})
    await _completed(workflow, upsert)
    await workflow.describe()
    workflow = world.workflow("from the start")
    await workflow.try_start(memo={"fields": json_fields(_PART * 3)})
    await workflow.describe("started")
    await workflow.signal()
    await workflow.describe("signaled")
    workflow = world.workflow("completed")
    await workflow.try_start(memo={"fields": json_fields(_PART * 3)})
    await workflow.poll()
    await workflow.describe("polled")


@_limited()
async def state_full_as_the_workflow_completes(world: World) -> None:
    workflow = world.workflow("grown")
    await workflow.start(quiet=True)
    task = await workflow.poll()
    upsert = upsert_memo(**json_fields(_PART * 3))
    await task.complete(upsert, complete_workflow())
    await workflow.describe()


@_limited()
async def state_full_of_timers(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await _completed(workflow, *(start_timer(f"{n:0200}", 100) for n in range(40)), quiet=True)
    await workflow.signal()
    await _completed(workflow, *(start_timer(f"{n:0201}", 100) for n in range(100)))
    await workflow.describe()


@_limited(intended=(_SIZES,))
async def state_that_history_does_not_count_for(world: World) -> None:
    """Inputs, markers, results, signals and updates that history holds."""
    workflow = world.workflow()
    await workflow.start(quiet=True, input=json_payloads(_PART, _PART, _PART))
    for _ in range(3):
        await workflow.signal(quiet=True, input=json_payloads(_PART))
    task = await workflow.poll(quiet=True)
    queue = world.id("activities")
    blob = json_payloads(_PART, _PART, _PART)
    await task.complete(
        schedule_activity("a", queue, input=blob),
        start_child(world.id("child"), world.id("nobody"), input=blob),
        record_marker("m", details={"a": blob}),
        label="commands",
    )
    await workflow.until(_CHILD_STARTED)
    activity = await world.poll_activity(queue, quiet=True)
    await activity.complete(_PART * 3)
    for n in range(3):
        async with world.meanwhile(_update(workflow, f"update {n}", _PART)):
            task = await workflow.poll(quiet=True)
            await accept_and_complete(task)
    await workflow.signal(quiet=True)
    await workflow.poll_and_complete(complete_workflow())


@_limited()
async def state_full_of_admitted_updates(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(quiet=True)
    async with world.meanwhile(_update(workflow, "one", _PART * 3)):
        task = await workflow.poll(quiet=True)
        await accept_and_complete(task)
    await workflow.describe()


@_limited()
async def state_full_of_signal_ids(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for n in range(35):
        request = api.SignalWorkflowExecutionRequest(
            workflow_execution=workflow.execution(),
            signal_name="signal",
            input=payloads("x"),
            request_id=f"{n:0999}",
        )
        await world.attempt(request, f"signal {n}", quiet=n < 22)
    await workflow.describe()
