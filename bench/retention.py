"""Starts while a large backlog of closed workflows is removed: are they slower than when nothing is due?

Why it exists: retention must not be felt. One server's data holds many closed runs. First they are of today, so that
none is due, then the same runs are two days old, and all of them are. Measured are starts a second, in turns, and how
many runs were removed beside them.

The runs are written with the store, before the server starts: copies of one that was terminated after some signals.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from statistics import median

import msgspec
import structlog
from temporalio.api.common.v1 import WorkflowType
from temporalio.api.enums.v1 import WorkflowIdConflictPolicy, WorkflowIdReusePolicy
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import request_response_pb2 as api
from temporalio.service import ConnectConfig, ServiceClient

from bench.lab import Lab, client_lines, give, progress, run_client
from bench.report import figure, table
from bench.servers import Kind, Launch, running
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.start_workflow import StartWorkflow
from perdure.runtime.clock import SystemClock
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.namespaces import DAY_NS, Namespace
from perdure.runtime.node import Node
from perdure.store.memory import MemoryStore
from perdure.store.open import open_store
from perdure.store.port import Batch

NAMESPACE = "default"
STARTERS_COUNT = 32
SIGNALS_COUNT = 5
WARM_UP_SECONDS = 3.0
WRITTEN_AT_ONCE = 500
#: Begin to remove as soon as the server serves.
AT_ONCE = ('history.retentionTimerJitterDuration="1s"',)


class Order(msgspec.Struct, frozen=True):
    """For how long to start workflows, and where."""

    target: str
    seconds: float


class Starts(msgspec.Struct, frozen=True):
    """The figures of one window."""

    starts_per_second: float
    removed_per_second: float


class Beside(msgspec.Struct, frozen=True):
    """One server, one round: with nothing due, and with everything due."""

    kind: Kind
    backlog: int
    alone: Starts
    beside: Starts


async def carry_out(order: Order) -> None:
    """Start workflows as fast as the server takes them, and count what is removed meanwhile."""
    client = await ServiceClient.connect(ConnectConfig(target_host=order.target))
    service, started_count = client.workflow_service, 0

    async def count() -> int:
        request = api.CountWorkflowExecutionsRequest(namespace=NAMESPACE)
        return int((await service.count_workflow_executions(request)).count)

    async def start() -> None:
        nonlocal started_count
        while True:
            await service.start_workflow_execution(
                api.StartWorkflowExecutionRequest(
                    namespace=NAMESPACE,
                    workflow_id=str(uuid.uuid4()),
                    workflow_type=WorkflowType(name="Type"),
                    task_queue=TaskQueue(name="queue"),
                    request_id=str(uuid.uuid4()),
                    identity="bench",
                )
            )
            started_count += 1

    starters = [asyncio.create_task(start()) for _ in range(STARTERS_COUNT)]
    await asyncio.sleep(WARM_UP_SECONDS)
    before, started_before, began = await count(), started_count, time.perf_counter()
    await asyncio.sleep(order.seconds)
    started, seconds = started_count - started_before, time.perf_counter() - began
    after = await count()
    for starter in starters:
        starter.cancel()
    give(Starts(started / seconds, (before + started - after) / seconds))


def measure(
    lab: Lab, kinds: Sequence[Kind], backlog: int, rounds_count: int, seconds: float
) -> Iterator[Beside]:
    """Measure each server in turns: nothing due, everything due."""
    # The nodes that fill databases tell what they do, which nobody wants to know.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for number in range(rounds_count):
        for kind in kinds:
            found = []
            for name, age_ns in (("alone", 0), ("beside", 2 * DAY_NS)):
                launch = lab.launch(kind, f"{kind.value}-{number}-{name}")
                launch = launch._replace(dynamic_config=AT_ONCE)
                asyncio.run(fill(launch, backlog, age_ns))
                progress(f"{kind.value}: {name}, {backlog} closed runs")
                with running(launch) as server:
                    order = Order(server.target, seconds)
                    (line,) = client_lines("bench.retention", order, lab.cores.client)
                found.append(msgspec.json.decode(line, type=Starts))
            yield Beside(kind, backlog, *found)


async def fill(launch: Launch, count: int, age_ns: int) -> None:
    """Write closed runs into the server's database; each closed `age_ns` ago, or a little earlier."""
    launch.directory.mkdir(parents=True, exist_ok=True)
    store = open_store(launch.database_url or f"sqlite:///{launch.directory / 'server.db'}")
    await store.open()
    node = Node(store, SystemClock(), ConfiguredLimits(), owner="filler")
    await node.start()
    namespace = await node.namespaces.register(Namespace(id="", name=NAMESPACE))
    pattern = await closed_run(namespace.id)
    closed_at_ns = time.time_ns() - age_ns
    for first in range(0, count, WRITTEN_AT_ONCE):
        batch = Batch(node.engine.leases.held)
        for number in range(first, min(first + WRITTEN_AT_ONCE, count)):
            copy(pattern, batch, node, closed_at_ns - number * 1000)
        await store.commit(batch)
    await node.stop()
    await store.close()


async def closed_run(namespace_id: str) -> MemoryStore:
    """Return a store that holds one run: started, signalled, terminated."""
    store = MemoryStore()
    node = Node(store, SystemClock(), ConfiguredLimits(), owner="filler")
    await node.start()
    request = api.StartWorkflowExecutionRequest(workflow_id="pattern", namespace=NAMESPACE)
    request.workflow_type.name, request.task_queue.name = "Type", "queue"
    key = node.executions.key(namespace_id, "pattern")
    start = StartWorkflow(
        namespace_id,
        request,
        WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
        WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
    )
    await node.executions.ask(key, start)
    for number in range(SIGNALS_COUNT):
        await node.executions.ask(
            key, Signal(name="signal", input=None, identity="bench", request_id=str(number))
        )
    await node.executions.ask(key, Terminate("", None, "bench"))
    await node.stop()
    return store


def copy(pattern: MemoryStore, batch: Batch, node: Node, closed_at_ns: int) -> None:
    """Add one more run like `pattern`'s to the batch. Nobody looks into the snapshots of such runs."""
    (row,) = pattern.rows()
    key = node.executions.key(row.namespace_id, str(uuid.uuid4()), node.fresh_id())
    shown = pattern.shown(row.run_id)
    assert shown is not None
    batch.executions.append(
        row._replace(shard_key=key.shard_key, business_id=key.business_id, run_id=key.run_id)
    )
    batch.journal.extend(
        each._replace(shard_key=key.shard_key, run_id=key.run_id)
        for each in pattern.journal(row.run_id)
    )
    batch.visibility.append(
        shown._replace(workflow_id=key.business_id, run_id=key.run_id, close_time_ns=closed_at_ns)
    )


def as_text(found: Sequence[Beside]) -> str:
    """The median of the rounds, a line a server."""
    kinds = dict.fromkeys(each.kind for each in found)
    rows = []
    for kind in kinds:
        rounds = [each for each in found if each.kind is kind]
        alone = median(each.alone.starts_per_second for each in rounds)
        beside = median(each.beside.starts_per_second for each in rounds)
        rows.append(
            (
                kind.value,
                str(rounds[0].backlog),
                figure(alone),
                figure(beside),
                f"{beside / alone:.2f}",
                figure(median(each.beside.removed_per_second for each in rounds)),
            )
        )
    return table(
        ("server", "backlog", "starts/s, none due", "starts/s, all due", "ratio", "removed/s"),
        rows,
    )


if __name__ == "__main__":
    run_client(Order, carry_out)
