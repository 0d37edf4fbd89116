"""Operators take a hand in activities: pause them, let them go on, begin their attempts anew, change their options.

History shows nothing of it. `stamp` grows whenever what waits for a worker is not to be started any more as it is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Payload, Priority
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.workflow.activity_attempts import (
    offer,
    retry_timer,
    timeouts,
)
from perdure.core.workflow.activity_options import fill_timeouts
from perdure.core.workflow.activity_retries import exponential_ns
from perdure.core.workflow.records import (
    ActivityChanged,
    ActivityPaused,
    ActivityRescheduled,
    ActivityReset,
    ActivityUnpaused,
)
from perdure.core.workflow.state import PendingActivity, Run, RunState
from perdure.core.workflow.step import Appliers, BadCommand, Requests, Step
from perdure.core.workflow.times import duration_ns
from perdure.core.workflow.validation import retry_policy, retry_policy_fault, task_queue_fault

PAUSE_INFO = "TemporalPauseInfo"
_NOT_FOUND = (
    "Can't find pending activity with such ID. Invalid activityID or activity already completed"
)
#: Multiples of this, modulo 1, lie evenly: activities that go on together do so at different times.
_GOLDEN_RATIO = 0.618033988749895

# What can be asked


@dataclass(frozen=True, slots=True)
class Selected:
    """Which activities: the one of an id, those of a type, or (both None) all. No activity has an empty id or type."""

    activity_id: str | None = None
    activity_type: str | None = None


@dataclass(frozen=True, slots=True)
class PauseActivities:
    which: Selected
    identity: str
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class UnpauseActivities:
    which: Selected
    reset_attempts: bool
    reset_heartbeat: bool
    jitter_ns: int
    #: Drawn at random, 0 <= chance < 1.
    chance: float


@dataclass(frozen=True, slots=True)
class ResetActivities:
    which: Selected
    reset_heartbeat: bool
    keep_paused: bool
    restore_options: bool
    jitter_ns: int
    chance: float


@dataclass(frozen=True, slots=True)
class ChangeActivities:
    """Reply: the `ActivityOptions` of the last one. `fields` are paths in camel case. None: not provided."""

    which: Selected
    options: ActivityOptions | None
    fields: frozenset[str] | None
    #: All is to be as it was once.
    restores: bool = False


def pause(step: Step, request: PauseActivities) -> None:
    for activity in _selected(step, request.which):
        if not activity.paused_at_ns:
            step.note(
                ActivityPaused(
                    activity.scheduled_event_id,
                    step.now_ns,
                    request.identity,
                    request.reason,
                    request.request_id,
                )
            )
        elif activity.pause_request_id != request.request_id or not request.request_id:
            raise Rejected(Code.FAILED_PRECONDITION, "activity is already paused")
    # Temporal: also if nothing changes.
    step.convert()


def unpause(step: Step, request: UnpauseActivities) -> None:
    for activity in _selected(step, request.which):
        if not activity.paused_at_ns:
            continue
        step.note(ActivityUnpaused(activity.scheduled_event_id))
        at_ns = _soon(step, activity, request.jitter_ns, request.chance)
        attempt = 1 if request.reset_attempts else activity.attempt
        _reschedule(step, activity, attempt, at_ns, forget_details=request.reset_heartbeat)
        if activity.started_at_ns:
            # Only now: a timer is known by its attempt.
            _rely_on_timers(step, activity)
    # Temporal: also if nothing changes.
    step.convert()


def reset(step: Step, request: ResetActivities) -> None:
    for activity in _selected(step, request.which):
        scheduled_event_id = activity.scheduled_event_id
        if request.restore_options and activity.original_attributes:
            _change(step, activity, activity.original_attributes)
        if activity.paused_at_ns and not request.keep_paused:
            step.note(ActivityUnpaused(scheduled_event_id))
        step.note(ActivityReset(scheduled_event_id, request.reset_heartbeat))
        if activity.started_at_ns:
            _rely_on_timers(step, activity)
        elif not activity.paused_at_ns:
            at_ns = _soon(step, activity, request.jitter_ns, request.chance)
            _reschedule(step, activity, 1, at_ns, forget_details=request.reset_heartbeat)


def change(step: Step, request: ChangeActivities) -> ActivityOptions:
    wanted, fields = request.options, request.fields
    if not request.restores:
        step.check_open()
        if wanted is None:
            raise invalid_argument("ActivityOptions are not provided")
        if fields is None and request.which.activity_id is not None:
            raise invalid_argument("UpdateMask is not provided")
    options = ActivityOptions()
    for activity in _pending(step, request.which):
        if request.restores or wanted is None:
            changed = activity.original_attributes or activity.attributes
        elif fields is None:
            raise invalid_argument("UpdateMask is not provided")
        else:
            changed = _merged(step, activity, wanted, fields)
        _change(step, activity, changed)
        if not activity.started_at_ns:
            _reschedule(step, activity, activity.attempt, _next_due_ns(activity))
        else:
            _rely_on_timers(step, activity)
        # Temporal: options that are as they were once do not tell the kind of their queue.
        kind = TaskQueueKind.TASK_QUEUE_KIND_UNSPECIFIED
        if not request.restores:
            kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
        options = _options(ActivityTaskScheduledEventAttributes.FromString(changed), kind)
        if wanted is not None and fields is not None and not request.restores:
            # Temporal: the types of errors that stay are not told, but those that were not taken.
            types = wanted.retry_policy.non_retryable_error_types
            options.retry_policy.non_retryable_error_types[:] = (
                types if "retryPolicy" in fields else ()
            )
    return options


def _selected(step: Step, which: Selected) -> list[PendingActivity]:
    step.check_open()
    return _pending(step, which)


def _pending(step: Step, which: Selected) -> list[PendingActivity]:
    state = step.state
    if which.activity_id is not None:
        scheduled_event_id = state.activity_ids.get(which.activity_id)
        found = [state.activities[scheduled_event_id]] if scheduled_event_id else []
    else:
        found = [
            activity
            for activity in state.activities.values()
            if which.activity_type in (None, activity.activity_type)
        ]
    if not found:
        raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
    return found


def _soon(step: Step, activity: PendingActivity, jitter_ns: int, chance: float) -> int:
    part = (chance + activity.scheduled_event_id * _GOLDEN_RATIO) % 1
    return step.now_ns + int(jitter_ns * part)


def _next_due_ns(activity: PendingActivity) -> int:
    """Return when the attempt that waits is due, by the retry policy as it is now."""
    if activity.attempt == 1:
        return activity.scheduled_at_ns
    backoff_ns = exponential_ns(activity.retry_policy, activity.attempt)
    return activity.last_attempt_complete_at_ns + backoff_ns


def _reschedule(
    step: Step,
    activity: PendingActivity,
    attempt: int,
    at_ns: int,
    *,
    forget_details: bool = False,
) -> None:
    """Have the attempt, or the next one if a worker is at it, begin like this."""
    is_waiting = not activity.started_at_ns
    step.note(
        ActivityRescheduled(
            activity.scheduled_event_id,
            attempt,
            at_ns if is_waiting else activity.scheduled_at_ns,
            forget_details,
        )
    )
    if not is_waiting or activity.paused_at_ns:
        return
    _rely_on_timers(step, activity)
    if at_ns > step.now_ns:
        step.call_back(retry_timer(activity))
    else:
        offer(step, activity)


def _rely_on_timers(step: Step, activity: PendingActivity) -> None:
    for timer in timeouts(activity):
        step.call_back(timer)


def _change(step: Step, activity: PendingActivity, attributes: bytes) -> None:
    step.note(ActivityChanged(activity.scheduled_event_id, attributes))


# Options


def _merged(
    step: Step, activity: PendingActivity, wanted: ActivityOptions, fields: frozenset[str]
) -> bytes:
    new = ActivityTaskScheduledEventAttributes.FromString(activity.attributes)
    for path, merge in _MERGES.items():
        if path in fields:
            merge(new, wanted)
    if any(path.startswith("retryPolicy") for path in fields):
        fault = retry_policy_fault(new.retry_policy)
        if fault is not None:
            raise invalid_argument(fault)
    limit = step.world.limits.max_id_length
    fault = task_queue_fault(new.task_queue, limit, step.state.task_queue)
    if fault is not None:
        raise invalid_argument(fault)
    try:
        fill_timeouts(new, 0)
    except BadCommand as error:
        raise invalid_argument(error.message) from error
    return new.SerializeToString()


_Part = Literal[
    "schedule_to_close_timeout",
    "schedule_to_start_timeout",
    "start_to_close_timeout",
    "heartbeat_timeout",
    "priority",
]
Merge = Callable[[ActivityTaskScheduledEventAttributes, ActivityOptions], None]


def _part(name: _Part) -> Merge:
    def merge(new: ActivityTaskScheduledEventAttributes, wanted: ActivityOptions) -> None:
        new.ClearField(name)
        if wanted.HasField(name):
            getattr(new, name).CopyFrom(getattr(wanted, name))

    return merge


def _field(part: str, name: str) -> Merge:
    def merge(new: ActivityTaskScheduledEventAttributes, wanted: ActivityOptions) -> None:
        if not wanted.HasField(part):  # type: ignore[arg-type]
            words = "".join(word.capitalize() for word in part.split("_"))
            raise invalid_argument(f"{words} is not provided")
        value = getattr(getattr(wanted, part), name)
        if hasattr(value, "CopyFrom"):
            getattr(getattr(new, part), name).CopyFrom(value)
        else:
            setattr(getattr(new, part), name, value)

    return merge


def _whole_retry_policy(new: ActivityTaskScheduledEventAttributes, wanted: ActivityOptions) -> None:
    if not wanted.HasField("retry_policy"):
        raise invalid_argument("RetryPolicy is not provided")
    # Temporal: what is not to be tried again cannot be changed.
    kept = list(new.retry_policy.non_retryable_error_types)
    new.retry_policy.CopyFrom(wanted.retry_policy)
    new.retry_policy.non_retryable_error_types[:] = kept


#: Paths of a field mask, in camel case → how each is carried over.
_MERGES: dict[str, Merge] = {
    "taskQueue.name": _field("task_queue", "name"),
    "scheduleToCloseTimeout": _part("schedule_to_close_timeout"),
    "scheduleToStartTimeout": _part("schedule_to_start_timeout"),
    "startToCloseTimeout": _part("start_to_close_timeout"),
    "heartbeatTimeout": _part("heartbeat_timeout"),
    "priority": _part("priority"),
    "priority.priorityKey": _field("priority", "priority_key"),
    "priority.fairnessKey": _field("priority", "fairness_key"),
    "priority.fairnessWeight": _field("priority", "fairness_weight"),
    "retryPolicy": _whole_retry_policy,
    "retryPolicy.initialInterval": _field("retry_policy", "initial_interval"),
    "retryPolicy.backoffCoefficient": _field("retry_policy", "backoff_coefficient"),
    "retryPolicy.maximumInterval": _field("retry_policy", "maximum_interval"),
    "retryPolicy.maximumAttempts": _field("retry_policy", "maximum_attempts"),
}
CHANGEABLE = frozenset(_MERGES)


def _options(
    attributes: ActivityTaskScheduledEventAttributes, kind: TaskQueueKind.ValueType
) -> ActivityOptions:
    options = ActivityOptions(
        schedule_to_close_timeout=attributes.schedule_to_close_timeout,
        schedule_to_start_timeout=attributes.schedule_to_start_timeout,
        start_to_close_timeout=attributes.start_to_close_timeout,
        heartbeat_timeout=attributes.heartbeat_timeout,
        retry_policy=attributes.retry_policy,
    )
    options.task_queue.name = attributes.task_queue.name
    options.task_queue.kind = kind
    if attributes.HasField("priority"):
        options.priority.CopyFrom(Priority.FromString(attributes.priority.SerializeToString()))
    return options


# How records change the state


def paused(state: RunState, record: ActivityPaused) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.paused_at_ns = record.at_ns
    activity.pause_identity = record.identity
    activity.pause_reason = record.reason
    activity.pause_request_id = record.request_id
    if not activity.started_at_ns:
        activity.stamp += 1
    show_paused(state)


def unpaused(state: RunState, record: ActivityUnpaused) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.paused_at_ns = 0
    activity.pause_identity = activity.pause_reason = activity.pause_request_id = ""
    activity.stamp += 1
    show_paused(state)


def show_paused(state: RunState) -> None:
    """Temporal: lists can be filtered by what is paused, and by the types of paused activities."""
    values = [f"Workflow:{state.workflow_id}"] if state.is_paused else []
    if state.is_paused and state.pause_reason:
        values.append(f"Reason:{state.pause_reason}")
    kinds = {each.activity_type for each in state.activities.values() if each.paused_at_ns}
    values += [f"property:activityType={kind}" for kind in sorted(kinds)]
    if not values:
        state.search_attributes.pop(PAUSE_INFO, None)
        return
    payload = Payload(
        metadata={"encoding": b"json/plain", "type": b"KeywordList"},
        data=json.dumps(values, separators=(",", ":")).encode(),
    )
    state.search_attributes[PAUSE_INFO] = payload.SerializeToString()


def rescheduled(state: RunState, record: ActivityRescheduled) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.attempt = record.attempt
    activity.scheduled_at_ns = record.scheduled_at_ns
    activity.current_retry_interval_ns = max(
        0, record.scheduled_at_ns - activity.last_attempt_complete_at_ns
    )
    activity.stamp += 1
    if not activity.started_at_ns:
        activity.last_failure = b""
    if record.forgets_details:
        forget_details(activity)


def was_reset(state: RunState, record: ActivityReset) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.attempt = 1
    activity.was_reset = True
    activity.resets_heartbeat = activity.resets_heartbeat or record.resets_heartbeat
    activity.stamp += 1


def changed(state: RunState, record: ActivityChanged) -> None:
    activity = state.activities[record.scheduled_event_id]
    attributes = ActivityTaskScheduledEventAttributes.FromString(record.attributes)
    activity.original_attributes = activity.original_attributes or activity.attributes
    activity.attributes = record.attributes
    activity.task_queue = attributes.task_queue.name
    activity.priority_key = attributes.priority.priority_key
    activity.fairness_key = attributes.priority.fairness_key
    activity.fairness_weight = attributes.priority.fairness_weight
    activity.retry_policy = retry_policy(attributes.retry_policy)
    activity.schedule_to_close_ns = duration_ns(attributes.schedule_to_close_timeout)
    activity.schedule_to_start_ns = duration_ns(attributes.schedule_to_start_timeout)
    activity.start_to_close_ns = duration_ns(attributes.start_to_close_timeout)
    activity.heartbeat_timeout_ns = duration_ns(attributes.heartbeat_timeout)
    activity.stamp += 1


def forget_details(activity: PendingActivity) -> None:
    activity.heartbeat_details = b""
    activity.has_heartbeat_details = False
    activity.last_heartbeat_at_ns = 0


# What must hold


def check(run: Run) -> None:
    for activity in run.state.activities.values():
        assert activity.paused_at_ns or not activity.pause_request_id
        assert activity.stamp or not activity.original_attributes


REQUESTS: Requests = {
    PauseActivities: pause,
    UnpauseActivities: unpause,
    ResetActivities: reset,
    ChangeActivities: change,
}
APPLIERS: Appliers = {
    ActivityPaused: paused,
    ActivityUnpaused: unpaused,
    ActivityRescheduled: rescheduled,
    ActivityReset: was_reset,
    ActivityChanged: changed,
}
