"""One node's way to the store that all nodes share: slow, unreliable, and sometimes a lie.

A call may fail before it does anything, after it has done everything, or fail now and be done later: its caller cannot
tell the three apart. The store is no part of the node: a call that is under way goes on when its caller is paused or
killed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.store.external_visibility import OutboxSize
from perdure.store.memory import MemoryStore
from perdure.store.port import (
    UNBOUNDED,
    Batch,
    DuePlace,
    DueRun,
    JournalRow,
    Lease,
    ListedPlace,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    OutboxRow,
    Unavailable,
    VisibilityRow,
)
from perdure.testing.simulator.virtual_loop import SpinError

T = TypeVar("T")
#: How many calls a request has made to the store, with all that it has set going; empty once it is answered.
ASKED: ContextVar[list[int]] = ContextVar("asked")
#: Many times what any request needs.
ASKED_MAX = 500


class Faults:
    """How bad the world is. All nodes of a world share it; after `stop`, the world is a good one."""

    def __init__(self, randomness: random.Random) -> None:
        self.random = randomness
        #: The average duration of a call.
        self.latency_s = 0.003
        #: Nothing was done.
        self.fails_before = 0.0
        #: Everything was done.
        self.fails_after = 0.0
        #: Nothing was done yet: it is done after the caller has learnt that it failed.
        self.fails_early = 0.0
        self.stalls = 0.0
        self.stall_max_s = 12.0
        #: The database is down, for everybody.
        self.is_down = False
        #: Between clients and nodes.
        self.loses_messages = 0.0

    def stop(self) -> None:
        self.fails_before = self.fails_after = self.fails_early = self.stalls = 0.0
        self.loses_messages = 0.0
        self.is_down = False


class FaultyStore:
    """An `OutboxStore`. Make it outside of any process: what it does for a node goes on without the node."""

    def __init__(self, store: MemoryStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        #: This node cannot reach the store; others can. Its calls fail, or they hang.
        self._is_cut = False
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self._outside = copy_context()
        self._under_way: set[asyncio.Task[object]] = set()

    def cut(self, *, hangs: bool) -> None:
        if hangs:
            self._goes_on.clear()
        else:
            self._is_cut = True

    def mend(self) -> None:
        self._is_cut = False
        self._goes_on.set()

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        asked = ASKED.get([])
        if asked:
            asked[0] += 1
            if asked[0] == ASKED_MAX:
                raise SpinError(f"a request has asked the store {ASKED_MAX} times")
        work = asyncio.get_running_loop().create_task(self._serve(call), context=self._outside)
        self._go_on(work)
        return await asyncio.shield(work)

    def _go_on(self, work: asyncio.Task[Any]) -> None:
        self._under_way.add(work)
        work.add_done_callback(self._done, context=self._outside)

    def _done(self, work: asyncio.Task[Any]) -> None:
        self._under_way.discard(work)
        if not work.cancelled():
            work.exception()  # Seen: the caller may be gone.

    async def _serve(self, call: Callable[[], Awaitable[T]]) -> T:
        faults, draw = self._faults, self._faults.random
        await asyncio.sleep(draw.expovariate(1.5 / faults.latency_s))
        if draw.random() < faults.stalls:
            await asyncio.sleep(draw.uniform(0, faults.stall_max_s))
        await self._goes_on.wait()
        if self._is_gone() or draw.random() < faults.fails_before:
            raise Unavailable("simulated: not done")
        if draw.random() < faults.fails_early:
            self._go_on(asyncio.get_running_loop().create_task(self._do_late(call)))
            raise Unavailable("simulated: not done yet, and the caller does not know")
        result = await call()
        await asyncio.sleep(draw.expovariate(3 / faults.latency_s))
        await self._goes_on.wait()
        if self._is_gone() or draw.random() < faults.fails_after:
            raise Unavailable("simulated: done, and the caller does not know")
        return result

    def _is_gone(self) -> bool:
        return self._faults.is_down or self._is_cut

    async def _do_late(self, call: Callable[[], Awaitable[T]]) -> T:
        await asyncio.sleep(self._faults.random.uniform(0, self._faults.stall_max_s))
        return await call()

    async def open(self) -> None:
        await self._call(self._store.open)

    async def close(self) -> None:
        pass

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        return await self._call(lambda: self._store.claim(owner, ttl_ns))

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        await self._call(lambda: self._store.renew(leases, ttl_ns))

    async def release(self, leases: Sequence[Lease]) -> None:
        await self._call(lambda: self._store.release(leases))

    async def commit(self, batch: Batch) -> None:
        await self._call(lambda: self._store.commit(batch))

    async def shrink(self) -> bool:
        return await self._call(self._store.shrink)

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        return await self._call(lambda: self._store.load(keys))

    async def due(
        self, lo: int, hi: int, after: DuePlace, until_ns: int, limit: int
    ) -> list[DueRun]:
        return await self._call(lambda: self._store.due(lo, hi, after, until_ns, limit))

    async def history(
        self,
        shard_key: int,
        run_id: str,
        *,
        after_seq: int,
        limit: int,
        reverse: bool = False,
        with_internal: bool = False,
        until_event_id: int | None = None,
        bytes_max: int = UNBOUNDED,
    ) -> list[JournalRow]:
        return await self._call(
            lambda: self._store.history(
                shard_key,
                run_id,
                after_seq=after_seq,
                limit=limit,
                reverse=reverse,
                with_internal=with_internal,
                until_event_id=until_event_id,
                bytes_max=bytes_max,
            )
        )

    async def list_visibility(
        self,
        namespace_id: str,
        *,
        limit: int,
        after: tuple[int, int, str] | None,
        filter: Filter = EVERYTHING,
        bytes_max: int = UNBOUNDED,
    ) -> list[VisibilityRow]:
        return await self._call(
            lambda: self._store.list_visibility(
                namespace_id, limit=limit, after=after, filter=filter, bytes_max=bytes_max
            )
        )

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        return await self._call(lambda: self._store.count_visibility(namespace_id, filter))

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        return await self._call(lambda: self._store.count_groups(namespace_id, filter))

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return await self._call(lambda: self._store.unindexed_visibility(limit, after))

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        return await self._call(
            lambda: self._store.longest_closed(
                namespace_id, archetype=archetype, until_ns=until_ns, limit=limit, after=after
            )
        )

    async def namespaces(self) -> list[NamespaceRow]:
        return await self._call(self._store.namespaces)

    async def put_namespace(self, row: NamespaceRow) -> None:
        await self._call(lambda: self._store.put_namespace(row))

    async def delete_namespace(self, namespace_id: str) -> None:
        await self._call(lambda: self._store.delete_namespace(namespace_id))

    async def cluster_id(self, proposed: str) -> str:
        return await self._call(lambda: self._store.cluster_id(proposed))

    # Lists in a second database

    async def stored_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return await self._call(lambda: self._store.stored_visibility(limit, after))

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        return await self._call(lambda: self._store.runs(after, limit))

    async def has_external_visibility(self) -> bool:
        return await self._call(self._store.has_external_visibility)

    async def set_external_visibility(self, is_external: bool) -> None:
        await self._call(lambda: self._store.set_external_visibility(is_external))

    async def outbox(self, limit: int) -> list[OutboxRow]:
        return await self._call(lambda: self._store.outbox(limit))

    async def outbox_size(self) -> OutboxSize:
        return await self._call(self._store.outbox_size)

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        await self._call(lambda: self._store.trim_outbox(positions))
