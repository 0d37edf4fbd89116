"""A workflow starts another one, learns how it ends, and decides what its own end means for it.

Parent and child are two runs, maybe on two nodes: what one must tell the other is an effect that is delivered until it
is acknowledged. A request carries the id of the initiating event, so that what comes twice is recognised.
"""

from dataclasses import dataclass

from temporalio.api.command.v1 import Command, StartChildWorkflowExecutionCommandAttributes
from temporalio.api.enums.v1 import (
    CommandType,
    EventType,
    StartChildWorkflowExecutionFailedCause,
)
from temporalio.api.history.v1 import (
    HistoryEvent,
    StartChildWorkflowExecutionInitiatedEventAttributes,
)

from perdure.core.execution.concept import Concept
from perdure.core.execution.outcome import Effect
from perdure.core.execution.request import Request
from perdure.core.search_attributes import with_types
from perdure.core.workflow.child_options import (
    CAUSE,
    COMMAND,
    check_command,
    initiated_attributes,
)
from perdure.core.workflow.child_outcomes import CLOSING_EVENTS, closed_event
from perdure.core.workflow.effects import (
    AskChild,
    ReleaseChild,
    StartChild,
    TellParent,
)
from perdure.core.workflow.events import attributes_of, new_event
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.pending import PendingChild
from perdure.core.workflow.records import ChildOpen, ChildReleased, ParentNotified
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled

_CHILD_BYTES = 120

# What can be asked


@dataclass(frozen=True, slots=True)
class RecordChildStarted(Request[None]):
    initiated_event_id: int
    run_id: str


@dataclass(frozen=True, slots=True)
class RecordChildNotStarted(Request[None]):
    initiated_event_id: int
    cause: StartChildWorkflowExecutionFailedCause.ValueType


@dataclass(frozen=True, slots=True)
class RecordChildClosed(Request[str]):
    """`event` is the child's last one."""

    initiated_event_id: int
    workflow_id: str
    run_id: str
    first_run_id: str
    event: HistoryEvent


@dataclass(frozen=True, slots=True)
class AcknowledgeChildOpen(Request[None]):
    """The child that was asked after has not closed, or is gone."""

    initiated_event_id: int


@dataclass(frozen=True, slots=True)
class AcknowledgeParentNotified(Request[None]):
    """The parent knows that this run has closed, or is gone."""


@dataclass(frozen=True, slots=True)
class AcknowledgeChildReleased(Request[None]):
    """The child of this closed run has got what the parent-close policy means for it, or is gone."""

    initiated_event_id: int


def child_started(step: HistoryStep, request: RecordChildStarted) -> None:
    child = step.state.children.get(request.initiated_event_id)
    if not step.state.is_open or child is None or child.run_id:
        return
    _record_started(step, child, request.run_id)
    if child.to_be_asked:
        step.emit(_ask(child))
    ensure_scheduled(step)


def child_open(step: HistoryStep, request: AcknowledgeChildOpen) -> None:
    child = step.state.children.get(request.initiated_event_id)
    if child is not None and child.to_be_asked:
        step.record_internal(ChildOpen(request.initiated_event_id))


def child_not_started(step: HistoryStep, request: RecordChildNotStarted) -> None:
    child = step.state.children.get(request.initiated_event_id)
    if not step.state.is_open or child is None or child.run_id:
        return
    initiated = StartChildWorkflowExecutionInitiatedEventAttributes.FromString(child.attributes)
    event = new_event(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED)
    attributes = event.start_child_workflow_execution_failed_event_attributes
    attributes.namespace = initiated.namespace
    attributes.namespace_id = initiated.namespace_id
    attributes.workflow_id = child.workflow_id
    attributes.workflow_type.name = child.workflow_type
    attributes.cause = request.cause
    attributes.control = initiated.control
    attributes.initiated_event_id = child.initiated_event_id
    step.record_or_buffer(event)
    ensure_scheduled(step)


def child_closed(step: HistoryStep, request: RecordChildClosed) -> str:
    """Nothing happens if the parent does not wait for this child any more.

    Reply with the run that is to be asked instead, if the parent has gone on as that one since it was reset.
    """
    child = step.state.children.get(request.initiated_event_id)
    if not step.state.is_open:
        return step.state.reset_run_id
    if child is None or child.workflow_id != request.workflow_id:
        return ""
    if child.run_id and child.run_id != request.first_run_id:
        return ""
    if not child.run_id:
        # The child was faster than the news that it had started.
        _record_started(step, child, request.first_run_id)
    event = closed_event(request.event)
    attributes = attributes_of(event)
    attributes.namespace = child.namespace or step.state.namespace
    attributes.namespace_id = child.namespace_id or step.state.namespace_id
    attributes.workflow_execution.workflow_id = request.workflow_id
    attributes.workflow_execution.run_id = request.run_id
    attributes.workflow_type.name = child.workflow_type
    attributes.initiated_event_id = child.initiated_event_id
    attributes.started_event_id = child.started_event_id
    step.record_or_buffer(event)
    ensure_scheduled(step)
    return ""


def parent_notified(step: HistoryStep, request: AcknowledgeParentNotified) -> None:
    if step.state.parent is not None and not step.state.parent_notified:
        step.record_internal(ParentNotified())


def released(step: HistoryStep, request: AcknowledgeChildReleased) -> None:
    if request.initiated_event_id in step.state.children and not step.state.is_open:
        step.record_internal(ChildReleased(request.initiated_event_id))


# What a worker can command


def start_child(step: HistoryStep, command: Command, completed_event_id: int) -> None:
    if not command.HasField("start_child_workflow_execution_command_attributes"):
        raise BadCommand(CAUSE, f"{COMMAND}Attributes is not set on {COMMAND}.")
    wanted = StartChildWorkflowExecutionCommandAttributes()
    wanted.CopyFrom(command.start_child_workflow_execution_command_attributes)
    namespace_id = check_command(step, wanted)
    event = new_event(EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED)
    attributes = event.start_child_workflow_execution_initiated_event_attributes
    attributes.MergeFrom(initiated_attributes(wanted, namespace_id, step.environment.limits))
    with_types(
        attributes.search_attributes.indexed_fields,
        step.environment.search_attribute_types(namespace_id),
    )
    attributes.workflow_task_completed_event_id = completed_event_id
    if command.HasField("user_metadata"):
        event.user_metadata.CopyFrom(command.user_metadata)
    step.record(event)
    step.emit(_start(step.state, step.state.children[event.event_id]))


# What other concepts use


def on_close(step: HistoryStep) -> None:
    """The run has closed: tell the parent, and the children what the policy says."""
    for effect in effects_of(step.state):
        step.emit(effect)


def effects_of(state: RunState) -> list[Effect]:
    """Return what the run asks of its children, or, once it has closed, tells them and its parent."""
    if state.is_open:
        return [
            _start(state, child) if not child.run_id else _ask(child)
            for child in state.children.values()
            if not child.run_id or child.to_be_asked
        ]
    if state.made_way and state.reset_run_id:
        return []  # Its children and its parent are those of the run that it goes on as.
    effects: list[Effect] = [
        ReleaseChild(
            child.initiated_event_id,
            child.workflow_id,
            child.run_id,
            child.parent_close_policy,
            child.namespace_id,
        )
        for child in state.children.values()
    ]
    parent = state.parent
    goes_on = state.new_run_id or state.made_way
    if parent is not None and not state.parent_notified and not goes_on and state.exists:
        effects.append(
            TellParent(
                parent.initiated_event_id,
                parent.workflow_id,
                parent.run_id,
                state.first_run_id,
                state.close_event,
                parent.namespace_id,
            )
        )
    return effects


# What is recorded on the way


def _record_started(step: HistoryStep, child: PendingChild, run_id: str) -> None:
    initiated = StartChildWorkflowExecutionInitiatedEventAttributes.FromString(child.attributes)
    event = new_event(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED)
    attributes = event.child_workflow_execution_started_event_attributes
    attributes.namespace = initiated.namespace
    attributes.namespace_id = initiated.namespace_id
    attributes.initiated_event_id = child.initiated_event_id
    attributes.workflow_execution.workflow_id = child.workflow_id
    attributes.workflow_execution.run_id = run_id
    attributes.workflow_type.name = child.workflow_type
    if initiated.HasField("header"):
        attributes.header.CopyFrom(initiated.header)
    step.record_or_buffer(event)


# How records change the state


def initiated(state: RunState, event: HistoryEvent) -> None:
    attributes = event.start_child_workflow_execution_initiated_event_attributes
    is_elsewhere = attributes.namespace_id != state.namespace_id
    state.children[event.event_id] = PendingChild(
        initiated_event_id=event.event_id,
        workflow_id=attributes.workflow_id,
        workflow_type=attributes.workflow_type.name,
        parent_close_policy=attributes.parent_close_policy,
        attributes=attributes.SerializeToString(deterministic=True),
        user_metadata=event.user_metadata.SerializeToString(deterministic=True),
        # Temporal: run, event and version of the parent's history.
        request_id=f"{state.run_id}:{event.event_id}:0",
        namespace=attributes.namespace if is_elsewhere else "",
        namespace_id=attributes.namespace_id if is_elsewhere else "",
    )


def started(state: RunState, event: HistoryEvent) -> None:
    attributes = event.child_workflow_execution_started_event_attributes
    child = state.children[attributes.initiated_event_id]
    child.run_id = attributes.workflow_execution.run_id
    child.started_event_id = event.event_id
    child.to_be_asked = bool(state.base_run_ids)
    child.attributes = b""
    child.user_metadata = b""


def numbered(state: RunState, event: HistoryEvent) -> None:
    """The buffered news that a child has started get their id."""
    attributes = event.child_workflow_execution_started_event_attributes
    child = state.children.get(attributes.initiated_event_id)
    if child is not None:
        child.started_event_id = event.event_id


def not_started(state: RunState, event: HistoryEvent) -> None:
    attributes = event.start_child_workflow_execution_failed_event_attributes
    del state.children[attributes.initiated_event_id]


def ended(state: RunState, event: HistoryEvent) -> None:
    del state.children[attributes_of(event).initiated_event_id]


def notified(state: RunState, record: ParentNotified) -> None:
    state.parent_notified = True
    if all(callback.is_done or callback.update_id for callback in state.callbacks):
        state.close_event = b""


def found_open(state: RunState, record: ChildOpen) -> None:
    state.children[record.initiated_event_id].to_be_asked = False


def child_released(state: RunState, record: ChildReleased) -> None:
    del state.children[record.initiated_event_id]


# What must hold


def check(run: Run) -> None:
    state = run.state
    for initiated_event_id, child in state.children.items():
        assert child.initiated_event_id == initiated_event_id
        assert child.request_id
        assert bool(child.attributes) != bool(child.run_id)
    if not state.is_open:
        assert all(child.run_id for child in state.children.values())


def pending_effects(run: Run, now_ns: int) -> list[Effect]:
    return effects_of(run.state)


def size(run: Run) -> int:
    return sum(
        _CHILD_BYTES + len(each.workflow_id) + len(each.workflow_type)
        for each in run.state.children.values()
    )


def _ask(child: PendingChild) -> AskChild:
    return AskChild(child.initiated_event_id, child.workflow_id, child.run_id, child.namespace_id)


def _start(state: RunState, child: PendingChild) -> StartChild:
    return StartChild(
        initiated_event_id=child.initiated_event_id,
        workflow_id=child.workflow_id,
        request_id=child.request_id,
        attributes=child.attributes,
        user_metadata=child.user_metadata,
        root_workflow_id=state.root_workflow_id,
        root_run_id=state.root_run_id,
        priority=state.priority,
        base_run_ids=tuple(state.base_run_ids),
        parent_namespace=state.namespace,
        namespace_id=child.namespace_id,
    )


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "children",
    check=check,
    requests={
        RecordChildStarted: child_started,
        RecordChildNotStarted: child_not_started,
        RecordChildClosed: child_closed,
        AcknowledgeChildOpen: child_open,
        AcknowledgeParentNotified: parent_notified,
        AcknowledgeChildReleased: released,
    },
    commands={CommandType.COMMAND_TYPE_START_CHILD_WORKFLOW_EXECUTION: start_child},
    appliers={
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: initiated,
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: not_started,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: started,
        **dict.fromkeys(CLOSING_EVENTS, ended),
        ChildOpen: found_open,
        ChildReleased: child_released,
        ParentNotified: notified,
    },
    numbered={EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: numbered},
    on_close=on_close,
    effects=(StartChild, AskChild, ReleaseChild, TellParent),
    pending_effects=pending_effects,
    size=size,
)
