"""The store gives the space of deleted rows back, little by little, and the others stay readable."""

import sqlite3
from pathlib import Path

import pytest

from perdure.store.port import Batch
from perdure.store.sqlite.transactions import KEPT_FREE_PART, SHRINK_PAGES_MAX
from tests.store.rows import journal, key, run, visibility

RUNS = [run(f"w{number}") for number in range(200)]
PAGE_BYTES = 4096


async def write(store, leases):
    rows = [journal(row, 1, events=b"x" * 20_000) for row in RUNS]
    await store.commit(
        Batch(leases, list(RUNS), rows, visibility=[visibility(row.run_id) for row in RUNS])
    )


async def shrunk(store):
    steps = 0
    while await store.shrink():
        steps += 1
    return steps


async def test_what_is_left_is_there(store, leases):
    assert await shrunk(store) == 0
    await write(store, leases)
    assert await shrunk(store) == 0
    await store.commit(Batch(leases, deletes=[key(row) for row in RUNS[1:]]))
    await shrunk(store)
    (left,) = await store.load([key(RUNS[0])])
    assert left.journal == [journal(RUNS[0], 1, events=b"x" * 20_000)]
    assert await store.load([key(row) for row in RUNS[1:]]) == [None] * (len(RUNS) - 1)
    assert await store.count_visibility("namespace-1") == 1
    # And it can be written to.
    await store.commit(Batch(leases, [RUNS[1]], [journal(RUNS[1], 1)]))


def size(url):
    return Path(url.removeprefix("sqlite:///")).stat().st_size


@pytest.mark.parametrize("kind", ["sqlite-file"])
async def test_the_file_becomes_smaller(database, kind, url):
    store = await database.open()
    leases = await store.claim("node-1", 10**10)
    await write(store, leases)
    await database.reopen()
    full = size(url)
    store = await database.reopen()
    leases = await store.claim("node-1", 10**10)
    await store.commit(Batch(leases, deletes=[key(row) for row in RUNS[1:]]))
    steps = await shrunk(store)
    assert steps >= full // PAGE_BYTES // SHRINK_PAGES_MAX // 2
    await database.close()
    assert size(url) < full / KEPT_FREE_PART


@pytest.mark.parametrize("kind", ["sqlite-file"])
async def test_a_file_of_before_uses_its_free_pages_again(database, kind, url):
    """It was made without `auto_vacuum`: it does not become smaller, and it does not grow either."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("DROP TABLE t")
    db.close()
    store = await database.open()
    leases = await store.claim("node-1", 10**10)
    await write(store, leases)
    store = await database.reopen()
    full = size(url)
    leases = await store.claim("node-1", 10**10)
    await store.commit(Batch(leases, deletes=[key(row) for row in RUNS]))
    assert not await store.shrink()
    await write(store, leases)
    await database.close()
    assert size(url) <= full * 1.1
