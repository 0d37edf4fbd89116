"""A long journal is folded in slices, and what happens between two of them is not lost."""

import asyncio

import pytest

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.archetype import WorkflowArchetype
from perdure.core.workflow.signals import Signal
from perdure.runtime.node import Node
from perdure.runtime.shard.cached import FOLDED_IN_ONE_TURN
from perdure.store.memory import MemoryStore
from tests.build.commands import record_marker, start_timer
from tests.runtime.nodes import SetClock, complete, poll, start, started_node, until


@pytest.fixture
async def node():
    node = await started_node(MemoryStore(), SetClock())
    yield node
    await node.stop()


async def grown(node: Node) -> tuple[ExecutionKey, object]:
    """Return a run that has left memory, with a long journal after its snapshot, and its state."""
    key = await start(node, "ns", "w")
    commands = [record_marker(str(n)) for n in range(1000)]
    commands += [start_timer(str(n), 1000) for n in range(1000)]
    await complete(node, await poll(node), commands)
    for number in range(50):
        await node.executions.ask(key, Signal("s", None, "", str(number), None))
    cached = await node.engine.get(key)
    await node.engine.until_durable(cached)
    node.engine.cache.drop(cached)
    return key, cached.execution.state


def at_fold(monkeypatch, number: int, act) -> list[int]:
    """Call `act` before this fold; return a list that gets the number of rows of each."""
    sizes: list[int] = []
    original = WorkflowArchetype.fold

    def fold(self, execution, rows):
        rows = list(rows)
        sizes.append(len(rows))
        if len(sizes) == number:
            act()
        original(self, execution, rows)

    monkeypatch.setattr(WorkflowArchetype, "fold", fold)
    return sizes


async def test_others_have_a_turn_after_each_slice(node, monkeypatch):
    key, state = await grown(node)
    turns, seen = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    original = WorkflowArchetype.fold

    def fold(self, execution, rows):
        before = execution.state.next_event_id
        original(self, execution, rows)
        seen.append((turns, execution.state.next_event_id - before))

    monkeypatch.setattr(WorkflowArchetype, "fold", fold)
    beside = asyncio.create_task(others())
    assert (await node.engine.get(key)).execution.state == state
    beside.cancel()
    assert len(seen) >= 2000 // (2 * FOLDED_IN_ONE_TURN)
    assert len({turn for turn, _ in seen}) == len(seen)
    assert max(events for _, events in seen) < 2 * FOLDED_IN_ONE_TURN


@pytest.mark.parametrize("number", [1, 3])
async def test_two_loads_of_a_run_make_one_of_it(node, monkeypatch, number):
    """One asks for the run and the other for the current one; the first to be ready counts for both."""
    key, _ = await grown(node)
    asked: list[asyncio.Task[object]] = []

    def act() -> None:
        signal = Signal("late", None, "", "late", None)
        current = key._replace(run_id="")
        asked.extend(asyncio.create_task(node.executions.ask(k, signal)) for k in (current, key))

    at_fold(monkeypatch, number, act)
    await node.executions.ask(key, Signal("first", None, "", "first", None))
    await asyncio.gather(*asked)
    state = (await node.engine.get(key)).execution.state
    assert {"first", "late"} <= state.signals.keys()
    again = [node.engine.cache.peek(k) for k in (key, key._replace(run_id=""))]
    assert again[0] is again[1]


async def test_a_run_that_came_and_left_in_between_is_read_again(node, monkeypatch):
    key, _ = await grown(node)
    acted: list[asyncio.Task[None]] = []

    async def come_and_go() -> None:
        await node.executions.ask(key._replace(run_id=""), Signal("late", None, "", "late", None))
        cached = node.engine.cache.peek(key)
        if cached is not None:
            await node.engine.until_durable(cached)
            node.engine.cache.drop(cached)

    at_fold(monkeypatch, 1, lambda: acted.append(asyncio.create_task(come_and_go())))
    await node.executions.ask(key, Signal("first", None, "", "first", None))
    await asyncio.gather(*acted)
    assert {"first", "late"} <= (await node.engine.get(key)).execution.state.signals.keys()


async def test_a_node_that_loses_its_lease_in_between_loads_nothing(node, monkeypatch):
    key, state = await grown(node)
    at_fold(monkeypatch, 2, lambda: node.engine.ownership.lose_everything([], "on purpose"))
    with pytest.raises(Rejected) as refused:
        await node.engine.get(key)
    assert refused.value.code is Code.UNAVAILABLE

    async def serves() -> bool:
        return node.engine.is_serving

    await until(serves)
    assert (await node.engine.get(key)).execution.state == state
