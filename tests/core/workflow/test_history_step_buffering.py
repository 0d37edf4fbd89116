"""Events that arrive while a worker has the workflow task wait for its end, and come after the worker's events."""

import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.limits import Limits
from perdure.core.workflow.records import Buffered
from perdure.core.workflow.signals import Signal
from tests.build.commands import (
    cancel_activity,
    complete_workflow,
    schedule_activity,
    start_timer,
)
from tests.core.workflow.run import OneRun, seconds

CLOSING = "RESOURCE_EXHAUSTED: workflow operation can not be applied because workflow is closing"


def test_a_signal_waits_for_the_end_of_the_task() -> None:
    run = OneRun()
    run.take()
    run.wait(1)
    run.signal("one")
    assert run.history().endswith("2 WorkflowTaskScheduled 3 WorkflowTaskStarted")
    assert isinstance(run.records()[0], Buffered), "it is stored all the same"
    run.wait(1)
    run.complete(start_timer("t", 60))
    assert run.history().endswith(
        "4 WorkflowTaskCompleted 5 TimerStarted 6 WorkflowExecutionSignaled 7 WorkflowTaskScheduled"
    )
    times = [seconds(event.event_time) for event in run.journal.events[3:]]
    assert times == [2, 2, 1, 2], "it keeps the time of its arrival"


def test_the_end_of_an_activity_comes_last() -> None:
    run = OneRun()
    run.work(schedule_activity("a", "q"), start_timer("t", 5))
    run.take_activity()
    run.signal()
    run.take()
    run.complete_activity()
    run.signal()
    run.wait(5)
    assert run.history().endswith("9 WorkflowTaskStarted")
    run.complete()
    assert run.history().endswith(
        "10 WorkflowTaskCompleted 11 ActivityTaskStarted 12 WorkflowExecutionSignaled"
        " 13 TimerFired 14 ActivityTaskCompleted 15 WorkflowTaskScheduled"
    )
    completed = run.event(14)
    assert (completed.scheduled_event_id, completed.started_event_id) == (5, 11)


@pytest.mark.parametrize("how", ["failed", "timed out"])
def test_they_follow_the_task_however_it_ends(how: str) -> None:
    run = OneRun()
    run.take()
    run.signal()
    if how == "failed":
        run.fail_task()
        end = "WorkflowTaskFailed"
    else:
        run.wait(10)
        end = "WorkflowTaskTimedOut"
    assert run.history().endswith(f"4 {end} 5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled")
    assert run.event(6).attempt == 1, "new events: not just another attempt"


def test_a_terminated_run_shows_them_before_its_end() -> None:
    run = OneRun()
    run.take()
    run.signal()
    run.terminate()
    assert run.history().endswith(
        "3 WorkflowTaskStarted 4 WorkflowTaskFailed 5 WorkflowExecutionSignaled"
        " 6 WorkflowExecutionTerminated"
    )
    assert run.event(4).cause == (
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    )


def test_they_outlive_a_crash_and_come_before_the_task_that_is_handed_out_again() -> None:
    run = OneRun()
    run.take()
    run.signal("one")
    run.crash()
    run.signal("two")
    run.take()
    run.complete()
    events = [run.event(event.event_id) for event in run.journal.events]
    assert [e.signal_name for e in events if hasattr(e, "signal_name")] == ["one", "two"]
    assert run.run.pending_task is None, "the worker has seen them"


def test_a_run_that_wants_to_close_gets_no_more_signals_until_it_could() -> None:
    run = OneRun()
    run.take()
    run.signal()
    run.refused(run.completion(complete_workflow()))
    run.signal()
    run.take()
    late = Signal("late", None, "client", "")
    assert run.refused(late) == CLOSING
    run.complete()
    run.ask(late)
    assert run.history().endswith("WorkflowExecutionSignaled 11 WorkflowTaskScheduled")


def test_what_the_commands_themselves_bring_about_is_no_news_to_the_worker() -> None:
    """An activity that no worker has started is cancelled at once: that does not keep the run open."""
    run = OneRun()
    run.work(schedule_activity("a", "q"))
    run.signal()
    run.work(cancel_activity(5), complete_workflow())
    assert run.history().endswith(
        "9 WorkflowTaskCompleted 10 ActivityTaskCancelRequested 11 WorkflowExecutionCompleted"
    ), "its end has no place in history any more"


@pytest.mark.parametrize(
    "limits", [Limits(max_buffered_events=2), Limits(max_buffered_events_size=60)]
)
def test_a_worker_that_is_waited_for_by_too_many_loses_its_task(limits: Limits) -> None:
    run = OneRun(limits=limits)
    run.take()
    run.signal()
    run.signal()
    assert "Failed" not in run.history()
    run.signal()
    assert run.history().endswith(
        "4 WorkflowTaskFailed 5 WorkflowExecutionSignaled 6 WorkflowExecutionSignaled"
        " 7 WorkflowExecutionSignaled 8 WorkflowTaskScheduled"
    )
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    assert run.event(4).cause == cause
    task = run.run.pending_task
    assert task is not None
    assert task.attempt == 2, "and is asked again"


def test_a_worker_that_cannot_send_what_it_has_to_say_ends_the_run() -> None:
    run = OneRun()
    run.take()
    run.signal()
    run.fail_task(WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE)
    assert run.history().endswith(
        "4 WorkflowTaskFailed 5 WorkflowExecutionSignaled 6 WorkflowExecutionTerminated"
    )
    assert run.event(6).reason == "GrpcMessageTooLarge"
