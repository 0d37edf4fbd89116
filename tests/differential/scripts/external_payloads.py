"""Payloads that clients keep elsewhere: how many a run has, and how large they are."""

from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    command,
    complete_workflow,
    continue_as_new,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.scripts.resetting import reset
from tests.differential.updates import accept_and_complete, update_request
from tests.differential.world import Workflow, World

_JSON = "anNvbi9wbGFpbg=="


def _elsewhere(*sizes: int) -> dict[str, Any]:
    return {
        "metadata": {"encoding": _JSON},
        "data": "MQ==",
        "external_payloads": [{"size_bytes": str(size)} for size in sizes],
    }


def _payloads(*sizes: int) -> dict[str, Any]:
    return {"payloads": [_elsewhere(size) for size in sizes]}


def _fields(*sizes: int) -> dict[str, Any]:
    return {"fields": {f"field-{size}": _elsewhere(size) for size in sizes}}


_BROKEN = {
    "message": "broken",
    "encoded_attributes": _elsewhere(1),
    "cause": {
        "message": "cause",
        "encoded_attributes": _elsewhere(2),
        "application_failure_info": {"type": "t", "details": _payloads(3, 4)},
    },
}
_KEPT = "descriptions of the real server lose it, those of perdure are like what was sent"
_IN_A_MEMO = (Intended("*.memo.fields.*.external_payloads", _KEPT),)
_INTENDED = {
    "memo": _IN_A_MEMO,
    "new_run": _IN_A_MEMO,
    "search_attributes": (Intended("*.indexed_fields.*.external_payloads", _KEPT),),
}
#: Fields of a start.
_STARTS: dict[str, dict[str, Any]] = {
    "input": {"input": _payloads(1, 2)},
    "several_of_one": {"input": {"payloads": [_elsewhere(1, 0, 2**40), _elsewhere()]}},
    "negative": {"input": _payloads(-1)},
    "header": {"header": _fields(1, 2)},
    "memo": {"memo": _fields(1, 2)},
    "metadata": {"user_metadata": {"summary": _elsewhere(1), "details": _elsewhere(2)}},
    "search_attributes": {"search_attributes": {"indexed_fields": {"BatcherUser": _elsewhere(1)}}},
    "result_before": {"last_completion_result": _payloads(1)},
    "failure_before": {"continued_failure": _BROKEN},
}


def _add_start(name: str, fields: dict[str, Any]) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        if name == "search_attributes":
            value = fields["search_attributes"]["indexed_fields"]["BatcherUser"]
            value["data"] = "ImEi"
        await workflow.start(**fields)

    add(f"payloads_elsewhere_in_a_start_{name}", play, intended=_INTENDED.get(name, ()))


for _name, _wanted in _STARTS.items():
    _add_start(_name, _wanted)


_COMMANDS = {
    "marker": command(
        "RECORD_MARKER",
        marker_name="m",
        details={"a": _payloads(1, 2)},
        header=_fields(3),
        failure=_BROKEN,
    ),
    "memo": command("MODIFY_WORKFLOW_PROPERTIES", upserted_memo=_fields(1, 2)),
    "activity": schedule_activity("a", "queue", input=_payloads(1), header=_fields(2)),
    "child": start_child(
        "no-child", "queue", input=_payloads(1), header=_fields(2), memo=_fields(3)
    ),
    "signal": signal_external("nobody", "s", input=_payloads(1), header=_fields(2)),
    "completion": command("COMPLETE_WORKFLOW_EXECUTION", result=_payloads(1, 2)),
    "failure": command("FAIL_WORKFLOW_EXECUTION", failure=_BROKEN),
    "cancellation": command("CANCEL_WORKFLOW_EXECUTION", details=_payloads(1)),
    "new_run": continue_as_new(input=_payloads(1, 2), memo=_fields(3)),
}


def _add_command(name: str, wanted: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(input=_payloads(100))
        await workflow.poll_and_complete(wanted)
        if name == "child":
            await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)

    add(f"payloads_elsewhere_in_a_command_{name}", play, intended=_INTENDED.get(name, ()))


for _name, _wanted_command in _COMMANDS.items():
    _add_command(_name, _wanted_command)


async def _activity(workflow: Workflow) -> Any:
    queue = workflow.world.id("activities")
    await workflow.poll_and_complete(
        schedule_activity("a", queue, heartbeat_timeout="1s", retry_policy={"maximum_attempts": 1})
    )
    return await workflow.world.poll_activity(queue)


async def _by_signal(workflow: Workflow) -> None:
    await workflow.signal(input=_payloads(1), header=_fields(2))


async def _by_a_buffered_signal(workflow: Workflow) -> None:
    task = await workflow.poll()
    await workflow.signal(input=_payloads(1))
    await workflow.describe("buffered")
    await task.complete(start_timer("t", 100))


async def _by_termination(workflow: Workflow) -> None:
    await workflow.terminate(details=_payloads(1, 2))


async def _by_results(workflow: Workflow) -> None:
    queue = workflow.world.id("activities")
    await workflow.poll_and_complete(schedule_activity("a", queue))
    task = await workflow.world.poll_activity(queue)
    request = api.RespondActivityTaskCompletedRequest(task_token=task.reply.task_token)
    await workflow.world.attempt(request, result=_payloads(1, 2))
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)


async def _by_a_failed_activity(workflow: Workflow) -> None:
    task = await _activity(workflow)
    final = _BROKEN | {"application_failure_info": {"non_retryable": True}}
    await task.fail(ParseDict(final, Failure()))
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)


async def _by_a_heartbeat(workflow: Workflow) -> None:
    """Heartbeats are in no history, but the last one is where the time-out is."""
    task = await _activity(workflow)
    request = api.RecordActivityTaskHeartbeatRequest(task_token=task.reply.task_token)
    await workflow.world.attempt(request, details=_payloads(1, 2))
    await workflow.describe("while it runs")
    await workflow.until(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)


async def _by_an_update(workflow: Workflow) -> None:
    await workflow.poll_and_complete(start_timer("t", 100))
    request = update_request(workflow)
    ParseDict(_payloads(1), request.request.input.args)
    call = workflow.world.attempt(request)
    async with workflow.world.meanwhile(call):
        await accept_and_complete(await workflow.poll())


async def _by_a_failed_task(workflow: Workflow) -> None:
    await (await workflow.poll()).fail(ParseDict(_BROKEN, Failure()))


_WAYS: dict[str, Callable[[Workflow], Awaitable[None]]] = {
    "signal": _by_signal,
    "buffered_signal": _by_a_buffered_signal,
    "termination": _by_termination,
    "results": _by_results,
    "failed_activity": _by_a_failed_activity,
    "heartbeat": _by_a_heartbeat,
    "update": _by_an_update,
    "failed_task": _by_a_failed_task,
}


def _add_way(name: str, way: Callable[[Workflow], Awaitable[None]]) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(input=_payloads(100))
        await way(workflow)

    add(f"payloads_elsewhere_by_{name}", play)


for _name, _way in _WAYS.items():
    _add_way(_name, _way)


@script
async def payloads_elsewhere_after_a_reset(world: World) -> None:
    """They are counted anew: what the two runs share, and what is applied again."""
    workflow = world.workflow()
    await workflow.start(input=_payloads(100))
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.signal(input=_payloads(20))
    await workflow.poll_and_complete(schedule_activity("a", "queue", input=_payloads(3)))
    await reset(workflow, 4)
    await workflow.describe("after the reset")
    await workflow.poll_and_complete(complete_workflow())


async def _listed(world: World) -> None:
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(input=_payloads(100), memo=_fields(7))
    await workflow.describe("open")
    await world.workflow("none").start(quiet=True)
    await world.workflow("none").terminate(quiet=True)
    await workflow.terminate()
    for _ in range(50):
        counted = await world.do(
            api.CountWorkflowExecutionsRequest(query="CloseTime IS NOT NULL"), quiet=True
        )
        if counted.count == 2:
            break
        await world.wait(0.1)
    for query in (
        "TemporalExternalPayloadCount = 2",
        "TemporalExternalPayloadCount IS NULL",
        "TemporalExternalPayloadSizeBytes > 100",
        "TemporalExternalPayloadSizeBytes BETWEEN 1 AND 100",
    ):
        await world.attempt(api.ListWorkflowExecutionsRequest(), query, query=query)


@script(intended=_IN_A_MEMO)
async def payloads_elsewhere_listed(world: World) -> None:
    await _listed(world)


@script(settings=("history.externalPayloadsEnabled=false",), intended=_IN_A_MEMO)
async def payloads_elsewhere_that_are_not_shown(world: World) -> None:
    await _listed(world)
