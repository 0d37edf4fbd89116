"""Activities: handed out, done, failed and tried again, cancelled, answered by id, handed out at once."""

from typing import Any

from temporalio.api.workflowservice.v1 import request_response_pb2 as api

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    json_payloads,
    payloads,
    schedule_activity,
)
from tests.differential.registry import add, script
from tests.differential.world import ActivityTask, Workflow, World


async def _scheduled(world: World, *, quiet: bool = True, **fields: Any) -> tuple[Workflow, str]:
    """A workflow that has scheduled the activity "a" on a queue of its own."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=quiet)
    task = await workflow.poll(quiet=quiet)
    await task.complete(schedule_activity("a", queue, **fields), label="schedule")
    return workflow, queue


@script
async def activity_completes(world: World) -> None:
    workflow, queue = await _scheduled(
        world,
        quiet=False,
        input=json_payloads("input"),
        header={"fields": {"trace": json_payloads("trace")["payloads"][0]}},
        schedule_to_close_timeout="50s",
        schedule_to_start_timeout="40s",
        start_to_close_timeout="30s",
        heartbeat_timeout="60s",
        priority={"priority_key": 2},
    )
    await workflow.describe("scheduled")
    activity = await world.poll_activity(queue)
    await workflow.describe("started")
    await workflow.history("started")
    await activity.complete("result")
    await activity.complete("again", "again")
    await activity.fail(failure(), "after completion")
    await activity.canceled(label="after completion")
    await activity.heartbeat(label="after completion")
    await workflow.poll_and_complete(complete_workflow())
    await activity.complete("late", "closed")


def _timeouts_given(name: str, run_timeout: str | None, **timeouts: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        await workflow.start(workflow_run_timeout=run_timeout)
        queue = world.id("activities")
        await workflow.poll_and_complete(schedule_activity("a", queue, **timeouts))
        await workflow.describe("scheduled")
        await world.poll_activity(queue)

    add(f"activity_timeouts_{name}", play)


_timeouts_given("only_start_to_close", None, start_to_close_timeout="20s")
_timeouts_given(
    "only_schedule_to_close", None, start_to_close_timeout=None, schedule_to_close_timeout="20s"
)
_timeouts_given("cut_to_run", "30s", start_to_close_timeout="50s", heartbeat_timeout="40s")
_timeouts_given(
    "cut_to_schedule_to_close",
    None,
    schedule_to_close_timeout="10s",
    schedule_to_start_timeout="20s",
    start_to_close_timeout="20s",
    heartbeat_timeout="20s",
)
_timeouts_given(
    "within_run", "100s", schedule_to_close_timeout="200s", start_to_close_timeout="50s"
)


@script
async def activity_fails_for_good(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"maximum_attempts": 1})
    activity = await world.poll_activity(queue)
    await activity.fail(failure("broken", type="Broken"), last_heartbeat_details=None)
    await activity.fail(failure("again"), "again")
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_backoff_grows(world: World) -> None:
    workflow, queue = await _scheduled(
        world,
        retry_policy={
            "initial_interval": "0.2s",
            "backoff_coefficient": 2,
            "maximum_interval": "0.5s",
        },
    )
    for attempt in range(1, 5):
        activity = await world.poll_activity(queue)
        await activity.fail(failure(f"attempt {attempt}"))
        await workflow.describe(f"after attempt {attempt}")
    activity = await world.poll_activity(queue)
    await activity.complete()


@script
async def activity_failure_carries_heartbeat(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"initial_interval": "0.2s"})
    activity = await world.poll_activity(queue)
    await activity.fail(failure(), last_heartbeat_details=json_payloads("last words"))
    await workflow.describe("backing off")
    activity = await world.poll_activity(queue)
    await activity.complete()


@script
async def activity_sets_its_next_delay(world: World) -> None:
    workflow, queue = await _scheduled(world)
    activity = await world.poll_activity(queue)
    await activity.fail(failure("wait long", next_retry_delay="77s"))
    await workflow.describe("backing off")


@script
async def activity_delay_beyond_the_deadline(world: World) -> None:
    """No time is left for another attempt."""
    for name, fields, info in (
        ("policy", {"retry_policy": {"initial_interval": "60s"}}, {}),
        ("worker", {}, {"next_retry_delay": "60s"}),
    ):
        workflow = world.workflow(name)
        queue = world.id(f"{name}-activities")
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        wanted = {"schedule_to_close_timeout": "20s"} | fields
        await task.complete(schedule_activity("a", queue, **wanted))
        activity = await world.poll_activity(queue)
        await activity.fail(failure("broken", **info))
        await workflow.describe(name)


@script
async def activity_retry_in_no_time(world: World) -> None:
    _, queue = await _scheduled(world)
    activity = await world.poll_activity(queue)
    await activity.fail(failure(next_retry_delay="-1s"), "a delay in the past")
    activity = await world.poll_activity(queue)
    await activity.complete()


@script
async def activity_that_must_not_be_retried(world: World) -> None:
    for name, policy, info in (
        ("listed", {"non_retryable_error_types": ["Fatal"]}, {"type": "Fatal"}),
        ("marked", {}, {"type": "Other", "non_retryable": True}),
        (
            "listed-and-delayed",
            {"non_retryable_error_types": ["Fatal"]},
            {"type": "Fatal", "next_retry_delay": "1s"},
        ),
    ):
        workflow = world.workflow(name)
        queue = world.id(f"{name}-activities")
        await workflow.start(quiet=True)
        task = await workflow.poll(quiet=True)
        await task.complete(schedule_activity("a", queue, retry_policy=policy))
        activity = await world.poll_activity(queue)
        await activity.fail(failure("broken", **info))
        await workflow.describe(name)


@script
async def activity_failures_that_are_wrong(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"maximum_attempts": 1})
    activity = await world.poll_activity(queue)
    no_info = failure()
    no_info.ClearField("application_failure_info")
    await activity.fail(no_info, "no application failure")
    await activity.fail(failure(), "long identity", identity="x" * 1001)
    await activity.complete(label="long identity", identity="x" * 1001)
    await activity.canceled(label="nobody asked")
    await activity.heartbeat(label="long identity", identity="x" * 1001)
    await activity.fail(None, "no failure at all")
    await workflow.describe()


# Cancelling


@script
async def cancel_an_activity_before_it_starts(world: World) -> None:
    workflow, _ = await _scheduled(world)
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await workflow.poll_and_complete(complete_workflow())


@script
async def cancel_an_activity_at_once(world: World) -> None:
    workflow = world.workflow()
    await workflow.start()
    await workflow.poll_and_complete(
        schedule_activity("a", world.id("activities")), cancel_activity(5)
    )
    await workflow.poll_and_complete(complete_workflow())


async def _cancelled_while_started(world: World, **fields: Any) -> tuple[Workflow, ActivityTask]:
    workflow, queue = await _scheduled(world, heartbeat_timeout="50s", **fields)
    activity = await world.poll_activity(queue)
    await activity.heartbeat(label="before")
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await workflow.describe("cancel requested")
    await activity.heartbeat(label="after")
    return workflow, activity


@script
async def cancelled_activity_completes_anyway(world: World) -> None:
    workflow, activity = await _cancelled_while_started(world)
    await activity.complete()
    await workflow.poll_and_complete(complete_workflow())


@script
async def cancelled_activity_fails(world: World) -> None:
    """A failure of a cancelled activity is not tried again."""
    workflow, activity = await _cancelled_while_started(world)
    await activity.fail(failure())
    await workflow.describe("failed")
    await workflow.poll_and_complete(complete_workflow())


@script
async def cancelled_twice(world: World) -> None:
    workflow, activity = await _cancelled_while_started(world)
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await activity.canceled()


@script
async def cancel_an_activity_that_backs_off(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"initial_interval": "50s"})
    activity = await world.poll_activity(queue)
    await activity.fail(failure())
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await workflow.describe("cancelled")
    await workflow.poll_and_complete(complete_workflow())


@script
async def cancel_an_activity_that_is_done(world: World) -> None:
    """Its completion is buffered when the cancel command arrives."""
    workflow, queue = await _scheduled(world)
    activity = await world.poll_activity(queue)
    await workflow.signal()
    task = await workflow.poll()
    await activity.complete()
    await task.complete(cancel_activity(5))
    await workflow.poll_and_complete(complete_workflow())


# By id


@script
async def activity_answered_by_id(world: World) -> None:
    workflow, queue = await _scheduled(world, heartbeat_timeout="50s")
    await world.poll_activity(queue)
    known: dict[str, Any] = {"workflow_id": workflow.id, "activity_id": "a"}
    beat = api.RecordActivityTaskHeartbeatByIdRequest(**known, details=payloads("progress"))
    await world.attempt(beat)
    await workflow.describe("beating")
    await world.attempt(api.RespondActivityTaskCanceledByIdRequest(**known), "nobody asked")
    done = api.RespondActivityTaskCompletedByIdRequest(
        **known, run_id=workflow.run_id, identity="somebody", result=payloads("result")
    )
    await world.attempt(done)
    await world.attempt(done, "again")
    await workflow.terminate()
    for kind in (
        api.RecordActivityTaskHeartbeatByIdRequest,
        api.RespondActivityTaskCompletedByIdRequest,
        api.RespondActivityTaskFailedByIdRequest,
        api.RespondActivityTaskCanceledByIdRequest,
    ):
        await world.attempt(kind(**known), "closed")


@script
async def activity_failed_by_id(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"maximum_attempts": 2})
    known: dict[str, Any] = {"workflow_id": workflow.id, "activity_id": "a"}
    await world.poll_activity(queue)
    request = api.RespondActivityTaskFailedByIdRequest(
        **known, identity="somebody", failure=failure("first"), last_heartbeat_details=payloads("x")
    )
    await world.attempt(request)
    await workflow.describe("backing off")
    await world.poll_activity(queue)
    await world.attempt(api.RespondActivityTaskFailedByIdRequest(**known), "without a failure")


@script
async def activity_cancelled_by_id(world: World) -> None:
    workflow, _ = await _cancelled_while_started(world)
    request = api.RespondActivityTaskCanceledByIdRequest(
        workflow_id=workflow.id, activity_id="a", identity="somebody", details=payloads("details")
    )
    await world.attempt(request)


@script
async def activity_answered_by_id_before_it_starts(world: World) -> None:
    workflow, queue = await _scheduled(world)
    known: dict[str, Any] = {"workflow_id": workflow.id, "activity_id": "a"}
    await world.attempt(api.RecordActivityTaskHeartbeatByIdRequest(**known))
    await world.attempt(api.RespondActivityTaskCanceledByIdRequest(**known))
    await world.attempt(api.RespondActivityTaskFailedByIdRequest(**known, failure=failure()))
    await world.attempt(api.RespondActivityTaskCompletedByIdRequest(**known, identity="somebody"))
    nothing = await world.poll_activity(queue, timeout=2.2)
    assert not nothing.reply.task_token


@script
async def activity_answered_by_id_while_it_backs_off(world: World) -> None:
    workflow, queue = await _scheduled(world, retry_policy={"initial_interval": "50s"})
    await (await world.poll_activity(queue)).fail(failure())
    known: dict[str, Any] = {"workflow_id": workflow.id, "activity_id": "a"}
    await world.attempt(api.RecordActivityTaskHeartbeatByIdRequest(**known))
    await world.attempt(api.RespondActivityTaskCompletedByIdRequest(**known, identity="somebody"))


# Eager


@script
async def eager_activities(world: World) -> None:
    """Those on the workflow's own queue come back with the completion, if they ask for it."""
    workflow = world.workflow()
    await workflow.start()
    task = await workflow.poll()
    own = workflow.task_queue
    reply = await task.complete(
        schedule_activity("eager", own, request_eager_execution=True),
        schedule_activity("patient", own),
        schedule_activity("elsewhere", world.id("other"), request_eager_execution=True),
        schedule_activity("second", own, request_eager_execution=True),
    )
    await workflow.describe("scheduled")
    for handed_out in reply.activity_tasks:
        await ActivityTask(world, handed_out).complete(handed_out.activity_id)
    await (await world.poll_activity(own)).complete("patient")


@script
async def eager_activity_is_retried(world: World) -> None:
    """The next attempt goes through the queue."""
    workflow = world.workflow()
    await workflow.start()
    own = workflow.task_queue
    task = await workflow.poll()
    policy = {"initial_interval": "0.2s"}
    reply = await task.complete(
        schedule_activity("a", own, request_eager_execution=True, retry_policy=policy)
    )
    await ActivityTask(world, reply.activity_tasks[0]).fail(failure())
    await (await world.poll_activity(own)).complete()


@script
async def eager_activity_has_its_own_priority_alone(world: World) -> None:
    workflow = world.workflow()
    await workflow.start(priority={"priority_key": 2, "fairness_key": "run"})
    own = workflow.task_queue
    task = await workflow.poll()
    await task.complete(
        schedule_activity("a", own, request_eager_execution=True),
        schedule_activity("b", own, request_eager_execution=True, priority={"priority_key": 4}),
        schedule_activity("c", own, priority={"priority_key": 4}),
    )
    await world.poll_activity(own)


# Ordering


@script
async def activities_finish_while_a_task_is_in_flight(world: World) -> None:
    """Buffered events keep the order in which they came, but completions come after signals."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start()
    await workflow.poll_and_complete(
        *(schedule_activity(name, f"{queue}-{name}") for name in ("a", "b", "c"))
    )
    await workflow.signal()
    task = await workflow.poll()
    for name in ("b", "a"):
        activity = await world.poll_activity(f"{queue}-{name}")
        await activity.complete(name)
    await workflow.signal("later")
    await (await world.poll_activity(f"{queue}-c")).fail(failure(non_retryable=True))
    await workflow.history("in flight")
    await workflow.describe("in flight")
    await task.complete()
    await workflow.poll_and_complete(complete_workflow())


@script
async def activity_polls(world: World) -> None:
    """Nothing to do, then two activities: first come, first served."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await world.poll_activity(queue, timeout=2.2)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("a", queue), quiet=True)
    await world.poll_activity(queue)
    await workflow.signal(quiet=True)
    task = await workflow.poll(quiet=True)
    await task.complete(schedule_activity("b", queue), quiet=True)
    await world.poll_activity(queue)
