"""How a child ends, as its parent's history shows it."""

from temporalio.api.enums.v1 import (
    EventType,
)
from temporalio.api.history.v1 import (
    HistoryEvent,
)

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.events import attributes_of, new_event

#: How a child ends → the event of the parent, and what is carried over.
_OUTCOMES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: (
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED,
        ("result",),
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: (
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED,
        ("failure", "retry_state"),
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: (
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED,
        ("details",),
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: (
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED,
        (),
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: (
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT,
        ("retry_state",),
    ),
}
#: Events that tell a parent of a child's end.
CLOSING_EVENTS = frozenset(event_type for event_type, _ in _OUTCOMES.values())


def closed_event(closing: HistoryEvent) -> HistoryEvent:
    outcome = _OUTCOMES.get(closing.event_type)
    if outcome is None:
        raise Rejected(Code.INTERNAL, f"a child cannot end by event {closing.event_type}")
    event_type, parts = outcome
    event = new_event(event_type)
    from_child, to_parent = attributes_of(closing), attributes_of(event)
    for part in parts:
        if part == "retry_state":
            to_parent.retry_state = from_child.retry_state
        elif from_child.HasField(part):
            getattr(to_parent, part).CopyFrom(getattr(from_child, part))
    return event
