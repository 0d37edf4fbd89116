"""A history that grows without an end is ended: what would make it longer than the limits allow terminates the run.

The worker or client that asked for too much is refused, nothing of what it asked for is done, and the run has
terminated. What closes the run is never refused.
"""

from copy import deepcopy
from dataclasses import dataclass

from perdure.core.errors import Rejected, invalid_argument
from perdure.core.workflow.execution import record_terminated
from perdure.core.workflow.state import InFlight
from perdure.core.workflow.step import Checkpoint, Step

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
    if not step.state.is_open or not step.has_recorded:
        return None
    # Temporal: the size is the one of before, and events that could have been buffered do not count yet.
    if 0 < limits.history_size < before.size_bytes:
        reason = "Workflow history size exceeds limit."
    elif 0 < limits.history_count < before.event_count + step.own_event_count:
        reason = "Workflow history count exceeds limit."
    else:
        return None
    step.roll_back(before.checkpoint)
    step.run.in_flight = step.in_flight = before.in_flight
    record_terminated(step, reason, None, _IDENTITY)
    return invalid_argument(reason)
