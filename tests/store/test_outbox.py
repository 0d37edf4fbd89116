"""Lists in a second database: what changes them waits in the main one's outbox, in the commit that changes them."""

import asyncio

import pytest

from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import Compare, Filter, Operator
from perdure.store.external_visibility import OutboxSize
from perdure.store.memory import MemoryStore
from perdure.store.open import open_store
from perdure.store.port import (
    Batch,
    LeaseLost,
    OutboxRow,
    StoreError,
    Unavailable,
)
from perdure.store.split import SplitStore
from tests.store.rows import MINUTE_NS, journal, key, run, visibility


def waiting(run_id, data=b"data\0\xff", written_at_ns=7):
    return OutboxRow(0, run_id, data, written_at_ns)


async def shown(store, namespace_id="namespace-1"):
    return [row.run_id for row in await store.list_visibility(namespace_id, limit=99, after=None)]


async def test_rows_wait_in_order_until_their_positions_are_deleted(store, leases):
    assert await store.outbox(9) == []
    assert await store.outbox_size() == OutboxSize(0, 0)
    await store.commit(Batch(leases, outbox=[waiting("a"), waiting("b", b"", 8)]))
    await store.commit(Batch(leases, outbox=[waiting("a", b"later", 9)]))
    rows = await store.outbox(9)
    positions = [row.position for row in rows]
    assert positions == sorted(set(positions))
    assert [row._replace(position=0) for row in rows] == [
        waiting("a"),
        waiting("b", b"", 8),
        waiting("a", b"later", 9),
    ]
    assert await store.outbox(2) == rows[:2]
    assert await store.outbox_size() == OutboxSize(3, 7)
    await store.trim_outbox([positions[0], positions[2]])
    await store.trim_outbox([positions[0]])
    assert await store.outbox(9) == [rows[1]]
    assert await store.outbox_size() == OutboxSize(1, 8)
    await store.trim_outbox([positions[1]])
    await store.commit(Batch(leases, outbox=[waiting("a")]))
    [row] = await store.outbox(9)
    assert row.position > positions[2]


async def test_all_runs_are_found_page_by_page(store, leases):
    assert await store.runs(None, 9) == []
    made = [run(name) for name in "abcde"]
    await store.commit(Batch(leases, made))
    gone = made[0].key
    await store.commit(Batch(leases, deletes=[gone]))
    found, after = [], None
    while page := await store.runs(after, 3):
        assert len(page) <= 3
        found += page
        after = page[-1]
    assert {each.run_id for each in found} == {each.run_id for each in made[1:]}
    assert len(found) == 4
    assert None not in await store.load(found)


async def test_a_store_knows_whether_its_lists_is_external(store):
    await store.cluster_id("cluster")
    assert not await store.has_external_visibility()
    await store.set_external_visibility(True)
    assert await store.has_external_visibility()
    await store.set_external_visibility(False)
    assert not await store.has_external_visibility()


async def test_they_are_written_with_the_rest_of_the_batch_or_not_at_all(store, leases):
    a = run("a")
    await store.commit(Batch(leases, [a], [journal(a, 1)], outbox=[waiting(a.run_id)]))
    assert len(await store.outbox(9)) == 1
    await store.claim("node-1", MINUTE_NS)
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, outbox=[waiting("b")]))
    assert [row.run_id for row in await store.outbox(9)] == [a.run_id]


async def test_what_goes_into_the_outbox_leaves_the_table(store, leases):
    rows = [run(name) for name in "abc"]
    shown_rows = [visibility(row.run_id) for row in rows]
    await store.commit(Batch(leases, rows, visibility=shown_rows))
    assert {row.run_id for row in await store.stored_visibility(9)} == {row.run_id for row in rows}
    run_ids = [row.run_id for row in await store.stored_visibility(2)]
    run_ids += [row.run_id for row in await store.stored_visibility(2, run_ids[-1])]
    assert run_ids == [row.run_id for row in rows]
    await store.commit(
        Batch(
            leases,
            deletes=[key(rows[0])],
            outbox=[waiting(rows[0].run_id, b""), waiting(rows[1].run_id)],
        )
    )
    assert await store.stored_visibility(9) == [shown_rows[2]]
    assert await store.count_visibility("namespace-1") == 1
    assert await store.load([key(rows[0])]) == [None]


@pytest.fixture
def second_url(database, request):
    """Another database of the same kind."""
    if database.kind != "postgresql":
        yield database.url.replace("perdure.db", "lists.db")
        return
    postgres = request.getfixturevalue("postgres")
    url = postgres.new_database(like=request.getfixturevalue("template_url"))
    yield url
    postgres.drop_database(url)


@pytest.fixture
async def split(store, database, second_url):
    other = MemoryStore() if database.kind == "memory" else open_store(second_url)
    yield SplitStore(store, other, lambda: 5)
    await other.close()


@pytest.fixture
async def second(split):
    return await split.second()


class Away:
    """A store that is not there."""

    asked = 0

    async def open(self):
        self.asked += 1
        await asyncio.sleep(0.01)
        raise Unavailable("away on purpose")


async def follow(split, second, leases):
    rows = await split.outbox(500)
    written, gone = split.changes(rows)
    await second.commit(Batch(leases, visibility=written, deletes=gone))
    await split.trim_outbox([row.position for row in rows])
    return len(rows)


async def test_lists_are_the_second_databases_and_all_else_is_the_mains(
    store, split, second, leases
):
    second_leases = await second.claim("n", MINUTE_NS)
    a, b = run("a"), run("b")
    keyword = '{"Keyword01":"red"}'
    await split.commit(Batch(leases, [a, b], visibility=[visibility(a.run_id, attributes=keyword)]))
    assert split.arrived.is_set()
    assert await shown(split) == await shown(store) == []
    assert await split.outbox_size() == OutboxSize(1, 5)
    await split.commit(Batch(leases, visibility=[visibility(b.run_id, close_time_ns=99)]))
    assert await follow(split, second, second_leases) == 2
    assert await shown(split) == [a.run_id, b.run_id]
    assert await split.count_visibility("namespace-1") == 2
    red = Filter(Compare(Attribute("Colour", "Keyword01"), Operator.EQUAL, "red"))
    found = await split.list_visibility("namespace-1", limit=9, after=None, filter=red)
    assert found == [visibility(a.run_id)]
    [closed] = await split.longest_closed("namespace-1", until_ns=100, limit=9, after=None)
    assert closed.run_id == b.run_id
    await split.commit(Batch(leases, deletes=[key(b)]))
    assert await split.load([key(a), key(b)]) != [None, None]
    assert await shown(split) == [a.run_id, b.run_id]
    assert await follow(split, second, second_leases) == 1
    assert await shown(split) == [a.run_id]


async def test_rows_from_before_are_sent_on_their_way_by_writing_them_again(
    store, split, second, leases
):
    rows = [run(str(number)) for number in range(5)]
    await store.commit(Batch(leases, rows, visibility=[visibility(row.run_id) for row in rows]))
    while old := await split.unindexed_visibility(2):
        await split.commit(Batch(leases, visibility=old))
    assert await follow(split, second, await second.claim("n", MINUTE_NS)) == 5
    assert sorted(await shown(split)) == sorted(row.run_id for row in rows)
    assert await store.stored_visibility(9) == []


async def test_without_the_second_database_all_but_lists_goes_on(store, database):
    await database.close()
    split = SplitStore(store, Away(), lambda: 5)
    await split.open()
    assert await split.cluster_id("ours") == "ours"
    leases = await split.claim("n", MINUTE_NS)
    await split.commit(Batch(leases, [run("a")], visibility=[visibility("a-run-1")]))
    assert await split.load([key(run("a"))]) != [None]
    with pytest.raises(Unavailable):
        await split.list_visibility("namespace-1", limit=9, after=None)
    with pytest.raises(Unavailable):
        await split.longest_closed("namespace-1", until_ns=1, limit=1, after=None)
    assert (await split.outbox_size()).rows == 1
    await split.close()


async def test_many_who_ask_at_once_make_one_attempt(store):
    away = Away()
    split = SplitStore(store, away, lambda: 5)
    asking = (split.count_visibility("namespace-1") for _ in range(50))
    for refused in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(refused, Unavailable)
    assert away.asked < 50


async def test_another_clusters_database_is_left_alone(split, second):
    assert await second.cluster_id("theirs") == "theirs"
    with pytest.raises(StoreError, match="another cluster"):
        await split.cluster_id("ours")
    with pytest.raises(StoreError, match="another cluster"):
        await split.second()


async def test_the_last_row_of_a_run_counts_and_rows_may_be_taken_twice(split, second, leases):
    for status in (1, 2):
        for name in "ab":
            row = visibility(f"{name}-run-1", status=status, close_time_ns=status - 1)
            await split.commit(Batch(leases, visibility=[row]))
    await split.commit(Batch(leases, deletes=[key(run("b"))]))
    rows = await split.outbox(9)
    written, gone = split.changes(rows)
    assert written == [visibility("a-run-1", status=2, close_time_ns=1)]
    assert [each.run_id for each in gone] == ["b-run-1"]
    second_leases = await second.claim("n", MINUTE_NS)
    for _ in range(2):
        await second.commit(Batch(second_leases, visibility=written, deletes=gone))
        assert await split.list_visibility("namespace-1", limit=9, after=None) == written
