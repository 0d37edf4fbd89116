"""The workflow sleeps."""

from perdure.core.execution.outcome import Timer, TimerKind
from tests.build.commands import cancel_timer, complete_workflow, start_timer
from tests.core.workflow.run import T0_NS, OneRun, loosely, seconds


def test_a_timer_fires_when_its_time_has_come() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.wait(4.999)
    assert run.history().endswith("5 TimerStarted")
    run.wait(0.001)
    assert run.history() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskCompleted 5 TimerStarted 6 TimerFired 7 WorkflowTaskScheduled"""
    )
    assert run.event(5).workflow_task_completed_event_id == 4
    assert (run.event(6).timer_id, run.event(6).started_event_id) == ("t", 5)
    assert seconds(run.journal.events[5].event_time) == 5
    run.work(complete_workflow())
    assert run.history().endswith("10 WorkflowExecutionCompleted")


def test_timers_fire_in_the_order_of_their_times() -> None:
    run = OneRun()
    run.work(start_timer("late", 9), start_timer("soon", 2))
    run.wait(10)
    run.work()
    assert run.history() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskCompleted 5 TimerStarted 6 TimerStarted 7 TimerFired
        8 WorkflowTaskScheduled 9 TimerFired 10 WorkflowTaskStarted 11 WorkflowTaskCompleted"""
    )
    assert [run.event(7).timer_id, run.event(9).timer_id] == ["soon", "late"]


def test_a_timer_of_no_time_fires_at_once() -> None:
    run = OneRun()
    run.work(start_timer("t", 0))
    run.wait(0)
    assert run.history().endswith("5 TimerStarted 6 TimerFired 7 WorkflowTaskScheduled")


def test_a_cancelled_timer_does_not_fire() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.signal()
    run.work(cancel_timer("t"))
    assert run.history().endswith("9 WorkflowTaskCompleted 10 TimerCanceled")
    canceled = run.event(10)
    assert (canceled.timer_id, canceled.started_event_id) == ("t", 5)
    assert (canceled.workflow_task_completed_event_id, canceled.identity) == (9, "worker")
    run.news()
    run.wait(10)
    assert run.news() == ""


def test_a_timer_id_can_be_used_again_within_one_completion() -> None:
    run = OneRun()
    run.work(start_timer("t", 5), cancel_timer("t"), start_timer("t", 7))
    assert run.history().endswith("5 TimerStarted 6 TimerCanceled 7 TimerStarted")
    run.wait(6)
    assert run.history().endswith("7 TimerStarted"), "the first one is cancelled"
    run.wait(1)
    assert run.last("TimerFired").started_event_id == 7


def test_a_timer_that_fires_twice_is_heard_once() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.wait(5)
    run.news()
    run.ask(Timer(T0_NS + 5 * 10**9, TimerKind.USER_TIMER, 5, 0))
    assert run.news() == ""


def test_a_firing_that_the_worker_has_not_seen_is_taken_back_by_cancelling() -> None:
    run = OneRun()
    run.work(start_timer("t", 5), start_timer("u", 5))
    run.signal()
    run.take()
    run.wait(5)
    assert run.history().endswith("9 WorkflowTaskStarted"), "both fired, and wait for the task"
    run.complete(cancel_timer("t"))
    assert run.history().endswith(
        "10 WorkflowTaskCompleted 11 TimerCanceled 12 TimerFired 13 WorkflowTaskScheduled"
    )
    assert (run.event(11).timer_id, run.event(12).timer_id) == ("t", "u")


def test_taking_back_the_only_firing_leaves_nothing_to_look_at() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.signal()
    run.take()
    run.wait(5)
    run.complete(cancel_timer("t"))
    assert run.history().endswith("9 WorkflowTaskCompleted 10 TimerCanceled")


def test_timers_outlive_a_crash() -> None:
    run = OneRun()
    run.work(start_timer("t", 5))
    run.wait(3)
    run.crash()
    run.wait(2)
    assert run.history().endswith("5 TimerStarted 6 TimerFired 7 WorkflowTaskScheduled")
