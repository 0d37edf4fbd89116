"""An activity is not done in time: none of its timeouts may pass unnoticed, and each may mean another attempt."""

from collections.abc import Iterator

from temporalio.api.enums.v1 import EventType, RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.workflow.activities.attempt_records import (
    attempt_timeouts,
    due_at_ns,
    record_started,
    retry,
    strike_at_ns,
    timeouts,
)
from perdure.core.workflow.activities.retries import verdict
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled
from perdure.core.workflow.validation import TIMEOUT_TYPE_NAMES

_TIMEOUTS = {
    TimerKind.ACTIVITY_START_TO_CLOSE: TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE,
    TimerKind.ACTIVITY_SCHEDULE_TO_START: TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START,
    TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE: TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
    TimerKind.ACTIVITY_HEARTBEAT: TimeoutType.TIMEOUT_TYPE_HEARTBEAT,
}

#: The order of timeouts that strike at once. Temporal: an attempt starts a little after its activity was scheduled, so
#: the time of all attempts together is over before the time of that one. Here an eager attempt starts at the very same
#: time.
_ORDER = {
    kind: place
    for place, kind in enumerate(
        (
            TimerKind.ACTIVITY_SCHEDULE_TO_START,
            TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE,
            TimerKind.ACTIVITY_START_TO_CLOSE,
            TimerKind.ACTIVITY_HEARTBEAT,
        )
    )
}

# What can be asked


def time_out(step: HistoryStep, timer: Timer) -> None:
    """Temporal: one timeout takes with it all that strike by now, and one workflow task tells of them."""
    activity = step.state.activities.get(timer.event_id)
    if activity is None:
        return
    per_attempt = timer.kind != TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE
    if per_attempt and activity.attempt != timer.attempt:
        return
    strikes_at_ns = strike_at_ns(activity, TimerKind(timer.kind))
    if strikes_at_ns is None:
        return
    if strikes_at_ns > step.now_ns:
        # A heartbeat came since: look again when the next one would be late.
        step.set_timer(timer._replace(fire_at_ns=strikes_at_ns))
        return
    ended = [_strike(step, each) for each in _due(step.state, step.now_ns)]
    if any(ended):
        ensure_scheduled(step)


def _due(state: RunState, now_ns: int) -> list[Timer]:
    """Return the timeouts of the activities that one strikes now, in the order in which their times were over."""
    struck = {
        timer.event_id
        for activity in state.activities.values()
        for timer in timeouts(activity)
        if timer.fire_at_ns <= now_ns
    }
    due: list[Timer] = []
    for event_id in struck:
        activity = state.activities[event_id]
        for kind in _TIMEOUTS:
            at_ns = due_at_ns(activity, kind)
            if at_ns is not None and at_ns <= now_ns:
                due.append(Timer(at_ns, kind, event_id, activity.attempt))
    return sorted(
        due, key=lambda timer: (timer.fire_at_ns, timer.event_id, _ORDER[TimerKind(timer.kind)])
    )


def _strike(step: HistoryStep, timer: Timer) -> bool:
    """Give the activity another attempt, or end it. Return whether it has ended."""
    activity = step.state.activities.get(timer.event_id)
    if activity is None or activity.attempt != timer.attempt:
        return False  # Another timeout has struck just now.
    timeout = _TIMEOUTS[TimerKind(timer.kind)]
    failure = _timeout_failure(f"activity {TIMEOUT_TYPE_NAMES[timeout]} timeout", timeout)
    decided = verdict(activity, failure, step.now_ns)
    if decided.state == RetryState.RETRY_STATE_IN_PROGRESS:
        retry(step, activity, failure, decided.backoff_ns, completed=False)
        return False
    if (
        decided.state == RetryState.RETRY_STATE_TIMEOUT
        and timeout != TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
    ):
        # Temporal: what ends it is that there is no time left, whichever timeout noticed.
        failure = _timeout_failure(
            "Not enough time to schedule next retry before activity ScheduleToClose timeout,"
            " giving up retrying",
            TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
        )
    if activity.has_heartbeat_details:
        failure.timeout_failure_info.last_heartbeat_details.MergeFromString(
            activity.heartbeat_details
        )
    if activity.last_failure:
        failure.cause.MergeFromString(activity.last_failure)
    started_event_id = record_started(step, activity)
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    attributes = event.activity_task_timed_out_event_attributes
    attributes.failure.CopyFrom(failure)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.retry_state = decided.state
    step.record_or_buffer(event)
    return True


def _timeout_failure(message: str, timeout: TimeoutType.ValueType) -> Failure:
    failure = Failure(message=message, source="Server")
    failure.timeout_failure_info.timeout_type = timeout
    return failure


# What must hold


def check(run: Run) -> None:
    """A worker that vanishes with an activity is noticed."""
    for activity in run.state.activities.values():
        if activity.started_at_ns and not activity.paused_at_ns:
            assert attempt_timeouts(activity)


def pending_timers(run: Run, now_ns: int) -> Iterator[Timer]:
    for activity in run.state.activities.values():
        yield from timeouts(activity)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity timeouts",
    check=check,
    timers=dict.fromkeys(_TIMEOUTS, time_out),
    pending_timers=pending_timers,
)
