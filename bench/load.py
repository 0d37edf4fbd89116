"""The client process: an official SDK worker and the load generator, against one running server.

Why it is a process of its own: what it costs must not be counted as the server's, it runs on cores of its own, and
every measurement begins with a fresh one. It is given an `Order` and prints one `Level` a line.

How a level is measured: `concurrency` loops each run one workflow after the other (a closed loop). After a warm-up,
the window opens and closes while all of them are busy; what completes inside it is counted, and everybody's CPU time
is read at its two ends. So neither the ramp-up nor the last stragglers are in the figures.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, UnsandboxedWorkflowRunner, Worker

from bench import usage
from bench.lab import give, run_client
from bench.scenarios import SCENARIOS, TASK_QUEUE, Scenario

POLLERS_COUNT = 20


class Order(msgspec.Struct, frozen=True):
    """The scenario to measure, and the server to measure it on."""

    target: str
    scenario: str
    concurrencies: tuple[int, ...]
    warm_up_seconds: float
    window_seconds: float
    server_pid: int
    database_pid: int | None


class Level(msgspec.Struct, frozen=True):
    """The figures with so many workflows at once."""

    concurrency: int
    completed_count: int
    window_seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    database_cpu_ms: float
    client_cpu_ms: float
    #: CPU cores that anybody else used meanwhile.
    others_cores: float
    server_resident_bytes: int
    database_bytes: int
    #: How many workflows this server has run in all. Memory means little without it.
    completed_count_before: int


class Loops:
    """Keeps `concurrency` workflows running, and remembers when each began and ended."""

    def __init__(self, client: Client, scenario: Scenario, concurrency: int) -> None:
        self._client = client
        self._scenario = scenario
        self._stopping = False
        self._completed = asyncio.Condition()
        #: (began, ended) of every workflow so far, in the order in which they ended.
        self.spans: list[tuple[float, float]] = []
        self._tasks = [asyncio.create_task(self._loop()) for _ in range(concurrency)]

    async def _loop(self) -> None:
        while not self._stopping:
            began = time.perf_counter()
            await self._scenario.run(self._client, f"bench-{uuid.uuid4()}")
            self.spans.append((began, time.perf_counter()))
            async with self._completed:
                self._completed.notify_all()

    async def run_for(self, seconds: float, *, completed_count: int) -> None:
        """Wait until the time is over and `completed_count` more workflows have completed. A failed one raises."""
        enough = len(self.spans) + completed_count
        waiting = asyncio.create_task(self._reach(time.perf_counter() + seconds, enough))
        done, _ = await asyncio.wait([waiting, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        # A loop ends by itself only with an exception.
        for task in done:
            task.result()

    async def _reach(self, until: float, spans_count: int) -> None:
        await asyncio.sleep(until - time.perf_counter())
        async with self._completed:
            await self._completed.wait_for(lambda: len(self.spans) >= spans_count)

    async def finish(self) -> None:
        """Let the workflows that are under way end."""
        self._stopping = True
        await asyncio.gather(*self._tasks)


async def measure(client: Client, order: Order, concurrency: int, before: int) -> Level:
    """Run one level from warm-up to its last workflow."""
    scenario = SCENARIOS[order.scenario]
    loops = Loops(client, scenario, concurrency)
    await loops.run_for(order.warm_up_seconds, completed_count=concurrency)
    first = len(loops.spans)
    began = usage.Clock.read(order.server_pid, order.database_pid)
    await loops.run_for(
        order.window_seconds, completed_count=max(concurrency, scenario.completed_count_min)
    )
    spent = usage.Clock.read(order.server_pid, order.database_pid).minus(began)
    latencies = sorted(ended - started for started, ended in loops.spans[first:])
    level = Level(
        concurrency=concurrency,
        completed_count=len(latencies),
        window_seconds=spent.at,
        per_second=len(latencies) / spent.at,
        p50_ms=percentile(latencies, 0.50) * 1e3,
        p99_ms=percentile(latencies, 0.99) * 1e3,
        server_cpu_ms=spent.server / len(latencies) * 1e3,
        database_cpu_ms=spent.database / len(latencies) * 1e3,
        client_cpu_ms=spent.client / len(latencies) * 1e3,
        others_cores=spent.others / spent.at,
        server_resident_bytes=usage.resident_bytes(order.server_pid),
        database_bytes=(
            0 if order.database_pid is None else usage.proportional_bytes(order.database_pid)
        ),
        completed_count_before=before + first,
    )
    await loops.finish()
    return level


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of an ordered list lies (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def new_worker(
    client: Client,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
    task_queue: str = TASK_QUEUE,
) -> Worker:
    """A worker with the options that all measurements share."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=workflows,
        activities=activities,
        # The sandbox costs the worker CPU and the server nothing: without it the client is the limit later.
        workflow_runner=UnsandboxedWorkflowRunner(),
        # So many that no task waits for a poller: with the default 5, tasks lie in partitions of the real server's
        # queues that nobody polls at the moment, and its tail grows.
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS_COUNT),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLERS_COUNT),
    )


async def carry_out(order: Order) -> None:
    """Measure every level of the order, one after the other."""
    scenario = SCENARIOS[order.scenario]
    client = await Client.connect(order.target)
    async with new_worker(client, scenario.workflows, scenario.activities):
        before = 0
        for concurrency in order.concurrencies:
            level = await measure(client, order, concurrency, before)
            before = level.completed_count_before + level.completed_count
            give(level)


if __name__ == "__main__":
    run_client(Order, carry_out)
