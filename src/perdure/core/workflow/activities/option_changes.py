"""An operator changes the options of activities. History shows nothing of it.

Only what depends on a changed option is computed again: an attempt that waits keeps its place in the queue and its time
unless they are what was changed, and the failure before it stays in view.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes

from perdure.core.errors import invalid_argument
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import duration_ns
from perdure.core.workflow.activities.attempt_records import (
    is_backing_off,
    offer,
    rely_on_timeouts,
    retry_timer,
)
from perdure.core.workflow.activities.control import Selected, pending
from perdure.core.workflow.activities.options import fill_timeouts
from perdure.core.workflow.activities.retries import exponential_ns
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.known_requests import is_known, remember
from perdure.core.workflow.pending import PendingActivity, RetryPolicy
from perdure.core.workflow.records import ActivityChanged, ActivityPutOff
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.validation import retry_policy, retry_policy_fault, task_queue_fault

# What can be asked


@dataclass(frozen=True, slots=True)
class ChangeActivities(Request[ActivityOptions]):
    """Reply: the `ActivityOptions` of the last one. `fields` are paths in camel case. None: not provided."""

    which: Selected
    options: ActivityOptions | None
    fields: frozenset[str] | None
    #: All is to be as it was once.
    restores: bool = False
    request_id: str = ""


def change(step: HistoryStep, request: ChangeActivities) -> ActivityOptions:
    wanted, fields = request.options, request.fields
    if not request.restores:
        step.check_open()
        if wanted is None:
            raise invalid_argument("ActivityOptions are not provided")
        if fields is None and request.which.activity_id is not None:
            raise invalid_argument("UpdateMask is not provided")
    changed = b""
    changes: list[tuple[PendingActivity, bytes]] = []
    for activity in pending(step, request.which):
        if is_known(activity.known_requests, "change", request.request_id):
            changed = activity.attributes
            continue
        if request.restores or wanted is None:
            changed = activity.original_attributes or activity.attributes
        elif fields is None:
            raise invalid_argument("UpdateMask is not provided")
        else:
            changed = _merged(step, activity, wanted, fields)
        changes.append((activity, changed))
    # Only now, as one that cannot be changed like this refuses it for all.
    for activity, attributes in changes:
        _put(step, activity, attributes, request.request_id)
    # Temporal: options that are as they were once do not tell the kind of their queue.
    kind = TaskQueueKind.TASK_QUEUE_KIND_UNSPECIFIED
    if not request.restores:
        kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    return _options(ActivityTaskScheduledEventAttributes.FromString(changed), kind)


def _put(step: HistoryStep, activity: PendingActivity, attributes: bytes, request_id: str) -> None:
    """Give `activity` these options; ask again for what they change."""
    policy, stamp = activity.retry_policy, activity.stamp
    step.record_internal(ActivityChanged(activity.scheduled_event_id, attributes, request_id))
    _put_off(step, activity, policy)
    rely_on_timeouts(step, activity)
    if activity.stamp == stamp or activity.started_at_ns or activity.paused_at_ns:
        return
    if is_backing_off(activity, step.now_ns):
        step.set_timer(retry_timer(activity))
    else:
        offer(step, activity)


def _put_off(step: HistoryStep, activity: PendingActivity, old: RetryPolicy) -> None:
    """Have the attempt that waits begin when the retry policy, if that has changed, says so."""
    if activity.attempt == 1 or activity.started_at_ns or activity.paused_at_ns:
        return
    interval_ns = exponential_ns(activity.retry_policy, activity.attempt - 1)
    if interval_ns == exponential_ns(old, activity.attempt - 1):
        return
    failed_at_ns = activity.scheduled_at_ns - activity.current_retry_interval_ns
    at_ns = failed_at_ns + interval_ns
    if at_ns < step.now_ns:
        at_ns = min(activity.scheduled_at_ns, step.now_ns)
    if at_ns != activity.scheduled_at_ns:
        step.record_internal(ActivityPutOff(activity.scheduled_event_id, at_ns))


# Options


def _merged(
    step: HistoryStep, activity: PendingActivity, wanted: ActivityOptions, fields: frozenset[str]
) -> bytes:
    new = ActivityTaskScheduledEventAttributes.FromString(activity.attributes)
    for path, merge in _MERGES.items():
        if path in fields:
            merge(new, wanted)
    if any(path.startswith("retryPolicy") for path in fields):
        fault = retry_policy_fault(new.retry_policy)
        if fault is not None:
            raise invalid_argument(fault)
    limit = step.environment.limits.max_id_length
    fault = task_queue_fault(new.task_queue, limit, step.state.task_queue)
    if fault is not None:
        raise invalid_argument(fault)
    try:
        fill_timeouts(new, 0)
    except BadCommand as error:
        raise invalid_argument(error.message) from error
    return new.SerializeToString(deterministic=True)


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
    new.retry_policy.CopyFrom(wanted.retry_policy)


def _final_errors(new: ActivityTaskScheduledEventAttributes, wanted: ActivityOptions) -> None:
    if not wanted.HasField("retry_policy"):
        raise invalid_argument("RetryPolicy is not provided")
    types = wanted.retry_policy.non_retryable_error_types
    new.retry_policy.non_retryable_error_types[:] = types


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
    "retryPolicy.nonRetryableErrorTypes": _final_errors,
}
#: Temporal: the calls that also know standalone activities refuse the errors that are final.
CHANGEABLE = frozenset(_MERGES) - {"retryPolicy.nonRetryableErrorTypes"}


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
        options.priority.CopyFrom(
            Priority.FromString(attributes.priority.SerializeToString(deterministic=True))
        )
    return options


# How records change the state


def changed(state: RunState, record: ActivityChanged) -> None:
    activity = state.activities[record.scheduled_event_id]
    attributes = ActivityTaskScheduledEventAttributes.FromString(record.attributes)
    activity.original_attributes = activity.original_attributes or activity.attributes
    activity.attributes = record.attributes
    remember(activity.known_requests, "change", record.request_id)
    place = _place_in_queue(activity)
    activity.task_queue = attributes.task_queue.name
    activity.priority_key = attributes.priority.priority_key
    activity.fairness_key = attributes.priority.fairness_key
    activity.fairness_weight = attributes.priority.fairness_weight
    activity.retry_policy = retry_policy(attributes.retry_policy)
    activity.schedule_to_close_ns = duration_ns(attributes.schedule_to_close_timeout)
    activity.schedule_to_start_ns = duration_ns(attributes.schedule_to_start_timeout)
    activity.start_to_close_ns = duration_ns(attributes.start_to_close_timeout)
    activity.heartbeat_timeout_ns = duration_ns(attributes.heartbeat_timeout)
    if _place_in_queue(activity) != place:
        activity.stamp += 1


def _place_in_queue(activity: PendingActivity) -> tuple[str, int, str, float]:
    return (
        activity.task_queue,
        activity.priority_key,
        activity.fairness_key,
        activity.fairness_weight,
    )


def put_off(state: RunState, record: ActivityPutOff) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.current_retry_interval_ns += record.scheduled_at_ns - activity.scheduled_at_ns
    activity.scheduled_at_ns = record.scheduled_at_ns
    activity.stamp += 1


# What must hold


def check(run: Run) -> None:
    for activity in run.state.activities.values():
        if activity.original_attributes:
            attributes = ActivityTaskScheduledEventAttributes.FromString(activity.attributes)
            assert activity.task_queue == attributes.task_queue.name
            assert activity.retry_policy == retry_policy(attributes.retry_policy)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity options",
    check=check,
    requests={ChangeActivities: change},
    appliers={ActivityChanged: changed, ActivityPutOff: put_off},
)
