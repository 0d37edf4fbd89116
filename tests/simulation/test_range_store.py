"""Ranges of a simulated store change hands one by one, as the promises of stores allow."""

import random

import pytest

from perdure.store.port import LeaseLost, Unavailable
from perdure.testing.simulator.range_store import RIVAL, TRUST_S, RangeStore

TTL_NS = 6 * 10**9


class Clock:
    now_ns = 1

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> RangeStore:
    return RangeStore(clock, 4, random.Random(1))


async def test_one_node_does_not_get_everything(store, clock):
    """The rival has a part of it, which a second node gets when the rival is gone."""
    first = await store.claim("first", TTL_NS)
    assert 1 <= len(first) < 4
    clock.now_ns += 4 * 10**9
    second = await store.claim("second", TTL_NS)
    assert second
    assert not {lease.lo for lease in first} & {lease.lo for lease in second}


async def test_a_range_is_taken_from_a_node_that_keeps_the_others(store, clock):
    store.has_rival = False
    leases = await store.claim("first", TTL_NS)
    store.has_rival = True
    store.begin_to_move(leases[1])
    with pytest.raises(Unavailable):
        await store.renew(leases, TTL_NS)
    clock.now_ns += int(TRUST_S * 1e9)
    store.move(leases[1])
    with pytest.raises(LeaseLost):
        await store.renew(leases, TTL_NS)
    others = (leases[0], *leases[2:])
    await store.renew(others, TTL_NS)
    claimed = await store.claim("first", TTL_NS)
    assert [lease.lo for lease in claimed] == [lease.lo for lease in others]
    assert store._leases[1].owner == RIVAL


@pytest.mark.parametrize("seed", range(8))
async def test_a_node_gets_all_that_is_free_when_the_rival_has_left(clock, seed):
    store = RangeStore(clock, 4, random.Random(seed))
    await store.claim("first", TTL_NS)
    store.stop_moving()
    clock.now_ns += TTL_NS
    assert len(await store.claim("second", TTL_NS)) == 4
