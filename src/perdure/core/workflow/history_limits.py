"""A history that grows without an end is ended: what would make it longer than the limits allow terminates the run.

The worker or client that asked for too much is refused, nothing of what it asked for is done, and the run has
terminated. What closes the run is never refused. And no worker holds a task while events without an end wait for it.
"""

from copy import deepcopy
from dataclasses import dataclass

from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.errors import Rejected, invalid_argument
from perdure.core.workflow.execution import record_terminated
from perdure.core.workflow.state import InFlight
from perdure.core.workflow.step import Checkpoint, Step
from perdure.core.workflow.workflow_task import record_failed, schedule_again

_IDENTITY = "history-service"
#: Events that a request records besides those of its commands, at most.
_EVENTS_MAX = 16

# What other concepts use


@dataclass(frozen=True, slots=True)
class Guard:
    """How the run was before a step that may make its history too long."""

    checkpoint: Checkpoint
    in_flight: InFlight
    event_count: int
    size_bytes: int


def guard(step: Step, request: object) -> Guard | None:
    """Return how the run is before a step; None, as a rule, if it is far from its limits."""
    state, limits = step.state, step.world.limits
    event_count = state.next_event_id - 1
    commands = len(getattr(request, "commands", ())) + len(getattr(request, "messages", ()))
    may_be_too_long = 0 < limits.history_count < event_count + commands + _EVENTS_MAX
    if not may_be_too_long and not 0 < limits.history_size < state.history_size_bytes:
        return None
    return Guard(step.checkpoint(), deepcopy(step.in_flight), event_count, state.history_size_bytes)


def enforce(step: Step, before: Guard) -> Rejected | None:
    """If the history is too long now, undo the step and terminate the run; return what to answer then."""
    limits = step.world.limits
    handed_out = step.in_flight.started if before.in_flight.started is None else None
    if not step.state.is_open or not (step.has_recorded or handed_out):
        return None
    count = before.event_count + step.own_event_count
    # Temporal: a task that is handed out has its started event in history.
    count += len(handed_out.events) if handed_out is not None else 0
    # Temporal: the size is the one of before, and events that could have been buffered do not count yet.
    if 0 < limits.history_size < before.size_bytes:
        reason = "Workflow history size exceeds limit."
    elif 0 < limits.history_count < count:
        reason = "Workflow history count exceeds limit."
    else:
        return None
    step.roll_back(before.checkpoint)
    step.run.in_flight = step.in_flight = before.in_flight
    record_terminated(step, reason, None, _IDENTITY)
    return invalid_argument(reason)


def bound_buffer(step: Step) -> None:
    """Take the workflow task away from the worker that holds it, if too many events wait for that."""
    buffered, limits = step.state.buffered, step.world.limits
    if step.in_flight.started is None or not (
        len(buffered) > limits.max_buffered_events
        or sum(event.ByteSize() for event in buffered) > limits.max_buffered_events_size
    ):
        return
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    record_failed(step, cause, None, identity=_IDENTITY)
    step.flush()
    schedule_again(step)
