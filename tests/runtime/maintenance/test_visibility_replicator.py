"""Lists in a second database follow the main one: in order, whatever fails in between, and nothing is lost."""

import asyncio

import pytest

from perdure.core.errors import Rejected
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.maintenance.namespace_deletion import GRACE_NS, NamespaceDeletion
from perdure.runtime.maintenance.retention import Remover
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.namespaces import Namespace
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, LeaseLost, Unavailable
from perdure.store.split import SplitStore
from tests.runtime.nodes import SetClock, close, is_there, start, until


class Second(MemoryStore):
    """May be away, or take a batch and not say so. It keeps the rows that runs had in lists."""

    def __init__(self):
        super().__init__()
        self.is_away = False
        self.fails_after = 0
        self.largest = 0
        self.seen: dict[str, list[int]] = {}

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("away on purpose")
        await super().commit(batch)
        self.largest = max(self.largest, len(batch.visibility) + len(batch.deletes))
        for row in batch.visibility:
            self.seen.setdefault(row.run_id, []).append(row.status)
        if self.fails_after:
            self.fails_after -= 1
            raise Unavailable("done, and not told")

    async def longest_closed(self, *arguments, **named):
        if self.is_away:
            raise Unavailable("away on purpose")
        return await super().longest_closed(*arguments, **named)


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def main():
    return MemoryStore()


@pytest.fixture
def second():
    return Second()


@pytest.fixture
def follower(main, second, clock):
    return VisibilityReplicator(SplitStore(main, second, clock.now_ns), clock, "node-1")


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    for name, value in (("REST_S", 0.001), ("RETRY_S", 0.01), ("RETRY_MAX_S", 0.02)):
        monkeypatch.setattr(f"perdure.runtime.maintenance.visibility_replicator.{name}", value)


@pytest.fixture
async def node(follower, clock):
    """A node whose follower runs by itself."""
    node = Node(follower._store, clock, ConfiguredLimits(), owner="node-1", replicator=follower)
    await node.start()
    await node.namespaces.register(Namespace(id="ns-id", name="ns", retention_ns=100 * 10**9))
    yield node
    await node.stop()


@pytest.fixture
async def still(follower, clock):
    """A node whose follower is moved by the test."""
    node = Node(follower._store, clock, ConfiguredLimits(), owner="node-1")
    await node.start()
    await node.namespaces.register(Namespace(id="ns-id", name="ns", retention_ns=100 * 10**9))
    yield node
    await node.stop()


async def caught_up(follower):
    async def nothing_waits():
        return not await follower._store.outbox(1)

    await until(nothing_waits)


async def test_lists_follow_by_themselves(node, follower, second, main):
    keys = [await start(node, "ns-id", f"w{number}") for number in range(20)]
    await caught_up(follower)
    assert all(second.shown(key.run_id).status == 1 for key in keys)
    for key in keys:
        await close(node, key)
    await caught_up(follower)
    assert all(second.shown(key.run_id).status != 1 for key in keys)
    assert not any(main.shown(key.run_id) for key in keys)
    assert await node.store.count_visibility("ns-id") == 20


async def test_what_was_written_and_not_trimmed_is_written_again(still, follower, second):
    key = await start(still, "ns-id", "w")
    second.fails_after = 1
    with pytest.raises(Unavailable):
        await follower.step()
    assert second.seen[key.run_id] == [1]
    await close(still, key)
    assert await follower.step()
    first, last = second.seen[key.run_id]
    assert (first, last) == (1, second.shown(key.run_id).status)
    assert last != 1
    assert await follower._store.outbox(1) == []


async def test_batches_are_bounded_and_in_order(still, follower, second, monkeypatch):
    monkeypatch.setattr("perdure.runtime.maintenance.visibility_replicator.ROWS_AT_ONCE_MAX", 3)
    keys = [await start(still, "ns-id", f"w{number}") for number in range(5)]
    for key in keys:
        await close(still, key)
    while not await follower.step():
        pass
    assert second.largest <= 3
    for key in keys:
        statuses = second.seen[key.run_id]
        assert statuses == sorted(statuses)
        assert statuses[-1] == second.shown(key.run_id).status != 1


async def test_the_rest_goes_on_while_the_second_database_is_away(
    node, follower, second, clock, main
):
    second.is_away = True
    keys = [await start(node, "ns-id", f"w{number}") for number in range(5)]
    clock.go_on(7)
    await close(node, keys[0])

    async def lag_is_known():
        return follower.rows_waiting == 6

    await until(lag_is_known)
    assert follower.lag_s == 7
    with pytest.raises(Unavailable):
        await node.store.longest_closed("ns-id", until_ns=1, limit=1, after=None)
    second.is_away = False
    await caught_up(follower)

    async def no_lag():
        return follower.lag_s == follower.rows_waiting == 0

    await until(no_lag)
    assert await node.store.count_visibility("ns-id") == 5
    assert second.shown(keys[0].run_id).status != 1


async def test_a_node_that_was_away_puts_nothing_old_over_what_is_newer(
    still, follower, second, clock
):
    key = await start(still, "ns-id", "w")
    old = await follower._store.outbox(9)
    leases = await follower._claimed()
    other = VisibilityReplicator(follower._store, clock, "node-2")
    await other.step()
    await close(still, key)
    await other.step()
    assert old
    with pytest.raises(LeaseLost):
        await second.commit(Batch(leases, visibility=[second.shown(key.run_id)]))
    assert await follower._store.outbox(1) == []
    await start(still, "ns-id", "w2")
    with pytest.raises(LeaseLost):
        await follower.step()
    assert len(await follower._store.outbox(9)) == 1


async def test_rows_from_before_are_taken_over_at_start(main, second, clock):
    before = Node(main, clock, ConfiguredLimits(), owner="node-0")
    await before.start()
    keys = [await start(before, "ns-id", f"w{number}") for number in range(7)]
    await close(before, keys[0])
    await before.stop()
    assert await main.count_visibility("ns-id") == 7
    follower = VisibilityReplicator(SplitStore(main, second, clock.now_ns), clock, "node-1")
    node = Node(follower._store, clock, ConfiguredLimits(), owner="node-1", replicator=follower)
    await node.start()
    await caught_up(follower)
    assert await main.count_visibility("ns-id") == 0
    assert await node.store.count_visibility("ns-id") == 7
    assert second.shown(keys[0].run_id).status != 1
    await node.stop()


async def test_retention_takes_a_run_once_though_lists_lag(still, follower, second, main, clock):
    key = await start(still, "ns-id", "w")
    await close(still, key)
    await follower.step()
    clock.go_on(101)
    assert await still.retention.sweep() == 1
    assert not await is_there(still, key)
    assert second.shown(key.run_id) is not None
    assert await still.retention.sweep() == 0
    await follower.step()
    assert second.shown(key.run_id) is None
    assert main.journal(key.run_id) == []


async def test_a_namespace_is_empty_only_when_lists_show_that(main, second, clock, monkeypatch):
    follower = VisibilityReplicator(SplitStore(main, second, clock.now_ns), clock, "node-1")
    node = Node(follower._store, clock, ConfiguredLimits(), owner="node-1", replicator=follower)
    second.is_away = True
    await node.start()
    await node.namespaces.register(Namespace(id="0123456789", name="ours"))
    key = await start(node, "0123456789", "w")
    await node.namespace_deletion.delete(node.namespaces.get_by_id("0123456789"), 0)
    clock.go_on(GRACE_NS / 1e9 + 1)
    namespace = node.namespaces.get_by_id("0123456789")
    with pytest.raises(Unavailable):
        await node.namespace_deletion.go_on(namespace)
    # Reading is possible again, but nothing has followed yet.
    monkeypatch.setattr(Second, "longest_closed", MemoryStore.longest_closed)
    assert not await node.namespace_deletion.go_on(namespace)
    assert [row.name for row in await main.namespaces()] == [namespace.name]
    assert await is_there(node, key)
    second.is_away = False

    async def is_gone():
        try:
            return await node.namespace_deletion.go_on(namespace)
        except Rejected:
            return not await main.namespaces()

    await until(is_gone)
    assert list(main.rows()) == []
    await caught_up(follower)
    assert await second.count_visibility("0123456789") == 0
    await node.stop()


async def test_a_namespace_is_not_empty_while_rows_move_to_the_second_database(main, second, clock):
    """They are older than the end of the namespace, whenever they move."""
    before = Node(main, clock, ConfiguredLimits(), owner="node-0")
    await before.start()
    await before.namespaces.register(Namespace(id="0123456789", name="ours"))
    key = await start(before, "0123456789", "w")
    await close(before, key)
    await before.namespace_deletion.delete(before.namespaces.get_by_id("0123456789"), 0)
    await before.stop()
    clock.go_on(GRACE_NS / 1e9 + 1)
    follower = VisibilityReplicator(SplitStore(main, second, clock.now_ns), clock, "node-1")
    # Its follower does not move by itself.
    node = Node(follower._store, clock, ConfiguredLimits(), owner="node-1")
    node.namespace_deletion = NamespaceDeletion(
        node.executions,
        node.store,
        node.namespaces,
        Remover(node.executions, node.store),
        follower,
    )
    await node.engine.serve()
    namespace = node.namespaces.get_by_id("0123456789")
    assert [row.run_id for row in await main.outbox(9)] == [key.run_id]
    assert not await node.namespace_deletion.go_on(namespace)
    assert not await node.namespace_deletion.go_on(namespace)
    assert [row.name for row in await main.namespaces()] == [namespace.name]
    await follower.step()
    assert follower.lag_s == 0
    assert not await node.namespace_deletion.go_on(namespace)
    await follower.step()
    assert await node.namespace_deletion.go_on(namespace)
    assert list(main.rows()) == []
    await node.engine.stop()


@pytest.mark.parametrize("turns", range(5))
async def test_a_row_that_arrives_as_the_node_stops_does_not_keep_it(follower, turns):
    class Serving:
        is_serving = True

    async def waits_for_rows():
        return bool(follower._store.arrived._waiters)

    following = asyncio.create_task(follower.keep(Serving()))
    await until(waits_for_rows)
    follower._store.arrived.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    following.cancel()
    done, _ = await asyncio.wait([following], timeout=2)
    assert done, "the cancellation was swallowed"
