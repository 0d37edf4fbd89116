"""Somebody asks the workflow to stop, or stops it."""

from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.lifecycle.close import Terminate
from tests.build.commands import (
    cancel_workflow,
    complete_workflow,
)
from tests.core.workflow.run import OneRun

CLOSED = "NOT_FOUND: workflow execution already completed"
OTHER_RUN = "NOT_FOUND: workflow execution not found"


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
