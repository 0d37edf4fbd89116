"""The workflow sleeps."""

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.pending import PendingTimer
from perdure.core.workflow.records import Unbuffered
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled
from perdure.core.workflow.validation import check_id, duration_fault

_MILLISECOND_NS = 1_000_000
_TIMER_BYTES = 40

# What can be asked


def fire(step: HistoryStep, timer: Timer) -> None:
    """Temporal: one that is due takes with it all that are due by now, and one workflow task tells of them."""
    due = _due(step.state, max(step.now_ns, timer.fire_at_ns))
    if all(event_id != timer.event_id for _, event_id, _ in due):
        return  # Stale: the timer was cancelled after it was set, or has fired with another.
    for _, event_id, timer_id in due:
        event = new_event(EventType.EVENT_TYPE_TIMER_FIRED)
        attributes = event.timer_fired_event_attributes
        attributes.timer_id = timer_id
        attributes.started_event_id = event_id
        step.record_or_buffer(event)
    ensure_scheduled(step)


# What a worker can command


def start(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    wanted = command.start_timer_command_attributes
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_TIMER_ATTRIBUTES
    if not command.HasField("start_timer_command_attributes"):
        raise BadCommand(cause, "StartTimerCommandAttributes is not set on StartTimerCommand.")
    check_id(
        step.environment.limits.max_id_length,
        cause,
        "TimerId",
        wanted.timer_id,
        "StartTimerCommand",
    )
    fault = duration_fault(wanted.start_to_fire_timeout)
    if fault is not None:
        raise BadCommand(
            cause,
            f"An invalid StartToFireTimeout is set on StartTimerCommand: {fault}."
            f" TimerId={wanted.timer_id}",
        )
    if (
        wanted.timer_id in step.state.timers
        or _buffered_fire(step.state, wanted.timer_id) is not None
    ):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_START_TIMER_DUPLICATE_ID,
            f"invalid history builder state for action: add-timer-started-event, TimerID: {wanted.timer_id}",
        )
    event = new_event(EventType.EVENT_TYPE_TIMER_STARTED)
    attributes = event.timer_started_event_attributes
    attributes.timer_id = wanted.timer_id
    attributes.start_to_fire_timeout.CopyFrom(wanted.start_to_fire_timeout)
    attributes.workflow_task_completed_event_id = completed_event_id
    step.record(event)
    step.set_timer(_timer_of(step.state.timers[wanted.timer_id]))


def cancel(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    wanted = command.cancel_timer_command_attributes
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_CANCEL_TIMER_ATTRIBUTES
    if not command.HasField("cancel_timer_command_attributes"):
        raise BadCommand(cause, "CancelTimerCommandAttributes is not set on CancelTimerCommand.")
    check_id(
        step.environment.limits.max_id_length,
        cause,
        "TimerId",
        wanted.timer_id,
        "CancelTimerCommand",
    )
    timer = step.state.timers.get(wanted.timer_id)
    if timer is not None:
        started_event_id = timer.started_event_id
    else:
        # Temporal: a timer that fired while the worker held the task can still be cancelled: its firing is taken back.
        index = _buffered_fire(step.state, wanted.timer_id)
        if index is None:
            raise BadCommand(
                cause,
                f"invalid history builder state for action: add-timer-canceled-event, TimerID: {wanted.timer_id}",
            )
        fired_event = step.state.buffered[index]
        started_event_id = fired_event.timer_fired_event_attributes.started_event_id
        step.record_internal(Unbuffered(index))
    event = new_event(EventType.EVENT_TYPE_TIMER_CANCELED)
    attributes = event.timer_canceled_event_attributes
    attributes.timer_id = wanted.timer_id
    attributes.started_event_id = started_event_id
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.identity = step.in_flight.started.identity if step.in_flight.started else ""
    step.record(event)


# How records change the state


def started(state: RunState, event: HistoryEvent) -> None:
    attributes = event.timer_started_event_attributes
    fire_at_ns = timestamp_ns(event.event_time) + duration_ns(attributes.start_to_fire_timeout)
    state.timers[attributes.timer_id] = PendingTimer(event.event_id, fire_at_ns)


def fired(state: RunState, event: HistoryEvent) -> None:
    del state.timers[event.timer_fired_event_attributes.timer_id]


def canceled(state: RunState, event: HistoryEvent) -> None:
    state.timers.pop(event.timer_canceled_event_attributes.timer_id, None)


def _buffered_fire(state: RunState, timer_id: str) -> int | None:
    for index, event in enumerate(state.buffered):
        if (
            event.event_type == EventType.EVENT_TYPE_TIMER_FIRED
            and event.timer_fired_event_attributes.timer_id == timer_id
        ):
            return index
    return None


def _due(state: RunState, now_ns: int) -> list[tuple[int, int, str]]:
    """Return when each due timer fires, its started event and its id, in the order of their firing.

    Temporal: a timer is due from the beginning of its millisecond.
    """
    end_ns = now_ns - now_ns % _MILLISECOND_NS + _MILLISECOND_NS
    return sorted(
        (timer.fire_at_ns, timer.started_event_id, timer_id)
        for timer_id, timer in state.timers.items()
        if timer.fire_at_ns < end_ns
    )


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert not (state.timers and not state.is_open)
    for timer in state.timers.values():
        assert timer.started_event_id < state.next_event_id


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    return [_timer_of(timer) for timer in run.state.timers.values()]


def size(run: Run) -> int:
    # Temporal: the id of a timer counts twice.
    return sum(_TIMER_BYTES + 2 * len(each) for each in run.state.timers)


def _timer_of(timer: PendingTimer) -> Timer:
    return Timer(timer.fire_at_ns, TimerKind.USER_TIMER, timer.started_event_id, 0)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "timers",
    check=check,
    commands={
        CommandType.COMMAND_TYPE_START_TIMER: start,
        CommandType.COMMAND_TYPE_CANCEL_TIMER: cancel,
    },
    timers={TimerKind.USER_TIMER: fire},
    appliers={
        EventType.EVENT_TYPE_TIMER_STARTED: started,
        EventType.EVENT_TYPE_TIMER_FIRED: fired,
        EventType.EVENT_TYPE_TIMER_CANCELED: canceled,
    },
    pending_timers=pending_timers,
    size=size,
)
