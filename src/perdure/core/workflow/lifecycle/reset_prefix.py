"""The history that a reset run shares with its base: whether a run can go on after it, event by event.

A history may be long, and nobody needs all of it at once: a reset reads it in slices, and keeps only this of them.
"""

from collections.abc import Iterable

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import invalid_argument
from perdure.core.workflow import child_outcomes
from perdure.core.workflow.events import attributes_of

_TASK_SCHEDULED = EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
_TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
_OF_TASKS = frozenset(
    {
        _TASK_SCHEDULED,
        _TASK_STARTED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED,
        EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
    }
)
_CHILD_INITIATED = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED
CHILD_STARTED = EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED
#: The events by which a parent hears of a child.
OF_CHILDREN = frozenset(
    {
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED,
        CHILD_STARTED,
        *child_outcomes.CLOSING_EVENTS,
    }
)


class Prefix:
    __slots__ = (
        "_last_event_id",
        "_last_of_tasks",
        "_last_type",
        "_pending_children",
        "last_started_event_id",
        "size_bytes",
    )

    def __init__(self, events: Iterable[HistoryEvent] = ()) -> None:
        #: The start of the last workflow task that was started; 0 if none was.
        self.last_started_event_id = 0
        #: The events, each by itself.
        self.size_bytes = 0
        self._last_event_id = 0
        self._last_type = EventType.EVENT_TYPE_UNSPECIFIED
        self._last_of_tasks = EventType.EVENT_TYPE_UNSPECIFIED
        self._pending_children: set[int] = set()
        self.add(events)

    def copy(self) -> "Prefix":
        other = Prefix()
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other._pending_children = set(self._pending_children)
        return other

    def add(self, events: Iterable[HistoryEvent]) -> None:
        """Go on with the events that follow."""
        for event in events:
            kind = self._last_type = event.event_type
            self._last_event_id = event.event_id
            self.size_bytes += event.ByteSize()
            if kind in _OF_TASKS:
                self._last_of_tasks = kind
                if kind == _TASK_STARTED:
                    self.last_started_event_id = event.event_id
            elif kind == _CHILD_INITIATED:
                self._pending_children.add(event.event_id)
            elif kind in OF_CHILDREN and kind != CHILD_STARTED:
                self._pending_children.discard(attributes_of(event).initiated_event_id)

    def check(self, *, ends_a_transition: bool) -> None:
        """Raise `Rejected` if a run cannot go on from here: a worker must have been about to act."""
        if not ends_a_transition and self._last_type != _TASK_STARTED:
            raise invalid_argument(
                f"StateRebuilder unable to Rebuild mutable state to event ID: {self._last_event_id},"
                " version: 0, this event must be at the boundary"
            )
        if self._last_of_tasks not in (_TASK_SCHEDULED, _TASK_STARTED):
            raise invalid_argument(
                "Can only reset workflow to event ID in range [WorkflowTaskScheduled +1, WorkflowTaskStarted + 1]:"
                f" {self._last_event_id + 1}"
            )

    @property
    def has_pending_children(self) -> bool:
        """Whether a run waits for children after it."""
        return bool(self._pending_children)
