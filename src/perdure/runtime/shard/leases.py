"""Holds the leases of this node: which ranges of the key space are its own, and until when that is certain.

The database grants leases by its own clock. Here they count from the moment before the grant was asked for, by the
monotonic clock, less a margin: so this node stops trusting a lease before anybody else may get it.
"""

from perdure.runtime.clock import Clock
from perdure.store.port import Lease, Store

TTL_NS = 6 * 10**9
#: A lease is trusted for this much less than it was granted for.
MARGIN_NS = 10**9
RETRY_S = 0.25


class Grant:
    """The leases of one claim, and until when they are certain.

    A thread may renew them while the event loop uses them, without a lock: it writes `trusted_until_ns` of the grant
    that it has asked about. Once the loop has given that grant up, nobody looks at it any more.
    """

    __slots__ = ("leases", "trusted_until_ns")

    def __init__(self, leases: tuple[Lease, ...] = (), asked_at_ns: int | None = None) -> None:
        self.leases = leases
        self.trusted_until_ns = 0
        if leases and asked_at_ns is not None:
            self.renewed(asked_at_ns)

    def renewed(self, asked_at_ns: int) -> None:
        """The store has granted the leases anew, and was asked for that at some time by the monotonic clock."""
        self.trusted_until_ns = asked_at_ns + TTL_NS - MARGIN_NS

    def lost(self) -> None:
        """Another node has claimed a range."""
        self.trusted_until_ns = 0


class Leases:
    def __init__(self, store: Store, owner: str, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.owner = owner
        self.grant = Grant()

    @property
    def held(self) -> tuple[Lease, ...]:
        return self.grant.leases

    def is_certain(self) -> bool:
        """Whether no other node can own our ranges: a read or a refusal from memory is then right."""
        return self._clock.monotonic_ns() < self.grant.trusted_until_ns

    def covers(self, shard_key: int) -> bool:
        """Whether rows with this key are this node's."""
        # A loop: every request asks this, and a generator would take three times as long.
        for lease in self.grant.leases:  # noqa: SIM110
            if lease.lo <= shard_key < lease.hi:
                return True
        return False

    def give_up(self) -> None:
        """Trust nothing any more, until the next claim."""
        self.grant = Grant()

    async def claim(self) -> bool:
        """Claim the ranges that are free. Raises `StoreError` when the store cannot be asked."""
        asked_at_ns = self._clock.monotonic_ns()
        self.grant = Grant(await self._store.claim(self.owner, TTL_NS), asked_at_ns)
        return bool(self.held)

    async def release(self) -> None:
        held = self.held
        self.give_up()
        if held:
            await self._store.release(held)
