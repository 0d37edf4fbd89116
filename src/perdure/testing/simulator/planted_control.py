"""Bugs on purpose in what workflows do to each other and operators to them; see `planted.py`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.workflow import concepts, external_workflows, machine
from perdure.core.workflow.activities import attempts, control
from perdure.core.workflow.activities.attempts import StartActivity
from perdure.core.workflow.activities.control import PauseActivities
from perdure.core.workflow.activities.option_changes import ChangeActivities
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle import pause
from perdure.core.workflow.records import ActivityChanged, ActivityUnpaused
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.state import RunState
from perdure.core.workflow.tasks import schedule
from perdure.core.workflow.tasks.start import StartWorkflowTask
from perdure.core.workflow.tasks.timers import dispatch_of

Plant = Callable[[], Any]

# Signals and requests to stop


def _signal_of_another_is_new_each_time() -> Any:
    """The receiver does not know the signal again that a workflow sends once more after a crash."""
    original = machine.REQUESTS[Signal]

    def signal(step: Any, request: Signal) -> Any:
        if request.sender is not None:
            step.state.signals.pop(request.request_id, None)
        return original(step, request)

    return patch.dict(machine.REQUESTS, {Signal: signal})


def _signal_of_another_is_not_pending() -> Any:
    """After a restart nobody sends what a run has not been answered."""
    name = external_workflows.CONCEPT.name
    return patch.dict(concepts.RULES.pending_effects_of, {name: lambda run, now_ns: []})


def _sender_is_answered_too_early() -> Any:
    """It hears that the signal has arrived, and nobody sends it."""
    original = machine.REQUESTS[Signal]

    def signal(step: Any, request: Signal) -> Any:
        return original(step, request) if request.sender is None else None

    return patch.dict(machine.REQUESTS, {Signal: signal})


def _answer_comes_twice() -> Any:
    """The sender does not remember that it was answered."""

    def answered(state: Any, event: HistoryEvent) -> None:
        """It stays."""

    kinds = (
        EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    )
    return patch.dict(machine.APPLIERS, dict.fromkeys(kinds, answered))


def _request_of_another_is_ignored() -> Any:
    original = machine.REQUESTS[RequestCancel]

    def request_cancel(step: Any, request: RequestCancel) -> Any:
        return original(step, request) if request.sender is None else None

    return patch.dict(machine.REQUESTS, {RequestCancel: request_cancel})


# Pauses, resets and options


def _paused_activity_is_started() -> Any:
    """Neither the end of its retry's wait nor a poll sees that it is paused."""

    @contextmanager
    def not_seen(step: HistoryStep, scheduled_event_id: int) -> Iterator[None]:
        activity = step.state.activities.get(scheduled_event_id)
        if activity is None:
            yield
            return
        at_ns, activity.paused_at_ns = activity.paused_at_ns, 0
        try:
            yield
        finally:
            activity.paused_at_ns = at_ns

    def start(step: HistoryStep, request: StartActivity) -> Any:
        with not_seen(step, request.scheduled_event_id):
            return attempts.start(step, request)

    def retry_due(step: HistoryStep, timer: Timer) -> None:
        with not_seen(step, timer.event_id):
            attempts.retry_due(step, timer)

    return several(
        patch.dict(machine.REQUESTS, {StartActivity: start}),
        patch.dict(machine.TIMERS, {TimerKind.ACTIVITY_RETRY: retry_due}),
    )


def _activity_stays_paused() -> Any:
    return patch.dict(machine.APPLIERS, {ActivityUnpaused: lambda state, record: None})


def _activity_that_goes_on_is_not_offered() -> Any:
    return patch.object(control, "offer", lambda step, activity: None)


def _attempt_that_goes_on_has_no_timeout() -> Any:
    """As a server did here once: the timers that were asked for were of the attempt before."""
    return patch.object(control, "rely_on_timeouts", lambda step, activity: None)


def not_persisted(kind: type) -> Any:
    original = machine.transition

    def transition(run: Any, request: Any, **others: Any) -> Any:
        outcome = original(run, request, **others)
        if isinstance(request, kind):
            outcome.events = outcome.internal = b""
        return outcome

    return patch("perdure.core.workflow.machine.transition", transition)


def _pause_of_an_activity_is_not_persisted() -> Any:
    return not_persisted(PauseActivities)


def _options_are_not_persisted() -> Any:
    return not_persisted(ChangeActivities)


def _options_are_not_changed() -> Any:
    return patch.dict(machine.APPLIERS, {ActivityChanged: lambda state, record: None})


@contextmanager
def _as_if_running(state: RunState) -> Iterator[None]:
    status = state.status
    if state.is_paused:
        state.status = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    try:
        yield
    finally:
        state.status = status


def _starts_what_is_paused(kind: type) -> Any:
    original = machine.REQUESTS[kind]

    def start(step: HistoryStep, request: Any) -> Any:
        with _as_if_running(step.state):
            return original(step, request)

    return patch.dict(machine.REQUESTS, {kind: start})


def _activities_of_a_paused_run_are_started() -> Any:
    original = machine.TIMERS[TimerKind.ACTIVITY_RETRY]

    def retry_due(step: HistoryStep, timer: Timer) -> None:
        with _as_if_running(step.state):
            original(step, timer)

    return several(
        patch.dict(machine.TIMERS, {TimerKind.ACTIVITY_RETRY: retry_due}),
        patch.object(pause, "_invalidate_activities", lambda state: None),
        _starts_what_is_paused(StartActivity),
    )


def _task_of_a_paused_run_comes_again_after_a_crash() -> Any:
    """As a server did here once: nobody holds the task any more that a worker had at the time of the pause."""

    def pending_effects(run: Any, now_ns: int) -> list[Any]:
        task = run.pending_task
        is_held = task is None or run.in_flight.started is not None
        return [] if is_held else [dispatch_of(run.state, task)]

    return several(
        patch.dict(concepts.RULES.pending_effects_of, {schedule.CONCEPT.name: pending_effects}),
        _starts_what_is_paused(StartWorkflowTask),
    )


#: An activity that there is not.
_NOTHING = DispatchActivityTask("programs", 1, 1)


def _run_goes_on_without_its_activities() -> Any:
    return patch.object(pause, "dispatch", lambda state, activity: _NOTHING)


@contextmanager
def several(*patches: Any) -> Iterator[None]:
    """Plant all of these together."""
    with ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


CONTROL: dict[str, Plant] = {
    "what a run has sent is not sent again after a restart": _signal_of_another_is_not_pending,
    "a sender hears of a signal that nobody has got": _sender_is_answered_too_early,
    "a sender's answer is not remembered": _answer_comes_twice,
    "another workflow's request to stop is ignored": _request_of_another_is_ignored,
    "a paused activity is started": _paused_activity_is_started,
    "an activity stays paused": _activity_stays_paused,
    "an activity that goes on is not offered": _activity_that_goes_on_is_not_offered,
    "an attempt that goes on has no timeout": _attempt_that_goes_on_has_no_timeout,
    "the pause of an activity is not persisted": _pause_of_an_activity_is_not_persisted,
    "changed options are not persisted": _options_are_not_persisted,
    "options are not changed": _options_are_not_changed,
    "activities of a paused run are started": _activities_of_a_paused_run_are_started,
    "a paused run's task comes again after a crash": (
        _task_of_a_paused_run_comes_again_after_a_crash
    ),
}

#: A restart makes up for the one; a signal is rarely sent twice.
RARELY_NOTICED: dict[str, Plant] = {
    "a signal of another workflow is new each time": _signal_of_another_is_new_each_time,
    "a run goes on without its activities": _run_goes_on_without_its_activities,
}
