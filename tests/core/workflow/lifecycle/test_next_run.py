"""A run ends and the workflow goes on: retries and cron schedules."""

from dataclasses import replace
from typing import Any

import pytest
from temporalio.api.enums.v1 import ContinueAsNewInitiator, RetryState

from perdure.core.workflow.effects import TellParent
from perdure.core.workflow.lifecycle.start_policy import Start
from tests.build.commands import (
    cancel_workflow,
    command,
    complete_workflow,
    fail_workflow,
    json_payloads,
    payloads,
)
from tests.core.workflow.run import T0_NS, OneRun, seconds

RETRY = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
CRON = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
POLICY: dict[str, Any] = {"retry_policy": {"initial_interval": "10s", "maximum_attempts": 3}}
EVERY_MINUTE = {"cron_schedule": "@every 60s"}


def next_start(run: OneRun) -> Start:
    assert run.new_run is not None
    assert isinstance(run.new_run.start, Start)
    return run.new_run.start


def next_run(run: OneRun) -> OneRun:
    return OneRun(started=next_start(run))


def test_a_failed_run_is_retried_with_a_growing_delay():
    run = OneRun(**POLICY, input=json_payloads("in"))
    for attempt, backoff_s in ((1, 10), (2, 20)):
        run.work(fail_workflow(f"failure {attempt}"))
        event = run.last("WorkflowExecutionFailed")
        assert event.retry_state == RetryState.RETRY_STATE_IN_PROGRESS
        assert event.new_execution_run_id == run.state.new_run_id == next_start(run).run_id
        new = next_start(run).attributes
        assert (new.initiator, new.attempt) == (RETRY, attempt + 1)
        assert seconds(new.first_workflow_task_backoff) == backoff_s
        assert new.continued_failure.message == f"failure {attempt}"
        assert new.first_execution_run_id == "run-1"
        assert new.continued_execution_run_id == run.state.run_id
        assert new.input == payloads("in")
        run = next_run(run)
        assert run.history() == "1 WorkflowExecutionStarted"
        run.wait(backoff_s)
        assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    run.work(fail_workflow("failure 3"))
    event = run.last("WorkflowExecutionFailed")
    assert event.retry_state == RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    assert not event.new_execution_run_id
    assert run.new_run is None


@pytest.mark.parametrize("end", [complete_workflow(), cancel_workflow()])
def test_only_a_failure_is_retried(end):
    run = OneRun(**POLICY)
    run.work(end)
    assert run.new_run is None


def test_a_terminated_run_is_not_followed():
    run = OneRun(**POLICY, **EVERY_MINUTE)
    run.terminate()
    assert run.new_run is None


def test_a_run_that_took_too_long_is_retried():
    run = OneRun(**POLICY, workflow_run_timeout="5s")
    run.wait(5)
    assert run.last("WorkflowExecutionTimedOut").new_execution_run_id == next_start(run).run_id
    failure = next_start(run).attributes.continued_failure
    assert (failure.message, failure.source) == ("workflow timeout", "Server")


def test_no_retry_after_the_time_of_the_chain():
    run = OneRun(**POLICY, workflow_execution_timeout="8s")
    run.work(fail_workflow())
    event = run.last("WorkflowExecutionFailed")
    assert event.retry_state == RetryState.RETRY_STATE_TIMEOUT
    assert run.new_run is None


def test_a_retry_begins_with_what_the_first_run_began_with():
    memo = {"fields": {"a": json_payloads("old")["payloads"][0]}}
    run = OneRun(**POLICY, memo=memo)
    changed = {"upserted_memo": {"fields": {"a": json_payloads("new")["payloads"][0]}}}
    run.work(command("MODIFY_WORKFLOW_PROPERTIES", **changed), fail_workflow())
    assert next_start(run).attributes.memo.fields["a"].data == b'"old"'


def test_cron():
    run = OneRun(**EVERY_MINUTE)
    assert run.event(1).initiator == CRON
    assert seconds(run.event(1).first_workflow_task_backoff) == 60
    run.wait(60)
    run.work(complete_workflow("one"))
    assert run.last("WorkflowExecutionCompleted").new_execution_run_id == next_start(run).run_id
    new = next_start(run).attributes
    assert (new.initiator, new.attempt, new.cron_schedule) == (CRON, 1, "@every 60s")
    assert new.last_completion_result == payloads("one")
    assert seconds(new.first_workflow_task_backoff) == 60


def test_a_failure_of_a_cron_run_keeps_the_last_result():
    run = OneRun(**EVERY_MINUTE, last_completion_result=json_payloads("before"))
    run.wait(130)
    run.work(fail_workflow("oh"))
    new = next_start(run).attributes
    assert new.continued_failure.message == "oh"
    assert new.last_completion_result == payloads("before")
    # The second minute has passed already; the third one comes next.
    assert seconds(new.first_workflow_task_backoff) == 50


def test_a_cron_run_is_retried_first():
    run = OneRun(**POLICY, **EVERY_MINUTE)
    run.wait(60)
    run.work(fail_workflow())
    assert next_start(run).attributes.initiator == RETRY
    run = next_run(run)
    run.wait(10)
    run.work(fail_workflow())
    run = next_run(run)
    run.wait(20)
    run.work(fail_workflow())
    new = next_start(run).attributes
    assert (new.initiator, new.attempt) == (CRON, 1)
    event = run.last("WorkflowExecutionFailed")
    assert event.retry_state == RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
    assert event.new_execution_run_id


def test_a_cancelled_cron_run_is_the_last():
    run = OneRun(**EVERY_MINUTE)
    run.request_cancel()
    run.work(cancel_workflow())
    assert run.new_run is None


def test_what_arrived_meanwhile_is_seen_before_the_chain_goes_on():
    run = OneRun(**POLICY)
    run.take()
    run.signal()
    assert "UnhandledCommand" in run.refused(run.completion(fail_workflow()))
    assert run.new_run is None


def test_the_parent_hears_of_the_last_run_only():
    run = OneRun(**POLICY)
    started = next_child_start(run)
    child = OneRun(started=started)
    child.work(fail_workflow())
    assert child.dispatched(TellParent) == []
    child = next_run(child)
    assert child.state.parent is not None
    child.wait(10)
    child.work(complete_workflow())
    [told] = child.dispatched(TellParent)
    assert told.first_run_id == "run-1"


def next_child_start(run: OneRun) -> Start:
    """Return the start of a child of some parent that is begun like `run`."""
    attributes = run.event(1)
    attributes.parent_workflow_execution.workflow_id = "parent"
    attributes.parent_workflow_execution.run_id = "parent-run"
    attributes.parent_initiated_event_id = 5
    return Start("ns-id", "ns", "w", "run-1", attributes, "request")


def test_a_search_attribute_that_was_removed_does_not_come_back_with_the_next_run():
    fields = {
        name: {"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "InJlZCI="}
        for name in ("Color", "Gone")
    }
    run = OneRun(**EVERY_MINUTE, search_attributes={"indexed_fields": fields})
    seen = []

    def is_current(namespace_id: str, name: str, set_at_ns: int) -> bool:
        seen.append((namespace_id, set_at_ns))
        return name == "Color"

    run.environment = replace(run.environment, is_current_attribute=is_current)
    run.wait(60)
    run.work(complete_workflow())
    new = next_start(run).attributes
    assert set(new.search_attributes.indexed_fields) == {"Color"}
    assert set(seen) == {("ns-id", T0_NS)}
