"""A run in memory is bounded in bytes, and so is what a load of it reads."""

import asyncio

import pytest
from temporalio.api.common.v1 import Payload, Payloads

from perdure.core.matching.task_queue import PollerInfo
from perdure.core.workflow.signals import Signal
from perdure.runtime.node import Node
from perdure.runtime.shard import cached
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch
from tests.build.commands import schedule_activity
from tests.runtime.nodes import QUEUE, SetClock, complete, poll, start, started_node


@pytest.fixture
async def store():
    return MemoryStore()


@pytest.fixture
async def node(store):
    node = await started_node(store, SetClock())
    yield node
    await node.stop()


async def signalled(node: Node, workflow_id: str, signal_bytes: int, count: int):
    key = await start(node, "ns", workflow_id)
    for number in range(count):
        big = Payloads(payloads=[Payload(data=bytes(signal_bytes))])
        await node.executions.ask(key, Signal("s", big, "", str(number)))
    return await node.engine.get(key)


async def test_of_a_long_history_that_no_worker_has_seen_a_part_is_in_memory(node, store):
    found = await signalled(node, "w", 100_000, 30)
    assert found.tail_bytes <= cached.UNSEEN_BYTES_MAX
    info = PollerInfo("worker", node.clock.now_ns())
    task = await node.polls.workflow_task(
        QUEUE, info, asyncio.get_running_loop().time() + 9, b"", []
    )
    seen = await node.executions.page(found.key, 1, 33, events_max=1000)
    assert task.history[:1000] == seen.events[:1000]
    rest = await node.executions.page(found.key, seen.next_event_id, 33, events_max=1000)
    assert rest.next_event_id == 33


async def test_what_has_to_be_read_of_a_run_has_a_bound_in_bytes(node, store):
    found = await signalled(node, "w", 100_000, 30)
    [stored] = await store.load([found.key])
    assert sum(len(row.events) for row in stored.journal) <= cached.SNAPSHOT_EVERY_BYTES + 200_000
    assert stored.row.snapshot_seq > 1


class Counting(MemoryStore):
    """Counts the bytes of the snapshots that are written."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def commit(self, batch: Batch) -> None:
        self.sizes += [len(update.snapshot) for update in batch.updates]
        await super().commit(batch)


async def test_a_large_state_is_not_written_again_and_again():
    """The cost of one of many pending activities must not grow with their number."""
    store = Counting()
    node = await started_node(store, SetClock())
    key = await start(node, "ns", "w")
    commands = [schedule_activity(f"{number}", "q") for number in range(1900)]
    await complete(node, await poll(node), commands)
    for number in range(2000):
        await node.executions.ask(key, Signal("s", None, "", str(number)))
    await node.stop()
    rows = len(store.journal(key.run_id))
    largest = max(store.sizes)
    assert largest > 2 * cached.SNAPSHOT_EVERY_ROWS * cached.SNAPSHOT_BYTES_PER_ROW
    assert sum(store.sizes) <= 2 * largest + rows * cached.SNAPSHOT_BYTES_PER_ROW
