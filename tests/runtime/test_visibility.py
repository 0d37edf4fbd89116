"""A node writes old visibility rows again where it is the owner, and nowhere else."""

import pytest

from perdure.core.execution.key import shard_key
from perdure.runtime import visibility
from perdure.runtime.visibility import index_old_rows
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch
from perdure.store.split import SplitStore
from tests.store.rows import MINUTE_NS
from tests.store.rows import visibility as other_row


def row_of(run_id, **changes):
    return other_row(run_id, search_attributes=b"", **changes)


def no_attributes(namespace_id):
    return {}


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(visibility, "_INDEXED_AT_ONCE", 2)


@pytest.fixture
def main():
    """A database whose key space has two ranges."""
    return MemoryStore(now_ns=lambda: 0, ranges=2, is_shared=True)


@pytest.fixture
async def both(main):
    """The leases of two nodes, each of one range; the rows of nine runs, from before there was a second database."""
    leases = await main.claim("node-1", MINUTE_NS)
    await main.commit(Batch(leases, visibility=[row_of(str(number)) for number in range(9)]))
    await main.release(leases[1:])
    return leases[:1], await main.claim("node-2", MINUTE_NS)


def split(main):
    return SplitStore(main, MemoryStore(), lambda: 0)


def run_ids_of(leases):
    rows = [row_of(str(number)) for number in range(9)]
    [lease] = leases
    return {
        row.run_id
        for row in rows
        if lease.lo <= shard_key(row.namespace_id, row.workflow_id) < lease.hi
    }


async def test_each_owner_moves_the_rows_of_its_own_runs(main, both):
    for leases in both:
        assert run_ids_of(leases)
        before = await main.outbox(99)
        await index_old_rows(split(main), leases, no_attributes)
        moved = (await main.outbox(99))[len(before) :]
        assert {row.run_id for row in moved} == run_ids_of(leases)
    assert await main.stored_visibility(99) == []


async def test_a_node_that_moves_rows_puts_nothing_old_over_what_the_owner_has_written(main, both):
    """It has read a row of another node's run, and is slow to write."""
    first, second = both
    changed = row_of(min(run_ids_of(second)), status=2)
    ours, theirs = split(main), split(main)
    commit = ours.commit

    async def slow_commit(batch):
        if await main.outbox(1) == []:
            await theirs.commit(Batch(second, visibility=[changed]))
        await commit(batch)

    ours.commit = slow_commit
    await index_old_rows(ours, first, no_attributes)
    written, _ = ours.changes(await main.outbox(99))
    assert [row.status for row in written if row.run_id == changed.run_id] == [2]
