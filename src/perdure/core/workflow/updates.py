"""A client asks the workflow to change something, and learns what came of it.

An update is admitted in memory only: until the worker accepts it there is no trace of it, and a crash loses it; its
caller asks again. A rejected one never leaves a trace. Acceptance and outcome are events.

An update that finds no workflow task gets a speculative one (see `workflow_task`), so that a rejection costs nothing.
"""

from dataclasses import dataclass

from temporalio.api.common.v1 import Callback
from temporalio.api.enums.v1 import (
    EventType,
    ResourceExhaustedCause,
    ResourceExhaustedScope,
    UpdateWorkflowExecutionLifecycleStage,
)
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure, WorkflowNotReadyFailure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome
from temporalio.api.update.v1 import Request as UpdateRequest

from perdure.core.errors import Code, Rejected, closing
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import timestamp_ns
from perdure.core.workflow import callbacks, update_callbacks
from perdure.core.workflow.effects import AnswerUpdate
from perdure.core.workflow.failures import UNFINISHED_UPDATE
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.close import check_first_run
from perdure.core.workflow.lifecycle.start import ids_size
from perdure.core.workflow.records import UpdateDropped
from perdure.core.workflow.state import AcceptedUpdate, AdmittedUpdate, RequestIdInfo, Run, RunState
from perdure.core.workflow.tasks.schedule import schedule_speculative

Stage = UpdateWorkflowExecutionLifecycleStage
ADMITTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ADMITTED
ACCEPTED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
COMPLETED = Stage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED

#: Temporal: a workflow whose task keeps failing cannot answer; waiting would only time out.
_FAIL_FAST_ATTEMPT = 3

# What can be asked


@dataclass(frozen=True, slots=True)
class UpdateStatus:
    """Reply: how far the update has come."""

    stage: int
    #: The id of the completed event, whose outcome it is; 0 if there is none.
    completed_event_id: int = 0
    #: Serialized `Outcome` where it is not in an event.
    outcome: bytes = b""


@dataclass(frozen=True, slots=True)
class AdmitUpdate(Request[UpdateStatus]):
    update_id: str
    #: Serialized `temporal.api.update.v1.Request`.
    request: bytes
    first_execution_run_id: str = ""
    request_id: str = ""
    #: Others that want to know what comes of it.
    callbacks: tuple[Callback, ...] = ()


def admit(step: HistoryStep, request: AdmitUpdate) -> UpdateStatus:
    state, in_flight = step.state, step.in_flight
    check_first_run(state, request.first_execution_run_id)
    known = status(step.run, request.update_id)
    if known is not None and not state.is_open:
        return known
    step.check_open()
    if state.is_paused:
        raise Rejected(Code.FAILED_PRECONDITION, "Workflow is paused. Cannot update the workflow.")
    if state.workflow_task_attempt >= _FAIL_FAST_ATTEMPT:
        raise Rejected(
            Code.FAILED_PRECONDITION,
            "Unable to perform workflow execution update due to Workflow Task in failed state.",
            WorkflowNotReadyFailure(),
        )
    if in_flight.close_attempted and in_flight.started is not None:
        raise closing()
    if known is not None:
        if known.stage != COMPLETED:  # A completed one answers the caller at once.
            update_callbacks.attach(step, request.update_id, request.request_id, request.callbacks)
        return known
    _check_limits(step, len(request.request))
    update_callbacks.check_room(step, request.update_id, len(request.callbacks))
    in_flight.updates[request.update_id] = AdmittedUpdate(
        request.request, request.request_id, len(request.callbacks)
    )
    if step.run.pending_task is None:
        schedule_speculative(step)
    return UpdateStatus(ADMITTED)


def _check_limits(step: HistoryStep, size: int) -> None:
    state, limits = step.state, step.environment.limits
    accepted = sum(not update.completed_event_id for update in state.updates.values())
    if 0 < limits.max_in_flight_updates <= len(step.in_flight.updates) + accepted:
        raise _exhausted(
            "limit on number of concurrent in-flight updates has been reached"
            f" ({limits.max_in_flight_updates})"
        )
    bytes_in_flight = sum(len(update.request) for update in step.in_flight.updates.values())
    if 0 < limits.max_in_flight_update_payloads <= bytes_in_flight + size:
        raise _exhausted(
            "limit on total payload size of in-flight updates has been reached"
            f" ({limits.max_in_flight_update_payloads} bytes)"
        )
    if 0 < limits.max_total_updates <= len(step.in_flight.updates) + len(state.updates):
        raise Rejected(
            Code.FAILED_PRECONDITION,
            "The limit on the total number of distinct updates in this workflow has been reached"
            f" ({limits.max_total_updates}). Make sure any duplicate updates share an Update ID so the"
            " server can deduplicate them, and consider rejecting updates that you aren't going to"
            " process. You can also Continue-as-New to avoid this; we recommend you check"
            " Continue-as-New Suggested in your Workflow.",
        )


def _exhausted(message: str) -> Rejected:
    return Rejected(
        Code.RESOURCE_EXHAUSTED,
        message,
        ResourceExhaustedFailure(
            cause=ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_CONCURRENT_LIMIT,
            scope=ResourceExhaustedScope.RESOURCE_EXHAUSTED_SCOPE_NAMESPACE,
        ),
    )


# What other concepts use


def status(run: Run, update_id: str) -> UpdateStatus | None:
    """Return how far an update has come; None if it is not known, or was rejected."""
    accepted = run.state.updates.get(update_id)
    if accepted is not None:
        if accepted.completed_event_id:
            return UpdateStatus(COMPLETED, accepted.completed_event_id)
        if not run.state.is_open:
            return UpdateStatus(COMPLETED, outcome=_UNFINISHED)
        return UpdateStatus(ACCEPTED)
    is_admitted = update_id in run.in_flight.updates or update_id in run.state.admitted_updates
    return UpdateStatus(ADMITTED) if is_admitted else None


def on_close(step: HistoryStep) -> None:
    """The run has closed."""
    continues = bool(step.state.new_run_id)
    for update_id in (*step.in_flight.updates, *step.state.admitted_updates):
        refusal = (
            closing()
            if continues
            else Rejected(Code.NOT_FOUND, "workflow update was aborted by closing workflow")
        )
        step.emit(AnswerUpdate(update_id, ADMITTED, b"", refusal))
    step.in_flight.updates.clear()
    for update_id, update in step.state.updates.items():
        if not update.completed_event_id:
            step.emit(AnswerUpdate(update_id, COMPLETED, _UNFINISHED))


_UNFINISHED = Outcome(failure=UNFINISHED_UPDATE).SerializeToString(deterministic=True)

# How records change the state


def admitted(state: RunState, event: HistoryEvent) -> None:
    request = event.workflow_execution_update_admitted_event_attributes.request
    update_id = request.meta.update_id
    state.admitted_updates[update_id] = request.SerializeToString(deterministic=True)
    _register(state, event, update_id, request)


def _register(state: RunState, event: HistoryEvent, update_id: str, request: UpdateRequest) -> None:
    """Keep the id of the request for an update, and the callbacks that wait for the outcome."""
    request_id = request.request_id
    if not request_id:
        return
    state.request_ids[request_id] = RequestIdInfo(event.event_type, event.event_id)
    if any(
        (each.update_id, each.request_id) == (update_id, request_id) for each in state.callbacks
    ):
        return
    state.callbacks += callbacks.attached(
        request.completion_callbacks,
        request.request_id,
        timestamp_ns(event.event_time),
        update_id,
    )


def dropped(state: RunState, record: UpdateDropped) -> None:
    del state.admitted_updates[record.update_id]
    callbacks.end_update(state, record.update_id, record.outcome)


def accepted(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_update_accepted_event_attributes
    state.updates[attributes.protocol_instance_id] = AcceptedUpdate(event.event_id)
    state.admitted_updates.pop(attributes.protocol_instance_id, None)
    _register(state, event, attributes.protocol_instance_id, attributes.accepted_request)


def completed(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_update_completed_event_attributes
    update_id = attributes.meta.update_id
    before = state.updates[update_id]
    state.updates[update_id] = AcceptedUpdate(before.accepted_event_id, event.event_id)
    callbacks.end_update(
        state,
        update_id,
        attributes.outcome.SerializeToString(deterministic=True),
        timestamp_ns(event.event_time),
    )


# What must hold


def check(run: Run) -> None:
    state, in_flight = run.state, run.in_flight
    assert not in_flight.updates.keys() & state.updates.keys()
    assert not state.admitted_updates.keys() & (in_flight.updates.keys() | state.updates.keys())
    if in_flight.updates:
        assert state.is_open
        # A pause takes a task back that no worker has: what it was for waits with the run.
        assert run.pending_task is not None or state.is_paused
    for update in state.updates.values():
        assert 0 < update.accepted_event_id < state.next_event_id
        assert update.completed_event_id < state.next_event_id


def size(run: Run) -> int:
    return ids_size(run.state.updates) + ids_size(run.state.admitted_updates)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "updates",
    check=check,
    size=size,
    requests={AdmitUpdate: admit},
    appliers={
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ADMITTED: admitted,
        UpdateDropped: dropped,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: accepted,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED: completed,
    },
    on_close=on_close,
)
