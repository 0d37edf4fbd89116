"""An activity is not done in time: it is not begun, not ended, or not heard of."""

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.api.enums.v1 import RetryState, TimeoutType

from perdure.core.workflow.effects import DispatchActivityTask
from tests.build.commands import failure, payloads, schedule_activity
from tests.core.workflow.run import OneRun, seconds

ONCE = {"maximum_attempts": 1}
NO_TIME = (
    "Not enough time to schedule next retry before activity ScheduleToClose timeout,"
    " giving up retrying"
)


def scheduled(policy: Mapping[str, object] | None = None, **fields: object) -> OneRun:
    run = OneRun()
    run.work(schedule_activity("a", "q", retry_policy=policy or {}, **fields))
    return run


def timed_out(run: OneRun) -> Any:
    assert "ActivityTaskTimedOut" in run.history()
    return run.last("ActivityTaskTimedOut")


def test_an_attempt_that_took_too_long_is_tried_again() -> None:
    run = scheduled(start_to_close_timeout="5s")
    run.take_activity()
    stale = run.activity()
    run.wait(6)
    assert run.effects[-1] == DispatchActivityTask("q", 5, 2)
    assert run.pending_activity().last_failure.message == "activity StartToClose timeout"
    run.take_activity()
    assert run.activity() != stale
    run.complete_activity()
    assert run.event(6).last_failure.message == "activity StartToClose timeout"


def test_a_policy_may_name_a_timeout_as_final() -> None:
    run = scheduled(
        {"non_retryable_error_types": ["TemporalTimeout:StartToClose"]}, start_to_close_timeout="5s"
    )
    run.take_activity()
    run.wait(5)
    assert timed_out(run).retry_state == RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE


def test_no_worker_begins_in_time() -> None:
    run = scheduled(schedule_to_start_timeout="5s")
    run.wait(5)
    assert run.history().endswith(
        "5 ActivityTaskScheduled 6 ActivityTaskTimedOut 7 WorkflowTaskScheduled"
    )
    event = timed_out(run)
    assert (event.started_event_id, event.retry_state) == (0, RetryState.RETRY_STATE_TIMEOUT)
    assert event.failure.message == "activity ScheduleToStart timeout"
    info = event.failure.timeout_failure_info
    assert info.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START


def test_a_worker_begins_in_time() -> None:
    run = scheduled(schedule_to_start_timeout="5s")
    run.wait(4)
    run.take_activity()
    run.wait(10)
    assert run.history().endswith("5 ActivityTaskScheduled")


def test_every_attempt_must_begin_in_time() -> None:
    run = scheduled({"initial_interval": "3s"}, schedule_to_start_timeout="5s")
    run.wait(4)
    run.take_activity()
    run.fail_activity(failure("first"))
    run.wait(3 + 4.5)
    assert run.history().endswith("5 ActivityTaskScheduled")
    run.wait(0.5)
    event = timed_out(run)
    assert event.failure.timeout_failure_info.timeout_type == (
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
    )
    assert event.failure.cause.message == "first"


def test_all_attempts_together_take_too_long() -> None:
    run = scheduled(start_to_close_timeout=None, schedule_to_close_timeout="10s")
    run.wait(3)
    run.take_activity()
    run.wait(7)
    event = timed_out(run)
    assert event.retry_state == RetryState.RETRY_STATE_TIMEOUT
    assert event.failure.timeout_failure_info.timeout_type in (
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
        TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE,
    )


def test_the_time_for_all_attempts_does_not_begin_again() -> None:
    run = scheduled({"backoff_coefficient": 1}, schedule_to_close_timeout="10s")
    run.take_activity()
    run.wait(8)
    run.fail_activity(failure("first"))
    run.wait(1)
    run.take_activity()
    run.wait(0.9)
    assert run.history().endswith("5 ActivityTaskScheduled")
    run.wait(0.1)
    event = timed_out(run)
    assert run.at() == 10
    assert event.failure.timeout_failure_info.timeout_type == (
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
    )
    assert event.failure.cause.message == "first"
    assert run.event(event.started_event_id).attempt == 2


def test_a_time_out_that_leaves_no_time_for_another_attempt_ends_the_activity() -> None:
    run = scheduled(start_to_close_timeout="5s", schedule_to_close_timeout="5.5s")
    run.take_activity()
    run.wait(5)
    event = timed_out(run)
    assert event.retry_state == RetryState.RETRY_STATE_TIMEOUT
    assert event.failure.message == NO_TIME
    assert event.failure.timeout_failure_info.timeout_type == (
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
    )


def test_every_attempt_has_its_own_heartbeat() -> None:
    run = scheduled(heartbeat_timeout="3s")
    run.take_activity()
    run.wait(2)
    run.heartbeat(payloads("alive"))
    run.fail_activity(failure())
    run.wait(60)
    task = run.take_activity()
    assert task.has_heartbeat_details
    run.wait(2.9)
    assert run.pending_activity().attempt == 2
    run.wait(0.1)
    assert run.pending_activity().attempt == 3


def test_timeouts_outlive_a_crash() -> None:
    run = scheduled(ONCE, heartbeat_timeout="3s")
    run.take_activity()
    run.wait(2)
    run.heartbeat()
    run.crash()
    run.wait(2.9)
    assert run.history().endswith("5 ActivityTaskScheduled")
    run.wait(0.1)
    assert seconds(run.journal.events[-1].event_time) == 5
    assert timed_out(run).failure.message == "activity Heartbeat timeout"


# Short heartbeat timeouts: see docs/decisions/0009-heartbeats.md


def beats_until(run: OneRun) -> float:
    """Take the activity, and say after how many seconds its attempt is over."""
    run.take_activity()
    began = run.at()
    while run.state.activities:
        run.wait(0.01)
    return round(run.at() - began, 2)


@pytest.mark.parametrize(
    ("timeout", "strikes_after"),
    [(0.1, 0.58), (0.5, 0.9), (1, 1.3), (2, 2.1), (2.5, 2.5), (3, 3), (60, 60)],
)
def test_a_heartbeat_has_half_a_second_to_arrive(timeout: float, strikes_after: float) -> None:
    run = scheduled(ONCE, heartbeat_timeout=f"{timeout}s")
    assert beats_until(run) == strikes_after
    info = timed_out(run).failure.timeout_failure_info
    assert info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT


def test_a_heartbeat_that_is_a_little_late_is_taken() -> None:
    run = scheduled(ONCE, heartbeat_timeout="1s")
    run.take_activity()
    for _ in range(3):
        run.wait(1.25)
        run.crash()
        run.heartbeat(payloads("late"))
    run.wait(1.29)
    assert run.state.activities
    run.wait(0.01)
    assert timed_out(run)


def test_what_strikes_before_a_late_heartbeat_is_given_up_tells_of_it() -> None:
    run = scheduled(ONCE, heartbeat_timeout="0.9s", start_to_close_timeout="1s")
    assert beats_until(run) == 1
    info = timed_out(run).failure.timeout_failure_info
    assert info.timeout_type == TimeoutType.TIMEOUT_TYPE_HEARTBEAT


def test_the_timeout_of_another_activity_leaves_a_late_heartbeat_its_time() -> None:
    run = OneRun()
    run.work(
        schedule_activity("a", "q", heartbeat_timeout="1s", retry_policy=ONCE),
        schedule_activity("b", "q", start_to_close_timeout="1.1s", retry_policy=ONCE),
    )
    run.take_activity("a")
    run.take_activity("b")
    run.wait(1.2)
    assert [each.activity_id for each in run.state.activities.values()] == ["a"]
    run.heartbeat()


@pytest.mark.parametrize("policy", [ONCE, {}, {"initial_interval": "0.001s"}])
def test_an_eager_activity_whose_timeouts_are_equal(policy: Mapping[str, object]) -> None:
    """The time for all attempts is over: that is told, as of one that a worker polled."""
    equal = dict.fromkeys(("schedule_to_close_timeout", "start_to_close_timeout"), "5s")
    for is_eager in (True, False):
        run = scheduled(policy, request_eager_execution=is_eager, **equal)
        if not is_eager:
            run.take_activity()
        run.wait(5)
        event = timed_out(run)
        assert event.failure.message == NO_TIME
        assert event.retry_state == RetryState.RETRY_STATE_TIMEOUT
        info = event.failure.timeout_failure_info
        assert info.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE
