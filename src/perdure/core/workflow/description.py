"""The description of a run for clients: its state in the API's words. Pure: the run is only read."""

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import (
    CallbackState,
    EventType,
    ParentClosePolicy,
    PendingActivityState,
    PendingWorkflowTaskState,
    TaskQueueKind,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import (
    ActivityTaskScheduledEventAttributes,
    WorkflowExecutionStartedEventAttributes,
)
from temporalio.api.workflow.v1 import (
    CallbackInfo,
    PendingActivityInfo,
    PendingChildExecutionInfo,
    PendingWorkflowTaskInfo,
    VersioningOverride,
    WorkflowExecutionConfig,
    WorkflowExecutionExtendedInfo,
    WorkflowExecutionInfo,
)
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from perdure.core.execution.environment import Environment
from perdure.core.limits import Limits
from perdure.core.times import set_duration, set_timestamp
from perdure.core.workflow.callbacks import is_due
from perdure.core.workflow.pending import LeftPending, PendingActivity, WorkflowTask
from perdure.core.workflow.started_task import StartedTask
from perdure.core.workflow.state import CompletionCallback, Run, RunState
from perdure.core.workflow.versioning import described
from perdure.core.workflow.visibility_fields import memo, search_attributes

#: Temporal: the run's expiration of a run without one is Go's zero time.
_NO_TIME = Timestamp(seconds=-62_135_596_800)


def describe(run: Run, now_ns: int, environment: Environment) -> DescribeWorkflowExecutionResponse:
    state = run.state
    pending = state.left_pending or _pending(run)
    started = WorkflowExecutionStartedEventAttributes.FromString(state.started_attributes)
    reply = DescribeWorkflowExecutionResponse(
        execution_config=_config(state, started),
        workflow_execution_info=_info(run, started, environment),
        workflow_extended_info=_extended(state, environment.limits),
        pending_activities=[_pending_activity(each, now_ns) for each in pending.activities],
        pending_children=[
            PendingChildExecutionInfo(
                workflow_id=child.workflow_id,
                run_id=child.run_id,
                workflow_type_name=child.workflow_type,
                initiated_id=child.initiated_event_id,
                parent_close_policy=ParentClosePolicy.ValueType(child.parent_close_policy),
            )
            for child in pending.children
        ],
    )
    for callback in state.callbacks:
        reply.callbacks.append(_callback(state, callback, now_ns))
    if pending.workflow_task is not None:
        task = _pending_task(pending.workflow_task, run.in_flight.started)
        reply.pending_workflow_task.CopyFrom(task)
    return reply


def _pending(run: Run) -> LeftPending:
    state = run.state
    if not state.is_open:  # It was closed by an earlier version, which did not keep it.
        return LeftPending()
    return LeftPending(
        run.pending_task, tuple(state.activities.values()), tuple(state.children.values())
    )


def left_pending(state: RunState) -> LeftPending:
    """Return what a description will show once the run, open until now, has closed."""
    return LeftPending(
        state.workflow_task,
        tuple(_without_payloads(each) for each in state.activities.values()),
        tuple(
            msgspec.structs.replace(each, attributes=b"", user_metadata=b"")
            for each in state.children.values()
        ),
    )


def _without_payloads(activity: PendingActivity) -> PendingActivity:
    """Keep no input that nobody will ask for."""
    scheduled = ActivityTaskScheduledEventAttributes.FromString(activity.attributes)
    scheduled.ClearField("input")
    scheduled.ClearField("header")
    return msgspec.structs.replace(
        activity,
        attributes=scheduled.SerializeToString(deterministic=True),
        original_attributes=b"",
    )


def _config(
    state: RunState, started: WorkflowExecutionStartedEventAttributes
) -> WorkflowExecutionConfig:
    config = WorkflowExecutionConfig()
    config.task_queue.name = state.task_queue
    config.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    if started.HasField("workflow_execution_timeout"):
        set_duration(config.workflow_execution_timeout, state.execution_timeout_ns)
    if started.HasField("workflow_run_timeout"):
        set_duration(config.workflow_run_timeout, state.run_timeout_ns)
    set_duration(config.default_workflow_task_timeout, state.workflow_task_timeout_ns)
    if state.user_metadata:
        config.user_metadata.MergeFromString(state.user_metadata)
    return config


def _info(
    run: Run, started: WorkflowExecutionStartedEventAttributes, environment: Environment
) -> WorkflowExecutionInfo:
    state, held = run.state, run.in_flight.started
    is_held = held is not None and len(held.events) == 1
    info = WorkflowExecutionInfo(
        status=WorkflowExecutionStatus.ValueType(state.status),
        history_length=state.next_event_id - 1 + is_held,
        task_queue=state.task_queue,
        state_transition_count=state.transition_count,
        history_size_bytes=state.history_size_bytes,
        first_run_id=state.first_run_id,
        memo=memo(state),
        search_attributes=search_attributes(state, environment.is_current_attribute),
    )
    if environment.limits.external_payloads_enabled:
        info.external_payload_count = state.external_payload_count
        info.external_payload_size_bytes = state.external_payload_size_bytes
    info.execution.workflow_id = state.workflow_id
    info.execution.run_id = state.run_id
    info.type.name = state.workflow_type
    info.root_execution.workflow_id = state.root_workflow_id
    info.root_execution.run_id = state.root_run_id
    if state.parent is not None:
        info.parent_namespace_id = state.parent.namespace_id or state.namespace_id
        info.parent_execution.workflow_id = state.parent.workflow_id
        info.parent_execution.run_id = state.parent.run_id
    set_timestamp(info.start_time, state.start_time_ns)
    set_timestamp(info.execution_time, state.execution_time_ns)
    if state.close_time_ns:
        set_timestamp(info.close_time, state.close_time_ns)
        set_duration(info.execution_duration, max(0, state.close_time_ns - state.execution_time_ns))
    info.auto_reset_points.SetInParent()
    for point in state.reset_points:
        added = info.auto_reset_points.points.add(
            build_id=point.build_id,
            binary_checksum=point.binary_checksum,
            run_id=point.run_id,
            first_workflow_task_completed_id=point.first_workflow_task_completed_id,
            resettable=point.resettable,
        )
        set_timestamp(added.create_time, point.created_at_ns)
        expires_at_ns = point.expires_at_ns
        if not expires_at_ns and state.new_run_id:
            # Temporal: it has a time from when another run follows.
            expires_at_ns = state.close_time_ns + environment.retention_ns(state.namespace_id)
        if expires_at_ns:
            set_timestamp(added.expire_time, expires_at_ns)
    if state.last_worker_version is not None:
        info.most_recent_worker_version_stamp.CopyFrom(
            WorkerVersionStamp.FromString(state.last_worker_version)
        )
    info.worker_deployment_name = state.worker_deployment_name
    if state.versioning_override is not None:
        info.versioning_info.SetInParent()
    if state.versioning_override:
        override = VersioningOverride.FromString(state.versioning_override)
        info.versioning_info.versioning_override.CopyFrom(described(override))
    if state.has_priority:
        info.priority.SetInParent()
        info.priority.MergeFromString(state.priority)
    return info


def _extended(state: RunState, limits: Limits) -> WorkflowExecutionExtendedInfo:
    extended = WorkflowExecutionExtendedInfo(cancel_requested=state.cancel_requested)
    if state.execution_expiration_ns:
        set_timestamp(extended.execution_expiration_time, state.execution_expiration_ns)
    if state.run_expiration_ns:
        set_timestamp(extended.run_expiration_time, state.run_expiration_ns)
    else:
        extended.run_expiration_time.CopyFrom(_NO_TIME)
    set_timestamp(extended.original_start_time, state.original_start_time_ns or state.start_time_ns)
    extended.reset_run_id = state.reset_run_id
    if state.reset_at_ns:
        set_timestamp(extended.last_reset_time, state.reset_at_ns)
    if state.paused_at_ns:
        set_timestamp(extended.pause_info.paused_time, state.paused_at_ns)
        extended.pause_info.identity = state.pause_identity
        extended.pause_info.reason = state.pause_reason
    for request_id, info in state.request_ids.items():
        entry = extended.request_id_infos[request_id]
        entry.event_type = info.event_type  # type: ignore[assignment]
        entry.event_id = info.event_id
        entry.buffered = info.event_id == 0
    if limits.shows_signals:
        for request_id, event_id in state.signals.items():
            entry = extended.request_id_infos[request_id]
            entry.event_type = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
            entry.event_id = max(event_id, 0)
            entry.buffered = event_id == 0
    return extended


def _callback(state: RunState, callback: CompletionCallback, now_ns: int) -> CallbackInfo:
    info = CallbackInfo(attempt=callback.attempt)
    info.callback.MergeFromString(callback.callback)
    if callback.update_id:
        info.trigger.update_workflow_execution_completed.update_id = callback.update_id
    else:
        info.trigger.workflow_closed.SetInParent()
    set_timestamp(info.registration_time, callback.registered_at_ns)
    if not is_due(state, callback):
        info.state = CallbackState.CALLBACK_STATE_STANDBY
    elif callback.is_done and callback.last_failure:
        info.state = CallbackState.CALLBACK_STATE_FAILED
    elif callback.is_done:
        info.state = CallbackState.CALLBACK_STATE_SUCCEEDED
    elif callback.next_attempt_at_ns > now_ns:
        info.state = CallbackState.CALLBACK_STATE_BACKING_OFF
        set_timestamp(info.next_attempt_schedule_time, callback.next_attempt_at_ns)
    else:
        info.state = CallbackState.CALLBACK_STATE_SCHEDULED
    if callback.last_attempt_at_ns:
        set_timestamp(info.last_attempt_complete_time, callback.last_attempt_at_ns)
    if callback.last_failure:
        info.last_attempt_failure.MergeFromString(callback.last_failure)
    return info


def _pending_task(task: WorkflowTask, started: StartedTask | None) -> PendingWorkflowTaskInfo:
    info = PendingWorkflowTaskInfo(
        state=PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED,
        attempt=task.attempt,
    )
    set_timestamp(info.scheduled_time, task.scheduled_at_ns)
    set_timestamp(info.original_scheduled_time, task.original_scheduled_at_ns)
    if started is not None:
        info.state = PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        set_timestamp(info.started_time, started.started_at_ns)
    return info


def _pending_activity(activity: PendingActivity, now_ns: int) -> PendingActivityInfo:
    scheduled = ActivityTaskScheduledEventAttributes.FromString(activity.attributes)
    info = PendingActivityInfo(
        activity_id=activity.activity_id,
        attempt=activity.attempt,
        maximum_attempts=activity.retry_policy.maximum_attempts,
        last_worker_identity=activity.started_identity or activity.last_worker_identity,
    )
    info.activity_type.name = activity.activity_type
    if activity.cancel_requested_event_id:
        info.state = PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
    elif activity.started_at_ns:
        info.state = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
    else:
        info.state = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
    info.paused = activity.paused_at_ns > 0
    if activity.paused_at_ns:
        _describe_pause(info, activity)
    if activity.has_heartbeat_details:
        info.heartbeat_details.MergeFromString(activity.heartbeat_details)
    if activity.last_heartbeat_at_ns:
        set_timestamp(info.last_heartbeat_time, activity.last_heartbeat_at_ns)
    set_timestamp(info.scheduled_time, activity.scheduled_at_ns)
    if activity.started_at_ns:
        set_timestamp(info.last_started_time, activity.started_at_ns)
    elif activity.scheduled_at_ns > now_ns and not activity.paused_at_ns:
        set_timestamp(info.next_attempt_schedule_time, activity.scheduled_at_ns)
        set_duration(info.current_retry_interval, activity.current_retry_interval_ns)
    if activity.schedule_to_close_ns:
        set_timestamp(
            info.expiration_time, activity.first_scheduled_at_ns + activity.schedule_to_close_ns
        )
    if activity.last_failure:
        info.last_failure.MergeFromString(activity.last_failure)
    if activity.last_attempt_complete_at_ns:
        set_timestamp(info.last_attempt_complete_time, activity.last_attempt_complete_at_ns)
    if scheduled.HasField("priority"):
        info.priority.CopyFrom(scheduled.priority)
    options = info.activity_options
    # Temporal: as if the queue were a sticky one.
    options.task_queue.name = options.task_queue.normal_name = scheduled.task_queue.name
    options.schedule_to_close_timeout.CopyFrom(scheduled.schedule_to_close_timeout)
    options.schedule_to_start_timeout.CopyFrom(scheduled.schedule_to_start_timeout)
    options.start_to_close_timeout.CopyFrom(scheduled.start_to_close_timeout)
    options.heartbeat_timeout.CopyFrom(scheduled.heartbeat_timeout)
    options.retry_policy.CopyFrom(scheduled.retry_policy)
    if scheduled.HasField("priority"):
        options.priority.CopyFrom(scheduled.priority)
    return info


def _describe_pause(info: PendingActivityInfo, activity: PendingActivity) -> None:
    if info.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
        info.state = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
    elif info.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
        info.state = PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED
    set_timestamp(info.pause_info.pause_time, activity.paused_at_ns)
    info.pause_info.manual.identity = activity.pause_identity
    info.pause_info.manual.reason = activity.pause_reason
