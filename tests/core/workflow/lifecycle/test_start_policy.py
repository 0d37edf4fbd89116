"""A start request begins a run, uses the one before it, or is refused."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure

from perdure.core.errors import Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.lifecycle.start_policy import (
    Start,
    StartNew,
    UseCurrent,
    decide,
)
from perdure.core.workflow.options_update import AttachRequest
from perdure.core.workflow.signals import Signal
from tests.build.commands import complete_workflow, fail_workflow
from tests.core.workflow.run import OneRun, seconds

ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAILED_ONLY = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
REJECT = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL
USE = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
TERMINATE = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING


def decided(
    run: OneRun,
    request_id: str = "other-id",
    reuse: WorkflowIdReusePolicy.ValueType = ALLOW,
    conflict: WorkflowIdConflictPolicy.ValueType = FAIL,
) -> StartNew | UseCurrent:
    return decide(
        run.state,
        request_id=request_id,
        reuse=reuse,
        conflict=conflict,
        now_ns=run.now_ns,
        limits=run.limits,
    )


def refusal(
    run: OneRun,
    reuse: WorkflowIdReusePolicy.ValueType = ALLOW,
    conflict: WorkflowIdConflictPolicy.ValueType = FAIL,
) -> str:
    with pytest.raises(Rejected) as refused:
        decided(run, "other-id", reuse, conflict)
    detail = refused.value.detail
    assert isinstance(detail, WorkflowExecutionAlreadyStartedFailure)
    assert (detail.start_request_id, detail.run_id, detail.first_execution_run_id) == (
        "start-id",
        "run-1",
        "run-1",
    )
    return f"{refused.value.code.name}: {refused.value.message}"


def closed(*, failed: bool = False) -> OneRun:
    run = OneRun()
    run.work(fail_workflow() if failed else complete_workflow())
    return run


def test_an_id_that_was_never_used_is_free() -> None:
    nothing = decide(None, request_id="id", reuse=REJECT, conflict=FAIL, now_ns=0, limits=Limits())
    assert nothing == StartNew()


def test_a_workflow_that_runs_is_in_the_way() -> None:
    assert refusal(OneRun()) == (
        "ALREADY_EXISTS: Workflow execution is already running. WorkflowId: w, RunId: run-1."
    )


def test_a_workflow_that_runs_may_be_used_or_replaced() -> None:
    run = OneRun()
    assert decided(run, conflict=USE) == UseCurrent(is_retry=False)
    assert decided(run, conflict=TERMINATE) == StartNew(terminate_current=True)


def test_a_retry_is_answered_as_the_request_was() -> None:
    run = OneRun()
    assert decided(run, "start-id") == UseCurrent(is_retry=True)
    run.work(complete_workflow())
    assert decided(run, "start-id", REJECT) == UseCurrent(is_retry=True)


def test_a_retry_of_a_request_that_found_this_run_finds_it_again() -> None:
    run = OneRun()
    run.ask(AttachRequest("second-id"))
    assert decided(run, "second-id") == UseCurrent(is_retry=False)


def test_a_closed_workflow_is_in_the_way_if_the_caller_says_so() -> None:
    assert decided(closed()) == StartNew()
    assert refusal(closed(), REJECT) == (
        "ALREADY_EXISTS: Workflow execution already finished. WorkflowId: w, RunId: run-1."
        " Workflow Id reuse policy: reject duplicate workflow Id."
    )
    assert refusal(closed(), FAILED_ONLY) == (
        "ALREADY_EXISTS: Workflow execution already finished successfully."
        " WorkflowId: w, RunId: run-1."
        " Workflow Id reuse policy: allow duplicate workflow Id if last run failed."
    )
    assert decided(closed(failed=True), reuse=FAILED_ONLY) == StartNew()


def test_what_a_start_fills_in() -> None:
    run = OneRun(retry_policy={"maximum_attempts": 3}, input={"payloads": [{}]})
    event = run.event(1)
    assert (event.workflow_type.name, event.workflow_id, event.identity) == ("T", "w", "client")
    assert (event.task_queue.name, event.task_queue.kind, event.attempt) == ("q", 1, 1)
    assert event.original_execution_run_id == event.first_execution_run_id == "run-1"
    assert event.HasField("first_workflow_task_backoff")
    assert seconds(event.workflow_task_timeout) == 10
    assert not event.HasField("workflow_run_timeout")
    assert not event.HasField("workflow_execution_expiration_time")
    assert (event.retry_policy.maximum_attempts, event.retry_policy.backoff_coefficient) == (3, 2)


def with_signal(**fields: Any) -> OneRun:
    plain = OneRun(**fields)
    attributes = plain.event(1)
    signal = Signal("s", None, "client", "signal-id")
    return OneRun(started=Start("ns-id", "ns", "w", "run-1", attributes, "id", signal=signal))


def test_a_signal_may_come_with_the_start() -> None:
    run = with_signal()
    assert run.history() == (
        "1 WorkflowExecutionStarted 2 WorkflowExecutionSignaled 3 WorkflowTaskScheduled"
    )
    run.signal("s", "signal-id")
    assert run.history().count("Signaled") == 1


def test_a_signal_that_comes_with_the_start_waits_for_the_delay_too() -> None:
    run = with_signal(workflow_start_delay="100s")
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowExecutionSignaled"
    run.wait(100)
    assert run.history().endswith("3 WorkflowTaskScheduled")
