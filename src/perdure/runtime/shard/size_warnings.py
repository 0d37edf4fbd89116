"""Warns in the log of an execution that grows large, before it is so large that it is terminated."""

import structlog

from perdure.core.execution.outcome import Outcome
from perdure.core.limits import Limits
from perdure.runtime.shard.cached import CachedExecution

log = structlog.get_logger(__name__)


def warn_of_size(
    cached: CachedExecution, outcome: Outcome, limits: Limits, *, is_new: bool
) -> None:
    """Log that a history or state is becoming too large, once a run."""
    size, count = cached.summary.history_size_bytes, cached.summary.next_event_id - 1
    # A new run may have a history already.
    size_before = 0 if is_new else size - len(outcome.events)
    count_before = 0 if is_new else count - outcome.event_count
    is_large = size_before <= limits.history_size_warn < size
    is_long = count_before <= limits.history_count_warn < count
    if (is_large and limits.history_size_warn) or (is_long and limits.history_count_warn):
        log.warning(
            "history exceeds the warning limit",
            **cached.archetype.about(cached.execution),
            events=count,
            bytes=size,
        )
    if limits.state_size_warn <= 0 or cached.is_known_to_be_large:
        return
    excess = cached.archetype.excess_bytes(cached.execution, limits.state_size_warn)
    if excess:
        cached.is_known_to_be_large = True
        log.warning(
            "state exceeds the warning limit",
            **cached.archetype.about(cached.execution),
            bytes=excess,
        )
