"""A batch: the rows that one commit writes, and the effects and callers that wait for it."""

import asyncio
from typing import Any, Generic, Protocol, TypeVar

from perdure.core.errors import Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.store.port import Batch, ExecutionUpdate, JournalRow, Lease, VisibilityRow

#: A batch that has so many journal rows, or bytes, is closed; later rows go into the next one.
BATCH_ROWS_MAX = 1024
BATCH_BYTES_MAX = 16 * 1024 * 1024


class Batched(Protocol):
    """A cached execution, as its batch sees it."""

    #: The batch that holds its latest changes; None when all are durable.
    batch: "OpenBatch[Any] | None"


E = TypeVar("E", bound=Batched)


class OpenBatch(Generic[E]):
    """The rows that are written together, and the effects that follow once they are durable."""

    __slots__ = (
        "began_at_s",
        "deletes",
        "effects",
        "error",
        "executions",
        "is_finished",
        "is_sealed",
        "rows",
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
        self.executions: dict[str, E] = {}
        #: By run id: nothing else of these executions is written.
        self.deletes: dict[str, ExecutionKey] = {}
        self.effects: list[tuple[E, list[Effect]]] = []
        self.waiters: list[asyncio.Future[None]] = []
        self.is_finished = False
        #: It is on its way to the store.
        self.is_sealed = False
        #: Why it is not durable, if it is finished and is not.
        self.error: Rejected | None = None
        #: The size of the journal rows and snapshots in it.
        self.size_bytes = 0
        #: When its first change came, in the event loop's time.
        self.began_at_s = 0.0

    @property
    def is_full(self) -> bool:
        return len(self.rows.journal) >= BATCH_ROWS_MAX or self.size_bytes >= BATCH_BYTES_MAX

    def add(self, row: JournalRow) -> None:
        self.rows.journal.append(row)
        self.size_bytes += len(row.events) + len(row.internal)

    def update(self, update: ExecutionUpdate) -> None:
        """Write `update` for this execution instead of an earlier one."""
        self.updates[update.run_id] = update
        self.size_bytes += len(update.snapshot)

    def is_empty(self) -> bool:
        return not (self.rows.journal or self.rows.executions or self.updates or self.deletes)

    def seal(self, leases: tuple[Lease, ...]) -> Batch:
        """Return the rows to write; nothing may be added any more."""
        self.is_sealed = True
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
            # A caller that has held on to an execution for longer than memory did asks so late.
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
