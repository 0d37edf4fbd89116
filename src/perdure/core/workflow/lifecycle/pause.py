"""An operator stops a run without ending it, and lets it go on.

While it is paused neither its workflow tasks nor its activities are given to workers. A task that a worker holds may
end, timers fire, and what arrives is recorded: the workflow sees all of it when it goes on.
"""

from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType, WorkflowExecutionStatus, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.times import timestamp_ns
from perdure.core.workflow.activities.attempt_records import dispatch, retry_timer
from perdure.core.workflow.activities.control import show_paused
from perdure.core.workflow.events import HISTORY_SERVICE, new_event
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.known_requests import is_known, remember
from perdure.core.workflow.records import TaskDropped
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.schedule import ensure_scheduled, offer_again

# What can be asked


@dataclass(frozen=True, slots=True)
class Pause(Request[None]):
    identity: str
    reason: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Unpause(Request[None]):
    identity: str
    reason: str
    request_id: str


def pause(step: HistoryStep, request: Pause) -> None:
    state = step.state
    step.check_open()
    if is_known(state.known_requests, "pause", request.request_id):
        return
    if state.is_paused:
        if request.request_id and request.request_id == state.pause_request_id:
            return
        raise Rejected(Code.FAILED_PRECONDITION, "workflow is already paused.")
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED)
    attributes = event.workflow_execution_paused_event_attributes
    attributes.identity = request.identity
    attributes.reason = request.reason
    attributes.request_id = request.request_id
    event.worker_may_ignore = True
    if step.run.pending_task is not None and step.in_flight.started is None:
        _fail_waiting_task(step)
    step.record_or_buffer(event)


def _fail_waiting_task(step: HistoryStep) -> None:
    """No worker has the task, and none is to get it."""
    was_speculative = step.in_flight.speculative is not None
    step.make_normal()
    task = step.state.workflow_task
    assert task is not None
    if task.attempt > 1:
        step.record_internal(TaskDropped(next_attempt=1))
        return
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED)
    attributes = event.workflow_task_failed_event_attributes
    attributes.scheduled_event_id = task.scheduled_event_id
    if was_speculative:
        # Temporal: one that only updates brought about is started first, although nobody polled.
        attributes.started_event_id = _record_started(step, task.scheduled_event_id)
    attributes.cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_PAUSE_REQUESTED_BEFORE_TASK_STARTED
    attributes.identity = HISTORY_SERVICE
    step.record(event)


def _record_started(step: HistoryStep, scheduled_event_id: int) -> int:
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED)
    attributes = event.workflow_task_started_event_attributes
    attributes.scheduled_event_id = scheduled_event_id
    attributes.identity = HISTORY_SERVICE
    attributes.request_id = "emptyUuid"
    return step.record(event).event_id


def unpause(step: HistoryStep, request: Unpause) -> None:
    state = step.state
    step.check_open()
    if is_known(state.known_requests, "unpause", request.request_id):
        return
    if not state.is_paused:
        raise Rejected(Code.FAILED_PRECONDITION, "workflow is not paused.")
    event = new_event(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED)
    attributes = event.workflow_execution_unpaused_event_attributes
    attributes.identity = request.identity
    attributes.reason = request.reason
    attributes.request_id = request.request_id
    event.worker_may_ignore = True
    step.record_or_buffer(event)
    for activity in state.activities.values():
        if activity.started_at_ns or activity.paused_at_ns:
            continue
        if activity.scheduled_at_ns > step.now_ns:
            step.set_timer(retry_timer(activity))
        else:
            step.emit(dispatch(state, activity))
    # A node that crashed during the pause has forgotten which worker held it.
    offer_again(step)
    # Temporal: also if the first task was not due yet.
    ensure_scheduled(step, despite_delay=True)


# How records change the state


def paused(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_paused_event_attributes
    state.status = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED
    state.paused_at_ns = timestamp_ns(event.event_time)
    state.pause_identity = attributes.identity
    state.pause_reason = attributes.reason
    state.pause_request_id = attributes.request_id
    remember(state.known_requests, "pause", attributes.request_id)
    _invalidate_activities(state)
    show_paused(state)


def unpaused(state: RunState, event: HistoryEvent) -> None:
    attributes = event.workflow_execution_unpaused_event_attributes
    remember(state.known_requests, "unpause", attributes.request_id)
    state.status = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING
    state.paused_at_ns = 0
    state.pause_identity = state.pause_reason = state.pause_request_id = ""
    if state.workflow_task is None:
        # Temporal: what failed before the pause is not held against the workflow.
        state.workflow_task_attempt = 1
    _invalidate_activities(state)
    show_paused(state)


def _invalidate_activities(state: RunState) -> None:
    """Every offer to workers until now is stale."""
    for activity in state.activities.values():
        activity.stamp += 1
        activity.is_exempt_from_pause = False


# What must hold


def check(run: Run) -> None:
    state = run.state
    if state.is_paused:
        assert state.paused_at_ns
        assert run.in_flight.started is not None or run.in_flight.speculative is None
    if state.is_open:
        assert state.is_paused == bool(state.paused_at_ns)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "pause",
    check=check,
    requests={Pause: pause, Unpause: unpause},
    appliers={
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_PAUSED: paused,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UNPAUSED: unpaused,
    },
)
