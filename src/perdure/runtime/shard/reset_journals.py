"""Reads the journals of the runs that a reset takes from, in slices: the loop is free between two of them."""

import asyncio
from collections.abc import Iterator

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.lifecycle.reset import is_reapplied
from perdure.core.workflow.records import ends_of_events, goes_on
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.journal import journal_rows
from perdure.runtime.shard.rebuilding import Rebuilding
from perdure.store.port import JournalRow

CONTINUED_AS_NEW = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
ROWS_AT_ONCE = 256
ROWS_BYTES_MAX = 1024 * 1024
#: The events that are in memory only are read without a pause: so many slices of them at most.
TAIL_SLICES_MAX = 2


class RunJournal:
    """The events of one run, read as far as they are known; what is added meanwhile is in memory.

    Only those are kept that count. The prefix goes to the new run as it is read.
    """

    def __init__(
        self,
        engine: Engine,
        key: ExecutionKey,
        slice_events: int,
        new: Rebuilding | None = None,
    ) -> None:
        """`new`: this is the base run, and `new` gets its prefix. `slice_events` are read without a pause."""
        self.key = key
        self._engine = engine
        self._slice_events = slice_events
        self._generation = engine.generation
        self._new = new
        self._after_seq = 0
        self._paused_at = 0
        #: The last event that was read.
        self.last_event_id = 0
        #: The events of the prefix that the new run has not got yet.
        self.prefix: list[HistoryEvent] = []
        #: The events after it that may be reapplied.
        self.since: list[HistoryEvent] = []
        #: The prefix ends where a transition of the base run ends.
        self.ends_a_transition = False
        #: The run is closed, and all of it was read: it need not be in memory any more.
        self.is_whole = False
        #: The run as which it went on by itself, if that is there.
        self.following = ""

    @property
    def _prefix_length(self) -> int:
        return self._new.prefix_length if self._new is not None else 0

    @property
    def has_whole_prefix(self) -> bool:
        return self.last_event_id >= self._prefix_length

    async def read(self, cached: CachedExecution) -> None:
        """Read all that is stored. Raises `Rejected`."""
        was_open, status, following = (
            cached.execution.state.is_open,
            cached.execution.state.status,
            cached.execution.state.new_run_id,
        )
        await self._engine.until_durable(cached)
        while rows := await self._rows():
            for row in rows:
                await self._read_row(row)
        # Some of it is missing if the run was deleted meanwhile.
        self.is_whole = not was_open and self._has_all_of(cached)
        if status == CONTINUED_AS_NEW:
            self.following = following

    async def _rows(self) -> list[JournalRow]:
        return await journal_rows(
            self._engine.store,
            self.key,
            after_seq=self._after_seq,
            limit=ROWS_AT_ONCE,
            bytes_max=ROWS_BYTES_MAX,
        )

    async def _read_row(self, row: JournalRow) -> None:
        before = self._after_seq
        self._after_seq = row.seq
        if row.first_event_id <= self.last_event_id:
            return
        for part in _slices(row, self._slice_events):
            self._add(part)
            self.hand_over(at_least=1 if self.has_whole_prefix else self._slice_events)
            await self._pause()
        if self._new is not None and self.last_event_id == self._prefix_length:
            # A large transition is several rows.
            found = await journal_rows(
                self._engine.store, self.key, after_seq=before, limit=1, with_internal=True
            )
            self.ends_a_transition = bool(found) and not goes_on(found[0].internal)

    def hand_over(self, at_least: int = 1) -> None:
        """Give the new run what was read of the prefix, in slices, while there are `at_least` so many events."""
        while self._new is not None and len(self.prefix) >= at_least:
            self._new.take_over(self.prefix[: self._slice_events])
            del self.prefix[: self._slice_events]

    async def _pause(self) -> None:
        """Let others have their turn, after so many events."""
        if self.last_event_id - self._paused_at < self._slice_events:
            return
        self._paused_at = self.last_event_id
        await asyncio.sleep(0)
        self._engine.cache.check_generation(self._generation)

    def _add(self, events: bytes) -> None:
        for event in History.FromString(events).events:
            self.last_event_id += 1
            if self.last_event_id <= self._prefix_length:
                self.prefix.append(event)
            elif is_reapplied(event):
                self.since.append(event)

    def complete(self, cached: CachedExecution | None) -> bool:
        """Add what is in memory only; return whether all events until now are known, or more must be read."""
        if self.is_whole:
            return True
        if cached is None:
            return False
        if cached.summary.next_event_id - self.last_event_id > TAIL_SLICES_MAX * self._slice_events:
            return False
        for first_event_id, _, events in cached.tail:
            if first_event_id == self.last_event_id + 1:
                self._add(events)
        return self._has_all_of(cached)

    def add_recorded(self, cached: CachedExecution | None) -> None:
        """Add what was recorded since the journal was complete, without a pause in between: the open batch has it."""
        if self.is_whole:
            return
        assert cached is not None
        for row in cached.batch.rows.journal if cached.batch is not None else ():
            if row.run_id == self.key.run_id and row.first_event_id == self.last_event_id + 1:
                self._add(row.events)
        assert self._has_all_of(cached), "it was complete a moment ago"

    def _has_all_of(self, cached: CachedExecution) -> bool:
        return self.last_event_id == cached.summary.next_event_id - 1


def _slices(row: JournalRow, events_max: int) -> Iterator[bytes]:
    """Yield the events of a row, so many at once. Journals of earlier releases have rows of 50,000 events."""
    if row.event_count <= events_max:
        yield row.events
        return
    ends = ends_of_events(row.events)
    start = 0
    for end in (*ends[events_max - 1 : -1 : events_max], ends[-1]):
        yield row.events[start:end]
        start = end
