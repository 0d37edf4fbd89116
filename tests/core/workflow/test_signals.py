"""A message arrives."""

from temporalio.api.common.v1 import Header, Link

from perdure.core.limits import Limits
from perdure.core.workflow.signals import Signal
from tests.build.commands import complete_workflow, payload, payloads
from tests.core.workflow.run import OneRun

CLOSED = "NOT_FOUND: workflow execution already completed"


def test_a_signal_is_shown_to_the_workflow() -> None:
    run = OneRun()
    run.work()
    link = Link(batch_job=Link.BatchJob(job_id="j"))
    header = Header(fields={"k": payload("v")})
    run.ask(Signal("s", payloads("in"), "client", "id", header, [link]))
    assert run.history().endswith("5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled")
    signaled = run.event(5)
    assert (signaled.signal_name, signaled.identity, signaled.request_id) == ("s", "client", "id")
    assert (signaled.input, signaled.header) == (payloads("in"), header)
    assert list(run.journal.events[4].links) == [link]


def test_the_same_request_is_one_signal() -> None:
    run = OneRun()
    run.work()
    run.signal("s", "id")
    run.news()
    run.signal("s", "id")
    assert run.news() == ""
    run.signal("s", "other")
    assert run.news() == "7 WorkflowExecutionSignaled"


def test_the_same_request_is_one_signal_also_while_it_waits() -> None:
    run = OneRun()
    run.take()
    run.signal("s", "id")
    run.signal("s", "id")
    run.crash()
    run.signal("s", "id")
    run.work()
    assert run.history().count("Signaled") == 1
    run.signal("s", "id")
    assert run.history().count("Signaled") == 1


def test_signals_without_a_request_id_are_all_different() -> None:
    run = OneRun()
    run.signal()
    run.signal()
    assert run.history().endswith("3 WorkflowExecutionSignaled 4 WorkflowExecutionSignaled")
    assert run.event(3).request_id == ""


def test_one_task_shows_all_signals() -> None:
    run = OneRun()
    run.signal()
    run.signal()
    assert run.history().count("WorkflowTaskScheduled") == 1


def test_a_closed_run_takes_no_signals_but_knows_its_own() -> None:
    run = OneRun()
    run.signal("s", "id")
    run.work(complete_workflow())
    assert run.refused(Signal("s", None, "client", "")) == CLOSED
    assert run.refused(Signal("s", None, "client", "new")) == CLOSED
    run.signal("s", "id")


def test_a_signal_waits_for_the_start_delay() -> None:
    run = OneRun(workflow_start_delay="100s")
    run.signal()
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowExecutionSignaled"
    assert run.effects == []
    run.wait(100)
    assert run.history().endswith("2 WorkflowExecutionSignaled 3 WorkflowTaskScheduled")


def test_a_run_takes_so_many_signals() -> None:
    run = OneRun(limits=Limits(max_signals_per_execution=2))
    run.signal()
    run.signal("s", "id")
    refused = run.refused(Signal("s", None, "client", ""))
    assert refused == "INVALID_ARGUMENT: exceeded workflow execution limit for signal events"
    run.signal("s", "id")
