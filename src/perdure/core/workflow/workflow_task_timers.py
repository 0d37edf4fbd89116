"""How a workflow task is scheduled: its event, when it is late, and where it is handed out."""

from temporalio.api.enums.v1 import EventType, TaskQueueKind
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.outcome import DispatchWorkflowTask, Timer, TimerKind, fairness_of
from perdure.core.workflow.state import Run, RunState, WorkflowTask
from perdure.core.workflow.step import new_event
from perdure.core.workflow.times import set_duration

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


def timeout_timer(task: WorkflowTask, started_at_ns: int) -> Timer:
    return Timer(
        started_at_ns + task.start_to_close_ns,
        TimerKind.WORKFLOW_TASK_TIMEOUT,
        task.scheduled_event_id,
        task.attempt,
    )


def sticky_timer(state: RunState, task: WorkflowTask) -> Timer:
    return Timer(
        task.scheduled_at_ns + state.sticky_schedule_to_start_ns,
        TimerKind.STICKY_SCHEDULE_TO_START,
        task.scheduled_event_id,
        task.attempt,
    )


def speculative_timer(task: WorkflowTask) -> Timer:
    """Temporal: nobody took a speculative task, from whichever queue: it becomes a normal one."""
    return Timer(
        task.scheduled_at_ns + _SPECULATIVE_SCHEDULE_TO_START_NS,
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
    attributes = event.workflow_task_scheduled_event_attributes
    if state.sticky_queue:
        attributes.task_queue.name = state.sticky_queue
        attributes.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_STICKY
        attributes.task_queue.normal_name = state.task_queue
    else:
        attributes.task_queue.name = state.task_queue
        attributes.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    set_duration(attributes.start_to_close_timeout, start_to_close_ns)
    attributes.attempt = attempt
    return event
