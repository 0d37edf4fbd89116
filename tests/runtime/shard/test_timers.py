"""Nobody is woken, and nothing read, for what concerns nobody."""

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import History

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.workflow.signals import Signal
from perdure.runtime.shard.timers import Timers
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import SetClock, close, start, started_node

SECOND_NS = 10**9


@pytest.fixture
async def clock():
    return SetClock()


@pytest.fixture
async def node(clock):
    node = await started_node(MemoryStore(), clock)
    yield node
    await node.stop()


async def test_a_timer_of_a_task_that_has_ended_is_not_waited_for(node, clock):
    live = await node.engine.get(await start(node, "ns", "w"))
    timers, at_ns = Timers(clock, lambda *_: None), clock.now_ns() + 10 * SECOND_NS
    timers.ask(live, Timer(at_ns - SECOND_NS, TimerKind.WORKFLOW_TASK_TIMEOUT, 99, 1))
    assert not len(timers)
    timers.ask(live, Timer(at_ns, TimerKind.WORKFLOW_TASK_TIMEOUT, 2, 1))
    assert len(timers) == 1
    timers.close()


async def test_a_closed_run_waits_for_its_callbacks_only(node, clock):
    key = await start(node, "ns", "w")
    live = await node.engine.get(key)
    await close(node, key)
    timers, at_ns = Timers(clock, lambda *_: None), clock.now_ns() + 10 * SECOND_NS
    timers.ask(live, Timer(at_ns, TimerKind.CALLBACK_RETRY, 0, 1))
    timers.ask(live, Timer(at_ns - SECOND_NS, TimerKind.RUN_TIMEOUT, 0, 0))
    assert len(timers) == 1
    timers.close()


async def test_who_waits_for_the_end_sleeps_through_the_rest(node):
    key = await start(node, "ns", "w")
    live, soon = await node.engine.get(key), asyncio.get_running_loop().time() + 60
    end = asyncio.create_task(node.histories.wait_for_event(live, soon, only_the_end=True))
    event = asyncio.create_task(node.histories.wait_for_event(live, soon))
    await asyncio.sleep(0)
    await node.engine.ask(key, Signal("s", None, "", ""))
    assert await event
    assert not end.done()
    await close(node, key)
    assert await end


async def test_who_waits_for_the_end_learns_that_the_run_is_in_memory_no_more(node):
    live = await node.engine.get(await start(node, "ns", "w"))
    soon = asyncio.get_running_loop().time() + 60
    end = asyncio.create_task(node.histories.wait_for_event(live, soon, only_the_end=True))
    await asyncio.sleep(0)
    node.engine.commit_failed([], RuntimeError("failed on purpose"))
    assert await end


@pytest.mark.parametrize("only_the_end", [False, True])
async def test_who_waits_with_a_run_that_has_left_memory_looks_again(node, only_the_end):
    """It was parked while the caller waited until what it saw was durable."""
    live = await node.engine.get(await start(node, "ns", "w"))
    node.engine.cache._drop(live)
    soon = asyncio.get_running_loop().time() + 60
    async with asyncio.timeout(20):
        assert await node.histories.wait_for_event(live, soon, only_the_end=only_the_end)
    again = await node.engine.get(live.key)
    assert again is not live


async def test_the_last_event_of_a_run_in_memory_is_not_read(node, monkeypatch):
    key = await start(node, "ns", "w")
    await close(node, key)
    live = await node.engine.get(key)
    monkeypatch.setattr(node.store, "history", None)
    (event,) = History.FromString(await node.histories.last_event(live)).events
    assert event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED
