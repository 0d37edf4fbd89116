"""A page of history costs what it has, whatever the rows are: those of one event, of a wide transition, or of a reset.

Budgets are in rows and bytes that the store gave, and in bytes that were walked: the same on every machine.
"""

from collections.abc import Iterator

import pytest
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.records import PART_EVENTS_MAX, Parted, decode_row
from perdure.core.workflow.signals import Signal
from perdure.runtime.node import Node
from perdure.runtime.shard import histories
from perdure.runtime.shard.rebuilding import Reset
from perdure.store.memory import MemoryStore
from perdure.store.port import JournalRow
from tests.build.commands import record_marker
from tests.runtime.nodes import SetClock, complete, poll, start, started_node


class Counting(MemoryStore):
    """Counts what is read of histories."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.rows_read = self.events_read = 0

    async def history(self, *arguments, **options) -> list[JournalRow]:
        found = await super().history(*arguments, **options)
        self.reads += 1
        self.rows_read += len(found)
        self.events_read += sum(row.event_count for row in found)
        return found

    def begin(self) -> None:
        self.reads = self.rows_read = self.events_read = 0

    def join(self, run_id: str) -> None:
        """Make one row of each transition, as journals of earlier releases have it."""
        joined: list[JournalRow] = []
        is_open = False
        for row in self._journal[run_id]:
            records = [*decode_row(b"", row.internal)]
            if is_open:
                last = joined[-1]
                joined[-1] = last._replace(
                    event_count=last.event_count + row.event_count,
                    events=last.events + row.events,
                )
            else:
                joined.append(row)
            is_open = Parted() in records
        self._journal[run_id] = joined


@pytest.fixture
async def store():
    return Counting()


@pytest.fixture
async def node(store):
    node = await started_node(store, SetClock())
    yield node
    await node.stop()


async def grown(node: Node, widths: list[int]) -> ExecutionKey:
    """Start a run, and complete a workflow task with so many markers each time."""
    key = await start(node, "ns", "w")
    for number, width in enumerate(widths):
        await complete(
            node, await poll(node), [record_marker(f"{number}-{n}") for n in range(width)]
        )
        await node.executions.ask(key, Signal("s", None, "", f"{number}", None))
    return key


async def forget(node: Node, key: ExecutionKey) -> int:
    """Let the run leave memory; return the id of the event after its last one."""
    cached = await node.engine.get(key)
    await node.engine.until_durable(cached)
    node.engine.cache.drop(cached)
    return cached.summary.next_event_id


async def reset_of(node: Node, key: ExecutionKey) -> ExecutionKey:
    """Reset a run to its last workflow task: the new run has all of its events in one transition."""
    cached = await node.engine.get(key)
    wanted = Reset(cached.summary.next_event_id, "why", "request", frozenset())
    await complete(node, await poll(node))
    return key._replace(run_id=await node.executions.reset(key, wanted))


async def forward(node: Node, key: ExecutionKey, end: int, events_max: int) -> list[bytes]:
    pages, first, after_seq = [], 1, 0
    while first < end:
        page = await node.executions.page(
            key, first, end, events_max=events_max, after_seq=after_seq
        )
        pages.append(page.events)
        first, after_seq = page.next_event_id, page.after_seq
    return pages


async def backward(node: Node, key: ExecutionKey, end: int, events_max: int) -> list[bytes]:
    pages, before_seq = [], 0
    while end > 1:
        page = await node.executions.page_back(
            key, end, events_max=events_max, before_seq=before_seq
        )
        pages.append(page.events)
        end, before_seq = page.next_event_id, page.after_seq
    return pages


def events_of(pages: list[bytes]) -> Iterator[HistoryEvent]:
    for page in pages:
        yield from History.FromString(page).events


async def test_no_row_of_a_wide_transition_or_a_reset_has_more_events_than_it_may(node, store):
    key = await grown(node, [2000, 3, PART_EVENTS_MAX - 1, PART_EVENTS_MAX])
    new = await reset_of(node, key)
    for run in (key, new):
        end = await forget(node, run)
        rows = store.journal(run.run_id)
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        assert max(row.event_count for row in rows) == PART_EVENTS_MAX
        expected = 1
        for row in rows:
            assert row.first_event_id == expected
            assert len(History.FromString(row.events).events) == row.event_count
            expected += row.event_count
        assert expected == end


@pytest.mark.parametrize("events_max", [1, 7, 256, 999])
async def test_pages_are_the_same_however_the_rows_are(node, store, events_max):
    """Wide transitions, narrow ones and a reset's; then the same in rows as large as they once were."""
    key = await grown(node, [700, 0, 1, 300, 0])
    new = await reset_of(node, key)
    for run in (key, new):
        end = await forget(node, run)
        there = await forward(node, run, end, events_max)
        back = await backward(node, run, end, events_max)
        events = list(events_of(there))
        assert [event.event_id for event in events] == list(range(1, end))
        assert list(events_of(back)) == events[::-1]
        assert max(len(History.FromString(page).events) for page in there + back) == min(
            events_max, end - 1
        )
        store.join(run.run_id)
        assert max(row.event_count for row in store.journal(run.run_id)) > 300
        assert await forward(node, run, end, events_max) == there
        assert await backward(node, run, end, events_max) == back


@pytest.mark.parametrize("read", [forward, backward])
async def test_a_page_reads_its_own_rows(node, store, read):
    key = await grown(node, [5000, 0, 0, 300])
    end = await forget(node, key)
    store.begin()
    pages = await read(node, key, end, 256)
    assert len(pages) == -(-(end - 1) // 256)
    assert store.reads <= len(pages) + 2
    # A page may begin and end within a row.
    assert store.events_read <= end - 1 + len(pages) * PART_EVENTS_MAX
    assert store.rows_read <= len(store.journal(key.run_id)) + len(pages)


@pytest.mark.parametrize("read", [forward, backward])
async def test_a_row_of_an_earlier_release_is_walked_once_for_a_page(
    node, store, monkeypatch, read
):
    key = await grown(node, [5000])
    end = await forget(node, key)
    store.join(key.run_id)
    largest = max(len(row.events) for row in store.journal(key.run_id))
    walked = []
    walk = histories.ends_of_events

    def counted(events: bytes) -> list[int]:
        walked.append(len(events))
        return walk(events)

    monkeypatch.setattr(histories, "ends_of_events", counted)
    pages = await read(node, key, end, 256)
    assert sum(walked) <= len(pages) * (largest + 1000)


async def test_a_page_from_within_a_history_does_not_read_all_before_it(node, store):
    """A worker that has seen the rest, or a page whose beginning was still in memory."""
    key = await grown(node, [1] * 600)
    end = await forget(node, key)
    whole = list(events_of(await forward(node, key, end, 999)))
    for first in (511, 512, 513, 1500, end - 1):
        store.begin()
        page = await node.executions.page(key, first, end, events_max=10)
        assert list(History.FromString(page.events).events) == whole[first - 1 : first + 9]
        assert store.reads <= 14
        assert store.events_read <= 600
