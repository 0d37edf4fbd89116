"""Carries visibility rows from the main database's outbox to the second database, in their order.

A batch of the outbox is written to the second database, and then deleted from the outbox by its positions. A batch that
is interrupted in between is written again: rows are whole, so the last one of a run counts, however often it is
written. A later position may show before an earlier one, but never
for the same run: its owner commits one after the other.

**Invariant:** only the holder of the second database's own lease writes there, and reads the outbox after it has got
it. So a node that was away for a while cannot put old rows over newer ones: its commit is refused.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

import structlog

from perdure.runtime.clock import Clock
from perdure.store.external_visibility import ExternalVisibility, OutboxSize
from perdure.store.port import Batch, Lease, StoreError, cover_all

log = structlog.get_logger(__name__)

#: The lease of the second database is granted for so long, as that of a range of the key space is.
TTL_NS = 6 * 10**9
RETRY_S = 0.25

ROWS_AT_ONCE_MAX = 500
#: Rest for so long after each batch that was not full: what comes meanwhile goes together.
REST_S = 0.05
#: Look so often also if nothing is known to have come: another node may have left something.
LOOK_EVERY_S = 3.0
RETRY_MAX_S = 5.0
_NOTHING = OutboxSize(0, 0)


class Serving(Protocol):
    """The engine, as the follower sees it."""

    @property
    def is_serving(self) -> bool: ...


class VisibilityReplicator:
    def __init__(self, store: ExternalVisibility, clock: Clock, owner: str) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._leases: tuple[Lease, ...] = ()
        self._size = _NOTHING

    @property
    def lag_s(self) -> float:
        """How long the oldest change has been waiting, as of the last look.

        Rows that are on their way because visibility moved to the second database are no changes.
        """
        if not self._size.oldest_at_ns:
            return 0.0
        return max(0, self._clock.now_ns() - self._size.oldest_at_ns) / 1e9

    @property
    def rows_waiting(self) -> int:
        return self._size.rows

    async def is_shown(self, until_ns: int) -> bool:
        """Return whether visibility shows everything that was written by then. Raises `StoreError`."""
        first = await self._store.outbox(1)
        return not first or first[0].written_at_ns > until_ns

    async def keep(self, node: Serving) -> None:
        """Follow for ever, while `node` serves. When it is cancelled, another node can follow at once."""
        try:
            await self._follow(node)
        finally:
            await self._release()

    async def _follow(self, node: Serving) -> None:
        delay_s = RETRY_S
        while True:
            if not node.is_serving:
                self._size = _NOTHING
                await asyncio.sleep(RETRY_S)
                continue
            try:
                is_at_end = await self.step()
            except Exception as error:
                self._leases = ()
                if not isinstance(error, StoreError):
                    log.exception("bug: visibility does not follow; another try follows")
                else:
                    log.warning("visibility does not follow", error=str(error), retry_in_s=delay_s)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
                continue
            delay_s = RETRY_S
            if is_at_end:
                await asyncio.sleep(REST_S)
                with suppress(TimeoutError):  # Then it is time to look anyway.
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._store.arrived.wait()

    async def step(self) -> bool:
        """Take a batch over. Return whether there was no more, for all that is known. Raises `StoreError`."""
        self._size = await self._store.outbox_size()
        self._store.arrived.clear()
        leases = await self._claimed()
        rows = await self._store.outbox(ROWS_AT_ONCE_MAX)
        if rows:
            written, gone = self._store.changes(rows)
            second = await self._store.second()
            await second.commit(Batch(leases, visibility=written, deletes=gone))
            await self._store.trim_outbox([row.position for row in rows])
        is_at_end = len(rows) < ROWS_AT_ONCE_MAX
        if is_at_end:
            self._size = _NOTHING
        return is_at_end

    async def _claimed(self) -> tuple[Lease, ...]:
        if not self._leases:
            leases = await (await self._store.second()).claim(self._owner, TTL_NS)
            if not cover_all(leases):
                raise StoreError("another node has the visibility database")
            self._leases = leases
        return self._leases

    async def _release(self) -> None:
        leases, self._leases = self._leases, ()
        if not leases:
            return
        try:
            await (await self._store.second()).release(leases)
        except StoreError as error:
            log.warning("lease of the visibility database not released", error=str(error))
