"""Bugs on purpose in the rules of children, updates, resets, retries, cron schedules and new runs; see `planted.py`."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow import (
    child_outcomes,
    command_order,
    completion,
    machine,
    update_messages,
    updates,
)
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.lifecycle import (
    close,
    continue_as_new,
    next_run,
    reset,
)
from perdure.core.workflow.lifecycle.close import Terminate

Plant = Callable[[], Any]


def _not_reapplied(*kinds: EventType.ValueType) -> Any:
    """A reset does not take along what history has after the point of the reset, if it is of these kinds."""
    original = reset._reapply

    def reapply(step: Any, event: HistoryEvent, excluded: frozenset[int]) -> None:
        if event.event_type not in kinds:
            original(step, event, excluded)

    return patch.object(reset, "_reapply", reapply)


def _reset_forgets_signals() -> Any:
    return _not_reapplied(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)


def _reset_repeats_signals() -> Any:
    original = reset._signal_again

    def again(step: Any, event: HistoryEvent) -> None:
        step.state.signals.clear()
        original(step, event)
        step.state.signals.clear()

    return patch.object(reset, "_signal_again", again)


def _reset_run_goes_on() -> Any:
    """The run that is reset is not terminated."""
    original = machine.REQUESTS[Terminate]

    def terminate(step: Any, request: Any) -> Any:
        return None if request.identity == close.RESETTER else original(step, request)

    return patch.dict(machine.REQUESTS, {Terminate: terminate})


def _parent_is_not_named() -> Any:
    return patch("perdure.core.workflow.start_workflow.with_parent", lambda *arguments: None)


def _next_run_has_no_parent() -> Any:
    original = next_run.inherited

    def inherited(*arguments: Any) -> Any:
        new = original(*arguments)
        new.ClearField("parent_workflow_execution")
        return new

    return patch.object(next_run, "inherited", inherited)


def _next_run_is_a_first_run() -> Any:
    original = next_run.inherited

    def inherited(*arguments: Any) -> Any:
        new = original(*arguments)
        new.first_execution_run_id = new.original_execution_run_id
        return new

    return patch.object(next_run, "inherited", inherited)


def _childs_end_comes_twice() -> Any:
    def ended(state: Any, event: HistoryEvent) -> None:
        """It stays."""

    kinds = dict.fromkeys(child_outcomes.CLOSING_EVENTS, ended)
    return patch.dict(machine.APPLIERS, kinds)


def _update_is_not_completed() -> Any:
    def completed(state: Any, event: HistoryEvent) -> None:
        """It stays accepted."""

    kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
    return patch.dict(machine.APPLIERS, {kind: completed})


def _update_is_not_known_again() -> Any:
    def admit(step: Any, request: Any) -> Any:
        step.state.updates.pop(request.update_id, None)
        return updates.admit(step, request)

    return patch.dict(machine.REQUESTS, {updates.AdmitUpdate: admit})


def _update_is_answered_too_early() -> Any:
    """Its callers get an answer as soon as it is accepted, as if that were its end."""
    original = update_messages._accept

    def accept(step: Any, update_id: str, place: str, acceptance: Any, news: Any) -> None:
        original(step, update_id, place, acceptance, news)
        step.emit(AnswerUpdate(update_id, updates.COMPLETED, b""))

    return patch.object(update_messages, "_accept", accept)


def _no_retry() -> Any:
    return patch.object(close, "after_failure", lambda step, failure: (0, None))


def _schedule_ends_after_one_run() -> Any:
    return patch.object(close, "after_success", lambda step: None)


def _no_backoff() -> Any:
    """The next run by a schedule, or after a failure, begins at once."""
    return patch.object(next_run, "first_backoff_ns", lambda step, wanted_ns: 0)


def _signals_are_passed_over_by_the_end() -> Any:
    """A worker may end the run although there are events that it has not seen."""
    original = command_order.check_order

    def check(step: Any, *arguments: Any) -> None:
        step.state.buffered.clear()
        original(step, *arguments)

    return patch.object(completion, "check_order", check)


def _continues_with_the_same_input() -> Any:
    original = continue_as_new._new_started_attributes

    def new(step: Any, *arguments: Any, **others: Any) -> Any:
        made = original(step, *arguments, **others)
        before = type(made).FromString(step.state.started_attributes)
        made.input.CopyFrom(before.input)
        return made

    return patch.object(continue_as_new, "_new_started_attributes", new)


RULES: dict[str, Plant] = {
    "a reset forgets signals": _reset_forgets_signals,
    "a reset repeats signals": _reset_repeats_signals,
    "a run that is reset goes on": _reset_run_goes_on,
    "a child does not know its parent": _parent_is_not_named,
    "a child's next run does not know the parent": _next_run_has_no_parent,
    "the next run thinks that it is the first": _next_run_is_a_first_run,
    "a child's end is recorded twice": _childs_end_comes_twice,
    "an update that is completed stays open": _update_is_not_completed,
    "an update's id is not known again": _update_is_not_known_again,
    "an update is answered before its end": _update_is_answered_too_early,
    "a run is not tried again": _no_retry,
    "a cron schedule ends after one run": _schedule_ends_after_one_run,
    "the next run does not wait": _no_backoff,
    "the end of a run passes over buffered events": _signals_are_passed_over_by_the_end,
    "a run continues with the input of the one before": _continues_with_the_same_input,
}
