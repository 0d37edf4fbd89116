"""A deleted namespace gives its name away at once, and ends without leaving anything, whatever fails on the way."""

import asyncio

import pytest
from temporalio.api.enums.v1 import NamespaceState

from perdure.core.errors import Code, Rejected
from perdure.runtime.maintenance.namespace_deletion import GRACE_NS, deleted_name
from perdure.runtime.maintenance.retention import RUNS_AT_ONCE_MAX
from perdure.runtime.namespaces import Namespace
from perdure.store.port import StoreError
from tests.runtime.nodes import (
    Cuttable,
    SetClock,
    Unreliable,
    close,
    is_there,
    start,
    start_child,
    started_node,
    until,
)

GRACE_S = GRACE_NS / 1e9


@pytest.fixture
async def clock():
    return SetClock()


@pytest.fixture
async def store():
    return Unreliable()


@pytest.fixture
async def node(store, clock):
    node = await started_node(store, clock)
    await node.namespaces.register(Namespace(id="0123456789", name="ours"))
    await node.namespaces.register(Namespace(id="others-id", name="others"))
    yield node
    await node.stop()


async def delete(node, delay_s=0.0):
    namespace = node.namespaces.get_by_id("0123456789")
    return await node.namespace_deletion.delete(namespace, int(delay_s * 1e9))


async def go_on(node):
    return await node.namespace_deletion.go_on(node.namespaces.get_by_id("0123456789"))


async def renewed(node):
    """Wait until the lease is certain again: a leap of the clock leaves it uncertain, and then nothing is said to be gone."""

    async def is_certain() -> bool:
        return node.engine.leases.is_certain()

    await until(is_certain)


async def go_on_until_gone(node):
    async with asyncio.timeout(20):
        while True:
            try:
                if await go_on(node):
                    return
            except (Rejected, StoreError) as error:
                if isinstance(error, Rejected) and error.code is Code.NOT_FOUND:
                    return
            await asyncio.sleep(0.01)


async def fill(node, count):
    """Open runs, closed ones, ids with two runs, and one that has to tell its parent."""
    for number in range(count):
        key = await start(node, "0123456789", f"w{number}")
        if number % 3:
            await close(node, key)
        if number % 3 == 1:
            await start(node, "0123456789", f"w{number}")
    await start_child(node, "0123456789", "child")
    return await start(node, "others-id", "w0")


async def test_the_name_is_free_at_once(node):
    assert await delete(node) == "ours-deleted-01234"
    with pytest.raises(Rejected) as refused:
        node.namespaces.get("ours")
    assert refused.value.code is Code.NOT_FOUND
    deleted = node.namespaces.get("ours-deleted-01234")
    assert deleted.state == NamespaceState.NAMESPACE_STATE_DELETED
    new = await node.namespaces.register(Namespace(id="", name="ours"))
    await node.namespaces.load()
    assert node.namespaces.get("ours") == new
    assert node.namespaces.get("ours-deleted-01234") == deleted


async def test_another_deletion_changes_the_delay_alone(node, clock):
    await delete(node, 100)
    clock.go_on(3)
    assert await delete(node, 50) == "ours-deleted-01234"
    deletion = node.namespaces.get_by_id("0123456789").deletion
    assert (deletion.delay_ns, deletion.requested_at_ns) == (50 * 10**9, clock.ns - 3 * 10**9)


def test_a_name_that_is_taken_takes_more_of_the_id():
    ours = Namespace(id="0123456789", name="n")
    assert deleted_name(ours, {"n-deleted-01234", "n-deleted-012345"}) == "n-deleted-0123456"
    assert deleted_name(Namespace(id="0123456789", name="n-deleted-012345"), ()) == (
        "n-deleted-012345-deleted-01234"
    )


async def test_nothing_goes_before_all_know_of_it(node, clock):
    key = await start(node, "0123456789", "w")
    await delete(node)
    clock.go_on(GRACE_S - 1)
    assert not await go_on(node)
    assert await is_there(node, key)


async def test_all_that_is_in_it_goes_and_nothing_else(node, store, clock):
    other = await fill(node, 30)
    await delete(node)
    clock.go_on(GRACE_S)
    await go_on_until_gone(node)
    assert [row.run_id for row in store.rows()] == [other.run_id]
    assert [run_id for run_id, journal in store.journals() if journal] == [other.run_id]
    assert await store.count_visibility("0123456789") == 0
    assert [row.name for row in await store.namespaces()] == ["others"]
    assert await is_there(node, other)


async def test_the_row_stays_for_the_delay(node, store, clock):
    await fill(node, 3)
    await delete(node, 60)
    clock.go_on(GRACE_S)
    await renewed(node)
    async with asyncio.timeout(20):
        while await store.count_visibility("0123456789"):
            assert not await go_on(node)
            await asyncio.sleep(0.01)
    assert not await go_on(node)
    clock.go_on(59)
    assert not await go_on(node)
    clock.go_on(2)
    assert await go_on(node)


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("failing", [1, 2, 3, 7])
async def test_after_a_failed_commit_it_goes_on(node, store, clock, failing, is_written):
    other = await fill(node, 200)
    await delete(node)
    clock.go_on(GRACE_S)
    store.deletions_left, store.is_written = failing, is_written
    await go_on_until_gone(node)
    assert store.deletions_left <= 0, "nothing failed"
    assert [row.run_id for row in store.rows()] == [other.run_id]
    assert store.most_deleted <= RUNS_AT_ONCE_MAX


async def test_it_waits_for_what_was_started_before_and_is_not_durable(node, store, clock):
    """The store takes longer over that commit than the deletion lets calls end."""
    store.may_commit.clear()
    starting = asyncio.create_task(start(node, "0123456789", "w"))
    await until(store.is_asked)
    await delete(node)
    clock.go_on(GRACE_S + 1)
    deleting = asyncio.create_task(go_on_until_gone(node))
    done, _ = await asyncio.wait([deleting], timeout=0.2)
    store.may_commit.set()
    assert not done, "a run is on its way there"
    await starting
    await deleting
    assert list(store.rows()) == []


async def test_another_node_goes_on_after_a_crash(store, clock):
    cuttable = Cuttable(store)
    node = await started_node(cuttable, clock)
    await node.namespaces.register(Namespace(id="0123456789", name="ours"))
    other = await fill(node, 200)
    await delete(node, 5)
    clock.go_on(GRACE_S)
    count = await store.count_visibility("0123456789")
    first = asyncio.create_task(go_on(node))

    async def has_begun():
        return await store.count_visibility("0123456789") < count

    await until(has_begun, pause_s=0)
    cuttable.is_cut = True
    with pytest.raises((Rejected, StoreError)):
        await first
    assert await store.count_visibility("0123456789")

    another = await started_node(store, clock, "node-2")

    async def is_empty():
        await go_on(another)
        return not await store.count_visibility("0123456789")

    await until(is_empty)
    assert not await go_on(another)
    clock.go_on(6)
    await go_on_until_gone(another)
    assert [row.run_id for row in store.rows()] == [other.run_id]
    assert await store.namespaces() == []
    await another.stop()
    await node.stop()
