"""A run, or a whole chain of runs, may take so long; and a run begins when its start delay is over."""

from temporalio.api.enums.v1 import RetryState, WorkflowTaskFailedCause

from tests.build.commands import complete_workflow, schedule_activity, start_timer
from tests.core.workflow.run import OneRun, seconds


def test_a_run_takes_too_long() -> None:
    run = OneRun(workflow_run_timeout="30s")
    run.work(schedule_activity("a", "q"), start_timer("t", 60))
    run.wait(30)
    assert run.history().endswith("6 TimerStarted 7 WorkflowExecutionTimedOut")
    not_set = RetryState.RETRY_STATE_RETRY_POLICY_NOT_SET
    assert run.event(7).retry_state == not_set
    run.wait(60)
    assert run.history().endswith("7 WorkflowExecutionTimedOut")
    assert not run.state.timers
    assert not run.state.activities


def test_a_chain_of_runs_takes_too_long() -> None:
    run = OneRun(workflow_execution_timeout="30s")
    assert seconds(run.event(1).workflow_run_timeout) == 30
    assert seconds(run.event(1).workflow_execution_expiration_time) == 30
    run.wait(30)
    assert run.history().endswith("3 WorkflowExecutionTimedOut")
    assert run.event(3).retry_state == RetryState.RETRY_STATE_TIMEOUT


def test_a_run_cannot_take_longer_than_its_chain() -> None:
    run = OneRun(workflow_execution_timeout="30s", workflow_run_timeout="60s")
    assert seconds(run.event(1).workflow_run_timeout) == 30


def test_a_task_cannot_take_longer_than_its_run() -> None:
    run = OneRun(workflow_run_timeout="3s", workflow_task_timeout="5s")
    assert seconds(run.event(1).workflow_task_timeout) == 3
    other = OneRun(workflow_task_timeout="1000s")
    assert seconds(other.event(1).workflow_task_timeout) == 120, "nor than two minutes"


def test_the_task_of_a_run_that_times_out_is_taken_away() -> None:
    run = OneRun(workflow_run_timeout="5s", workflow_task_timeout="5s")
    run.wait(1)
    run.take()
    run.signal()
    run.wait(4)
    assert run.history().endswith(
        "3 WorkflowTaskStarted 4 WorkflowTaskFailed 5 WorkflowExecutionSignaled"
        " 6 WorkflowExecutionTimedOut"
    )
    force_close = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    assert run.event(4).cause == force_close


def test_a_run_that_ended_in_time_does_not_time_out() -> None:
    run = OneRun(workflow_run_timeout="30s")
    run.work(complete_workflow())
    run.wait(60)
    assert run.history().endswith("5 WorkflowExecutionCompleted")


def test_timeouts_outlive_a_crash() -> None:
    run = OneRun(workflow_run_timeout="30s")
    run.wait(10)
    run.crash()
    run.wait(20)
    assert run.history().endswith("3 WorkflowExecutionTimedOut")


def test_the_first_task_waits_for_the_start_delay() -> None:
    run = OneRun(workflow_start_delay="100s")
    assert run.history() == "1 WorkflowExecutionStarted"
    assert seconds(run.event(1).first_workflow_task_backoff) == 100
    described = run.described()
    assert seconds(described.workflow_execution_info.execution_time) == 100
    assert described.workflow_execution_info.history_length == 1
    assert not described.HasField("pending_workflow_task")
    run.wait(50)
    run.crash()
    run.wait(50)
    assert run.history().endswith("2 WorkflowTaskScheduled")


def test_the_start_delay_does_not_count() -> None:
    run = OneRun(workflow_start_delay="100s", workflow_run_timeout="30s")
    run.wait(129)
    assert run.state.is_open
    run.wait(1)
    assert run.history().endswith("2 WorkflowTaskScheduled 3 WorkflowExecutionTimedOut")
