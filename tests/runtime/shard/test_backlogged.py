"""Runs that were evicted while their tasks wait for a worker come back, and cost no more than they must."""

import asyncio
import gc

import pytest
from temporalio.api.workflow.v1 import WorkflowExecutionOptions

from perdure.core.matching.task_queue import POLLER_MEMORY_NS, PollerInfo
from perdure.core.workflow.options_update import UpdateOptions
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.node import Node
from perdure.runtime.shard import backlogged
from tests.build.requests import start_request
from tests.runtime.nodes import (
    ALLOW,
    FAIL,
    QUEUE,
    Failing,
    SetClock,
    begin,
    close,
    start,
    started_node,
    until,
)


@pytest.fixture
async def clock():
    return SetClock()


@pytest.fixture
async def store():
    return Failing()


@pytest.fixture
async def node(store, clock):
    node = await started_node(store, clock)
    yield node
    await node.stop()


async def long_after(node: Node) -> None:
    node.clock.go_on(POLLER_MEMORY_NS / 1e9 + 1)
    assert await node.engine.leases.claim()


async def waiting_tasks(node: Node) -> set[str]:
    """Return the workflow ids of the workflow tasks that a worker would get."""
    found, loop = set(), asyncio.get_running_loop()
    info = PollerInfo("worker", node.clock.now_ns())
    while node.task_queues.describe(QUEUE).backlog_count:
        # A new one each time: what counts may be a task that comes to nothing.
        deadline = loop.time() + 1
        task = await node.polls.workflow_task(QUEUE, info, deadline, b"", [])
        if task is not None:
            found.add(task.key.business_id)
    return found


async def test_tasks_that_came_to_nothing_leave_a_queue_that_nobody_polls(node):
    for number in range(20):
        key = await start(node, "ns", f"ended-{number}")
        await close(node, key)
    await start(node, "ns", "open")
    await long_after(node)
    node.task_queues.forget_unused(node.executions)
    assert node.task_queues.describe(QUEUE).backlog_count == 1
    assert await waiting_tasks(node) == {"open"}
    await long_after(node)
    node.task_queues.forget_unused(node.executions)
    assert list(node.task_queues.names()) == []


async def test_tasks_of_runs_that_were_let_go_stay(store, clock):
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", executions_max=0)
    await node.start()
    names = {f"w{number}" for number in range(5)}
    for name in names:
        await start(node, "ns", name)
    await long_after(node)
    node.engine.eviction.make_room()
    assert len(node.engine.cache) == 0
    node.task_queues.forget_unused(node.executions)
    assert await waiting_tasks(node) == names
    await node.stop()


async def test_a_task_whose_priority_was_changed_stays_in_a_queue_that_nobody_polls(node):
    key = await start(node, "ns", "w")
    options = WorkflowExecutionOptions()
    options.priority.priority_key = 1
    await node.executions.ask(key, UpdateOptions(options, frozenset({"priority"}), ""))
    await long_after(node)
    node.task_queues.forget_unused(node.executions)
    assert await waiting_tasks(node) == {"w"}


async def test_a_task_is_not_lost_with_the_poller_that_has_taken_it(store, clock):
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", executions_max=0)
    await node.start()
    await start(node, "ns", "w")
    await long_after(node)
    node.engine.eviction.make_room()
    assert len(node.engine.cache) == 0
    store.may_load.clear()
    deadline = asyncio.get_running_loop().time() + 60
    info = PollerInfo("worker", clock.now_ns())
    polling = asyncio.create_task(node.polls.workflow_task(QUEUE, info, deadline, b"", []))
    await store.loads.wait()
    polling.cancel()
    await asyncio.wait([polling])
    store.may_load.set()

    async def is_back() -> bool:
        return node.task_queues.describe(QUEUE).backlog_count == 1

    await until(is_back)
    assert await waiting_tasks(node) == {"w"}
    await node.stop()


async def test_whoever_is_let_go_again_and_again_is_remembered_once(store, clock, monkeypatch):
    monkeypatch.setattr(backlogged, "STALE_MAX", 8)
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", executions_max=0)
    await node.start()
    request = start_request(workflow_run_timeout="86400s")
    await begin(node, "ns", request, reuse=ALLOW, conflict=FAIL)
    key = node.executions.key("ns", "w")
    cares = node.engine.cache
    for _ in range(100):
        clock.go_on(10)
        node.engine.eviction.make_room()
        assert len(cares) == 0
        await node.engine.get(key)
    gc.collect()
    assert cares.backlogged.times_count < 20
    await node.stop()
