"""A worker is asked to move the workflow forward: the task is scheduled, started, failed or timed out.

What happens when a worker completes it is in `completion.py`.

The started event is not recorded when the task is handed out, only together with what ends the task: until then a
crash may forget it, and the task is handed out again. Failing again and again makes no events either: from the second
attempt on a task is *transient*, and its events are written when it completes.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import EventType, TaskQueueKind, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import no_workflow_task
from perdure.core.workflow.outcome import Effect, Timer, TimerKind
from perdure.core.workflow.problems import report_failure, report_timeout
from perdure.core.workflow.queries import release_unanswered
from perdure.core.workflow.records import (
    Flushed,
    StickySet,
    TaskDropped,
    TaskRescheduled,
    Unbuffered,
)
from perdure.core.workflow.state import Run, RunState, Speculative, StartedTask, WorkflowTask
from perdure.core.workflow.step import (
    HISTORY_SERVICE,
    Appliers,
    Requests,
    Step,
    Timers,
    name_version,
    new_event,
)
from perdure.core.workflow.times import duration_ns, timestamp_ns
from perdure.core.workflow.workflow_task_timers import (
    backoff_ns,
    dispatch_of,
    scheduled_event,
    speculative_timer,
    sticky_timer,
    timeout_timer,
)

_NOBODYS = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED,
)

# What can be asked


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Which handing-out of which task; from a task token."""

    scheduled_event_id: int
    attempt: int
    nonce: int


@dataclass(frozen=True, slots=True)
class FailWorkflowTask:
    ref: TaskRef
    cause: WorkflowTaskFailedCause.ValueType
    failure: Failure | None
    identity: str
    binary_checksum: str = ""
    worker_version: WorkerVersionStamp | None = None


@dataclass(frozen=True, slots=True)
class ResetSticky:
    """The worker's cache is gone: the next task goes to the normal queue."""


def held(step: Step, ref: TaskRef) -> tuple[WorkflowTask, StartedTask]:
    """Return the task that `ref` names, if a worker still holds it."""
    task, started = step.run.pending_task, step.in_flight.started
    if (
        task is None
        or started is None
        or not step.state.is_open
        or task.scheduled_event_id != ref.scheduled_event_id
        or task.attempt != ref.attempt
        or started.nonce != ref.nonce
    ):
        raise no_workflow_task()
    return task, started


def fail(step: Step, request: FailWorkflowTask) -> None:
    step.check_open()
    held(step, request.ref)
    step.convert(request.identity, request.worker_version)
    record_failed(
        step,
        request.cause,
        request.failure,
        identity=request.identity,
        binary_checksum=request.binary_checksum,
        worker_version=request.worker_version,
    )
    ensure(step)


def reset_sticky(step: Step, request: ResetSticky) -> None:
    step.check_open()
    if step.state.sticky_queue:
        step.note(StickySet())


# What other concepts use


def schedule_speculative(step: Step, *, dispatch: bool = True) -> None:
    """Schedule a task in memory only. The first event that is recorded after it makes it a normal one."""
    state = step.state
    assert step.run.pending_task is None
    if state.buffered or state.workflow_task_attempt > 1:
        schedule(step, dispatch=dispatch)
        return
    event = scheduled_event(state, 1, state.workflow_task_timeout_ns)
    event.event_id = state.next_event_id
    event.event_time.FromNanoseconds(step.now_ns)
    task = WorkflowTask(
        scheduled_event_id=event.event_id,
        attempt=1,
        scheduled_at_ns=step.now_ns,
        original_scheduled_at_ns=step.now_ns,
        start_to_close_ns=state.workflow_task_timeout_ns,
        sticky_queue=state.sticky_queue,
        is_recorded=False,
    )
    step.in_flight.speculative = Speculative(task, event)
    if dispatch:
        step.send(dispatch_of(state, task))
    step.call_back(speculative_timer(task))


def ensure(step: Step, *, despite_delay: bool = False) -> None:
    """Make sure that a workflow task will show the worker what has just been recorded.

    Temporal: what arrives during the start delay waits for its end, but for what is asked for `despite_delay`.
    """
    state = step.state
    step.convert()
    if state.workflow_task is not None or not state.is_open:
        return
    if state.is_paused:
        step.flush()
        return
    if state.has_had_workflow_task or despite_delay:
        schedule(step)


def schedule(step: Step, *, original_scheduled_at_ns: int = 0, dispatch: bool = True) -> None:
    """Schedule a workflow task; `dispatch` False if the caller hands it out itself."""
    state = step.state
    # Temporal: new events mean that this is not just another attempt of what failed before.
    attempt = 1 if step.flush() else state.workflow_task_attempt
    _begin(step, attempt, original_scheduled_at_ns or step.now_ns)
    _scheduled(step, dispatch=dispatch)


def _begin(step: Step, attempt: int, original_scheduled_at_ns: int) -> None:
    timeout = step.state.workflow_task_timeout_ns
    timeout += backoff_ns(attempt, step.world.limits.workflow_task_retry_max_interval_ns)
    if attempt == 1:
        record_scheduled(step, timeout, original_scheduled_at_ns)
    else:
        step.note(TaskRescheduled(attempt, step.now_ns, original_scheduled_at_ns, timeout))


def offer_again(step: Step) -> None:
    """Dispatch the task that is pending, if no worker holds it."""
    if step.state.workflow_task is not None and step.in_flight.started is None:
        _scheduled(step, dispatch=True)


def schedule_again(step: Step) -> None:
    """Schedule the next attempt of a task that has failed, although new events would make it the first."""
    _begin(step, step.state.workflow_task_attempt, step.now_ns)
    _scheduled(step, dispatch=True)


def _scheduled(step: Step, *, dispatch: bool) -> None:
    state, task = step.state, step.state.workflow_task
    assert task is not None
    if dispatch:
        step.send(dispatch_of(state, task))
    if task.sticky_queue:
        step.call_back(sticky_timer(state, task))


def record_started(
    step: Step, identity: str = "", worker_version: WorkerVersionStamp | None = None
) -> tuple[WorkflowTask, int]:
    """Record what was kept in memory while the worker held the task; return the task and its started event's id.

    Temporal: a transient or speculative task was started by the `worker_version` that ends it, not by the poll's.
    """
    step.convert(identity, worker_version)
    task, started = step.state.workflow_task, step.in_flight.started
    assert task is not None
    assert started is not None
    for event in started.events:
        copy = HistoryEvent()
        copy.CopyFrom(event)
        if len(started.events) > 1:
            name_version(copy, worker_version)
        step.record(copy)
    return task, started.started_event_id


def record_failed(
    step: Step,
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
        step.note(TaskDropped(_next_attempt(step.state)))
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
    let_go(step)
    report_failure(step, cause)


def _leave_sticky(step: Step) -> None:
    """Temporal: who takes a task of a sticky run from the normal queue ends the stickiness; its failure counts."""
    started = step.in_flight.started
    if started is not None and started.leaves_sticky and step.state.sticky_queue:
        step.note(StickySet())


def let_go(step: Step) -> None:
    """No worker holds the task any more."""
    step.in_flight.started = None
    step.in_flight.close_attempted = False


def force_close(step: Step) -> None:
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
    step.in_flight.speculative = None
    step.flush()


def time_out(step: Step, timer: Timer) -> None:
    task, started = step.run.pending_task, step.in_flight.started
    if task is None or started is None or timeout_timer(task, started.started_at_ns) != timer:
        return
    _leave_sticky(step)
    if task.attempt > 1:
        step.note(TaskDropped(_next_attempt(step.state)))
    else:
        record_timed_out(step, TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE)
    let_go(step)
    report_timeout(step)
    ensure(step)
    if step.run.pending_task is None and not step.state.is_paused:
        release_unanswered(step)


def record_timed_out(step: Step, timeout: TimeoutType.ValueType) -> None:
    started_event_id = 0
    step.convert()
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


def sticky_time_out(step: Step, timer: Timer) -> None:
    """No worker took the task from the sticky queue: try the normal one."""
    task = step.run.pending_task
    is_speculative = step.in_flight.speculative is not None
    if (
        task is None
        or not (task.sticky_queue or is_speculative)
        or step.in_flight.started is not None
    ):
        return
    if task.scheduled_event_id != timer.event_id or task.attempt != timer.attempt:
        return
    if is_speculative and speculative_timer(task) != timer:
        return
    # A failure takes the stickiness away, so a transient task has none.
    assert task.is_recorded or is_speculative
    record_timed_out(step, TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START)
    ensure(step)


def first_task_due(step: Step, timer: Timer) -> None:
    # Temporal: an update has brought about a first task, which may yet leave no trace.
    if step.state.waits_for_first_task and step.in_flight.speculative is None:
        ensure(step, despite_delay=True)


def transient_event(state: RunState, task: WorkflowTask) -> HistoryEvent:
    event = scheduled_event(state, task.attempt, task.start_to_close_ns)
    event.event_id = task.scheduled_event_id
    event.event_time.FromNanoseconds(task.scheduled_at_ns)
    return event


# How records change the state


def record_scheduled(step: Step, start_to_close_ns: int, original_scheduled_at_ns: int) -> None:
    step.count_all()
    step.record(scheduled_event(step.state, 1, start_to_close_ns))
    if original_scheduled_at_ns != step.now_ns:
        task = step.state.workflow_task
        assert task is not None
        step.note(
            TaskRescheduled(
                1, task.scheduled_at_ns, original_scheduled_at_ns, task.start_to_close_ns
            )
        )


def scheduled(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_task_scheduled_event_attributes
    sticky = attributes.task_queue.kind == TaskQueueKind.TASK_QUEUE_KIND_STICKY
    at_ns = timestamp_ns(event.event_time)
    state.workflow_task = WorkflowTask(
        scheduled_event_id=event.event_id,
        attempt=attributes.attempt,
        scheduled_at_ns=at_ns,
        original_scheduled_at_ns=at_ns,
        start_to_close_ns=duration_ns(attributes.start_to_close_timeout),
        sticky_queue=attributes.task_queue.name if sticky else "",
    )
    state.workflow_task_attempt = attributes.attempt
    state.has_had_workflow_task = True


def rescheduled(state: RunState, record: TaskRescheduled) -> None:
    """A transient task, or the carried-over first time of a heartbeat's task whose event is just recorded."""
    is_recorded = state.workflow_task is not None
    scheduled_event_id = (
        state.workflow_task.scheduled_event_id if state.workflow_task else state.next_event_id
    )
    state.workflow_task = WorkflowTask(
        scheduled_event_id=scheduled_event_id,
        attempt=record.attempt,
        scheduled_at_ns=record.scheduled_at_ns,
        original_scheduled_at_ns=record.original_scheduled_at_ns,
        start_to_close_ns=record.start_to_close_ns,
        sticky_queue=state.sticky_queue,
        is_recorded=is_recorded,
    )
    state.workflow_task_attempt = record.attempt


def dropped(state: RunState, record: TaskDropped) -> None:
    state.failed_task_count += 1
    state.workflow_task = None
    state.workflow_task_attempt = record.next_attempt
    state.sticky_queue = ""


def failed(state: RunState, event: HistoryEvent) -> None:
    cause = event.workflow_task_failed_event_attributes.cause
    # Temporal: a reset, a failover or a pause is nobody's failure.
    is_reset = cause in _NOBODYS
    if not is_reset and not state.sticky_queue:
        state.failed_task_count += 1
    state.workflow_task_attempt = 1 if is_reset else _next_attempt(state)
    state.workflow_task = None
    state.sticky_queue = ""


def timed_out(state: RunState, event: HistoryEvent) -> None:
    timeout = event.workflow_task_timed_out_event_attributes.timeout_type
    if timeout == TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START:
        state.workflow_task_attempt = 1
    else:
        state.failed_task_count += not state.sticky_queue
        state.workflow_task_attempt = _next_attempt(state)
    state.workflow_task = None
    state.sticky_queue = ""


def sticky_set(state: RunState, record: StickySet) -> None:
    state.sticky_queue = record.queue
    if record.queue:  # A task that waits in the queue which is taken away keeps its time.
        state.sticky_schedule_to_start_ns = record.schedule_to_start_ns


def flushed(state: RunState, record: Flushed) -> None:
    state.buffered = []
    state.flushing = record.count


def unbuffered(state: RunState, record: Unbuffered) -> None:
    del state.buffered[record.index]


def _next_attempt(state: RunState) -> int:
    """Temporal: a failure on a sticky queue only takes the stickiness away; the next attempt counts as the first."""
    return 1 if state.sticky_queue else state.workflow_task_attempt + 1


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert state.flushing == 0
    if state.workflow_task is not None:
        assert state.is_open
        assert state.has_had_workflow_task
        assert state.workflow_task.attempt == state.workflow_task_attempt
        if state.workflow_task.is_recorded:
            assert state.workflow_task.scheduled_event_id < state.next_event_id
    if run.in_flight.speculative is not None:
        assert state.is_open
        assert state.workflow_task is None
        assert run.in_flight.speculative.event.event_id == state.next_event_id
    if not state.is_open:
        assert not state.buffered


def needed_timers(run: Run) -> list[Timer]:
    state, started = run.state, run.in_flight.started
    task = run.pending_task
    if task is None:
        return []
    if started is not None:
        return [timeout_timer(task, started.started_at_ns)]
    if run.in_flight.speculative is not None:
        return [speculative_timer(task)]
    return [sticky_timer(state, task)] if task.sticky_queue and not state.is_paused else []


def owed(run: Run) -> list[Effect]:
    task = run.pending_task
    if task is None or run.in_flight.started is not None or run.state.is_paused:
        return []
    return [dispatch_of(run.state, task)]


REQUESTS: Requests = {ResetSticky: reset_sticky}
TIMERS: Timers = {
    TimerKind.WORKFLOW_TASK_TIMEOUT: time_out,
    TimerKind.STICKY_SCHEDULE_TO_START: sticky_time_out,
    TimerKind.FIRST_TASK: first_task_due,
}
APPLIERS: Appliers = {
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: scheduled,
    EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED: failed,
    EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT: timed_out,
    TaskRescheduled: rescheduled,
    TaskDropped: dropped,
    StickySet: sticky_set,
    Flushed: flushed,
    Unbuffered: unbuffered,
}
