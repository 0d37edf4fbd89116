"""One node's way to the store that all nodes share: slow, unreliable, and sometimes a lie.

A call may fail before it does anything, or after it has done everything: its caller cannot tell the two apart. While a
node is frozen its calls wait; once it is dead they wait for ever, as if the process were gone.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from perdure.store.memory import MemoryStore
from perdure.store.port import (
    Batch,
    DueRun,
    JournalRow,
    Lease,
    LoadedRun,
    NamespaceRow,
    RunKey,
    Unavailable,
    VisibilityRow,
)

T = TypeVar("T")


class Faults:
    """How bad the world is. All nodes of a world share it; set to nothing, the world is a good one."""

    def __init__(self, randomness: random.Random) -> None:
        self.random = randomness
        self.fails_before = 0.0
        self.fails_after = 0.0
        self.stalls = 0.0
        self.stall_max_s = 12.0

    def stop(self) -> None:
        self.fails_before = self.fails_after = self.stalls = 0.0


class FaultyStore:
    """A `store.port.Store`."""

    def __init__(self, store: MemoryStore, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    def freeze(self) -> None:
        """Hold all calls. For ever, if nobody thaws the node: then it is dead."""
        self._may_go_on.clear()

    def thaw(self) -> None:
        self._may_go_on.set()

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        faults, draw = self._faults, self._faults.random
        await self._may_go_on.wait()
        await asyncio.sleep(draw.expovariate(1 / 0.002))
        if draw.random() < faults.stalls:
            await asyncio.sleep(draw.uniform(0, faults.stall_max_s))
        await self._may_go_on.wait()
        if draw.random() < faults.fails_before:
            raise Unavailable("simulated: not done")
        result = await call()
        await asyncio.sleep(draw.expovariate(1 / 0.001))
        await self._may_go_on.wait()
        if draw.random() < faults.fails_after:
            raise Unavailable("simulated: done, and not told")
        return result

    async def open(self) -> None:
        pass

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

    async def load(self, keys: Sequence[RunKey]) -> list[LoadedRun | None]:
        return await self._call(lambda: self._store.load(keys))

    async def due(self, lo: int, hi: int, after_ns: int, until_ns: int, limit: int) -> list[DueRun]:
        return await self._call(lambda: self._store.due(lo, hi, after_ns, until_ns, limit))

    async def history(
        self, shard_key: int, run_id: str, *, after_seq: int, limit: int, reverse: bool = False
    ) -> list[JournalRow]:
        return await self._call(
            lambda: self._store.history(
                shard_key, run_id, after_seq=after_seq, limit=limit, reverse=reverse
            )
        )

    async def list_visibility(
        self, namespace_id: str, *, limit: int, after: tuple[int, int, str] | None
    ) -> list[VisibilityRow]:
        return await self._call(
            lambda: self._store.list_visibility(namespace_id, limit=limit, after=after)
        )

    async def count_visibility(self, namespace_id: str) -> int:
        return await self._call(lambda: self._store.count_visibility(namespace_id))

    async def namespaces(self) -> list[NamespaceRow]:
        return await self._call(self._store.namespaces)

    async def put_namespace(self, row: NamespaceRow) -> None:
        await self._call(lambda: self._store.put_namespace(row))

    async def cluster_id(self, proposed: str) -> str:
        return await self._call(lambda: self._store.cluster_id(proposed))
