"""Notes the workflow type and task queue of a call, and those of its activity, for the trailers of the answer.

Operators have proxies that meter or route calls by that (`frontend.contextMetadataSetTrailer`). The transport sends
the notes; the steps that a call takes write them here, and only if the transport wants them.
"""

from contextvars import ContextVar

from perdure.core.workflow.activities.control import (
    PauseActivities,
    ResetActivities,
    UnpauseActivities,
)
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.queries import Query
from perdure.core.workflow.state import Run
from perdure.core.workflow.tasks.start import StartWorkflowTask

#: The notes of the call under way; None: the transport sends none.
NOTES: ContextVar[dict[str, str] | None] = ContextVar("notes", default=None)
WORKFLOW_TYPE = "workflow-type"
TASK_QUEUE = "workflow-task-queue"
_OF_OPERATORS = PauseActivities | UnpauseActivities | ResetActivities | ChangeActivities


def note_step(
    notes: dict[str, str], execution: object, request: object, *, is_recorded: bool
) -> None:
    """Note the step that an execution has taken for the call. Only workflow runs have types and task queues."""
    if not (isinstance(execution, Run) and (is_recorded or _counts(execution, request))):
        return
    run, state = execution, execution.state
    notes[WORKFLOW_TYPE], notes[TASK_QUEUE] = state.workflow_type, state.task_queue
    activity = state.activities.get(_activity(run, request))
    if activity is not None:
        number = activity.scheduled_event_id
        notes[f"activity-type-{number}"] = activity.activity_type
        notes[f"activity-task-queue-{number}"] = activity.task_queue


def note_start(workflow_type: str, task_queue: str) -> None:
    """Somebody wants to start a workflow. Temporal: it is noted although he may be refused."""
    notes = NOTES.get()
    if notes is not None:
        notes[WORKFLOW_TYPE], notes[TASK_QUEUE] = workflow_type, task_queue


def _counts(run: Run, request: object) -> bool:
    """Temporal: steps that the real server writes and this one need not, and others that it notes."""
    if isinstance(request, StartWorkflowTask):
        return run.in_flight.speculative is None
    if isinstance(request, CompleteWorkflowTask):
        return not request.commands
    if isinstance(request, Query):
        return bool(run.state.previous_started_event_id)
    return isinstance(request, HeartbeatActivity)


def _activity(run: Run, request: object) -> int:
    """Return the scheduled event of the one activity that a request is about; 0 if it is not about one."""
    if isinstance(request, HeartbeatActivity):
        return request.ref.scheduled_event_id
    if isinstance(request, _OF_OPERATORS) and request.which.activity_id is not None:
        return run.state.activity_ids.get(request.which.activity_id, 0)
    return 0
