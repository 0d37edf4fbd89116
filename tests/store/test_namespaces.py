"""Namespaces change one version at a time, and a cluster keeps the id that it had first."""

import asyncio

import pytest

from perdure.store.port import Conflict
from tests.store.rows import namespace


async def test_there_is_none_to_begin_with(store):
    assert await store.namespaces() == []


async def test_a_namespace_comes_back_as_it_was_put(store):
    rows = [namespace("a"), namespace("b", data=b"")]
    for row in rows:
        await store.put_namespace(row)
    assert sorted(await store.namespaces()) == rows


async def test_an_update_names_the_version_after_the_stored_one(store):
    await store.put_namespace(namespace("a"))
    await store.put_namespace(namespace("b"))
    await store.put_namespace(namespace("a", 2, data=b"new", name="renamed"))
    assert sorted(await store.namespaces()) == [
        namespace("a", 2, data=b"new", name="renamed"),
        namespace("b"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        namespace("a", 1, data=b"new"),
        namespace("a", 2, data=b"new"),
        namespace("a", 4, data=b"new"),
        namespace("new", 2),
        namespace("new", 1, name="a"),
        namespace("new", 1, namespace_id="id of a"),
        namespace("a", 3, name="b"),
    ],
    ids=["first again", "same", "skipping", "none yet", "name", "id", "renamed to another's"],
)
async def test_what_does_not_fit_is_refused(store, row):
    before = [namespace("a", 2), namespace("b")]
    for good in (namespace("a"), *before):
        await store.put_namespace(good)
    with pytest.raises(Conflict):
        await store.put_namespace(row)
    assert sorted(await store.namespaces()) == before


async def test_of_two_changes_at_once_one_counts(store):
    await store.put_namespace(namespace("a"))
    rows = [namespace("a", 2, data=data) for data in (b"one", b"two")]
    outcomes = await asyncio.gather(*map(store.put_namespace, rows), return_exceptions=True)
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [Conflict]
    (stored,) = await store.namespaces()
    assert stored == rows[outcomes.index(None)]


async def test_the_first_cluster_id_stays(store):
    assert await store.cluster_id("first") == "first"
    assert await store.cluster_id("second") == "first"


async def test_all_agree_on_a_cluster_id(store):
    ids = await asyncio.gather(*(store.cluster_id(f"id {number}") for number in range(8)))
    assert len(set(ids)) == 1


async def test_a_deleted_namespace_leaves_its_name_and_the_others(store):
    for name in ("a", "b"):
        await store.put_namespace(namespace(name))
    for _ in range(2):
        await store.delete_namespace("id of a")
        assert await store.namespaces() == [namespace("b")]
    await store.put_namespace(namespace("a"))
    assert sorted(await store.namespaces()) == [namespace("a"), namespace("b")]


async def test_a_namespace_can_be_renamed(store):
    await store.put_namespace(namespace("a"))
    await store.put_namespace(namespace("a", 2, name="c"))
    await store.put_namespace(namespace("a", namespace_id="another id"))
    assert sorted((row.namespace_id, row.name) for row in await store.namespaces()) == [
        ("another id", "a"),
        ("id of a", "c"),
    ]
