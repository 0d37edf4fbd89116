"""Leases are renewed apart from everything else that a store does, from another thread."""

import asyncio
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from perdure.store.port import Batch, LeaseLost, Unavailable
from tests.store.conftest import KINDS
from tests.store.rows import MINUTE_NS, journal, key, run, update
from tests.store.test_leases import row_locked, until_waiting
from tests.store.test_postgres_faults import own_server, own_store, terminate_all

__all__ = ["own_server", "own_store"]


@pytest.fixture(params=KINDS[1:])
def kind(request):
    return request.param


@contextmanager
def renewing(store):
    """Return the function that renews over a path of its own, in a thread of its own."""
    path = store.renewal_path()
    with ThreadPoolExecutor(1) as thread:

        async def renew(leases, ttl_ns=MINUTE_NS):
            await asyncio.get_running_loop().run_in_executor(thread, path.renew, leases, ttl_ns)

        try:
            yield renew
        finally:
            thread.submit(path.close).result()


@pytest.fixture
def renew(store):
    with renewing(store) as renew:
        yield renew


async def test_what_is_held_is_renewed(store, leases, renew):
    await renew(leases)
    await store.commit(Batch(leases, [run("a")]))
    await renew(leases)


async def test_an_older_epoch_is_refused(store, leases, renew):
    again = await store.claim("node-1", MINUTE_NS)
    with pytest.raises(LeaseLost):
        await renew(leases)
    await renew(again)


async def test_what_was_released_is_refused(store, leases, renew):
    await store.release(leases)
    with pytest.raises(LeaseLost):
        await renew(leases)


async def test_a_closed_path_opens_again(store, leases):
    path = store.renewal_path()

    def renew():
        path.renew(leases, MINUTE_NS)
        path.close()

    for _ in range(2):
        await asyncio.to_thread(renew)


class TestFile:
    @pytest.fixture
    def kind(self):
        return "sqlite-file"

    async def test_a_busy_writer_does_not_hold_it_up(self, store, leases, renew):
        may_go_on = threading.Event()

        def work(db):
            db.execute("UPDATE cluster SET owner = owner")
            assert may_go_on.wait(60)

        writing = asyncio.create_task(store._write(work))
        reading = asyncio.create_task(store._read(lambda db: may_go_on.wait(60)))
        await renew(leases)
        assert not writing.done()
        may_go_on.set()
        await writing
        await reading

    async def test_another_process_that_has_got_round_the_lock_is_noticed(
        self, store, leases, renew, tmp_path
    ):
        await renew(leases)
        with closing(sqlite3.connect(tmp_path / "perdure.db", isolation_level=None)) as other:
            other.execute("UPDATE cluster SET owner = 'node-2', epoch = epoch + 1")
        with pytest.raises(LeaseLost):
            await renew(leases)

    async def test_a_file_that_is_gone_is_noticed(self, store, leases, renew, tmp_path):
        await renew(leases)
        file = tmp_path / "perdure.db"
        kept = file.with_suffix(".kept")
        file.rename(kept)
        with pytest.raises(Unavailable, match="the file is gone"):
            await renew(leases)
        kept.rename(file)
        await renew(leases)


class TestPostgres:
    pytestmark = pytest.mark.slow

    @pytest.fixture
    def kind(self):
        return "postgresql"

    @pytest.fixture
    async def other(self, database, store):
        return await database.open()

    async def test_what_has_expired_is_renewed_until_another_claims_it(self, store, other):
        with renewing(store) as renew:
            leases = await store.claim("node-1", 0)
            await renew(leases)
            assert await other.claim("node-2", MINUTE_NS) == ()
            await renew(leases, 0)
            assert await other.claim("node-2", MINUTE_NS)
            with pytest.raises(LeaseLost):
                await renew(leases)

    async def test_a_pool_of_slow_statements_does_not_hold_it_up(self, url, store, leases, renew):
        """Every connection of the pool waits for a lock, a commit's too."""
        async with row_locked(url, "namespaces") as blocker:
            await blocker.execute("LOCK TABLE visibility, executions IN ACCESS EXCLUSIVE MODE")
            slow = [
                asyncio.create_task(store.list_visibility("n", limit=1, after=None))
                for _ in range(4)
            ]
            commits = [
                asyncio.create_task(store.commit(Batch(leases, [run(f"w{number}")])))
                for number in range(3)
            ]
            await until_waiting(url, 4)
            for _ in range(3):
                await renew(leases)
            assert not any(each.done() for each in (*slow, *commits))
        await asyncio.gather(*slow, *commits)

    async def test_a_renewal_and_a_commit_do_not_wait_for_each_other(self, url, store, leases):
        await store.commit(Batch(leases, [run("a")]))
        with renewing(store) as renew:
            async with row_locked(url, "executions"):
                commit = asyncio.create_task(
                    store.commit(Batch(leases, updates=[update(run("a"))]))
                )
                await until_waiting(url, 1)
                await renew(leases)
                assert not commit.done()
            await commit

    async def test_a_claim_waits_for_a_commit_that_began_before_a_renewal(
        self, url, store, other, leases
    ):
        """The renewal makes a new version of the row, and the commit's lock goes over to that."""
        await store.commit(Batch(leases, [run("a")]))
        with renewing(store) as renew:
            async with row_locked(url, "executions"):
                batch = Batch(leases, updates=[update(run("a"), status=7)])
                commit = asyncio.create_task(store.commit(batch))
                await until_waiting(url, 1)
                for _ in range(3):
                    await renew(leases, 0)
                claim = asyncio.create_task(other.claim("node-2", MINUTE_NS))
                await until_waiting(url, 2)
                assert not claim.done()
            await commit
            assert (await claim)[0].epoch == leases[0].epoch + 1
            [loaded] = await other.load([key(run("a"))])
            assert loaded.row.status == 7
            with pytest.raises(LeaseLost):
                await store.commit(batch)

    async def test_a_race_of_claims_commits_and_renewals_loses_and_doubles_nothing(
        self, store, other
    ):
        row = run("a")
        await store.commit(Batch(await store.claim("node-1", 0), [row]))
        acknowledged = []
        held = {}

        async def renew_for_ever(mine, name):
            with renewing(mine) as renew:
                while len(acknowledged) <= 60:
                    try:
                        await renew(held[name], 0)
                    except LeaseLost:
                        await asyncio.sleep(0)

        async def live(mine, name):
            turn = 0
            while len(acknowledged) <= 60:
                turn += 1
                leases = held[name] = await mine.claim(name, 0)
                if not leases:
                    continue
                [loaded] = await mine.load([key(row)])
                seq = len(loaded.journal)
                for more in range(1, 4):
                    said = f"{name} {turn} {more}".encode()
                    rows = [journal(row, seq + more, events=said)]
                    try:
                        await mine.commit(Batch(leases, journal=rows))
                    except LeaseLost:
                        break
                    acknowledged.append(said)

        held["node-1"] = await store.claim("node-1", 0)
        held["node-2"] = await other.claim("node-2", 0)
        async with asyncio.timeout(60):
            await asyncio.gather(
                live(store, "node-1"),
                live(other, "node-2"),
                renew_for_ever(store, "node-1"),
                renew_for_ever(other, "node-2"),
            )
        [loaded] = await other.load([key(row)])
        assert [entry.seq for entry in loaded.journal] == list(range(1, len(loaded.journal) + 1))
        assert sorted(entry.events for entry in loaded.journal) == sorted(acknowledged)

    async def test_a_connection_that_has_ended_is_replaced_at_once(self, url, leases, renew):
        await renew(leases)
        assert await terminate_all(url)
        await renew(leases)

    async def test_a_server_that_is_away_or_silent_is_noticed(self, own_server, own_store):
        leases = await own_store.claim("node-1", MINUTE_NS)
        with renewing(own_store) as renew:
            await renew(leases)
            own_server.stop()
            with pytest.raises(Unavailable):
                await renew(leases)
            own_server.start()
            await renew(leases)
            own_server.pause()
            try:
                for _ in range(2):
                    with pytest.raises(Unavailable):
                        await renew(leases)
            finally:
                own_server.resume()
            await renew(leases)
