"""The workflow has something done in the outside world: once, again after a failure, or not in time.

The start of an attempt is an internal record, written before the worker gets it: one attempt must not run twice.
History shows only the last one: its started event is written together with what ends the activity.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    RetryState,
    TimeoutType,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.activity_options import checked
from perdure.core.workflow.activity_retries import verdict
from perdure.core.workflow.outcome import DispatchActivityTask, Effect, Timer, TimerKind
from perdure.core.workflow.records import ActivityHeartbeat, ActivityRetried, ActivityStarted
from perdure.core.workflow.state import PendingActivity, Run, RunState
from perdure.core.workflow.step import (
    Appliers,
    BadCommand,
    Commands,
    Requests,
    Step,
    Timers,
    new_event,
)
from perdure.core.workflow.times import duration_ns, timestamp_ns
from perdure.core.workflow.validation import TIMEOUT_TYPE_NAMES, check_size, retry_policy
from perdure.core.workflow.workflow_task import ensure

_TIMEOUTS = {
    TimerKind.ACTIVITY_START_TO_CLOSE: TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE,
    TimerKind.ACTIVITY_SCHEDULE_TO_START: TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START,
    TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE: TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
    TimerKind.ACTIVITY_HEARTBEAT: TimeoutType.TIMEOUT_TYPE_HEARTBEAT,
}

# What can be asked


@dataclass(frozen=True, slots=True)
class ActivityRef:
    """Which activity: by event id and attempt (from a task token), or by its own id and no attempt."""

    scheduled_event_id: int = 0
    attempt: int = 0
    activity_id: str = ""


@dataclass(frozen=True, slots=True)
class StartActivity:
    """A poller is to get this attempt."""

    scheduled_event_id: int
    attempt: int
    identity: str
    #: Id of the poll.
    request_id: str
    version_stamp: bytes = b""


@dataclass(frozen=True, slots=True)
class ActivityTask:
    """Reply: what the worker must be told."""

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


@dataclass(frozen=True, slots=True)
class CompleteActivity:
    ref: ActivityRef
    result: Payloads | None
    identity: str
    worker_version: bytes = b""


@dataclass(frozen=True, slots=True)
class FailActivity:
    ref: ActivityRef
    failure: Failure | None
    identity: str
    last_heartbeat_details: Payloads | None = None
    worker_version: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelActivity:
    """The worker did as it was asked to by `RequestCancelActivityTask`."""

    ref: ActivityRef
    details: Payloads | None
    identity: str
    worker_version: bytes = b""


@dataclass(frozen=True, slots=True)
class HeartbeatActivity:
    ref: ActivityRef
    details: Payloads | None
    identity: str


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    cancel_requested: bool
    is_paused: bool = False
    was_reset: bool = False


def start(step: Step, request: StartActivity) -> ActivityTask:
    if not step.state.is_open:
        raise Rejected(Code.NOT_FOUND, "workflow execution already completed")
    activity = step.state.activities.get(request.scheduled_event_id)
    if (
        activity is None
        or activity.attempt != request.attempt
        or (activity.started_at_ns and activity.request_id != request.request_id)
    ):
        raise Rejected(Code.NOT_FOUND, _NOT_FOUND)
    if not activity.started_at_ns:
        hand_out(step, activity, request)
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
    )


def hand_out(step: Step, activity: PendingActivity, request: StartActivity) -> None:
    step.note(
        ActivityStarted(
            activity.scheduled_event_id,
            step.now_ns,
            request.request_id,
            request.identity,
            request.version_stamp,
        )
    )
    for timer in _running_timers(activity):
        step.call_back(timer)


def complete(step: Step, request: CompleteActivity) -> None:
    # Temporal: an activity may be completed by its id before any worker has started it.
    activity = _find(step, request.ref, must_be_started=not request.ref.activity_id)
    started_event_id = _record_started(step, activity, completed_by=request.identity)
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    attributes = event.activity_task_completed_event_attributes
    if request.result is not None:
        attributes.result.CopyFrom(request.result)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = request.identity
    if request.worker_version:
        attributes.worker_version.MergeFromString(request.worker_version)
    step.record_or_buffer(event)
    ensure(step)


def fail(step: Step, request: FailActivity) -> None:
    activity = _find(step, request.ref)
    if request.last_heartbeat_details is not None:
        _note_heartbeat(step, activity, request.last_heartbeat_details, request.identity)
    failure = request.failure if request.failure is not None else Failure()
    decided = verdict(activity, failure, step.now_ns)
    if decided.state == RetryState.RETRY_STATE_IN_PROGRESS:
        _retry(step, activity, failure, decided.backoff_ns)
        return
    started_event_id = _record_started(step, activity)
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED)
    attributes = event.activity_task_failed_event_attributes
    if request.failure is not None:
        attributes.failure.CopyFrom(request.failure)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = request.identity
    attributes.retry_state = decided.state
    if request.worker_version:
        attributes.worker_version.MergeFromString(request.worker_version)
    step.record_or_buffer(event)
    ensure(step)


def cancel(step: Step, request: CancelActivity) -> None:
    activity = _find(step, request.ref)
    if not activity.cancel_requested_event_id:
        raise Rejected(
            Code.INVALID_ARGUMENT,
            "unable to mark activity as canceled without activity being request canceled first",
        )
    started_event_id = _record_started(step, activity)
    _record_canceled(
        step,
        activity,
        started_event_id,
        request.details,
        identity=request.identity,
        worker_version=request.worker_version,
    )
    ensure(step)


def heartbeat(step: Step, request: HeartbeatActivity) -> HeartbeatReply:
    activity = _find(step, request.ref)
    _note_heartbeat(step, activity, request.details, request.identity)
    return HeartbeatReply(cancel_requested=activity.cancel_requested_event_id > 0)


_NOT_FOUND = "invalid activityID or activity already timed out or invoking workflow is completed"


def _find(step: Step, ref: ActivityRef, *, must_be_started: bool = True) -> PendingActivity:
    state = step.state
    if not state.is_open:
        raise Rejected(Code.NOT_FOUND, "workflow execution already completed")
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


def retry_due(step: Step, timer: Timer) -> None:
    activity = step.state.activities.get(timer.event_id)
    if activity is None or activity.attempt != timer.attempt or activity.started_at_ns:
        return
    if activity.scheduled_at_ns > step.now_ns:
        return
    step.send(_dispatch(activity))


def time_out(step: Step, timer: Timer) -> None:
    activity = step.state.activities.get(timer.event_id)
    if activity is None:
        return
    per_attempt = timer.kind != TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE
    if per_attempt and activity.attempt != timer.attempt:
        return
    due_at_ns = _due_at_ns(activity, timer.kind)
    if due_at_ns is None:
        return
    if due_at_ns > step.now_ns:
        # A heartbeat came since: look again when the next one would be late.
        step.call_back(timer._replace(fire_at_ns=due_at_ns))
        return
    timeout = _TIMEOUTS[timer.kind]
    failure = _timeout_failure(f"activity {TIMEOUT_TYPE_NAMES[timeout]} timeout", timeout)
    decided = verdict(activity, failure, step.now_ns)
    if decided.state == RetryState.RETRY_STATE_IN_PROGRESS:
        _retry(step, activity, failure, decided.backoff_ns, completed=False)
        return
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
    started_event_id = _record_started(step, activity)
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT)
    attributes = event.activity_task_timed_out_event_attributes
    attributes.failure.CopyFrom(failure)
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.retry_state = decided.state
    step.record_or_buffer(event)
    ensure(step)


# What a worker can command


def schedule(step: Step, command: Command, completed_event_id: int) -> None:
    wanted = checked(step.state, command)
    state = step.state
    if wanted.activity_id in state.activity_ids:
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
            "invalid history builder state for action: add-activitytask-scheduled-event,"
            f" ActivityID: {wanted.activity_id}",
        )
    check_size(
        step.world.limits.blob_size,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
        wanted.input,
        "ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
    )
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    if command.HasField("user_metadata"):
        event.user_metadata.CopyFrom(command.user_metadata)
    attributes = event.activity_task_scheduled_event_attributes
    attributes.activity_id = wanted.activity_id
    attributes.activity_type.CopyFrom(wanted.activity_type)
    attributes.task_queue.CopyFrom(wanted.task_queue)
    if wanted.HasField("header"):
        attributes.header.CopyFrom(wanted.header)
    if wanted.HasField("input"):
        attributes.input.CopyFrom(wanted.input)
    attributes.schedule_to_close_timeout.CopyFrom(wanted.schedule_to_close_timeout)
    attributes.schedule_to_start_timeout.CopyFrom(wanted.schedule_to_start_timeout)
    attributes.start_to_close_timeout.CopyFrom(wanted.start_to_close_timeout)
    attributes.heartbeat_timeout.CopyFrom(wanted.heartbeat_timeout)
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.retry_policy.CopyFrom(wanted.retry_policy)
    attributes.use_workflow_build_id = wanted.use_workflow_build_id
    if wanted.HasField("priority"):
        attributes.priority.CopyFrom(wanted.priority)
    step.record(event)
    activity = state.activities[event.event_id]
    for timer in _waiting_timers(activity):
        step.call_back(timer)
    if not wanted.request_eager_execution:
        step.send(_dispatch(activity))


def request_cancel(step: Step, command: Command, completed_event_id: int) -> None:
    wanted = command.request_cancel_activity_task_command_attributes
    cause = (
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_ACTIVITY_ATTRIBUTES
    )
    if not command.HasField("request_cancel_activity_task_command_attributes"):
        raise BadCommand(
            cause,
            "RequestCancelActivityTaskCommandAttributes is not set on RequestCancelActivityTaskCommand.",
        )
    if wanted.scheduled_event_id <= 0:
        raise BadCommand(cause, "ScheduledEventId is not set on RequestCancelActivityTaskCommand.")
    activity = step.state.activities.get(wanted.scheduled_event_id)
    if activity is None and not _has_buffered_end(step.state, wanted.scheduled_event_id):
        raise BadCommand(
            cause,
            "invalid history builder state for action: add-activitytask-cancel-requested-event,"
            f" ScheduledEventID: {wanted.scheduled_event_id}",
        )
    if activity is not None and activity.cancel_requested_event_id:
        raise BadCommand(
            cause,
            "invalid history builder state for action: add-activitytask-cancel-requested-event,"
            f" ScheduledEventID: {wanted.scheduled_event_id}",
        )
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED)
    attributes = event.activity_task_cancel_requested_event_attributes
    attributes.scheduled_event_id = wanted.scheduled_event_id
    attributes.workflow_task_completed_event_id = completed_event_id
    step.record(event)
    if activity is not None and not activity.started_at_ns:
        details = Payloads(
            payloads=[
                Payload(metadata={"encoding": b"json/plain"}, data=b'"ACTIVITY_ID_NOT_STARTED"')
            ]
        )
        identity = step.in_flight.started.identity if step.in_flight.started else ""
        _record_canceled(step, activity, 0, details, identity=identity, worker_version=b"")


def _has_buffered_end(state: RunState, scheduled_event_id: int) -> bool:
    return any(
        getattr(event, attributes).scheduled_event_id == scheduled_event_id
        for event in state.buffered
        if (attributes := _END_ATTRIBUTES.get(event.event_type)) is not None
    )


# What is recorded on the way


def _record_started(step: Step, activity: PendingActivity, *, completed_by: str = "") -> int:
    """Write the started event of the last attempt. Return its id: 0 if there was none, or it is not known yet.

    Temporal: who completes an activity that no worker has started counts as having started it.
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
    if activity.started_version:
        attributes.worker_version.MergeFromString(activity.started_version)
    event.event_time.FromNanoseconds(activity.started_at_ns or step.now_ns)
    return step.record_or_buffer(event).event_id


def _record_canceled(
    step: Step,
    activity: PendingActivity,
    started_event_id: int,
    details: Payloads | None,
    *,
    identity: str,
    worker_version: bytes,
) -> None:
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
    attributes = event.activity_task_canceled_event_attributes
    if details is not None:
        attributes.details.CopyFrom(details)
    attributes.latest_cancel_requested_event_id = activity.cancel_requested_event_id
    attributes.scheduled_event_id = activity.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.identity = identity
    if worker_version:
        attributes.worker_version.MergeFromString(worker_version)
    step.record_or_buffer(event)


def _retry(
    step: Step,
    activity: PendingActivity,
    failure: Failure,
    backoff_ns: int,
    *,
    completed: bool = True,
) -> None:
    step.note(
        ActivityRetried(
            activity.scheduled_event_id,
            activity.attempt + 1,
            step.now_ns + backoff_ns,
            backoff_ns,
            step.now_ns if completed else activity.last_attempt_complete_at_ns,
            failure.SerializeToString(),
            activity.started_identity,
        )
    )
    step.call_back(_retry_timer(activity))
    if activity.schedule_to_start_ns:
        step.call_back(_timer(activity, TimerKind.ACTIVITY_SCHEDULE_TO_START))


def _note_heartbeat(
    step: Step, activity: PendingActivity, details: Payloads | None, identity: str
) -> None:
    step.note(
        ActivityHeartbeat(
            activity.scheduled_event_id,
            step.now_ns,
            details.SerializeToString() if details is not None else b"",
            details is not None,
            identity,
        )
    )


def _timeout_failure(message: str, timeout: TimeoutType.ValueType) -> Failure:
    failure = Failure(message=message, source="Server")
    failure.timeout_failure_info.timeout_type = timeout
    return failure


# How records change the state


def scheduled(state: RunState, event: HistoryEvent) -> None:
    attributes = event.activity_task_scheduled_event_attributes
    at_ns = timestamp_ns(event.event_time)
    state.activities[event.event_id] = PendingActivity(
        scheduled_event_id=event.event_id,
        activity_id=attributes.activity_id,
        activity_type=attributes.activity_type.name,
        task_queue=attributes.task_queue.name,
        attributes=attributes.SerializeToString(),
        retry_policy=retry_policy(attributes.retry_policy),
        first_scheduled_at_ns=at_ns,
        scheduled_at_ns=at_ns,
        schedule_to_close_ns=duration_ns(attributes.schedule_to_close_timeout),
        schedule_to_start_ns=duration_ns(attributes.schedule_to_start_timeout),
        start_to_close_ns=duration_ns(attributes.start_to_close_timeout),
        heartbeat_timeout_ns=duration_ns(attributes.heartbeat_timeout),
    )
    state.activity_ids[attributes.activity_id] = event.event_id


def started(state: RunState, record: ActivityStarted) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.started_at_ns = record.started_at_ns
    activity.request_id = record.request_id
    activity.started_identity = record.identity
    activity.last_worker_identity = record.identity
    activity.started_version = record.version


def beaten(state: RunState, record: ActivityHeartbeat) -> None:
    activity = state.activities[record.scheduled_event_id]
    activity.last_heartbeat_at_ns = record.at_ns
    activity.heartbeat_details = record.details
    activity.has_heartbeat_details = record.has_details


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


def cancel_requested(state: RunState, event: HistoryEvent) -> None:
    attributes = event.activity_task_cancel_requested_event_attributes
    activity = state.activities.get(attributes.scheduled_event_id)
    if activity is not None:
        activity.cancel_requested_event_id = event.event_id


_END_ATTRIBUTES = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}


def ended(state: RunState, event: HistoryEvent) -> None:
    scheduled_event_id = getattr(event, _END_ATTRIBUTES[event.event_type]).scheduled_event_id
    activity = state.activities.pop(scheduled_event_id)
    del state.activity_ids[activity.activity_id]


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert len(state.activities) == len(state.activity_ids)
    assert not (state.activities and not state.is_open)
    for scheduled_event_id, activity in state.activities.items():
        assert activity.scheduled_event_id == scheduled_event_id < state.next_event_id
        assert state.activity_ids[activity.activity_id] == scheduled_event_id


def needed_timers(state: RunState, now_ns: int) -> list[Timer]:
    timers: list[Timer] = []
    for activity in state.activities.values():
        if activity.started_at_ns:
            timers += _running_timers(activity)
            if activity.schedule_to_close_ns:
                timers.append(_timer(activity, TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE))
        else:
            timers += _waiting_timers(activity)
            if activity.scheduled_at_ns > now_ns:
                timers.append(_retry_timer(activity))
    return timers


def owed(state: RunState, now_ns: int) -> list[Effect]:
    return [
        _dispatch(activity)
        for activity in state.activities.values()
        if not activity.started_at_ns and activity.scheduled_at_ns <= now_ns
    ]


def _dispatch(activity: PendingActivity) -> DispatchActivityTask:
    return DispatchActivityTask(activity.task_queue, activity.scheduled_event_id, activity.attempt)


def _retry_timer(activity: PendingActivity) -> Timer:
    return Timer(
        activity.scheduled_at_ns,
        TimerKind.ACTIVITY_RETRY,
        activity.scheduled_event_id,
        activity.attempt,
    )


def _waiting_timers(activity: PendingActivity) -> list[Timer]:
    timers = []
    if activity.schedule_to_close_ns:
        timers.append(_timer(activity, TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE))
    if activity.schedule_to_start_ns:
        timers.append(_timer(activity, TimerKind.ACTIVITY_SCHEDULE_TO_START))
    return timers


def _running_timers(activity: PendingActivity) -> list[Timer]:
    timers = []
    if activity.start_to_close_ns:
        timers.append(_timer(activity, TimerKind.ACTIVITY_START_TO_CLOSE))
    if activity.heartbeat_timeout_ns:
        timers.append(_timer(activity, TimerKind.ACTIVITY_HEARTBEAT))
    return timers


def _timer(activity: PendingActivity, kind: TimerKind) -> Timer:
    due_at_ns = _due_at_ns(activity, kind)
    assert due_at_ns is not None
    return Timer(due_at_ns, kind, activity.scheduled_event_id, activity.attempt)


def _due_at_ns(activity: PendingActivity, kind: TimerKind) -> int | None:
    """Return when a timeout of `activity` strikes; None if it does not apply now."""
    is_started = activity.started_at_ns > 0
    if kind == TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE:
        return activity.first_scheduled_at_ns + activity.schedule_to_close_ns
    if kind == TimerKind.ACTIVITY_SCHEDULE_TO_START:
        return None if is_started else activity.scheduled_at_ns + activity.schedule_to_start_ns
    if not is_started:
        return None
    if kind == TimerKind.ACTIVITY_START_TO_CLOSE:
        return activity.started_at_ns + activity.start_to_close_ns
    last_sign = max(activity.started_at_ns, activity.last_heartbeat_at_ns)
    return last_sign + activity.heartbeat_timeout_ns


REQUESTS: Requests = {
    StartActivity: start,
    CompleteActivity: complete,
    FailActivity: fail,
    CancelActivity: cancel,
    HeartbeatActivity: heartbeat,
}
COMMANDS: Commands = {
    CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: schedule,
    CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: request_cancel,
}
TIMERS: Timers = {
    TimerKind.ACTIVITY_RETRY: retry_due,
    **dict.fromkeys(_TIMEOUTS, time_out),
}
APPLIERS: Appliers = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: scheduled,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED: cancel_requested,
    **dict.fromkeys(_END_ATTRIBUTES, ended),
    ActivityStarted: started,
    ActivityHeartbeat: beaten,
    ActivityRetried: retried,
}
