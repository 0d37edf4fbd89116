"""Tables move forward with the data in them; what this version does not know is left alone."""

import asyncio
import sqlite3
from contextlib import closing

import asyncpg
import pytest

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.store import schema
from perdure.store.migrations import Migration
from perdure.store.open import open_store, sqlite_path
from perdure.store.port import NEVER_NS, Batch, ExecutionRow, LoadedRun, StoreError
from perdure.store.postgres import migrations as postgres_schema
from perdure.store.sqlite import schema as sqlite_schema
from tests.store.conftest import LASTING
from tests.store.rows import MINUTE_NS, journal, key, run, visibility

NEWEST = {"sqlite-file": sqlite_schema.NEWEST, "postgresql": postgres_schema.NEWEST}


@pytest.fixture(params=LASTING)
def kind(request):
    return request.param


@pytest.fixture
def url(kind, request, tmp_path):
    """Return a database without tables."""
    if kind == "sqlite-file":
        yield f"sqlite:///{tmp_path / 'perdure.db'}"
        return
    server = request.getfixturevalue("postgres")
    url = server.new_database()
    yield url
    server.drop_database(url)


async def sql(url, statement):
    """Run `statement` behind perdure's back; return the first value of the first row."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as db:
            return (db.execute(statement).fetchone() or [None])[0]
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


EMPTY = {"sqlite-file": "x''", "postgresql": "''"}
INSERT_RUN = (
    "INSERT INTO executions (shard_key, namespace_id, workflow_id, run_id, run_number, status, due_at_ns, snapshot,"
    " snapshot_seq) VALUES (7, 'n', 'w', 'r{number}', {number}, 1, 9, {blob}, 0)"
)
INSERT_VISIBILITY = (
    "INSERT INTO visibility (namespace_id, run_id, workflow_id, workflow_type, task_queue, status, start_time_ns,"
    " execution_time_ns, close_time_ns, history_length, history_size_bytes, state_transition_count, memo,"
    " search_attributes, parent_workflow_id, parent_run_id, root_workflow_id, root_run_id)"
    " VALUES ('n', 'r{number}', 'w', 't', 'q', 1, {number}, 1, 9223372036854775807, 0, 0, 0, {blob}, {blob}, '', '', '', '')"
)


async def upgrade_with(url, steps):
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as db:
            return sqlite_schema.migrate(db, tuple(steps))
    return await postgres_schema.upgrade(url, steps)


def known_steps(kind):
    return (sqlite_schema if kind == "sqlite-file" else postgres_schema).MIGRATIONS


async def test_from_nothing_to_the_newest(kind, url):
    assert await schema.version(url) is None
    with pytest.raises(StoreError, match="perdure schema setup"):
        await schema.check(url)
    assert await schema.upgrade(url) == (0, NEWEST[kind])
    assert await schema.version(url) == NEWEST[kind]
    await schema.check(url)
    assert await schema.upgrade(url) == (NEWEST[kind], NEWEST[kind])


async def test_two_upgrades_at_once_are_one(kind, url):
    if kind != "postgresql":
        pytest.skip("a file lets one process in")
    outcomes = await asyncio.gather(*(schema.upgrade(url) for _ in range(4)))
    assert sorted(outcomes) == [(0, NEWEST[kind]), *[(NEWEST[kind], NEWEST[kind])] * 3]


async def filled(url):
    """Write some rows and return what must be found again."""
    store = open_store(url)
    await store.open()
    leases = await store.claim("node-1", MINUTE_NS)
    rows = [run(f"{name}", due_at_ns=name) for name in range(40)]
    await store.commit(
        Batch(
            leases,
            rows,
            [journal(row, seq) for row in rows for seq in (1, 2)],
            visibility=[visibility(row.run_id) for row in rows],
        )
    )
    await store.release(leases)
    await store.close()
    return [LoadedRun(row, [journal(row, 1), journal(row, 2)]) for row in rows]


async def test_rows_survive_every_upgrade(kind, url):
    """From each version that there was, with rows, to the newest and to one that is still to come."""
    await schema.upgrade(url)
    expected = await filled(url)
    to_come = Migration(
        NEWEST[kind] + 1,
        "to_come",
        "ALTER TABLE executions ADD COLUMN new_thing text NOT NULL DEFAULT 'x';"
        " CREATE INDEX new_index ON visibility (workflow_id);",
    )
    steps = [*known_steps(kind), to_come]
    assert await upgrade_with(url, steps) == (NEWEST[kind], NEWEST[kind] + 1)
    assert await sql(url, "SELECT count(*) FROM executions WHERE new_thing = 'x'") == 40
    # Take the number back by hand: the rows can then be read through the store that this version has.
    await set_version(url, NEWEST[kind])
    store = open_store(url)
    await store.open()
    assert await store.load([key(loaded.row) for loaded in expected]) == expected
    assert await store.count_visibility("namespace-1") == 40
    assert len(await store.due(0, 2**32, (0, ""), 100, 100)) == 40
    await store.close()


async def test_rows_from_before_archetypes_are_workflows(kind, url):
    steps = known_steps(kind)
    names = [step.name for step in steps]
    await upgrade_with(url, steps[: names.index("archetype")])
    for number in (1, 2):
        for insert in (INSERT_RUN, INSERT_VISIBILITY):
            await sql(url, insert.format(number=number, blob=EMPTY[kind]))
    await schema.upgrade(url)
    store = open_store(url)
    await store.open()
    try:
        [current, first] = await store.load(
            [ExecutionKey(7, WORKFLOW, "n", "w", run_id) for run_id in ("", "r1")]
        )
        assert current.row == ExecutionRow(7, WORKFLOW, "n", "w", "r2", 2, 1, 9, b"", 0)
        assert first.row.run_id == "r1"
        assert await store.load([ExecutionKey(7, 1, "n", "w", "r1")]) == [None]
        assert [each.key.archetype for each in await store.due(0, 2**32, (0, ""), 10, 9)] == [0, 0]
        listed = await store.list_visibility("n", limit=9, after=None)
        assert [(row.run_id, row.archetype) for row in listed] == [("r2", 0), ("r1", 0)]
        assert await store.count_visibility("n") == 2
        leases = await store.claim("node-1", MINUTE_NS)
        await store.commit(
            Batch(leases, visibility=[visibility("r3", namespace_id="n")], deletes=[first.row.key])
        )
        assert await store.count_visibility("n") == 2
        [found, _] = await store.longest_closed("n", until_ns=NEVER_NS, limit=9, after=None)
        assert found.place == (WORKFLOW, NEVER_NS, 2, "r2")
        assert await store.has_external_visibility() is False
    finally:
        await store.close()


async def test_a_step_that_fails_changes_nothing(kind, url):
    await schema.upgrade(url)
    expected = await filled(url)
    steps = [
        *known_steps(kind),
        Migration(
            NEWEST[kind] + 1, "bad", "DELETE FROM journal; SELECT no_such_column FROM journal;"
        ),
    ]
    with pytest.raises(StoreError):
        await upgrade_with(url, steps)
    assert await schema.version(url) == NEWEST[kind]
    store = open_store(url)
    await store.open()
    assert await store.load([key(loaded.row) for loaded in expected]) == expected
    await store.close()


async def set_version(url, number):
    if url.startswith("sqlite"):
        await sql(url, f"PRAGMA user_version = {number}")
    elif number > await schema.version(url):
        await sql(url, f"INSERT INTO schema_version VALUES ({number}, now())")
    else:
        await sql(url, f"DELETE FROM schema_version WHERE version > {number}")


async def test_newer_tables_are_refused_and_left_alone(kind, url):
    await schema.upgrade(url)
    await set_version(url, 99)
    for refused in (open_store(url).open, lambda: schema.check(url), lambda: schema.upgrade(url)):
        with pytest.raises(StoreError, match="newer") as error:
            await refused()
        assert "99" in str(error.value)
        assert "\n" not in str(error.value)
    assert await schema.version(url) == 99


class TestServer:
    """A server's tables are changed by `perdure schema` alone: opening them changes nothing."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def kind(self):
        return "postgresql"

    async def test_without_tables(self, url):
        with pytest.raises(StoreError, match="perdure schema setup") as error:
            await open_store(url).open()
        assert "\n" not in str(error.value)
        assert await schema.version(url) is None

    async def test_older_tables(self, url, monkeypatch):
        await schema.upgrade(url)
        monkeypatch.setattr(postgres_schema, "NEWEST", 98)
        with pytest.raises(StoreError, match="perdure schema upgrade"):
            await open_store(url).open()
        with pytest.raises(StoreError, match="perdure schema upgrade"):
            await schema.check(url)

    async def test_tables_of_another_program(self, url):
        await sql(url, "CREATE TABLE executions (theirs text)")
        with pytest.raises(StoreError):
            await schema.upgrade(url)
        assert await schema.version(url) is None
        assert await sql(url, "SELECT count(theirs) FROM executions") == 0
