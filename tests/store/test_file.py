"""The file of a SQLite database: whose it is, and what happens when it goes."""

import pytest

from perdure.store.open import open_store
from perdure.store.port import Batch, LoadedRun, StoreError, Unavailable
from tests.store.rows import MINUTE_NS, key, run


@pytest.fixture
def kind():
    return "sqlite-file"


@pytest.fixture
def file(url, tmp_path):
    return tmp_path / "perdure.db"


@pytest.mark.parametrize("becomes", ["nothing", "another file"])
async def test_nothing_is_said_to_be_written_to_a_file_that_is_gone(store, leases, file, becomes):
    await store.commit(Batch(leases, [run("a")]))
    kept = file.with_suffix(".kept")
    file.rename(kept)
    if becomes == "another file":
        file.touch()
    with pytest.raises(Unavailable, match="the file is gone"):
        await store.commit(Batch(leases, [run("b")]))
    with pytest.raises(Unavailable, match="the file is gone"):
        await store.renew(leases, MINUTE_NS)
    with pytest.raises(Unavailable, match="the file is gone"):
        await store.claim("node-1", MINUTE_NS)
    kept.rename(file)
    leases = await store.claim("node-1", MINUTE_NS)
    await store.commit(Batch(leases, [run("c")]))
    assert await store.load([key(run("a")), key(run("b"))]) == [LoadedRun(run("a"), []), None]


async def test_a_file_has_one_process_whatever_name_it_goes_by(store, leases, file, tmp_path):
    other = tmp_path / "other.db"
    other.symlink_to(file)
    with pytest.raises(StoreError, match="in use by another process"):
        await open_store(f"sqlite:///{other}").open()
    await store.commit(Batch(leases, [run("a")]))
