"""Something is done in the outside world, and works at once. Failures and time-outs have files of their own."""

import pytest
from temporalio.api.enums.v1 import PendingActivityState

from perdure.core.limits import Limits
from perdure.core.workflow.activities.attempts import (
    ActivityRef,
    CancelActivity,
    CompleteActivity,
    FailActivity,
    StartActivity,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.effects import DispatchActivityTask
from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    failure,
    payloads,
    schedule_activity,
)
from tests.core.workflow.run import OneRun, loosely, seconds

GONE = (
    "NOT_FOUND: invalid activityID or activity already timed out or invoking workflow is completed"
)
CLOSED = "NOT_FOUND: workflow execution already completed"


def scheduled(**fields: object) -> OneRun:
    run = OneRun()
    run.work(schedule_activity("a", "aq", **fields))
    return run


def timeouts(run: OneRun) -> list[float]:
    """Return schedule-to-close, schedule-to-start, start-to-close and heartbeat of event 5."""
    event = run.event(5)
    assert event.HasField("schedule_to_close_timeout")
    assert event.HasField("schedule_to_start_timeout")
    assert event.HasField("heartbeat_timeout")
    return [
        seconds(event.schedule_to_close_timeout),
        seconds(event.schedule_to_start_timeout),
        seconds(event.start_to_close_timeout),
        seconds(event.heartbeat_timeout),
    ]


def test_an_activity_is_done() -> None:
    run = scheduled(input={"payloads": [{}]})
    assert run.effects[-1] == DispatchActivityTask("aq", 5, 1)
    run.wait(1)
    task = run.take_activity()
    assert (task.scheduled_event_id, task.attempt, task.workflow_type) == (5, 1, "T")
    assert run.history().endswith("5 ActivityTaskScheduled"), "only its end tells of its start"
    run.wait(2)
    run.ask(CompleteActivity(run.activity(), payloads("r"), "worker"))
    assert run.history() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskCompleted 5 ActivityTaskScheduled 6 ActivityTaskStarted
        7 ActivityTaskCompleted 8 WorkflowTaskScheduled"""
    )
    started, completed = run.event(6), run.event(7)
    assert (started.scheduled_event_id, started.identity, started.request_id, started.attempt) == (
        5,
        "worker",
        "poll-id",
        1,
    )
    assert not started.HasField("last_failure")
    assert (completed.scheduled_event_id, completed.started_event_id) == (5, 6)
    assert (completed.result, completed.identity) == (payloads("r"), "worker")
    assert [seconds(event.event_time) for event in run.journal.events[4:]] == [0, 1, 3, 3]


def test_what_is_not_asked_for_is_filled_in() -> None:
    run = scheduled(start_to_close_timeout="10s", heartbeat_timeout="50s")
    event = run.event(5)
    assert (event.activity_id, event.activity_type.name) == ("a", "Activity")
    assert (event.task_queue.name, event.task_queue.kind) == ("aq", 1)
    assert event.workflow_task_completed_event_id == 4
    assert timeouts(run) == [0, 0, 10, 10], "no heartbeat can be later than the end"
    policy = event.retry_policy
    assert (seconds(policy.initial_interval), seconds(policy.maximum_interval)) == (1, 100)
    assert (policy.backoff_coefficient, policy.maximum_attempts) == (2, 0)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"schedule_to_close_timeout": "20s"}, [20, 20, 20, 0]),
        (
            {"schedule_to_close_timeout": "20s", "schedule_to_start_timeout": "30s"},
            [20, 20, 20, 0],
        ),
        ({"schedule_to_close_timeout": "20s", "start_to_close_timeout": "5s"}, [20, 20, 5, 0]),
        ({"start_to_close_timeout": "5s", "schedule_to_start_timeout": "7s"}, [0, 7, 5, 0]),
    ],
)
def test_timeouts_follow_from_one_another(fields: dict[str, str], expected: list[float]) -> None:
    run = scheduled(**{"start_to_close_timeout": None} | fields)
    assert timeouts(run) == expected


def test_nothing_outlasts_the_run() -> None:
    run = OneRun(workflow_run_timeout="30s")
    run.work(schedule_activity("a", "aq", start_to_close_timeout="99s", heartbeat_timeout="98s"))
    assert timeouts(run) == [30, 30, 30, 30]


def test_one_attempt_is_handed_out_once() -> None:
    run = scheduled()
    first = run.take_activity()
    assert run.ask(StartActivity(5, 1, "worker", "poll-id")) == first, "the same poll, asking again"
    assert run.refused(StartActivity(5, 1, "other", "other-poll")) == GONE
    assert run.refused(StartActivity(5, 2, "other", "other-poll")) == GONE
    assert run.refused(StartActivity(6, 1, "other", "other-poll")) == GONE
    run.complete_activity()
    assert run.refused(StartActivity(5, 1, "worker", "poll-id")) == GONE


def test_an_activity_that_a_worker_holds_is_not_handed_out_after_a_crash() -> None:
    run = scheduled()
    run.take_activity()
    run.crash()
    assert run.dispatched(DispatchActivityTask) == []
    run.complete_activity()
    assert run.history().endswith("7 ActivityTaskCompleted 8 WorkflowTaskScheduled")


def test_an_activity_that_nobody_holds_is_offered_again_after_a_crash() -> None:
    run = scheduled()
    run.crash()
    assert run.effects == [DispatchActivityTask("aq", 5, 1)]


ANSWERS = (CompleteActivity, FailActivity, CancelActivity, HeartbeatActivity)


def answer(kind: type, ref: ActivityRef) -> object:
    what = failure() if kind is FailActivity else None
    return kind(ref, what, "worker")


@pytest.mark.parametrize("kind", ANSWERS)
def test_who_does_not_hold_an_activity_cannot_answer_for_it(kind: type) -> None:
    run = scheduled(retry_policy={"maximum_attempts": 3})
    ref = run.activity()
    assert run.refused(answer(kind, ref)) == GONE, "not handed out"
    assert run.refused(answer(kind, ActivityRef(99, 1))) == GONE
    run.take_activity()
    assert run.refused(answer(kind, ActivityRef(5, 2))) == GONE
    run.fail_activity(failure())
    assert run.refused(answer(kind, ref)) == GONE, "backing off"
    run.wait(1)
    run.take_activity()
    assert run.refused(answer(kind, ref)) == GONE, "an earlier attempt"
    run.complete_activity()
    assert run.refused(answer(kind, ActivityRef(5, 2))) == GONE, "done"
    run.work(complete_workflow())
    assert run.refused(answer(kind, ref)) == CLOSED
    assert run.refused(answer(kind, ActivityRef(activity_id="a"))) == CLOSED


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_activity_is_found_by_its_id(kind: type) -> None:
    run = scheduled()
    assert run.refused(answer(kind, ActivityRef(activity_id="zz"))) == (
        "NOT_FOUND: cannot find pending activity with ActivityID zz,"
        " check workflow execution history for more details"
    )
    by_id = ActivityRef(activity_id="a")
    if kind is not CompleteActivity:
        assert run.refused(answer(kind, by_id)) == GONE, "not handed out"
    run.take_activity()
    if kind is CancelActivity:
        run.signal()
        run.work(cancel_activity(5))
    run.ask(answer(kind, by_id))


def test_an_activity_may_be_completed_by_its_id_before_a_worker_has_it() -> None:
    run = scheduled()
    run.ask(CompleteActivity(ActivityRef(activity_id="a"), None, "somebody"))
    assert run.history().endswith(
        "6 ActivityTaskStarted 7 ActivityTaskCompleted 8 WorkflowTaskScheduled"
    )
    started = run.event(6)
    assert (started.identity, started.attempt, started.request_id) == ("somebody", 1, "")
    assert run.event(7).started_event_id == 6


def test_an_activity_id_can_be_used_again_once_it_is_free() -> None:
    run = scheduled()
    run.take_activity()
    run.complete_activity()
    run.work(schedule_activity("a", "aq"))
    assert run.activity() == ActivityRef(11, 1)


def test_cancelling_an_activity_that_nobody_holds_ends_it() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "aq"), cancel_activity(5))
    assert run.history().endswith(
        "5 ActivityTaskScheduled 6 ActivityTaskCancelRequested 7 ActivityTaskCanceled"
        " 8 WorkflowTaskScheduled"
    )
    canceled = run.event(7)
    assert (canceled.scheduled_event_id, canceled.started_event_id) == (5, 0)
    assert canceled.latest_cancel_requested_event_id == 6
    assert canceled.details.payloads[0].data == b'"ACTIVITY_ID_NOT_STARTED"'
    assert run.refused(StartActivity(5, 1, "worker", "poll-id")) == GONE


def test_cancelling_twice_in_one_completion_is_shown_twice() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "aq"), cancel_activity(5), cancel_activity(5))
    assert run.history().endswith(
        "6 ActivityTaskCancelRequested 7 ActivityTaskCancelRequested 8 ActivityTaskCanceled"
        " 9 WorkflowTaskScheduled"
    )


def test_an_activity_that_a_worker_holds_is_asked_to_stop_once() -> None:
    run = scheduled()
    run.take_activity()
    run.signal()
    run.take()
    assert run.refused(run.completion(cancel_activity(5), cancel_activity(5))) == (
        "INVALID_ARGUMENT: BadRequestCancelActivityAttributes: invalid history builder state for"
        " action: add-activitytask-cancel-requested-event, ScheduledEventID: 5"
    )
    assert run.pending_activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


def test_an_activity_may_be_asked_to_stop_whose_end_the_worker_has_not_seen() -> None:
    run = scheduled()
    run.take_activity()
    run.signal()
    run.take()
    run.complete_activity()
    run.complete(cancel_activity(5))
    assert run.history().endswith(
        "10 ActivityTaskCancelRequested 11 ActivityTaskStarted 12 ActivityTaskCompleted"
        " 13 WorkflowTaskScheduled"
    )


def test_an_activity_may_succeed_though_it_should_stop() -> None:
    run = scheduled()
    run.take_activity()
    run.signal()
    run.work(cancel_activity(5))
    run.complete_activity()
    assert run.history().endswith("12 ActivityTaskCompleted 13 WorkflowTaskScheduled")


def test_nobody_cancels_an_activity_that_was_not_asked_to_stop() -> None:
    run = scheduled()
    run.take_activity()
    assert run.refused(CancelActivity(run.activity(), None, "worker")) == (
        "INVALID_ARGUMENT: unable to mark activity as canceled without activity being request"
        " canceled first"
    )


def test_an_eager_activity_goes_to_the_worker_that_asked_for_it() -> None:
    run = OneRun()
    reply = run.work(schedule_activity("a", "q", request_eager_execution=True))
    [task] = reply.activity_tasks
    assert (task.scheduled_event_id, task.attempt) == (5, 1)
    assert run.dispatched(DispatchActivityTask) == []
    run.complete_activity()
    assert run.event(6).identity == "worker"


def test_an_activity_is_offered_to_all_where_none_is_eager() -> None:
    """SDKs ask for it by default, whenever they have room."""
    run = OneRun(limits=Limits(enable_activity_eager_execution=False))
    reply = run.work(schedule_activity("a", "q", request_eager_execution=True))
    assert not reply.activity_tasks
    run.take_activity()
    assert len(run.dispatched(DispatchActivityTask)) == 1


def test_an_eager_activity_that_is_cancelled_at_once_goes_to_nobody() -> None:
    run = OneRun()
    reply = run.work(schedule_activity("a", "q", request_eager_execution=True), cancel_activity(5))
    assert reply.activity_tasks == []


def test_how_an_activity_is_described() -> None:
    run = scheduled(schedule_to_close_timeout="60s", retry_policy={"maximum_attempts": 3})
    pending = run.pending_activity()
    assert (pending.activity_id, pending.activity_type.name) == ("a", "Activity")
    assert pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    assert (pending.attempt, pending.maximum_attempts) == (1, 3)
    assert (seconds(pending.scheduled_time), seconds(pending.expiration_time)) == (0, 60)
    assert not pending.HasField("last_started_time")
    options = pending.activity_options
    assert (options.task_queue.name, options.task_queue.normal_name) == ("aq", "aq")
    assert seconds(options.start_to_close_timeout) == 60
    run.wait(2)
    run.take_activity()
    run.wait(1)
    run.heartbeat(payloads("h"))
    pending = run.pending_activity()
    assert pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    assert (seconds(pending.last_started_time), seconds(pending.last_heartbeat_time)) == (2, 3)
    assert (pending.heartbeat_details, pending.last_worker_identity) == (payloads("h"), "worker")
    run.terminate()
    assert run.pending_activity() == pending, "as it was when the run closed"
