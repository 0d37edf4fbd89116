"""The replies of the runtime to the frontend: tasks for pollers, and refusals of starts and updates."""

from dataclasses import dataclass

from temporalio.api.query.v1 import WorkflowQuery

from perdure.core.archetypes import ARCHETYPES
from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.activities.attempts import ActivityTask
from perdure.core.workflow.tasks.start import TaskStarted


@dataclass(frozen=True, slots=True)
class WorkflowTaskReply:
    """A workflow task for a worker, with the first page of its history."""

    key: ExecutionKey
    task: TaskStarted
    #: Serialized `History`, transient events included when it is the last page.
    history: bytes
    #: 0 if the history is whole; else the id of the first event of the next page, and where to go on reading.
    next_event_id: int
    after_seq: int
    backlog_count: int


@dataclass(frozen=True, slots=True)
class QueryTaskReply:
    key: ExecutionKey
    query_id: str
    query: WorkflowQuery
    workflow_type: str
    task_queue: str
    previous_started_event_id: int
    history: bytes
    next_event_id: int
    after_seq: int


@dataclass(frozen=True, slots=True)
class ActivityTaskReply:
    key: ExecutionKey
    namespace: str
    task: ActivityTask


class StartFailed(Exception):
    """The start of an update with start."""

    def __init__(self, refusal: Rejected) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class UpdateFailed(Exception):
    """The update of an update with start."""

    def __init__(self, refusal: Rejected, *, started: bool) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        #: The run was started for it, and goes on.
        self.started = started


def not_found(key: ExecutionKey) -> Rejected:
    """Temporal: the text depends on what was asked for."""
    kind = ARCHETYPES[key.archetype].name
    if key.run_id:
        return Rejected(
            Code.NOT_FOUND,
            f'{kind} execution not found for {kind} ID "{key.business_id}" and run ID "{key.run_id}"',
        )
    return Rejected(Code.NOT_FOUND, f"{kind} not found for ID: {key.business_id}")
