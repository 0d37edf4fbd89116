"""Operators take a hand in activities. The differential scripts of the same name have the real server's answers."""

from typing import Any

import pytest
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.enums.v1 import PendingActivityState

from perdure.core.errors import Rejected
from perdure.core.workflow.activities.attempts import StartActivity
from perdure.core.workflow.activities.control import (
    PauseActivities,
    ResetActivities,
    Selected,
    UnpauseActivities,
)
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.core.workflow.effects import DispatchActivityTask
from tests.build.commands import failure, schedule_activity
from tests.core.workflow.run import OneRun

A = Selected("a")


def run_with(**fields: Any) -> OneRun:
    run = OneRun()
    run.work(schedule_activity("a", "q", **fields))
    return run


def pause(run: OneRun, request_id: str = "one") -> None:
    run.ask(PauseActivities(A, "operator", "why", request_id))


def unpause(run: OneRun, **fields: Any) -> None:
    wanted = {"reset_attempts": False, "reset_heartbeat": False, "jitter_ns": 0, "chance": 0.0}
    run.ask(UnpauseActivities(A, **(wanted | fields)))


def reset(run: OneRun, which: Selected = A, **fields: Any) -> None:
    wanted = {
        "reset_heartbeat": False,
        "keep_paused": False,
        "restore_options": False,
        "jitter_ns": 0,
        "chance": 0.0,
    }
    run.ask(ResetActivities(which, **(wanted | fields)))


def start(run: OneRun, offer: DispatchActivityTask) -> Any:
    return run.ask(
        StartActivity(offer.scheduled_event_id, offer.attempt, "w", "poll", stamp=offer.stamp)
    )


def test_a_paused_activity_is_not_started_until_it_goes_on():
    run = run_with()
    [offer] = run.dispatched(DispatchActivityTask)
    pause(run)
    with pytest.raises(Rejected):
        start(run, offer)
    run.crash()
    assert run.dispatched(DispatchActivityTask) == []
    assert run.pending_activity().state == PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
    unpause(run)
    with pytest.raises(Rejected):
        start(run, offer)
    start(run, run.dispatched(DispatchActivityTask)[-1])
    run.complete_activity()


def test_timeouts_do_not_strike_while_it_is_paused():
    run = run_with(schedule_to_start_timeout="5s", schedule_to_close_timeout="8s")
    pause(run)
    run.wait(100)
    assert run.state.activities
    run.crash()
    unpause(run)
    run.wait(5)
    assert not run.state.activities


def test_an_attempt_that_fails_while_it_is_paused_is_followed_by_none():
    run = run_with(retry_policy={"initial_interval": "1s"})
    run.take_activity()
    pause(run)
    run.fail_activity(failure())
    count = len(run.dispatched(DispatchActivityTask))
    run.wait(50)
    assert len(run.dispatched(DispatchActivityTask)) == count
    assert run.pending_activity().attempt == 2
    unpause(run, reset_attempts=True)
    assert run.pending_activity().attempt == 1
    assert len(run.dispatched(DispatchActivityTask)) == count + 1


def test_an_attempt_that_goes_on_as_the_first_one_can_time_out():
    run = run_with(start_to_close_timeout="10s", retry_policy={"initial_interval": "1s"})
    run.take_activity()
    run.fail_activity(failure())
    run.wait(1)
    run.take_activity()
    run.crash()  # The timers of the attempt before are gone.
    pause(run)
    unpause(run, reset_attempts=True)
    assert run.pending_activity().attempt == 1
    run.wait(10)
    assert run.pending_activity().attempt == 2


def test_jitter_spreads_what_goes_on_together():
    run = OneRun()
    run.work(*(schedule_activity(name, "q") for name in "abc"))
    run.ask(PauseActivities(Selected(), "operator", "why", "one"))
    every = UnpauseActivities(Selected(), False, False, 10 * 10**9, 0.5)
    run.ask(every)
    due = {activity.scheduled_at_ns for activity in run.state.activities.values()}
    assert len(due) == 3
    assert all(0 <= at_ns - run.now_ns < 10 * 10**9 for at_ns in due)
    run.wait(10)
    assert {offer.scheduled_event_id for offer in run.dispatched(DispatchActivityTask)} == {5, 6, 7}


def test_a_reset_begins_with_the_first_attempt_at_once():
    run = run_with(retry_policy={"initial_interval": "100s"})
    run.take_activity()
    run.heartbeat()
    run.fail_activity(failure())
    assert run.pending_activity().attempt == 2
    reset(run, reset_heartbeat=True)
    assert run.pending_activity().attempt == 1
    assert not run.pending_activity().HasField("heartbeat_details")
    start(run, run.dispatched(DispatchActivityTask)[-1])


def test_options_are_changed_and_restored():
    run = run_with(retry_policy={"initial_interval": "100s"})
    wanted = ActivityOptions()
    wanted.task_queue.name = "other"
    wanted.start_to_close_timeout.FromSeconds(3)
    fields = frozenset({"taskQueue.name", "startToCloseTimeout"})
    options = run.ask(ChangeActivities(A, wanted, fields))
    assert (options.task_queue.name, options.start_to_close_timeout.seconds) == ("other", 3)
    [first, second] = run.dispatched(DispatchActivityTask)
    assert (first.task_queue, second.task_queue) == ("q", "other")
    start(run, second)
    run.crash()
    run.wait(3)
    assert run.pending_activity().attempt == 2, "the new timeout counts"
    options = run.ask(ChangeActivities(A, None, None, restores=True))
    assert (options.task_queue.name, options.start_to_close_timeout.seconds) == ("q", 100)


def test_a_type_or_an_id_that_is_not_there():
    run = run_with()
    for which in (Selected("nobody"), Selected(activity_type="Nobody")):
        with pytest.raises(Rejected) as refused:
            reset(run, which)
        assert "Can't find pending activity" in refused.value.message


def test_a_pause_of_several_that_is_refused_pauses_none() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"), schedule_activity("b", "q"))
    run.ask(PauseActivities(Selected("b"), "operator", "why", "one"))
    refusal = run.refused(PauseActivities(Selected(), "operator", "why", "two"))
    assert refusal == "FAILED_PRECONDITION: activity is already paused"
    assert run.state == run.journal.folded
    assert [bool(each.paused_at_ns) for each in run.state.activities.values()] == [False, True]
