"""Workflow tasks that go on failing, and workers that may not have them; what eager workers and heartbeats get."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    bare,
    cancel_activity,
    command,
    complete_workflow,
    failure,
    record_marker,
    schedule_activity,
    start_timer,
)
from tests.differential.registry import script
from tests.differential.world import World


@script
async def tasks_that_keep_failing(world: World) -> None:
    """History does not grow with the attempts; lists show that something is wrong from the fifth on."""
    workflow = world.workflow()
    await workflow.start()
    for attempt in range(1, 7):
        task = await workflow.poll(f"attempt {attempt}", quiet=attempt < 5)
        await task.fail(
            failure(f"attempt {attempt}"),
            cause="WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR",
            quiet=attempt < 5,
        )
        if attempt > 3:
            await workflow.describe(f"after attempt {attempt}")
    await workflow.history("after all of them")
    await workflow.poll_and_complete(start_timer("t", 100))
    await workflow.describe("it works again")


@script
async def completions_that_keep_being_refused(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(start_timer("", 1))
    task = await workflow.poll()
    for _ in range(3):
        await task.complete(start_timer("", 1))
    await workflow.signal()
    await task.complete(bare("START_TIMER"))
    await workflow.history()
    await workflow.describe()
    await task.complete(complete_workflow())
    await workflow.poll_and_complete(complete_workflow())


@script
async def every_cause_of_a_worker(world: World) -> None:
    """History has the identity of a worker as the worker says it, whatever it is."""
    for name in (
        "BAD_BINARY",
        "UNHANDLED_COMMAND",
        "RESET_STICKY_TASK_QUEUE",
        "WORKFLOW_WORKER_UNHANDLED_FAILURE",
        "BAD_UPDATE_WORKFLOW_EXECUTION_MESSAGE",
        "UNHANDLED_UPDATE",
        "FORCE_CLOSE_COMMAND",
        "RESET_WORKFLOW",
        "FAILOVER_CLOSE_COMMAND",
        "SCHEDULE_ACTIVITY_DUPLICATE_ID",
        "PAYLOADS_TOO_LARGE",
    ):
        workflow = world.workflow(name.lower().replace("_", "-"))
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.fail(failure(), name, cause=f"WORKFLOW_TASK_FAILED_CAUSE_{name}")


@script
async def bad_binaries(world: World) -> None:
    """A build that an operator has called bad completes nothing."""
    await world.own_namespace()
    change = api.UpdateNamespaceRequest(namespace=world.namespace)
    change.update_info.description = "has a bad binary"
    change.config.bad_binaries.binaries["bad"].reason = "it is bad"
    await world.do(change, quiet=True)
    await world.wait(2.5)  # The real server looks at namespaces every two seconds.
    workflow = world.workflow()
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(start_timer("t", 100), binary_checksum="bad")
    await workflow.poll_and_complete(start_timer("t", 100), binary_checksum="good")
    poll: Any = api.PollWorkflowTaskQueueRequest(identity="worker", binary_checksum="bad")
    await world.attempt(
        poll, "with a bad binary", task_queue={"name": workflow.task_queue}, timeout=8
    )


@script
async def eager_activities_of_many_kinds(world: World) -> None:
    """Those that end in the same completion are not handed out."""
    workflow = world.workflow("canceled")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    own = workflow.task_queue
    await task.complete(
        schedule_activity("a", own, request_eager_execution=True),
        cancel_activity(5),
        schedule_activity("b", own, request_eager_execution=True, heartbeat_timeout="5s"),
    )
    workflow = world.workflow("completed")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(
        schedule_activity("a", workflow.task_queue, request_eager_execution=True),
        complete_workflow(),
    )
    workflow = world.workflow("refused")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(
        schedule_activity("a", workflow.task_queue, request_eager_execution=True),
        start_timer("", 1),
    )
    workflow = world.workflow("heartbeat")
    await workflow.start(quiet=True)
    task = await workflow.poll(quiet=True)
    next_task = await task.complete_and_get_next(
        schedule_activity("a", workflow.task_queue, request_eager_execution=True),
        force_create_new_workflow_task=True,
    )
    await next_task.complete()


@script
async def heartbeats_of_a_workflow_task(world: World) -> None:
    """A heartbeat keeps the time at which the first of them was scheduled; commands begin anew."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    task = await task.complete_and_get_next(force_create_new_workflow_task=True)
    await workflow.describe("after a heartbeat")
    await workflow.signal("signal", "buffered")
    task = await task.complete_and_get_next(
        record_marker("local activity"), force_create_new_workflow_task=True
    )
    await workflow.describe("after a heartbeat with a command")
    await task.complete(force_create_new_workflow_task=True)
    await workflow.describe("after a heartbeat that wants no task back")
    task = await workflow.poll()
    await task.complete(command("COMPLETE_WORKFLOW_EXECUTION"), force_create_new_workflow_task=True)
