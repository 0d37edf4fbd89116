"""Writes the transitions of many runs in one transaction.

What arrives while a commit is in flight forms the next batch: under light load a batch is one transition, under heavy
load batches grow by themselves. There is no timer to tune. Only one commit is in flight at a time, so batches become
durable in the order in which they were filled, and a transition may build on one that is not durable yet.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.runtime.shard.cached import CachedExecution
from perdure.store.port import (
    Batch,
    ExecutionUpdate,
    JournalRow,
    Lease,
    Store,
    VisibilityRow,
)

#: A batch that has so many journal rows, or bytes, is closed; what comes later waits for the next one.
BATCH_ROWS_MAX = 1024
BATCH_BYTES_MAX = 16 * 1024 * 1024


class OpenBatch:
    """What will be written together, and what must happen once it is durable."""

    __slots__ = (
        "deletes",
        "effects",
        "error",
        "is_finished",
        "rows",
        "runs",
        "size_bytes",
        "updates",
        "visibility",
        "waiters",
    )

    def __init__(self) -> None:
        self.rows = Batch()
        #: By run id: only the last one counts.
        self.updates: dict[str, ExecutionUpdate] = {}
        self.visibility: dict[str, VisibilityRow] = {}
        self.runs: dict[str, CachedExecution] = {}
        #: By run id: nothing else of these runs is written.
        self.deletes: dict[str, ExecutionKey] = {}
        self.effects: list[tuple[CachedExecution, list[Effect]]] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.is_finished = False
        #: Why it is not durable, if it is settled and is not.
        self.error: Rejected | None = None
        #: Of the journal rows and snapshots in it.
        self.size_bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self.rows.journal) >= BATCH_ROWS_MAX or self.size_bytes >= BATCH_BYTES_MAX

    def add(self, row: JournalRow) -> None:
        self.rows.journal.append(row)
        self.size_bytes += len(row.events) + len(row.internal)

    def update(self, update: ExecutionUpdate) -> None:
        """Replace what was to be written for this run so far."""
        self.updates[update.run_id] = update
        self.size_bytes += len(update.snapshot)

    def is_empty(self) -> bool:
        return not (self.rows.journal or self.rows.executions or self.updates or self.deletes)

    def seal(self, leases: tuple[Lease, ...]) -> Batch:
        """Return what is to be written; nothing may be added any more."""
        rows, gone = self.rows, self.deletes
        if gone:
            assert not any(row.run_id in gone for row in rows.executions), "a run that never was"
            rows.journal = [row for row in rows.journal if row.run_id not in gone]
            for run_id in gone:
                self.updates.pop(run_id, None)
                self.visibility.pop(run_id, None)
        rows.leases = leases
        rows.updates = list(self.updates.values())
        rows.visibility = list(self.visibility.values())
        rows.deletes = list(gone.values())
        return rows

    def durable(self) -> asyncio.Future[None]:
        """Return a future that is done when this batch is durable, or fails with a `Rejected` that may be retried.

        Each caller gets its own: a caller that is cancelled cancels nobody else.
        """
        future = asyncio.get_running_loop().create_future()
        self.waiters.append(future)
        if self.is_finished:
            # Who has held on to a run for longer than memory did asks so late.
            self.finish(self.error)
        return future

    def finish(self, error: Rejected | None) -> None:
        self.is_finished = True
        self.error = error
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


class CommitListener(Protocol):
    """The engine, as the group commit sees it."""

    def committed(self, batch: OpenBatch) -> None: ...

    def commit_failed(self, batches: list[OpenBatch], error: Exception) -> None: ...


def unavailable(message: str) -> Rejected:
    return Rejected(Code.UNAVAILABLE, message)


class GroupCommit:
    """Fills the open batch, and writes one batch after the other while `run` runs."""

    def __init__(self, store: Store, leases: Callable[[], tuple[Lease, ...]]) -> None:
        self._store = store
        self._leases = leases
        self.open = OpenBatch()
        self._full: list[OpenBatch] = []
        self._arrived = asyncio.Event()
        self._in_flight: OpenBatch | None = None
        self._is_closing = False
        #: Journal rows that were written so far.
        self.rows_written = 0

    def batch(self) -> OpenBatch:
        """Return the batch to add to. It will be written: the caller need not ask for that.

        It stays the same one until the caller waits for something: what one step does is written together.
        """
        if self.open.is_full and not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._close)
        if not self._arrived.is_set():
            self._arrived.set()
        return self.open

    def _close(self) -> None:
        self._is_closing = False
        if self.open.is_full:
            self._full.append(self.open)
            self.open = OpenBatch()

    @property
    def is_idle(self) -> bool:
        return self._in_flight is None and not self._full and self.open.is_empty()

    async def drain(self) -> None:
        """Return when everything that was added so far is durable, or has failed."""
        while not self.is_idle:
            with suppress(Rejected):
                await self.flush()

    async def flush(self) -> None:
        """Return when everything that was added so far is durable. Raises `Rejected` if it is not."""
        batch = self.open
        if batch.is_empty():
            # One commit follows the other: when the last batch is through, all are.
            last = self._full[-1] if self._full else self._in_flight
            if last is None:
                return
            batch = last
        await batch.durable()

    async def run(self, listener: CommitListener) -> None:
        while True:
            await self._arrived.wait()
            batch = self._next()
            if batch is None:
                continue
            self._in_flight = batch
            try:
                await self._store.commit(batch.seal(self._leases()))
            except Exception as error:
                # Whatever it was: the outcome is unknown, see `commit_failed`.
                self._in_flight = None
                listener.commit_failed([batch, *self.abandon()], error)
                continue
            self._in_flight = None
            for live in batch.runs.values():
                if live.batch is batch:
                    live.batch = None
            self.rows_written += len(batch.rows.journal)
            batch.finish(None)
            listener.committed(batch)

    def _next(self) -> OpenBatch | None:
        if self._full:
            return self._full.pop(0)
        self._arrived.clear()
        if self.open.is_empty():
            return None
        batch, self.open = self.open, OpenBatch()
        return batch

    def abandon(self) -> list[OpenBatch]:
        """Return what has not been sent to the store yet, and start afresh: it was built on what failed."""
        batches = [*self._full, self.open]
        self._full = []
        self.open = OpenBatch()
        self._arrived.clear()
        return batches
