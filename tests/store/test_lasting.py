"""A file or a database server keeps the data while no process has it open; and who may open it."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from perdure.store.open import open_store
from perdure.store.port import Batch, LoadedRun, StoreError
from tests.store.conftest import LASTING
from tests.store.rows import MINUTE_NS, journal, key, namespace, run, update, visibility


@pytest.fixture(params=LASTING)
def kind(request):
    return request.param


async def test_reopening_keeps_everything(database, store, leases):
    a, b = run("a"), run("b", due_at_ns=5)
    await store.commit(Batch(leases, [a, b], [journal(a, 1), journal(a, 2), journal(b, 1)]))
    await store.commit(
        Batch(
            leases,
            updates=[update(a, snapshot=b"s", snapshot_seq=1)],
            visibility=[visibility(a.run_id), visibility(b.run_id, close_time_ns=3)],
        )
    )
    await store.put_namespace(namespace("n"))
    await store.cluster_id("first")
    await store.release(leases)

    store = await database.reopen()
    assert await store.load([key(a), key(b, "")]) == [
        LoadedRun(a._replace(snapshot=b"s", snapshot_seq=1), [journal(a, 2)]),
        LoadedRun(b, [journal(b, 1)]),
    ]
    assert [
        row.seq for row in await store.history(a.shard_key, a.run_id, after_seq=0, limit=9)
    ] == [
        1,
        2,
    ]
    assert [row.key for row in await store.due(0, 2**32, (0, ""), 9, 9)] == [key(a), key(b)]
    assert await store.list_visibility("namespace-1", limit=9, after=None) == [
        visibility(a.run_id),
        visibility(b.run_id, close_time_ns=3),
    ]
    assert await store.namespaces() == [namespace("n")]
    assert await store.cluster_id("second") == "first"
    await store.commit(Batch(await store.claim("node-1", MINUTE_NS), journal=[journal(a, 3)]))


COMMIT_AND_DIE = """
import asyncio, os, sys
from perdure.store.open import open_store
from perdure.store.port import Batch
from tests.store.rows import journal, run

async def main():
    store = open_store(sys.argv[1])
    await store.open()
    leases = await store.claim("node-1", 0)
    await store.commit(Batch(leases, [run("a")]))
    for seq in range(1, 10**9):
        await store.commit(Batch(leases, journal=[journal(run("a"), seq)]))
        print(seq, flush=True)

asyncio.run(main())
"""


OPEN_AND_STAY = """
import asyncio, sys
from perdure.store.open import open_store

async def main():
    await open_store(sys.argv[1]).open()
    print("open", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def another_process(code, url):
    return subprocess.Popen(
        [sys.executable, "-c", code, url],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


async def test_what_was_acknowledged_outlives_a_killed_process(database, url, store):
    await database.close()
    with another_process(COMMIT_AND_DIE, url) as process:
        for _ in range(50):
            process.stdout.readline()
        process.kill()
        seen = [int(line) for line in process.stdout if line.endswith("\n")]
    store = await database.open()
    leases = await store.claim("node-2", MINUTE_NS)
    (loaded,) = await store.load([key(run("a"))])
    assert [row.seq for row in loaded.journal] == list(range(1, len(loaded.journal) + 1))
    assert len(loaded.journal) >= (seen[-1] if seen else 50)
    await store.commit(Batch(leases, journal=[journal(run("a"), len(loaded.journal) + 1)]))


class TestFile:
    @pytest.fixture
    def kind(self):
        return "sqlite-file"

    async def test_a_file_in_use_is_refused(self, url, store):
        with pytest.raises(StoreError, match="in use") as refused:
            await open_store(url).open()
        assert "\n" not in str(refused.value)

    async def test_a_file_in_use_by_another_process_is_refused(self, database, url, store):
        await database.close()
        with another_process(OPEN_AND_STAY, url) as process:
            assert process.stdout.readline() == "open\n"
            with pytest.raises(StoreError, match="in use"):
                await database.open()
            process.kill()
        await (await database.open()).namespaces()

    async def test_a_closed_file_may_be_opened_again(self, database, store):
        for _ in range(3):
            store = await database.reopen()
        assert await store.namespaces() == []

    async def test_what_is_no_database_is_refused(self, tmp_path):
        path = tmp_path / "text"
        path.write_text("no database at all, but long enough to have a header" * 20)
        with pytest.raises(StoreError) as refused:
            await open_store(f"sqlite:///{path}").open()
        assert str(path) in str(refused.value)
        assert path.read_text().startswith("no database")

    async def test_a_database_of_another_program_is_refused(self, tmp_path):
        path = tmp_path / "other.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (a)")
        with pytest.raises(StoreError, match="another program"):
            await open_store(f"sqlite:///{path}").open()

    async def test_a_folder_that_does_not_exist_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="missing"):
            await open_store(f"sqlite:///{tmp_path}/missing/perdure.db").open()


@pytest.mark.parametrize("url", ["mysql://host/db", "perdure.db", ""])
def test_a_url_that_no_store_knows_is_refused(url):
    with pytest.raises(StoreError):
        open_store(url)


async def test_many_stores_on_one_server_see_one_another(database, store, leases):
    if not database.is_shared:
        pytest.skip("one process has it for itself")
    other = await database.open()
    await store.commit(Batch(leases, [run("a")]))
    assert await other.load([key(run("a"))]) == [LoadedRun(run("a"), [])]
    assert await asyncio.gather(store.cluster_id("x"), other.cluster_id("x")) == ["x", "x"]
