"""A message arrives."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Header, Link, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected, closing
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled

# What can be asked


@dataclass(frozen=True, slots=True)
class Signal(Request[None]):
    name: str
    input: Payloads | None
    identity: str
    #: Empty: every call is a signal of its own.
    request_id: str
    header: Header | None = None
    links: tuple[Link, ...] = ()
    #: The run that sends it, if a workflow does.
    sender: WorkflowExecution | None = None
    #: Refused by a run that is not the sender's child.
    child_only: bool = False
    #: The workflow is woken although its first task is not due yet.
    skips_delay: bool = False


def signal(step: HistoryStep, request: Signal) -> None:
    state = step.state
    # Known ids come first: a client may retry a signal after the run it reached has closed.
    if request.request_id and request.request_id in state.signals:
        return
    step.check_open()
    if request.child_only:
        check_parent(state, request.sender)
    if step.in_flight.close_attempted and step.in_flight.started is not None:
        # Temporal: a workflow that gets signals faster than it can close would never close.
        raise closing()
    record_signal(step, request)
    # Temporal: a signal that might have started the run, had it not been there, does not wait.
    ensure_scheduled(step, despite_delay=request.skips_delay)


def check_parent(state: RunState, sender: WorkflowExecution | None) -> None:
    """Refuse who is not the parent."""
    parent = state.parent
    if (
        parent is None
        or sender is None
        or (parent.workflow_id, parent.run_id) != (sender.workflow_id, sender.run_id)
    ):
        raise Rejected(Code.NOT_FOUND, "workflow parent does not match")


def record_signal(step: HistoryStep, request: Signal) -> None:
    if 0 < step.environment.limits.max_signals_per_execution <= step.state.signal_count:
        raise Rejected(Code.INVALID_ARGUMENT, "exceeded workflow execution limit for signal events")
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
    attributes = event.workflow_execution_signaled_event_attributes
    attributes.signal_name = request.name
    if request.input is not None:
        attributes.input.CopyFrom(request.input)
    attributes.identity = request.identity
    if request.header is not None:
        attributes.header.CopyFrom(request.header)
    attributes.request_id = request.request_id
    if request.sender is not None:
        attributes.external_workflow_execution.CopyFrom(request.sender)
    event.links.extend(request.links)
    step.record_or_buffer(event)


# How records change the state


def signaled(state: RunState, event: HistoryEvent) -> None:
    state.signal_count += 1
    request_id = event.workflow_execution_signaled_event_attributes.request_id
    if request_id:
        state.signals[request_id] = event.event_id


def numbered(state: RunState, event: HistoryEvent) -> None:
    """A buffered signal has got its id."""
    request_id = event.workflow_execution_signaled_event_attributes.request_id
    if request_id:
        state.signals[request_id] = event.event_id


# What must hold


def check(run: Run) -> None:
    assert len(run.state.signals) <= run.state.signal_count


def size(run: Run) -> int:
    return sum(map(len, run.state.signals))


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "signals",
    check=check,
    size=size,
    requests={Signal: signal},
    appliers={EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: signaled},
    numbered={EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: numbered},
)
