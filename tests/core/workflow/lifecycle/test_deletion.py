"""A run is deleted when it is closed, and nobody waits to learn of that."""

from temporalio.api.common.v1 import WorkflowExecution

from perdure.core.execution.request import Delete
from perdure.core.limits import Limits
from perdure.core.workflow.children import AcknowledgeParentNotified
from perdure.core.workflow.effects import TellParent
from perdure.core.workflow.lifecycle import deletion
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from tests.build.requests import start_request
from tests.core.workflow.run import T0_NS, OneRun


def child() -> OneRun:
    attributes = started_attributes(start_request(), "run-1", now_ns=T0_NS, limits=Limits())
    attributes.parent_workflow_execution.CopyFrom(
        WorkflowExecution(workflow_id="parent", run_id="parent-run")
    )
    attributes.parent_initiated_event_id = 5
    return OneRun(started=Start("ns-id", "ns", "w", "run-1", attributes, "start-id"))


def test_an_open_run_is_terminated_first():
    run = OneRun()
    run.take()
    assert not deletion.is_due(run.state)
    run.ask(Delete())
    assert run.history().endswith("4 WorkflowTaskFailed 5 WorkflowExecutionTerminated")
    terminated = run.last("WorkflowExecutionTerminated")
    assert (terminated.reason, terminated.identity) == (
        "Delete workflow execution",
        "history-service",
    )
    assert deletion.is_due(run.state)


def test_a_closed_run_is_deleted_as_it_is():
    run = OneRun()
    run.terminate()
    events = run.history()
    run.ask(Delete())
    assert run.history() == events
    assert deletion.is_due(run.state)


def test_its_parent_is_told_first():
    run = child()
    run.ask(Delete())
    assert not deletion.is_due(run.state)
    run.crash()
    assert len(run.dispatched(TellParent)) == 1
    assert not deletion.is_due(run.state)
    run.ask(AcknowledgeParentNotified())
    assert deletion.is_due(run.state)


def test_asked_twice_it_is_deleted_once():
    run = child()
    run.ask(Delete())
    rows = len(run.journal.rows)
    run.ask(Delete())
    assert len(run.journal.rows) == rows
