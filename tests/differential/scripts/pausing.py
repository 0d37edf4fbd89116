"""A run is paused, and goes on."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    complete_workflow,
    continue_as_new,
    schedule_activity,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import script
from tests.differential.updates import update
from tests.differential.world import Workflow, World

_SETTINGS = ("frontend.WorkflowPauseEnabled=true",)


def _pausable(*intended: Intended) -> Any:
    return script(settings=_SETTINGS, intended=intended)


async def _pause(workflow: Workflow, label: str = "", **fields: Any) -> Any:
    wanted = {"identity": "operator", "reason": "why", "request_id": "pause"} | fields
    request = api.PauseWorkflowExecutionRequest(workflow_id=workflow.id)
    return await workflow.world.attempt(request, label, **wanted)


async def _unpause(workflow: Workflow, label: str = "", **fields: Any) -> Any:
    wanted = {"identity": "operator", "reason": "enough", "request_id": "unpause"} | fields
    request = api.UnpauseWorkflowExecutionRequest(workflow_id=workflow.id)
    return await workflow.world.attempt(request, label, **wanted)


@script
async def pausing_is_off(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await _pause(workflow, "off")
    await _unpause(workflow, "off")
    await _pause(workflow, "nowhere", namespace="nowhere")
    await _unpause(workflow, "nowhere", namespace="nowhere")
    await _unpause(workflow, "long reason", reason="x" * 1001)
    await workflow.poll_and_complete(complete_workflow())


_SENT_AGAIN = "a client that sends its request again, for want of an answer, has what it asked for"


@_pausable(Intended("* UnpauseWorkflowExecution same request.*", _SENT_AGAIN))
async def pauses_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await _unpause(workflow, "not paused")
    for field in ("reason", "request_id", "identity"):
        await _pause(workflow, f"long {field}", **{field: "x" * 1001})
        await _unpause(workflow, f"long {field}", **{field: "x" * 1001})
    await _pause(workflow, "nobody", workflow_id=world.id("nobody"))
    await _unpause(workflow, "nobody", workflow_id=world.id("nobody"))
    await _pause(workflow, "no id", workflow_id="")
    await _unpause(workflow, "no id", workflow_id="")
    await _pause(workflow, "bad run id", run_id="bad")
    await _unpause(workflow, "bad run id", run_id="bad")
    await _pause(workflow, "once")
    await _pause(workflow, "same request")
    await _pause(workflow, "other request", request_id="other")
    await _unpause(workflow, "once")
    await _unpause(workflow, "same request")
    await _pause(workflow, "without ids", request_id="", identity="", reason="")
    await workflow.describe("without ids")
    await _pause(workflow, "again without id", request_id="")
    await workflow.terminate()
    await _pause(workflow, "closed")
    await _unpause(workflow, "closed")


@_pausable(
    *(
        Intended(f"* {place}*", _SENT_AGAIN)
        for place in (
            "paused no more.",
            "unpaused no more.",
            "PauseWorkflowExecution another.",
            "at the end ",
        )
    )
)
async def pauses_sent_again(world: World) -> None:
    """The real server pauses what has been let go since, and the other way round."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await _pause(workflow)
    await _unpause(workflow)
    await _pause(workflow, "sent again")
    await workflow.describe("paused no more")
    await _pause(workflow, "another", request_id="another")
    await _unpause(workflow, "sent again")
    await workflow.describe("unpaused no more")


@_pausable()
async def paused_with_nothing_to_do(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await _pause(workflow)
    await workflow.describe("paused")
    await _unpause(workflow)
    await workflow.describe("unpaused")
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def paused_while_a_worker_is_busy(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await workflow.describe("paused")
    await _pause(workflow, "same request")
    await workflow.signal()
    await task.complete(
        start_timer("t", 100), label="heartbeat", force_create_new_workflow_task=True
    )
    await task.complete(start_timer("t", 100))
    await workflow.describe("completed")
    await _unpause(workflow)
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def paused_and_unpaused_while_a_worker_is_busy(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await _unpause(workflow)
    await workflow.describe("unpaused")
    await task.complete()
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def worker_of_a_paused_run_fails_its_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await task.fail()
    await workflow.describe("failed")
    await _unpause(workflow)
    await workflow.describe("unpaused")
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def worker_of_a_paused_run_completes_it(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await task.complete(complete_workflow())
    await workflow.describe("completed")
    await _unpause(workflow)
    await workflow.describe("unpaused")
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def worker_of_a_paused_run_continues_it(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await task.complete(continue_as_new())
    await _unpause(workflow)
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def paused_run_with_activities(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(
        schedule_activity("a", queue, retry_policy={"initial_interval": "0.1s"})
    )
    activity = await world.poll_activity(queue)
    await _pause(workflow)
    await activity.heartbeat()
    await activity.fail()
    await world.wait(0.5)
    await workflow.describe("failed")
    await _unpause(workflow)
    activity = await world.poll_activity(queue)
    await _pause(workflow, "again", request_id="pause again")
    await activity.complete()
    await workflow.describe("completed")
    await _unpause(workflow, "again", request_id="unpause again")
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def activity_of_a_paused_run_waits(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    task = await workflow.poll()
    await _pause(workflow)
    await task.complete(schedule_activity("a", queue))
    await workflow.describe("scheduled")
    await _unpause(workflow)
    await world.poll_activity(queue)
    await workflow.poll_and_complete()
    await workflow.describe("started")


@_pausable()
async def paused_run_with_a_timer(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("t", 1))
    await _pause(workflow)
    await world.wait(
        1.5
    )  # A client that waits for events of a paused run learns that there are no more.
    await workflow.cancel()
    await workflow.describe("fired")
    await _unpause(workflow)
    await workflow.poll_and_complete(complete_workflow())


@_pausable()
async def paused_run_is_in_the_way(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    await _pause(workflow)
    await workflow.try_start("fail")
    await workflow.try_start("use", workflow_id_conflict_policy=2)
    await workflow.signal_with_start("signal")
    await workflow.terminate()
    await workflow.describe("terminated")


@_pausable()
async def paused_run_times_out(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_run_timeout="1s")
    await workflow.poll_and_complete()
    await _pause(workflow)
    await world.wait(1.5)
    await workflow.describe("timed out")


@_pausable()
async def paused_runs_are_listed(world: World) -> None:
    await world.own_namespace()
    workflow = world.workflow()
    await workflow.start(quiet=True)
    await _pause(workflow)
    for wanted in ("Paused", "Running"):
        query = f"ExecutionStatus = '{wanted}'"
        count = api.CountWorkflowExecutionsRequest(query=query)
        for _ in range(50):
            counted = await world.do(api.CountWorkflowExecutionsRequest(query=query), quiet=True)
            if counted.count == (wanted == "Paused"):
                break
            await world.wait(0.1)
        await world.attempt(count, wanted)
        await world.attempt(api.ListWorkflowExecutionsRequest(query=query), wanted)
    for query in ("TemporalPauseInfo IS NOT NULL", "TemporalPauseInfo = 'Reason:why'"):
        await world.attempt(api.CountWorkflowExecutionsRequest(query=query), query)
    await world.attempt(api.CountWorkflowExecutionsRequest(query="GROUP BY ExecutionStatus"), "all")
    await _unpause(workflow)


@_pausable(
    Intended("0[2-5] *", "the real server answers that something went wrong, and does not pause it")
)
async def paused_before_its_first_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_start_delay="1000s")
    await _pause(workflow)
    await workflow.describe("delayed")


@_pausable()
async def paused_while_an_update_waits_for_a_worker(world: World) -> None:
    """The task that only the update brought about is written down as started, and failed."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    async with world.meanwhile(update(workflow)):
        await _pause(workflow)
        await workflow.describe("paused")
        await workflow.terminate()


_WAITS = (
    "the real server tells whoever waits that nothing comes any more, and that the pause ended it"
)


@_pausable(
    Intended("* as it grows.next_page_token", _WAITS),
    Intended("* the end.history*", _WAITS),
    Intended("* the end.next_page_token", _WAITS),
)
async def paused_run_is_followed(world: World) -> None:
    """On perdure a client that waits for a result goes on waiting, and gets it."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete()
    page = await workflow.history("to be followed", wait_new_event=True)

    def follow() -> Any:
        request = api.GetWorkflowExecutionHistoryRequest(
            execution=workflow.execution(),
            wait_new_event=True,
            next_page_token=page.next_page_token,
        )
        return world.attempt(request, "as it grows", timeout=3)

    async with world.meanwhile(follow()):
        await _pause(workflow, quiet=True)
    await follow()
    await workflow.history("the end", wait_new_event=True, history_event_filter_type=2, timeout=2)
    await workflow.history("the end", history_event_filter_type=2, timeout=2)
    await workflow.history("as it is")
    await _unpause(workflow, quiet=True)
    await workflow.poll_and_complete(complete_workflow())
    await workflow.history("closed", wait_new_event=True, history_event_filter_type=2)


@_pausable()
async def paused_runs_in_the_older_lists(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await _pause(workflow)
    wanted = {
        "execution_filter": {"workflow_id": workflow.id},
        "start_time_filter": {"earliest_time": "2020-01-01T00:00:00Z"},
    }
    for _ in range(50):
        found = await world.do(
            api.CountWorkflowExecutionsRequest(
                query=f"WorkflowId = '{workflow.id}' AND ExecutionStatus = 'Paused'"
            ),
            quiet=True,
        )
        if found.count:
            break
        await world.wait(0.1)
    await world.attempt(api.ListOpenWorkflowExecutionsRequest(), "paused", **wanted)
    await world.attempt(api.ListClosedWorkflowExecutionsRequest(), "paused", **wanted)
    await _unpause(workflow)
    await workflow.poll_and_complete(complete_workflow())
