"""One store made of two: visibility is in the second database and follows, everything else is in the main one.

A commit writes its visibility rows to the main database's outbox, in the same transaction. `VisibilityReplicator`
(`runtime/maintenance/visibility_replicator.py`) carries them to the second database.

**Invariant:** the visibility row of a run is in one place: the main table (from before there was a second database),
the outbox, or the second database. A commit that puts a row into the outbox takes it out of the main table.

**Invariant:** a row that moves from the main table counts as older than all others (`written_at_ns` 0). Nobody knows
when it was written, so a caller who needs visibility as of some time must wait for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.store.external_visibility import OutboxStore
from perdure.store.port import (
    UNBOUNDED,
    Batch,
    ListedPlace,
    ListedRun,
    OutboxRow,
    Store,
    StoreError,
    Unavailable,
    VisibilityRow,
)

#: After a failed attempt nobody tries to reach the second database for so long.
_AWAY_FOR_S = 0.2
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(VisibilityRow)


class SplitStore:
    """Keeps the promises of `port.Store` but one: visibility may lag behind commits.

    It opens only if the main database is there. The second one may come and go: calls that need it raise `Unavailable`.
    """

    def __init__(self, main: OutboxStore, second: Store, now_ns: Callable[[], int]) -> None:
        self._main = main
        self._second = second
        self._now_ns = now_ns
        self._is_second_open = False
        #: The cluster that the second database must belong to; empty until the main database has named it.
        self._cluster_id = ""
        self._is_second_ours = False
        #: The main database knows that visibility is in the second one.
        self._is_noted = False
        #: Runs whose rows were read from the main table in order to move them.
        self._moving: frozenset[str] = frozenset()
        self._opening = asyncio.Lock()
        self._away_until_s = 0.0
        #: Set when there is something new in the outbox.
        self.arrived = asyncio.Event()
        self.claim = main.claim
        self.renew = main.renew
        self.release = main.release
        self.shrink = main.shrink
        self.load = main.load
        self.due = main.due
        self.history = main.history
        self.namespaces = main.namespaces
        self.put_namespace = main.put_namespace
        self.delete_namespace = main.delete_namespace
        self.outbox = main.outbox
        self.outbox_size = main.outbox_size
        self.trim_outbox = main.trim_outbox

    async def open(self) -> None:
        await self._main.open()
        try:
            await self.second()
        except Unavailable:
            return  # The first call that needs the second database opens it.
        except StoreError as error:
            await self.close()
            raise StoreError(f"visibility database: {error}") from error

    async def close(self) -> None:
        if self._is_second_open:
            self._is_second_open = False
            await self._second.close()
        await self._main.close()

    async def second(self) -> Store:
        """Return the second database, open. Raise `Unavailable`, or `StoreError` if it cannot be used at all."""
        async with self._opening:
            if not self._is_second_open:
                await self._open_second()
            if self._cluster_id and not self._is_second_ours:
                # A claim of another cluster's database would take it away from that cluster's servers.
                if await self._second.cluster_id(self._cluster_id) != self._cluster_id:
                    raise StoreError("visibility database: it belongs to another cluster")
                self._is_second_ours = True
        return self._second

    async def _open_second(self) -> None:
        clock = asyncio.get_running_loop().time
        if clock() < self._away_until_s:
            raise Unavailable("visibility database: it could not be reached a moment ago")
        try:
            await self._second.open()
        except Unavailable:
            # The callers who waited for this attempt need not make the next one.
            self._away_until_s = clock() + _AWAY_FOR_S
            raise
        self._is_second_open = True

    async def cluster_id(self, proposed: str) -> str:
        self._cluster_id = await self._main.cluster_id(proposed)
        try:
            await self.second()
        except Unavailable:
            pass  # The first call that needs the second database checks it.
        return self._cluster_id

    async def commit(self, batch: Batch) -> None:
        if not batch.visibility and not batch.deletes:
            await self._main.commit(batch)
            return
        if not self._is_noted:
            # It comes before the first row leaves: from then on, a server must not start on the main database alone.
            await self._main.set_external_visibility(True)
            self._is_noted = True
        now_ns = self._now_ns()
        rows = {row.run_id: _ENCODER.encode(row) for row in batch.visibility}
        rows |= {key.run_id: b"" for key in batch.deletes}
        outbox = [
            OutboxRow(0, run_id, data, 0 if run_id in self._moving else now_ns)
            for run_id, data in rows.items()
        ]
        await self._main.commit(replace(batch, visibility=[], outbox=outbox))
        self.arrived.set()

    # Visibility

    async def list_visibility(
        self,
        namespace_id: str,
        *,
        limit: int,
        after: tuple[int, int, str] | None,
        filter: Filter = EVERYTHING,
        bytes_max: int = UNBOUNDED,
    ) -> list[VisibilityRow]:
        second = await self.second()
        return await second.list_visibility(
            namespace_id, limit=limit, after=after, filter=filter, bytes_max=bytes_max
        )

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        return await (await self.second()).count_visibility(namespace_id, filter)

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        return await (await self.second()).count_groups(namespace_id, filter)

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        second = await self.second()
        return await second.longest_closed(
            namespace_id, archetype=archetype, until_ns=until_ns, limit=limit, after=after
        )

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        """Return rows that are still in the main database's table. A commit of them moves them to the outbox."""
        rows = await self._main.stored_visibility(limit, after)
        self._moving = frozenset(row.run_id for row in rows)
        return rows

    def changes(self, rows: Sequence[OutboxRow]) -> tuple[list[VisibilityRow], list[ExecutionKey]]:
        latest = {row.run_id: row.data for row in rows}
        written = [_DECODER.decode(data) for data in latest.values() if data]
        # The second database has only the visibility row of a run, and its key is the run id alone.
        gone = [
            ExecutionKey(0, WORKFLOW, "", "", run_id) for run_id, data in latest.items() if not data
        ]
        return written, gone
