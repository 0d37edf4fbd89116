"""An attempt of an activity fails, and there is another one, or not."""

import math
from collections.abc import Mapping

import pytest
from temporalio.api.common.v1 import RetryPolicy as ApiRetryPolicy
from temporalio.api.enums.v1 import RetryState
from temporalio.api.failure.v1 import Failure

from perdure.core.limits import RetryDefaults
from perdure.core.workflow.activities.attempts import FailActivity
from perdure.core.workflow.activities.retries import exponential_ns
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.pending import RetryPolicy
from perdure.core.workflow.validation import retry_policy_fault, with_defaults
from tests.build.commands import cancel_activity, failure, payloads, schedule_activity
from tests.core.workflow.run import OneRun, seconds


def scheduled(policy: Mapping[str, object] | None = None, **fields: object) -> OneRun:
    run = OneRun()
    run.work(schedule_activity("a", "q", retry_policy=policy or {}, **fields))
    run.take_activity()
    return run


def ended(run: OneRun) -> tuple[int, int]:
    """Return the state that ended the retries and the attempt that was the last."""
    failed = run.last("ActivityTaskFailed")
    return failed.retry_state, run.event(failed.started_event_id).attempt


def next_attempt_after(run: OneRun) -> float:
    """Fail the attempt; return the seconds until the next one is offered, and take it."""
    run.fail_activity(failure())
    offered = len(run.dispatched(DispatchActivityTask))
    failed_at = run.at()
    while len(run.dispatched(DispatchActivityTask)) == offered:
        run.wait(0.25)
    run.take_activity()
    return run.at() - failed_at


def test_intervals_double_up_to_a_hundred_seconds_by_default() -> None:
    run = scheduled()
    assert [next_attempt_after(run) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 64, 100, 100]


def test_intervals_follow_the_policy() -> None:
    run = scheduled(
        {"initial_interval": "2s", "backoff_coefficient": 1.5, "maximum_interval": "4s"}
    )
    assert [next_attempt_after(run) for _ in range(4)] == [2, 3, 4, 4]


def test_a_huge_interval_is_capped() -> None:
    run = scheduled({"backoff_coefficient": 1e300, "maximum_interval": "9s"})
    assert [next_attempt_after(run) for _ in range(4)] == [1, 9, 9, 9]


def test_a_failed_attempt_is_not_in_history() -> None:
    run = scheduled()
    run.news()
    run.fail_activity(failure("first"))
    assert run.news() == ""
    run.wait(1)
    assert run.effects[-1] == DispatchActivityTask("q", 5, 2)
    run.take_activity()
    run.complete_activity()
    assert run.news() == "6 ActivityTaskStarted 7 ActivityTaskCompleted 8 WorkflowTaskScheduled"
    started = run.event(6)
    assert (started.attempt, started.last_failure) == (2, failure("first"))


def test_nobody_is_offered_an_attempt_that_backs_off() -> None:
    run = scheduled({"initial_interval": "10s"})
    run.fail_activity(failure())
    offered = len(run.effects)
    run.wait(9)
    assert len(run.effects) == offered
    run.crash()
    assert run.effects == []
    run.wait(1)
    assert run.effects == [DispatchActivityTask("q", 5, 2)]


def test_how_an_activity_that_backs_off_is_described() -> None:
    run = scheduled({"initial_interval": "10s"})
    run.wait(2)
    run.fail_activity(failure("oh"))
    pending = run.pending_activity()
    assert (pending.attempt, pending.last_failure.message) == (2, "oh")
    assert seconds(pending.current_retry_interval) == 10
    assert seconds(pending.next_attempt_schedule_time) == 12
    assert seconds(pending.scheduled_time) == 12
    assert seconds(pending.last_attempt_complete_time) == 2
    assert not pending.HasField("last_started_time")
    run.wait(10)
    pending = run.pending_activity()
    assert not pending.HasField("next_attempt_schedule_time")
    assert not pending.HasField("current_retry_interval")


@pytest.mark.parametrize(
    "final",
    [failure(non_retryable=True), failure(type="Fatal")],
    ids=["says so", "is of a type that the policy names"],
)
def test_some_failures_are_final(final: Failure) -> None:
    run = scheduled({"non_retryable_error_types": ["Fatal"]})
    run.fail_activity(failure(type="Other"))
    run.wait(1)
    run.take_activity()
    run.fail_activity(final)
    assert ended(run) == (RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE, 2)


def test_the_failure_may_say_when_to_try_again() -> None:
    run = scheduled()
    run.fail_activity(failure(next_retry_delay="7s"))
    assert seconds(run.pending_activity().current_retry_interval) == 7
    run.wait(7)
    run.take_activity()
    run.fail_activity(failure())
    assert seconds(run.pending_activity().current_retry_interval) == 2, "the policy's again"


def test_a_failure_that_asks_for_less_than_nothing_is_tried_again_at_once() -> None:
    run = scheduled()
    run.fail_activity(failure(next_retry_delay="-5s"))
    run.wait(0)
    assert run.effects[-1] == DispatchActivityTask("q", 5, 2)
    run.take_activity()
    run.complete_activity()


def test_there_is_no_next_attempt_when_there_is_no_time_for_it() -> None:
    run = scheduled(
        {"initial_interval": "4s", "backoff_coefficient": 1}, schedule_to_close_timeout="10s"
    )
    run.wait(1)
    run.fail_activity(failure())
    run.wait(4)
    run.take_activity()
    run.wait(2)
    run.fail_activity(failure())
    assert ended(run) == (RetryState.RETRY_STATE_TIMEOUT, 2)
    assert run.at() == 7, "the next one would begin at 11 s"


def test_an_activity_that_should_stop_is_not_tried_again() -> None:
    run = scheduled()
    run.signal()
    run.work(cancel_activity(5))
    run.fail_activity(failure())
    assert ended(run) == (RetryState.RETRY_STATE_CANCEL_REQUESTED, 1)


def test_an_activity_that_should_stop_while_it_backs_off_ends_at_once() -> None:
    run = scheduled()
    run.fail_activity(failure())
    run.signal()
    run.work(cancel_activity(5))
    assert run.history().endswith("11 ActivityTaskCanceled 12 WorkflowTaskScheduled")
    assert run.event(11).started_event_id == 0


def test_the_next_attempt_knows_the_last_heartbeat() -> None:
    run = scheduled()
    run.heartbeat(payloads("half"))
    run.fail_activity(failure())
    run.wait(1)
    task = run.take_activity()
    assert task.heartbeat_details == payloads("half").SerializeToString()
    run.ask(FailActivity(run.activity(), failure(), "worker", payloads("more")))
    run.wait(2)
    assert run.take_activity().heartbeat_details == payloads("more").SerializeToString()


def test_a_missing_failure_is_a_failure() -> None:
    run = scheduled({"maximum_attempts": 1})
    run.ask(FailActivity(run.activity(), None, "worker"))
    assert not run.last("ActivityTaskFailed").HasField("failure")
    assert ended(run) == (RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED, 1)


def test_no_wait_is_too_long_to_be_stored() -> None:
    run, wanted = scheduled(), failure()
    wanted.application_failure_info.next_retry_delay.seconds = 315_576_000_000
    run.fail_activity(wanted)
    run.crash()
    [activity] = run.described().pending_activities
    assert activity.scheduled_time.seconds < 2**63 / 1e9


def test_a_coefficient_that_is_no_number_means_the_longest_wait() -> None:
    policy = RetryPolicy(10**9, math.nan, 100 * 10**9)
    assert [exponential_ns(policy, attempt) // 10**9 for attempt in (1, 2, 3)] == [1, 100, 100]


@pytest.mark.parametrize("seconds", [-(2**63), 2**63 - 1])
def test_a_policy_of_any_number_can_be_checked(seconds: int) -> None:
    policy = ApiRetryPolicy()
    policy.initial_interval.seconds = seconds
    with_defaults(policy, RetryDefaults())
    assert (retry_policy_fault(policy) is None) == (seconds > 0)
