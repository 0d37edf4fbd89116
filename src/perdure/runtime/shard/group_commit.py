"""Writes the transitions of many executions in one transaction.

Transitions that arrive while a commit is in flight form the next batch: under light load a batch is one transition,
under heavy load batches grow by themselves. There is no timer to tune. Only one commit is in flight at a time, so
batches become durable in the order in which they were filled, and a transition may build on one that is not durable
yet.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, Protocol

from perdure.core.errors import Rejected
from perdure.runtime.shard.batch import E, OpenBatch
from perdure.store.port import Lease, Store


class CommitListener(Protocol[E]):
    """The engine, as the group commit sees it."""

    def committed(self, batch: OpenBatch[E]) -> None: ...

    def commit_failed(self, batches: list[OpenBatch[E]], error: Exception) -> None: ...


class GroupCommit(Generic[E]):
    """Fills the open batch, and writes one batch after the other while `run` runs."""

    def __init__(self, store: Store, leases: Callable[[], tuple[Lease, ...]]) -> None:
        self._store = store
        self._leases = leases
        self.open: OpenBatch[E] = OpenBatch()
        self._full: list[OpenBatch[E]] = []
        self._arrived = asyncio.Event()
        self._in_flight: OpenBatch[E] | None = None
        self._is_closing = False
        #: Journal rows that were written so far.
        self.rows_written = 0

    def batch(self) -> OpenBatch[E]:
        """Return the batch to add to. It will be written: the caller need not ask for that.

        It stays the same one until the caller waits for something: what one step does is written together.
        """
        if self.open.is_full and not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._close)
        if not self._arrived.is_set():
            self._arrived.set()
            self.open.began_at_s = asyncio.get_running_loop().time()
        return self.open

    def _close(self) -> None:
        self._is_closing = False
        if self.open.is_full:
            self._full.append(self.open)
            self.open = OpenBatch()
            self.open.began_at_s = asyncio.get_running_loop().time()

    def age_s(self) -> float:
        """Return how long the oldest change has been waiting to become durable."""
        oldest = self._in_flight or (self._full[0] if self._full else self.open)
        if oldest is self.open and oldest.is_empty():
            return 0.0
        return asyncio.get_running_loop().time() - oldest.began_at_s

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

    async def run(self, listener: CommitListener[E]) -> None:
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
            _mark_durable(batch)
            self.rows_written += len(batch.rows.journal)
            batch.finish(None)
            listener.committed(batch)

    def _next(self) -> OpenBatch[E] | None:
        if self._full:
            return self._full.pop(0)
        self._arrived.clear()
        if self.open.is_empty():
            return None
        batch, self.open = self.open, OpenBatch()
        return batch

    def abandon(self) -> list[OpenBatch[E]]:
        """Return the batches that the store has not got yet, and start afresh: they build on the failed one."""
        batches = [*self._full, self.open]
        self._full = []
        self.open = OpenBatch()
        self._arrived.clear()
        return batches


def _mark_durable(batch: OpenBatch[E]) -> None:
    """Tell the executions that have changed nothing since that all of theirs is durable."""
    for cached in batch.executions.values():
        if cached.batch is batch:
            cached.batch = None
