"""A node answers while it takes over, and is ready when it has."""

import asyncio

from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import ownership
from perdure.store.memory import MemoryStore
from tests.runtime.nodes import QUEUE, SetClock, close, start, started_node, until


class Slow(MemoryStore):
    """Answers the question for what is due when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def due(self, *arguments):
        await self.may_answer.wait()
        return await super().due(*arguments)


async def taking_over(store: Slow) -> tuple[Node, "asyncio.Task[None]"]:
    """Return a node that serves and cannot take over yet the one run that there is."""
    before = await started_node(store, SetClock())
    await start(before, "ns", "w")
    await before.stop()
    store.may_answer.clear()
    node = Node(store, SetClock(), ConfiguredLimits(), owner="node-2")
    await node.serve()
    return node, asyncio.create_task(node.engine.take_over())


async def test_it_answers_for_what_is_not_loaded_yet():
    store = Slow()
    node, loading = await taking_over(store)
    assert not node.engine.is_ready
    key = await start(node, "ns", "new")
    assert node.task_queues.describe(QUEUE).backlog_count == 1
    await close(node, node.executions.key("ns", "w"))
    assert not node.engine.is_ready
    store.may_answer.set()
    await loading
    assert node.engine.is_ready
    assert node.engine.cache.peek(key) is not None
    await node.stop()


async def test_it_is_ready_again_after_it_has_lost_everything_meanwhile(monkeypatch):
    monkeypatch.setattr(ownership, "RETRY_S", 0.001)
    store = Slow()
    node, loading = await taking_over(store)
    node.engine.ownership.lose_everything([], "on purpose")
    assert not node.engine.is_serving
    store.may_answer.set()
    await loading

    async def is_ready():
        return node.engine.is_ready

    await until(is_ready)
    assert node.task_queues.describe(QUEUE).backlog_count == 1
    await node.stop()
    assert not node.engine.is_ready
