"""Something is done in the outside scene: it works, fails, is too slow, or should stop."""

from temporalio.api.enums.v1 import EventType

from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    schedule_activity,
)
from tests.stories.language import Scene, story

GONE = (
    "NOT_FOUND: invalid activityID or activity already timed out or invoking workflow is completed"
)
ACTIVITY = "pending_activities.0"
ONCE = {"maximum_attempts": 1}
TIMED_OUT = EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT


@story
async def an_activity_is_tried_again_until_its_last_attempt(scene: Scene) -> None:
    workflow = await scene.started()
    policy = {"initial_interval": "1s", "maximum_attempts": 2, "backoff_coefficient": 3}
    wanted = {"heartbeat_timeout": "50s", "retry_policy": policy}
    await workflow.work(schedule_activity("a", workflow.task_queue, **wanted))
    first = await workflow.take_activity()
    await first.heartbeat("half way")
    await workflow.tells("heartbeat_details='half way'", of=ACTIVITY)
    await first.fail(failure("first", type="Broken"))
    backs_off = "state=SCHEDULED attempt=2 current_retry_interval=1s last_failure.message=first"
    await workflow.tells(backs_off, of=ACTIVITY)
    await workflow.shows("5 ActivityTaskScheduled")
    await scene.refused(first.heartbeat(label="while backing off"), GONE)
    await scene.refused(first.complete(label="while backing off"), GONE)
    second = await workflow.take_activity()
    scene.tells(second.reply, "attempt=2 heartbeat_details='half way'")
    await workflow.tells("state=STARTED attempt=2", of=ACTIVITY)
    await second.fail(failure("second", type="Other"))
    await workflow.describe("failed")
    await workflow.shows(
        """6 ActivityTaskStarted attempt=2 last_failure.message=first scheduled_event_id=5
        7 ActivityTaskFailed failure.message=second retry_state=MAXIMUM_ATTEMPTS_REACHED
        scheduled_event_id=5 started_event_id=6 identity='activity worker'
        8 WorkflowTaskScheduled"""
    )
    await workflow.work(complete_workflow())


@story
async def an_attempt_takes_too_long(scene: Scene) -> None:
    workflow = await scene.started()
    wanted = {"start_to_close_timeout": "1s", "retry_policy": ONCE}
    await workflow.work(schedule_activity("a", workflow.task_queue, **wanted))
    await scene.wait(1.5)  # To wait for a worker may take any time.
    await workflow.shows("5 ActivityTaskScheduled")
    activity = await workflow.take_activity()
    await workflow.until(TIMED_OUT)
    await workflow.shows(
        """6 ActivityTaskStarted scheduled_event_id=5
        7 ActivityTaskTimedOut +1s scheduled_event_id=5 started_event_id=6
        retry_state=MAXIMUM_ATTEMPTS_REACHED failure.timeout_failure_info.timeout_type=START_TO_CLOSE
        failure.message='activity StartToClose timeout' failure.source=Server
        8 WorkflowTaskScheduled"""
    )
    await scene.refused(activity.complete(label="too late"), GONE)
    await workflow.work(complete_workflow())


@story
async def a_worker_that_is_not_heard_of_is_given_up(scene: Scene) -> None:
    workflow = await scene.started()
    wanted = {"heartbeat_timeout": "2.5s", "retry_policy": ONCE}
    await workflow.work(schedule_activity("a", workflow.task_queue, **wanted))
    activity = await workflow.take_activity()
    for beat in ("one", "two", "three"):
        await scene.wait(1)
        await activity.heartbeat(f"beat {beat}")
    await workflow.shows("5 ActivityTaskScheduled")
    await workflow.until(TIMED_OUT)
    await workflow.shows(
        """6 ActivityTaskStarted
        7 ActivityTaskTimedOut +5.5s failure.timeout_failure_info.timeout_type=HEARTBEAT
        failure.message='activity Heartbeat timeout'
        failure.timeout_failure_info.last_heartbeat_details='beat three'
        8 WorkflowTaskScheduled"""
    )
    await scene.refused(activity.complete(label="too late"), GONE)
    await workflow.work(complete_workflow())


@story
async def a_worker_learns_from_its_heartbeat_that_it_should_stop(scene: Scene) -> None:
    workflow = await scene.started()
    await workflow.work(schedule_activity("a", workflow.task_queue, heartbeat_timeout="50s"))
    activity = await workflow.take_activity()
    scene.tells(await activity.heartbeat(label="before"), "cancel_requested=False")
    await workflow.signal()
    await workflow.work(cancel_activity(5))
    await workflow.tells("state=CANCEL_REQUESTED", of=ACTIVITY)
    scene.tells(await activity.heartbeat(label="after"), "cancel_requested=True")
    await workflow.shows("9 WorkflowTaskCompleted 10 ActivityTaskCancelRequested")
    await activity.canceled("as you wish")
    await workflow.shows(
        """11 ActivityTaskStarted
        12 ActivityTaskCanceled started_event_id=11 latest_cancel_requested_event_id=10
        details='as you wish'
        13 WorkflowTaskScheduled"""
    )
    await workflow.work(complete_workflow())
