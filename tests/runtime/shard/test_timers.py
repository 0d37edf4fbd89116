"""Timers fire when they are due, and only those that still concern a run."""

import asyncio

import pytest

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import timers
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


async def test_a_timer_is_not_missed_when_the_clock_is_set_on(monkeypatch):
    monkeypatch.setattr(timers, "LOOK_EVERY_S", 0.01)
    clock, fired = SetClock(), asyncio.Event()
    node = Node(MemoryStore(), clock, ConfiguredLimits(), owner="node-1")
    await node.start()
    key = await start(node, "ns", "w")
    live = await node.engine.get(key)
    later = timers.Timers(clock, lambda *_: fired.set())
    later.ask(live, timers.Timer(clock.now_ns() + 1800 * 10**9, 1, 1, 1))
    clock.go_on(3600)
    async with asyncio.timeout(5):
        await fired.wait()
    later.close()
    await node.stop()
