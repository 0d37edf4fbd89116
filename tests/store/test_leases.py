"""Leases decide who may write: claims, renewals, releases, and the fence that every commit must pass."""

import asyncio
from itertools import count

import asyncpg
import pytest

from perdure.store.memory import MemoryStore
from perdure.store.port import SHARD_KEY_END, Batch, Lease, LeaseLost
from tests.store.rows import MINUTE_NS, journal, key, run, update, visibility


async def written(store, row):
    return await store.load([key(row)]) != [None]


async def test_a_claim_covers_every_shard_key_once(leases):
    assert [lease.lo for lease in leases] == [0, *(lease.hi for lease in leases[:-1])]
    assert leases[-1].hi == SHARD_KEY_END
    assert {lease.owner for lease in leases} == {"node-1"}


async def test_every_claim_has_a_greater_epoch(store, leases):
    again = await store.claim("node-1", MINUTE_NS)
    assert len(again) == len(leases)
    assert all(new.epoch > old.epoch for new, old in zip(again, leases, strict=True))


async def test_an_older_epoch_of_the_same_owner_is_refused(store, leases):
    again = await store.claim("node-1", MINUTE_NS)
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, [run("a")]))
    with pytest.raises(LeaseLost):
        await store.renew(leases, MINUTE_NS)
    assert not await written(store, run("a"))
    await store.commit(Batch(again, [run("a")]))
    assert await written(store, run("a"))


async def test_a_renewed_lease_is_good_for_commits(store, leases):
    await store.renew(leases, MINUTE_NS)
    await store.commit(Batch(leases, [run("a")]))
    assert await written(store, run("a"))


async def test_a_released_lease_is_good_for_nothing(store, leases):
    await store.release(leases)
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, [run("a")]))
    with pytest.raises(LeaseLost):
        await store.renew(leases, MINUTE_NS)
    await store.release(leases)
    assert not await written(store, run("a"))


async def test_releasing_what_was_lost_takes_nothing_from_the_owner(store, leases):
    again = await store.claim("node-1", MINUTE_NS)
    await store.release(leases)
    await store.commit(Batch(again, [run("a")]))


async def test_one_lost_lease_is_enough_to_refuse(store, leases):
    never_held = Lease(leases[0].lo, leases[0].hi, "node-2", leases[0].epoch)
    with pytest.raises(LeaseLost):
        await store.commit(Batch((*leases, never_held), [run("a")]))
    with pytest.raises(LeaseLost):
        await store.renew((*leases, never_held), MINUTE_NS)
    assert not await written(store, run("a"))


async def test_a_lost_lease_is_noticed_by_a_batch_that_writes_nothing(store, leases):
    await store.commit(Batch(leases))
    await store.claim("node-1", MINUTE_NS)
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases))


async def test_a_lost_lease_counts_more_than_a_conflict(store, leases):
    await store.commit(Batch(leases, [run("a")]))
    await store.claim("node-1", MINUTE_NS)
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, [run("a")]))


async def test_epochs_grow_over_restarts(database, store, leases):
    if database.kind in ("memory", "sqlite-memory"):
        pytest.skip("nothing outlives it")
    store = await database.reopen()
    again = await store.claim("node-1", MINUTE_NS)
    assert all(new.epoch > old.epoch for new, old in zip(again, leases, strict=True))
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, [run("a")]))


async def test_claims_and_commits_at_once_leave_one_owner(store):
    """Whatever the order: what is committed was committed under the lease that was current then."""
    seq = 0
    row = run("a")
    (lease, *rest) = await store.claim("node-1", MINUTE_NS)
    await store.commit(Batch((lease, *rest), [row]))
    for _ in range(20):
        leases = (lease, *rest)
        outcomes = await asyncio.gather(
            store.commit(Batch(leases, journal=[journal(row, seq + 1)])),
            store.claim("node-1", MINUTE_NS),
            return_exceptions=True,
        )
        (lease, *rest) = outcomes[1]
        (loaded,) = await store.load([key(row)])
        is_written = len(loaded.journal) == seq + 1
        assert is_written == (outcomes[0] is None)
        assert is_written or isinstance(outcomes[0], LeaseLost)
        seq = len(loaded.journal)


class TestShared:
    """Several nodes on one database."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def kind(self):
        return "postgresql"

    @pytest.fixture
    async def other(self, database, store):
        return await database.open()

    async def test_nobody_gets_what_another_holds(self, other, leases):
        assert await other.claim("node-2", MINUTE_NS) == ()

    async def test_what_is_released_is_free_at_once(self, store, other, leases):
        await store.release(leases)
        theirs = await other.claim("node-2", MINUTE_NS)
        assert [(lease.lo, lease.hi) for lease in theirs] == [(it.lo, it.hi) for it in leases]
        assert all(new.epoch > old.epoch for new, old in zip(theirs, leases, strict=True))
        with pytest.raises(LeaseLost):
            await store.renew(leases, MINUTE_NS)

    async def test_what_has_expired_is_free(self, store, other):
        leases = await store.claim("node-1", 0)
        theirs = await other.claim("node-2", MINUTE_NS)
        assert len(theirs) == len(leases)
        with pytest.raises(LeaseLost):
            await store.commit(Batch(leases, [run("a")]))
        assert await store.claim("node-1", MINUTE_NS) == ()

    async def test_what_has_expired_is_good_until_it_is_taken(self, store, other):
        leases = await store.claim("node-1", 0)
        await store.commit(Batch(leases, [run("a")]))
        await store.renew(leases, MINUTE_NS)
        assert await other.claim("node-2", MINUTE_NS) == ()

    async def test_a_refused_renewal_renews_nothing(self, postgres, url, store, other):
        split(postgres, url, 2)
        first, second = await store.claim("node-1", 0)
        with pytest.raises(LeaseLost):
            await store.renew([first, second._replace(epoch=second.epoch - 1)], MINUTE_NS)
        assert len(await other.claim("node-2", MINUTE_NS)) == 2

    async def test_the_clock_of_the_database_counts(self, postgres, url, store, other):
        leases = await store.claim("node-1", 3600 * 10**9)
        left = "extract(epoch FROM min(expires_at) - clock_timestamp())"
        database = url.rpartition("/")[2]
        assert 3590 < float(postgres.sql(f"SELECT {left} FROM ranges", database)) <= 3600
        await store.renew(leases, 60 * 10**9)
        assert 50 < float(postgres.sql(f"SELECT {left} FROM ranges", database)) <= 60
        postgres.sql("UPDATE ranges SET expires_at = clock_timestamp()", database)
        assert await other.claim("node-2", MINUTE_NS)

    async def test_one_of_many_gets_each_range(self, postgres, url, database):
        split(postgres, url, 16)
        stores = [await database.open() for _ in range(4)]
        claims = await asyncio.gather(
            *(store.claim(f"node-{number}", MINUTE_NS) for number, store in enumerate(stores))
        )
        held = sorted(lease for leases in claims for lease in leases)
        assert len(held) == 16
        assert [lease.lo for lease in held] == [0, *(lease.hi for lease in held[:-1])]

    async def test_ranges_can_be_lost_one_by_one(self, postgres, url, store, other):
        split(postgres, url, 16)
        leases = await store.claim("node-1", MINUTE_NS)
        await store.release(leases[3:5])
        theirs = await other.claim("node-2", MINUTE_NS)
        assert [lease.lo for lease in theirs] == [lease.lo for lease in leases[3:5]]
        with pytest.raises(LeaseLost):
            await store.commit(Batch(leases))
        await store.commit(Batch((*leases[:3], *leases[5:]), [run("a", shard_key=leases[9].lo)]))
        await other.commit(Batch(theirs, [run("b", shard_key=theirs[0].lo)]))

    async def test_rows_that_no_lease_covers_are_refused(self, postgres, url, store):
        split(postgres, url, 2)
        low, high = await store.claim("node-1", MINUTE_NS)
        row = run("a", shard_key=high.lo)
        for batch in (
            Batch((), [row]),
            Batch((low,), [row]),
            Batch((low,), journal=[journal(row, 1)]),
            Batch((low,), updates=[update(row)]),
            Batch((), visibility=[visibility(row.run_id)]),
        ):
            with pytest.raises(LeaseLost):
                await store.commit(batch)
        assert not await written(store, row)
        await store.commit(Batch((high,), [row]))
        await store.commit(Batch((low,), [row._replace(shard_key=high.lo - 1)]))

    async def test_a_claim_waits_for_a_commit_under_way(self, postgres, url, store, other):
        leases = await store.claim("node-1", 0)
        await store.commit(Batch(leases, [run("a")]))
        async with row_locked(url, "executions"):
            commit = asyncio.create_task(store.commit(Batch(leases, updates=[update_of("a")])))
            await until_waiting(url, 1)
            claim = asyncio.create_task(other.claim("node-2", MINUTE_NS))
            await until_waiting(url, 2)
            assert not claim.done()
        await commit
        theirs = await claim
        assert theirs[0].epoch == leases[0].epoch + 1
        (loaded,) = await other.load([key(run("a"))])
        assert loaded.row.status == 7

    async def test_a_commit_that_waited_for_a_claim_is_refused(self, url, store):
        leases = await store.claim("node-1", 0)
        async with row_locked(url, "ranges") as theirs:
            commit = asyncio.create_task(store.commit(Batch(leases, [run("a")])))
            await until_waiting(url, 1)
            await theirs.execute("UPDATE ranges SET owner = 'node-2', epoch = epoch + 1")
        with pytest.raises(LeaseLost):
            await commit
        assert not await written(store, run("a"))

    async def test_a_race_of_nodes_loses_and_doubles_nothing(self, database, store, other):
        """Two nodes take the range from one another while both commit: the journal has no gap and no fork."""
        row = run("a")
        await store.commit(Batch(await store.claim("node-1", 0), [row]))
        acknowledged: list[bytes] = []

        async def live(mine, name):
            for turn in count():
                if len(acknowledged) > 50:
                    return
                leases = await mine.claim(name, 0)
                (loaded,) = await mine.load([key(row)])
                seq = len(loaded.journal)
                for more in range(1, 4):
                    said = f"{name} {turn} {more}".encode()
                    try:
                        await mine.commit(
                            Batch(leases, journal=[journal(row, seq + more, events=said)])
                        )
                    except LeaseLost:
                        break
                    acknowledged.append(said)

        async with asyncio.timeout(60):
            await asyncio.gather(live(store, "node-1"), live(other, "node-2"))
        (loaded,) = await store.load([key(row)])
        assert [entry.seq for entry in loaded.journal] == list(range(1, len(loaded.journal) + 1))
        assert sorted(entry.events for entry in loaded.journal) == sorted(acknowledged)


async def test_the_model_of_a_shared_store_judges_expiry_by_its_clock():
    now_ns = 1000
    store = MemoryStore(now_ns=lambda: now_ns, ranges=4, is_shared=True)
    leases = await store.claim("node-1", 10)
    assert len(leases) == 4
    assert await store.claim("node-2", 10) == ()
    now_ns = 1010
    assert len(await store.claim("node-2", 10)) == 4
    with pytest.raises(LeaseLost):
        await store.commit(Batch(leases, [run("a")]))


def update_of(workflow_id):
    return update(run(workflow_id), status=7)


def split(postgres, url, count):
    """Make `count` ranges of the one that there is."""
    postgres.sql(
        "DELETE FROM ranges; INSERT INTO ranges"
        f" SELECT {SHARD_KEY_END} * i / {count}, {SHARD_KEY_END} * (i + 1) / {count}, '', 0, '-infinity'"
        f" FROM generate_series(0, {count - 1}) AS i",
        url.rpartition("/")[2],
    )


class row_locked:
    """Another session that has all rows of a table locked, until the end of the block."""

    def __init__(self, url, table):
        self._url, self._table = url, table

    async def __aenter__(self):
        self._connection = await asyncpg.connect(self._url)
        self._transaction = self._connection.transaction()
        await self._transaction.start()
        await self._connection.execute(f"SELECT 1 FROM {self._table} FOR UPDATE")
        return self._connection

    async def __aexit__(self, *error):
        await self._transaction.commit()
        await self._connection.close()


async def until_waiting(url, count):
    """Return when `count` sessions wait for a lock."""
    watcher = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(60):
            while (  # noqa: ASYNC110 (the database does not say when)
                await watcher.fetchval(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                < count
            ):
                await asyncio.sleep(0.01)
    finally:
        await watcher.close()
