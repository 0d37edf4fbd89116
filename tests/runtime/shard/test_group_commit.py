"""A batch has a bound, and what one step does is in one batch all the same."""

import asyncio

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from perdure.core.errors import Rejected, unavailable
from perdure.core.workflow.signals import Signal
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import batch
from perdure.runtime.shard.batch import OpenBatch
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch
from tests.runtime.nodes import begin, until

ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
REPLACE = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING


class Remembering(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()
        #: A commit waits.
        self.is_asked = asyncio.Event()

    async def commit(self, batch: Batch) -> None:
        if not self.may_commit.is_set():
            self.is_asked.set()
        await self.may_commit.wait()
        self.batches.append(batch)
        await super().commit(batch)


@pytest.fixture
async def store():
    return Remembering()


@pytest.fixture
async def node(store):
    node = Node(store, SystemClock(), ConfiguredLimits(), owner="node-1")
    await node.start()
    yield node
    await node.stop()


async def start(node: Node, workflow_id: str) -> str:
    wanted = StartWorkflowExecutionRequest(workflow_id=workflow_id, namespace="ns")
    wanted.workflow_type.name, wanted.task_queue.name = "T", "q"
    reply = await begin(node, "ns", wanted, reuse=ALLOW, conflict=REPLACE)
    return reply.run_id


async def test_a_run_and_the_one_it_makes_room_for_are_written_together(node, store, monkeypatch):
    monkeypatch.setattr(batch, "BATCH_ROWS_MAX", 1)
    old = await start(node, "w")
    new = await start(node, "w")
    [ends] = [
        batch
        for batch in store.batches
        if any(row.run_id == old and row.seq == 2 for row in batch.journal)
    ]
    assert [row.run_id for row in ends.executions] == [new]


async def test_a_batch_is_bounded_in_bytes(node, store, monkeypatch):
    monkeypatch.setattr(batch, "BATCH_BYTES_MAX", 50_000)
    await start(node, "w")
    key = node.executions.key("ns", "w")
    payload = Payloads(payloads=[Payload(data=b"x" * 10_000)])

    async def signal(number: int) -> None:
        await node.executions.ask(
            key, Signal(name="s", input=payload, identity="", request_id=str(number))
        )

    store.may_commit.clear()
    signals = []
    for number in range(100):
        signals.append(asyncio.create_task(signal(number)))
        await asyncio.sleep(0)
    store.may_commit.set()
    await asyncio.gather(*signals)
    sizes = [sum(len(row.events) for row in batch.journal) for batch in store.batches]
    assert sum(len(batch.journal) for batch in store.batches) == 101
    assert max(sizes) < 70_000, sizes


async def test_who_asks_of_a_batch_too_late_is_answered_all_the_same():
    """If not, a reader that kept a run while its commit failed would wait for ever."""
    failed, written = OpenBatch(), OpenBatch()
    failed.finish(unavailable("on purpose"))
    written.finish(None)
    async with asyncio.timeout(5):
        await written.durable()
        with pytest.raises(Rejected, match="on purpose"):
            await failed.durable()


async def is_filled(commits):
    return not commits.open.is_empty()


async def test_it_knows_how_long_the_oldest_change_has_waited(node, store):
    commits = node.engine.commits
    await start(node, "durable")
    assert commits.age_s() == 0.0
    store.may_commit.clear()
    try:
        first = asyncio.create_task(start(node, "first"))
        await store.is_asked.wait()
        second = asyncio.create_task(start(node, "second"))
        await until(lambda: is_filled(commits))
        assert commits.open.began_at_s >= commits._in_flight.began_at_s > 0.0
        assert commits.age_s() >= 0.0
    finally:
        store.may_commit.set()
    await first
    await second
    assert commits.age_s() == 0.0
