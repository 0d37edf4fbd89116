"""The workflow has something done in the outside world: once, or again after a failure.

The start of an attempt is an internal record, written before the worker gets it: one attempt must not run twice.
History shows only the last one: its started event is written together with what ends the activity.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import Payloads
from temporalio.api.enums.v1 import (
    EventType,
    RetryState,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Effect, Timer, TimerKind
from perdure.core.execution.request import Request
from perdure.core.times import duration_ns, timestamp_ns
from perdure.core.workflow.activities.attempt_records import (
    ENDS,
    attempt_timeouts,
    begin_after_reset,
    dispatch,
    is_backing_off,
    is_kept_back,
    note_heartbeat,
    offer,
    record_canceled,
    record_started,
    retry,
    retry_timer,
)
from perdure.core.workflow.activities.retries import verdict
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.events import attributes_of, new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.pending import PendingActivity
from perdure.core.workflow.records import ActivityRetried, ActivityStarted
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled
from perdure.core.workflow.validation import retry_policy

_ACTIVITY_BYTES = 100

# What can be asked


@dataclass(frozen=True, slots=True)
class ActivityRef:
    """Which activity: by event id and attempt (from a task token), or by its own id and no attempt."""

    scheduled_event_id: int = 0
    attempt: int = 0
    activity_id: str = ""


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """Reply: all that the worker needs."""

    #: Serialized `ActivityTaskScheduledEventAttributes`.
    attributes: bytes
    scheduled_event_id: int
    attempt: int
    first_scheduled_at_ns: int
    scheduled_at_ns: int
    started_at_ns: int
    heartbeat_details: bytes
    has_heartbeat_details: bool
    workflow_type: str
    #: Serialized `Priority` of the run; None if it has none.
    run_priority: bytes | None = None


@dataclass(frozen=True, slots=True)
class StartActivity(Request[ActivityTask]):
    """A poller is to get this attempt."""

    scheduled_event_id: int
    attempt: int
    identity: str
    #: Id of the poll.
    request_id: str
    #: As the task was offered.
    stamp: int = 0


def eager_request_id(completion_id: str, scheduled_event_id: int) -> str:
    """Return the request id of an activity that the completion of a workflow task starts at once.

    Each activity has its own, and all that one completion has started are known by the rest of it. Both are UUIDs.
    """
    return f"{scheduled_event_id:08x}{completion_id[8:]}"


@dataclass(frozen=True, slots=True)
class CompleteActivity(Request[None]):
    ref: ActivityRef
    result: Payloads | None
    identity: str
    #: Serialized `WorkerVersionStamp`.
    worker_version: bytes | None = None


@dataclass(frozen=True, slots=True)
class FailActivity(Request[None]):
    ref: ActivityRef
    failure: Failure | None
    identity: str
    last_heartbeat_details: Payloads | None = None
    worker_version: bytes | None = None


@dataclass(frozen=True, slots=True)
class CancelActivity(Request[None]):
    """The worker did as it was asked to by `RequestCancelActivityTask`."""

    ref: ActivityRef
    details: Payloads | None
    identity: str


def start(step: HistoryStep, request: StartActivity) -> ActivityTask:
    step.check_open()
    activity = step.state.activities.get(request.scheduled_event_id)
    if (
        activity is None
        or activity.attempt != request.attempt
        or activity.stamp != request.stamp
        or activity.paused_at_ns
        or is_kept_back(step.state, activity)
        or (activity.started_at_ns and activity.request_id != request.request_id)
    ):
        raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
    if not activity.started_at_ns:
        start_attempt(step, activity, request)
    return ActivityTask(
        attributes=activity.attributes,
        scheduled_event_id=activity.scheduled_event_id,
        attempt=activity.attempt,
        first_scheduled_at_ns=activity.first_scheduled_at_ns,
        scheduled_at_ns=activity.scheduled_at_ns,
        started_at_ns=activity.started_at_ns,
        heartbeat_details=activity.heartbeat_details,
        has_heartbeat_details=activity.has_heartbeat_details,
        workflow_type=step.state.workflow_type,
        run_priority=step.state.priority if step.state.has_priority else None,
    )


def start_attempt(step: HistoryStep, activity: PendingActivity, request: StartActivity) -> None:
    step.record_internal(
        ActivityStarted(
            activity.scheduled_event_id,
            step.now_ns,
            request.request_id,
            request.identity,
        )
    )
    for timer in attempt_timeouts(activity):
        step.set_timer(timer)


def complete(step: HistoryStep, request: CompleteActivity) -> None:
    # Temporal: an activity may be completed by its id before any worker has started it.
    activity = find(step, request.ref, must_be_started=not request.ref.activity_id)
    started_event_id = record_started(
        step,
        activity,
        completed_by=request.identity,
        worker_version=request.worker_version,
    )
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    attributes = event.activity_task_completed_event_attributes
    if request.result is not None:
        attributes.result.CopyFrom(request.result)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = request.identity
    step.record_or_buffer(event)
    ensure_scheduled(step)


def fail(step: HistoryStep, request: FailActivity) -> None:
    activity = find(step, request.ref)
    if request.last_heartbeat_details is not None:
        note_heartbeat(step, activity, request.last_heartbeat_details, request.identity)
    failure = request.failure if request.failure is not None else Failure()
    decided = verdict(activity, failure, step.now_ns)
    if decided.state == RetryState.RETRY_STATE_IN_PROGRESS:
        retry(step, activity, failure, decided.backoff_ns)
        return
    started_event_id = record_started(step, activity, worker_version=request.worker_version)
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    attributes = event.activity_task_failed_event_attributes
    if request.failure is not None:
        attributes.failure.CopyFrom(request.failure)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = request.identity
    attributes.retry_state = decided.state
    step.record_or_buffer(event)
    ensure_scheduled(step)


def cancel(step: HistoryStep, request: CancelActivity) -> None:
    activity = find(step, request.ref)
    if not activity.cancel_requested_event_id:
        raise Rejected(
            Code.INVALID_ARGUMENT,
            "unable to mark activity as canceled without activity being request canceled first",
        )
    started_event_id = record_started(step, activity)
    record_canceled(
        step,
        activity,
        started_event_id,
        request.details,
        identity=request.identity,
    )
    ensure_scheduled(step)


_NOT_FOUND = "invalid activityID or activity already timed out or invoking workflow is completed"


def find(step: HistoryStep, ref: ActivityRef, *, must_be_started: bool = True) -> PendingActivity:
    state = step.state
    step.check_open()
    scheduled_event_id = ref.scheduled_event_id
    if not scheduled_event_id:
        if not ref.activity_id:
            raise Rejected(Code.INVALID_ARGUMENT, "activityID cannot be empty")
        scheduled_event_id = state.activity_ids.get(ref.activity_id, 0)
        if not scheduled_event_id:
            raise Rejected(
                Code.NOT_FOUND,
                f"cannot find pending activity with ActivityID {ref.activity_id},"
                " check workflow execution history for more details",
            )
    activity = state.activities.get(scheduled_event_id)
    if (
        activity is None
        or (must_be_started and not activity.started_at_ns)
        or (ref.attempt and ref.attempt != activity.attempt)
    ):
        raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
    return activity


def retry_due(step: HistoryStep, timer: Timer) -> None:
    activity = step.state.activities.get(timer.event_id)
    if activity is None or activity.attempt != timer.attempt or activity.started_at_ns:
        return
    if activity.paused_at_ns:
        return
    if activity.scheduled_at_ns > step.now_ns:
        return
    offer(step, activity)


# How records change the state


def scheduled(state: RunState, event: HistoryEvent) -> None:
    attributes = event.activity_task_scheduled_event_attributes
    at_ns = timestamp_ns(event.event_time)
    state.activities[event.event_id] = PendingActivity(
        scheduled_event_id=event.event_id,
        activity_id=attributes.activity_id,
        activity_type=attributes.activity_type.name,
        task_queue=attributes.task_queue.name,
        attributes=attributes.SerializeToString(deterministic=True),
        retry_policy=retry_policy(attributes.retry_policy),
        first_scheduled_at_ns=at_ns,
        scheduled_at_ns=at_ns,
        schedule_to_close_ns=duration_ns(attributes.schedule_to_close_timeout),
        schedule_to_start_ns=duration_ns(attributes.schedule_to_start_timeout),
        start_to_close_ns=duration_ns(attributes.start_to_close_timeout),
        heartbeat_timeout_ns=duration_ns(attributes.heartbeat_timeout),
        priority_key=attributes.priority.priority_key,
        fairness_key=attributes.priority.fairness_key,
        fairness_weight=attributes.priority.fairness_weight,
    )
    state.activity_ids[attributes.activity_id] = event.event_id


def started(state: RunState, record: ActivityStarted) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.started_at_ns = record.started_at_ns
    activity.request_id = record.request_id
    activity.started_identity = record.identity


def retried(state: RunState, record: ActivityRetried) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.attempt = record.attempt
    activity.scheduled_at_ns = record.scheduled_at_ns
    activity.current_retry_interval_ns = record.retry_interval_ns
    activity.last_attempt_complete_at_ns = record.completed_at_ns
    activity.last_failure = record.last_failure
    activity.last_worker_identity = record.last_worker_identity
    activity.started_at_ns = 0
    activity.request_id = ""
    if not activity.paused_at_ns:  # Temporal: else only when it is to go on.
        begin_after_reset(activity)


def cancel_requested(state: RunState, event: HistoryEvent) -> None:
    attributes = event.activity_task_cancel_requested_event_attributes
    activity = state.activities.get(attributes.scheduled_event_id)
    if activity is not None:
        activity.cancel_requested_event_id = event.event_id


def ended(state: RunState, event: HistoryEvent) -> None:
    activity = state.activities.pop(attributes_of(event).scheduled_event_id)
    del state.activity_ids[activity.activity_id]


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert len(state.activities) == len(state.activity_ids)
    assert not (state.activities and not state.is_open)
    for scheduled_event_id, activity in state.activities.items():
        assert activity.scheduled_event_id == scheduled_event_id < state.next_event_id
        assert state.activity_ids[activity.activity_id] == scheduled_event_id


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    activities = run.state.activities.values()
    return [retry_timer(each) for each in activities if is_backing_off(each, now_ns)]


def pending_effects(run: Run, now_ns: int) -> list[Effect]:
    state = run.state
    return [
        dispatch(state, activity)
        for activity in state.activities.values()
        if not (activity.started_at_ns or activity.paused_at_ns)
        and activity.scheduled_at_ns <= now_ns
        and not is_kept_back(state, activity)
    ]


def size(run: Run) -> int:
    return sum(
        _ACTIVITY_BYTES
        + len(activity.activity_id)
        + len(activity.activity_type)
        + len(activity.task_queue)
        + len(activity.heartbeat_details)
        + len(activity.last_failure)
        for activity in run.state.activities.values()
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity attempts",
    check=check,
    requests={
        StartActivity: start,
        CompleteActivity: complete,
        FailActivity: fail,
        CancelActivity: cancel,
    },
    timers={TimerKind.ACTIVITY_RETRY: retry_due},
    appliers={
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: scheduled,
        EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: cancel_requested,
        **dict.fromkeys(ENDS, ended),
        ActivityStarted: started,
        ActivityRetried: retried,
    },
    pending_timers=pending_timers,
    effects=(DispatchActivityTask,),
    pending_effects=pending_effects,
    size=size,
)
