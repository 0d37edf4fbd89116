"""A run that grows without an end is ended: what would make it larger than the limits allow terminates it.

That holds for its history, and for what else is kept of it (`state_size`).

The worker or client that asked for too much is refused, nothing of what it asked for is done, and the run has
terminated. A request that closes the run is never refused. And no worker holds a task while too many events wait.
"""

from copy import deepcopy
from dataclasses import dataclass

from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Rejected, invalid_argument
from perdure.core.execution.step import Checkpoint
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.close import record_terminated
from perdure.core.workflow.state import InFlight
from perdure.core.workflow.state_size import approximate_size, may_exceed
from perdure.core.workflow.tasks.fail import record_failed
from perdure.core.workflow.tasks.schedule import schedule_again

#: Events that a request records besides those of its commands, at most.
_EVENTS_MAX = 16
#: By so much does one request make the state larger, at most: gRPC takes in no larger ones.
_GROWTH_MAX = 4 * 1024 * 1024
_STATE_TOO_LARGE = "Workflow mutable state size exceeds limit."

# What other concepts use


@dataclass(frozen=True, slots=True)
class Guard:
    """How the run was before a step that may make it too large."""

    checkpoint: Checkpoint
    in_flight: InFlight
    event_count: int
    size_bytes: int


def guard(step: HistoryStep, request: object) -> Guard | None:
    """Return how the run is before a step; None, as a rule, if it is far from its limits."""
    state, limits = step.state, step.environment.limits
    event_count = state.next_event_id - 1
    commands = len(getattr(request, "commands", ())) + len(getattr(request, "messages", ()))
    may_be_too_long = 0 < limits.history_count < event_count + commands + _EVENTS_MAX
    if (
        not may_be_too_long
        and not 0 < limits.history_size < state.history_size_bytes
        and not (limits.state_size > 0 and may_exceed(step.run, limits.state_size - _GROWTH_MAX))
    ):
        return None
    return Guard(step.checkpoint(), deepcopy(step.in_flight), event_count, state.history_size_bytes)


def enforce(step: HistoryStep, before: Guard) -> Rejected | None:
    """If the run is too large now, undo the step and terminate it; return what to answer then."""
    limits = step.environment.limits
    started = step.in_flight.started if before.in_flight.started is None else None
    if not (step.has_recorded or started):
        return None
    is_state_too_large = 0 < limits.state_size < approximate_size(step.run)
    if not step.state.is_open:
        # Temporal: what closes the run happens, and is refused all the same.
        return invalid_argument(_STATE_TOO_LARGE) if is_state_too_large else None
    count = before.event_count + step.own_event_count
    # Temporal: a task that is started has its started event in history.
    count += len(started.events) if started is not None else 0
    # Temporal: the size is the one of before, and events that could have been buffered do not count yet.
    if 0 < limits.history_size < before.size_bytes:
        reason = "Workflow history size exceeds limit."
    elif 0 < limits.history_count < count:
        reason = "Workflow history count exceeds limit."
    elif is_state_too_large:
        reason = _STATE_TOO_LARGE
    else:
        return None
    step.roll_back(before.checkpoint)
    step.run.in_flight = step.in_flight = before.in_flight
    record_terminated(step, reason, None, HISTORY_SERVICE)
    return invalid_argument(reason)


def bound_buffer(step: HistoryStep) -> None:
    """Take the workflow task away from the worker that holds it, if too many events wait for that."""
    buffered, limits = step.state.buffered, step.environment.limits
    if step.in_flight.started is None or not (
        len(buffered) > limits.max_buffered_events
        or sum(map(HistoryEvent.ByteSize, buffered)) > limits.max_buffered_events_size
    ):
        return
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND
    record_failed(step, cause, None, identity=HISTORY_SERVICE)
    step.flush()
    schedule_again(step)
