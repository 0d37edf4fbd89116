"""A worker is asked to move the workflow forward: the task is scheduled, and recorded when a worker has done with it.

`completion.py` has what follows when a worker completes it, `fail.py` when it does not.

The started event is not recorded when the task is started, only together with what ends the task: until then a
crash may forget it, and the task is started again. Failing again and again makes no events either: from the second
attempt on a task is *transient*, and its events are written when it completes.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import (
    EventType,
    TaskQueueKind,
)
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import no_workflow_task
from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Effect, Timer, TimerKind
from perdure.core.execution.request import Request
from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow.effects import DispatchWorkflowTask
from perdure.core.workflow.events import name_version
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.pending import WorkflowTask
from perdure.core.workflow.records import (
    Flushed,
    StickySet,
    TaskConverted,
    TaskRescheduled,
    Unbuffered,
)
from perdure.core.workflow.started_task import StartedTask
from perdure.core.workflow.state import Run, RunState, Speculative
from perdure.core.workflow.tasks.timers import (
    backoff_ns,
    dispatch_of,
    first_task_timer,
    schedule_to_start_timer,
    scheduled_event,
)

# What can be asked


@dataclass(frozen=True, slots=True)
class TaskRef:
    """Which start of which task; from a task token."""

    scheduled_event_id: int
    attempt: int
    nonce: int


@dataclass(frozen=True, slots=True)
class ResetSticky(Request[None]):
    """The worker's cache is gone: the next task goes to the normal queue."""

    #: Only if this is the sticky queue still; empty: whichever it is.
    queue: str = ""


def require_started(step: HistoryStep, ref: TaskRef) -> tuple[WorkflowTask, StartedTask]:
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


def reset_sticky(step: HistoryStep, request: ResetSticky) -> None:
    step.check_open()
    if step.state.sticky_queue and request.queue in ("", step.state.sticky_queue):
        step.record_internal(StickySet())


# What other concepts use


def schedule_speculative(step: HistoryStep, *, dispatch: bool = True) -> None:
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
        step.emit(dispatch_of(state, task))
    _call_back_if_nobody_takes_it(step)


def ensure_scheduled(step: HistoryStep, *, despite_delay: bool = False) -> None:
    """Make sure that a workflow task will show the worker what has just been recorded.

    Temporal: what arrives during the start delay waits for its end, but for what is asked for `despite_delay`.
    """
    state = step.state
    step.make_normal()
    if state.workflow_task is not None or not state.is_open:
        return
    if state.is_paused:
        step.flush()
        return
    if state.has_had_workflow_task or despite_delay:
        schedule(step)


def schedule(
    step: HistoryStep, *, original_scheduled_at_ns: int = 0, dispatch: bool = True
) -> None:
    """Schedule a workflow task; `dispatch` False if the caller hands it out itself."""
    state = step.state
    # Temporal: new events mean that this is not just another attempt of what failed before.
    attempt = 1 if step.flush() else state.workflow_task_attempt
    _begin(step, attempt, original_scheduled_at_ns or step.now_ns)
    _scheduled(step, dispatch=dispatch)


def _begin(step: HistoryStep, attempt: int, original_scheduled_at_ns: int) -> None:
    timeout = step.state.workflow_task_timeout_ns
    timeout += backoff_ns(attempt, step.environment.limits.workflow_task_retry_max_interval_ns)
    if attempt == 1:
        record_scheduled(step, timeout, original_scheduled_at_ns)
    else:
        step.record_internal(
            TaskRescheduled(attempt, step.now_ns, original_scheduled_at_ns, timeout)
        )


def record_scheduled(
    step: HistoryStep, start_to_close_ns: int, original_scheduled_at_ns: int
) -> None:
    step.count_all()
    step.record(scheduled_event(step.state, 1, start_to_close_ns))
    if original_scheduled_at_ns != step.now_ns:
        task = step.state.workflow_task
        assert task is not None
        step.record_internal(
            TaskRescheduled(
                1, task.scheduled_at_ns, original_scheduled_at_ns, task.start_to_close_ns
            )
        )


def offer_again(step: HistoryStep) -> None:
    """Dispatch the task that is pending, if no worker holds it."""
    if step.state.workflow_task is not None and step.in_flight.started is None:
        _scheduled(step, dispatch=True)


def schedule_again(step: HistoryStep) -> None:
    """Schedule the next attempt of a task that has failed, although new events would make it the first."""
    _begin(step, step.state.workflow_task_attempt, step.now_ns)
    _scheduled(step, dispatch=True)


def _scheduled(step: HistoryStep, *, dispatch: bool) -> None:
    state, task = step.state, step.state.workflow_task
    assert task is not None
    if dispatch:
        step.emit(dispatch_of(state, task))
    _call_back_if_nobody_takes_it(step)


def _call_back_if_nobody_takes_it(step: HistoryStep) -> None:
    timer = schedule_to_start_timer(step.run)
    if timer is not None:
        step.set_timer(timer)


def record_started(
    step: HistoryStep, identity: str = "", worker_version: WorkerVersionStamp | None = None
) -> tuple[WorkflowTask, int]:
    """Record what was kept in memory while the worker held the task; return the task and its started event's id.

    Temporal: a transient or speculative task was started by the `worker_version` that ends it, not by the poll's.
    """
    step.make_normal(identity, worker_version)
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


def release(step: HistoryStep) -> None:
    """No worker holds the task any more."""
    step.in_flight.started = None
    step.in_flight.close_attempted = False


def first_task_due(step: HistoryStep, timer: Timer) -> None:
    # Temporal: an update has brought about a first task, which may yet leave no trace.
    if step.state.waits_for_first_task and step.in_flight.speculative is None:
        ensure_scheduled(step, despite_delay=True)


def transient_event(state: RunState, task: WorkflowTask) -> HistoryEvent:
    event = scheduled_event(state, task.attempt, task.start_to_close_ns)
    event.event_id = task.scheduled_event_id
    event.event_time.FromNanoseconds(task.scheduled_at_ns)
    return event


# How records change the state


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


def converted(state: RunState, record: TaskConverted) -> None:
    assert state.workflow_task is not None
    state.workflow_task.was_speculative = True


def sticky_set(state: RunState, record: StickySet) -> None:
    state.sticky_queue = record.queue
    if record.queue:  # A task that waits in the queue which is taken away keeps its time.
        state.sticky_schedule_to_start_ns = record.schedule_to_start_ns


def flushed(state: RunState, record: Flushed) -> None:
    state.buffered = []
    state.flushing = record.count


def unbuffered(state: RunState, record: Unbuffered) -> None:
    del state.buffered[record.index]


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


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    state = run.state
    if not (state.is_open and state.waits_for_first_task):
        return []
    timer = first_task_timer(state)
    # It may have fired, to no effect while there is a speculative task or a pause.
    is_idle = run.in_flight.speculative is None and not state.is_paused
    return [timer] if is_idle or timer.fire_at_ns > now_ns else []


def pending_effects(run: Run, now_ns: int) -> list[Effect]:
    task = run.pending_task
    if task is None or run.in_flight.started is not None or run.state.is_paused:
        return []
    return [dispatch_of(run.state, task)]


def size(run: Run) -> int:
    return sum(event.ByteSize() for event in run.state.buffered)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "workflow task schedule",
    check=check,
    requests={ResetSticky: reset_sticky},
    timers={TimerKind.FIRST_TASK: first_task_due},
    appliers={
        EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: scheduled,
        TaskRescheduled: rescheduled,
        TaskConverted: converted,
        StickySet: sticky_set,
        Flushed: flushed,
        Unbuffered: unbuffered,
    },
    pending_timers=pending_timers,
    effects=(DispatchWorkflowTask,),
    pending_effects=pending_effects,
    size=size,
)
