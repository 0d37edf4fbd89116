"""A worker is asked to move the workflow forward: handed out, completed, failed, timed out, stale."""

from temporalio.api.enums.v1 import PendingWorkflowTaskState, TimeoutType, WorkflowTaskFailedCause

from perdure.core.workflow.effects import DispatchWorkflowTask
from perdure.core.workflow.tasks.fail import FailWorkflowTask
from perdure.core.workflow.tasks.schedule import TaskRef
from perdure.core.workflow.tasks.start import StartWorkflowTask
from tests.build.commands import complete_workflow, start_timer
from tests.core.workflow.run import OneRun, loosely, seconds

CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
STALE = "NOT_FOUND: Workflow task not found."


def test_a_start_schedules_a_task_on_the_normal_queue() -> None:
    run = OneRun()
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    scheduled = run.event(2)
    assert (scheduled.task_queue.name, scheduled.task_queue.kind, scheduled.attempt) == ("q", 1, 1)
    assert seconds(scheduled.start_to_close_timeout) == 10
    assert run.effects == [DispatchWorkflowTask("q", "", 2, 1)]


def test_handing_a_task_out_is_shown_but_not_recorded() -> None:
    run = OneRun()
    run.news()
    task = run.take()
    assert run.history().endswith("3 WorkflowTaskStarted")
    assert run.news() == ""
    assert (task.started_event_id, task.previous_started_event_id, task.recorded_until) == (3, 0, 3)
    assert (task.workflow_type, task.task_queue, task.is_sticky) == ("T", "q", False)


def test_what_the_completed_task_leaves_in_history() -> None:
    run = OneRun()
    run.wait(1)
    run.take()
    run.wait(2)
    assert run.complete().new_task is None
    assert run.history() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskCompleted"""
    )
    started, completed = run.event(3), run.event(4)
    assert (started.scheduled_event_id, started.identity, started.request_id) == (
        2,
        "worker",
        "poll-id",
    )
    assert started.history_size_bytes > 0
    assert (completed.scheduled_event_id, completed.started_event_id) == (2, 3)
    assert [seconds(event.event_time) for event in run.journal.events] == [0, 0, 1, 3]
    assert run.run.pending_task is None
    run.signal()
    assert run.take().previous_started_event_id == 3


def test_no_two_workers_get_the_task() -> None:
    run = OneRun()
    run.take()
    assert run.refused(StartWorkflowTask(2, 1, "other", "poll-2", 99)) == STALE
    run.complete()
    assert run.refused(StartWorkflowTask(2, 1, "other", "poll-2", 99)) == STALE


def test_a_task_token_is_good_for_one_answer() -> None:
    run = OneRun()
    assert run.refused(run.completion(ref=TaskRef(2, 1, 1))) == STALE, "not handed out"
    ref = run.take().ref
    assert run.refused(run.completion(ref=TaskRef(2, 1, ref.nonce + 1))) == STALE
    assert run.refused(run.completion(ref=TaskRef(3, 1, ref.nonce))) == STALE
    assert run.refused(run.completion(ref=TaskRef(2, 2, ref.nonce))) == STALE
    run.complete()
    assert run.refused(run.completion()) == STALE


def test_a_token_from_before_a_crash_is_stale() -> None:
    run = OneRun()
    before = run.take().ref
    run.crash()
    assert run.history() == "1 WorkflowExecutionStarted 2 WorkflowTaskScheduled"
    assert run.effects == [DispatchWorkflowTask("q", "", 2, 1)]
    assert run.refused(run.completion(ref=before)) == STALE
    run.take()
    assert run.refused(run.completion(ref=before)) == STALE
    run.complete(complete_workflow())
    assert run.history().endswith("4 WorkflowTaskCompleted 5 WorkflowExecutionCompleted")


def test_a_task_that_is_held_too_long_times_out_and_is_tried_again() -> None:
    run = OneRun()
    run.wait(60)
    assert run.history().endswith("2 WorkflowTaskScheduled"), "waiting for a worker takes any time"
    stale = run.take().ref
    run.wait(10)
    assert run.history() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskTimedOut 5 WorkflowTaskScheduled"""
    )
    assert len(run.journal.events) == 4, "the second attempt is not recorded yet"
    timed_out = run.event(4)
    assert (timed_out.scheduled_event_id, timed_out.started_event_id) == (2, 3)
    assert timed_out.timeout_type == TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
    assert run.refused(run.completion(ref=stale)) == STALE
    assert run.effects[-1] == DispatchWorkflowTask("q", "", 5, 2)


def test_the_timer_of_a_completed_task_is_stale() -> None:
    run = OneRun()
    run.take()
    run.wait(5)
    run.complete(force_new_task=True)
    run.take()
    run.wait(5)
    assert run.history().endswith("5 WorkflowTaskScheduled 6 WorkflowTaskStarted")
    run.wait(5)
    assert "7 WorkflowTaskTimedOut" in run.history()


def test_the_first_failure_makes_events_and_later_ones_do_not() -> None:
    run = OneRun()
    run.take()
    run.fail_task(CAUSE)
    failed = run.event(4)
    assert (failed.scheduled_event_id, failed.started_event_id, failed.cause) == (2, 3, CAUSE)
    assert (failed.failure.message, failed.identity) == ("oh", "worker")
    assert run.history().endswith("4 WorkflowTaskFailed 5 WorkflowTaskScheduled")
    run.news()
    assert run.take().ref == TaskRef(5, 2, 2)
    run.fail_task(CAUSE)
    run.take()
    run.wait(10)
    assert run.news() == "", "a time-out makes no event either"
    assert run.effects[-1] == DispatchWorkflowTask("q", "", 5, 4)


def test_a_later_attempt_is_written_when_it_completes() -> None:
    run = OneRun()
    for _ in range(2):
        run.take()
        run.fail_task()
    task = run.take()
    assert (task.ref.attempt, task.started_event_id, task.recorded_until) == (3, 6, 5)
    assert [event.event_id for event in task.events] == [5, 6]
    assert run.history().endswith("5 WorkflowTaskScheduled 6 WorkflowTaskStarted")
    run.complete(start_timer("t", 5))
    assert run.news() == loosely(
        """1 WorkflowExecutionStarted 2 WorkflowTaskScheduled 3 WorkflowTaskStarted
        4 WorkflowTaskFailed 5 WorkflowTaskScheduled 6 WorkflowTaskStarted
        7 WorkflowTaskCompleted 8 TimerStarted"""
    )
    assert run.event(5).attempt == 3
    assert run.event(6).identity == "worker", "only while it is held nobody is named"
    run.wait(5)
    assert run.take().ref.attempt == 1, "a success counts from the beginning"


def test_later_attempts_get_more_time() -> None:
    run = OneRun()
    given = []
    for _ in range(7):
        run.take()
        before = run.at()
        attempt = run.state.workflow_task_attempt
        while run.state.workflow_task_attempt == attempt:
            run.wait(0.5)
        given.append(run.at() - before)
    assert given == [10, 10, 10, 15, 20, 30, 50]


def test_how_a_failing_task_is_described() -> None:
    run = OneRun()
    run.take()
    run.wait(3)
    run.fail_task()
    run.wait(1)
    pending = run.described().pending_workflow_task
    assert pending.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    assert (pending.attempt, seconds(pending.scheduled_time)) == (2, 3)
    assert not pending.HasField("started_time")
    run.take()
    pending = run.described().pending_workflow_task
    assert pending.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
    assert seconds(pending.started_time) == 4


def test_new_events_make_a_failing_task_a_normal_one() -> None:
    run = OneRun()
    run.take()
    run.fail_task()
    run.signal()
    assert run.history().endswith("4 WorkflowTaskFailed 5 WorkflowExecutionSignaled")
    task = run.take()
    assert task.ref.attempt == 1
    assert run.history().endswith(
        "5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled 7 WorkflowTaskStarted"
    )
    run.fail_task()
    assert run.history().endswith("8 WorkflowTaskFailed 9 WorkflowTaskScheduled")
    assert run.run.pending_task is not None
    assert run.run.pending_task.attempt == 2


def test_events_that_come_while_a_later_attempt_is_held_make_the_next_one_normal() -> None:
    run = OneRun()
    run.take()
    run.fail_task()
    run.take()
    run.signal()
    run.fail_task()
    assert run.history().endswith(
        "4 WorkflowTaskFailed 5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled"
    )
    assert run.event(6).attempt == 1


def test_a_worker_can_ask_for_more_time() -> None:
    run = OneRun()
    run.take()
    run.wait(8)
    run.complete(force_new_task=True)
    assert run.history().endswith("4 WorkflowTaskCompleted 5 WorkflowTaskScheduled")
    pending = run.described().pending_workflow_task
    assert (seconds(pending.scheduled_time), seconds(pending.original_scheduled_time)) == (8, 0)
    run.take()
    run.wait(8)
    run.complete(start_timer("t", 1), force_new_task=True)
    pending = run.described().pending_workflow_task
    assert seconds(pending.original_scheduled_time) == 16, (
        "what did something is no mere sign of life"
    )


def test_a_worker_cannot_ask_for_more_time_for_ever() -> None:
    run = OneRun()
    for _ in range(180):
        run.take()
        run.wait(9.9)
        run.complete(force_new_task=True)
    run.take()
    run.wait(9.9)
    run.complete(force_new_task=True)
    run.take()
    run.wait(9.9)
    refused = run.refused(run.completion(force_new_task=True))
    assert refused == "NOT_FOUND: workflow task heartbeat timeout"
    timed_out = run.last("WorkflowTaskTimedOut")
    assert timed_out.timeout_type == TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE
    assert run.run.pending_task is not None


def test_the_next_task_goes_to_the_same_worker_at_once() -> None:
    run = OneRun()
    run.take()
    sent = len(run.effects)
    task = run.complete(force_new_task=True, return_new_task_nonce=77).new_task
    assert task is not None
    assert (task.ref, task.started_event_id, task.previous_started_event_id) == (
        TaskRef(5, 1, 77),
        6,
        3,
    )
    assert run.effects[sent:] == [], "nobody else is offered it"
    assert run.history().endswith("5 WorkflowTaskScheduled 6 WorkflowTaskStarted")
    run.complete()
    assert run.event(6).request_id == "request-from-RespondWorkflowTaskCompleted"


def test_there_is_no_next_task_without_a_reason() -> None:
    run = OneRun()
    run.take()
    assert run.complete(return_new_task_nonce=77).new_task is None
    assert run.run.pending_task is None


def test_the_next_task_brings_what_arrived_meanwhile() -> None:
    run = OneRun()
    run.take()
    run.signal()
    assert run.complete(return_new_task_nonce=77).new_task is not None
    assert run.history().endswith(
        "5 WorkflowExecutionSignaled 6 WorkflowTaskScheduled 7 WorkflowTaskStarted"
    )


def test_a_closed_run_takes_no_answer() -> None:
    run = OneRun()
    run.take()
    run.terminate()
    assert run.refused(run.completion()) == STALE
    assert run.task is not None
    failed = FailWorkflowTask(run.task.ref, CAUSE, None, "worker")
    assert run.refused(failed) == "NOT_FOUND: workflow execution already completed"
