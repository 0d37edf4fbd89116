"""Holds the leases of this node: which ranges of the key space are its own, and until when that is certain.

The database grants leases by its own clock. Here they count from the moment before the grant was asked for, by the
monotonic clock, less a margin: so this node stops trusting a lease before anybody else may get it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from perdure.runtime.clock import Clock
from perdure.store.port import Lease, LeaseLost, Store, StoreError

log = structlog.get_logger(__name__)

TTL_NS = 6 * 10**9
#: A lease is trusted for this much less than it was granted for.
MARGIN_NS = 10**9
RENEW_EVERY_S = 1.5
RETRY_S = 0.25


class Leases:
    def __init__(self, store: Store, owner: str, clock: Clock) -> None:
        self._store = store
        self._owner = owner
        self._clock = clock
        self._held: tuple[Lease, ...] = ()
        self._trusted_until_ns = 0

    @property
    def held(self) -> tuple[Lease, ...]:
        return self._held

    def is_certain(self) -> bool:
        """Whether no other node can own our ranges: a read or a refusal from memory is then right."""
        return self._clock.monotonic_ns() < self._trusted_until_ns

    def covers(self, shard_key: int) -> bool:
        """Whether rows with this key are this node's."""
        return any(lease.lo <= shard_key < lease.hi for lease in self._held)

    def give_up(self) -> None:
        """Trust nothing any more, until the next claim."""
        self._held = ()
        self._trusted_until_ns = 0

    async def claim(self) -> bool:
        """Claim the ranges that are free. Raises `StoreError` when the store cannot be asked."""
        asked_at_ns = self._clock.monotonic_ns()
        self._held = await self._store.claim(self._owner, TTL_NS)
        self._trusted_until_ns = asked_at_ns + TTL_NS - MARGIN_NS if self._held else 0
        return bool(self._held)

    async def release(self) -> None:
        held = self._held
        self.give_up()
        if held:
            await self._store.release(held)

    async def keep(self, lost: Callable[[], Awaitable[None]]) -> None:
        """Renew for ever. Calls `lost` when another node has taken over."""
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            held = self._held
            if not held:
                continue
            asked_at_ns = self._clock.monotonic_ns()
            try:
                await self._store.renew(held, TTL_NS)
            except LeaseLost:
                if held == self._held:
                    log.warning("lease lost", owner=self._owner)
                    await lost()
            except StoreError as error:
                log.warning("lease not renewed", owner=self._owner, error=str(error))
            else:
                if held == self._held:
                    self._trusted_until_ns = asked_at_ns + TTL_NS - MARGIN_NS
