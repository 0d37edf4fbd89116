"""A run is taken back to one of its workflow tasks: a new run has its history up to there, and goes on from it.

The base run learns its successor. The current run, often the same, is terminated to make room. All that
clients sent to the base run since then, and to the runs that it went on as, can be applied to the new run again.
"""

from dataclasses import dataclass
from enum import IntEnum

from temporalio.api.enums.v1 import (
    EventType,
    ResetReapplyExcludeType,
    UpdateAdmittedEventOrigin,
    WorkflowTaskFailedCause,
)
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow import child_outcomes, options_update
from perdure.core.workflow.events import HISTORY_SERVICE, attributes_of, new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.known_requests import KNOWN_MAX
from perdure.core.workflow.lifecycle.reset_prefix import CHILD_STARTED, OF_CHILDREN
from perdure.core.workflow.records import (
    ExternalRequested,
    Identified,
    Parted,
    Rebuilt,
    RequestAttached,
    WasReset,
)
from perdure.core.workflow.signals import Signal, record_signal
from perdure.core.workflow.state import RequestIdInfo, Run, RunState
from perdure.core.workflow.tasks.schedule import schedule

#: Temporal: the request id of a task that the reset itself has begun.
NO_POLL = "emptyUuid"
_STARTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED
_TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED

# What can be asked


class RebuildUntil(IntEnum):
    """How far a step takes a new run. A long history takes many steps, which are one transition in the journal."""

    #: `prefix` is taken over, and there is more of it.
    PREFIX = 1
    #: The whole prefix is taken over and `since` is reapplied, and there may be more of that.
    SINCE = 2
    END = 3


@dataclass(frozen=True, slots=True)
class Rebuild(Request[None]):
    """Begin a run as another one was before `prefix` went on, or go on with that. To be checked by `Prefix`."""

    namespace_id: str
    namespace: str
    workflow_id: str
    run_id: str
    base_run_id: str
    #: The run that the base run itself was a reset of, and so on.
    earlier_run_ids: tuple[str, ...]
    #: The shared events that earlier steps have not taken over.
    prefix: tuple[HistoryEvent, ...]
    #: The events afterwards that earlier steps have not reapplied, oldest first. Those alone count that `is_reapplied`.
    since: tuple[HistoryEvent, ...]
    excluded: frozenset[int]
    #: That the base run was started by.
    start_request_id: str
    request_id: str
    reason: str
    #: `last_task_id` of the current run.
    after_task_id: int = 0
    #: The options that are changed in the end.
    operations: tuple[options_update.UpdateOptions, ...] = ()
    until: RebuildUntil = RebuildUntil.END
    #: The last event of `prefix`'s kind, and the size of all, in what earlier steps have taken over.
    last_started_event_id: int = 0
    taken_over_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NoteReset(Request[None]):
    """Asked of the base run: it goes on as `run_id`."""

    run_id: str
    request_id: str = ""


def rebuild(step: HistoryStep, request: Rebuild) -> None:
    if not step.state.exists:
        step.record_internal(
            Identified(request.namespace_id, request.namespace, request.workflow_id, request.run_id)
        )
    for event in request.prefix:
        step.record(event)
    if request.until is not RebuildUntil.PREFIX:
        # Steps before this one may have come so far.
        if request.base_run_id not in step.state.base_run_ids:
            _part_from_original(step, request)
        for event in request.since:
            _reapply(step, event, request.excluded)
    if request.until is not RebuildUntil.END:
        step.record_internal(Parted())
        return
    for operation in request.operations:
        options_update.update(step, operation)
    schedule(step)


def _part_from_original(step: HistoryStep, request: Rebuild) -> None:
    """Make the run another one than its base, at the end of what they share."""
    step.begin_task_ids_after(request.after_task_id)
    base_run_ids = (*request.earlier_run_ids, request.base_run_id)
    step.record_internal(Rebuilt(base_run_ids, step.now_ns, request.request_id))
    if request.start_request_id:
        step.record_internal(RequestAttached(request.start_request_id, RequestIdInfo(_STARTED, 1)))
    for initiated_event_id in step.state.external_workflows:
        step.record_internal(ExternalRequested(initiated_event_id, step.environment.fresh_id()))
    _fail_task(step, request)


def note_reset(step: HistoryStep, request: NoteReset) -> None:
    step.record_internal(WasReset(request.run_id, request.request_id), with_end=True)


# What other concepts use


def is_reapplied(event: HistoryEvent) -> bool:
    """Whether an event may be applied to the new run again, if nothing excludes it."""
    return event.event_type in _REAPPLIED


def _fail_task(step: HistoryStep, request: Rebuild) -> None:
    """End the workflow task that the history stops at."""
    task = step.state.workflow_task
    assert task is not None
    last_started = next(
        (event for event in reversed(request.prefix) if event.event_type == _TASK_STARTED), None
    )
    started_event_id = (
        last_started.event_id if last_started is not None else request.last_started_event_id
    )
    if started_event_id < task.scheduled_event_id:
        started_event_id = _record_started(step, task.scheduled_event_id, request.taken_over_bytes)
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    attributes = event.workflow_task_failed_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    attributes.started_event_id = started_event_id
    attributes.cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW
    attributes.failure.CopyFrom(_failure(request.reason))
    attributes.identity = HISTORY_SERVICE
    attributes.base_run_id = request.base_run_id
    attributes.new_run_id = request.run_id
    step.record(event)


def _record_started(step: HistoryStep, scheduled_event_id: int, taken_over_bytes: int) -> int:
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    attributes = event.workflow_task_started_event_attributes
    attributes.scheduled_event_id = scheduled_event_id
    attributes.identity = HISTORY_SERVICE
    attributes.request_id = NO_POLL
    attributes.history_size_bytes = taken_over_bytes + sum(
        map(HistoryEvent.ByteSize, step.own_events)
    )
    return step.record(event).event_id


def _failure(reason: str) -> Failure:
    failure = Failure(message=reason)
    failure.reset_workflow_failure_info.SetInParent()
    return failure


def _reapply(step: HistoryStep, event: HistoryEvent, excluded: frozenset[int]) -> None:
    kinds = ResetReapplyExcludeType
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            if kinds.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL not in excluded:
                _signal_again(step, event)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED:
            if kinds.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE not in excluded:
                admitted = event.workflow_execution_update_admitted_event_attributes
                _admit_again(
                    step, admitted.request.SerializeToString(deterministic=True), admitted.origin
                )
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            accepted = event.workflow_execution_update_accepted_event_attributes
            # Without a request it was admitted by an event of its own, which comes before.
            is_wanted = kinds.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE not in excluded
            if is_wanted and accepted.HasField("accepted_request"):
                origin = UpdateAdmittedEventOrigin.UPDATE_ADMITTED_EVENT_ORIGIN_REAPPLY
                _admit_again(
                    step, accepted.accepted_request.SerializeToString(deterministic=True), origin
                )
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED:
            options_updated = event.workflow_execution_options_updated_event_attributes
            # Two runs of the chain may have answered one request.
            is_known = options_updated.attached_request_id in step.state.request_ids
            of_updates = options_updated.workflow_update_options
            is_left_out = of_updates and (
                kinds.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE in excluded
                or any(each.attached_request_id in step.state.request_ids for each in of_updates)
            )
            if not is_left_out and not (is_known and options_updated.attached_completion_callbacks):
                _copy(step, event)
        case kind if kind in OF_CHILDREN:
            child = step.state.children.get(attributes_of(event).initiated_event_id)
            is_start = kind == CHILD_STARTED
            if child is not None and not (is_start and child.run_id):
                _copy(step, event)


_REAPPLIED = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        *OF_CHILDREN,
    }
)


def _signal_again(step: HistoryStep, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_signaled_event_attributes
    if attributes.request_id and attributes.request_id in step.state.signals:
        return  # It reached more than one run of the chain: a client's retry.
    record_signal(
        step,
        Signal(
            name=attributes.signal_name,
            input=attributes.input if attributes.HasField("input") else None,
            identity=attributes.identity,
            request_id=attributes.request_id,
            header=attributes.header if attributes.HasField("header") else None,
            links=tuple(event.links),
        ),
    )


def _admit_again(
    step: HistoryStep, request: bytes, origin: UpdateAdmittedEventOrigin.ValueType
) -> None:
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED)
    attributes = event.workflow_execution_update_admitted_event_attributes
    attributes.request.MergeFromString(request)
    attributes.origin = origin
    step.record(event)


def _copy(step: HistoryStep, event: HistoryEvent) -> None:
    copy = HistoryEvent()
    copy.CopyFrom(event)
    copy.ClearField("event_id")
    copy.ClearField("event_time")
    copy.ClearField("task_id")
    if copy.event_type in child_outcomes.CLOSING_EVENTS:
        attributes = attributes_of(copy)
        child = step.state.children[attributes.initiated_event_id]
        attributes.started_event_id = child.started_event_id
    step.record(copy)


# How records change the state


def rebuilt(state: RunState, record: Rebuilt) -> None:
    """Temporal: the run has all of its time again, and what waits for a worker waits from now on."""
    state.base_run_ids = list(record.base_run_ids)
    state.reset_request_id = record.request_id
    state.reset_at_ns = record.at_ns
    for callback in state.callbacks:
        # The base run tells of what came of it before, also to who was attached while the worker completed the update.
        update = state.updates.get(callback.update_id)
        callback.is_done = update is not None and update.completed_event_id > 0
    backoff_ns = state.execution_time_ns - state.start_time_ns
    state.original_start_time_ns = state.original_start_time_ns or state.start_time_ns
    state.start_time_ns = record.at_ns
    state.execution_time_ns = record.at_ns + backoff_ns
    if state.execution_timeout_ns:
        state.execution_expiration_ns = record.at_ns + state.execution_timeout_ns
    if state.run_timeout_ns:
        state.run_expiration_ns = state.execution_time_ns + state.run_timeout_ns
        if state.execution_expiration_ns:
            state.run_expiration_ns = min(state.run_expiration_ns, state.execution_expiration_ns)
    for child in state.children.values():
        child.to_be_asked = bool(child.run_id)
    for activity in state.activities.values():
        activity.first_scheduled_at_ns = activity.scheduled_at_ns = record.at_ns


def was_reset(state: RunState, record: WasReset) -> None:
    state.reset_run_id = record.run_id
    if record.request_id:
        state.resets[record.request_id] = record.run_id
        while len(state.resets) > KNOWN_MAX:
            del state.resets[next(iter(state.resets))]


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert bool(state.reset_at_ns) == bool(state.base_run_ids)
    assert state.run_id not in (state.reset_run_id, *state.base_run_ids) or not state.exists


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "reset",
    check=check,
    requests={Rebuild: rebuild, NoteReset: note_reset},
    appliers={Rebuilt: rebuilt, WasReset: was_reset},
)
