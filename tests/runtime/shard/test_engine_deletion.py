"""A deleted run is gone for everybody at once, whatever fails on the way."""

import asyncio
import gc
from contextlib import suppress

import pytest
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy

from perdure.core.errors import Code, Rejected
from perdure.core.limits import Limits
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.start_policy import Start, started_attributes
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard.group_commit import OpenBatch
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, Unavailable
from tests.build.requests import start_request
from tests.runtime.nodes import begin

PATIENCE_S = 60
ALLOW = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
FAIL = WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL


class Unreliable(MemoryStore):
    """Fails one of the commits to come, before or after it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.commits_left = -1
        self.is_written = False

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        self.commits_left -= 1
        if self.commits_left != 0:
            return await super().commit(batch)
        if self.is_written:
            await super().commit(batch)
        raise Unavailable("failed on purpose")


@pytest.fixture
async def store():
    return Unreliable()


@pytest.fixture
async def node(store):
    node = Node(store, SystemClock(), ConfiguredLimits(), owner="node-1")
    await node.start()
    yield node
    await node.stop()


async def start(node: Node) -> str:
    reply = await begin(node, "ns-id", start_request(), reuse=ALLOW, conflict=FAIL)
    return reply.run_id


async def terminate(node: Node) -> None:
    await node.executions.ask(node.executions.key("ns-id", "w"), Terminate("", None, ""))


async def delete(node: Node, run_id: str = "") -> None:
    await node.executions.delete(node.executions.key("ns-id", "w", run_id))


async def is_there(node: Node, run_id: str = "") -> bool:
    return await node.engine.find(node.executions.key("ns-id", "w", run_id)) is not None


async def test_nothing_is_left(node, store):
    run_id = await start(node)
    await delete(node)
    assert not await is_there(node)
    assert not await is_there(node, run_id)
    assert store.journal(run_id) == []
    assert list(store.rows()) == []
    assert await store.count_visibility("ns-id") == 0


async def test_it_can_be_deleted_once(node):
    run_id = await start(node)
    await delete(node, run_id)
    for again in ("", run_id):
        with pytest.raises(Rejected) as refused:
            await delete(node, again)
        assert refused.value.code is Code.NOT_FOUND


async def test_an_older_run_stays_and_does_not_become_the_current_one(node):
    first = await start(node)
    await terminate(node)
    second = await start(node)
    await delete(node)
    assert not await is_there(node)
    assert await is_there(node, first)
    third = await start(node)
    node.engine.cache.forget_all()
    current = await node.engine.get(node.executions.key("ns-id", "w"))
    assert current.key.run_id == third
    assert not await is_there(node, second)


async def test_who_asks_while_it_is_deleted_waits(node):
    """Deleted means deleted also for who reads the store before the deletion is written."""
    run_id = await start(node)
    deleting = asyncio.create_task(delete(node, run_id))
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(is_there(node, which) for which in ("", run_id, "", run_id)))
    await deleting
    assert answers == [False] * 4


async def test_it_waits_for_its_parent_to_be_told(node, store):
    """Here the parent is gone, which is as good."""
    wanted, run_id = start_request(), node.fresh_id()
    attributes = started_attributes(wanted, run_id, now_ns=node.clock.now_ns(), limits=Limits())
    attributes.parent_workflow_execution.workflow_id = "parent"
    attributes.parent_workflow_execution.run_id = node.fresh_id()
    key = node.executions.key("ns-id", "w", run_id)
    live = node.engine.begin(key, 1, Start("ns-id", "ns", "w", run_id, attributes, "r"))
    await node.engine.until_durable(live)
    await delete(node)
    async with asyncio.timeout(PATIENCE_S):
        while await is_there(node):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert list(store.rows()) == []


@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize("failing", [1, 2])
async def test_a_failed_commit_leaves_the_run_or_nothing(node, store, failing, is_written):
    run_id = await start(node)
    store.commits_left, store.is_written = failing, is_written
    outcome = None
    async with asyncio.timeout(PATIENCE_S):
        while outcome is not Code.NOT_FOUND:
            try:
                await delete(node)
            except Rejected as refusal:
                outcome = refusal.code
                assert outcome in (Code.UNAVAILABLE, Code.NOT_FOUND)
            has_row = any(row.run_id == run_id for row in store.rows())
            assert (
                has_row
                == bool(store.journal(run_id))
                == bool(await store.count_visibility("ns-id"))
            )
            await asyncio.sleep(0.02)
    with suppress(Rejected):
        assert not await is_there(node, run_id)
    assert list(store.rows()) == []


async def test_nothing_of_it_stays_in_memory(node):
    """A batch that was kept for it would keep all that was written with it, too."""
    for _ in range(3):
        await start(node)
        await delete(node)
    await start(node)  # The last write may stay.
    gc.collect()
    batches = [each for each in gc.get_objects() if type(each) is OpenBatch]
    assert [each for each in batches if each.deletes] == []
