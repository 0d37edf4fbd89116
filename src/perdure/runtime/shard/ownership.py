"""Claims ranges of the key space, serves them, loses them, and recovers.

**Invariant:** when a lease is lost, or the outcome of a commit is unknown, everything in memory is thrown away, and the
truth is read again under a new claim. Nothing is repaired in memory.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from perdure.core.errors import unavailable
from perdure.core.execution.key import ExecutionKey
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.group_commit import GroupCommit
from perdure.runtime.shard.leases import RETRY_S, Leases
from perdure.runtime.shard.loading import Loading
from perdure.runtime.shard.timers import Timers
from perdure.store.port import Lease, StoreError

log = structlog.get_logger(__name__)

RETRY_MAX_S = 5.0


class Ownership:
    def __init__(
        self,
        leases: Leases,
        cache: ExecutionCache,
        loading: Loading,
        commits: GroupCommit[CachedExecution],
        timers: Timers,
    ) -> None:
        self._leases = leases
        self._cache = cache
        self._loading = loading
        self._commits = commits
        self._timers = timers
        #: Called when memory has been thrown away.
        self.forgot: Callable[[], None] = lambda: None
        #: Called when the lease is ours, before anything is answered. Raises `StoreError`.
        self.prepare: Callable[[], Awaitable[None]] = _nothing_to_prepare
        #: Requests are answered: executions that are not in memory yet are loaded for them.
        self.is_serving = False
        #: All that is due is in memory, so that nothing is late.
        self.has_taken_over = False
        self._is_stopping = False
        self._recovering: asyncio.Task[None] | None = None

    async def claim(self) -> None:
        """Claim the ranges that are free. Waits while another node holds everything. Raises `StoreError`."""
        waited = False
        while not await self._leases.claim():
            if not waited:
                log.info("waiting for a lease: another node holds the whole key space")
            waited = True
            await asyncio.sleep(RETRY_S)
        await self.prepare()

    def serve(self) -> None:
        """Answer requests from now on. `take_over` is to follow."""
        self.is_serving = True

    async def take_over(self) -> None:
        """Load what is due in the claimed ranges. If they are lost meanwhile, the recovery takes over instead."""
        generation = self._cache.generation
        try:
            await self._take_over()
        except Exception as error:
            if generation == self._cache.generation:
                self._begin_badly(error)

    async def stop_serving(self) -> None:
        """Begin nothing any more: timers and effects would keep commits in flight for ever."""
        self.is_serving = self.has_taken_over = False
        self._is_stopping = True
        self._timers.close()
        if self._recovering is not None:
            # It would serve again meanwhile.
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)

    async def release(self) -> None:
        """Release the leases, so that another node can claim at once."""
        try:
            await self._leases.release()
        except StoreError as error:
            log.warning("leases not released", error=str(error))

    def served(self) -> tuple[Lease, ...]:
        return self._leases.held if self.is_serving else ()

    def check_serving(self) -> None:
        """Raise `Rejected` while this node owns nothing: a worker that polls it would wait in vain."""
        if not self.is_serving:
            raise unavailable("this node does not serve: it is starting, or has lost the store")

    def check_owner(self, key: ExecutionKey) -> None:
        """Raise `Rejected` unless this node serves the execution."""
        if not (self.is_serving and self._leases.covers(key.shard_key)):
            self.check_serving()
            raise unavailable("this node does not own the execution")

    def check_certain(self) -> None:
        """Raise `Rejected` unless it is certain that no other node owns our ranges."""
        if not self._leases.is_certain():
            raise unavailable("this node is not certain of its lease")

    async def _take_over(self) -> None:
        generation = self._cache.generation
        count = await self._loading.take_over(self._leases.held)
        if generation == self._cache.generation and self.is_serving:
            self.has_taken_over = True
            log.info("serving", executions=count)

    async def lose_lease(self) -> None:
        """Another node has taken over."""
        self.lose_everything([], "another node has taken over")

    def lose_everything(self, batches: list[OpenBatch[CachedExecution]], why: str) -> None:
        """Throw memory away, refuse the waiting callers of `batches` and all later ones, and recover."""
        self.is_serving = self.has_taken_over = False
        self._leases.give_up()
        refusal = unavailable(why)
        for batch in [*batches, *self._commits.abandon()]:
            batch.finish(refusal)
        for cached in self._cache.forget_all():
            cached.notify(everybody=True)
        self.forgot()
        self._timers.replace(())
        is_recovering = self._recovering is not None and not self._recovering.done()
        if not is_recovering and not self._is_stopping:
            self._recovering = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        delay_s = RETRY_S
        while True:
            try:
                if await self._leases.claim() and await self._resume(self._cache.generation):
                    return
                delay_s = RETRY_S
            except Exception as error:
                self._begin_badly(error)
                log.warning("this node does not serve yet", retry_in_s=delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            await asyncio.sleep(delay_s)

    async def _resume(self, generation: int) -> bool:
        """Serve again. Return False if everything was lost again meanwhile: nobody else would recover from that."""
        await self.prepare()
        if generation == self._cache.generation:
            self.is_serving = True
            await self._take_over()
        return generation == self._cache.generation

    def _begin_badly(self, error: Exception) -> None:
        """Executions could not be taken over: another try follows, also after a bug. Nobody else would serve them."""
        if isinstance(error, StoreError):
            log.warning("the store is not there yet", error=str(error))
        else:
            log.error("bug: executions were not taken over", exc_info=error)
        self.lose_everything([], f"the store is not there: {error}")


async def _nothing_to_prepare() -> None:
    pass
