"""Options of activities are changed: what depends on them follows, and nothing else. See the scripts of the same name."""

from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.enums.v1 import RetryState

from perdure.core.workflow.activities.attempts import StartActivity
from perdure.core.workflow.activities.control import (
    PauseActivities,
    ResetActivities,
    Selected,
    UnpauseActivities,
)
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from tests.build.commands import failure, schedule_activity
from tests.core.workflow.run import OneRun, seconds

A = Selected("a")
POLICY = {"initial_interval": "100s", "maximum_attempts": 5, "non_retryable_error_types": ["Fatal"]}


def failed(**info: Any) -> OneRun:
    """An activity whose first attempt failed, and whose second one waits."""
    run = OneRun()
    run.work(schedule_activity("a", "q", retry_policy=POLICY))
    run.take_activity()
    run.wait(7)
    run.fail_activity(failure(**info))
    return run


def change(run: OneRun, mask: str, **options: Any) -> ActivityOptions:
    wanted = ParseDict(options, ActivityOptions())
    reply = run.ask(ChangeActivities(A, wanted, frozenset(mask.split(","))))
    assert isinstance(reply, ActivityOptions)
    return reply


def offers(run: OneRun) -> list[DispatchActivityTask]:
    return run.dispatched(DispatchActivityTask)


def take(run: OneRun) -> None:
    offer = offers(run)[-1]
    run.ask(StartActivity(offer.scheduled_event_id, offer.attempt, "w", "poll", stamp=offer.stamp))


@pytest.mark.parametrize(
    ("mask", "options"),
    [
        ("heartbeatTimeout", {"heartbeat_timeout": "5s"}),
        ("scheduleToCloseTimeout", {"schedule_to_close_timeout": "500s"}),
        ("scheduleToStartTimeout", {"schedule_to_start_timeout": "500s"}),
        ("startToCloseTimeout", {"start_to_close_timeout": "50s"}),
        ("taskQueue.name", {"task_queue": {"name": "elsewhere"}}),
        ("priority", {"priority": {"priority_key": 1}}),
        ("retryPolicy.maximumAttempts", {"retry_policy": {"maximum_attempts": 3}}),
        ("retryPolicy.backoffCoefficient", {"retry_policy": {"backoff_coefficient": 9}}),
        ("retryPolicy.maximumInterval", {"retry_policy": {"maximum_interval": "100s"}}),
    ],
)
def test_a_retry_keeps_its_time_and_its_failure(mask: str, options: dict[str, Any]) -> None:
    """A policy, too, is a change only if it means another interval for this attempt."""
    run = failed()
    before = run.pending_activity()
    run.wait(3)
    change(run, mask, **options)
    after = run.pending_activity()
    assert after.next_attempt_schedule_time == before.next_attempt_schedule_time
    assert after.current_retry_interval == before.current_retry_interval
    assert after.last_failure == before.last_failure
    assert len(offers(run)) == 1
    run.wait(97)
    assert offers(run)[-1].attempt == 2
    take(run)


def test_a_delay_that_the_application_asked_for_is_kept() -> None:
    run = failed(next_retry_delay="30s")
    change(run, "heartbeatTimeout", heartbeat_timeout="5s")
    assert seconds(run.pending_activity().next_attempt_schedule_time) == 37


def test_a_new_interval_counts_from_the_failure() -> None:
    run = failed()
    run.wait(3)
    change(run, "retryPolicy.initialInterval", retry_policy={"initial_interval": "20s"})
    assert seconds(run.pending_activity().next_attempt_schedule_time) == 27
    assert seconds(run.pending_activity().current_retry_interval) == 20
    assert run.pending_activity().last_failure.message == "failed"
    change(run, "retryPolicy.initialInterval", retry_policy={"initial_interval": "40s"})
    assert seconds(run.pending_activity().next_attempt_schedule_time) == 47
    run.wait(27)
    assert len(offers(run)) == 1
    run.wait(10)
    take(run)


def test_an_interval_that_is_over_has_the_attempt_begin_now() -> None:
    run = failed()
    run.wait(30)
    change(run, "retryPolicy.initialInterval", retry_policy={"initial_interval": "1s"})
    assert seconds(run.pending_activity().scheduled_time) == 37
    take(run)


def test_an_interval_also_counts_from_a_timeout() -> None:
    run = OneRun()
    command = schedule_activity("a", "q", start_to_close_timeout="10s", retry_policy=POLICY)
    run.work(command)
    run.take_activity()
    run.wait(12)
    change(run, "retryPolicy.initialInterval", retry_policy={"initial_interval": "20s"})
    assert seconds(run.pending_activity().next_attempt_schedule_time) == 30


def test_what_waits_for_a_worker_keeps_its_place() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    change(run, "heartbeatTimeout", heartbeat_timeout="5s")
    [offer] = offers(run)
    take(run)
    assert run.pending_activity().activity_options.heartbeat_timeout.seconds == 5
    assert offer.task_queue == "q"


def test_what_waits_elsewhere_is_offered_there() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    change(run, "taskQueue.name", task_queue={"name": "elsewhere"})
    assert [offer.task_queue for offer in offers(run)] == ["q", "elsewhere"]
    take(run)


def test_fewer_attempts_are_shown_and_followed() -> None:
    run = failed()
    change(run, "retryPolicy.maximumAttempts", retry_policy={"maximum_attempts": 2})
    shown = run.pending_activity()
    assert shown.maximum_attempts == shown.activity_options.retry_policy.maximum_attempts == 2
    run.wait(100)
    take(run)
    run.fail_activity(failure())
    reached = RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    assert run.last("ActivityTaskFailed").retry_state == reached


@pytest.mark.parametrize("mask", ["retryPolicy", "retryPolicy.nonRetryableErrorTypes"])
def test_other_final_errors_are_shown_and_followed(mask: str) -> None:
    run = failed()
    policy = POLICY | {"backoff_coefficient": 2, "non_retryable_error_types": ["Other"]}
    told = change(run, mask, retry_policy=policy)
    shown = run.pending_activity().activity_options.retry_policy
    assert list(shown.non_retryable_error_types) == ["Other"]
    assert list(told.retry_policy.non_retryable_error_types) == ["Other"]
    run.wait(100)
    take(run)
    run.fail_activity(failure(type="Fatal"))
    assert run.pending_activity().attempt == 3
    run.wait(200)
    take(run)
    run.crash()
    run.fail_activity(failure(type="Other"))
    final = RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE
    assert run.last("ActivityTaskFailed").retry_state == final


def test_final_errors_stay_if_another_part_of_the_policy_changes() -> None:
    run = failed()
    policy = {"maximum_attempts": 4, "non_retryable_error_types": ["Other"]}
    told = change(run, "retryPolicy.maximumAttempts", retry_policy=policy)
    assert list(told.retry_policy.non_retryable_error_types) == ["Fatal"]


# In a paused run

UNPAUSE = UnpauseActivities(A, False, False, 0, 0.0)
RESET = ResetActivities(A, False, False, False, 0, 0.0)


@pytest.mark.parametrize("request_", [UNPAUSE, RESET], ids=["unpaused", "reset"])
def test_an_operator_lets_an_activity_go_in_a_paused_run(request_: object) -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q", retry_policy={"initial_interval": "1s"}))
    run.ask(PauseActivities(A, "operator", "why", "one"))
    run.ask(Pause("operator", "why", "two"))
    run.crash()
    assert offers(run) == []
    run.ask(request_)
    take(run)
    run.fail_activity(failure())
    run.wait(1)
    run.crash()
    take(run)
    run.complete_activity()


def test_a_pause_keeps_back_what_was_let_go_in_the_one_before() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    run.ask(PauseActivities(A, "operator", "why", "one"))
    run.ask(Pause("operator", "why", "two"))
    run.ask(UNPAUSE)
    run.ask(Unpause("operator", "enough", "three"))
    run.ask(Pause("operator", "why", "four"))
    run.crash()
    assert offers(run) == []


def test_changed_options_let_nothing_go() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    run.ask(Pause("operator", "why", "one"))
    change(run, "taskQueue.name", task_queue={"name": "elsewhere"})
    run.crash()
    assert offers(run) == []


def test_a_change_of_several_that_is_refused_for_one_changes_none() -> None:
    run = OneRun()
    run.work(
        schedule_activity("a", "q"),
        schedule_activity("b", "q", retry_policy={"maximum_interval": "5s"}),
    )
    wanted = ParseDict({"retry_policy": {"initial_interval": "50s"}}, ActivityOptions())
    refusal = run.refused(
        ChangeActivities(Selected(), wanted, frozenset({"retryPolicy.initialInterval"}))
    )
    assert refusal.startswith("INVALID_ARGUMENT")
    assert run.state == run.journal.folded
    assert not any(each.original_attributes for each in run.state.activities.values())
