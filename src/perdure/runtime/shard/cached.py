"""One execution in memory: its state, its place in the journal, and its latest history. Private to this package."""

import asyncio
import weakref
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from perdure.core.archetypes import ARCHETYPES
from perdure.core.execution.archetype import Archetype
from perdure.core.execution.key import ExecutionKey
from perdure.runtime.shard.batch import OpenBatch
from perdure.store.port import NEVER_NS, JournalRow, LoadedRun

#: An execution keeps this many bytes of its latest history at hand, and whatever a sticky worker has not seen.
TAIL_BYTES_MAX = 32 * 1024
#: The part that no worker has seen has this many bytes at most: the rest is in the store.
UNSEEN_BYTES_MAX = 512 * 1024
#: A snapshot is written after so many journal rows, or bytes of them, so that loading takes a bounded time.
SNAPSHOT_EVERY_ROWS = 256
SNAPSHOT_EVERY_BYTES = 1024 * 1024
#: To fold one row costs about as much as to read so many bytes of a snapshot.
SNAPSHOT_BYTES_PER_ROW = 1024
#: A load folds so many events in one turn of the loop, or a row more. A row without events counts as one.
FOLDED_IN_ONE_TURN = 256
#: A bug's log line tells the latest requests of the execution, so many.
STORY_LENGTH = 12


async def execution_of(stored: LoadedRun, slice_events: int = FOLDED_IN_ONE_TURN) -> Any:
    """Rebuild an execution from its snapshot and the journal rows after it. Others have a turn after each slice."""
    archetype = ARCHETYPES[stored.row.archetype]
    execution = archetype.load(stored.row.snapshot, ())
    rows: list[tuple[bytes, bytes]] = []
    count = 0
    for row in stored.journal:
        if count >= slice_events:
            archetype.fold(execution, rows)
            rows, count = [], 0
            await asyncio.sleep(0)
        rows.append((row.events, row.internal))
        count += 1 + row.event_count
    archetype.fold(execution, rows)
    return execution


class Prepared(NamedTuple):
    """An execution that was moved on before anybody knew of it, and what that has recorded."""

    execution: Any
    #: The event count, events and internal records of each row.
    rows: Sequence[tuple[int, bytes, bytes]]


class CachedExecution:
    """Invariant: `execution` is what folding the journal up to `seq` gives, durable or about to be (`batch`)."""

    __slots__ = (
        "__weakref__",
        "archetype",
        "batch",
        "due_at_ns",
        "earlier_rows",
        "execution",
        "is_being_evicted",
        "is_known_to_be_large",
        "key",
        "reference",
        "run_number",
        "seq",
        "snapshot_bytes",
        "snapshot_seq",
        "story",
        "summary",
        "tail",
        "tail_bytes",
        "tail_first_event_id",
        "unsnapped_bytes",
        "used_at_ns",
        "waiters",
    )

    def __init__(self, key: ExecutionKey, run_number: int, execution: Any = None) -> None:
        """`execution` is the archetype's own; None for one that nothing has happened to yet."""
        self.key = key
        self.run_number = run_number
        self.archetype: Archetype[Any] = ARCHETYPES[key.archetype]
        self.execution = self.archetype.new() if execution is None else execution
        #: Made anew after each transition.
        self.summary = self.archetype.summary(self.execution)
        #: Rows that its first transition has made already, and that are written with the rest of it.
        self.earlier_rows: Sequence[tuple[int, bytes, bytes]] = ()
        #: The number of the last journal row, durable or not.
        self.seq = 0
        self.snapshot_seq = 0
        self.snapshot_bytes = 0
        #: The bytes of the journal rows since then.
        self.unsnapped_bytes = 0
        #: The due time in the stored row. 0: the next owner of the range loads the execution at once.
        self.due_at_ns = 0
        #: The batch that holds the latest transitions; None when all are durable.
        self.batch: OpenBatch[CachedExecution] | None = None
        #: (first event id, event count, serialized history) of the latest rows, gapless up to the last event.
        self.tail: deque[tuple[int, int, bytes]] = deque()
        self.tail_bytes = 0
        self.tail_first_event_id = self.summary.next_event_id
        #: Callers that wait for the next event; True: only for the end of the run.
        self.waiters: dict[asyncio.Future[bool], bool] = {}
        self.used_at_ns = 0
        self.is_being_evicted = False
        #: The log has warned that the state is larger than it should be.
        self.is_known_to_be_large = False
        #: The types of the latest requests, and how many rows there were then.
        self.story: deque[tuple[type, int]] = deque(maxlen=STORY_LENGTH)
        self.reference = weakref.ref(self)

    @classmethod
    def prepared(cls, key: ExecutionKey, run_number: int, prepared: Prepared) -> "CachedExecution":
        """Return a new execution whose first transition is under way."""
        cached = cls(key, run_number, prepared.execution)
        cached.earlier_rows = prepared.rows
        cached.tail_first_event_id = 1
        return cached

    @classmethod
    def loaded(cls, key: ExecutionKey, stored: LoadedRun, execution: Any) -> "CachedExecution":
        """Return an execution that `execution_of` has made of what is stored."""
        row = stored.row
        cached = cls(key, row.run_number, execution)
        cached.seq = stored.journal[-1].seq if stored.journal else row.snapshot_seq
        cached.snapshot_seq, cached.snapshot_bytes = row.snapshot_seq, len(row.snapshot)
        cached.due_at_ns = row.due_at_ns
        if stored.journal:
            cached.tail_first_event_id = stored.journal[0].first_event_id
            for each in stored.journal:
                cached.remember(each)
        return cached

    def story_text(self) -> str:
        """Return the latest requests for a log line, the oldest first, each with how many rows there were before it."""
        return " ".join(f"{seq}:{request.__name__}" for request, seq in self.story)

    def remember(self, row: JournalRow) -> None:
        """Keep a new row's events at hand; drop those that only a full replay asks for."""
        self.unsnapped_bytes += len(row.events) + len(row.internal)
        if not row.event_count:
            return
        self.tail.append((row.first_event_id, row.event_count, row.events))
        self.tail_bytes += len(row.events)
        seen = self.summary.seen_event_id
        while self.tail_bytes > TAIL_BYTES_MAX:
            first, count, events = self.tail[0]
            if first + count > seen and self.tail_bytes <= UNSEEN_BYTES_MAX:
                break
            self.tail.popleft()
            self.tail_bytes -= len(events)
            self.tail_first_event_id = first + count

    @property
    def needs_snapshot(self) -> bool:
        # A large state is written less often, or each of many activities would cost as much as there are of them.
        enough_bytes = max(SNAPSHOT_EVERY_BYTES, self.snapshot_bytes)
        enough_rows = max(SNAPSHOT_EVERY_ROWS, self.snapshot_bytes // SNAPSHOT_BYTES_PER_ROW)
        return self.seq - self.snapshot_seq >= enough_rows or self.unsnapped_bytes >= enough_bytes

    def snapped(self) -> bytes:
        """Return the snapshot of now, which is about to be written."""
        snapshot = self.archetype.snapshot(self.execution)
        self.snapshot_seq, self.snapshot_bytes, self.unsnapped_bytes = self.seq, len(snapshot), 0
        return snapshot

    def next_timer_ns(self, now_ns: int) -> int:
        """Return when its next timer fires; `NEVER_NS` if it has none."""
        timers = self.archetype.pending_timers(self.execution, now_ns)
        return min((timer.fire_at_ns for timer in timers), default=NEVER_NS)

    def notify(self, *, everybody: bool = False) -> None:
        """Wake callers that wait for the next event, and for the end if the run has closed."""
        everybody = everybody or not self.summary.is_open
        for waiter, for_the_end in self.waiters.items():
            if (everybody or not for_the_end) and not waiter.done():
                waiter.set_result(True)
