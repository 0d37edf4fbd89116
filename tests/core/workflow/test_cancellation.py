"""Somebody asks the workflow to stop, or stops it."""

from perdure.core.workflow.activities.attempts import CompleteActivity
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.lifecycle.execution import Terminate
from tests.build.commands import (
    cancel_workflow,
    complete_workflow,
    payloads,
    schedule_activity,
    start_timer,
)
from tests.core.workflow.run import OneRun

CLOSED = "NOT_FOUND: workflow execution already completed"
OTHER_RUN = "NOT_FOUND: workflow execution not found"


def test_the_workflow_is_told_that_it_should_stop_and_does() -> None:
    run = OneRun()
    run.work()
    run.request_cancel()
    assert run.history().endswith("5 WorkflowExecutionCancelRequested 6 WorkflowTaskScheduled")
    requested = run.event(5)
    assert (requested.cause, requested.identity) == ("why", "client")
    assert not requested.HasField("external_workflow_execution")
    assert run.described().workflow_extended_info.cancel_requested
    run.work(cancel_workflow())
    assert run.history().endswith("9 WorkflowExecutionCanceled")


def test_asking_twice_is_asking_once() -> None:
    run = OneRun()
    run.request_cancel()
    run.ask(RequestCancel("other", "other", "other-id"))
    assert run.history().count("CancelRequested") == 1


def test_asking_twice_is_asking_once_while_the_first_waits() -> None:
    run = OneRun()
    run.take()
    run.request_cancel()
    run.request_cancel()
    run.complete()
    assert run.history().count("CancelRequested") == 1


def test_asking_a_closed_run_changes_nothing() -> None:
    run = OneRun()
    run.work(complete_workflow())
    run.news()
    run.request_cancel()
    run.ask(RequestCancel("why", "client", "id", first_execution_run_id="other"))
    assert run.news() == ""


def test_who_means_another_chain_of_runs_is_refused() -> None:
    run = OneRun()
    wrong = RequestCancel("why", "client", "id", first_execution_run_id="other")
    assert run.refused(wrong) == OTHER_RUN
    assert run.refused(Terminate("why", None, "client", "other")) == OTHER_RUN
    run.ask(RequestCancel("why", "client", "id", first_execution_run_id="run-1"))
    run.ask(Terminate("why", None, "client", "run-1"))


def test_a_request_to_stop_does_not_wait_for_the_start_delay() -> None:
    run = OneRun(workflow_start_delay="100s")
    run.request_cancel()
    assert run.history() == (
        "1 WorkflowExecutionStarted 2 WorkflowExecutionCancelRequested 3 WorkflowTaskScheduled"
    )
    run.work(cancel_workflow())
    run.wait(100)
    assert run.history().endswith("6 WorkflowExecutionCanceled")


def test_a_worker_may_cancel_a_workflow_that_nobody_asked_to_stop() -> None:
    run = OneRun()
    run.work(cancel_workflow())
    assert run.history().endswith("5 WorkflowExecutionCanceled")


def test_a_run_is_terminated_with_everything_that_is_pending() -> None:
    run = OneRun(workflow_run_timeout="1000s")
    run.work(schedule_activity("a", "q"), start_timer("t", 5))
    run.take_activity()
    token = run.activity()
    run.ask(Terminate("why", payloads("d"), "me"))
    assert run.history().endswith("6 TimerStarted 7 WorkflowExecutionTerminated")
    terminated = run.event(7)
    assert (terminated.reason, terminated.identity) == ("why", "me")
    assert terminated.details == payloads("d")
    assert run.refused(CompleteActivity(token, None, "worker")) == CLOSED
    run.wait(2000)
    assert run.history().endswith("7 WorkflowExecutionTerminated")


def test_a_run_that_waits_for_a_worker_leaves_its_task_unstarted() -> None:
    run = OneRun()
    run.terminate()
    assert run.history() == (
        "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowExecutionTerminated"
    )


def test_a_closed_run_cannot_be_terminated() -> None:
    run = OneRun()
    run.work(complete_workflow())
    assert run.refused(Terminate("why", None, "client")) == CLOSED
    assert run.refused(Terminate("why", None, "client", "other")) == CLOSED, "checked first"
