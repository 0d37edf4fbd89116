"""A deleted run leaves its number behind: no later run of its business id has that again."""

import asyncio

from tests.runtime.nodes import SetClock, Unreliable, close, start, started_node, until


async def test_the_number_of_a_run_that_is_deleted_before_it_is_stored_is_not_taken_again():
    store = Unreliable()
    node = await started_node(store, SetClock())
    first = await start(node, "ns", "w")
    await close(node, first)
    store.may_commit.clear()
    others = [asyncio.create_task(start(node, "ns", "other"))]
    # All that comes now is in one batch, which waits for this commit.
    await until(store.is_asked)
    others.append(asyncio.create_task(start(node, "ns", "w")))
    current = first._replace(run_id="")

    async def has_begun() -> bool:
        return node.engine.cache.peek(current).key != first

    await until(has_begun)
    second = node.engine.cache.peek(current).key
    others.append(asyncio.create_task(node.executions.delete(second)))
    await asyncio.sleep(0)
    store.may_commit.set()
    await asyncio.gather(*others)
    third = await node.engine.get(await start(node, "ns", "w"))
    assert third.run_number == 3
    assert await node.engine.find(second) is None
    await node.stop()
