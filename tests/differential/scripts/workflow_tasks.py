"""The life of workflow tasks: done, failed, timed out, tried again, made by force; what is buffered meanwhile."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    complete_workflow,
    failure,
    record_marker,
    start_timer,
)
from tests.differential.compare import Intended
from tests.differential.registry import add, script
from tests.differential.world import WorkflowTask, World


@script
async def tasks_one_after_another(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.describe("scheduled")
    await workflow.history("scheduled")
    task = await workflow.poll()
    await workflow.describe("started")
    await workflow.history("started")
    await task.complete()
    await workflow.describe("done")
    await workflow.signal()
    await workflow.poll_and_complete()
    await workflow.signal()
    await workflow.signal("another")
    await workflow.poll_and_complete(complete_workflow())


@script
async def completed_twice(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    first = await workflow.poll()
    await first.complete(start_timer("t", 100))
    await first.complete(start_timer("u", 100), label="again")
    await first.fail(failure(), "after it was completed")
    await workflow.signal()
    second = await workflow.poll()
    await first.complete(start_timer("u", 100), label="old token, another task in flight")
    await first.fail(failure(), "old token, another task in flight")
    await workflow.terminate()
    await second.complete(label="closed")
    await second.fail(failure(), "closed")


@script
async def failed_tasks(world: World) -> None:
    """Only the first failure in a row is written; then attempts are transient."""
    workflow = world.workflow()
    await workflow.start()
    for attempt, cause in enumerate(("UNSPECIFIED", "NON_DETERMINISTIC_ERROR", "UNSPECIFIED"), 1):
        task = await workflow.poll(f"attempt {attempt}")
        full = f"WORKFLOW_TASK_FAILED_CAUSE_{cause}"
        await task.fail(failure(f"attempt {attempt}"), cause=full, binary_checksum="checksum")
        await workflow.describe(f"after attempt {attempt}")
        await workflow.history(f"after attempt {attempt}")
    task = await workflow.poll("the last attempt")
    await workflow.describe("the last attempt is started")
    await workflow.history("the last attempt is started")
    await task.complete(start_timer("t", 100))


@script
async def failed_without_words(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail()
    await workflow.poll_and_complete(complete_workflow())


def _buffered(name: str, *, by_failure: bool, attempt: int) -> None:
    """Signals that arrive while attempt number `attempt` is in flight."""

    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start()
        for _ in range(attempt - 1):
            await (await workflow.poll()).fail(failure())
        task = await workflow.poll()
        await workflow.signal("one")
        await workflow.signal("two")
        await workflow.cancel()
        await workflow.history("in flight")
        await workflow.describe("in flight")
        if by_failure:
            await task.fail(failure())
        else:
            await task.complete(start_timer("t", 100), record_marker("m"))
        await workflow.history("after")
        await workflow.poll_and_complete(complete_workflow())

    add(f"buffered_while_{name}", play)


_buffered("failing", by_failure=True, attempt=1)
_buffered("transient_completing", by_failure=False, attempt=2)
_buffered("transient_failing", by_failure=True, attempt=2)


@script
async def signal_between_failed_attempts(world: World) -> None:
    """New events turn a transient task into a normal one."""
    workflow = world.workflow()
    await workflow.start()
    await (await workflow.poll()).fail(failure())
    await workflow.signal()
    await workflow.history("scheduled")
    await workflow.describe("scheduled")
    task = await workflow.poll()
    await workflow.history("started")
    await task.fail(failure())
    await workflow.poll_and_complete(complete_workflow())


@script
async def signal_after_many_failed_attempts(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    for _ in range(3):
        await (await workflow.poll()).fail(failure())
    await workflow.signal()
    await workflow.describe("scheduled")
    task = await workflow.poll()
    await task.complete(complete_workflow())


@script
async def task_timeout(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    task = await workflow.poll()
    await workflow.until(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    await task.complete(complete_workflow(), label="too late")
    await workflow.history("timed out")
    await workflow.describe("timed out")
    await workflow.poll_and_complete(complete_workflow())


@script
async def task_timeout_with_buffered_signal(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await workflow.poll()
    await workflow.signal()
    await workflow.until(
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
    )
    await workflow.history("timed out")
    await workflow.poll_and_complete(complete_workflow())


@script
async def task_timeout_twice(world: World) -> None:
    """The second timeout leaves no event."""
    workflow = world.workflow()
    await workflow.start(workflow_task_timeout="1s")
    await workflow.poll("attempt 1")
    await workflow.poll("attempt 2")
    await workflow.poll("attempt 3")
    await workflow.history("attempt 3")
    await workflow.describe("attempt 3")


@script
async def force_a_new_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(force_create_new_workflow_task=True)
    await workflow.describe("forced")
    task = await workflow.poll()
    task = await task.complete_and_get_next(force_create_new_workflow_task=True)
    await workflow.describe("forced and returned")
    task = await task.complete_and_get_next(record_marker("m"), force_create_new_workflow_task=True)
    await task.complete(complete_workflow())


@script
async def return_the_next_task(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    task = await task.complete_and_get_next(start_timer("t", 100))
    await workflow.history()
    await task.complete(return_new_workflow_task=True, label="nothing to return")


@script
async def return_the_next_task_to_a_sticky_worker(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal()
    task = await task.complete_and_get_next(
        start_timer("t", 100), sticky_attributes=workflow.sticky()
    )
    await workflow.describe()
    await task.complete(sticky_attributes=workflow.sticky())


@script
async def failure_is_not_returned_as_a_task(world: World) -> None:
    """A completion that fails the task does not give the next one, even if asked to."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await task.complete(start_timer("", 1), return_new_workflow_task=True)
    await workflow.poll_and_complete(complete_workflow())


@script
async def unhandled_then_open_again(world: World) -> None:
    """Signals are taken again once the task that tried to close is done without closing."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    await workflow.signal("one")
    await task.complete(complete_workflow())
    await workflow.signal("two", "between the tasks")
    task = await workflow.poll()
    await workflow.signal("three", "in flight")
    await task.complete(start_timer("t", 100))
    await workflow.signal("four", "afterwards")
    await workflow.poll_and_complete(complete_workflow())


@script
async def unanswered_details_of_a_completion(world: World) -> None:
    """The completed event has the facts that a worker reports about itself."""
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        binary_checksum="checksum",
        sdk_metadata={"core_used_flags": [1, 2], "lang_used_flags": [3], "sdk_name": "sdk"},
        metering_metadata={"nonfirst_local_activity_execution_attempts": 4},
        worker_version_stamp={"build_id": "build"},
    )
    await workflow.signal()
    await workflow.poll_and_complete()


@script
async def user_metadata_of_commands(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    timer = start_timer("t", 100)
    timer.user_metadata.summary.data = b"summary"
    timer.user_metadata.details.data = b"details"
    await workflow.poll_and_complete(timer)


@script
async def eager_start(world: World) -> None:
    workflow = world.workflow()
    reply = await world.do(workflow.start_request(), request_eager_execution=True)
    workflow.saw_run(reply.run_id)
    await workflow.describe()
    await WorkflowTask(workflow, reply.eager_workflow_task).complete(complete_workflow())


@script(
    intended=[
        Intended(
            "08 *.history.events?2?",
            "the real server leaves out the started event of a task that another worker polled",
        )
    ]
)
async def eager_start_again(world: World) -> None:
    """A client that did not hear the answer asks again, and gets the same task until it is no longer the first."""
    workflow = world.workflow()
    eager: dict[str, Any] = {"request_eager_execution": True}
    reply = await world.do(workflow.start_request(), **eager)
    workflow.saw_run(reply.run_id)
    again = await world.do(workflow.start_request(), "again", **eager)
    await WorkflowTask(workflow, again.eager_workflow_task).complete(start_timer("t", 100))
    await world.do(workflow.start_request(), "when it is done", **eager)
    plain = world.workflow("plain")
    await plain.start()
    await plain.try_start("not polled yet", **eager)
    await plain.poll()
    await plain.try_start("polled by another", **eager)


@script
async def eager_start_times_out(world: World) -> None:
    workflow = world.workflow()
    request = workflow.start_request()
    reply = await world.do(request, request_eager_execution=True, workflow_task_timeout="1s")
    workflow.saw_run(reply.run_id)
    await workflow.poll_and_complete(complete_workflow())
    await WorkflowTask(workflow, reply.eager_workflow_task).complete(complete_workflow())


@script
async def eager_start_terminates_another(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    policy = "WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
    fields: dict[str, Any] = {"workflow_id_conflict_policy": policy, "request_id": "second"}
    request = workflow.start_request()
    reply = await world.do(request, request_eager_execution=True, **fields)
    workflow.saw_run(reply.run_id)
    await WorkflowTask(workflow, reply.eager_workflow_task).complete(complete_workflow())


@script
async def eager_start_is_not_always_granted(world: World) -> None:
    delayed = world.workflow("delayed")
    await delayed.start(request_eager_execution=True, workflow_start_delay="100s")
    running = world.workflow("running")
    await running.start()
    await running.try_start(
        request_eager_execution=True,
        workflow_id_conflict_policy="WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING",
        request_id="second",
    )
    await running.try_start("the same request", request_eager_execution=True)


@script
async def completions_in_pages(world: World) -> None:
    """Off by default, and namespaces say so."""
    for label, fields in {
        "not the last": {"intermediate_page": True},
        "not the last, second": {"intermediate_page": True, "page_number": 1},
        "the last": {"page_number": 1},
    }.items():
        workflow = world.workflow(label)
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(complete_workflow(), label=label, **fields)
        await workflow.terminate(quiet=True)
        await task.complete(complete_workflow(), label=f"{label}, too late", **fields)
