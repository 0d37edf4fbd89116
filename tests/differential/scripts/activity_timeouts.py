"""The four timeouts of an activity, with and without another attempt."""

from typing import Any

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    schedule_activity,
)
from tests.differential.registry import add, script
from tests.differential.world import World

_TIMED_OUT = EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT


def _times_out(name: str, *, starts: bool, **fields: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        queue = world.id("activities")
        await workflow.start(quiet=True)
        await workflow.poll_and_complete(schedule_activity("a", queue, **fields))
        activity = await world.poll_activity(queue) if starts else None
        await workflow.until(_TIMED_OUT)
        await workflow.history("timed out")
        if activity:
            await activity.complete(label="too late")
        await workflow.poll_and_complete(complete_workflow())

    add(f"activity_times_out_{name}", play)


_ONCE = {"maximum_attempts": 1}

_times_out("schedule_to_start", starts=False, schedule_to_start_timeout="1s")
_times_out(
    "schedule_to_start_once", starts=False, schedule_to_start_timeout="1s", retry_policy=_ONCE
)
_times_out("schedule_to_close_unstarted", starts=False, schedule_to_close_timeout="1s")
_times_out("schedule_to_close", starts=True, schedule_to_close_timeout="1s")
_times_out("heartbeat", starts=True, heartbeat_timeout="1s", retry_policy=_ONCE)
_times_out(
    "non_retryable",
    starts=True,
    start_to_close_timeout="1s",
    retry_policy={"non_retryable_error_types": ["TemporalTimeout:StartToClose"]},
)


def _times_out_and_is_retried(name: str, **fields: Any) -> None:
    async def play(world: World) -> None:
        workflow = world.workflow()
        queue = world.id("activities")
        await workflow.start(quiet=True)
        policy = {"initial_interval": "0.2s", "maximum_attempts": 2}
        await workflow.poll_and_complete(
            schedule_activity("a", queue, retry_policy=policy, **fields)
        )
        activity = await world.poll_activity(queue)
        await activity.heartbeat("half way")
        second = await world.poll_activity(queue)
        await workflow.describe("second attempt")
        await activity.complete(label="of the first attempt")
        await second.complete()
        await workflow.poll_and_complete(complete_workflow())

    add(f"activity_times_out_and_is_retried_{name}", play)


_times_out_and_is_retried("start_to_close", start_to_close_timeout="1s")
_times_out_and_is_retried("heartbeat", heartbeat_timeout="1s")


@script
async def activity_times_out_twice(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    policy = {"initial_interval": "0.2s", "maximum_attempts": 2}
    await workflow.poll_and_complete(
        schedule_activity("a", queue, retry_policy=policy, start_to_close_timeout="1s")
    )
    await world.poll_activity(queue)
    await world.poll_activity(queue)
    await workflow.until(_TIMED_OUT)


@script
async def activity_runs_out_of_time_between_attempts(world: World) -> None:
    """Schedule-to-close is over while the next attempt waits for a worker."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(
        schedule_activity(
            "a",
            queue,
            schedule_to_close_timeout="1s",
            retry_policy={"initial_interval": "0.5s"},
        )
    )
    await (await world.poll_activity(queue)).fail(failure("first"))
    await workflow.describe("backing off")
    await workflow.until(_TIMED_OUT)


@script
async def cancelled_activity_times_out(world: World) -> None:
    """A cancelled activity is not tried again."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(schedule_activity("a", queue, heartbeat_timeout="1s"))
    await world.poll_activity(queue)
    await workflow.signal()
    await workflow.poll_and_complete(cancel_activity(5))
    await workflow.until(_TIMED_OUT)


@script
async def heartbeats_keep_an_activity_alive(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(schedule_activity("a", queue, heartbeat_timeout="1s"))
    activity = await world.poll_activity(queue)
    for beat in range(4):
        await world.wait(0.4)
        await activity.heartbeat(f"beat {beat}")
    await workflow.describe("alive")
    await activity.complete()


@script
async def activity_times_out_while_a_task_is_in_flight(world: World) -> None:
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(
        schedule_activity("a", queue, start_to_close_timeout="1s", retry_policy=_ONCE)
    )
    await world.poll_activity(queue)
    await workflow.signal()
    task = await workflow.poll()
    await world.wait(1.5)
    await workflow.history("timed out, buffered")
    await task.complete()
    await workflow.poll_and_complete(complete_workflow())


@script
async def activities_time_out_at_once(world: World) -> None:
    """One workflow task tells of all of them."""
    workflow, queue = world.workflow(), world.id("nobody")
    await workflow.start()
    timeouts = {"schedule_to_close_timeout": "1s", "schedule_to_start_timeout": "1s"}
    await workflow.poll_and_complete(
        schedule_activity("b", queue, **timeouts),
        schedule_activity("a", queue, **timeouts),
        schedule_activity("c", queue, schedule_to_close_timeout="1s"),
    )
    await workflow.poll_and_complete(complete_workflow())


async def _eager_with_equal_timeouts(world: World, policy: dict[str, Any]) -> None:
    workflow = world.workflow()
    await workflow.start(quiet=True)
    own = {"schedule_to_close_timeout": "1s", "start_to_close_timeout": "1s"}
    eager = schedule_activity(
        "a", workflow.task_queue, request_eager_execution=True, retry_policy=policy, **own
    )
    await workflow.poll_and_complete(eager)
    await workflow.until(_TIMED_OUT)


@script
async def eager_activity_with_equal_timeouts(world: World) -> None:
    """The time for all attempts together is over before the time of the one."""
    await _eager_with_equal_timeouts(world, {})


@script
async def eager_activity_with_equal_timeouts_and_one_attempt(world: World) -> None:
    await _eager_with_equal_timeouts(world, _ONCE)


@script
async def worker_that_is_known_by_its_heartbeats(world: World) -> None:
    """The poller says no name, and the sender of the heartbeat does."""
    workflow = world.workflow()
    queue = world.id("activities")
    await workflow.start(quiet=True)
    await workflow.poll_and_complete(
        schedule_activity("a", queue, retry_policy={"initial_interval": "0.2s"})
    )
    activity = await world.poll_activity(queue, identity="")
    await workflow.describe("nobody")
    await activity.heartbeat(identity="")
    await workflow.describe("nobody still")
    await activity.heartbeat(identity="beats")
    await workflow.describe("beats")
    await activity.heartbeat(identity="")
    await workflow.describe("beats still")
    await activity.fail(identity="fails")
    await workflow.describe("failed")
    activity = await world.poll_activity(queue, identity="polls")
    await activity.heartbeat(identity="beats again")
    await workflow.describe("polls")
    await activity.fail(identity="fails")
    activity = await world.poll_activity(queue, identity="")
    await workflow.describe("polled before")
    await activity.heartbeat(identity="beats")
    await activity.fail(identity="fails")
    await workflow.describe("failed at last")
