"""The workflow leaves a note to itself: local activities, versions, side effects. The server only keeps it."""

from temporalio.api.command.v1 import Command
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause

from perdure.core.execution.concept import Concept
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.state import Run
from perdure.core.workflow.validation import check_id, check_size

# What a worker can command


def record(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_RECORD_MARKER_ATTRIBUTES
    if not command.HasField("record_marker_command_attributes"):
        raise BadCommand(cause, "RecordMarkerCommandAttributes is not set on RecordMarkerCommand.")
    wanted = command.record_marker_command_attributes
    check_id(
        step.environment.limits.max_id_length,
        cause,
        "MarkerName",
        wanted.marker_name,
        "RecordMarkerCommand",
    )
    for details in wanted.details.values():
        check_size(
            step.environment.limits.blob_size,
            cause,
            details,
            "RecordMarkerCommandAttributes.Details exceeds size limit.",
        )
    event = new_event(EventType.EVENT_TYPE_MARKER_RECORDED)
    attributes = event.marker_recorded_event_attributes
    attributes.marker_name = wanted.marker_name
    for name, details in wanted.details.items():
        attributes.details[name].CopyFrom(details)
    attributes.workflow_task_completed_event_id = completed_event_id
    if wanted.HasField("header"):
        attributes.header.CopyFrom(wanted.header)
    if wanted.HasField("failure"):
        attributes.failure.CopyFrom(wanted.failure)
    step.record(event)


# What must hold


def check(run: Run) -> None:
    """Nothing: a marker is no state."""


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "markers",
    check=check,
    commands={CommandType.COMMAND_TYPE_RECORD_MARKER: record},
)
