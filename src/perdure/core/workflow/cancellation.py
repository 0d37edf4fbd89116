"""Somebody asks the workflow to stop. It decides by itself what to do about it."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Link, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.events import new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.close import check_first_run
from perdure.core.workflow.signals import check_parent
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled

# What can be asked


@dataclass(frozen=True, slots=True)
class RequestCancel(Request[None]):
    reason: str
    identity: str
    request_id: str
    first_execution_run_id: str = ""
    links: tuple[Link, ...] = ()
    #: The run that asks, if a workflow does, and its event for that.
    sender: WorkflowExecution | None = None
    initiated_event_id: int = 0
    #: Refused by a run that is not the sender's child.
    child_only: bool = False


def request_cancel(step: HistoryStep, request: RequestCancel) -> None:
    state = step.state
    # Temporal: asking a closed run, or asking twice, is a success that changes nothing.
    if not state.is_open:
        return
    check_first_run(state, request.first_execution_run_id)
    if request.child_only:
        check_parent(state, request.sender)
    if state.cancel_requested:
        return
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
    attributes = event.workflow_execution_cancel_requested_event_attributes
    attributes.cause = request.reason
    attributes.identity = request.identity
    if request.sender is not None:
        attributes.external_workflow_execution.CopyFrom(request.sender)
        attributes.external_initiated_event_id = request.initiated_event_id
    event.links.extend(request.links)
    step.record_or_buffer(event)
    ensure_scheduled(step, despite_delay=True)


# How records change the state


def requested(state: RunState, event: HistoryEvent) -> None:
    state.cancel_requested = True


# What must hold


def check(run: Run) -> None:
    assert run.state.exists or not run.state.cancel_requested


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "cancellation",
    check=check,
    requests={RequestCancel: request_cancel},
    appliers={EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: requested},
)
