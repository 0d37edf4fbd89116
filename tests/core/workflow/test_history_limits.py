"""A run whose history grows without an end is terminated, and no worker holds a task while too much waits for it."""

import pytest
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.errors import Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.signals import Signal
from tests.build.commands import complete_workflow, record_marker
from tests.core.workflow.run import OneRun

TOO_MANY = "Workflow history count exceeds limit."
FORCED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
TOO_LARGE = "Workflow history size exceeds limit."


def refusal(run: OneRun, request: object) -> str:
    with pytest.raises(Rejected) as refused:
        run.ask(request)
    return refused.value.message


def signal(name: str = "s") -> Signal:
    return Signal(name, None, "client", "")


def test_so_many_events_and_no_more() -> None:
    run = OneRun(limits=Limits(history_count=6))
    run.work()
    run.signal()
    assert run.history().endswith("5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled")
    # An event that could have been buffered does not count yet.
    run.signal()
    run.news()
    assert refusal(run, signal()) == TOO_MANY
    assert run.news() == "8 WorkflowExecutionTerminated"
    terminated = run.last("WorkflowExecutionTerminated")
    assert (terminated.reason, terminated.identity) == (TOO_MANY, "history-service")
    assert not run.state.is_open
    assert run.state.workflow_task is None


def test_a_task_that_is_handed_out_counts_with_its_start() -> None:
    run = OneRun(limits=Limits(history_count=2))
    with pytest.raises(Rejected, match=TOO_MANY):
        run.take()
    assert run.history().endswith("3 WorkflowExecutionTerminated")
    assert run.run.in_flight.started is None


def test_what_a_worker_sends_that_is_too_much_does_not_happen() -> None:
    run = OneRun(limits=Limits(history_count=6))
    run.take()
    request = run.completion(*[record_marker(f"{n}") for n in range(3)])
    assert refusal(run, request) == TOO_MANY
    assert "MarkerRecorded" not in run.history()
    assert run.history().endswith("WorkflowExecutionTerminated")


def test_what_closes_the_run_is_not_refused() -> None:
    run = OneRun(limits=Limits(history_count=4))
    run.take()
    run.complete(record_marker("m"), complete_workflow())
    assert run.history().endswith("5 MarkerRecorded 6 WorkflowExecutionCompleted")


def test_so_large_and_no_larger() -> None:
    run = OneRun(limits=Limits(history_size=2000))
    run.signal("x" * 3000)  # The size of before counts.
    assert run.state.is_open
    assert refusal(run, signal()) == TOO_LARGE
    assert run.last("WorkflowExecutionTerminated").reason == TOO_LARGE


def test_no_limit_is_none() -> None:
    run = OneRun(limits=Limits(history_size=0, history_count=0, state_size=0))
    for _ in range(20):
        run.signal("x" * 1000)
    assert run.state.is_open


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(max_buffered_events=2), "s"),
        (Limits(max_buffered_events_size=250), "x" * 100),
    ],
)
def test_a_worker_loses_its_task_if_too_much_waits(limits: Limits, name: str) -> None:
    run = OneRun(limits=limits)
    run.take()
    run.signal(name)
    run.signal(name)
    assert "WorkflowTaskFailed" not in run.history()
    held = run.completion()
    run.signal(name)
    assert run.history().endswith(
        "3 WorkflowTaskStarted 4 WorkflowTaskFailed 5 WorkflowExecutionSignaled"
        " 6 WorkflowExecutionSignaled 7 WorkflowExecutionSignaled 8 WorkflowTaskScheduled"
    )
    failed = run.last("WorkflowTaskFailed")
    assert (failed.identity, failed.cause) == ("history-service", FORCED)
    assert run.refused(held).startswith("NOT_FOUND")
    run.work()
