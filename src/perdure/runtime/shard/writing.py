"""Turns an outcome into rows of the open batch: journal, execution, visibility."""

from collections.abc import Callable, Iterator

from perdure.core.execution.environment import Environment
from perdure.core.execution.outcome import Outcome
from perdure.runtime.clock import Clock
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.group_commit import GroupCommit
from perdure.runtime.shard.size_warnings import warn_of_size
from perdure.runtime.visibility import CustomAttributes, visibility_row
from perdure.store.port import ExecutionUpdate, JournalRow


class Writing:
    def __init__(
        self,
        cache: ExecutionCache,
        commits: GroupCommit[CachedExecution],
        clock: Clock,
        environment_of: Callable[[str], Environment],
        custom_attributes: CustomAttributes,
    ) -> None:
        self._cache = cache
        self._commits = commits
        self._clock = clock
        self._environment_of = environment_of
        self._custom_attributes = custom_attributes

    def write(self, cached: CachedExecution, outcome: Outcome) -> OpenBatch[CachedExecution]:
        """Add the rows of one transition to the open batch, and return it."""
        is_new = cached.seq == 0
        key, summary, batch = cached.key, cached.summary, self._commits.batch()
        for row in _rows(cached, outcome):
            batch.add(row)
            cached.remember(row)
        batch.executions[key.run_id] = cached
        cached.batch = batch
        environment = self._environment_of(key.namespace_id)
        warn_of_size(cached, outcome, environment.limits, is_new=is_new)
        is_closing = not summary.is_open
        if is_closing or cached.due_at_ns or cached.needs_snapshot:
            cached.due_at_ns = self._closed_due_ns(cached) if is_closing else 0
            batch.update(snapshot_row(cached, cached.due_at_ns))
        if is_closing or is_new or outcome.shows:
            shown = cached.archetype.visibility(cached.execution, environment)
            batch.visibility[key.run_id] = visibility_row(
                key.archetype, shown, self._custom_attributes
            )
        if summary.is_removable:
            batch.deletes[key.run_id] = key
            self._cache.forget(cached)
        return batch

    def _closed_due_ns(self, cached: CachedExecution) -> int:
        """Return when a closed execution must be in memory: it may have pending effects and timers."""
        now_ns = self._clock.now_ns()
        if cached.archetype.has_pending_effects(cached.execution, now_ns):
            return 0
        return cached.next_timer_ns(now_ns)


def snapshot_row(cached: CachedExecution, due_at_ns: int) -> ExecutionUpdate:
    """Return the row of an execution as it is now, with its snapshot."""
    key = cached.key
    return ExecutionUpdate(
        key.shard_key,
        key.archetype,
        key.namespace_id,
        key.business_id,
        key.run_id,
        cached.summary.status,
        due_at_ns,
        cached.snapped(),
        cached.seq,
    )


def _rows(cached: CachedExecution, outcome: Outcome) -> Iterator[JournalRow]:
    """Yield the rows of one transition, numbered: one, if it is not large."""
    earlier, cached.earlier_rows = cached.earlier_rows, ()
    first_event_id = outcome.first_event_id - sum(event_count for event_count, *_ in earlier)
    for event_count, events, internal in (*earlier, *cached.archetype.rows(outcome)):
        cached.seq += 1
        yield JournalRow(
            cached.key.shard_key,
            cached.key.run_id,
            cached.seq,
            first_event_id,
            event_count,
            events,
            internal,
        )
        first_event_id += event_count
