"""The store of worlds in which several nodes share the key space: its ranges change hands one by one.

A node that claims gets every range that is free. Here a rival, an owner outside of the world's nodes, is sometimes
quicker, and lets its lease expire after a while: so one node does not get everything. A range is also taken away from a
node, as soon as that does not trust its leases any more. For the nodes all of that looks as the store's promises say.
"""

import random
from collections.abc import Callable, Sequence

from perdure.runtime.shard.leases import MARGIN_NS, TTL_NS
from perdure.store.port import Lease, Unavailable
from perdure.testing.simulator.checks_gone import WatchedStore

RIVAL = "rival"
#: A node whose renewals fail trusts its leases for this long at most.
TRUST_S = (TTL_NS - MARGIN_NS) / 1e9
_RIVAL_S = (0.5, 4.0)


class RangeStore(WatchedStore):
    def __init__(self, now_ns: Callable[[], int], ranges: int, randomness: random.Random) -> None:
        super().__init__(now_ns=now_ns, ranges=ranges, is_shared=True)
        self._random = randomness
        #: Whether the rival is there.
        self.has_rival = ranges > 1
        #: Owners whose renewals fail.
        self._refused: set[str] = set()

    def has_free_range(self) -> bool:
        """Whether a node that claims now gets something."""
        return any(self._is_free(index) for index in range(len(self._leases)))

    def stop_moving(self) -> None:
        """The rival leaves: a node that claims gets whatever is free."""
        self.has_rival = False
        self._refused.clear()

    def begin_to_move(self, lease: Lease) -> None:
        """Let the renewals of its owner fail. `move` follows after `TRUST_S`."""
        self._refused.add(lease.owner)

    def move(self, lease: Lease) -> None:
        """Take the range away from its owner, which keeps the others."""
        self._refused.discard(lease.owner)
        if lease not in self._leases or not self.has_rival:
            return  # The owner has lost it by itself, or has claimed it again, or times are good.
        for index, other in enumerate(self._leases):
            if other == lease:
                self._give_to_rival(index)
            elif other.owner == lease.owner:
                self._expires_at_ns[index] = self._now_ns() + TTL_NS

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        free = [index for index in range(len(self._leases)) if self._is_free(index)]
        owns_some = any(lease.owner == owner for lease in self._leases)
        if self.has_rival and free:
            # Somebody must get on: one that has nothing gets one range at least.
            kept = self._random.randint(0 if owns_some else 1, len(free))
            for index in self._random.sample(free, len(free) - kept):
                self._give_to_rival(index)
        return await super().claim(owner, ttl_ns)

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        if any(lease.owner in self._refused for lease in leases):
            raise Unavailable("simulated: renewals fail")
        await super().renew(leases, ttl_ns)

    def _is_free(self, index: int) -> bool:
        return not self._leases[index].owner or self._expires_at_ns[index] <= self._now_ns()

    def _give_to_rival(self, index: int) -> None:
        lease = self._leases[index]
        self._leases[index] = lease._replace(owner=RIVAL, epoch=lease.epoch + 1)
        lasts_ns = int(self._random.uniform(*_RIVAL_S) * 1e9)
        self._expires_at_ns[index] = self._now_ns() + lasts_ns
