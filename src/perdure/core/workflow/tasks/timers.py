"""How a workflow task is scheduled: its event, when it is late, and which queue it goes to."""

from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.times import set_duration
from perdure.core.workflow.effects import DispatchWorkflowTask, fairness_of
from perdure.core.workflow.events import new_event
from perdure.core.workflow.pending import WorkflowTask
from perdure.core.workflow.state import Run, RunState

_SPECULATIVE_SCHEDULE_TO_START_NS = 5 * 10**9
#: Temporal: attempts after this one get more and more time, so that a broken worker is asked less and less often.
_BACKOFF_AFTER_ATTEMPT = 3
_BACKOFF_INITIAL_NS = 5 * 10**9


def dispatch_of(state: RunState, task: WorkflowTask) -> DispatchWorkflowTask:
    priority = state.own_priority
    return DispatchWorkflowTask(
        state.task_queue,
        task.sticky_queue,
        task.scheduled_event_id,
        task.attempt,
        priority.priority_key,
        fairness_of(priority.fairness_key, priority.fairness_weight),
    )


def first_task_timer(state: RunState) -> Timer:
    return Timer(state.execution_time_ns, TimerKind.FIRST_TASK, 0, 0)


def task_timers(run: Run) -> list[Timer]:
    """Return the timer of the pending task: its timeout, or the time that a worker has to take it."""
    task, started = run.pending_task, run.in_flight.started
    if task is None:
        return []
    if started is not None:
        return [timeout_timer(task, started.started_at_ns)]
    timer = schedule_to_start_timer(run)
    return [timer] if timer is not None and not run.state.is_paused else []


def timeout_timer(task: WorkflowTask, started_at_ns: int) -> Timer:
    return Timer(
        started_at_ns + task.start_to_close_ns,
        TimerKind.WORKFLOW_TASK_TIMEOUT,
        task.scheduled_event_id,
        task.attempt,
    )


def schedule_to_start_timer(run: Run) -> Timer | None:
    """Return when it is too late for a worker to take the pending task; None if it may wait for ever.

    Temporal: also a speculative task on the normal queue waits only for a while, even if it has become a normal one.
    """
    task = run.pending_task
    assert task is not None
    if task.sticky_queue:
        patience_ns = run.state.sticky_schedule_to_start_ns
    elif run.in_flight.speculative is not None or task.was_speculative:
        patience_ns = _SPECULATIVE_SCHEDULE_TO_START_NS
    else:
        return None
    return Timer(
        task.scheduled_at_ns + patience_ns,
        TimerKind.STICKY_SCHEDULE_TO_START,
        task.scheduled_event_id,
        task.attempt,
    )


def is_over(run: Run, timer: Timer) -> bool:
    """Whether `timer` is about a workflow task that has ended."""
    if timer.kind not in (TimerKind.WORKFLOW_TASK_TIMEOUT, TimerKind.STICKY_SCHEDULE_TO_START):
        return False
    task = run.pending_task
    return task is None or task.scheduled_event_id != timer.event_id


def backoff_ns(attempt: int, max_interval_ns: int) -> int:
    if attempt <= _BACKOFF_AFTER_ATTEMPT:
        return 0
    doublings = min(attempt - _BACKOFF_AFTER_ATTEMPT - 1, 32)
    return int(min(_BACKOFF_INITIAL_NS << doublings, max_interval_ns))


def scheduled_event(state: RunState, attempt: int, start_to_close_ns: int) -> HistoryEvent:
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
    name_queue(event, state.task_queue, state.sticky_queue)
    attributes = event.workflow_task_scheduled_event_attributes
    set_duration(attributes.start_to_close_timeout, start_to_close_ns)
    attributes.attempt = attempt
    return event


def name_queue(event: HistoryEvent, task_queue: str, sticky_queue: str = "") -> None:
    """Have a scheduled event name the queue on which the task is."""
    queue = event.workflow_task_scheduled_event_attributes.task_queue
    queue.Clear()
    queue.name = sticky_queue or task_queue
    queue.kind = (
        TaskQueueKind.TASK_QUEUE_KIND_STICKY
        if sticky_queue
        else TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    )
    if sticky_queue:
        queue.normal_name = task_queue
