"""One run in memory, with what the shell must remember about it."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import TYPE_CHECKING

from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.machine import fold
from perdure.core.workflow.records import decode_state, encode_state
from perdure.core.workflow.state import Run, RunState
from perdure.store.port import JournalRow, LoadedRun

if TYPE_CHECKING:
    from perdure.runtime.shard.group_commit import OpenBatch

#: A run keeps this many bytes of its latest history at hand, and whatever a sticky worker has not seen.
TAIL_BYTES_MAX = 32 * 1024
#: Also of what it has not seen, this much at most: the rest is in the store.
UNSEEN_BYTES_MAX = 512 * 1024
#: A snapshot is written after so many journal rows, or bytes of them, so that loading a run takes a bounded time.
SNAPSHOT_EVERY_ROWS = 256
SNAPSHOT_EVERY_BYTES = 1024 * 1024


def stored_state(stored: LoadedRun) -> RunState:
    """Return the state that a run's snapshot and the journal rows after it mean."""
    snapshot = stored.row.snapshot
    state = decode_state(snapshot) if snapshot else RunState()
    return fold(state, ((each.events, each.internal) for each in stored.journal))


class CachedExecution:
    """Invariant: `run` is what folding the run's journal up to `seq` gives, durable or about to be (`batch`)."""

    __slots__ = (
        "__weakref__",
        "batch",
        "due_at_ns",
        "is_being_evicted",
        "is_known_to_be_large",
        "key",
        "reference",
        "run",
        "run_number",
        "seq",
        "snapshot_bytes",
        "snapshot_seq",
        "tail",
        "tail_bytes",
        "tail_first_event_id",
        "unsnapped_bytes",
        "used_at_ns",
        "waiters",
    )

    def __init__(self, key: ExecutionKey, run_number: int, run: Run) -> None:
        self.key = key
        self.run_number = run_number
        self.run = run
        #: Of the last journal row, durable or not.
        self.seq = 0
        self.snapshot_seq = 0
        self.snapshot_bytes = 0
        #: Of the journal rows since then.
        self.unsnapped_bytes = 0
        #: What the stored row says. 0: whoever takes the range over loads the run at once.
        self.due_at_ns = 0
        #: The batch that holds this run's latest transitions; None when all are durable.
        self.batch: OpenBatch | None = None
        #: (first event id, event count, serialized history) of the latest rows, gapless up to the last event.
        self.tail: deque[tuple[int, int, bytes]] = deque()
        self.tail_bytes = 0
        self.tail_first_event_id = run.state.next_event_id
        #: Requests that wait for the next event; True: only for the end of the run.
        self.waiters: dict[asyncio.Future[bool], bool] = {}
        self.used_at_ns = 0
        self.is_being_evicted = False
        #: That its state is larger than it should be was logged.
        self.is_known_to_be_large = False
        self.reference = weakref.ref(self)

    @classmethod
    def loaded(cls, key: ExecutionKey, stored: LoadedRun) -> CachedExecution:
        """Rebuild a run from its snapshot and the journal rows after it."""
        row = stored.row
        live = cls(key, row.run_number, Run(stored_state(stored)))
        live.seq = stored.journal[-1].seq if stored.journal else row.snapshot_seq
        live.snapshot_seq, live.snapshot_bytes = row.snapshot_seq, len(row.snapshot)
        live.due_at_ns = row.due_at_ns
        if stored.journal:
            live.tail_first_event_id = stored.journal[0].first_event_id
            for each in stored.journal:
                live.remember(each)
        return live

    @property
    def state(self) -> RunState:
        return self.run.state

    def remember(self, row: JournalRow) -> None:
        """Keep a new row's events at hand; let go of what only a full replay would ask for."""
        self.unsnapped_bytes += len(row.events) + len(row.internal)
        if not row.event_count:
            return
        self.tail.append((row.first_event_id, row.event_count, row.events))
        self.tail_bytes += len(row.events)
        seen = self.run.state.previous_started_event_id
        while self.tail_bytes > TAIL_BYTES_MAX:
            first, count, events = self.tail[0]
            if first + count > seen and self.tail_bytes <= UNSEEN_BYTES_MAX:
                break
            self.tail.popleft()
            self.tail_bytes -= len(events)
            self.tail_first_event_id = first + count

    @property
    def needs_snapshot(self) -> bool:
        # A large state is not written more often than what it changes by.
        enough = max(SNAPSHOT_EVERY_BYTES, self.snapshot_bytes)
        return self.seq - self.snapshot_seq >= SNAPSHOT_EVERY_ROWS or self.unsnapped_bytes >= enough

    def snapped(self) -> bytes:
        """Return the snapshot of now, which is about to be written."""
        snapshot = encode_state(self.state)
        self.snapshot_seq, self.snapshot_bytes, self.unsnapped_bytes = self.seq, len(snapshot), 0
        return snapshot

    def notify(self, *, everybody: bool = False) -> None:
        """Wake whoever waits for the next event, and for the end if the run has closed."""
        everybody = everybody or not self.state.is_open
        for waiter, for_the_end in self.waiters.items():
            if (everybody or not for_the_end) and not waiter.done():
                waiter.set_result(True)
