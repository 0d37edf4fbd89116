"""The one entry point of the rules of workflows: a loop over the concepts, which have the rules themselves."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import Effect, NewRun, Outcome, Timer
from perdure.core.execution.request import Request
from perdure.core.workflow import history_limits, state_size
from perdure.core.workflow.concepts import RULES
from perdure.core.workflow.effects import DispatchWorkflowTask
from perdure.core.workflow.external_payloads import external_payloads
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle import reset, start_policy
from perdure.core.workflow.records import Buffered, Parted, Record, decode_row
from perdure.core.workflow.state import Run, RunState

REQUESTS = RULES.requests
COMMANDS = RULES.commands
TIMERS = RULES.timers
APPLIERS = RULES.appliers
#: The appliers of a buffered event that gets its id: everything else changed on its arrival.
NUMBERED = RULES.numbered


def transition(
    run: Run, request: Request[Any] | Timer, *, now_ns: int, environment: Environment
) -> Outcome:
    """Answer `request`: move `run` forward and say what the shell must do about it.

    The same arguments always give the same outcome. If this raises anything but `Rejected`, `run` may be half
    changed and must be thrown away; the stored run is intact.
    """
    step = HistoryStep(run, now_ns, environment, apply, COMMANDS)
    was_open = run.state.is_open
    # A run that is being made again is as long as its base was allowed to be.
    rebuild = request if type(request) is reset.Rebuild else None
    guard = history_limits.guard(step, request) if was_open and rebuild is None else None
    if type(request) is Timer:
        reply: object = (
            TIMERS[request.kind](step, request)
            if was_open or request.kind in RULES.outliving
            else None
        )
    else:
        reply = REQUESTS[type(request)](step, request)
    if rebuild is not None and rebuild.until is reset.RebuildUntil.END:
        _rely_on_what_was_taken_over(step)
    if guard is not None:
        reply = history_limits.enforce(step, guard) or reply
    if step.state.buffered and step.has_recorded and run.state.is_open:
        history_limits.bound_buffer(step)
    if was_open and not run.state.is_open:
        step.keep_outgoing_requests_back()
        RULES.close(step)
    outcome = step.finish(reply)
    if outcome.new_run is not None:
        outcome.new_run = _after(run.state, outcome.new_run)
    if outcome.is_recorded:
        _end_row(run.state, outcome.events)
        state_size.note_growth(run, outcome)
    return outcome


def _after(state: RunState, new_run: NewRun) -> NewRun:
    """Have the events of the next run follow those of this one."""
    start = new_run.start
    assert isinstance(start, start_policy.Start)
    return NewRun(new_run.run_id, replace(start, after_task_id=state.last_task_id))


def _rely_on_what_was_taken_over(step: HistoryStep) -> None:
    """Ask for what the history of another run asks for: nobody has done that on behalf of this one."""
    for timer in pending_timers(step.run, step.now_ns):
        step.set_timer(timer)
    for effect in pending_effects(step.run, step.now_ns):
        if not isinstance(effect, DispatchWorkflowTask):  # The task is new, and was sent already.
            step.emit(effect)


def apply(state: RunState, record: Record) -> None:
    """Change `state` as `record` says. A record is a fact: it cannot be refused."""
    if type(record) is HistoryEvent:
        assert record.event_id == state.next_event_id, (record.event_id, state.next_event_id)
        state.next_event_id += 1
        state.last_task_id = record.task_id or state.last_task_id
        if state.flushing:
            state.flushing -= 1
            number = NUMBERED.get(record.event_type)
            if number is not None:
                number(state, record)
            return
        applier = APPLIERS.get(record.event_type)
        if applier is not None:
            applier(state, record)
    elif type(record) is Buffered:
        state.buffered.append(record.event)
        applier = APPLIERS.get(record.event.event_type)
        if applier is not None:
            applier(state, record.event)
    else:
        APPLIERS[type(record)](state, record)


def fold(state: RunState, rows: Iterable[tuple[bytes, bytes]]) -> RunState:
    """Return `state` moved forward by journal rows, each its (events, internal) bytes."""
    for events, internal in rows:
        for record in decode_row(events, internal):
            apply(state, record)
        _end_row(state, events)
    return state


def _goes_on(state: RunState, record: Parted) -> None:
    """Take back what the end of the row is going to count: it is not the end of a transition."""
    state.transition_count -= 1


APPLIERS[Parted] = _goes_on


def _end_row(state: RunState, events: bytes) -> None:
    """End a row: what changes once a transition rather than once a record."""
    state.history_size_bytes += len(events)
    external = external_payloads(events)
    state.external_payload_count += external.number
    state.external_payload_size_bytes += external.size_bytes
    state.transition_count += 1


def check(run: Run) -> None:
    """Assert what holds between any two transitions. Tests and the simulator call it; the server does not."""
    RULES.check(run)
    state_size.check(run)


def pending_timers(run: Run, now_ns: int) -> list[Timer]:
    """Return every timer that `run` relies on.

    The runtime must have been asked for each, or for an earlier one of its kind.
    """
    return RULES.pending_timers(run, now_ns)


def pending_effects(run: Run, now_ns: int) -> list[Effect]:
    """Return every effect that `run` relies on to move: what a restart must deliver again."""
    return RULES.pending_effects(run, now_ns)


def has_pending_effects(run: Run, now_ns: int) -> bool:
    return RULES.has_pending_effects(run, now_ns)


def is_stale(run: Run, timer: Timer) -> bool:
    """Whether `timer` has become of no use for good. One that is not stale may do nothing all the same."""
    return RULES.is_stale(run, timer, is_open=run.state.is_open)
