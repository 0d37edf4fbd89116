"""A run is deleted with all that is kept of it, and with nothing else."""

import pytest

from perdure.store.port import DELETED, NEVER_NS, Batch, Conflict, LeaseLost, LoadedRun
from tests.store.rows import MINUTE_NS, journal, key, run, update, visibility

A, A2, A3, B = run("a"), run("a", 2), run("a", 3), run("b")
ALL = [A, A2, A3, B]


@pytest.fixture
async def filled(store, leases):
    await store.commit(
        Batch(
            leases,
            ALL,
            [journal(row, seq) for row in ALL for seq in (1, 2)],
            visibility=[visibility(row.run_id) for row in ALL],
        )
    )
    return store


async def named(store):
    """Return the run ids that are there, and the current run's of each workflow id with its status."""
    runs = await store.load([key(row) for row in ALL])
    latest = await store.load([key(A, ""), key(B, "")])
    return (
        [each.row.run_id for each in runs if each is not None and each.row.status != DELETED],
        [each and (each.row.run_number, each.row.status) for each in latest],
    )


async def test_nothing_is_left_of_a_deleted_run(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(B)]))
    assert await filled.load([key(B), key(B, "")]) == [None, None]
    assert await filled.history(B.shard_key, B.run_id, after_seq=0, limit=9) == []
    shown = await filled.list_visibility("namespace-1", limit=9, after=None)
    assert sorted(row.run_id for row in shown) == [row.run_id for row in (A, A2, A3)]
    assert await filled.count_visibility("namespace-1") == 3
    due = await filled.due(0, 2**32, (0, ""), NEVER_NS - 1, 9)
    assert sorted(each.key.run_id for each in due) == [row.run_id for row in (A, A2, A3)]


async def test_other_runs_stay_as_they_were(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(A2)]))
    assert await filled.load([key(A), key(A2), key(A3), key(A, "")]) == [
        LoadedRun(A, [journal(A, 1), journal(A, 2)]),
        None,
        LoadedRun(A3, [journal(A3, 1), journal(A3, 2)]),
        LoadedRun(A3, [journal(A3, 1), journal(A3, 2)]),
    ]


async def test_no_older_run_becomes_the_current_one(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(A3)]))
    assert await named(filled) == ([A.run_id, A2.run_id, B.run_id], [(3, DELETED), (1, 1)])
    (latest,) = await filled.load([key(A, "")])
    assert latest.row == A3._replace(status=DELETED, due_at_ns=NEVER_NS)
    assert latest.journal == []
    assert await filled.history(A3.shard_key, A3.run_id, after_seq=0, limit=9) == []
    assert await filled.due(A.shard_key, A.shard_key + 1, (1, ""), NEVER_NS - 1, 9) == []
    await filled.commit(Batch(leases, [run("a", 4)]))
    assert (await named(filled))[1] == [(4, 1), (1, 1)]


async def test_the_number_of_a_deleted_run_is_not_given_again(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(A3)]))
    with pytest.raises(Conflict):
        await filled.commit(Batch(leases, [run("a", 3, run_id="another")]))


async def test_the_last_run_takes_the_number_with_it(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(A3)]))
    await filled.commit(Batch(leases, [run("a", 4)]))
    for row in (run("a", 4), A):
        await filled.commit(Batch(leases, deletes=[key(row)]))
    assert (await named(filled))[1] == [(4, DELETED), (1, 1)]
    await filled.commit(Batch(leases, deletes=[key(A2)]))
    assert await named(filled) == ([B.run_id], [None, (1, 1)])
    await filled.commit(Batch(leases, [A]))
    assert (await named(filled))[1] == [(1, 1), (1, 1)]


async def test_many_are_deleted_at_once(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(A3), key(A), key(B)]))
    assert await named(filled) == ([A2.run_id], [(3, DELETED), None])
    await filled.commit(Batch(leases, deletes=[key(row) for row in ALL]))
    assert await named(filled) == ([], [None, None])


async def test_what_is_not_there_can_be_deleted(filled, leases):
    await filled.commit(Batch(leases, deletes=[key(run("c")), key(B), key(B)]))
    await filled.commit(Batch(leases, deletes=[key(B)]))
    assert await named(filled) == ([A.run_id, A2.run_id, A3.run_id], [(3, 1), None])


async def test_a_batch_deletes_some_and_writes_others(filled, leases):
    await filled.commit(
        Batch(
            leases,
            [run("a", 4)],
            [journal(run("a", 4), 1), journal(A, 3)],
            [update(A, status=3)],
            [visibility(A.run_id, status=3)],
            [key(A2), key(B)],
        )
    )
    assert await named(filled) == ([A.run_id, A3.run_id], [(4, 1), None])
    (first,) = await filled.load([key(A)])
    assert (first.row.status, [row.seq for row in first.journal]) == (3, [1, 2, 3])


async def test_only_the_owner_deletes(filled, leases):
    await filled.claim("node-1", MINUTE_NS)
    for held in (leases, ()):
        with pytest.raises(LeaseLost):
            await filled.commit(Batch(held, deletes=[key(B)]))
    assert (await named(filled))[0] == [A.run_id, A2.run_id, A3.run_id, B.run_id]
