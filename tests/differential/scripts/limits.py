"""Limits, set so low that a script reaches them. All of these scripts share one pair of servers."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    command,
    complete_workflow,
    continue_as_new,
    failure,
    json_payloads,
    payloads,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
    upsert_memo,
)
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.updates import accept_and_complete, update
from tests.differential.wire import Refusal
from tests.differential.world import ActivityTask, Workflow, World

_LIMITS = (
    "limit.blobSize.error=2000",
    "limit.blobSize.warn=500",
    "limit.memoSize.error=600",
    "limit.numPendingActivities.error=2",
    "limit.numPendingChildExecutions.error=2",
    "limit.numPendingSignals.error=2",
    "limit.numPendingCancelRequests.error=2",
    "limit.historyCount.error=40",
    "limit.historyCount.suggestContinueAsNew=8",
    "limit.historySize.error=20000",
    "limit.historySize.suggestContinueAsNew=6000",
    "limit.mutableStateActivityFailureSize.error=700",
    "limit.mutableStateActivityFailureSize.warn=600",
    "limit.maxIDLength=120",
    "history.maximumSignalsPerExecution=12",
    "history.maxTotalUpdates=4",
    'history.workflowTaskHeartbeatTimeout="1s"',
    "history.maximumBufferedEventsBatch=3",
    'history.defaultWorkflowTaskTimeout="7s"',
    "frontend.searchAttributesNumberOfKeysLimit=2",
    "frontend.searchAttributesSizeOfValueLimit=60",
    "frontend.searchAttributesTotalSizeLimit=100",
    "frontend.maxlinksPerRequest=1",
)
#: Sizes depend on the server's own encoding.
_SIZES = Intended("*.history_size_bytes", "sizes are of the server's own encoding", sometimes=True)
_CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
_LARGE = "x" * 2100
_MEDIUM = "x" * 1500
_LONG = "x" * 121


def _limited(*, intended: tuple[Intended, ...] = ()) -> Any:
    return script(settings=_LIMITS, intended=intended)


async def _start(workflow: Workflow, label: str, **fields: Any) -> None:
    """Start it, or be refused."""
    reply = await workflow.world.attempt(workflow.start_request(**fields), label)
    if not isinstance(reply, Refusal):
        workflow.saw_run(reply.run_id)


async def _activity(workflow: Workflow, **fields: Any) -> ActivityTask:
    """A workflow whose one activity a worker holds."""
    world = workflow.world
    await workflow.start(quiet=True)
    queue = world.id(f"{workflow.name}-activities")
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", queue, **fields), quiet=True)
    return await world.poll_activity(queue, quiet=True)


@_limited()
async def large_answers_of_activities(world: World) -> None:
    """A result that is too large fails the activity for good; the worker learns of it, or not, as its call can tell."""
    task = await _activity(world.workflow("result"))
    await task.complete(_LARGE)
    task = await _activity(world.workflow("failure"))
    await task.fail(failure(_LARGE, type="Broken"))
    task = await _activity(world.workflow("details"))
    await task.fail(failure(), last_heartbeat_details=json_payloads(_LARGE))
    task = await _activity(world.workflow("both"))
    await task.fail(failure(_LARGE), last_heartbeat_details=json_payloads(_LARGE))
    task = await _activity(world.workflow("canceled"))
    await task.canceled(_LARGE)
    task = await _activity(world.workflow("heartbeat"))
    await task.heartbeat(_LARGE)
    await task.complete(label="after a heartbeat that was too large")


@_limited()
async def large_answers_of_activities_by_id(world: World) -> None:
    for name, request in (
        ("result", api.RespondActivityTaskCompletedByIdRequest(result=payloads(_LARGE))),
        ("failure", api.RespondActivityTaskFailedByIdRequest(failure=failure(_LARGE))),
        ("canceled", api.RespondActivityTaskCanceledByIdRequest(details=payloads(_LARGE))),
        ("heartbeat", api.RecordActivityTaskHeartbeatByIdRequest(details=payloads(_LARGE))),
    ):
        workflow = world.workflow(name)
        await _activity(workflow)
        await world.attempt(request, workflow_id=workflow.id, activity_id="a", identity="worker")


@_limited()
async def large_failures_of_attempts(world: World) -> None:
    """The run remembers only the beginning of a failure that is retried."""
    workflow = world.workflow()
    task = await _activity(workflow, retry_policy={"initial_interval": "100s"})
    large = failure("m" * 300, type="Type")
    large.stack_trace = "s" * 300
    large.cause.CopyFrom(failure("é" * 300))
    await task.fail(large)
    await workflow.describe()


@_limited()
async def large_failure_of_a_workflow_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    large = failure(_LARGE, type="Broken")
    large.stack_trace = "trace"
    await task.fail(large)
    workflow = world.workflow("nested")
    await workflow.start()
    task = await workflow.poll()
    large = failure("short", type="Broken", non_retryable=True)
    large.source = "source"
    large.stack_trace = "é" * 150
    large.cause.CopyFrom(failure("y" * 1900))
    await task.fail(large)


@_limited()
async def large_answers_of_queries(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(quiet=True)
    async with world.meanwhile(workflow.query("alone")):
        task = await workflow.poll()
        await task.answer_query(_LARGE)
    await workflow.signal()
    async with world.meanwhile(workflow.query("with a task")):
        task = await workflow.poll()
        answer = {"result_type": "QUERY_RESULT_TYPE_ANSWERED", "answer": json_payloads(_LARGE)}
        await task.complete(query_results=task.query_results(**answer))
    query = api.QueryWorkflowRequest(execution=workflow.execution())
    query.query.query_type = "query"
    query.query.query_args.CopyFrom(payloads(_LARGE))
    await world.attempt(query, "large arguments")


@_limited()
async def large_requests(world: World) -> None:
    workflow = world.workflow()
    await _start(workflow, "large input", input=json_payloads(_LARGE))
    await _start(workflow, "large memo", memo={"fields": json_fields("x" * 600)})
    await _start(workflow, "large header", header={"fields": json_fields(_LARGE)})
    await workflow.signal("signal", "large input", input=json_payloads(_LARGE))
    await workflow.signal("signal", "large header", header={"fields": json_fields(_LARGE)})
    await workflow.signal_with_start("large signal", signal_input=json_payloads(_LARGE))
    await workflow.signal_with_start("large input", input=json_payloads(_LARGE))
    await workflow.signal_with_start("large memo", memo={"fields": json_fields("x" * 600)})
    await workflow.terminate("large details", details=json_payloads(_LARGE))


def json_fields(text: str) -> dict[str, Any]:
    return {"a": json_payloads(text)["payloads"][0]}


@_limited()
async def search_attributes_beyond_their_limits(world: World) -> None:
    workflow = world.workflow()
    for label, values in (
        ("too many", {"BuildIds": "a", "BinaryChecksums": "b", "TemporalChangeVersion": "c"}),
        ("a large value", {"BuildIds": "x" * 70}),
        ("large together", {"TemporalChangeVersion": "x" * 55, "BuildIds": "y" * 55}),
    ):
        fields = {name: _attribute(value) for name, value in values.items()}
        await _start(workflow, label, search_attributes={"indexed_fields": fields})


def _attribute(text: str) -> dict[str, Any]:
    return dict(json_payloads(text)["payloads"][0])


@_limited()
async def long_names(world: World) -> None:
    workflow = world.workflow()
    await _start(workflow, "id", workflow_id=_LONG)
    await _start(workflow, "type", workflow_type={"name": _LONG})
    await _start(workflow, "queue", task_queue={"name": _LONG})
    await _start(workflow, "identity", identity=_LONG)
    await _start(workflow, "request id", request_id=_LONG)
    await workflow.start("just short enough", workflow_type={"name": "x" * 120})
    await workflow.signal(_LONG)
    await workflow.signal("signal", "request id", request_id=_LONG)
    await workflow.signal("signal", "identity", identity=_LONG)
    await update(workflow, _LONG)
    await workflow.cancel("request id", request_id=_LONG)
    await workflow.cancel("reason", reason=_LONG)
    await workflow.terminate("identity", identity=_LONG)
    poll = api.PollWorkflowTaskQueueRequest(identity=_LONG)
    await world.attempt(poll, "identity", task_queue={"name": "queue"})
    poll = api.PollWorkflowTaskQueueRequest()
    await world.attempt(poll, "queue", task_queue={"name": _LONG})
    other = api.PollActivityTaskQueueRequest()
    await world.attempt(other, "queue", task_queue={"name": _LONG})
    links = [{"batch_job": {"job_id": "a"}}, {"batch_job": {"job_id": "b"}}]
    await _start(workflow, "links", links=links)
    await workflow.signal("signal", "links", links=links)


def _pending(kind: str) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(quiet=True)
        made = [_command(world, workflow, kind, name) for name in ("one", "two", "three")]
        await workflow.poll_and_complete(*made)
        for one in made[:2]:  # One by one: children that start together do so in any order.
            task = await workflow.poll()
            await task.complete(one)
            if kind == "children":
                await workflow.until(*([_CHILD_STARTED] * (made.index(one) + 1)))
            else:
                await workflow.signal()
        task = await workflow.poll("with two pending")
        await task.complete(made[2])

    add(f"too_many_pending_{kind}", play, settings=_LIMITS)


def _command(world: World, workflow: Workflow, kind: str, name: str) -> Any:
    if kind == "activities":
        return schedule_activity(name, world.id("activities"))
    return start_child(world.id(name), world.id("children"))


for _kind in ("activities", "children"):
    _pending(_kind)


@_limited()
async def too_many_pending_signals_and_cancels(world: World) -> None:
    other = world.workflow("other")
    await other.start(quiet=True)
    for name, attributes in (
        (
            "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION",
            {"signal_name": "signal", "execution": {"workflow_id": other.id}},
        ),
        ("REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION", {"workflow_id": other.id}),
    ):
        workflow = world.workflow(name.lower().replace("_", "-"))
        await workflow.start(quiet=True)
        await workflow.poll_and_complete(*(command(name, **attributes) for _ in range(3)))


@_limited()
async def too_many_signals(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    for n in range(13):
        await workflow.signal("signal", str(n + 1), quiet=n < 10)
    await workflow.signal_with_start()
    await workflow.poll_and_complete(continue_as_new())
    await workflow.signal("signal", "of the new run")


@_limited(intended=(_SIZES,))
async def continue_as_new_is_suggested(world: World) -> None:
    workflow = world.workflow("count")
    await workflow.start(quiet=True)
    task = await workflow.poll()
    await task.complete(*(start_timer(f"t{n}", 100) for n in range(4)))
    await workflow.signal()
    task = await workflow.poll("many events")
    await task.complete()
    workflow = world.workflow("size")
    await workflow.start(quiet=True, input=json_payloads(_MEDIUM))
    task = await workflow.poll()
    details = {"a": json_payloads(_MEDIUM)}
    await task.complete(*(record_marker("m", details=details) for _ in range(4)))
    await workflow.signal()
    task = await workflow.poll("large events")
    await task.complete(record_marker("m", details=details))
    await workflow.signal()
    task = await workflow.poll("many large events")


@_limited()
async def continue_as_new_is_suggested_by_updates(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(quiet=True)
    for name in ("one", "two", "three", "four", "five"):
        asking = update(workflow, name)
        if name == "five":
            await asking
            continue
        async with world.meanwhile(asking):
            task = await workflow.poll(name)
            await accept_and_complete(task)


@_limited()
async def history_with_too_many_events(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(*(start_timer(f"t{n}", 100) for n in range(33)))
    await workflow.signal("signal", "the 38th event")
    task = await workflow.poll()
    await task.complete(start_timer("one", 100), start_timer("two", 100))
    await workflow.signal("signal", "terminated")
    workflow = world.workflow("signaled")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(*(start_timer(f"t{n}", 100) for n in range(35)))
    for n in range(4):
        await workflow.signal("signal", f"signal {n}")
    workflow = world.workflow("completed")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(*(start_timer(f"t{n}", 100) for n in range(34)))
    await workflow.signal()
    await workflow.poll_and_complete(start_timer("t", 1), complete_workflow())


@_limited(intended=(_SIZES,))
async def history_that_is_too_large(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    details = {"a": json_payloads(_MEDIUM)}
    task = await workflow.poll(quiet=True)
    await task.complete(*(record_marker("m", details=details) for _ in range(13)))
    await workflow.signal("signal", "nearly full")
    task = await workflow.poll()
    await task.complete(*(record_marker("m", details=details) for _ in range(2)))
    await workflow.signal("signal", "full")
    await workflow.signal("signal", "terminated")


@_limited()
async def too_many_heartbeats(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    task = await task.complete_and_get_next(force_create_new_workflow_task=True)
    await asyncio.sleep(1.2)
    # Not with a new task returned: the real server then hands one out and tells nobody of it.
    await task.complete(force_create_new_workflow_task=True, label="too late")
    await workflow.describe()
    await workflow.poll_and_complete(complete_workflow())


@_limited()
async def too_many_buffered_events(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    for n in range(4):
        await workflow.signal("signal", f"{n}")
    await workflow.describe("after four")
    await task.complete(start_timer("t", 100))
    for n in range(4):
        await workflow.signal("signal", f"{n} again")
    task = await workflow.poll("the next")
    for n in range(4):
        await workflow.signal("signal", f"{n} once more")
    await task.fail(failure())
    await workflow.history()
    await workflow.poll_and_complete(complete_workflow())


@_limited()
async def large_commands(world: World) -> None:
    """A field that is too large in a command ends the run, whatever the command is."""
    blob, field = json_payloads(_LARGE), json_fields(_LARGE)
    for label, made in {
        "header of an activity": schedule_activity("a", world.id("q"), header={"fields": field}),
        "input of an activity": schedule_activity("a", world.id("q"), input=blob),
        "header of a child": start_child(world.id("c1"), world.id("q"), header={"fields": field}),
        "input of a child": start_child(world.id("c2"), world.id("q"), input=blob),
        "memo of a child": start_child(
            world.id("c3"), world.id("q"), memo={"fields": json_fields("x" * 600)}
        ),
        "memo of the next run": continue_as_new(memo={"fields": json_fields("x" * 600)}),
        "input of a signal": signal_external(world.id("nobody"), "signal", input=blob),
        "marker": record_marker("m", details={"a": blob}, header={"fields": field}),
        "header of a marker": record_marker("m", header={"fields": field}),
        "memo": upsert_memo(**json_fields("x" * 600)),
        "result": complete_workflow(_LARGE),
    }.items():
        workflow = world.workflow(label.replace(" ", "-"))
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(made, label=label)


@_limited()
async def message_too_large_for_grpc(world: World) -> None:
    """The worker could not send its answer: the run is terminated, for it never could."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    cause = "WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE"
    await task.fail(failure("too large"), cause=cause)
    await task.fail(failure("too large"), "again", cause=cause)
    workflow = world.workflow("later")
    await workflow.start()
    await (await workflow.poll()).fail(failure())
    await (await workflow.poll()).fail(failure("too large"), cause=cause)


@script
async def requests_too_large_for_grpc(world: World) -> None:
    """SDKs know by the words of the refusal that trying again is no use."""
    workflow = world.workflow()
    large = Payloads(payloads=[Payload(data=b"x" * 4_200_000)])
    request = workflow.start_request()
    request.input.CopyFrom(large)
    await world.attempt(request)
    await workflow.start("small")
    signal = api.SignalWorkflowExecutionRequest(
        workflow_execution=workflow.execution(), signal_name="signal", input=large
    )
    await world.attempt(signal)
    await world.attempt(api.PollWorkflowTaskQueueRequest(identity="x" * 4_200_000))
