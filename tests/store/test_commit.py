"""A batch is written whole, or not at all."""

import asyncio

import pytest

from perdure.store.port import NEVER_NS, Batch, Conflict, LoadedRun, Unavailable
from tests.store.rows import MINUTE_NS, journal, key, run, update, visibility


async def everything(store):
    """Return all that a refused batch could have left behind."""
    runs = await store.load(
        [
            key(run(name), run_id)
            for name in "abc"
            for run_id in ("", f"{name}-run-1", f"{name}-run-2")
        ]
    )
    histories = [
        await store.history(loaded.row.shard_key, loaded.row.run_id, after_seq=0, limit=100)
        for loaded in runs
        if loaded is not None
    ]
    shown = await store.list_visibility("namespace-1", limit=100, after=None)
    due = await store.due(0, 2**32, (0, ""), NEVER_NS - 1, 100)
    return runs, histories, shown, due


async def test_all_parts_of_a_batch_are_written(store, leases):
    a, b = run("a"), run("b", status=2, due_at_ns=77, snapshot=b"\0snapshot\xff", snapshot_seq=1)
    await store.commit(
        Batch(
            leases,
            [a, b],
            [journal(a, 1), journal(b, 1), journal(a, 2)],
            [update(a, status=3, due_at_ns=5, snapshot=b"taken", snapshot_seq=1)],
            [visibility(a.run_id)],
        )
    )
    assert await store.load([key(a), key(b)]) == [
        LoadedRun(
            a._replace(status=3, due_at_ns=5, snapshot=b"taken", snapshot_seq=1), [journal(a, 2)]
        ),
        LoadedRun(b, []),
    ]
    assert await store.list_visibility("namespace-1", limit=9, after=None) == [visibility(a.run_id)]


async def test_an_update_changes_its_run_alone(store, leases):
    a, b = run("a"), run("b")
    await store.commit(Batch(leases, [a, b, run("a", 2)]))
    await store.commit(
        Batch(leases, updates=[update(a, status=4, due_at_ns=9, snapshot=b"s", snapshot_seq=3)])
    )
    rows = [loaded.row for loaded in await store.load([key(a), key(b), key(run("a", 2))])]
    assert rows == [
        a._replace(status=4, due_at_ns=9, snapshot=b"s", snapshot_seq=3),
        b,
        run("a", 2),
    ]


async def test_an_update_of_no_run_makes_none(store, leases):
    await store.commit(Batch(leases, updates=[update(run("a"))], journal=[journal(run("b"), 1)]))
    assert await store.load([key(run("a")), key(run("a"), "")]) == [None, None]


async def test_the_last_of_several_changes_counts(store, leases):
    a, b = run("a"), run("b")
    await store.commit(Batch(leases, [b]))
    await store.commit(
        Batch(
            leases,
            [a],
            updates=[update(row, status=status) for status in (2, 3) for row in (a, b)],
            visibility=[
                visibility(row.run_id, status=status) for status in (2, 3) for row in (a, b)
            ],
        )
    )
    assert [loaded.row.status for loaded in await store.load([key(a), key(b)])] == [3, 3]
    shown = await store.list_visibility("namespace-1", limit=9, after=None)
    assert [row.status for row in shown] == [3, 3]


async def test_a_batch_may_be_empty(store, leases):
    await store.commit(Batch(leases))


async def test_big_and_odd_values_come_back_as_they_are(store, leases):
    row = run(
        "日本語 'quoted\" \\N {a,b} \U0001f600" + "x" * 900,
        shard_key=2**32 - 1,
        due_at_ns=NEVER_NS,
        snapshot=bytes(range(256)) * 4000,
    )
    wide = journal(row, 1, first_event_id=2**62, events=b"\0" * 3_000_000, internal=b"")
    shown = visibility(
        row.run_id, workflow_id=row.business_id, start_time_ns=NEVER_NS - 1, memo=b""
    )
    await store.commit(Batch(leases, [row], [wide], visibility=[shown]))
    assert await store.load([key(row)]) == [LoadedRun(row, [wide])]
    assert await store.list_visibility("namespace-1", limit=9, after=None) == [shown]


async def test_a_batch_may_be_large(store, leases):
    rows = [run(f"{name:04}") for name in range(1024)]
    await store.commit(
        Batch(
            leases,
            rows,
            [journal(row, 1) for row in rows],
            visibility=[visibility(row.run_id) for row in rows],
        )
    )
    await store.commit(
        Batch(
            leases, [], [journal(row, 2) for row in rows], [update(row, status=2) for row in rows]
        )
    )
    loaded = await store.load([key(row) for row in rows])
    assert loaded == [
        LoadedRun(row._replace(status=2), [journal(row, 1), journal(row, 2)]) for row in rows
    ]
    assert await store.count_visibility("namespace-1") == 1024


A, A2, B = run("a"), run("a", 2), run("b")
CONFLICTS = {
    "a run number that exists": Batch((), [run("a", run_id="another")]),
    "a run id that exists": Batch((), [run("a", 7, run_id=A.run_id)]),
    "one run number twice": Batch((), [B, run("b", run_id="another")]),
    "one run id twice": Batch((), [B, run("b", 2, run_id=B.run_id)]),
    "a journal row that exists": Batch((), journal=[journal(A, 2)]),
    "one journal row twice": Batch((), journal=[journal(A, 3), journal(A, 3, events=b"other")]),
}


@pytest.mark.parametrize("batch", CONFLICTS.values(), ids=CONFLICTS.keys())
async def test_a_conflict_leaves_nothing_behind(store, leases, batch):
    await store.commit(
        Batch(leases, [A], [journal(A, 1), journal(A, 2)], visibility=[visibility(A.run_id)])
    )
    before = await everything(store)
    with pytest.raises(Conflict):
        await store.commit(
            Batch(
                leases,
                [run("c"), *batch.executions, A2],
                [journal(run("c"), 1), *batch.journal, journal(A2, 1)],
                [update(A, status=9), update(A2, status=9)],
                [visibility(A.run_id, status=9), visibility("c-run-1")],
            )
        )
    assert await everything(store) == before
    # And the store goes on.
    await store.commit(Batch(leases, [A2], [journal(A, 3)]))


async def test_a_refused_batch_can_be_written_by_the_next_owner(store, leases):
    await store.commit(Batch(leases, [A], [journal(A, 1)]))
    with pytest.raises(Conflict):
        await store.commit(Batch(leases, journal=[journal(A, 1), journal(A, 2)]))
    again = await store.claim("node-1", MINUTE_NS)
    await store.commit(Batch(again, journal=[journal(A, 2)]))
    assert [row.seq for row in (await store.load([key(A)]))[0].journal] == [1, 2]


async def test_batches_written_at_once_are_all_written(store, leases):
    rows = [run(f"{name}") for name in range(20)]
    await asyncio.gather(*(store.commit(Batch(leases, [row], [journal(row, 1)])) for row in rows))
    assert None not in await store.load([key(row) for row in rows])


async def test_a_cancelled_commit_is_written_whole_or_not_at_all(store, leases):
    """Cancelled at every moment of its way. The next claim shows whether it was done, not before."""
    written = 0
    for attempt in range(60):
        row = run(f"{attempt:03}")
        entries = [journal(row, seq) for seq in range(1, 31)]
        shown = [visibility(row.run_id)]
        commit = asyncio.create_task(store.commit(Batch(leases, [row], entries, [], shown)))
        for _ in range(attempt % 20):
            await asyncio.sleep(0 if attempt < 20 else 0.0003)
        commit.cancel()
        (outcome,) = await asyncio.gather(commit, return_exceptions=True)
        assert outcome is None or isinstance(outcome, asyncio.CancelledError | Unavailable)
        leases = await store.claim("node-1", MINUTE_NS)
        (loaded,) = await store.load([key(row)])
        assert loaded in (None, LoadedRun(row, entries))
        assert outcome is not None or loaded is not None
        written += loaded is not None
        assert await store.count_visibility("namespace-1") == written
    await store.commit(Batch(leases, [run("after")]))
