"""Summaries, links and headers: what a client or a worker says besides, and where it is seen again."""

from typing import Any

from google.protobuf.json_format import ParseDict
from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_workflow,
    complete_workflow,
    continue_as_new,
    fail_workflow,
    json_payloads,
    record_marker,
    schedule_activity,
    signal_external,
    start_child,
    start_timer,
)
from tests.differential.registry import add, script
from tests.differential.scripts.resetting import reset
from tests.differential.world import World


def _payload(text: str) -> Any:
    return json_payloads(text)["payloads"][0]


_METADATA = {"summary": _payload("summary"), "details": _payload("details")}
_HEADER = {"fields": {"key": _payload("value")}}


def _link(name: str) -> dict[str, Any]:
    return {"workflow_event": {"namespace": "n", "workflow_id": "w", "run_id": name}}


def _with_metadata(built: Command) -> Command:
    ParseDict(_METADATA, built.user_metadata)
    return built


@script
async def summaries(world: World) -> None:
    workflow, child = world.workflow(), world.workflow("child")
    await workflow.start(user_metadata=_METADATA)
    await workflow.poll_and_complete(
        *(
            _with_metadata(each)
            for each in (
                start_timer("t", 100),
                schedule_activity("a", workflow.task_queue),
                start_child(child.id, child.task_queue),
                record_marker("m"),
                signal_external("nobody", "s"),
            )
        )
    )
    task = await child.poll()
    child.saw_run(task.reply.workflow_execution.run_id)
    await workflow.until(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
    await workflow.describe("running")


def _add_end(name: str, built: Command) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(user_metadata=_METADATA)
        await workflow.poll_and_complete(_with_metadata(built))

    add(f"summary_of_an_end_{name}", play)


for _name, _built in (
    ("completed", complete_workflow()),
    ("failed", fail_workflow()),
    ("cancelled", cancel_workflow()),
    ("continued", continue_as_new()),
):
    _add_end(_name, _built)


@script
async def summary_through_a_retry_and_a_reset(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(
        user_metadata=_METADATA,
        header=_HEADER,
        links=[_link("start")],
        retry_policy={"initial_interval": "1s"},
    )
    await workflow.poll_and_complete(fail_workflow())
    described = await workflow.describe("retried")
    workflow.saw_run(described.workflow_execution_info.execution.run_id)
    await workflow.poll_and_complete(start_timer("t", 100))
    await reset(workflow, 4)


@script
async def large_metadata(world: World) -> None:
    for name, size in (("a", 300), ("b", 500), ("c", 30000)):
        for field in ("summary", "details"):
            workflow = world.workflow(f"{name}-{field}")
            await workflow.try_start(f"{name} {field}", user_metadata={field: _payload("x" * size)})


@script
async def large_metadata_of_commands(world: World) -> None:
    for number, size in enumerate((300, 500, 30000)):
        for field in ("summary", "details"):
            workflow = world.workflow(f"w{number}-{field}")
            await workflow.start()
            built = start_timer("t", 100)
            ParseDict({field: _payload("x" * size)}, built.user_metadata)
            await workflow.poll_and_complete(built)


@script
async def links_of_requests(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(links=[_link("start")])
    await workflow.signal(links=[_link("signal")], header=_HEADER, request_id="signal")
    await workflow.signal(label="again", links=[_link("other")], request_id="signal")
    await workflow.cancel(links=[_link("cancel")], request_id="cancel", reason="why")
    await workflow.cancel("again", links=[_link("cancel2")], request_id="cancel")
    await workflow.cancel("other id", links=[_link("cancel3")], request_id="cancel2")
    many = [_link(str(number)) for number in range(11)]
    batch = [{"batch_job": {"job_id": ""}}]
    for links in (
        many,
        batch,
        [{}],
        [{"workflow_event": {"namespace": "n", "workflow_id": "w"}}],
        [_link("x" * 4000)],
    ):
        await workflow.signal(label="refused", links=links)
        await workflow.cancel("refused", links=links)
        await workflow.terminate("refused", links=links)
        await workflow.signal_with_start("refused", links=links)
    await workflow.signal_with_start(
        "taken", links=[_link("sws")], header=_HEADER, request_id="sws", user_metadata=_METADATA
    )
    await workflow.signal_with_start("again", links=[_link("sws")], request_id="sws")
    await workflow.terminate(links=[_link("terminate"), {"batch_job": {"job_id": "job"}}])
    await workflow.signal_with_start(
        "new", links=[_link("sws")], header=_HEADER, request_id="sws3", user_metadata=_METADATA
    )


@script
async def first_runs(world: World) -> None:
    workflow = world.workflow()
    first = await workflow.start()
    await workflow.poll_and_complete(continue_as_new())
    other = "00000000-0000-4000-8000-000000000000"
    for wrong in (other, workflow.run_id, "nonsense"):
        await workflow.cancel("wrong", first_execution_run_id=wrong)
        await workflow.terminate("wrong", first_execution_run_id=wrong)
    await workflow.cancel("of the old run", run_id=first, first_execution_run_id=first)
    await workflow.terminate("of the old run", run_id=first, first_execution_run_id=first)
    await workflow.terminate("of the old run, wrong", run_id=first, first_execution_run_id=other)
    await workflow.cancel("right", first_execution_run_id=first)
    await workflow.terminate("right", first_execution_run_id=first)
    await workflow.terminate("closed, wrong", first_execution_run_id=other)
    await workflow.cancel("closed", first_execution_run_id=first)
    await workflow.cancel("closed, wrong", first_execution_run_id=other)


@script
async def requests_repeated(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(request_id="start")
    await workflow.try_start("again", request_id="start")
    await workflow.try_start("other", request_id="other")
    await workflow.terminate()
    await workflow.try_start("closed, again", request_id="start")
    await workflow.signal("late", request_id="late")
    await workflow.cancel("late", request_id="late")
    await workflow.try_start("closed, other", request_id="other2")


@script
async def deleted_child_seen_by_its_parent(world: World) -> None:
    workflow, child = world.workflow(), world.workflow("child")
    await workflow.start()
    await workflow.poll_and_complete(start_child(child.id, child.task_queue))
    await child.poll()
    await workflow.poll_and_complete(start_timer("t", 100))
    await world.do(api.DeleteWorkflowExecutionRequest(workflow_execution=child.execution()))
    await workflow.until(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED)


@script
async def deleted_parent_seen_by_its_child(world: World) -> None:
    workflow, child = world.workflow(), world.workflow("child")
    await workflow.start()
    await workflow.poll_and_complete(
        start_child(
            child.id, child.task_queue, parent_close_policy="PARENT_CLOSE_POLICY_REQUEST_CANCEL"
        )
    )
    task = await child.poll()
    child.saw_run(task.reply.workflow_execution.run_id)
    await workflow.poll_and_complete(start_timer("t", 100))
    await world.do(api.DeleteWorkflowExecutionRequest(workflow_execution=workflow.execution()))
    await task.complete(start_timer("t", 100))
    await child.until(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    workflow.run_ids.clear()
