"""A workflow signals another one, or asks it to stop.

As with children, the request is an effect that is delivered until this run knows what came of it.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import Command
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    CancelExternalWorkflowExecutionFailedCause,
    CommandType,
    EventType,
    SignalExternalWorkflowExecutionFailedCause,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import (
    HistoryEvent,
    RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
    SignalExternalWorkflowExecutionInitiatedEventAttributes,
)

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Effect
from perdure.core.execution.request import Request
from perdure.core.workflow.effects import CancelExternal, SignalExternal
from perdure.core.workflow.events import attributes_of, new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.pending import PendingExternal
from perdure.core.workflow.reach import reached_namespace_id
from perdure.core.workflow.records import ExternalRequested
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled
from perdure.core.workflow.validation import check_size, is_uuid

_BAD_SIGNAL = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SIGNAL_WORKFLOW_EXECUTION_ATTRIBUTES
)
_BAD_CANCEL = WorkflowTaskFailedCause.Value(
    "WORKFLOW_TASK_FAILED_CAUSE_BAD_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_ATTRIBUTES"
)
_SIGNAL = "SignalExternalWorkflowExecutionCommand"
_CANCEL = "RequestCancelExternalWorkflowExecutionCommand"

_EXTERNAL_BYTES = 70

# What can be asked


@dataclass(frozen=True, slots=True)
class RecordExternalSignaled(Request[None]):
    initiated_event_id: int
    #: 0: it was delivered.
    cause: SignalExternalWorkflowExecutionFailedCause.ValueType


@dataclass(frozen=True, slots=True)
class RecordExternalCancelRequested(Request[None]):
    initiated_event_id: int
    #: 0: it was delivered.
    cause: CancelExternalWorkflowExecutionFailedCause.ValueType


def signaled(step: HistoryStep, request: RecordExternalSignaled) -> None:
    pending = step.state.external_workflows.get(request.initiated_event_id)
    if not step.state.is_open or pending is None:
        return
    wanted = SignalExternalWorkflowExecutionInitiatedEventAttributes.FromString(pending.attributes)
    if request.cause:
        event = new_event(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
        failed = event.signal_external_workflow_execution_failed_event_attributes
        failed.cause = request.cause
        failed.namespace, failed.namespace_id = _namespace(step, wanted), wanted.namespace_id
        failed.workflow_execution.CopyFrom(wanted.workflow_execution)
        failed.initiated_event_id = request.initiated_event_id
        failed.control = wanted.control
    else:
        event = new_event(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED)
        done = event.external_workflow_execution_signaled_event_attributes
        done.namespace, done.namespace_id = _namespace(step, wanted), wanted.namespace_id
        done.workflow_execution.CopyFrom(wanted.workflow_execution)
        done.initiated_event_id = request.initiated_event_id
        done.control = wanted.control
    step.record_or_buffer(event)
    ensure_scheduled(step)


def cancel_requested(step: HistoryStep, request: RecordExternalCancelRequested) -> None:
    pending = step.state.external_workflows.get(request.initiated_event_id)
    if not step.state.is_open or pending is None:
        return
    wanted = RequestCancelExternalWorkflowExecutionInitiatedEventAttributes.FromString(
        pending.attributes
    )
    if request.cause:
        event = new_event(EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED)
        failed = event.request_cancel_external_workflow_execution_failed_event_attributes
        failed.cause = request.cause
        failed.namespace, failed.namespace_id = _namespace(step, wanted), wanted.namespace_id
        failed.workflow_execution.CopyFrom(wanted.workflow_execution)
        failed.initiated_event_id = request.initiated_event_id
    else:
        event = new_event(EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
        done = event.external_workflow_execution_cancel_requested_event_attributes
        done.namespace, done.namespace_id = _namespace(step, wanted), wanted.namespace_id
        done.workflow_execution.CopyFrom(wanted.workflow_execution)
        done.initiated_event_id = request.initiated_event_id
    step.record_or_buffer(event)
    ensure_scheduled(step)


def _namespace(
    step: HistoryStep,
    wanted: SignalExternalWorkflowExecutionInitiatedEventAttributes
    | RequestCancelExternalWorkflowExecutionInitiatedEventAttributes,
) -> str:
    """Return the name of the namespace that was reached. A worker need not name its own."""
    is_own = wanted.namespace_id == step.state.namespace_id
    return step.state.namespace if is_own else wanted.namespace


# What a worker can command


def signal_external(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    if not command.HasField("signal_external_workflow_execution_command_attributes"):
        raise BadCommand(_BAD_SIGNAL, f"{_SIGNAL}Attributes is not set on {_SIGNAL}.")
    wanted = command.signal_external_workflow_execution_command_attributes
    if not wanted.HasField("execution"):
        raise BadCommand(_BAD_SIGNAL, f"Execution is not set on {_SIGNAL}.")
    target = wanted.execution
    namespace_id = reached_namespace_id(step, wanted.namespace, _BAD_SIGNAL)
    where = f"Namespace={wanted.namespace} RunId={target.run_id} SignalName={wanted.signal_name}"
    _check_target(step, target, _BAD_SIGNAL, _SIGNAL, where)
    if not wanted.signal_name:
        raise BadCommand(
            _BAD_SIGNAL,
            f"SignalName is not set on {_SIGNAL}. WorkflowId={target.workflow_id}"
            f" Namespace={wanted.namespace} RunId={target.run_id}",
        )
    check_size(
        step.environment.limits.blob_size,
        _BAD_SIGNAL,
        wanted.input,
        f"{_SIGNAL}Attributes.Input exceeds size limit.",
    )
    _check_count(step, "signals", step.environment.limits.max_pending_signals, is_signal=True)
    event = new_event(EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED)
    attributes = event.signal_external_workflow_execution_initiated_event_attributes
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.namespace = wanted.namespace
    attributes.namespace_id = namespace_id
    attributes.workflow_execution.CopyFrom(target)
    attributes.signal_name = wanted.signal_name
    attributes.control = wanted.control
    attributes.child_workflow_only = wanted.child_workflow_only
    for part in ("input", "header"):
        if wanted.HasField(part):
            getattr(attributes, part).CopyFrom(getattr(wanted, part))
    _initiate(step, event)


def cancel_external(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    if not command.HasField("request_cancel_external_workflow_execution_command_attributes"):
        raise BadCommand(_BAD_CANCEL, f"{_CANCEL}Attributes is not set on {_CANCEL}.")
    wanted = command.request_cancel_external_workflow_execution_command_attributes
    target = WorkflowExecution(workflow_id=wanted.workflow_id, run_id=wanted.run_id)
    namespace_id = reached_namespace_id(step, wanted.namespace, _BAD_CANCEL)
    where = f"Namespace={wanted.namespace} RunId={wanted.run_id}"
    _check_target(step, target, _BAD_CANCEL, _CANCEL, where)
    if any(
        child.workflow_id == wanted.workflow_id and child.initiated_event_id > completed_event_id
        for child in step.state.children.values()
    ):
        raise BadCommand(
            _BAD_CANCEL,
            "Start and RequestCancel for child workflow is not allowed in same workflow task."
            f" WorkflowId={wanted.workflow_id} RunId={wanted.run_id} Namespace={wanted.namespace}",
        )
    _check_count(step, "cancels", step.environment.limits.max_pending_cancels, is_signal=False)
    event = new_event(EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED)
    attributes = event.request_cancel_external_workflow_execution_initiated_event_attributes
    attributes.workflow_task_completed_event_id = completed_event_id
    attributes.namespace = wanted.namespace
    attributes.namespace_id = namespace_id
    attributes.workflow_execution.CopyFrom(target)
    attributes.control = wanted.control
    attributes.child_workflow_only = wanted.child_workflow_only
    attributes.reason = wanted.reason
    _initiate(step, event)


def _check_target(
    step: HistoryStep,
    target: WorkflowExecution,
    cause: WorkflowTaskFailedCause.ValueType,
    command: str,
    where: str,
) -> None:
    if not target.workflow_id:
        raise BadCommand(cause, f"WorkflowId is not set on {command}. {where}")
    length = len(target.workflow_id.encode())
    limit = step.environment.limits.max_id_length
    if length > limit:
        raise BadCommand(
            cause,
            f"WorkflowId on {command} exceeds length limit. WorkflowId={target.workflow_id}"
            f" Length={length} Limit={limit} {where}",
        )
    if target.run_id and not is_uuid(target.run_id):
        if cause == _BAD_CANCEL:
            # Temporal: here in another order.
            where = " ".join(reversed(where.split(" ")))
        raise BadCommand(
            cause, f"Invalid RunId set on {command}. WorkflowId={target.workflow_id} {where}"
        )


def _check_count(step: HistoryStep, what: str, limit: int, *, is_signal: bool) -> None:
    count = sum(each.is_signal == is_signal for each in step.state.external_workflows.values())
    if not 0 < limit <= count:
        return
    causes = WorkflowTaskFailedCause
    if is_signal:
        cause = causes.WORKFLOW_TASK_FAILED_CAUSE_PENDING_SIGNALS_LIMIT_EXCEEDED
        noun = "signals to external workflows"
    else:
        cause = causes.WORKFLOW_TASK_FAILED_CAUSE_PENDING_REQUEST_CANCEL_LIMIT_EXCEEDED
        noun = "requests to cancel external workflows"
    raise BadCommand(
        cause,
        f"the number of pending {noun}, {count}, has reached the per-workflow limit of {limit}",
    )


def _initiate(step: HistoryStep, event: HistoryEvent) -> None:
    step.record(event)
    step.record_internal(ExternalRequested(event.event_id, step.environment.fresh_id()))
    step.emit(_effect(step.state.external_workflows[event.event_id]))


# How records change the state


def signal_initiated(state: RunState, event: HistoryEvent) -> None:
    attributes = event.signal_external_workflow_execution_initiated_event_attributes
    state.external_workflows[event.event_id] = PendingExternal(
        event.event_id, attributes.SerializeToString(deterministic=True), is_signal=True
    )


def cancel_initiated(state: RunState, event: HistoryEvent) -> None:
    attributes = event.request_cancel_external_workflow_execution_initiated_event_attributes
    state.external_workflows[event.event_id] = PendingExternal(
        event.event_id, attributes.SerializeToString(deterministic=True), is_signal=False
    )


def requested(state: RunState, record: ExternalRequested) -> None:
    state.external_workflows[record.initiated_event_id].request_id = record.request_id


_RESULTS = (
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_SIGNALED,
    EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED,
)


def answered(state: RunState, event: HistoryEvent) -> None:
    del state.external_workflows[attributes_of(event).initiated_event_id]


# What must hold


def check(run: Run) -> None:
    state = run.state
    assert state.is_open or not state.external_workflows
    assert all(pending.request_id for pending in state.external_workflows.values())


def pending_effects(run: Run, now_ns: int) -> list[Effect]:
    return [_effect(pending) for pending in run.state.external_workflows.values()]


def size(run: Run) -> int:
    return _EXTERNAL_BYTES * len(run.state.external_workflows)


def _effect(pending: PendingExternal) -> SignalExternal | CancelExternal:
    make = SignalExternal if pending.is_signal else CancelExternal
    return make(pending.initiated_event_id, pending.request_id, pending.attributes)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "external workflows",
    check=check,
    requests={
        RecordExternalSignaled: signaled,
        RecordExternalCancelRequested: cancel_requested,
    },
    commands={
        CommandType.COMMAND_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION: signal_external,
        CommandType.COMMAND_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION: cancel_external,
    },
    appliers={
        EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: signal_initiated,
        EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: cancel_initiated,
        **dict.fromkeys(_RESULTS, answered),
        ExternalRequested: requested,
    },
    effects=(SignalExternal, CancelExternal),
    pending_effects=pending_effects,
    size=size,
)
