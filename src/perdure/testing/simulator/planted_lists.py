"""Bugs on purpose in lists that have a database of their own; see `planted.py`."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from perdure.core.workflow.history_step import HistoryStep
from perdure.runtime.maintenance.visibility_replicator import ROWS_AT_ONCE_MAX, VisibilityReplicator
from perdure.store.port import Batch, OutboxRow, StoreError
from perdure.store.split import SplitStore

Plant = Callable[[], Any]


def _not_shown() -> Any:
    """Changes of an open run are not written."""
    original = HistoryStep.finish

    def finish(self: HistoryStep, reply: object) -> Any:
        outcome = original(self, reply)
        outcome.shows = False
        return outcome

    return patch.object(HistoryStep, "finish", finish)


def _written_beside_the_outbox() -> Any:
    """As who writes to two databases, one after the other."""

    async def commit(self: SplitStore, batch: Batch) -> None:
        await self._main.commit(replace(batch, visibility=[]))
        second = await self.second()
        leases = await second.claim("anybody", 1)
        await second.commit(Batch(leases, visibility=batch.visibility, deletes=batch.deletes))

    return patch.object(SplitStore, "commit", commit)


def _trimmed_before_it_is_written() -> Any:
    async def step(self: VisibilityReplicator) -> bool:
        self._store.arrived.clear()
        leases = await self._claimed()
        rows = await self._store.outbox(ROWS_AT_ONCE_MAX)
        if rows:
            written, gone = self._store.changes(rows)
            await self._store.trim_outbox([row.position for row in rows])
            second = await self._store.second()
            await second.commit(Batch(leases, visibility=written, deletes=gone))
        return len(rows) < ROWS_AT_ONCE_MAX

    return patch.object(VisibilityReplicator, "step", step)


def _deletions_are_not_followed() -> Any:
    original = SplitStore.changes

    def changes(self: SplitStore, rows: Sequence[OutboxRow]) -> Any:
        return original(self, rows)[0], []

    return patch.object(SplitStore, "changes", changes)


def _first_row_counts() -> Any:
    """The oldest of several waiting rows of one run is written."""
    original = SplitStore.changes
    return patch.object(SplitStore, "changes", lambda self, rows: original(self, rows[::-1]))


def _follower_gives_up() -> Any:
    """It ends with the first error."""
    original = VisibilityReplicator.step

    async def step(self: VisibilityReplicator) -> bool:
        try:
            return await original(self)
        except StoreError:
            await asyncio.sleep(1e9)
            raise

    return patch.object(VisibilityReplicator, "step", step)


def _old_rows_stay() -> Any:
    """The rows from before the move are not moved."""

    async def unindexed(self: SplitStore, limit: int, after: str = "") -> list[Any]:
        return []

    return patch.object(SplitStore, "unindexed_visibility", unindexed)


LISTS: dict[str, Plant] = {
    "lists do not hear of changes": _not_shown,
    "lists are written without an outbox": _written_beside_the_outbox,
    "the outbox is trimmed before lists are written": _trimmed_before_it_is_written,
    "lists do not follow deletions": _deletions_are_not_followed,
    "the oldest row of a run counts": _first_row_counts,
    "lists do not follow after an error": _follower_gives_up,
    "rows from before lists moved stay": _old_rows_stay,
}
