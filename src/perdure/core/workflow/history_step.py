"""The verbs of a machine with a history: events, those that must wait for the worker, and speculative tasks."""

from __future__ import annotations

from collections.abc import Callable

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import (
    Outcome,
)
from perdure.core.execution.step import Checkpoint, Step
from perdure.core.times import set_timestamp
from perdure.core.workflow.effects import OUTGOING_REQUESTS
from perdure.core.workflow.events import attributes_of, name_version
from perdure.core.workflow.records import (
    CODEC,
    ActivityPaused,
    ActivityUnpaused,
    Buffered,
    Flushed,
    Internal,
    ProblemsReported,
    Record,
    TaskConverted,
    encode_events,
)
from perdure.core.workflow.state import InFlight, Run, RunState

#: Events that start an activity or child → what they call the id of the event that asked for it.
_STARTS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED: "scheduled_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: "initiated_event_id",
}
#: Events that end one, likewise.
_ENDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "scheduled_event_id",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "scheduled_event_id",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "scheduled_event_id",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "scheduled_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: "initiated_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: "initiated_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: "initiated_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: "initiated_event_id",
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: "initiated_event_id",
}

#: Events that change what lists show of an open run.
_SHOWN = {
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
    EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED,
}


_SHOWN_RECORDS = (ActivityPaused, ActivityUnpaused, ProblemsReported)


#: A command gets the id of the `WorkflowTaskCompleted` event that it came with.
Commands = dict[CommandType.ValueType, Callable[["HistoryStep", Command, int], None]]


class BadCommand(Exception):
    """The worker sent a command that breaks the rules; its workflow task must be failed with `cause`."""

    def __init__(
        self, cause: WorkflowTaskFailedCause.ValueType, message: str, *, is_final: bool = False
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        #: The worker would only send the same again: the run is terminated.
        self.is_final = is_final


class HistoryStep(Step[RunState]):
    """One step of one run. A rule reads `state` and `in_flight`, and writes what is in flight only."""

    __slots__ = (
        "_bufferable_count",
        "_builds",
        "_events",
        "_first_event_id",
        "_task_ids_after",
        "arrived_meanwhile",
        "commands",
        "in_flight",
        "run",
    )

    def __init__(
        self,
        run: Run,
        now_ns: int,
        environment: Environment,
        apply: Callable[[RunState, Record], None],
        commands: Commands,
    ) -> None:
        super().__init__(run.state, now_ns, environment, apply, CODEC)
        self.run = run
        self.in_flight: InFlight = run.in_flight
        #: The commands that a worker can send.
        self.commands = commands
        #: Events that the worker has not seen arrived while it held the task that it completes now.
        self.arrived_meanwhile = False
        self._first_event_id = run.state.next_event_id
        self._builds = _builds(run.state)
        self._bufferable_count = 0
        self._task_ids_after = 0
        self._events: list[HistoryEvent] = []

    def check_open(self) -> None:
        """Raise `Rejected` if the run has closed."""
        if not self.state.is_open:
            raise Rejected(Code.NOT_FOUND, "workflow execution already completed")

    # Recording

    def record(self, event: HistoryEvent) -> HistoryEvent:
        """Append `event` to history and apply it at once, so later decisions see it.

        Its time is now, unless it was made earlier (buffered, or of a task that a worker held).
        """
        if self.in_flight.speculative is not None:
            self.make_normal()
        event.event_id = self.state.next_event_id
        # That of an event which another run has, too, stays as it is.
        after = max(self.state.last_task_id, self._task_ids_after)
        event.task_id = max(event.task_id, after + 1)
        if not event.HasField("event_time"):
            set_timestamp(event.event_time, self.now_ns)
        self._apply(self.state, event)
        self._events.append(event)
        return event

    def record_internal(self, record: Internal, *, with_end: bool = False) -> None:
        """Record what history does not show, and apply it at once.

        `with_end`: the run is about to be closed, and what is speculative then leaves no trace.
        """
        if self.in_flight.speculative is not None and not with_end:
            self.make_normal()
        self._internal.append((len(self._events), record))
        self._apply(self.state, record)

    def begin_task_ids_after(self, task_id: int) -> None:
        """Have the events to come follow those of another run of the workflow id."""
        self._task_ids_after = task_id

    def count_all(self) -> None:
        """From here on what was recorded counts: something was recorded after it that cannot be buffered."""
        self._bufferable_count = 0

    def record_or_buffer(self, event: HistoryEvent) -> HistoryEvent:
        """Record an event that comes from outside; while a worker holds the workflow task it must wait.

        Temporal: the worker's task was made from the events up to its own start; others get their ids after it.
        """
        if self.in_flight.started is None:
            self.flush()
            self._bufferable_count += 1
            return self.record(event)
        self.make_normal()
        if not event.HasField("event_time"):
            set_timestamp(event.event_time, self.now_ns)
        self.record_internal(Buffered(event))
        return event

    def make_normal(
        self, identity: str = "", worker_version: WorkerVersionStamp | None = None
    ) -> None:
        """Make a speculative workflow task a normal one: something is to be recorded, and it comes first.

        Temporal: who holds the task is forgotten; its started event names who made it a normal one, if it is known.
        """
        speculative, started = self.in_flight.speculative, self.in_flight.started
        if speculative is None:
            return
        self.in_flight.speculative = None
        self.record(speculative.event)
        if started is None:
            self.record_internal(TaskConverted())
        else:
            event = HistoryEvent()
            event.CopyFrom(started.events[-1])
            event.task_id = self.state.last_task_id + 1  # As it is recorded next.
            event.workflow_task_started_event_attributes.identity = identity
            name_version(event, worker_version)
            started.events = (event,)

    def flush(self) -> bool:
        """Give the buffered events their ids; say whether there were any.

        Temporal: what ends an activity or child comes after everything else that was buffered: it follows its start.
        """
        buffered = self.state.buffered
        if not buffered:
            return False
        ordered = [event for event in buffered if event.event_type not in _ENDS]
        ordered += [event for event in buffered if event.event_type in _ENDS]
        self._bufferable_count += len(ordered)
        self.record_internal(Flushed(len(ordered)))
        started_ids: dict[int, int] = {}
        for event in ordered:
            if event.event_type in _STARTS:
                asked_for = getattr(attributes_of(event), _STARTS[event.event_type])
                started_ids[asked_for] = self.record(event).event_id
                continue
            if event.event_type in _ENDS:
                attributes = attributes_of(event)
                started_id = started_ids.get(getattr(attributes, _ENDS[event.event_type]))
                if started_id is not None:
                    attributes.started_event_id = started_id
            self.record(event)
        return True

    @property
    def has_recorded(self) -> bool:
        return bool(self._events or self._internal)

    @property
    def own_events(self) -> list[HistoryEvent]:
        """The events that were recorded so far."""
        return self._events

    def own_event(self, event_id: int) -> HistoryEvent | None:
        """The event with this id, if it was recorded by this step."""
        place = event_id - self._first_event_id
        return self._events[place] if 0 <= place < len(self._events) else None

    @property
    def own_event_count(self) -> int:
        """How many events were recorded so far, without those that a worker's task would have held back."""
        return len(self._events) - self._bufferable_count

    # Undoing

    def checkpoint(self) -> Checkpoint:
        return super().checkpoint()._replace(events=len(self._events))

    def roll_back(self, checkpoint: Checkpoint) -> None:
        super().roll_back(checkpoint)
        self.run.state = self.state
        del self._events[checkpoint.events :]

    # Asking for things

    def keep_outgoing_requests_back(self) -> None:
        """Temporal: what a run asks for in the step that closes it does not happen."""
        self._effects = [each for each in self._effects if not isinstance(each, OUTGOING_REQUESTS)]

    def finish(self, reply: object) -> Outcome:
        outcome = super().finish(reply)
        outcome.first_event_id = self._first_event_id
        outcome.event_count = len(self._events)
        outcome.events = encode_events(self._events)
        outcome.shows = self._shows()
        return outcome

    def _shows(self) -> bool:
        """Return whether lists must show something new."""
        if _builds(self.state) != self._builds:
            return True
        # Loops: every step comes by here, most with a record or two.
        for event in self._events:
            if event.event_type in _SHOWN:
                return True
        for _, record in self._internal:  # noqa: SIM110
            if _shows(record):
                return True
        return False


def _builds(state: RunState) -> tuple[object, ...]:
    """Return what lists tell of who has worked on the run."""
    return bool(state.previous_started_event_id), *state.build_ids, *state.binary_checksums


def _shows(record: Internal) -> bool:
    if isinstance(record, Buffered):
        return record.event.event_type in _SHOWN
    return isinstance(record, _SHOWN_RECORDS)
