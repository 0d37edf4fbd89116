"""The verbs that the rules are written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkerVersionStamp
from temporalio.api.enums.v1 import CommandType, EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import (
    Effect,
    NewRun,
    Outcome,
    Timer,
)
from perdure.core.workflow.effects import OUTGOING_REQUESTS
from perdure.core.workflow.records import (
    ActivityPaused,
    ActivityUnpaused,
    Buffered,
    Flushed,
    Internal,
    ProblemsReported,
    Record,
    TaskConverted,
    decode_state,
    encode_events,
    encode_internal,
    encode_state,
)
from perdure.core.workflow.state import InFlight, Run, RunState

#: Temporal: who does what the server does by itself.
HISTORY_SERVICE = "history-service"

#: Event type → what its attributes are called.
_ATTRIBUTES = {
    number: f"{name.removeprefix('EVENT_TYPE_').lower()}_event_attributes"
    for name, number in EventType.items()
}
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
Commands = dict[CommandType.ValueType, Callable[["Step", Command, int], None]]


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


class Checkpoint(NamedTuple):
    """The state, encoded, and how much had been decided by then."""

    state: bytes
    events: int
    internal: int
    timers: int
    effects: int


class Step:
    """One step of one run: the state so far, and what has been decided so far.

    A rule reads `state` and `in_flight` and calls the verbs. It never writes the state: records do.
    """

    __slots__ = (
        "_apply",
        "_bufferable_count",
        "_builds",
        "_effects",
        "_events",
        "_first_event_id",
        "_internal",
        "_task_ids_after",
        "_timers",
        "arrived_meanwhile",
        "commands",
        "environment",
        "in_flight",
        "new_run",
        "now_ns",
        "run",
        "state",
    )

    def __init__(
        self,
        run: Run,
        now_ns: int,
        environment: Environment,
        apply: Callable[[RunState, Record], None],
        commands: Commands,
    ) -> None:
        self.run = run
        self.state: RunState = run.state
        self.in_flight: InFlight = run.in_flight
        self.now_ns = now_ns
        self.environment = environment
        #: What a worker can command.
        self.commands = commands
        self.new_run: NewRun | None = None
        #: Events that the worker has not seen arrived while it held the task that it completes now.
        self.arrived_meanwhile = False
        self._apply = apply
        self._first_event_id = run.state.next_event_id
        self._builds = _builds(run.state)
        self._bufferable_count = 0
        self._task_ids_after = 0
        self._events: list[HistoryEvent] = []
        self._internal: list[tuple[int, Internal]] = []
        self._timers: list[Timer] = []
        self._effects: list[Effect] = []

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
            event.event_time.FromNanoseconds(self.now_ns)
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
            event.event_time.FromNanoseconds(self.now_ns)
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
        """What was recorded so far."""
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
        return Checkpoint(
            encode_state(self.state),
            len(self._events),
            len(self._internal),
            len(self._timers),
            len(self._effects),
        )

    def roll_back(self, checkpoint: Checkpoint) -> None:
        """Take back everything since `checkpoint`."""
        self.run.state = self.state = decode_state(checkpoint.state)
        del self._events[checkpoint.events :]
        del self._internal[checkpoint.internal :]
        del self._timers[checkpoint.timers :]
        del self._effects[checkpoint.effects :]
        self.new_run = None

    # Asking for things

    def set_timer(self, timer: Timer) -> None:
        self._timers.append(timer)

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def keep_outgoing_requests_back(self) -> None:
        """Temporal: what a run asks for in the step that closes it does not happen."""
        self._effects = [each for each in self._effects if not isinstance(each, OUTGOING_REQUESTS)]

    def finish(self, reply: object) -> Outcome:
        events = encode_events(self._events)
        return Outcome(
            first_event_id=self._first_event_id,
            event_count=len(self._events),
            events=events,
            internal=encode_internal(self._internal),
            timers=self._timers,
            effects=self._effects,
            reply=reply,
            new_run=self.new_run,
            shows=any(event.event_type in _SHOWN for event in self._events)
            or any(_shows(record) for _, record in self._internal)
            or _builds(self.state) != self._builds,
        )


def _builds(state: RunState) -> tuple[object, ...]:
    """Return what lists tell of who has worked on the run."""
    return bool(state.previous_started_event_id), *state.build_ids, *state.binary_checksums


def _shows(record: Internal) -> bool:
    if isinstance(record, Buffered):
        return record.event.event_type in _SHOWN
    return isinstance(record, _SHOWN_RECORDS)


def name_version(event: HistoryEvent, worker_version: WorkerVersionStamp | None) -> None:
    """Have a workflow task's started event name the version of a worker.

    Temporal: a version with rules of its own (`use_versioning`) is left out.
    """
    if event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED or worker_version is None:
        return
    if not worker_version.use_versioning:
        event.workflow_task_started_event_attributes.worker_version.CopyFrom(worker_version)


def attributes_of(event: HistoryEvent) -> Any:
    """Return the attributes of an event, whatever its type."""
    return getattr(event, _ATTRIBUTES[event.event_type])


def new_event(event_type: EventType.ValueType) -> HistoryEvent:
    return HistoryEvent(event_type=event_type)
