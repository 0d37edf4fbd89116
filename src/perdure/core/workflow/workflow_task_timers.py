"""When a workflow task is late, and where it is handed out."""

from perdure.core.workflow.outcome import DispatchWorkflowTask, Timer, TimerKind
from perdure.core.workflow.state import RunState, WorkflowTask

_SPECULATIVE_SCHEDULE_TO_START_NS = 5 * 10**9


def dispatch_of(state: RunState, task: WorkflowTask) -> DispatchWorkflowTask:
    return DispatchWorkflowTask(
        state.task_queue,
        task.sticky_queue,
        task.scheduled_event_id,
        task.attempt,
        state.priority_key,
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
