"""The workflow goes on as a new run: same workflow id, empty history."""

from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes

from perdure.core.workflow.lifecycle.start_policy import Start
from tests.build.commands import continue_as_new, payload
from tests.core.workflow.run import T0_NS, OneRun, seconds


def next_start(run: OneRun) -> Start:
    assert run.new_run is not None
    assert isinstance(run.new_run.start, Start)
    return run.new_run.start


def next_attributes(run: OneRun) -> WorkflowExecutionStartedEventAttributes:
    return next_start(run).attributes


def test_the_next_run_knows_where_it_can_be_taken_back_to() -> None:
    run = OneRun()
    run.wait(5)
    run.work(continue_as_new())
    [point] = next_attributes(run).prev_auto_reset_points.points
    assert (point.run_id, point.first_workflow_task_completed_id) == ("run-1", 4)
    assert (point.resettable, seconds(point.create_time)) == (True, 5)
    assert seconds(point.expire_time) == 5 + 24 * 3600


def test_a_run_has_no_time_limit_unless_it_is_given_one() -> None:
    run = OneRun()
    run.work(continue_as_new())
    assert run.event(5).HasField("workflow_run_timeout")
    assert next_attributes(run).HasField("workflow_run_timeout")
    assert seconds(run.event(5).workflow_run_timeout) == 0


def test_the_new_run_begins() -> None:
    old = OneRun()
    old.wait(5)
    old.work(continue_as_new())
    run = OneRun(started=next_start(old))
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    assert run.described().workflow_execution_info.first_run_id == "run-1"
    run.work(continue_as_new())
    assert next_attributes(run).first_execution_run_id == "run-1"
    assert next_attributes(run).continued_execution_run_id == run.state.run_id
    assert len(next_attributes(run).prev_auto_reset_points.points) == 1, "one a build"


def test_a_short_life_delays_the_next_one_to_a_second() -> None:
    run = OneRun()
    run.wait(0.25)
    run.work(continue_as_new())
    assert seconds(next_attributes(run).first_workflow_task_backoff) == 0.75
    other = OneRun()
    other.wait(1)
    other.work(continue_as_new())
    assert seconds(next_attributes(other).first_workflow_task_backoff) == 0


def test_a_backoff_that_is_asked_for_delays_the_next_run() -> None:
    run = OneRun()
    run.wait(1)
    run.work(continue_as_new(backoff_start_interval="30s"))
    assert seconds(run.event(5).backoff_start_interval) == 30
    assert seconds(next_attributes(run).first_workflow_task_backoff) == 30
    new = OneRun(started=next_start(run))
    assert new.history() == "1 WorkflowExecutionStarted"
    new.wait(30)
    assert new.history().endswith("2 WorkflowTaskScheduled")


def test_what_the_command_says_holds_for_the_next_run() -> None:
    run = OneRun(workflow_execution_timeout="1000s", workflow_run_timeout="500s")
    run.work(
        continue_as_new(
            workflow_type={"name": "U"},
            task_queue={"name": "r"},
            workflow_run_timeout="90s",
            workflow_task_timeout="7s",
            memo={"fields": {"k": {"data": "InYi"}}},
            retry_policy={"maximum_attempts": 3},
        )
    )
    new = next_attributes(run)
    assert (new.workflow_type.name, new.task_queue.name) == ("U", "r")
    assert (seconds(new.workflow_run_timeout), seconds(new.workflow_task_timeout)) == (90, 7)
    assert new.memo.fields["k"].data == b'"v"'
    assert new.retry_policy.maximum_attempts == 3
    assert seconds(new.retry_policy.initial_interval) == 1
    assert seconds(new.workflow_execution_expiration_time) == 1000, "of the whole chain"
    assert seconds(new.workflow_execution_timeout) == 1000


def test_the_last_run_of_a_chain_has_only_what_time_is_left() -> None:
    run = OneRun(workflow_execution_timeout="100s")
    run.wait(60)
    run.work(continue_as_new())
    new = OneRun(started=next_start(run))
    new.now_ns = T0_NS + 60 * 10**9
    new.wait(39)
    assert new.state.is_open
    new.wait(1)
    assert new.history().endswith("WorkflowExecutionTimedOut")


def test_a_bad_command_makes_no_new_run() -> None:
    run = OneRun()
    run.take()
    refused = run.refused(run.completion(continue_as_new(workflow_run_timeout="-1s")))
    assert refused.startswith("INVALID_ARGUMENT: BadContinueAsNewAttributes: Invalid")
    assert run.new_run is None
    assert run.state.is_open


def test_search_attributes_must_be_known() -> None:
    run = OneRun()
    run.take()
    fields = {"Nope": {"data": "IngI"}}
    command = continue_as_new(search_attributes={"indexed_fields": fields})
    assert run.refused(run.completion(command)) == (
        "INVALID_ARGUMENT: BadSearchAttributes: Namespace ns has no mapping defined for search"
        " attribute Nope"
    )
    assert payload("x").data == b'"x"'
