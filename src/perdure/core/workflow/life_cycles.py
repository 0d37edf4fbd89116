"""The life cycles of a workflow task, an activity, a child and an update: which states there are, and what leads where.

The rules do not ask these tables: appliers change the state (see `machine.py`). Tests follow every step of every script
through them, so they say what the rules do, and the diagrams of the architecture page are drawn from them.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.outcome import Timer
from perdure.core.workflow import child_outcomes
from perdure.core.workflow.lifecycle import close
from perdure.core.workflow.records import Buffered
from perdure.core.workflow.state import Run

#: Before it is there, and when nothing is left of it.
NONE = ""
#: A cause: any event that ends the run.
RUN_CLOSES = "the run closes"
#: A cause: any event that tells of a child's end.
CHILD_CLOSES = "the child closes"
#: A cause: anything that leaves a trace in the run, but the worker's own answer.
ANYTHING = "anything else happens to the run"


class Row(NamedTuple):
    before: str
    #: A history event without "EVENT_TYPE_", the name of an internal record, or of a request that records nothing.
    cause: str
    after: str


@dataclass(frozen=True, slots=True)
class LifeCycle:
    name: str
    #: All that there is in a run now, each with its state.
    look: Callable[[Run], Mapping[Hashable, str]]
    rows: frozenset[Row]


def cause_of(what: object) -> str:
    """Return how tables call a record or a request."""
    if isinstance(what, Buffered):
        return cause_of(what.event)
    if isinstance(what, HistoryEvent):
        if what.event_type in close.CLOSING_EVENTS:
            return RUN_CLOSES
        if what.event_type in child_outcomes.CLOSING_EVENTS:
            return CHILD_CLOSES
        return EventType.Name(what.event_type).removeprefix("EVENT_TYPE_")
    return f"timer {what.kind.name}" if isinstance(what, Timer) else type(what).__name__


# Workflow task


def workflow_task(run: Run) -> Mapping[Hashable, str]:
    """A speculative one is known in memory only, and so is that a worker holds one."""
    is_started = run.in_flight.started is not None
    if run.in_flight.speculative is not None:
        return {"": "speculative, started" if is_started else "speculative"}
    task = run.state.workflow_task
    if task is None:
        return {}
    if is_started:
        return {"": "started"}
    return {"": "scheduled" if task.is_recorded else "transient"}


WORKFLOW_TASK = LifeCycle(
    "workflow task",
    workflow_task,
    frozenset(
        {
            Row(NONE, "AdmitUpdate", "speculative"),
            Row(NONE, "CompleteWorkflowTask", "speculative, started"),
            Row(NONE, "TaskRescheduled", "transient"),
            Row(NONE, "WORKFLOW_TASK_SCHEDULED", "scheduled"),
            Row(NONE, "WORKFLOW_TASK_SCHEDULED", "started"),
            Row("scheduled", "CompleteWorkflowTask", "started"),
            Row("scheduled", "StartWorkflowTask", "started"),
            Row("scheduled", "WORKFLOW_TASK_COMPLETED", NONE),
            Row("scheduled", "WORKFLOW_TASK_FAILED", NONE),
            Row("scheduled", "WORKFLOW_TASK_TIMED_OUT", NONE),
            Row("scheduled", RUN_CLOSES, NONE),
            Row("speculative", "StartWorkflowTask", "speculative, started"),
            Row("speculative", ANYTHING, NONE),
            Row("speculative, started", "CompleteWorkflowTask", NONE),
            Row("speculative, started", "CompleteWorkflowTask", "started"),
            Row("speculative, started", "FailWorkflowTask", NONE),
            Row("speculative, started", ANYTHING, NONE),
            Row("speculative, started", "ReturnWorkflowTask", "speculative"),
            Row("started", "ReturnWorkflowTask", "scheduled"),
            Row("started", "ReturnWorkflowTask", "transient"),
            Row("started", "TaskDropped", NONE),
            Row("started", "WORKFLOW_TASK_COMPLETED", NONE),
            Row("started", "WORKFLOW_TASK_FAILED", NONE),
            Row("started", "WORKFLOW_TASK_TIMED_OUT", NONE),
            Row("transient", "StartWorkflowTask", "started"),
            Row("transient", "TaskDropped", NONE),
            Row("transient", "WORKFLOW_TASK_SCHEDULED", "scheduled"),
            Row("transient", RUN_CLOSES, NONE),
            Row("started", RUN_CLOSES, NONE),
            Row("speculative", RUN_CLOSES, NONE),
            Row("speculative, started", RUN_CLOSES, NONE),
        }
    ),
)


# Activity


def activities(run: Run) -> Mapping[Hashable, str]:
    """Whether it is to be cancelled is a matter of its own."""
    return {
        event_id: ("started" if activity.started_at_ns else "scheduled")
        + (", paused" if activity.paused_at_ns else "")
        for event_id, activity in run.state.activities.items()
    }


ACTIVITY = LifeCycle(
    "activity",
    activities,
    frozenset(
        {
            Row(NONE, "ACTIVITY_TASK_SCHEDULED", "scheduled"),
            Row("scheduled", "ACTIVITY_TASK_CANCELED", NONE),
            Row("scheduled", "ACTIVITY_TASK_COMPLETED", NONE),
            Row("scheduled", "ACTIVITY_TASK_TIMED_OUT", NONE),
            Row("scheduled", "ActivityPaused", "scheduled, paused"),
            Row("scheduled", "ActivityStarted", "started"),
            Row("scheduled", RUN_CLOSES, NONE),
            Row("scheduled, paused", "ActivityUnpaused", "scheduled"),
            Row("started", "ACTIVITY_TASK_CANCELED", NONE),
            Row("started", "ACTIVITY_TASK_COMPLETED", NONE),
            Row("started", "ACTIVITY_TASK_FAILED", NONE),
            Row("started", "ACTIVITY_TASK_TIMED_OUT", NONE),
            Row("started", "ActivityPaused", "started, paused"),
            Row("started", "ActivityRetried", "scheduled"),
            Row("started", "ActivityReturned", "scheduled"),
            Row("started, paused", "ActivityReturned", "scheduled, paused"),
            Row("started", RUN_CLOSES, NONE),
            Row("started, paused", "ActivityRetried", "scheduled, paused"),
            Row("scheduled", "ACTIVITY_TASK_FAILED", NONE),
            Row("scheduled, paused", "ACTIVITY_TASK_CANCELED", NONE),
            Row("scheduled, paused", "ACTIVITY_TASK_COMPLETED", NONE),
            Row("scheduled, paused", "ACTIVITY_TASK_FAILED", NONE),
            Row("scheduled, paused", "ACTIVITY_TASK_TIMED_OUT", NONE),
            Row("started, paused", "ACTIVITY_TASK_CANCELED", NONE),
            Row("started, paused", "ACTIVITY_TASK_COMPLETED", NONE),
            Row("started, paused", "ACTIVITY_TASK_FAILED", NONE),
            Row("started, paused", "ACTIVITY_TASK_TIMED_OUT", NONE),
            Row("scheduled, paused", RUN_CLOSES, NONE),
            Row("started, paused", RUN_CLOSES, NONE),
            Row("started, paused", "ActivityUnpaused", "started"),
        }
    ),
)


# Child


def children(run: Run) -> Mapping[Hashable, str]:
    """When the parent has closed it still has to tell its children so."""
    mark = "" if run.state.is_open else ", to be told"
    return {
        event_id: ("started" if child.run_id else "initiated") + mark
        for event_id, child in run.state.children.items()
    }


CHILD = LifeCycle(
    "child",
    children,
    frozenset(
        {
            Row(NONE, "START_CHILD_WORKFLOW_EXECUTION_INITIATED", "initiated"),
            Row("initiated", "CHILD_WORKFLOW_EXECUTION_STARTED", "started"),
            Row("initiated", "START_CHILD_WORKFLOW_EXECUTION_FAILED", NONE),
            Row("initiated", RUN_CLOSES, NONE),
            Row("started", CHILD_CLOSES, NONE),
            Row("started", RUN_CLOSES, NONE),
            Row("started", RUN_CLOSES, "started, to be told"),
            Row("started, to be told", "ChildReleased", NONE),
        }
    ),
)


# Update


def updates(run: Run) -> Mapping[Hashable, str]:
    """Until the worker accepts it, it is known in memory only, unless an event has admitted it."""
    found: dict[Hashable, str] = dict.fromkeys(run.state.admitted_updates, "admitted")
    for update_id, admitted in run.in_flight.updates.items():
        found[update_id] = "sent" if admitted.is_sent else "admitted"
    for update_id, accepted in run.state.updates.items():
        found[update_id] = "completed" if accepted.completed_event_id else "accepted"
    return found


UPDATE = LifeCycle(
    "update",
    updates,
    frozenset(
        {
            Row(NONE, "AdmitUpdate", "admitted"),
            Row("accepted", "WORKFLOW_EXECUTION_UPDATE_COMPLETED", "completed"),
            Row("admitted", "CompleteWorkflowTask", NONE),
            Row("admitted", "CompleteWorkflowTask", "sent"),
            Row("admitted", "StartWorkflowTask", "sent"),
            Row("admitted", RUN_CLOSES, NONE),
            Row("sent", "CompleteWorkflowTask", NONE),
            Row("sent", "StartWorkflowTask", "admitted"),
            Row("sent", "ReturnWorkflowTask", "admitted"),
            Row("sent", "WORKFLOW_EXECUTION_UPDATE_ACCEPTED", "accepted"),
            Row("sent", RUN_CLOSES, NONE),
            Row(NONE, "WORKFLOW_EXECUTION_UPDATE_ADMITTED", "admitted"),
            Row(NONE, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED", "accepted"),
            Row("admitted", "WORKFLOW_EXECUTION_UPDATE_ACCEPTED", "accepted"),
            Row("admitted", "UpdateDropped", NONE),
            Row("sent", "UpdateDropped", NONE),
        }
    ),
)

LIFE_CYCLES = (WORKFLOW_TASK, ACTIVITY, CHILD, UPDATE)
