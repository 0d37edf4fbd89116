"""A worker that keeps workflows in its cache gets their tasks on a queue of its own."""

from temporalio.api.enums.v1 import TaskQueueKind, TimeoutType

from perdure.core.times import SECOND_NS
from perdure.core.workflow.effects import DispatchWorkflowTask
from perdure.core.workflow.tasks.schedule import ResetSticky
from tests.core.workflow.run import OneRun, seconds

STICKY = {"sticky_queue": "s", "sticky_schedule_to_start_ns": 5 * SECOND_NS}


def stuck() -> OneRun:
    """Return a run whose next task is for the sticky queue, and which is idle."""
    run = OneRun()
    run.work(**STICKY)
    return run


def test_the_next_task_goes_to_the_workers_own_queue() -> None:
    run = stuck()
    run.signal()
    queue = run.last("WorkflowTaskScheduled").task_queue
    assert (queue.name, queue.normal_name) == ("s", "q")
    assert queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY
    assert seconds(run.last("WorkflowTaskScheduled").start_to_close_timeout) == 10
    assert run.effects[-1] == DispatchWorkflowTask("q", "s", 6, 1)
    task = run.take("s")
    assert (task.is_sticky, task.previous_started_event_id) == (True, 3)


def test_a_worker_that_took_the_task_from_the_normal_queue_has_nothing_in_its_cache() -> None:
    run = stuck()
    run.signal()
    assert not run.take("q").is_sticky


def test_what_nobody_takes_from_the_sticky_queue_goes_to_the_normal_one() -> None:
    run = stuck()
    run.signal()
    run.wait(4.9)
    assert run.history().endswith("6 WorkflowTaskScheduled")
    run.wait(0.1)
    assert run.history().endswith(
        "6 WorkflowTaskScheduled 7 WorkflowTaskTimedOut 8 WorkflowTaskScheduled"
    )
    timed_out = run.event(7)
    assert (timed_out.scheduled_event_id, timed_out.started_event_id) == (6, 0)
    assert timed_out.timeout_type == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
    scheduled = run.event(8)
    assert (scheduled.task_queue.name, scheduled.attempt) == ("q", 1)
    assert scheduled.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    assert run.effects[-1] == DispatchWorkflowTask("q", "", 8, 1)


def test_a_task_that_was_taken_in_time_stays() -> None:
    run = stuck()
    run.signal()
    run.wait(4)
    run.take("s")
    run.wait(4)
    assert run.history().endswith("7 WorkflowTaskStarted")


def test_a_failure_takes_the_task_away_from_the_sticky_queue_and_does_not_count() -> None:
    run = stuck()
    run.signal()
    run.take("s")
    run.fail_task()
    assert run.history().endswith("8 WorkflowTaskFailed 9 WorkflowTaskScheduled")
    scheduled = run.event(9)
    assert (scheduled.task_queue.name, scheduled.attempt) == ("q", 1)


def test_a_time_out_takes_the_task_away_from_the_sticky_queue_and_does_not_count() -> None:
    run = stuck()
    run.signal()
    run.take("s")
    run.wait(10)
    scheduled = run.last("WorkflowTaskScheduled")
    assert (scheduled.task_queue.name, scheduled.attempt) == ("q", 1)


def test_a_worker_that_lost_its_cache_says_so() -> None:
    run = stuck()
    run.ask(ResetSticky())
    run.signal()
    assert run.last("WorkflowTaskScheduled").task_queue.name == "q"


def test_a_task_that_waits_for_a_worker_that_lost_its_cache_keeps_its_time() -> None:
    run = stuck()
    run.signal()
    run.ask(ResetSticky())
    run.crash()
    run.wait(4.9)
    assert run.history().endswith("6 WorkflowTaskScheduled")
    run.wait(0.1)
    assert run.history().endswith("7 WorkflowTaskTimedOut 8 WorkflowTaskScheduled")


def test_a_completion_without_a_sticky_queue_takes_it_away() -> None:
    run = stuck()
    run.signal()
    run.work()
    run.signal()
    assert run.last("WorkflowTaskScheduled").task_queue.name == "q"


def test_stickiness_outlives_a_crash() -> None:
    run = stuck()
    run.signal()
    run.crash()
    assert run.effects == [DispatchWorkflowTask("q", "s", 6, 1)]
    run.wait(5)
    assert run.history().endswith("7 WorkflowTaskTimedOut 8 WorkflowTaskScheduled")


def test_a_closed_run_has_no_sticky_queue_to_reset() -> None:
    run = stuck()
    run.terminate()
    assert run.refused(ResetSticky()) == "NOT_FOUND: workflow execution already completed"
