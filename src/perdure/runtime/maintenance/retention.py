"""Removes closed executions when the retention of their namespace is over.

A run writes nothing for that when it closes: the visibility index has the close times of every namespace. So a change
of the retention counts for runs that have closed already, and runs that closed long before the server was started are
found like the others. The longest closed goes first, many in one transaction, each with all its rows.

**Invariant:** removing takes a bounded part of the store's time while others write (`REST_BESIDE_OTHERS`): a backlog
of any size is worked off beside them, not before them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from perdure.core.errors import Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.executions import Executions
from perdure.runtime.namespaces import Namespace, Namespaces
from perdure.store.port import ListedPlace, ListedRun, Store, StoreError

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: How often to look for executions that are due: one may stay that much longer.
SWEEP_EVERY_S = 60.0
SWEEP_EVERY_MIN_S = 1.0
#: The key of dynamic configuration that sets it, and its default.
KEYS = {"history.retentionTimerJitterDuration": "1m"}
#: One transaction removes no more than this, but for a run that is larger by itself.
RUNS_AT_ONCE_MAX = 64
ROWS_AT_ONCE_MAX = 2048
BYTES_AT_ONCE_MAX = 4 * 1024 * 1024
#: Rest so many times as long as a batch took …
REST_BESIDE_OTHERS = 15.0
#: … or, if nobody else wrote anything meanwhile, only so many times.
REST_ALONE = 1.0


class Remover:
    """Removes closed runs, in small batches and with rests in between. One for all that does so on a node."""

    def __init__(self, executions: Executions, store: Store) -> None:
        self._executions = executions
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    async def remove(self, namespace_id: str, runs: Sequence[ListedRun]) -> int:
        """Remove runs that are closed without pending effects. Return how many. Raises `Rejected`, `StoreError`."""
        keys = [self.key(namespace_id, run) for run in runs]
        return await self._with_a_rest(lambda: self._executions.remove_closed(keys))

    async def shrink(self) -> None:
        """Free the disk space of the removed rows. Raises `StoreError`."""
        while await self._with_a_rest(self._store.shrink):
            pass

    async def _with_a_rest(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`, rest in proportion to the time that it took, and return its result."""
        async with self._one_at_a_time:
            clock, rows_before = asyncio.get_running_loop().time, self._executions.rows_written
            began = clock()
            done = await work()
            is_alone = self._executions.rows_written == rows_before
            rest = REST_ALONE if is_alone else REST_BESIDE_OTHERS
            await asyncio.sleep((clock() - began) * rest)
            return done

    def key(self, namespace_id: str, run: ListedRun) -> ExecutionKey:
        return self._executions.key(
            namespace_id, run.business_id, run.run_id, archetype=run.archetype
        )


class Retention:
    def __init__(
        self,
        executions: Executions,
        store: Store,
        namespaces: Namespaces,
        remover: Remover,
        config: Callable[[], DynamicConfig],
    ) -> None:
        self._executions = executions
        self._store = store
        self._namespaces = namespaces
        self._remover = remover
        self._config = config

    async def keep(self) -> None:
        """Remove executions that are due, for ever."""
        (every,) = KEYS
        while True:
            every_s = self._config().seconds(every, SWEEP_EVERY_S)
            await asyncio.sleep(min(max(every_s, SWEEP_EVERY_MIN_S), SWEEP_EVERY_S))
            if not self._executions.is_serving:
                continue
            try:
                await self.sweep()
                await self._remover.shrink()
            except (Rejected, StoreError) as error:
                log.warning("closed executions not removed; another try follows", error=str(error))

    async def sweep(self) -> int:
        """Remove executions that are due now; return how many. Raises `Rejected`, `StoreError`."""
        count = 0
        for namespace in self._namespaces.listed():
            removed = await self._sweep(namespace)
            if removed:
                log.info("closed executions removed", namespace=namespace.name, executions=removed)
            count += removed
        return count

    async def _sweep(self, namespace: Namespace) -> int:
        count = 0
        after: ListedPlace | None = None
        while True:
            # Each time again: it may have been changed.
            kept_ns = self._namespaces.retention_ns(namespace.id)
            until_ns = self._executions.clock.now_ns() - kept_ns
            due = await self._store.longest_closed(
                namespace.id, until_ns=until_ns, limit=RUNS_AT_ONCE_MAX, after=after
            )
            if not due or kept_ns <= 0:
                return count
            due = at_once(due)
            count += await self._remover.remove(namespace.id, due)
            # A run that stays, because it has pending effects, is looked at again with the next sweep.
            after = due[-1].place


def at_once(runs: list[ListedRun]) -> list[ListedRun]:
    """Return as many of the first ones as one transaction may remove; one at least."""
    rows = size_bytes = 0
    for position, run in enumerate(runs):
        rows += run.state_transition_count
        size_bytes += run.history_size_bytes
        if position and (rows > ROWS_AT_ONCE_MAX or size_bytes > BYTES_AT_ONCE_MAX):
            return runs[:position]
    return runs
