"""Promises that hold between any two steps of a run, whatever was asked: scripts and properties both check them.

Read from the outside: what is stored, what the shell was asked for and what history says. Each concept checks its
own part of the state in its own `check`.
"""

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.outcome import Effect, Timer, TimerKind
from perdure.core.workflow.effects import DispatchActivityTask, InvokeCallback
from perdure.core.workflow.machine import check, fold, is_stale, pending_effects, pending_timers
from perdure.core.workflow.records import (
    Buffered,
    Flushed,
    Record,
    Unbuffered,
    decode_row,
    decode_state,
    encode_state,
    in_parts,
)
from perdure.core.workflow.state import Run, RunState
from perdure.testing.promises import concept_of

_E = EventType
TASK_SCHEDULED = _E.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED
TASK_STARTED = _E.EVENT_TYPE_WORKFLOW_TASK_STARTED
TASK_ENDS = {
    _E.EVENT_TYPE_WORKFLOW_TASK_COMPLETED,
    _E.EVENT_TYPE_WORKFLOW_TASK_FAILED,
    _E.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT,
}
ACTIVITY_ENDS = {
    _E.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    _E.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    _E.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    _E.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}
CHILD_ENDS = {
    getattr(_E, f"EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_{end}"): (
        f"child_workflow_execution_{end.lower()}_event_attributes"
    )
    for end in ("COMPLETED", "FAILED", "TIMED_OUT", "CANCELED", "TERMINATED")
}
#: They get the id of what they end when they get their own, and come after all else that waited.
ENDS = ACTIVITY_ENDS | CHILD_ENDS
RUN_ENDS = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT,
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
}
_ALL_ATTEMPTS = TimerKind.ACTIVITY_SCHEDULE_TO_CLOSE


class Journal:
    """The rows that a store would hold, and what can be read from them alone."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes]] = []
        self.events: list[HistoryEvent] = []
        #: The rows, folded: the state that a restart would begin with.
        self.folded = RunState()
        #: The same from rows of few events each, as large transitions are written.
        self._folded_parts = RunState()
        #: Events that arrived while a worker held the task and have no id yet.
        self.waiting: list[HistoryEvent] = []
        self._flushing: list[HistoryEvent] = []

    def append(self, events: bytes, internal: bytes) -> None:
        self.rows.append((events, internal))
        fold(self.folded, [(events, internal)])
        events_max = 1 + len(self.rows) % 3
        parts = [part[1:] for part in in_parts(events, internal, events_max=events_max)]
        parts = parts or [(events, internal)]
        fold(self._folded_parts, parts)
        assert b"".join(part[0] for part in parts) == events
        assert encode_state(self._folded_parts) == encode_state(self.folded), "parts are the whole"
        for record in decode_row(events, internal):
            self._follow(record)
        assert not self._flushing, "a row ends within what it flushes"

    def fork(self) -> "Journal":
        other = Journal()
        other.rows, other.events, other.waiting = [*self.rows], [*self.events], [*self.waiting]
        other.folded = decode_state(encode_state(self.folded))
        other._folded_parts = decode_state(encode_state(self._folded_parts))
        return other

    def _follow(self, record: Record) -> None:
        """Keep the history; see that buffered events get their ids once, and in order."""
        if isinstance(record, HistoryEvent):
            assert record.event_id == len(self.events) + 1, "event ids have a gap"
            before = self.events[-1].task_id if self.events else 0
            assert record.task_id > before, "task ids do not rise"
            if self._flushing:
                assert _bare(record) == _bare(self._flushing.pop(0))
            self.events.append(record)
            if record.event_type in RUN_ENDS:
                self.waiting = []
        elif isinstance(record, Buffered):
            self.waiting.append(record.event)
        elif isinstance(record, Unbuffered):
            del self.waiting[record.index]
        elif isinstance(record, Flushed):
            assert record.count == len(self.waiting), "some buffered events were left behind"
            ends = [event for event in self.waiting if event.event_type in ENDS]
            others = [event for event in self.waiting if event.event_type not in ENDS]
            self._flushing, self.waiting = [*others, *ends], []


def _bare(event: HistoryEvent) -> HistoryEvent:
    """Return `event` without what it only gets when its id is known."""
    bare = HistoryEvent()
    bare.CopyFrom(event)
    bare.event_id = bare.task_id = 0
    if bare.event_type in ENDS:
        getattr(bare, ENDS[bare.event_type]).started_event_id = 0
    return bare


def memory_of(run: Run) -> object:
    """Return what is in flight as a value that can be compared later."""
    in_flight = run.in_flight
    started, speculative = in_flight.started, in_flight.speculative
    return (
        started and (started.nonce, len(started.events), started.started_event_id),
        in_flight.close_attempted,
        tuple(in_flight.queries.items()),
        tuple((key, update.is_sent) for key, update in in_flight.updates.items()),
        speculative and speculative.task.scheduled_event_id,
    )


def check_between_steps(
    run: Run, journal: Journal, timers: list[Timer], effects: list[Effect], now_ns: int
) -> None:
    """`timers` were asked for and have not fired; `effects` are all that were ever sent."""
    check(run)
    state = run.state
    assert journal.folded == state, "a restart would not know what is in memory"
    assert decode_state(encode_state(state)) == state, "a snapshot loses something"
    assert state.next_event_id == len(journal.events) + 1
    assert list(state.buffered) == journal.waiting
    _check_called_back(run, timers, now_ns)
    for effect in pending_effects(run, now_ns):
        assert effect in effects or _is_about_to_be_sent(effect, timers, now_ns), (
            f"{concept_of(effect)}: {effect} is pending, and was never emitted"
        )
    _check_restart(run, journal.folded, now_ns)
    _check_pending(state, journal.events)
    _check_tasks(run, journal.events)
    _check_starts(journal.events)
    ends = [event.event_id for event in journal.events if event.event_type in RUN_ENDS]
    assert ends == ([] if state.is_open else [len(journal.events)])


def _is_about_to_be_sent(effect: Effect, timers: list[Timer], now_ns: int) -> bool:
    """An attempt whose time has just come is sent when its timer fires, which may be the next step."""
    if isinstance(effect, InvokeCallback):
        name = (TimerKind.CALLBACK_RETRY, effect.number, effect.attempt)
        return any(
            timer.fire_at_ns <= now_ns and (timer.kind, timer.event_id, timer.attempt) == name
            for timer in timers
        )
    return isinstance(effect, DispatchActivityTask) and any(
        timer.kind == TimerKind.ACTIVITY_RETRY
        and timer.fire_at_ns <= now_ns
        and (timer.event_id, timer.attempt) == (effect.scheduled_event_id, effect.attempt)
        for timer in timers
    )


def _check_called_back(run: Run, timers: list[Timer], now_ns: int) -> None:
    for needed in pending_timers(run, now_ns):
        assert not is_stale(run, needed), f"{concept_of(needed)}: {needed} is pending, and stale"
        assert any(
            (asked.kind, asked.event_id) == (needed.kind, needed.event_id)
            and asked.fire_at_ns <= needed.fire_at_ns
            # The time for all attempts together does not depend on the attempt that asked.
            and (asked.attempt == needed.attempt or asked.kind == _ALL_ATTEMPTS)
            for asked in timers
        ), f"{concept_of(needed)}: {needed} is pending, and was never set"


def _check_restart(run: Run, folded: RunState, now_ns: int) -> None:
    """A restart must ask for and deliver the same, but for what a worker held, which it hands out again."""
    again = Run(folded)
    if run.in_flight.started is None and run.in_flight.speculative is None:
        assert pending_timers(again, now_ns) == pending_timers(run, now_ns)
        assert pending_effects(again, now_ns) == pending_effects(run, now_ns)


def _check_pending(state: RunState, events: list[HistoryEvent]) -> None:
    """The run has pending exactly what history opened and did not close."""
    if not state.is_open:
        assert not state.activities
        assert not state.timers
        return
    open_activities: set[int] = set()
    open_timers: dict[str, int] = {}
    for event in [*events, *state.buffered]:
        if event.event_type == _E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            open_activities.add(event.event_id)
        elif event.event_type in ACTIVITY_ENDS:
            attributes = getattr(event, ACTIVITY_ENDS[event.event_type])
            open_activities.remove(attributes.scheduled_event_id)
        elif event.event_type == _E.EVENT_TYPE_TIMER_STARTED:
            open_timers[event.timer_started_event_attributes.timer_id] = event.event_id
        elif event.event_type == _E.EVENT_TYPE_TIMER_FIRED:
            del open_timers[event.timer_fired_event_attributes.timer_id]
        elif event.event_type == _E.EVENT_TYPE_TIMER_CANCELED:
            del open_timers[event.timer_canceled_event_attributes.timer_id]
    assert set(state.activities) == open_activities
    assert {name: timer.started_event_id for name, timer in state.timers.items()} == open_timers


def _check_starts(events: list[HistoryEvent]) -> None:
    """The last event of an activity or child names the event that started it, and none if nothing did."""
    started: dict[int, int] = {}
    for event in events:
        if event.event_type == _E.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            attributes = event.activity_task_started_event_attributes
            started[attributes.scheduled_event_id] = event.event_id
        elif event.event_type == _E.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
            child = event.child_workflow_execution_started_event_attributes
            started[child.initiated_event_id] = event.event_id
        elif event.event_type in ENDS:
            end = getattr(event, ENDS[event.event_type])
            begun_by = (
                end.scheduled_event_id
                if event.event_type in ACTIVITY_ENDS
                else end.initiated_event_id
            )
            assert end.started_event_id == started.get(begun_by, 0)


def _check_tasks(run: Run, events: list[HistoryEvent]) -> None:
    """One workflow task after the other: scheduled, maybe started, ended."""
    stage = "none"
    for event in events:
        if event.event_type == TASK_SCHEDULED:
            assert stage == "none", f"event {event.event_id} schedules a second task"
            stage = "scheduled"
        elif event.event_type == TASK_STARTED:
            assert stage == "scheduled"
            stage = "started"
        elif event.event_type in TASK_ENDS:
            assert stage in ("scheduled", "started")
            stage = "none"
        elif stage == "started":
            raise AssertionError(f"event {event.event_id} is between a task's start and its end")
    if run.state.is_open:
        task = run.state.workflow_task
        assert stage == ("scheduled" if task is not None and task.is_recorded else "none")
