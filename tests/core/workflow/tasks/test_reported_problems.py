"""Lists show which workflows cannot go on."""

from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.limits import Limits
from perdure.core.workflow.records import ProblemsReported
from perdure.core.workflow.tasks.reported_problems import REPORTED
from tests.core.workflow.run import OneRun

CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
FAILED = b'["category=WorkflowTaskFailed","cause=WorkflowTaskFailedCauseNonDeterministicError"]'
TIMED_OUT = b'["category=WorkflowTaskTimedOut","cause=WorkflowTaskTimedOutCauseStartToClose"]'


def reported(run: OneRun) -> bytes | None:
    fields = run.described().workflow_execution_info.search_attributes.indexed_fields
    if REPORTED not in fields:
        return None
    assert fields[REPORTED].metadata == {"encoding": b"json/plain", "type": b"KeywordList"}
    return fields[REPORTED].data


def test_tasks_that_fail_again_and_again_are_reported_until_one_is_completed() -> None:
    run = OneRun(limits=Limits(reported_task_failures=2))
    run.take()
    run.fail_task(CAUSE)
    assert reported(run) is None
    run.take()
    run.fail_task(CAUSE)
    assert reported(run) == FAILED
    rows = run.records()
    assert ProblemsReported in map(type, rows)
    run.take()
    run.fail_task(CAUSE)
    assert ProblemsReported not in map(type, run.records()), "nothing is new"
    run.work()
    assert reported(run) is None


def test_the_cause_is_that_of_the_last_task_whose_end_has_an_event() -> None:
    run = OneRun(limits=Limits(reported_task_failures=2))
    run.take()
    run.fail_task(CAUSE)
    run.take()
    run.wait(60)
    assert reported(run) == FAILED
    run.work()
    run.signal()
    run.take()
    run.wait(10)
    assert run.history().endswith("11 WorkflowTaskTimedOut 12 WorkflowTaskScheduled")
    run.take()
    run.fail_task(CAUSE)
    run.crash()
    assert reported(run) == TIMED_OUT


def test_nothing_is_taken_back_that_was_not_reported() -> None:
    run = OneRun(limits=Limits(reported_task_failures=2))
    run.work()
    assert ProblemsReported not in map(type, run.records())


def test_reports_can_be_turned_off() -> None:
    run = OneRun(limits=Limits(reported_task_failures=0))
    for _ in range(3):
        run.take()
        run.fail_task(CAUSE)
    assert reported(run) is None


def test_a_cause_that_nobody_knows_is_reported_by_its_number() -> None:
    run = OneRun(limits=Limits(reported_task_failures=1))
    run.take()
    run.fail_task(1234)
    assert reported(run) == (b'["category=WorkflowTaskFailed","cause=WorkflowTaskFailedCause1234"]')
