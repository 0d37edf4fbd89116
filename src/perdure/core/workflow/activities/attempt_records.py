"""The records that an attempt at an activity makes on its way, and the times at which its timeouts strike."""

from collections.abc import Iterable

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.times import set_timestamp
from perdure.core.workflow.effects import DispatchActivityTask, fairness_of
from perdure.core.workflow.events import new_event
from perdure.core.workflow.failures import too_large
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.pending import PendingActivity
from perdure.core.workflow.records import ActivityHeartbeat, ActivityRetried
from perdure.core.workflow.state import RunState

#: SDKs send a heartbeat when four fifths of its timeout are over: it has at least this long to arrive.
_HEARTBEAT_MARGIN_NS = 500_000_000
#: Events that end an activity.
ENDS = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
)


def record_started(
    step: HistoryStep,
    activity: PendingActivity,
    *,
    completed_by: str = "",
    worker_version: bytes | None = None,
) -> int:
    """Write the started event of the last attempt. Return its id: 0 if there was none, or it is not known yet.

    Temporal: who completes an activity that no worker has started counts as having started it. The event has the
    `worker_version` of whoever ended the attempt, not of the poll.
    """
    if not activity.started_at_ns and not completed_by:
        return 0
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED)
    attributes = event.activity_task_started_event_attributes
    attributes.scheduled_event_id = activity.scheduled_event_id
    identity = activity.started_identity if activity.started_at_ns else completed_by
    attributes.identity = identity
    attributes.request_id = activity.request_id
    attributes.attempt = activity.attempt
    if activity.last_failure:
        attributes.last_failure.MergeFromString(activity.last_failure)
    if worker_version is not None:
        attributes.worker_version.MergeFromString(worker_version)
    set_timestamp(event.event_time, activity.started_at_ns or step.now_ns)
    return step.record_or_buffer(event).event_id


def record_canceled(
    step: HistoryStep,
    activity: PendingActivity,
    started_event_id: int,
    details: Payloads | None,
    *,
    identity: str,
) -> None:
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    attributes = event.activity_task_canceled_event_attributes
    if details is not None:
        attributes.details.CopyFrom(details)
    attributes.latest_cancel_requested_event_id = activity.cancel_requested_event_id
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = identity
    step.record_or_buffer(event)


def _kept(step: HistoryStep, failure: Failure) -> Failure:
    """Return what is remembered of a failure: of a large one, its beginning."""
    limit = step.environment.limits.activity_failure_size
    if failure.ByteSize() <= limit:
        return failure
    return too_large(failure, limit, is_final=False)


def retry(
    step: HistoryStep,
    activity: PendingActivity,
    failure: Failure,
    backoff_ns: int,
    *,
    completed: bool = True,
) -> None:
    step.record_internal(
        ActivityRetried(
            activity.scheduled_event_id,
            activity.attempt + 1,
            step.now_ns + backoff_ns,
            backoff_ns,
            step.now_ns if completed else activity.last_attempt_complete_at_ns,
            _kept(step, failure).SerializeToString(deterministic=True),
            activity.started_identity,
        )
    )
    if activity.paused_at_ns:
        return
    step.set_timer(retry_timer(activity))
    for timer in attempt_timeouts(activity):
        step.set_timer(timer)


def note_heartbeat(
    step: HistoryStep, activity: PendingActivity, details: Payloads | None, identity: str
) -> None:
    step.record_internal(
        ActivityHeartbeat(
            activity.scheduled_event_id,
            step.now_ns,
            details.SerializeToString(deterministic=True) if details is not None else b"",
            details is not None,
            identity,
        )
    )


def dispatch(state: RunState, activity: PendingActivity) -> DispatchActivityTask:
    priority = state.own_priority
    return DispatchActivityTask(
        activity.task_queue,
        activity.scheduled_event_id,
        activity.attempt,
        activity.stamp,
        activity.priority_key or priority.priority_key,
        fairness_of(
            activity.fairness_key or priority.fairness_key,
            activity.fairness_weight or priority.fairness_weight,
        ),
    )


def offer(step: HistoryStep, activity: PendingActivity) -> None:
    """Have a worker take it, unless the run is paused: then that is made up for when it goes on."""
    if not is_kept_back(step.state, activity):
        step.emit(dispatch(step.state, activity))


def is_kept_back(state: RunState, activity: PendingActivity) -> bool:
    """Return whether no worker is to get it because the run is paused."""
    return state.is_paused and not activity.is_exempt_from_pause


def is_backing_off(activity: PendingActivity, now_ns: int) -> bool:
    """Return whether the next attempt waits until it is due, and a timer must say when."""
    is_waiting = not (activity.started_at_ns or activity.paused_at_ns)
    return is_waiting and activity.scheduled_at_ns > now_ns


def retry_timer(activity: PendingActivity) -> Timer:
    return Timer(
        activity.scheduled_at_ns,
        TimerKind.ACTIVITY_RETRY,
        activity.scheduled_event_id,
        activity.attempt,
    )


def rely_on_timeouts(step: HistoryStep, activity: PendingActivity) -> None:
    """Ask for all that can strike it: it has changed, and so may they."""
    for timer in timeouts(activity):
        step.set_timer(timer)


def timeouts(activity: PendingActivity) -> list[Timer]:
    """Return every timeout that can strike `activity` as it is now: a paused one has none."""
    return [*_asked_for(activity, _OVER_ALL_ATTEMPTS), *attempt_timeouts(activity)]


def attempt_timeouts(activity: PendingActivity) -> list[Timer]:
    """Return those of `timeouts` that begin anew with each attempt, and again when a worker gets it."""
    return _asked_for(activity, _WHILE_IT_RUNS if activity.started_at_ns else _WHILE_IT_WAITS)


_OVER_ALL_ATTEMPTS = (TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE,)
_WHILE_IT_WAITS = (TimerKind.ACTIVITY_SCHEDULE_TO_START,)
_WHILE_IT_RUNS = (TimerKind.ACTIVITY_START_TO_CLOSE, TimerKind.ACTIVITY_HEARTBEAT)


def _asked_for(activity: PendingActivity, kinds: Iterable[TimerKind]) -> list[Timer]:
    timers: list[Timer] = []
    for kind in kinds:
        at_ns = strike_at_ns(activity, kind)
        if at_ns is not None:
            timers.append(Timer(at_ns, kind, activity.scheduled_event_id, activity.attempt))
    return timers


def strike_at_ns(activity: PendingActivity, kind: TimerKind) -> int | None:
    """Return when a timeout of `activity` strikes, if no other one does before; None if it cannot strike it now."""
    at_ns = due_at_ns(activity, kind)
    if at_ns is None or kind != TimerKind.ACTIVITY_HEARTBEAT:
        return at_ns
    # See docs/decisions/0009-heartbeats.md.
    return at_ns + max(0, _HEARTBEAT_MARGIN_NS - activity.heartbeat_timeout_ns // 5)


def due_at_ns(activity: PendingActivity, kind: TimerKind) -> int | None:
    """Return when the time is over that a timeout gives; None if it cannot strike `activity` as it is now."""
    if activity.paused_at_ns:
        return None
    if kind == TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE:
        since_ns, timeout_ns = activity.first_scheduled_at_ns, activity.schedule_to_close_ns
    elif kind == TimerKind.ACTIVITY_SCHEDULE_TO_START:
        since_ns, timeout_ns = activity.scheduled_at_ns, activity.schedule_to_start_ns
        if activity.started_at_ns:
            return None
    elif not activity.started_at_ns:
        return None
    elif kind == TimerKind.ACTIVITY_START_TO_CLOSE:
        since_ns, timeout_ns = activity.started_at_ns, activity.start_to_close_ns
    else:
        since_ns = max(activity.started_at_ns, activity.last_heartbeat_at_ns)
        timeout_ns = activity.heartbeat_timeout_ns
    return since_ns + timeout_ns if timeout_ns else None


# How records of several kinds change the state


def begin_after_reset(activity: PendingActivity) -> None:
    """Have the attempt that comes be an ordinary one, if the one before was reset while it ran."""
    if activity.resets_heartbeat:
        forget_details(activity)
    activity.was_reset = activity.resets_heartbeat = False


def forget_details(activity: PendingActivity) -> None:
    activity.heartbeat_details = b""
    activity.has_heartbeat_details = False
    activity.last_heartbeat_at_ns = 0
