"""Executions of several archetypes in one store: each is found by its own kind alone."""

import msgspec
import pytest

from perdure.core.execution.key import WORKFLOW
from perdure.core.visibility.attributes import Attribute
from perdure.core.visibility.filters import EVERYTHING, Compare, Filter, Operator
from perdure.store.memory import MemoryStore
from perdure.store.port import NEVER_NS, Batch, Conflict, OutboxRow, VisibilityRow
from perdure.store.split import SplitStore
from tests.store.rows import journal, key, run, update, visibility

OTHER, THIRD = 1, 5
BY_STATUS = Attribute("ExecutionStatus", "ExecutionStatus")
BY_TYPE = Filter(Compare(Attribute("WorkflowType", "WorkflowType"), Operator.EQUAL, "type"))


def of(filter, archetype):
    return Filter(filter.condition, filter.group_by, archetype)


def one_of_each(business_id="same", **changes):
    """Return runs that differ in nothing but their archetype and run id."""
    return [
        run(business_id, archetype=archetype, run_id=f"{business_id}-{archetype}", **changes)
        for archetype in (WORKFLOW, OTHER, THIRD)
    ]


async def ids(store, filter, **changes):
    arguments = {"limit": 9, "after": None} | changes
    rows = await store.list_visibility("namespace-1", filter=filter, **arguments)
    assert all(row.archetype == filter.archetype for row in rows)
    return [row.run_id for row in rows]


async def removable(store, **changes):
    arguments = {"until_ns": NEVER_NS, "limit": 9, "after": None} | changes
    return await store.longest_closed("namespace-1", **arguments)


async def test_a_business_id_belongs_to_its_archetype(store, leases):
    rows = one_of_each()
    await store.commit(Batch(leases, rows, [journal(row, 1) for row in rows]))
    for row in rows:
        for found in await store.load([key(row), key(row, "")]):
            assert (found.row, found.journal) == (row, [journal(row, 1)])
    workflow, other, _ = rows
    assert await store.load([key(workflow)._replace(archetype=OTHER)]) == [None]
    assert await store.load([key(other)._replace(archetype=WORKFLOW)]) == [None]
    with pytest.raises(Conflict):
        await store.commit(Batch(leases, [other._replace(run_id="another")]))
    assert await store.load([key(other, "another")]) == [None]


async def test_the_latest_run_is_that_of_the_archetype(store, leases):
    old = one_of_each()
    new = run("same", 2, archetype=OTHER, run_id="second")
    await store.commit(Batch(leases, [*old, new]))
    found = await store.load([key(row, "") for row in old])
    assert [loaded.row.run_id for loaded in found] == ["same-0", "second", "same-5"]


async def test_updates_and_due_runs_have_the_archetype(store, leases):
    rows = one_of_each(due_at_ns=9)
    await store.commit(Batch(leases, rows))
    await store.commit(Batch(leases, updates=[update(rows[1], status=7, due_at_ns=5)]))
    due = await store.due(0, 2**32, (0, ""), 100, 9)
    assert [each.due_at_ns for each in due] == [5, 9, 9]
    assert due[0].key == key(rows[1])
    assert {each.key for each in due} == {key(row) for row in rows}
    [found] = await store.load([key(rows[1])])
    assert found.row == rows[1]._replace(status=7, due_at_ns=5)


async def test_deleting_one_leaves_the_others(store, leases):
    rows = one_of_each()
    second = run("same", 2, archetype=OTHER, run_id="second")
    shown = [visibility(row.run_id, archetype=row.archetype) for row in (*rows, second)]
    await store.commit(Batch(leases, [*rows, second], visibility=shown))
    await store.commit(Batch(leases, deletes=[key(second)]))
    # The number of the deleted run stays, as its archetype has another run of the business id.
    with pytest.raises(Conflict):
        await store.commit(Batch(leases, [second._replace(run_id="third")]))
    await store.commit(Batch(leases, deletes=[key(rows[1])]))
    assert await store.load([key(rows[1], "")]) == [None]
    workflow, _, third = rows
    assert [each.row for each in await store.load([key(workflow, ""), key(third, "")])] == [
        workflow,
        third,
    ]
    assert [each.archetype for each in await removable(store, archetype=None)] == [WORKFLOW, THIRD]
    await store.commit(Batch(leases, [second._replace(run_id="third", run_number=1)]))


@pytest.fixture
async def listed(store, leases):
    """Return a store with two open and two closed executions of each archetype."""
    for archetype in (WORKFLOW, OTHER, THIRD):
        rows = [
            visibility(
                f"{archetype}-{number}",
                archetype=archetype,
                start_time_ns=number,
                close_time_ns=(number - 1) * 10 * (archetype + 1) if number > 1 else 0,
                status=1 if number < 2 else 2,
            )
            for number in range(4)
        ]
        await store.commit(Batch(leases, visibility=rows))
    return store


@pytest.mark.parametrize("archetype", [WORKFLOW, OTHER, THIRD])
@pytest.mark.parametrize("filter", [EVERYTHING, BY_TYPE], ids=["everything", "by-type"])
async def test_lists_and_counts_are_of_one_archetype(listed, archetype, filter):
    filter = of(filter, archetype)
    everything = [f"{archetype}-{number}" for number in (1, 0, 3, 2)]
    assert await ids(listed, filter) == everything
    assert await ids(listed, filter, limit=2) == everything[:2]
    assert await ids(listed, filter, after=(NEVER_NS, 0, everything[1])) == everything[2:]
    assert await listed.count_visibility("namespace-1", filter) == 4
    grouped = Filter(filter.condition, BY_STATUS, archetype)
    assert await listed.count_groups("namespace-1", grouped) == [(1, 2), (2, 2)]
    nobody = of(filter, 3)
    assert await ids(listed, nobody) == []
    assert await listed.count_visibility("namespace-1", nobody) == 0


async def test_a_filter_of_any_archetype_sees_all(listed):
    rows = await listed.list_visibility(
        "namespace-1", limit=99, after=None, filter=of(EVERYTHING, None)
    )
    assert [row.archetype for row in rows[:6]] == [5, 1, 0, 5, 1, 0]
    assert len(rows) == 12
    assert await listed.count_visibility("namespace-1", of(EVERYTHING, None)) == 12
    assert await listed.count_visibility("namespace-1", of(BY_TYPE, None)) == 12


async def test_kept_counts_follow_a_row(listed, leases):
    changed = visibility("1-0", archetype=OTHER, status=3, close_time_ns=50)
    await listed.commit(Batch(leases, visibility=[changed]))
    for archetype, expected in ((WORKFLOW, [(1, 2), (2, 2)]), (OTHER, [(1, 1), (2, 2), (3, 1)])):
        grouped = Filter(EVERYTHING.condition, BY_STATUS, archetype)
        assert await listed.count_groups("namespace-1", grouped) == expected
    await listed.commit(Batch(leases, deletes=[key(run("w", archetype=OTHER, run_id="1-0"))]))
    assert await listed.count_visibility("namespace-1", of(EVERYTHING, OTHER)) == 3
    assert await listed.count_visibility("namespace-1") == 4


async def test_retention_takes_one_archetype(listed):
    assert [each.run_id for each in await removable(listed, until_ns=15)] == ["0-2"]
    assert [each.run_id for each in await removable(listed, until_ns=90)] == ["0-2", "0-3"]
    found = await removable(listed, archetype=OTHER, until_ns=90)
    assert [each.run_id for each in found] == ["1-2", "1-3"]
    [last] = await removable(listed, archetype=OTHER, until_ns=90, after=found[0].place)
    assert last == (OTHER, 40, 3, "1-3", "workflow of 1-3", 14, 15)


@pytest.mark.parametrize("limit", [1, 3, 5, 99])
async def test_the_deletion_of_a_namespace_takes_all_archetypes(listed, limit):
    found, after = [], None
    while page := await removable(listed, archetype=None, limit=limit, after=after):
        assert len(page) <= limit
        found += page
        after = page[-1].place
    assert [each.run_id for each in found] == [
        f"{archetype}-{number}" for archetype in (0, 1, 5) for number in (2, 3, 0, 1)
    ]
    closed = await removable(listed, archetype=None, until_ns=NEVER_NS - 1)
    assert [each.run_id for each in closed] == ["0-2", "0-3", "1-2", "1-3", "5-2", "5-3"]


async def test_the_second_database_for_lists_knows_archetypes():
    main, second = MemoryStore(), MemoryStore()
    split = SplitStore(main, second, lambda: 7)
    await split.open()
    leases = await split.claim("node-1", 60)
    rows = [visibility("w"), visibility("a", archetype=OTHER)]
    await split.commit(Batch(leases, visibility=rows))
    written, _ = split.changes(await split.outbox(9))
    await second.commit(Batch(await second.claim("node-1", 60), visibility=written))
    assert await split.list_visibility("namespace-1", limit=9, after=None) == rows[:1]
    [found] = await split.list_visibility(
        "namespace-1", limit=9, after=None, filter=of(EVERYTHING, OTHER)
    )
    assert found == rows[1]
    assert [each.run_id for each in await removable(split, archetype=None)] == ["w", "a"]
    assert [each.run_id for each in await removable(split)] == ["w"]


def test_an_outbox_row_from_before_archetypes_is_a_workflow():
    row = visibility("w", attributes='{"Keyword01":"red"}')
    assert VisibilityRow._fields[-1] == "archetype"
    older = msgspec.msgpack.encode(tuple(row)[:-1])
    split = SplitStore(MemoryStore(), MemoryStore(), lambda: 7)
    written, gone = split.changes([OutboxRow(1, "w", older, 5)])
    assert (written, gone) == ([row], [])
    assert written[0].archetype == WORKFLOW
