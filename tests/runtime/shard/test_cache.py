"""Reads of runs that are under way at the same time do not disturb each other."""

import asyncio
from collections.abc import Sequence

from temporalio.api.enums.v1 import WorkflowExecutionStatus

from perdure.core.execution.key import ExecutionKey
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard.group_commit import OpenBatch
from perdure.store.memory import MemoryStore
from perdure.store.port import NEVER_NS, Batch, ExecutionRow, LoadedRun
from tests.runtime.nodes import Failing, SetClock, start, started_node

COMPLETED = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED


class Slow(MemoryStore):
    """A read ends when its workflow id is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = {"first": asyncio.Event(), "second": asyncio.Event()}

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        if keys[0].business_id in self.gates:
            await self.gates[keys[0].business_id].wait()
        return await super().load(keys)


async def test_a_read_that_ends_does_not_take_another_one_with_it() -> None:
    """Both knew of nothing that had left memory, and were taken for the same."""
    store = Slow()
    engine = Node(store, SystemClock(), ConfiguredLimits(), owner="node-1").engine
    first, second = (ExecutionKey(1, 0, "ns", name, name) for name in ("first", "second"))
    closed = [ExecutionRow(*key, 1, COMPLETED, NEVER_NS, b"", 0) for key in (first, second)]
    await store.commit(Batch(await store.claim("node-1", 60 * 10**9), closed))
    reads = [asyncio.create_task(engine.loading.removable([key])) for key in (first, second)]
    await asyncio.sleep(0)
    store.gates["second"].set()
    assert await reads[1] == [second]
    engine.cache.tombstone(first, OpenBatch())
    store.gates["first"].set()
    assert await reads[0] == []


async def test_runs_that_are_too_large_to_load_many_at_once_are_loaded_all_the_same():
    store, clock = Failing(), SetClock()
    first = await started_node(store, clock)
    for number in range(40):
        await start(first, "ns", f"w{number}")
    await first.stop()
    store.loads_at_once = 10
    node = await started_node(store, clock)
    assert len(node.engine.cache) == 40
    await node.stop()
