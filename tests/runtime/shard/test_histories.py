"""A caller that follows a history is woken by what it waits for, and by nothing else."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History

from perdure.core.workflow.signals import Signal
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import SetClock, close, start, started_node


@pytest.fixture
async def node():
    node = await started_node(MemoryStore(), SetClock())
    yield node
    await node.stop()


async def test_who_waits_for_the_end_sleeps_through_the_rest(node):
    key = await start(node, "ns", "w")
    live, soon = await node.engine.get(key), asyncio.get_running_loop().time() + 60
    end = asyncio.create_task(
        node.executions.follow(live.key, live.summary.next_event_id - 1, soon, only_the_end=True)
    )
    event = asyncio.create_task(
        node.executions.follow(live.key, live.summary.next_event_id - 1, soon)
    )
    await asyncio.sleep(0)
    await node.executions.ask(key, Signal("s", None, "", ""))
    assert await event
    assert not end.done()
    await close(node, key)
    assert await end


async def test_who_waits_for_the_end_learns_that_the_run_is_in_memory_no_more(node):
    live = await node.engine.get(await start(node, "ns", "w"))
    soon = asyncio.get_running_loop().time() + 60
    end = asyncio.create_task(
        node.executions.follow(live.key, live.summary.next_event_id - 1, soon, only_the_end=True)
    )
    await asyncio.sleep(0)
    node.engine.commit_failed([], RuntimeError("failed on purpose"))
    assert await end


@pytest.mark.parametrize("only_the_end", [False, True])
async def test_who_waits_with_a_run_that_has_left_memory_looks_again(node, only_the_end):
    """It was parked while the caller waited until what it saw was durable."""
    live = await node.engine.get(await start(node, "ns", "w"))
    node.engine.cache.drop(live)
    soon = asyncio.get_running_loop().time() + 60
    async with asyncio.timeout(20):
        assert await node.executions.follow(
            live.key, live.summary.next_event_id - 1, soon, only_the_end=only_the_end
        )
    again = await node.engine.get(live.key)
    assert again is not live


async def test_the_last_event_of_a_run_in_memory_is_not_read(node, monkeypatch):
    key = await start(node, "ns", "w")
    await close(node, key)
    live = await node.engine.get(key)
    monkeypatch.setattr(node.store, "history", None)
    (event,) = History.FromString(
        await node.executions.last_event(live.key, live.summary.next_event_id)
    ).events
    assert event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
