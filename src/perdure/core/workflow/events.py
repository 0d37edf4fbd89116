"""History events: how they are made, and what is the same for each."""

from typing import Any

from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

#: Temporal: who does what the server does by itself.
HISTORY_SERVICE = "history-service"


#: Event type → what its attributes are called.
_ATTRIBUTES = {
    number: f"{name.removeprefix('EVENT_TYPE_').lower()}_event_attributes"
    for name, number in EventType.items()
}


def new_event(event_type: EventType.ValueType) -> HistoryEvent:
    return HistoryEvent(event_type=event_type)


def attributes_of(event: HistoryEvent) -> Any:
    """Return the attributes of an event, whatever its type."""
    return getattr(event, _ATTRIBUTES[event.event_type])


def name_version(event: HistoryEvent, worker_version: WorkerVersionStamp | None) -> None:
    """Have a workflow task's started event name the version of a worker.

    Temporal: a version with rules of its own (`use_versioning`) is left out.
    """
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED or worker_version is None:
        return
    if not worker_version.use_versioning:
        event.workflow_task_started_event_attributes.worker_version.CopyFrom(worker_version)
