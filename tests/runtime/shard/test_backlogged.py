"""Memory is bounded, and no caller waits for an event that will not come."""

import asyncio
import gc
import uuid

import grpc
import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import QueryRejectCondition
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    GetSystemInfoRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.core.limits import Limits
from perdure.core.matching.task_queue import POLLER_MEMORY_NS, PollerInfo
from perdure.core.workflow.signals import Signal
from perdure.metrics import exposition
from perdure.runtime import clock as clocks
from perdure.runtime import limits
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.matching.task_queues import WORKFLOW_QUEUE, QueueName
from perdure.runtime.node import Node
from perdure.runtime.shard import backlogged, cached, timers
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, Unavailable
from tests.build.requests import start_request
from tests.runtime.nodes import ALLOW, FAIL, SetClock, close, start, started_node, until
from tests.served import client_of, serving

QUEUE = QueueName("ns", "q", WORKFLOW_QUEUE)
ANY = QueryRejectCondition.QUERY_REJECT_CONDITION_NONE


class Failing(MemoryStore):
    """Fails commits and loads while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.loads = asyncio.Event()
        self.loads_at_once = 1000

    async def load(self, keys):
        if len(keys) > self.loads_at_once:
            raise Unavailable("canceling statement due to statement timeout")
        if not self.may_load.is_set():
            self.loads.set()
            await self.may_load.wait()
            raise Unavailable("failed on purpose")
        return await super().load(keys)

    async def commit(self, batch: Batch) -> None:
        if self.fails:
            raise Unavailable("failed on purpose")
        await super().commit(batch)


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
        task = await node.poll_workflow_task(QUEUE, info, deadline, b"", [])
        if task is not None:
            found.add(task.key.business_id)
    return found


async def test_tasks_that_came_to_nothing_leave_a_queue_that_nobody_polls(node):
    for number in range(20):
        key = await start(node, "ns", f"ended-{number}")
        await close(node, key)
    await start(node, "ns", "open")
    await long_after(node)
    node.task_queues.forget_unused(node.engine.cache)
    assert node.task_queues.describe(QUEUE).backlog_count == 1
    assert await waiting_tasks(node) == {"open"}
    await long_after(node)
    node.task_queues.forget_unused(node.engine.cache)
    assert list(node.task_queues.names()) == []


async def test_tasks_of_runs_that_were_let_go_stay(store, clock):
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", runs_max=0)
    await node.start()
    names = {f"w{number}" for number in range(5)}
    for name in names:
        await start(node, "ns", name)
    await long_after(node)
    node.engine.cache.make_room()
    assert len(node.engine.cache) == 0
    node.task_queues.forget_unused(node.engine.cache)
    assert await waiting_tasks(node) == names
    await node.stop()


async def test_a_task_is_not_lost_with_the_poller_that_has_taken_it(store, clock):
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", runs_max=0)
    await node.start()
    await start(node, "ns", "w")
    await long_after(node)
    node.engine.cache.make_room()
    assert len(node.engine.cache) == 0
    store.may_load.clear()
    deadline = asyncio.get_running_loop().time() + 60
    info = PollerInfo("worker", clock.now_ns())
    polling = asyncio.create_task(node.poll_workflow_task(QUEUE, info, deadline, b"", []))
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
    node = Node(store, clock, ConfiguredLimits(), owner="node-1", runs_max=0)
    await node.start()
    request = start_request(workflow_run_timeout="86400s")
    await node.starts.start("ns", request, reuse=ALLOW, conflict=FAIL)
    key = node.engine.key("ns", "w")
    cares = node.engine.cache
    for _ in range(100):
        clock.go_on(10)
        cares.make_room()
        assert len(cares) == 0
        await node.engine.get(key)
    gc.collect()
    assert cares._backlogged.times_count < 20
    await node.stop()


async def signalled(node: Node, workflow_id: str, signal_bytes: int, count: int):
    key = await start(node, "ns", workflow_id)
    for number in range(count):
        big = Payloads(payloads=[Payload(data=bytes(signal_bytes))])
        await node.engine.ask(key, Signal("s", big, "", str(number)))
    return await node.engine.get(key)


async def test_of_a_long_history_that_no_worker_has_seen_a_part_is_in_memory(node, store):
    found = await signalled(node, "w", 100_000, 30)
    assert found.tail_bytes <= cached.UNSEEN_BYTES_MAX
    info = PollerInfo("worker", node.clock.now_ns())
    task = await node.poll_workflow_task(
        QUEUE, info, asyncio.get_running_loop().time() + 9, b"", []
    )
    seen = await node.histories.page(found, 1, 33, events_max=1000)
    assert task.history[:1000] == seen.events[:1000]
    rest = await node.histories.page(found, seen.next_event_id, 33, events_max=1000)
    assert rest.next_event_id == 33


async def test_what_has_to_be_read_of_a_run_has_a_bound_in_bytes(node, store):
    found = await signalled(node, "w", 100_000, 30)
    [stored] = await store.load([found.key])
    assert sum(len(row.events) for row in stored.journal) <= cached.SNAPSHOT_EVERY_BYTES + 200_000
    assert stored.row.snapshot_seq > 1


async def test_runs_that_are_too_large_to_load_many_at_once_are_loaded_all_the_same(store, clock):
    first = await started_node(store, clock)
    for number in range(40):
        await start(first, "ns", f"w{number}")
    await first.stop()
    store.loads_at_once = 10
    node = await started_node(store, clock)
    assert len(node.engine.cache) == 40
    await node.stop()


async def test_who_waits_for_an_answer_hears_that_memory_is_lost(node, store):
    key = await start(node, "ns", "w")
    await waiting_tasks(node)
    loop = asyncio.get_running_loop()
    query = WorkflowQuery(query_type="q")
    asked = asyncio.create_task(node.queries.ask(key, query, ANY, loop.time() + 60))
    await asyncio.sleep(0)
    store.fails = True
    with pytest.raises(Rejected, match="on purpose"):
        await node.engine.ask(key, Signal(name="s", input=None, identity="", request_id="r"))
    store.fails = False
    async with asyncio.timeout(5):
        with pytest.raises(Rejected) as refused:
            await asked
    assert refused.value.code is Code.UNAVAILABLE


def test_names_of_namespaces_that_nobody_has_are_forgotten(monkeypatch):
    monkeypatch.setattr(limits, "KNOWN_MAX", 10)
    known = ConfiguredLimits()
    for number in range(100):
        known.of(f"namespace-{number}")
    gc.collect()
    mine = [each for each in gc.get_objects() if type(each) is dict and "namespace-99" in each]
    assert len(mine) == 1
    assert len(mine[0]) <= 10
    assert known.of("namespace-99") == Limits()


async def test_every_call_of_a_burst_is_answered():
    async with serving() as server, client_of(server) as stub:
        calls = [stub.GetSystemInfo(GetSystemInfoRequest()) for _ in range(3000)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert not [answer for answer in answers if isinstance(answer, Exception)]


async def test_names_of_namespaces_that_nobody_has_are_not_measured():
    async with serving() as server, client_of(server) as stub:

        async def ask() -> int:
            request = DescribeNamespaceRequest(namespace=str(uuid.uuid4()))
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.DescribeNamespace(request)
            return len(exposition.text(server.metrics).splitlines())

        assert await ask() == await ask()


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


def test_leases_run_on_while_the_machine_sleeps(monkeypatch):
    """Another node may have taken over: what is in memory is not to be told as if it were true."""
    asked = []
    monkeypatch.setattr(clocks.time, "clock_gettime_ns", lambda which: asked.append(which) or 7)
    assert SystemClock().monotonic_ns() == 7
    assert asked == [clocks.time.CLOCK_BOOTTIME]


def test_a_clock_that_is_set_back_goes_on(monkeypatch):
    now = {"wall": 10**18, "monotonic": 5 * 10**9}
    monkeypatch.setattr(clocks.time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(clocks.time, "monotonic_ns", lambda: now["monotonic"])
    clock, hour = SystemClock(), 3600 * 10**9
    before = clock.now_ns()
    now["wall"] -= hour
    shown = [clock.now_ns()]
    for _ in range(200):
        now["wall"] += hour // 50
        now["monotonic"] += hour // 50
        shown.append(clock.now_ns())
    assert shown == sorted(shown)
    assert shown[0] == before
    assert shown[1] > before, "it does not stand still"
    assert shown[-1] == now["wall"], "it catches up"
