"""The answers of `load`, `due` and `history`."""

import pytest

from perdure.store.port import NEVER_NS, SHARD_KEY_END, Batch, DueRun, JournalRow, LoadedRun
from tests.store.rows import journal, key, run, update

# Loading


async def test_no_keys_no_runs(store, leases):
    assert await store.load([]) == []


async def test_answers_come_in_the_order_of_the_keys(store, leases):
    a, b = run("a"), run("b")
    await store.commit(Batch(leases, [a, b], [journal(a, 1), journal(b, 1), journal(b, 2)]))
    whole_a, whole_b = (
        LoadedRun(a, [journal(a, 1)]),
        LoadedRun(b, [journal(b, 1), journal(b, 2)]),
    )
    keys = [
        key(b),
        key(run("c")),
        key(a),
        key(run("c"), ""),
        key(b, ""),
        key(a),
        key(a, "no such run"),
    ]
    assert await store.load(keys) == [whole_b, None, whole_a, None, whole_b, whole_a, None]


async def test_the_current_run_is_that_of_the_largest_number(store, leases):
    runs = [run("a", number) for number in (1, 9, 10, 2)]
    for row in runs:
        await store.commit(Batch(leases, [row], [journal(row, 1)]))
    assert await store.load([key(runs[0], "")]) == [LoadedRun(runs[2], [journal(runs[2], 1)])]
    assert [loaded.row for loaded in await store.load([key(row) for row in runs])] == runs


async def test_a_run_is_only_found_under_its_own_workflow(store, leases):
    row = run("a")
    await store.commit(Batch(leases, [row]))
    assert (
        await store.load(
            [
                key(row)._replace(business_id="b"),
                key(row)._replace(namespace_id="namespace-2"),
                key(row, "")._replace(business_id="b"),
                key(row, "")._replace(namespace_id="namespace-2"),
            ]
        )
        == [None] * 4
    )


async def test_workflow_ids_with_one_shard_key_are_two(store, leases):
    a, b = run("a", shard_key=5), run("b", shard_key=5)
    await store.commit(Batch(leases, [a, b], [journal(a, 1)]))
    assert await store.load([key(a, ""), key(b, "")]) == [
        LoadedRun(a, [journal(a, 1)]),
        LoadedRun(b, []),
    ]


@pytest.mark.parametrize("snapshot_seq", [0, 1, 11, 12])
async def test_the_journal_begins_after_the_snapshot(store, leases, snapshot_seq):
    row = run("a")
    entries = [journal(row, seq) for seq in range(1, 13)]
    await store.commit(Batch(leases, [row]))
    for entry in entries:
        await store.commit(Batch(leases, journal=[entry]))
    await store.commit(
        Batch(leases, updates=[update(row, snapshot=b"s", snapshot_seq=snapshot_seq)])
    )
    (loaded,) = await store.load([key(row)])
    assert loaded.row.snapshot_seq == snapshot_seq
    assert list(loaded.journal) == entries[snapshot_seq:]


# Due executions


def due_run(row):
    return DueRun(row.due_at_ns, key(row))


@pytest.fixture
async def busy(store, leases):
    """Runs due at 10, 20, 20, 20, 30 and never, one a fifth of the key space."""
    dues = (10, 20, 20, 20, 30, NEVER_NS)
    rows = [
        run(f"w{place}", due_at_ns=due, shard_key=SHARD_KEY_END // 5 * (place % 5))
        for place, due in enumerate(dues)
    ]
    await store.commit(Batch(leases, rows))
    return rows


async def due(store, *, lo=0, hi=SHARD_KEY_END, after=-1, until=NEVER_NS - 1, limit=100):
    return await store.due(lo, hi, (after + 1, ""), until, limit)


async def test_what_is_due_comes_ordered_without_what_never_is(store, busy):
    assert await due(store) == [due_run(row) for row in busy[:5]]


async def test_due_after_is_exclusive_and_until_inclusive(store, busy):
    assert await due(store, after=10, until=30) == [due_run(row) for row in busy[1:5]]
    assert await due(store, after=9, until=29) == [due_run(row) for row in busy[:4]]
    assert await due(store, after=30) == []
    assert await due(store, until=9) == []


async def test_pages_of_what_is_due_go_on_within_one_time(store, busy):
    wanted = [due_run(row) for row in busy[:5]]
    for limit in (1, 2, 3, 4, 5):
        assert await due(store, limit=limit) == wanted[:limit]
        rest = await store.due(0, SHARD_KEY_END, wanted[limit - 1].place, NEVER_NS - 1, 9)
        assert rest == wanted[limit:]


async def test_due_in_a_part_of_the_key_space(store, busy):
    lo, hi = busy[1].shard_key, busy[3].shard_key
    assert await due(store, lo=lo, hi=hi) == [due_run(row) for row in busy[1:3]]
    assert await due(store, lo=lo + 1, hi=hi + 1) == [due_run(row) for row in busy[2:4]]
    assert await due(store, lo=lo, hi=hi, limit=1) == [due_run(busy[1])]


async def test_what_is_due_now_comes_page_by_page(store, leases):
    rows = [run(f"{name:02}", due_at_ns=0) for name in range(30)]
    await store.commit(Batch(leases, [*rows[::-1], run("later", due_at_ns=1)]))
    assert await due(store, limit=10) == [due_run(row) for row in rows[:10]]
    page = await store.due(0, SHARD_KEY_END, due_run(rows[24]).place, NEVER_NS - 1, 10)
    assert page == [due_run(row) for row in (*rows[25:], run("later", due_at_ns=1))]
    assert await due(store, after=0, limit=10) == [due_run(run("later", due_at_ns=1))]


async def test_due_follows_updates(store, leases, busy):
    await store.commit(
        Batch(
            leases,
            updates=[
                update(busy[0], due_at_ns=NEVER_NS),
                update(busy[1], due_at_ns=5),
                update(busy[5], due_at_ns=40),
            ],
        )
    )
    rows = [busy[1]._replace(due_at_ns=5), *busy[2:5], busy[5]._replace(due_at_ns=40)]
    assert await due(store) == [due_run(row) for row in rows]


async def test_pages_of_what_is_due_make_the_whole(store, leases):
    rows = [run(f"{name:03}", due_at_ns=name * 7 % 23) for name in range(150)]
    await store.commit(Batch(leases, rows))
    found, after = [], (0, "")
    while page := await store.due(0, SHARD_KEY_END, after, NEVER_NS - 1, 9):
        found += page
        after = page[-1].place
    assert found == sorted((due_run(row) for row in rows), key=lambda due: due.place)


# History


@pytest.fixture
async def told(store, leases):
    """A run whose journal rows 3 and 7 hold no events."""
    row = run("a")
    entries = [
        journal(row, seq, event_count=0, events=b"") if seq in (3, 7) else journal(row, seq)
        for seq in range(1, 10)
    ]
    other = run("b")
    await store.commit(Batch(leases, [row, other], [*entries, journal(other, 1)]))
    return row


def shown(row, seqs):
    return [journal(row, seq, internal=b"") for seq in seqs]


async def history(store, row, after_seq, limit, *, reverse=False):
    rows = await store.history(
        row.shard_key, row.run_id, after_seq=after_seq, limit=limit, reverse=reverse
    )
    assert all(isinstance(entry, JournalRow) for entry in rows)
    return [entry._replace(internal=b"") for entry in rows]


async def test_history_holds_the_rows_with_events(store, told):
    assert await history(store, told, 0, 100) == shown(told, [1, 2, 4, 5, 6, 8, 9])
    assert await history(store, told, 0, 100, reverse=True) == shown(told, [9, 8, 6, 5, 4, 2, 1])


async def test_history_in_pages(store, told):
    assert await history(store, told, 0, 3) == shown(told, [1, 2, 4])
    assert await history(store, told, 4, 3) == shown(told, [5, 6, 8])
    assert await history(store, told, 8, 3) == shown(told, [9])
    assert await history(store, told, 9, 3) == []


async def test_history_in_pages_from_the_end(store, told):
    assert await history(store, told, 0, 3, reverse=True) == shown(told, [9, 8, 6])
    assert await history(store, told, 6, 3, reverse=True) == shown(told, [5, 4, 2])
    assert await history(store, told, 2, 3, reverse=True) == shown(told, [1])
    assert await history(store, told, 1, 3, reverse=True) == []


async def test_no_history_of_no_run(store, told):
    assert await history(store, run("c"), 0, 100) == []
    assert await history(store, run("c"), 0, 100, reverse=True) == []


async def test_history_goes_on_behind_a_snapshot(store, leases, told):
    await store.commit(Batch(leases, updates=[update(told, snapshot=b"s", snapshot_seq=9)]))
    assert await history(store, told, 0, 2) == shown(told, [1, 2])


async def test_a_page_of_history_has_a_bound_in_bytes(store, leases):
    row = run("a")
    rows = [journal(row, seq, events=bytes([seq]) * 1000, internal=b"") for seq in range(1, 8)]
    await store.commit(Batch(leases, [row], rows))

    async def read(after_seq: int, bytes_max: int, *, limit: int = 9, reverse: bool = False):
        found = await store.history(
            row.shard_key,
            row.run_id,
            after_seq=after_seq,
            limit=limit,
            reverse=reverse,
            bytes_max=bytes_max,
        )
        assert [each.events for each in found] == [bytes([each.seq]) * 1000 for each in found]
        return [each.seq for each in found]

    assert await read(0, 1) == [1]
    assert await read(0, 1000) == [1]
    assert await read(0, 1001) == [1, 2]
    assert await read(2, 2500) == [3, 4, 5]
    assert await read(2, 2500, limit=2) == [3, 4]
    assert await read(0, 10**9) == list(range(1, 8))
    assert await read(0, 1, reverse=True) == [7]
    assert await read(6, 2001, reverse=True) == [5, 4, 3]
    assert await read(7, 1) == []


async def test_a_page_of_history_ends_with_the_event_that_is_asked_for(store, leases):
    """Each row has 3 events, but for row 3, which has none."""
    row = run("a")
    rows = [
        journal(row, 3, event_count=0, events=b"")
        if seq == 3
        else journal(row, seq, first_event_id=1 + 3 * (seq - (1 if seq < 3 else 2)))
        for seq in range(1, 7)
    ]
    await store.commit(Batch(leases, [row], rows))

    async def read(after_seq: int, until_event_id: int, *, reverse: bool = False):
        found = await store.history(
            row.shard_key,
            row.run_id,
            after_seq=after_seq,
            limit=9,
            reverse=reverse,
            until_event_id=until_event_id,
        )
        return [each.seq for each in found]

    assert await read(0, 1) == [1]
    assert await read(0, 3) == [1]
    assert await read(0, 4) == [1, 2]
    assert await read(2, 5) == []
    assert await read(2, 12) == [4, 5]
    assert await read(0, 99) == [1, 2, 4, 5, 6]
    assert await read(0, 15, reverse=True) == [6]
    assert await read(0, 13, reverse=True) == [6]
    assert await read(0, 12, reverse=True) == [6, 5]
    assert await read(6, 13, reverse=True) == []
    assert await read(6, 7, reverse=True) == [5, 4]
    assert await read(0, 1, reverse=True) == [6, 5, 4, 2, 1]


async def test_internal_records_come_with_a_history_if_they_are_asked_for(store, leases):
    row = run("a")
    rows = [journal(row, seq) for seq in range(1, 4)]
    await store.commit(Batch(leases, [row], rows))
    for reverse in (False, True):
        found = await store.history(
            row.shard_key, row.run_id, after_seq=0, limit=9, reverse=reverse, with_internal=True
        )
        assert found == (rows[::-1] if reverse else rows)
