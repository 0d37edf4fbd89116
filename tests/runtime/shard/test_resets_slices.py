"""A reset of a long history lets others have their turn, and loses nothing of what happens meanwhile."""

import asyncio
from itertools import pairwise

import pytest
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.records import PART_EVENTS_MAX
from perdure.core.workflow.signals import Signal
from perdure.runtime.node import Node
from perdure.runtime.shard.rebuilding import SLICE_EVENTS, Rebuilding, Reset
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch, Unavailable
from tests.build.commands import continue_as_new, record_marker, start_timer
from tests.runtime.nodes import SetClock, close, complete, poll, start, started_node, until


class Store(MemoryStore):
    """Fails the next commit that begins a run, if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    async def commit(self, batch: Batch) -> None:
        if self.fails and batch.executions:
            self.fails = False
            raise Unavailable("failed on purpose")
        await super().commit(batch)


class Calendar(SetClock):
    """Goes on while no time passes: leases are kept."""

    def monotonic_ns(self) -> int:
        return 10**18


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
async def node(store):
    node = await started_node(store, Calendar())
    yield node
    await node.stop()


async def signal(node: Node, key: ExecutionKey, name: str, size: int = 0) -> None:
    data = Payloads(payloads=[Payload(data=bytes(size))]) if size else None
    await node.executions.ask(key, Signal(name, data, "", f"{name}-id", None))


async def grown(node: Node, *, markers: int = 0, signals: int = 0) -> ExecutionKey:
    key = await start(node, "ns", "w")
    await complete(node, await poll(node), [record_marker(str(n)) for n in range(markers)])
    for number in range(signals):
        await signal(node, key, str(number))
    return key


async def reset_to(
    node: Node, key: ExecutionKey, event_id: int, request_id: str = "request"
) -> ExecutionKey:
    wanted = Reset(event_id, "why", request_id, frozenset())
    async with asyncio.timeout(60):
        return key._replace(run_id=await node.executions.reset(key, wanted))


async def end_of(node: Node, key: ExecutionKey) -> int:
    return (await node.engine.get(key)).summary.next_event_id


async def events_of(node: Node, key: ExecutionKey) -> list[HistoryEvent]:
    end = await end_of(node, key)
    events: list[HistoryEvent] = []
    while len(events) < end - 1:
        page = await node.executions.page(key, len(events) + 1, end, events_max=1000)
        events += History.FromString(page.events).events
    return events


async def signals_of(node: Node, key: ExecutionKey) -> list[str]:
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in await events_of(node, key)
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]


def at_step(monkeypatch, number: int, act) -> None:
    """Call `act` when the new run takes this step, of those that go before the last one."""
    count = 0

    def counted(original):
        def step(self, *arguments):
            nonlocal count
            count += 1
            if count == number:
                act()
            return original(self, *arguments)

        return step

    for name in ("take_over", "reapply"):
        monkeypatch.setattr(Rebuilding, name, counted(getattr(Rebuilding, name)))


async def test_no_step_takes_over_more_than_a_slice_and_others_have_a_turn_after_each(
    node, monkeypatch
):
    key = await grown(node, markers=2000, signals=2000)
    await complete(node, await poll(node), [start_timer("t", 100)])
    end = await end_of(node, key) - 2
    turns = 0
    sizes: list[tuple[int, int]] = []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def noted(original):
        def step(self, events, *more):
            sizes.append((turns, len(events)))
            return original(self, events, *more)

        return step

    for name in ("take_over", "reapply"):
        monkeypatch.setattr(Rebuilding, name, noted(getattr(Rebuilding, name)))
    beside = asyncio.create_task(others())
    await reset_to(node, key, 4)
    await reset_to(node, key, end, "another request")
    beside.cancel()
    assert max(size for _, size in sizes) == SLICE_EVENTS
    assert sum(size for _, size in sizes) > 2000 + end - 3 * SLICE_EVENTS
    in_one_turn: dict[int, int] = {}
    for turn, size in sizes:
        in_one_turn[turn] = in_one_turn.get(turn, 0) + size
    assert max(in_one_turn.values()) <= 2 * SLICE_EVENTS


async def is_serving(node: Node) -> bool:
    return node.engine.is_serving


async def current(node: Node, key: ExecutionKey) -> ExecutionKey:
    return (await node.engine.get(key)).key


@pytest.mark.parametrize("slice_events", [1, 7, SLICE_EVENTS])
@pytest.mark.parametrize("is_late", [False, True])
async def test_the_new_run_is_the_same_in_slices_of_any_size(node, slice_events, is_late):
    key = await grown(node, markers=600, signals=30)
    await complete(node, await poll(node), [record_marker("m")])
    # Behind the start of the first or second workflow task.
    event_id = await end_of(node, key) - 2 if is_late else 4
    node.executions.resets.slice_events = 10**6
    whole = await events_of(node, await reset_to(node, key, event_id))
    node.executions.resets.slice_events = slice_events
    wanted = Reset(event_id, "why", "another request", frozenset())
    new = key._replace(run_id=await node.executions.reset(key, wanted))
    sliced = await events_of(node, new)
    assert [bare(event) for event in sliced] == [bare(event) for event in whole]
    assert all(a.task_id < b.task_id for a, b in pairwise(sliced))
    state = (await node.engine.get(new)).execution.state
    node.engine.cache.drop(await node.engine.get(new))
    again = (await node.engine.get(new)).execution.state
    assert again == state
    assert again is not state


def bare(event: HistoryEvent) -> HistoryEvent:
    """Return what two resets of one run have alike."""
    copy = HistoryEvent()
    copy.CopyFrom(event)
    copy.ClearField("task_id")
    copy.workflow_task_failed_event_attributes.ClearField("new_run_id")
    return copy


@pytest.mark.parametrize("step", [1, 3, 5])
async def test_what_comes_between_two_slices_is_in_the_new_run(node, monkeypatch, step):
    key = await grown(node, markers=800, signals=1200)
    late: list[asyncio.Task[None]] = []

    def act() -> None:
        late.extend(asyncio.create_task(signal(node, key, f"late {n}")) for n in range(600))

    at_step(monkeypatch, step, act)
    new = await reset_to(node, key, 4)
    await asyncio.gather(*late)
    names = [str(n) for n in range(1200)] + [f"late {n}" for n in range(600)]
    assert await signals_of(node, new) == names


async def test_a_run_that_leaves_memory_between_two_slices_is_reset(node, monkeypatch):
    key = await grown(node, markers=2000, signals=3)
    await complete(node, await poll(node))
    end = await end_of(node, key)

    def act() -> None:
        node.engine.cache.drop(node.engine.cache.peek(key))

    at_step(monkeypatch, 3, act)
    new = await reset_to(node, key, end - 1)
    assert await end_of(node, new) > end - 2
    assert not (await node.engine.get(key)).execution.state.is_open


@pytest.mark.parametrize("step", [2, 6])
async def test_a_node_that_loses_its_lease_between_two_slices_leaves_no_trace(
    node, store, monkeypatch, step
):
    key = await grown(node, markers=800, signals=600)
    await complete(node, await poll(node))
    end = await end_of(node, key)
    rows = len(store.journal(key.run_id))
    at_step(monkeypatch, step, lambda: node.engine.ownership.lose_everything([], "on purpose"))
    with pytest.raises(Rejected) as refused:
        await reset_to(node, key, 4 if step == 2 else end - 1)
    assert refused.value.code is Code.UNAVAILABLE
    await until(lambda: is_serving(node))
    assert (await node.engine.get(key)).execution.state.is_open
    assert len(store.journal(key.run_id)) == rows
    assert len(list(store.rows())) == 1


async def test_a_commit_that_fails_leaves_nothing_of_many_rows(node, store):
    key = await grown(node, markers=3000)
    await signal(node, key, "s")
    end = await end_of(node, key)
    await complete(node, await poll(node))
    store.fails = True
    with pytest.raises(Rejected) as refused:
        await reset_to(node, key, end + 1)
    assert refused.value.code is Code.UNAVAILABLE
    await until(lambda: is_serving(node))
    assert (await node.engine.get(key)).execution.state.is_open
    assert [run_id for run_id, _ in store.journals()] == [key.run_id]
    new = await reset_to(node, key, end + 1)
    assert len(store.journal(new.run_id)) > 3000 // SLICE_EVENTS


async def test_a_run_that_is_deleted_after_its_signals_were_applied_is_a_reason_to_ask_again(
    node, monkeypatch
):
    first = await grown(node, signals=3)
    node.clock.go_on(10)
    await complete(node, await poll(node), [continue_as_new()])
    second = await current(node, first._replace(run_id=""))
    for number in range(600):
        await signal(node, second, str(number))
    await close(node, second)
    original, deleted = Rebuilding.reapply, []

    def reapply(self, *arguments):
        if not deleted:
            deleted.append(asyncio.create_task(node.executions.delete(second)))
        return original(self, *arguments)

    monkeypatch.setattr(Rebuilding, "reapply", reapply)
    new = await reset_or_again(node, first)
    await asyncio.gather(*deleted)
    assert set(await signals_of(node, new)) >= {"0", "1", "2"}


async def reset_or_again(node: Node, key: ExecutionKey) -> ExecutionKey:
    """Ask as a client does: once more if that may help."""
    try:
        return await reset_to(node, key, 3)
    except Rejected as refusal:
        if refusal.code is not Code.UNAVAILABLE:
            raise
        return await reset_to(node, key, 3)


async def test_signals_that_a_worker_held_back_are_taken_along_however_large(node):
    """Ending the base run records them, more than are kept in memory."""
    key = await grown(node, signals=1)
    end = await end_of(node, key)
    await poll(node)
    for number in range(60):
        await signal(node, key, f"large {number}", 20_000)
    new = await reset_to(node, key, end)
    assert [name for name in await signals_of(node, new) if name.startswith("large")] == [
        f"large {number}" for number in range(60)
    ]


async def test_a_row_may_end_within_a_transition_and_no_run_can_go_on_there(node, store):
    key = await grown(node, markers=600, signals=1)
    row, *_, last, _ = store.journal(key.run_id)[1:]
    assert row.event_count == PART_EVENTS_MAX
    with pytest.raises(Rejected, match="must be at the boundary"):
        await reset_to(node, key, row.first_event_id + row.event_count)
    with pytest.raises(Rejected, match="Can only reset"):
        await reset_to(node, key, last.first_event_id + last.event_count)
