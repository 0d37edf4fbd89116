"""Keeps the promises of `port.Store` with PostgreSQL, for any number of nodes.

Each call is one statement of `statements.py`. A commit locks the current rows of its leases in the transaction that
writes. So a claim waits for it, and the database refuses commits under older leases after the claim. Commits and
renewals do not wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from asyncpg import QueryCanceledError

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.store.external_visibility import OutboxSize
from perdure.store.migrations import check_version
from perdure.store.port import (
    NEVER_NS,
    UNBOUNDED,
    Batch,
    Conflict,
    DuePlace,
    DueRun,
    ExecutionRow,
    ExecutionUpdate,
    JournalRow,
    Lease,
    LeaseLost,
    ListedPlace,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    OutboxRow,
    RenewalPath,
    Unavailable,
    VisibilityRow,
    check_covered,
)
from perdure.store.postgres import migrations, statements
from perdure.store.postgres.connections import (
    CONNECT_TIMEOUT_S,
    GONE,
    Borrowed,
    Disconnected,
    Pool,
    guarded,
    new_pool,
    opening,
)
from perdure.store.postgres.renewal import PostgresRenewal
from perdure.store.visibility_rows import shown, stored

T = TypeVar("T")

#: Reads leave so many connections free: commits and leases must not wait for a long list.
_WRITERS_COUNT = 2
_CLOSE_TIMEOUT_S = 5.0
#: From its run id on, an update has the columns of `statements.UPDATE_TYPES`.
_STATE_FROM = ExecutionUpdate._fields.index("run_id")


class PostgresStore:
    def __init__(self, url: str, *, pool_size: int = 4) -> None:
        """`pool_size`: connections at most. The store opens them when it needs them."""
        self._url = url
        self._pool_size = pool_size
        self._pool: Pool | None = None
        self._reads = asyncio.Semaphore(max(pool_size - _WRITERS_COUNT, 1))

    async def open(self) -> None:
        try:
            with opening():
                self._pool = await new_pool(self._url, self._pool_size)
                found = await self._read(migrations.found_version)
            check_version(found, migrations.NEWEST)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    async def _write(self, work: Callable[[Borrowed], Awaitable[T]]) -> T:
        """Call `work` with a connection and return its result. Raise `Unavailable` if the outcome is unknown."""
        assert self._pool is not None, "not open"
        try:
            with guarded():
                async with self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
                    try:
                        return await work(connection)
                    except QueryCanceledError:
                        raise
                    except (*GONE, TimeoutError):
                        # An orderly close could fail, or hang in a network that swallows everything.
                        connection.terminate()
                        raise
        except Unavailable:
            # The other connections may be as dead: the next caller gets a new one.
            await self._pool.expire_connections()
            raise

    async def _read(self, work: Callable[[Borrowed], Awaitable[T]]) -> T:
        """Like `_write`, but try twice: an idle connection may have died unnoticed."""
        async with self._reads:
            try:
                return await self._write(work)
            except Disconnected:
                return await self._write(work)

    async def _fetch(self, sql: str, *arguments: Any) -> list[Any]:
        return await self._read(lambda connection: connection.fetch(sql, *arguments))

    # Leases

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        rows = await self._write(
            lambda connection: connection.fetch(statements.CLAIM, owner, ttl_ns // 1000)
        )
        return tuple(sorted(Lease(*row) for row in rows))

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        if not await self._write(
            lambda connection: connection.fetchval(
                statements.RENEW, *_columns(leases, statements.LEASE_TYPES), ttl_ns // 1000
            )
        ):
            raise _lost(leases)

    def renewal_path(self) -> RenewalPath:
        return PostgresRenewal(self._url)

    async def release(self, leases: Sequence[Lease]) -> None:
        await self._write(
            lambda connection: connection.execute(
                statements.RELEASE, *_columns(leases, statements.LEASE_TYPES)
            )
        )

    # The journal

    async def commit(self, batch: Batch) -> None:
        check_covered(batch)
        executions, updates = _folded(batch)
        visibility = {row.run_id: stored(row) for row in batch.visibility}
        sql = statements.commit(
            executions=bool(executions),
            journal=bool(batch.journal),
            updates=bool(updates),
            visibility=bool(visibility),
            deletes=bool(batch.deletes),
            outbox=bool(batch.outbox),
        )
        arguments = _columns(batch.leases, statements.LEASE_TYPES)
        for rows in (executions, batch.journal, updates, visibility.values(), batch.deletes):
            arguments += _transposed(rows)
        arguments += _transposed(row[1:] for row in batch.outbox)
        if not await self._write(lambda connection: connection.fetchval(sql, *arguments)):
            raise _lost(batch.leases)

    async def shrink(self) -> bool:
        """Return False: autovacuum does it, and dead rows make room for new ones."""
        return False

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        loaded: list[LoadedRun | None] = [None] * len(keys)
        if not keys:
            return loaded
        for position, *found in await self._fetch(statements.LOAD, *_transposed(keys)):
            row = ExecutionRow(*found[: len(ExecutionRow._fields)])
            columns = found[len(ExecutionRow._fields) :]
            # Without rows there are no arrays.
            rows = zip(*columns, strict=True) if columns[0] is not None else ()
            journal = [JournalRow(row.shard_key, row.run_id, *rest) for rest in rows]
            loaded[position - 1] = LoadedRun(row, journal)
        return loaded

    async def due(
        self, lo: int, hi: int, after: DuePlace, until_ns: int, limit: int
    ) -> list[DueRun]:
        rows = await self._fetch(statements.DUE, lo, hi, *after, until_ns, limit)
        return [DueRun(due_at_ns, ExecutionKey(*key)) for due_at_ns, *key in rows]

    async def history(
        self,
        shard_key: int,
        run_id: str,
        *,
        after_seq: int,
        limit: int,
        reverse: bool = False,
        with_internal: bool = False,
        until_event_id: int | None = None,
        bytes_max: int = UNBOUNDED,
    ) -> list[JournalRow]:
        sql = statements.history(reverse=reverse, with_internal=with_internal)
        if reverse and not after_seq:
            after_seq = NEVER_NS
        if until_event_id is None:
            until_event_id = 0 if reverse else UNBOUNDED
        rows = await self._fetch(
            sql, shard_key, run_id, after_seq, limit, bytes_max, until_event_id
        )
        return [JournalRow(*row) for row in rows]

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
        archetype = filter.archetype
        if archetype is not None and filter.condition == EVERYTHING.condition:
            sql = statements.LIST if after is None else statements.LIST_AFTER
            rows = await self._fetch(sql, namespace_id, archetype, limit, bytes_max, *(after or ()))
        else:
            rows = await self._explore(
                *statements.filtered_list(namespace_id, filter, limit, after, bytes_max)
            )
        return [shown(row) for row in rows]

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        [row] = await self._explore(*statements.count(namespace_id, filter))
        return row[0] or 0

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        rows = await self._explore(*statements.count(namespace_id, filter))
        return [(value, found) for value, found in rows if found]

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        rows = await self._fetch(statements.UNINDEXED, limit, after)
        return [shown(row) for row in rows]

    async def stored_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        rows = await self._fetch(statements.STORED, limit, after)
        return [shown(row) for row in rows]

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        place = (after.shard_key, after.run_id) if after is not None else (-1, "")
        return [ExecutionKey(*row) for row in await self._fetch(statements.RUNS, *place, limit)]

    async def has_external_visibility(self) -> bool:
        rows = await self._fetch(statements.EXTERNAL_VISIBILITY)
        return bool(rows and rows[0][0])

    async def set_external_visibility(self, is_external: bool) -> None:
        await self._write(
            lambda connection: connection.execute(statements.SET_EXTERNAL_VISIBILITY, is_external)
        )

    async def outbox(self, limit: int) -> list[OutboxRow]:
        return [OutboxRow(*row) for row in await self._fetch(statements.OUTBOX, limit)]

    async def outbox_size(self) -> OutboxSize:
        [row] = await self._fetch(statements.OUTBOX_SIZE)
        return OutboxSize(*row)

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        await self._write(
            lambda connection: connection.execute(statements.TRIM_OUTBOX, list(positions))
        )

    async def _explore(self, sql: str, arguments: list[Any]) -> list[Any]:
        """Fetch the rows of a filter, planned for its values by settings of its own."""

        async def work(connection: Borrowed) -> list[Any]:
            async with connection.transaction(readonly=True):
                await connection.execute(statements.EXPLORING)
                return await connection.fetch(sql, *arguments)

        return await self._read(work)

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        place: tuple[Any, ...]
        if archetype is not None:
            sql = statements.LONGEST_CLOSED if after is None else statements.LONGEST_CLOSED_AFTER
            place = (archetype, *(after or ())[1:])
        else:
            sql = (
                statements.LONGEST_CLOSED_OF_ALL
                if after is None
                else statements.LONGEST_CLOSED_OF_ALL_AFTER
            )
            place = after or ()
        rows = await self._fetch(sql, namespace_id, until_ns, limit, *place)
        return [ListedRun(*row) for row in rows]

    # Namespaces and the cluster

    async def namespaces(self) -> list[NamespaceRow]:
        return [NamespaceRow(*row) for row in await self._fetch(statements.NAMESPACES)]

    async def put_namespace(self, row: NamespaceRow) -> None:
        sql = statements.NEW_NAMESPACE if row.version == 1 else statements.CHANGED_NAMESPACE
        if await self._write(lambda connection: connection.fetchval(sql, *row)) is None:
            raise Conflict(f"namespace {row.name} was changed meanwhile")

    async def delete_namespace(self, namespace_id: str) -> None:
        await self._write(
            lambda connection: connection.execute(statements.DELETED_NAMESPACE, namespace_id)
        )

    async def cluster_id(self, proposed: str) -> str:
        found: str = await self._write(
            lambda connection: connection.fetchval(statements.CLUSTER_ID, proposed)
        )
        return found


def _transposed(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    """Return one list for each column; none if there are no rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def _columns(rows: Sequence[tuple[Any, ...]], names: Iterable[str]) -> list[list[Any]]:
    """Return one list for each column; empty ones if there are no rows."""
    return _transposed(rows) or [[] for _ in names]


def _folded(batch: Batch) -> tuple[list[ExecutionRow], list[tuple[Any, ...]]]:
    """Return the new runs as the batch leaves them, and the updates of others.

    One statement cannot update a row that it inserts.
    """
    new = list(batch.executions)
    positions = {row.run_id: position for position, row in enumerate(new)}
    changes = {}
    for update in batch.updates:
        position = positions.get(update.run_id)
        if position is None:
            changes[update.run_id] = (update.shard_key, *update[_STATE_FROM:])
        else:
            new[position] = new[position]._replace(
                status=update.status,
                due_at_ns=update.due_at_ns,
                snapshot=update.snapshot,
                snapshot_seq=update.snapshot_seq,
            )
    return new, list(changes.values())


def _lost(leases: Sequence[Lease]) -> LeaseLost:
    return LeaseLost(
        "not held any more: "
        + ", ".join(f"epoch {lease.epoch} of {lease.owner}" for lease in leases)
    )
