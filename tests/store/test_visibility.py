"""Lists of runs: their order, their pages, and what replaces what."""

import random

from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import EVERYTHING, Compare, Filter, Operator
from perdure.store.port import NEVER_NS, Batch
from tests.store.rows import visibility


def position(row):
    return row.close_time_ns or NEVER_NS, row.start_time_ns, row.run_id


async def run_ids(store, **changes):
    arguments = {"limit": 100, "after": None} | changes
    return [row.run_id for row in await store.list_visibility("namespace-1", **arguments)]


async def show(store, leases, *rows):
    await store.commit(Batch(leases, visibility=list(rows)))


async def test_no_rows(store, leases):
    assert await run_ids(store) == []
    assert await store.count_visibility("namespace-1") == 0


async def test_every_column_comes_back(store, leases):
    rows = [visibility("open"), visibility("closed", close_time_ns=20)]
    await show(store, leases, *rows)
    assert await store.list_visibility("namespace-1", limit=9, after=None) == rows


async def test_the_order_is_open_first_then_latest_first(store, leases):
    await show(
        store,
        leases,
        visibility("closed early", start_time_ns=9, close_time_ns=10),
        visibility("open early", start_time_ns=5),
        visibility("closed late", start_time_ns=3, close_time_ns=30),
        visibility("open late", start_time_ns=6),
        visibility("closed late, started later", start_time_ns=4, close_time_ns=30),
        visibility("open late B", start_time_ns=6),
        visibility("open late a", start_time_ns=6),
        visibility("open late ä", start_time_ns=6),
        visibility("open late-", start_time_ns=6),
    )
    assert await run_ids(store) == [
        # Equal times: by the bytes of the run id, from the largest.
        "open late-",
        "open late ä",
        "open late a",
        "open late B",
        "open late",
        "open early",
        "closed late, started later",
        "closed late",
        "closed early",
    ]


async def test_pages_make_the_whole(store, leases):
    rng = random.Random(7)
    rows = [
        visibility(f"run-{number}", start_time_ns=rng.randrange(4), close_time_ns=rng.randrange(4))
        for number in range(60)
    ]
    await show(store, leases, *rows)
    whole = sorted(rows, key=position, reverse=True)
    for limit in (1, 7, 60, 61):
        found, after = [], None
        while page := await store.list_visibility("namespace-1", limit=limit, after=after):
            assert len(page) <= limit
            found += page
            after = position(page[-1])
        assert found == whole


async def test_a_page_goes_on_after_a_row_that_is_gone_from_there(store, leases):
    rows = [visibility(f"run-{number}", start_time_ns=number) for number in range(4)]
    await show(store, leases, *rows)
    after = position(rows[2])
    await show(store, leases, rows[2]._replace(close_time_ns=50))
    assert await run_ids(store, after=after) == ["run-1", "run-0", "run-2"]


async def test_a_row_is_replaced_whole(store, leases):
    row = visibility("run")
    await show(store, leases, row, visibility("other"))
    changed = row._replace(
        workflow_id="w",
        workflow_type="t",
        task_queue="q",
        status=2,
        start_time_ns=101,
        execution_time_ns=102,
        close_time_ns=103,
        history_length=104,
        history_size_bytes=105,
        state_transition_count=106,
        memo=b"m",
        search_attributes=b"",
        parent_workflow_id="",
        parent_run_id="",
        root_workflow_id="r",
        root_run_id="s",
    )
    await show(store, leases, changed)
    listed = await store.list_visibility("namespace-1", limit=9, after=None)
    assert listed == [visibility("other"), changed]
    assert await store.count_visibility("namespace-1") == 2
    await show(store, leases, row)
    assert sorted(await run_ids(store)) == ["other", "run"]


async def test_namespaces_do_not_see_one_another(store, leases):
    await show(store, leases, visibility("a"), visibility("b", namespace_id="namespace-2"))
    assert await run_ids(store) == ["a"]
    assert await store.count_visibility("namespace-1") == 1
    assert await store.count_visibility("namespace-2") == 1
    assert await store.count_visibility("namespace-3") == 0


async def test_the_longest_closed_come_first_and_open_ones_last(store, leases):
    rows = [
        visibility("open", start_time_ns=1),
        visibility("closed late", start_time_ns=1, close_time_ns=30),
        visibility("closed early, started late", start_time_ns=9, close_time_ns=10),
        visibility("closed early", start_time_ns=2, close_time_ns=10),
        visibility("closed early too", start_time_ns=2, close_time_ns=10),
        visibility("another's", close_time_ns=5, namespace_id="namespace-2"),
    ]
    await show(store, leases, *rows)

    async def ids(until_ns, limit=9, after=None):
        found = await store.longest_closed(
            "namespace-1", until_ns=until_ns, limit=limit, after=after
        )
        return [run.run_id for run in found]

    everything = [
        "closed early",
        "closed early too",
        "closed early, started late",
        "closed late",
        "open",
    ]
    assert await ids(NEVER_NS) == everything
    assert await ids(NEVER_NS - 1) == everything[:4]
    assert await ids(30) == everything[:4]
    assert await ids(29) == everything[:3]
    assert await ids(9) == []
    assert await ids(NEVER_NS, limit=2) == everything[:2]
    assert await ids(NEVER_NS, after=(0, 10, 2, "closed early")) == everything[1:]
    assert await ids(29, limit=1, after=(0, 10, 2, "closed early too")) == everything[2:3]
    [first, *_, last] = await store.longest_closed(
        "namespace-1", until_ns=NEVER_NS, limit=9, after=None
    )
    assert first == (0, 10, 2, "closed early", "workflow of closed early", 14, 15)
    assert last.close_time_ns == NEVER_NS


async def test_a_page_of_a_list_has_a_bound_in_bytes(store, leases):
    rows = [
        visibility(
            str(number), start_time_ns=number, memo=bytes(700), search_attributes=bytes([1]) * 300
        )
        for number in range(7)
    ]
    await show(store, leases, *rows)
    named = Filter(Compare(Attribute("WorkflowType", "WorkflowType"), Operator.EQUAL, "type"))
    for filter in (EVERYTHING, named):
        assert await run_ids(store, filter=filter, bytes_max=1) == ["6"]
        assert await run_ids(store, filter=filter, bytes_max=1000) == ["6"]
        assert await run_ids(store, filter=filter, bytes_max=1001) == ["6", "5"]
        assert await run_ids(store, filter=filter, bytes_max=2500, limit=2) == ["6", "5"]
        after = position(rows[5])
        assert await run_ids(store, filter=filter, bytes_max=2500, after=after) == ["4", "3", "2"]
        found = await run_ids(store, filter=filter, bytes_max=10**9, after=after)
        assert found == ["4", "3", "2", "1", "0"]
