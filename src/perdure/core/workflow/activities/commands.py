"""A worker commands that an activity is scheduled, or asked to stop."""

from temporalio.api.command.v1 import Command, ScheduleActivityTaskCommandAttributes
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause

from perdure.core.execution.concept import Concept
from perdure.core.workflow.activities.attempt_records import (
    ENDS,
    offer,
    record_canceled,
    rely_on_timeouts,
)
from perdure.core.workflow.activities.options import checked
from perdure.core.workflow.events import attributes_of, new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.validation import check_size

# What a worker can command


def schedule(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    limits = step.environment.limits
    wanted = checked(step.state, command, limits)
    state = step.state
    if wanted.activity_id in state.activity_ids:
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_SCHEDULE_ACTIVITY_DUPLICATE_ID,
            "invalid history builder state for action: add-activitytask-scheduled-event,"
            f" ActivityID: {wanted.activity_id}",
        )
    check_size(
        step.environment.limits.blob_size,
        WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES,
        wanted.input,
        "ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
    )
    if 0 < limits.max_pending_activities <= len(state.activities):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_ACTIVITIES_LIMIT_EXCEEDED,
            f"the number of pending activities, {len(state.activities)},"
            f" has reached the per-workflow limit of {limits.max_pending_activities}",
        )
    event = new_event(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
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
    rely_on_timeouts(step, activity)
    if not is_eager(step, wanted):
        offer(step, activity)


def is_eager(step: HistoryStep, wanted: ScheduleActivityTaskCommandAttributes) -> bool:
    """Whether the worker gets the activity with the answer to its workflow task."""
    return (
        wanted.request_eager_execution and step.environment.limits.enable_activity_eager_execution
    )


def request_cancel(step: HistoryStep, command: Command, completed_event_id: int) -> None:
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
        record_canceled(step, activity, 0, details, identity=identity)


def _has_buffered_end(state: RunState, scheduled_event_id: int) -> bool:
    return any(
        event.event_type in ENDS and attributes_of(event).scheduled_event_id == scheduled_event_id
        for event in state.buffered
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "activity commands",
    commands={
        CommandType.COMMAND_TYPE_SCHEDULE_ACTIVITY_TASK: schedule,
        CommandType.COMMAND_TYPE_REQUEST_CANCEL_ACTIVITY_TASK: request_cancel,
    },
)
