"""Evicts idle executions when there are too many: writes each with the time of its next timer, and drops it."""

import asyncio

import structlog

from perdure.runtime.clock import Clock
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.group_commit import GroupCommit
from perdure.runtime.shard.writing import snapshot_row

log = structlog.get_logger(__name__)

EVICT_AT_ONCE_MAX = 2048
SWEEP_EVERY_S = 1.0
#: An execution that was used a moment ago stays.
MIN_IDLE_NS = 3 * 10**9


class Eviction:
    def __init__(
        self,
        cache: ExecutionCache,
        commits: GroupCommit[CachedExecution],
        clock: Clock,
        executions_max: int,
    ) -> None:
        self._cache = cache
        self._commits = commits
        self._clock = clock
        self._executions_max = executions_max

    async def sweep(self) -> None:
        """Keep memory bounded, for ever."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.make_room()

    def make_room(self) -> None:
        self._cache.forget_absent()
        surplus = len(self._cache) - self._executions_max
        if surplus <= 0:
            return
        idle_since = self._clock.monotonic_ns() - MIN_IDLE_NS
        candidates = [
            cached
            for cached in self._cache.executions()
            if cached.used_at_ns < idle_since and cached.batch is None and not cached.waiters
        ]
        candidates.sort(key=lambda cached: cached.used_at_ns)
        for cached in candidates[: min(surplus, EVICT_AT_ONCE_MAX)]:
            if cached.summary.is_open:
                try:
                    self._evict(cached)
                except Exception:
                    # The others must go all the same.
                    log.exception("bug: an execution cannot be evicted", **cached.key._asdict())
            # A closed one with an earlier due time still has pending effects.
            elif cached.due_at_ns > self._cache.horizon_ns:
                self._cache.drop(cached)

    def _evict(self, cached: CachedExecution) -> None:
        """Write the snapshot of an execution and when it is due; it leaves the cache when that is durable."""
        if self._evict_backlogged(cached):
            return
        due_at_ns = self._next_due_ns(cached)
        if due_at_ns <= self._cache.horizon_ns:
            return
        if cached.due_at_ns == due_at_ns and cached.snapshot_seq == cached.seq:
            self._cache.drop(cached)
            return
        batch = self._commits.batch()
        batch.update(snapshot_row(cached, due_at_ns))
        batch.executions[cached.key.run_id] = cached
        cached.batch = batch
        cached.due_at_ns = due_at_ns
        cached.is_being_evicted = True

    def committed(self, batch: OpenBatch[CachedExecution]) -> None:
        """`batch` is durable: drop the executions that it evicted, unless they were needed meanwhile."""
        for cached in batch.executions.values():
            if not cached.is_being_evicted or not self._cache.is_cached(cached):
                continue
            cached.is_being_evicted = False
            if (
                cached.batch is None
                and cached.due_at_ns > self._cache.horizon_ns
                and not cached.waiters
            ):
                self._cache.drop(cached)

    def _next_due_ns(self, cached: CachedExecution) -> int:
        """Return when the execution needs to be in memory: 0 if it must stay now."""
        archetype, now_ns = cached.archetype, self._clock.now_ns()
        if not cached.summary.is_idle or archetype.pending_effects(cached.execution, now_ns):
            return 0
        return cached.next_timer_ns(now_ns)

    def _evict_backlogged(self, cached: CachedExecution) -> bool:
        """Drop an execution that only waits for a worker to poll: its tasks are in the task queues."""
        archetype, now_ns = cached.archetype, self._clock.now_ns()
        if cached.due_at_ns or not cached.summary.is_idle:
            return False
        effects = archetype.pending_effects(cached.execution, now_ns)
        if not effects or not all(isinstance(each, archetype.queue_tasks) for each in effects):
            return False
        next_ns = cached.next_timer_ns(now_ns)
        if next_ns <= self._cache.horizon_ns:
            return False
        self._cache.backlogged.add(cached.key, next_ns)
        self._cache.drop(cached)
        return True
