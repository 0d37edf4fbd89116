"""Filters: whatever tree is asked for, every store answers what the model in memory answers."""

import asyncio
import json
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import IndexedValueType as Type

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility import filters
from perdure.core.visibility.attributes import FIELDS, Attribute, CustomAttribute
from perdure.core.visibility.filters import EVERYTHING, IN_NO_DIVISION, Filter, negated
from perdure.runtime.visibility import index_old_rows
from perdure.store.memory import MemoryStore
from perdure.store.open import open_store
from perdure.store.port import NEVER_NS, Batch, VisibilityRow
from perdure.store.postgres import migrations as postgres_schema
from perdure.store.sqlite import schema as sqlite_schema
from tests.store.conftest import KINDS
from tests.store.rows import MINUTE_NS, visibility

TEXTS = ("", "a", "ab", "aB", "b", "ä", "a%", "a_b", "it's", "z\uffff", "\U0001f40d")
texts = st.sampled_from(TEXTS)
ints = st.sampled_from((-(2**63) + 1, -1, 0, 1, 5, 2**63 - 1))
doubles = st.sampled_from((-1.5, 0.0, 1.0, 1.5, 1e300))
WORDS = (" ", " a ", " b a ", " a b c ", " c ")
VALUES = {
    Type.INDEXED_VALUE_TYPE_KEYWORD: texts,
    Type.INDEXED_VALUE_TYPE_INT: ints,
    Type.INDEXED_VALUE_TYPE_DATETIME: ints,
    Type.INDEXED_VALUE_TYPE_DOUBLE: doubles,
    Type.INDEXED_VALUE_TYPE_BOOL: st.booleans(),
}
OWN = (
    "Keyword01",
    "Int01",
    "Datetime02",
    "Double03",
    "Bool01",
    "KeywordList01",
    "Text01",
    "BuildIds",
    "TemporalScheduledById",
    "TemporalSchedulePaused",
    "TemporalNamespaceDivision",
)


@st.composite
def attributes(draw):
    found = {}
    for field in draw(st.sets(st.sampled_from(OWN), max_size=6)):
        kind = FIELDS[field]
        if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
            found[field] = draw(st.lists(texts, min_size=1, max_size=3))
        elif kind == Type.INDEXED_VALUE_TYPE_TEXT:
            found[field] = draw(st.sampled_from(WORDS))
        else:
            found[field] = draw(VALUES[kind])
    return json.dumps(found) if found else ""


small = st.integers(0, 5)
rows = st.lists(
    st.builds(
        dict,
        workflow_id=texts,
        workflow_type=texts,
        task_queue=texts,
        status=st.integers(1, 8),
        start_time_ns=small,
        execution_time_ns=small,
        close_time_ns=st.sampled_from((0, 0, 1, 3, 9)),
        history_length=small,
        parent_workflow_id=texts,
        root_workflow_id=texts,
        attributes=attributes(),
    ),
    max_size=8,
)


@st.composite
def leaves(draw):
    attribute = Attribute("any", draw(st.sampled_from(sorted({*FIELDS} - {"BatcherNamespace"}))))
    if draw(st.booleans()):
        attribute = Attribute("any", draw(st.sampled_from(OWN)))
    is_negated = draw(st.booleans())
    if draw(st.integers(0, 5)) == 0:
        return filters.IsNull(attribute, is_negated)
    kind = attribute.kind
    if kind == Type.INDEXED_VALUE_TYPE_KEYWORD_LIST:
        return filters.Contains(
            attribute, tuple(draw(st.lists(texts, min_size=1, max_size=3))), is_negated
        )
    if kind == Type.INDEXED_VALUE_TYPE_TEXT:
        phrases = st.lists(st.sampled_from(WORDS[1:]), max_size=2)
        return filters.Mentions(attribute, tuple(draw(phrases)), is_negated)
    values = VALUES[kind]
    if attribute.field == "ExecutionStatus":
        values = st.integers(0, 8)
    elif kind in (Type.INDEXED_VALUE_TYPE_INT, Type.INDEXED_VALUE_TYPE_DOUBLE):
        values = st.one_of(st.sampled_from((0, 1, 3, 5)), doubles)
    elif kind == Type.INDEXED_VALUE_TYPE_DATETIME:
        values = st.one_of(small, ints)
    match draw(st.integers(0, 3)):
        case 0:
            return filters.OneOf(
                attribute, tuple(draw(st.lists(values, min_size=1, max_size=3))), is_negated
            )
        case 1 if kind != Type.INDEXED_VALUE_TYPE_BOOL:
            return filters.Between(attribute, draw(values), draw(values), is_negated)
        case 2 if kind == Type.INDEXED_VALUE_TYPE_KEYWORD and attribute.field != "ExecutionStatus":
            return filters.StartsWith(attribute, draw(texts), is_negated)
    return filters.Compare(attribute, draw(st.sampled_from(list(filters.Operator))), draw(values))


conditions = st.recursive(
    leaves(),
    lambda parts: st.one_of(
        st.builds(filters.All, st.lists(parts, max_size=3).map(tuple)),
        st.builds(filters.Any, st.lists(parts, max_size=3).map(tuple)),
        parts.map(negated),
    ),
    max_leaves=5,
)
groups = st.sampled_from(
    (Attribute("s", "ExecutionStatus"), Attribute("d", "TemporalNamespaceDivision"))
)
GROUPED = Filter(IN_NO_DIVISION, Attribute("s", "ExecutionStatus"))


async def answers(store, namespace_id, condition, group):
    listed, after = [], None
    while page := await store.list_visibility(
        namespace_id, limit=3, after=after, filter=Filter(condition)
    ):
        listed += page
        last = page[-1]
        after = (last.close_time_ns or NEVER_NS, last.start_time_ns, last.run_id)
    return (
        listed,
        await store.count_visibility(namespace_id, Filter(condition)),
        await store.count_groups(namespace_id, Filter(condition, group)),
        await store.count_visibility(namespace_id),
        await store.count_groups(namespace_id, GROUPED),
    )


@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_store_answers_like_the_model(kind, url):
    numbers = count()
    store = open_store(url)

    async def compare(made, changed, wanted, group):
        number = next(numbers)
        namespace_id = f"namespace-{number}"
        written = [
            visibility(f"{number}-{index}", namespace_id=namespace_id, **fields)
            for index, fields in enumerate(made)
        ]
        # Some are replaced, and some go.
        batches = [Batch(visibility=written)]
        again = [
            visibility(row.run_id, namespace_id=namespace_id, **fields)
            for row, fields in zip(written, changed, strict=False)
        ]
        batches.append(Batch(visibility=again[:2]))
        keys = [
            ExecutionKey(1, WORKFLOW, namespace_id, row.workflow_id, row.run_id)
            for row in again[2:]
        ]
        batches.append(Batch(deletes=keys))
        model = MemoryStore()
        for each in (store, model):
            leases = await each.claim("node-1", MINUTE_NS)
            for batch in batches:
                batch.leases = leases
                await each.commit(batch)
        for condition in wanted:
            found = await answers(store, namespace_id, condition, group)
            assert found == await answers(model, namespace_id, condition, group), condition

    with asyncio.Runner() as runner:

        @settings(
            max_examples=100,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(rows, rows, st.lists(conditions, min_size=1, max_size=4), groups)
        def answers_are_equal(made, changed, wanted, group):
            runner.run(compare(made, changed, wanted, group))

        runner.run(store.open())
        try:
            answers_are_equal()
        finally:
            runner.run(store.close())
    assert next(numbers) > 90


# From before there were filters

OLD = SearchAttributes(
    indexed_fields={
        name: Payload(metadata={"encoding": b"json/plain"}, data=data)
        for name, data in (("Color", b'"red"'), ("Gone", b'"x"'), ("BuildIds", b'["unversioned"]'))
    }
).SerializeToString()
_FIELDS = VisibilityRow._fields[: VisibilityRow._fields.index("attributes")]
_COLUMNS = ", ".join(_FIELDS)


def _before_filters(schema):
    names = [migration.name for migration in schema.MIGRATIONS]
    return tuple(schema.MIGRATIONS)[: names.index("filters")]


def _old_sqlite(url):
    import sqlite3

    with sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None) as db:
        sqlite_schema.migrate(db, _before_filters(sqlite_schema))
        for row in _old_rows():
            db.execute(f"INSERT INTO visibility ({_COLUMNS}) VALUES ({'?, ' * 17}?)", row)
    db.close()


async def _old_postgres(url):
    import asyncpg

    await postgres_schema.upgrade(url, _before_filters(postgres_schema))
    db = await asyncpg.connect(url)
    numbers = ", ".join(f"${number}" for number in range(1, 19))
    await db.executemany(f"INSERT INTO visibility ({_COLUMNS}) VALUES ({numbers})", _old_rows())
    await db.close()
    await postgres_schema.upgrade(url)


def _old_rows():
    rows = [
        visibility(f"old-{number}", search_attributes=OLD if number % 2 else b"")
        for number in range(5)
    ]
    return [row._replace(close_time_ns=NEVER_NS)[: len(_FIELDS)] for row in rows]


@pytest.mark.parametrize(
    "kind", ["sqlite-file", pytest.param("postgresql", marks=pytest.mark.slow)]
)
async def test_rows_from_before_filters_are_found(kind, tmp_path, request):
    if kind == "postgresql":
        postgres = request.getfixturevalue("postgres")
        url = postgres.new_database()
        await _old_postgres(url)
    else:
        url = f"sqlite:///{tmp_path / 'old.db'}"
        _old_sqlite(url)
    store = open_store(url)
    await store.open()
    try:
        assert await store.count_visibility("namespace-1", EVERYTHING) == 5
        leases = await store.claim("node-1", MINUTE_NS)
        await index_old_rows(store, leases, lambda _: {"Color": CustomAttribute("Keyword02")})
        assert await store.unindexed_visibility(10) == []
        color = filters.Compare(Attribute("Color", "Keyword02"), filters.Operator.EQUAL, "red")
        red = Filter(filters.All((IN_NO_DIVISION, color)))
        listed = await store.list_visibility("namespace-1", limit=9, after=None, filter=red)
        assert [row.run_id for row in listed] == ["old-3", "old-1"]
        assert listed[0].search_attributes == OLD
        assert await store.count_groups("namespace-1", GROUPED) == [(1, 5)]
    finally:
        await store.close()
