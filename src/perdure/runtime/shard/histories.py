"""Reads history, from memory or the store, as bytes of `temporal.api.history.v1.History` that need no decoding.

Serialized histories can be joined, and cut between events, without looking into the events.
"""

import asyncio
from bisect import bisect_right
from typing import NamedTuple

from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.errors import going
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.records import ends_of_events
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.journal import journal_rows

#: A page has no more bytes, but for one event that is larger: that comes alone. Clients of gRPC take 4 MiB by default.
PAGE_BYTES_MAX = 2 * 1024 * 1024
#: An answer that holds other things besides a page has no more.
ANSWER_BYTES_MAX = 7 * 512 * 1024
ROWS_AT_ONCE = 256
#: A page that begins so far into a history is looked for, instead of reading all that comes before it.
SEEK_FROM_EVENT_ID = 512
#: Rows that end so close before the page are read with it.
SEEK_EVENTS_NEAR = 256


class Page(NamedTuple):
    #: Serialized `History`.
    events: bytes
    #: The id of the first event after the page.
    next_event_id: int
    #: Where to go on reading: the journal rows up to here are behind us. 0 if not known.
    after_seq: int = 0


class Histories:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The callers that wait for an event, in the order of their arrival.
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._is_draining = False

    async def page(
        self,
        key: ExecutionKey,
        first_event_id: int,
        end_event_id: int,
        *,
        events_max: int,
        after_seq: int = 0,
        taken_bytes: int = 0,
    ) -> Page:
        """Return the recorded events first_event_id <= id < end_event_id, as many as fit a page. Raises `Rejected`.

        `key` names a run, and the caller knows `end_event_id` from what is durable. `after_seq` is that of the page
        before, `taken_bytes` what else the answer holds. The page is empty if the run is gone.
        """
        bytes_max = max(1, min(PAGE_BYTES_MAX, ANSWER_BYTES_MAX - taken_bytes))
        cached = self._engine.cache.peek(key)
        if cached is not None and first_event_id >= cached.tail_first_event_id:
            return _cut(list(cached.tail), first_event_id, end_event_id, events_max, bytes_max)
        # Each has an event; those of the first may have been on the page before.
        limit = min(events_max + 1, ROWS_AT_ONCE)
        if not after_seq and first_event_id > 1:
            limit = ROWS_AT_ONCE
            if first_event_id >= SEEK_FROM_EVENT_ID:
                after_seq = await self._seek(key, first_event_id)
        last_event_id = min(end_event_id, first_event_id + events_max) - 1
        rows: list[tuple[int, int, bytes]] = []
        seqs: list[int] = []
        size = 0
        while size < bytes_max:
            found = await journal_rows(
                self._engine.store,
                key,
                after_seq=after_seq,
                limit=limit,
                until_event_id=last_event_id,
                bytes_max=bytes_max - size,
            )
            if not found:
                break
            for row in found:
                after_seq = row.seq
                if row.first_event_id + row.event_count <= first_event_id:
                    continue
                rows.append((row.first_event_id, row.event_count, row.events))
                seqs.append(row.seq)
                size += len(row.events)
            if rows and rows[-1][0] + rows[-1][1] > last_event_id:
                break
        page = _cut(rows, first_event_id, end_event_id, events_max, bytes_max)
        behind = [
            seq
            for seq, (first, many, _) in zip(seqs, rows, strict=True)
            if first + many <= page.next_event_id
        ]
        return page._replace(after_seq=behind[-1] if behind else 0)

    async def _seek(self, key: ExecutionKey, event_id: int) -> int:
        """Return the number of a journal row that ends before `event_id`, and not long before it. Raises `Rejected`.

        Rows are numbered and events are, but nothing leads from one to the other: look in the middle of what is left.
        """
        store = self._engine.store
        last = await journal_rows(store, key, after_seq=0, limit=1, reverse=True)
        before, after = 0, last[0].seq if last else 0
        while after - before > 1:
            middle = (before + after) // 2
            found = await journal_rows(store, key, after_seq=middle, limit=1)
            if not found or found[0].first_event_id > event_id:
                after = middle
                continue
            before = found[0].seq - 1
            if event_id - found[0].first_event_id <= SEEK_EVENTS_NEAR:
                break
        return before

    async def last_event(self, key: ExecutionKey, end_event_id: int) -> bytes:
        """Return the last event of a closed run, whose end is durable, as a page. Raises `Rejected`."""
        cached = self._engine.cache.peek(key)
        if cached is not None and cached.tail:
            _, count, events = cached.tail[-1]
            return cut_events(events, count - 1, 1)
        page = await self.page_back(key, end_event_id, events_max=1)
        return page.events

    async def last_transition(self, key: ExecutionKey) -> list[HistoryEvent]:
        """Return the events of the last transition that the store has; none if the run is gone. Raises `Rejected`."""
        found = await journal_rows(self._engine.store, key, after_seq=0, limit=1, reverse=True)
        return [event for row in found for event in History.FromString(row.events).events]

    async def page_back(
        self, key: ExecutionKey, end_event_id: int, *, events_max: int, before_seq: int = 0
    ) -> Page:
        """Return the recorded events with ids below `end_event_id`, newest first. `key` names a run.

        `next_event_id` of the page is the end of the next one: 1 when there is none.
        """
        found = await journal_rows(
            self._engine.store,
            key,
            after_seq=before_seq,
            limit=min(events_max + 1, ROWS_AT_ONCE),
            reverse=True,
            until_event_id=max(1, end_event_id - events_max),
            bytes_max=PAGE_BYTES_MAX,
        )
        parts: list[bytes] = []
        size = 0
        for row in found:
            ends = [0, *ends_of_events(row.events)]
            for index in range(min(row.event_count, end_event_id - row.first_event_id) - 1, -1, -1):
                part = row.events[ends[index] : ends[index + 1]]
                size += len(part)
                if parts and (len(parts) >= events_max or size > PAGE_BYTES_MAX):
                    return Page(b"".join(parts), end_event_id, row.seq + 1)
                parts.append(part)
                end_event_id = row.first_event_id + index
        after_seq = found[-1].seq if found else 0
        return Page(b"".join(parts), end_event_id, after_seq)

    async def follow(
        self, key: ExecutionKey, after_event_id: int, deadline: float, *, only_the_end: bool = False
    ) -> bool:
        """Return True when the run has a durable event after `after_event_id`, False at `deadline` (loop time).

        `only_the_end`: True when it may have closed, or is in memory no more. Raises `Rejected` when the node drains.
        """
        if self._is_draining:
            raise going()
        cached = self._engine.cache.peek(key)
        if cached is None or not cached.summary.is_open:
            # If it left memory while the caller waited for something else, nothing would wake this caller.
            return True
        if not only_the_end and cached.summary.next_event_id > after_event_id + 1:
            return True
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[bool] = loop.create_future()
        cached.waiters[happened] = only_the_end
        self._waiting[happened] = None
        timeout = loop.call_at(deadline, _give_up, happened)
        try:
            has_happened = await happened
        finally:
            timeout.cancel()
            del self._waiting[happened]
            cached.waiters.pop(happened, None)
        if not has_happened and self._is_draining:
            raise going()
        return has_happened

    def drain(self) -> None:
        """Refuse all callers that wait: they ask again, the next server or another."""
        self._is_draining = True
        for happened in self._waiting:
            _give_up(happened)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


def _cut(
    rows: list[tuple[int, int, bytes]],
    first_event_id: int,
    end_event_id: int,
    events_max: int,
    bytes_max: int,
) -> Page:
    parts: list[bytes] = []
    next_event_id = first_event_id
    size = count = 0
    for first, many, events in rows:
        if first + many <= next_event_id:
            continue
        if first >= end_event_id or count >= events_max:
            break
        skip = next_event_id - first
        wanted = take = min(many - skip, end_event_id - next_event_id, events_max - count)
        part = events
        if take < many or size + len(events) > bytes_max:
            # At least one event comes, or nothing would ever follow it.
            part, take = _cut_events(events, skip, take, bytes_max - size, 0 if parts else 1)
        parts.append(part)
        size += len(part)
        count += take
        next_event_id += take
        if take < wanted:
            break
    return Page(b"".join(parts), next_event_id)


def _cut_events(
    events: bytes, skip: int, take: int, bytes_max: int, at_least: int
) -> tuple[bytes, int]:
    """Return those of `take` events after the first `skip` that have `bytes_max` bytes, and how many they are."""
    ends = [0, *ends_of_events(events)]
    start, last = ends[skip], min(skip + take, len(ends) - 1)
    fitting = bisect_right(ends, start + bytes_max, skip, last + 1) - 1
    last = min(last, max(fitting, skip + at_least))
    return events[start : ends[last]], last - skip


def cut_events(events: bytes, skip: int, take: int) -> bytes:
    """Return `take` events of a serialized history after the first `skip`."""
    return _cut_events(events, skip, take, len(events), 0)[0]
