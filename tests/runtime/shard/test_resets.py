"""A reset reads what has happened to a workflow, and ends, whatever happens to it meanwhile."""

import asyncio

import pytest
from temporalio.api.history.v1 import History

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.signals import Signal
from perdure.runtime.node import Node
from perdure.runtime.shard.rebuilding import Reset
from perdure.runtime.shard.resets import Resets
from perdure.store.memory import MemoryStore
from perdure.store.port import JournalRow
from tests.build.commands import continue_as_new
from tests.runtime.nodes import SetClock, close, complete, is_there, poll, start, started_node


class Forgetful(MemoryStore):
    """Has the node let go of all closed runs, or a run deleted, whenever a history is read."""

    def __init__(self) -> None:
        super().__init__()
        self.node: Node | None = None
        self.to_delete: ExecutionKey | None = None

    async def history(self, *arguments, **options) -> list[JournalRow]:
        if self.to_delete is not None:
            key, self.to_delete = self.to_delete, None
            await self.node.executions.delete(key)
        if self.node is not None:
            cache = self.node.engine.cache
            for live in list(cache.executions()):
                if not live.execution.state.is_open:
                    cache.drop(live)
        return await super().history(*arguments, **options)


class Calendar(SetClock):
    """Goes on while no time passes: leases are kept."""

    def monotonic_ns(self) -> int:
        return 10**18


@pytest.fixture
async def store():
    return Forgetful()


@pytest.fixture
async def node(store):
    node = await started_node(store, Calendar())
    yield node
    await node.stop()


async def signal(node: Node, key: ExecutionKey, name: str) -> None:
    await node.executions.ask(key, Signal(name, None, "", f"{name}-id", None))


async def chain_of(node: Node, count: int) -> list[ExecutionKey]:
    """Start a workflow that goes on as a new run again and again. Each run is sent a signal of its number."""
    keys = [await start(node, "ns", "w")]
    await signal(node, keys[0], "0")
    for number in range(1, count):
        node.clock.go_on(10)  # Without this the next run would have to wait.
        await complete(node, await poll(node), [continue_as_new()])
        live = await node.engine.get(keys[0]._replace(run_id=""))
        keys.append(live.key)
        await signal(node, live.key, str(number))
    return keys


async def reset(node: Node, key: ExecutionKey) -> ExecutionKey:
    wanted = Reset(3, "why", "request", frozenset())
    async with asyncio.timeout(20):
        return key._replace(run_id=await node.executions.reset(key, wanted))


async def signals_of(node: Node, key: ExecutionKey) -> list[str]:
    live = await node.engine.get(key)
    page = await node.executions.page(
        live.key, 1, live.execution.state.next_event_id, events_max=999
    )
    events = History.FromString(page.events).events
    attributes = [event.workflow_execution_signaled_event_attributes for event in events]
    return [each.signal_name for each in attributes if each.signal_name]


async def test_the_run_that_it_went_on_as_is_deleted(node):
    first, second = await chain_of(node, 2)
    await node.executions.delete(second)
    assert not await is_there(node, second)
    new = await reset(node, first)
    assert (await node.engine.get(new)).execution.state.base_run_ids == [first.run_id]
    assert await signals_of(node, new) == ["0"]
    assert (await node.engine.get(first._replace(run_id=""))).key == new


async def test_a_run_in_the_middle_is_deleted(node):
    """The runs after it are not known any more, though the current run is there to be terminated."""
    first, second, third = await chain_of(node, 3)
    await node.executions.delete(second)
    new = await reset(node, first)
    assert await signals_of(node, new) == ["0"]
    assert not (await node.engine.get(third)).execution.state.is_open


async def test_a_run_is_deleted_while_it_is_read(node, store):
    first, second, _ = await chain_of(node, 3)
    store.node, store.to_delete = node, second
    assert await signals_of(node, await reset(node, first)) == ["0"]


async def test_the_base_run_is_deleted_while_it_is_read(node, store):
    first, *_ = await chain_of(node, 3)
    store.node, store.to_delete = node, first
    with pytest.raises(Rejected) as refused:
        await reset(node, first)
    assert refused.value.code is Code.NOT_FOUND


async def test_closed_runs_leave_memory_while_others_are_read(node, store):
    keys = await chain_of(node, 12)
    store.node = node
    new = await reset(node, keys[0])
    assert await signals_of(node, new) == [str(number) for number in range(12)]
    assert not (await node.engine.get(keys[-1])).execution.state.is_open


async def test_the_whole_chain_has_left_memory(node, store):
    keys = await chain_of(node, 3)
    await close(node, keys[-1])
    store.node = node
    assert await signals_of(node, await reset(node, keys[0])) == ["0", "1", "2"]


async def test_it_gives_up_on_a_workflow_that_goes_on_faster_than_it_is_read(node, monkeypatch):
    first, *_ = await chain_of(node, 2)
    monkeypatch.setattr(Resets, "_is_complete", lambda *_: False)
    with pytest.raises(Rejected) as refused:
        await reset(node, first)
    assert refused.value.code is Code.UNAVAILABLE
