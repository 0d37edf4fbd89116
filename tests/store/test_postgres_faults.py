"""PostgreSQL goes away in the middle of things: what was acknowledged stays, and work goes on without a restart."""

import asyncio

import asyncpg
import pytest

from perdure.store import schema
from perdure.store.open import open_store
from perdure.store.port import Batch, LoadedRun, StoreError, Unavailable
from perdure.store.postgres import connections, statements
from perdure.store.postgres.store import PostgresStore
from tests.postgres import running_postgres
from tests.store.rows import MINUTE_NS, journal, key, run, visibility
from tests.store.test_leases import row_locked, until_waiting

pytestmark = pytest.mark.slow
PATIENCE_S = 60


@pytest.fixture
def kind():
    return "postgresql"


@pytest.fixture
def own_server():
    """A server that no other test uses: it may be stopped."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def own_store(own_server):
    url = own_server.new_database()
    await schema.upgrade(url)
    store = open_store(url)
    await store.open()
    yield store
    await store.close()


async def terminate_all(url):
    """End every other session of the database, and return how many there were."""
    connection = await asyncpg.connect(url)
    try:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    finally:
        await connection.close()
    return len(ended)


async def terminate_waiting(url):
    """End the sessions that wait for a lock; return when they are gone."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    finally:
        await connection.close()


async def insisted(ask):
    """Ask until the store can be reached, as the runtime does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.05)


async def reclaimed(store):
    return await insisted(lambda: store.claim("node-1", MINUTE_NS))


async def test_a_read_survives_the_end_of_its_idle_connection(url, store, leases):
    await store.commit(Batch(leases, [run("a")]))
    assert await terminate_all(url) >= 1
    assert await store.load([key(run("a"))]) == [LoadedRun(run("a"), [])]


async def test_reads_survive_the_end_of_their_connections_at_any_moment(url, store, leases):
    await store.commit(Batch(leases, [run("a")]))
    for _ in range(5):
        reads = [asyncio.create_task(store.load([key(run("a"))])) for _ in range(20)]
        await terminate_all(url)
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        unexpected = [
            outcome
            for outcome in outcomes
            if outcome != [LoadedRun(run("a"), [])] and not isinstance(outcome, Unavailable)
        ]
        assert unexpected == []
        assert await store.load([key(run("a"))]) == [LoadedRun(run("a"), [])]


async def test_a_commit_whose_connection_ends_is_unavailable_or_done(url, store, leases):
    row, seq = run("a"), 0
    await store.commit(Batch(leases, [row]))
    for _ in range(10):
        commit = asyncio.create_task(store.commit(Batch(leases, journal=[journal(row, seq + 1)])))
        await terminate_all(url)
        (outcome,) = await asyncio.gather(commit, return_exceptions=True)
        assert outcome is None or isinstance(outcome, Unavailable)
        leases = await reclaimed(store)
        (loaded,) = await store.load([key(row)])
        assert len(loaded.journal) in ((seq, seq + 1) if outcome is not None else (seq + 1,))
        seq = len(loaded.journal)
    await store.commit(Batch(leases, journal=[journal(row, seq + 1)]))


async def test_a_commit_that_is_ended_while_it_waits_wrote_nothing(url, store, leases):
    row = run("a")
    async with row_locked(url, "ranges"):
        commit = asyncio.create_task(
            store.commit(Batch(leases, [row], [journal(row, 1)], [], [visibility(row.run_id)]))
        )
        await until_waiting(url, 1)
        await terminate_waiting(url)
        with pytest.raises(Unavailable) as error:
            await commit
        assert "\n" not in str(error.value)
    leases = await store.claim("node-1", MINUTE_NS)
    assert await store.load([key(row)]) == [None]
    assert await store.count_visibility("namespace-1") == 0
    await store.commit(Batch(leases, [row], [journal(row, 1)]))


async def test_a_cancelled_commit_that_waits_writes_nothing(url, store, leases):
    row = run("a")
    async with row_locked(url, "ranges"):
        commit = asyncio.create_task(store.commit(Batch(leases, [row])))
        await until_waiting(url, 1)
        commit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await commit
    leases = await store.claim("node-1", MINUTE_NS)
    assert await store.load([key(row)]) == [None]
    await store.commit(Batch(leases, [row]))


async def test_what_takes_too_long_is_given_up(url, monkeypatch, store):
    """A lock that nobody gives back holds a claim up for as long as a statement may take, and no longer."""
    monkeypatch.setattr(
        statements, "OPENING", f"{statements.OPENING}; SET statement_timeout = '1s'"
    )
    hasty = open_store(url)
    await hasty.open()
    async with row_locked(url, "ranges"):
        with pytest.raises(Unavailable, match="timeout"):
            await hasty.claim("node-1", MINUTE_NS)
    assert await reclaimed(hasty)
    await hasty.close()


async def test_a_server_that_says_nothing_is_given_up(monkeypatch, own_server):
    monkeypatch.setattr(connections, "COMMAND_TIMEOUT_S", 1)
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_S", 1)
    url = own_server.new_database()
    await schema.upgrade(url)
    store = open_store(url)
    await store.open()
    leases = await reclaimed(store)
    own_server.pause()
    try:
        async with asyncio.timeout(PATIENCE_S):
            for ask in (
                lambda: store.commit(Batch(leases, [run("a")])),
                lambda: store.load([key(run("a"))]),
                lambda: store.claim("node-1", MINUTE_NS),
            ):
                with pytest.raises(Unavailable):
                    await ask()
    finally:
        own_server.resume()
    leases = await reclaimed(store)
    if await insisted(lambda: store.load([key(run("a"))])) == [None]:
        await store.commit(Batch(leases, [run("a")]))
    assert await insisted(lambda: store.load([key(run("a"))])) == [LoadedRun(run("a"), [])]
    await store.close()


async def test_a_stopped_server_is_unavailable_and_a_started_one_works(own_server, own_store):
    leases = await own_store.claim("node-1", MINUTE_NS)
    await own_store.commit(Batch(leases, [run("a")]))
    own_server.stop()
    for ask in (
        lambda: own_store.commit(Batch(leases, [run("b")])),
        lambda: own_store.load([key(run("a"))]),
        lambda: own_store.claim("node-1", MINUTE_NS),
        lambda: own_store.renew(leases, MINUTE_NS),
        lambda: own_store.release(leases),
        lambda: own_store.due(0, 1, (0, ""), 1, 1),
        lambda: own_store.history(0, "", after_seq=0, limit=1),
        lambda: own_store.list_visibility("", limit=1, after=None),
        lambda: own_store.count_visibility(""),
        own_store.namespaces,
        lambda: own_store.cluster_id("x"),
    ):
        with pytest.raises(Unavailable) as error:
            await ask()
        assert "\n" not in str(error.value)
    own_server.start()
    assert await own_store.load([key(run("a")), key(run("b"))]) == [LoadedRun(run("a"), []), None]
    await own_store.renew(leases, MINUTE_NS)
    await own_store.commit(Batch(leases, [run("b")]))


async def test_what_was_acknowledged_outlives_a_crash_of_the_server(own_server, own_store):
    row = run("a")
    leases = await own_store.claim("node-1", MINUTE_NS)
    await own_store.commit(Batch(leases, [row]))
    acknowledged = 0
    enough = asyncio.Event()

    async def write():
        nonlocal acknowledged
        while True:
            await own_store.commit(Batch(leases, journal=[journal(row, acknowledged + 1)]))
            acknowledged += 1
            if acknowledged >= 50:
                enough.set()

    writing = asyncio.create_task(write())
    async with asyncio.timeout(PATIENCE_S):
        await enough.wait()
    await asyncio.to_thread(own_server.stop, "immediate")
    with pytest.raises(Unavailable):
        await writing
    await asyncio.to_thread(own_server.start)
    leases = await reclaimed(own_store)
    (loaded,) = await own_store.load([key(row)])
    assert len(loaded.journal) in (acknowledged, acknowledged + 1)
    await own_store.commit(Batch(leases, journal=[journal(row, len(loaded.journal) + 1)]))


async def test_a_long_list_does_not_hold_up_commits(url, store, leases):
    """Reads leave connections free, however many there are."""
    async with row_locked(url, "namespaces") as blocker:
        await blocker.execute("LOCK TABLE visibility IN ACCESS EXCLUSIVE MODE")
        lists = [
            asyncio.create_task(store.list_visibility("n", limit=1, after=None)) for _ in range(20)
        ]
        await until_waiting(url, 2)
        await store.commit(Batch(leases, [run("a")]))
        await store.renew(leases, MINUTE_NS)
        assert not any(each.done() for each in lists)
    assert await asyncio.gather(*lists) == [[]] * 20


async def test_a_read_whose_session_is_ended_is_asked_again(url, store, leases):
    async with row_locked(url, "namespaces") as blocker:
        await blocker.execute("LOCK TABLE visibility IN ACCESS EXCLUSIVE MODE")
        read = asyncio.create_task(store.list_visibility("n", limit=1, after=None))
        await until_waiting(url, 1)
        await terminate_waiting(url)
        await until_waiting(url, 1)
    assert await read == []


async def test_one_dead_connection_makes_all_others_suspect(url, store, leases):
    async def sessions():
        ask = "SELECT pg_backend_pid() FROM pg_sleep(0.1)"
        return {rows[0][0] for rows in await asyncio.gather(*[store._fetch(ask) for _ in range(2)])}

    before = await sessions()
    assert await sessions() == before
    async with row_locked(url, "ranges"):
        commit = asyncio.create_task(store.commit(Batch(leases, [run("a")])))
        await until_waiting(url, 1)
        await terminate_waiting(url)
        with pytest.raises(Unavailable):
            await commit
    assert not before & await sessions()


async def test_sessions_are_set_up_for_durability(url, postgres):
    database = url.rpartition("/")[2]
    postgres.sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    postgres.sql(f"ALTER DATABASE {database} SET default_transaction_isolation = serializable")
    store = PostgresStore(url, pool_size=1)
    await store.open()
    (found,) = await store._fetch(
        "SELECT current_setting('synchronous_commit'), current_setting('transaction_isolation')"
    )
    assert tuple(found) == ("on", "read committed")
    await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://postgres@127.0.0.1:1/perdure",
        "postgresql://postgres@127.0.0.1:not-a-port/perdure",
        "postgresql://postgres:secret@127.0.0.1:{port}/no_such_database",
        "postgresql://postgres@127.0.0.1:{port}/perdure?sslmode=require",
    ],
    ids=["no server", "no port", "no database", "no TLS"],
)
async def test_what_cannot_be_opened_is_one_clear_line(postgres, url):
    url = url.format(port=postgres.port)
    for refused in (open_store(url).open, lambda: schema.version(url), lambda: schema.upgrade(url)):
        with pytest.raises(StoreError) as error:
            await refused()
        assert "\n" not in str(error.value)
        assert len(str(error.value)) > len("PostgreSQL: ")
        assert "secret" not in str(error.value)
