"""Namespaces as several nodes change them: each has a memory of its own, which may be some seconds old."""

from itertools import count

import msgspec
import pytest

from perdure.runtime.namespaces import Namespace, Namespaces
from perdure.store.memory import MemoryStore


@pytest.fixture
async def nodes() -> tuple[Namespaces, Namespaces]:
    """Two nodes over one store, which both know the namespace "shared"."""
    store, ids = MemoryStore(), count()
    first, second = (Namespaces(store, lambda: f"id-{next(ids)}", lambda: 0) for _ in range(2))
    await first.register(Namespace(id="", name="shared"))
    await second.load()
    return first, second


def described(description: str):
    return lambda old: msgspec.structs.replace(old, description=description)


async def test_a_change_that_is_none_for_an_old_memory_is_made(nodes):
    first, second = nodes
    await first.update("shared", described("new"))
    # The second node still has the empty description, and is asked for just that.
    await second.update("shared", described(""))
    await first.load()
    assert first.get("shared").description == ""


async def test_an_attribute_that_another_node_has_added_is_removed(nodes):
    first, second = nodes
    await first.add_search_attributes("shared", {"Colour": 1})
    await second.remove_search_attributes("shared", {"Colour"})
    await first.load()
    assert not first.get("shared").search_attribute_types()


async def test_a_change_of_another_node_is_kept(nodes):
    first, second = nodes
    await first.update("shared", described("new"))
    changed = await second.update(
        "shared", lambda old: msgspec.structs.replace(old, owner_email="somebody")
    )
    assert (changed.description, changed.owner_email) == ("new", "somebody")
