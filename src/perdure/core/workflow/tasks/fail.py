"""A worker does not complete its workflow task: it fails it, is late, or nobody takes it from a sticky queue.

The work that the task was for remains, so another one is scheduled, unless the run closes.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.execution.request import Request
from perdure.core.workflow.events import HISTORY_SERVICE, new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.pending import WorkflowTask
from perdure.core.workflow.queries import release_unanswered
from perdure.core.workflow.records import StickySet, TaskDropped, TaskRescheduled
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks import reported_problems
from perdure.core.workflow.tasks.schedule import (
    TaskRef,
    ensure_scheduled,
    record_started,
    release,
    require_started,
)
from perdure.core.workflow.tasks.timers import (
    is_over,
    schedule_to_start_timer,
    task_timers,
    timeout_timer,
)

#: Temporal: a reset, a failover or a pause is nobody's failure.
_NOBODYS = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED,
)

# What can be asked


@dataclass(frozen=True, slots=True)
class FailWorkflowTask(Request[None]):
    ref: TaskRef
    cause: WorkflowTaskFailedCause.ValueType
    failure: Failure | None
    identity: str
    binary_checksum: str = ""
    worker_version: WorkerVersionStamp | None = None


def fail(step: HistoryStep, request: FailWorkflowTask) -> None:
    step.check_open()
    require_started(step, request.ref)
    step.make_normal(request.identity, request.worker_version)
    record_failed(
        step,
        request.cause,
        request.failure,
        identity=request.identity,
        binary_checksum=request.binary_checksum,
        worker_version=request.worker_version,
    )
    ensure_scheduled(step)


def time_out(step: HistoryStep, timer: Timer) -> None:
    task, started = step.run.pending_task, step.in_flight.started
    if task is None or started is None or timeout_timer(task, started.started_at_ns) != timer:
        return
    _leave_sticky(step)
    if task.attempt > 1:
        step.record_internal(TaskDropped(_next_attempt(step.state)))
    else:
        record_timed_out(step, TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
    release(step)
    reported_problems.report(step)
    ensure_scheduled(step)
    if step.run.pending_task is None and not step.state.is_paused:
        release_unanswered(step)


def sticky_time_out(step: HistoryStep, timer: Timer) -> None:
    """No worker took the task in time: try the normal queue, without an end."""
    task = step.run.pending_task
    if task is None or step.in_flight.started is not None:
        return
    if schedule_to_start_timer(step.run) != timer:
        return
    # A failure takes the stickiness away, so a transient task has none.
    assert task.is_recorded or step.in_flight.speculative is not None
    record_timed_out(step, TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START)
    ensure_scheduled(step)


# What other concepts use


def record_failed(
    step: HistoryStep,
    cause: WorkflowTaskFailedCause.ValueType,
    failure: Failure | None,
    *,
    identity: str,
    binary_checksum: str = "",
    worker_version: WorkerVersionStamp | None = None,
) -> None:
    """End the held task as failed. There is no event for it if it was transient."""
    task = step.run.pending_task
    assert task is not None
    _leave_sticky(step)
    if task.attempt > 1:
        step.record_internal(TaskDropped(_next_attempt(step.state)))
    else:
        task, started_event_id = record_started(step, identity, worker_version)
        event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
        attributes = event.workflow_task_failed_event_attributes
        attributes.scheduled_event_id = task.scheduled_event_id
        attributes.started_event_id = started_event_id
        attributes.cause = cause
        if failure is not None:
            attributes.failure.CopyFrom(failure)
        attributes.identity = identity
        attributes.binary_checksum = binary_checksum
        step.record(event)
    release(step)
    reported_problems.report(step)


def _leave_sticky(step: HistoryStep) -> None:
    """Temporal: who takes a task of a sticky run from the normal queue ends the stickiness; its failure counts."""
    started = step.in_flight.started
    if started is not None and started.leaves_sticky and step.state.sticky_queue:
        step.record_internal(StickySet())


def record_timed_out(step: HistoryStep, timeout: TimeoutType.ValueType) -> None:
    started_event_id = 0
    step.make_normal()
    task = step.state.workflow_task
    assert task is not None
    if step.in_flight.started is not None:
        task, started_event_id = record_started(step)
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    attributes = event.workflow_task_timed_out_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.timeout_type = timeout
    step.record(event)


def force_close(step: HistoryStep) -> None:
    """The run closes while a worker holds its task: end the task, then give buffered events their place.

    Temporal: a held task of a run that is terminated or times out fails with this cause.
    """
    if step.in_flight.started is not None:
        record_failed(
            step,
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
            None,
            identity=HISTORY_SERVICE,
        )
    speculative = step.in_flight.speculative
    if speculative is not None:
        step.in_flight.speculative = None
        step.record_internal(_left(speculative.task))
    step.flush()


def _left(task: WorkflowTask) -> TaskRescheduled:
    """Temporal: descriptions of the closed run show it, although no event ever did."""
    return TaskRescheduled(
        task.attempt, task.scheduled_at_ns, task.original_scheduled_at_ns, task.start_to_close_ns
    )


# How records change the state


def dropped(state: RunState, record: TaskDropped) -> None:
    state.failed_task_count += 1
    state.workflow_task = None
    state.workflow_task_attempt = record.next_attempt
    state.sticky_queue = ""


def failed(state: RunState, event: HistoryEvent) -> None:
    cause = event.workflow_task_failed_event_attributes.cause
    is_nobodys = cause in _NOBODYS
    if not is_nobodys and not state.sticky_queue:
        state.failed_task_count += 1
    state.last_problem = reported_problems.failed(cause)
    state.workflow_task_attempt = 1 if is_nobodys else _next_attempt(state)
    state.workflow_task = None
    state.sticky_queue = ""


def timed_out(state: RunState, event: HistoryEvent) -> None:
    timeout = event.workflow_task_timed_out_event_attributes.timeout_type
    if timeout == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
        state.workflow_task_attempt = 1
    else:
        state.failed_task_count += not state.sticky_queue
        state.last_problem = reported_problems.TIMED_OUT
        state.workflow_task_attempt = _next_attempt(state)
    state.workflow_task = None
    state.sticky_queue = ""


def _next_attempt(state: RunState) -> int:
    """Temporal: a failure on a sticky queue only takes the stickiness away; the next attempt counts as the first."""
    return 1 if state.sticky_queue else state.workflow_task_attempt + 1


# What must hold


def check(run: Run) -> None:
    """A failure takes the stickiness away, so what is scheduled on a sticky queue is a first attempt."""
    assert run.state.workflow_task_attempt == 1 or not run.state.sticky_queue


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    return task_timers(run)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "workflow task failures",
    check=check,
    pending_timers=pending_timers,
    is_stale=is_over,
    timers={
        TimerKind.WORKFLOW_TASK_TIMEOUT: time_out,
        TimerKind.STICKY_SCHEDULE_TO_START: sticky_time_out,
    },
    appliers={
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: failed,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: timed_out,
        TaskDropped: dropped,
    },
)
