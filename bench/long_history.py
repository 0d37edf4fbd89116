"""One run whose history grows to 10,000 events: what does one more event cost, at its beginning and at its end?

Why it exists: a server that copies, re-encodes or rewrites a run's state with every transition is quick for a short run
and quadratic for a long one. So time, server CPU and memory are given for each tenth of the history; they should be
flat. Two ways to grow: signals that a worker handles (4 events each), and activities one after the other (6 each).

The parent starts the server; the client process (worker and signals) is this module too.
"""

import asyncio
import enum
from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec
from temporalio import activity, workflow
from temporalio.client import Client

from bench import usage
from bench.lab import Lab, client_lines, give, progress, run_client
from bench.load import new_worker
from bench.report import figure, table
from bench.servers import Kind, running

WORKFLOW_ID = "long-history"
TASK_QUEUE = "long-history"
PARTS_COUNT = 10


class Growth(enum.Enum):
    """The events that make the history longer."""

    SIGNALS = "signals"
    ACTIVITIES = "activities"

    @property
    def events_each(self) -> int:
        """Events that one signal or activity adds, with the workflow task that follows it."""
        return {Growth.SIGNALS: 4, Growth.ACTIVITIES: 6}[self]


class Order(msgspec.Struct, frozen=True):
    """How to grow the history, and where."""

    target: str
    growth: Growth
    events_count: int
    server_pid: int
    database_pid: int | None


class Part(msgspec.Struct, frozen=True):
    """One tenth of the history: what it cost."""

    kind: Kind
    growth: Growth
    #: Length of the history at the end of this part, as the server says.
    history_length: int
    events_count: int
    ms_per_event: float
    server_cpu_ms_per_event: float
    database_cpu_ms_per_event: float
    resident_bytes: int


class Progress:
    """How far the workflow has come. Its own code reports it: worker and driver share this process."""

    def __init__(self) -> None:
        self._done_count = 0
        self._changed = asyncio.Condition()
        self._loop = asyncio.get_running_loop()

    def tell(self, done_count: int) -> None:
        """Say that so many steps are done. May be called from any thread, and again on a replay."""
        asyncio.run_coroutine_threadsafe(self._set(done_count), self._loop)

    async def _set(self, done_count: int) -> None:
        async with self._changed:
            self._done_count = max(self._done_count, done_count)
            self._changed.notify_all()

    async def reach(self, done_count: int) -> None:
        """Wait until so many steps are done."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._done_count >= done_count)


class _Shared:
    """Where the workflow and activity code of this process finds the driver's `Progress`."""

    progress: Progress


@activity.defn(name="take_step")
async def take_step(number: int) -> None:
    """One activity of many."""
    _Shared.progress.tell(number)


@workflow.defn(name="GrowBySignals")
class GrowBySignals:
    """Waits for so many signals."""

    def __init__(self) -> None:
        self._handled_count = 0

    @workflow.signal
    def poke(self) -> None:
        """Count one more."""
        self._handled_count += 1
        # Not what a workflow should do, but this one is never resumed elsewhere.
        _Shared.progress.tell(self._handled_count)

    @workflow.run
    async def run(self, steps_count: int) -> int:
        """Wait for the last signal."""
        await workflow.wait_condition(lambda: self._handled_count >= steps_count)
        return self._handled_count


@workflow.defn(name="GrowByActivities")
class GrowByActivities:
    """Calls so many activities, one after the other."""

    @workflow.run
    async def run(self, steps_count: int) -> int:
        """Take every step."""
        for number in range(1, steps_count + 1):
            await workflow.execute_activity(
                take_step, number, start_to_close_timeout=timedelta(seconds=30)
            )
        return steps_count


async def carry_out(order: Order) -> None:
    """Grow one history, tenth by tenth."""
    client = await Client.connect(order.target)
    _Shared.progress = Progress()
    steps_count = order.events_count // order.growth.events_each
    run = GrowBySignals.run if order.growth is Growth.SIGNALS else GrowByActivities.run
    async with new_worker(client, [GrowBySignals, GrowByActivities], [take_step], TASK_QUEUE):
        began = usage.Clock.read(order.server_pid, order.database_pid)
        handle = await client.start_workflow(
            run, steps_count, id=f"{WORKFLOW_ID}-{order.growth.value}", task_queue=TASK_QUEUE
        )
        length = 0
        for number in range(PARTS_COUNT):
            first, end = (steps_count * step // PARTS_COUNT for step in (number, number + 1))
            if order.growth is Growth.SIGNALS:
                for done_count in range(first + 1, end + 1):
                    await handle.signal(GrowBySignals.poke)
                    await _Shared.progress.reach(done_count)
            else:
                await _Shared.progress.reach(end)
            now = usage.Clock.read(order.server_pid, order.database_pid)
            spent, began = now.minus(began), now
            before, length = length, (await handle.describe()).history_length
            give(
                Measured(
                    history_length=length,
                    events_count=length - before,
                    seconds=spent.at,
                    server_cpu_seconds=spent.server,
                    database_cpu_seconds=spent.database,
                    resident_bytes=usage.resident_bytes(order.server_pid),
                )
            )
        if (result := await handle.result()) != steps_count:
            raise AssertionError(f"{steps_count} steps were wanted, {result} were taken")


class Measured(msgspec.Struct, frozen=True):
    """One part of the run, as the client process prints it."""

    history_length: int
    events_count: int
    seconds: float
    server_cpu_seconds: float
    database_cpu_seconds: float
    resident_bytes: int


def grow(lab: Lab, kinds: Sequence[Kind], events_count: int) -> Iterator[Part]:
    """Grow one history of each kind on each server."""
    for kind in kinds:
        for growth in Growth:
            progress(f"{kind.value}: {events_count} events by {growth.value}")
            launch = lab.launch(kind, f"{kind.value}-{growth.value}")
            with running(launch) as server:
                order = Order(server.target, growth, events_count, server.pid, launch.database_pid)
                for line in client_lines("bench.long_history", order, lab.cores.client):
                    found = msgspec.json.decode(line, type=Measured)
                    yield Part(
                        kind=kind,
                        growth=growth,
                        history_length=found.history_length,
                        events_count=found.events_count,
                        ms_per_event=found.seconds / found.events_count * 1e3,
                        server_cpu_ms_per_event=found.server_cpu_seconds / found.events_count * 1e3,
                        database_cpu_ms_per_event=found.database_cpu_seconds
                        / found.events_count
                        * 1e3,
                        resident_bytes=found.resident_bytes,
                    )


def as_text(parts: Sequence[Part]) -> str:
    """The parts as a table, with the memory that each event of a part added."""
    rows = []
    for before, part in zip([None, *parts], parts, strict=False):
        same = before is not None and (before.kind, before.growth) == (part.kind, part.growth)
        added = (
            f"{(part.resident_bytes - before.resident_bytes) / part.events_count / 1e3:.2f}"
            if same and before is not None
            else ""
        )
        rows.append(
            (
                part.kind.value,
                part.growth.value,
                str(part.history_length),
                f"{part.ms_per_event:.3f}",
                f"{part.server_cpu_ms_per_event:.3f}",
                f"{part.database_cpu_ms_per_event:.3f}",
                figure(part.resident_bytes / 1e6),
                added,
            )
        )
    return table(
        ("server", "grown by", "events", "ms/event", "server CPU ms/event", "DB CPU ms/event",
         "server MB", "KB added/event"),
        rows,
    )  # fmt: skip


if __name__ == "__main__":
    run_client(Order, carry_out)
