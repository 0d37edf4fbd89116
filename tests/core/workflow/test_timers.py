"""The workflow sleeps."""

from perdure.core.execution.outcome import Timer, TimerKind
from tests.build.commands import cancel_timer, start_timer
from tests.core.workflow.run import T0_NS, OneRun, loosely


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
