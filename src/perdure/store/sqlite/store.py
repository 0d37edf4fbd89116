"""Rows in one SQLite file (WAL, fsync on every commit), or in memory.

A file has two connections: one writes and the other reads, so a long history does not hold up a commit. A third one
renews leases (see `renewal`). A database in memory has one connection.

**Invariant:** one process has the file (see `lock`). So every claim gets the whole key space, and the epoch alone
fences off commits that an earlier claim of this process left behind.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter, statuses_only
from perdure.store.external_visibility import OutboxSize
from perdure.store.filter_sql import group_expression, selected
from perdure.store.journal_pages import page_of_rows
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    SHARD_KEY_END,
    UNBOUNDED,
    Batch,
    Conflict,
    DuePlace,
    DueRun,
    JournalRow,
    Lease,
    ListedPlace,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    OutboxRow,
    RenewalPath,
    StoreError,
    Unavailable,
    VisibilityRow,
)
from perdure.store.sqlite import schema, transactions
from perdure.store.sqlite.connections import PRAGMAS, Connection, identity, in_transaction
from perdure.store.sqlite.filters import DIALECT
from perdure.store.sqlite.lock import FileLock
from perdure.store.sqlite.renewal import FileRenewal, MemoryRenewal
from perdure.store.visibility_rows import COLUMNS, bounded, shown

T = TypeVar("T")

_OUTBOX = ", ".join(OutboxRow._fields)
_OUTBOX_SIZE = (
    "SELECT count(*), coalesce((SELECT written_at_ns FROM visibility_outbox ORDER BY position LIMIT 1), 0)"
    " FROM visibility_outbox"
)
_ORDER = "ORDER BY close_time_ns DESC, start_time_ns DESC, run_id DESC LIMIT ?"

_LISTED = "archetype, close_time_ns, start_time_ns, run_id"
_LONGEST_CLOSED = (
    f"SELECT {_LISTED}, workflow_id, history_size_bytes, state_transition_count FROM visibility"
    " WHERE namespace_id = ? AND close_time_ns <= ?"
)


class SqliteStore:
    def __init__(self, path: str | None, *, pragmas: Mapping[str, str] | None = None) -> None:
        """`path` None: in memory. `pragmas` replace values of `PRAGMAS`; `open` refuses an unknown pragma."""
        self._path = path
        self._pragmas = PRAGMAS | dict(pragmas or {})
        self._lock: FileLock | None = None
        #: The device of the file, and its number there.
        self._identity: tuple[int, int] | None = None
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        #: The leases of the last claim that were not released.
        self._claimed: tuple[Lease, ...] = ()

    async def open(self) -> None:
        try:
            if self._path is not None:
                self._lock = FileLock(self._path)
            self._writer = Connection(self._path, self._pragmas)
            await self._writer.use(schema.migrate)
            self._identity = identity(self._path) if self._path is not None else None
            self._reader = (
                self._writer if self._path is None else Connection(self._path, self._pragmas)
            )
        except (sqlite3.Error, StoreError) as error:
            await self.close()
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self._path or 'SQLite in memory'}: {error}") from error

    async def close(self) -> None:
        for connection in {self._reader, self._writer}:
            if connection is not None:
                await connection.close()
        self._reader = self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._writer is not None, "not open"

        def checked(db: sqlite3.Connection) -> T:
            self._check_file()
            return work(db)

        return await in_transaction(self._writer, checked)

    def _check_file(self) -> None:
        """Raise `Unavailable` if the file is gone: SQLite itself would go on writing to it."""
        if self._path is not None and identity(self._path) != self._identity:
            raise Unavailable(f"{self._path}: the file is gone")

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._reader is not None, "not open"
        return await in_transaction(self._reader, work)

    # Leases

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        def work(db: sqlite3.Connection) -> tuple[Lease, ...]:
            row = db.execute(
                "UPDATE cluster SET owner = ?, epoch = epoch + 1 RETURNING epoch", (owner,)
            ).fetchone()
            return (Lease(0, SHARD_KEY_END, owner, row[0]),)

        self._claimed = await self._write(work)
        return self._claimed

    def renewal_path(self) -> RenewalPath:
        if self._path is None:
            return MemoryRenewal(lambda: self._claimed)
        return FileRenewal(self._path, self._check_file)

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        await self._write(lambda db: transactions.check_leases(db, leases))

    async def release(self, leases: Sequence[Lease]) -> None:
        def work(db: sqlite3.Connection) -> None:
            for lease in leases:
                db.execute(
                    "UPDATE cluster SET owner = '' WHERE owner = ? AND epoch = ?",
                    (lease.owner, lease.epoch),
                )

        await self._write(work)
        self._claimed = tuple(lease for lease in self._claimed if lease not in leases)

    # The journal

    async def commit(self, batch: Batch) -> None:
        await self._write(lambda db: transactions.commit(db, batch))

    async def shrink(self) -> bool:
        assert self._writer is not None, "not open"
        try:
            return await self._writer.use(transactions.shrink)
        except sqlite3.Error as error:
            raise Unavailable(str(error)) from error

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        return await self._read(lambda db: [transactions.load(db, key) for key in keys])

    async def due(
        self, lo: int, hi: int, after: DuePlace, until_ns: int, limit: int
    ) -> list[DueRun]:
        def work(db: sqlite3.Connection) -> list[DueRun]:
            rows = db.execute(
                f"SELECT due_at_ns, {transactions.KEY} FROM executions"
                " WHERE (due_at_ns, run_id) > (?, ?) AND due_at_ns <= ?"
                f" AND due_at_ns < {NEVER_NS} AND shard_key >= ? AND shard_key < ?"
                " ORDER BY due_at_ns, run_id LIMIT ?",
                (*after, until_ns, lo, hi, limit),
            )
            return [DueRun(row[0], ExecutionKey(*row[1:])) for row in rows]

        return await self._read(work)

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
        internal = "internal" if with_internal else "x''"
        order = "DESC" if reverse else "ASC"
        comparison = "<" if reverse else ">"
        if reverse and not after_seq:
            after_seq = NEVER_NS

        def work(db: sqlite3.Connection) -> list[JournalRow]:
            rows = db.execute(
                f"SELECT run_id, seq, first_event_id, event_count, events, {internal} FROM journal"
                f" WHERE run_id = ? AND seq {comparison} ? AND event_count > 0"
                f" ORDER BY seq {order} LIMIT ?",
                (run_id, after_seq, limit),
            )
            found = (JournalRow._make((shard_key, *row)) for row in rows)
            page = page_of_rows(
                found, reverse=reverse, until_event_id=until_event_id, bytes_max=bytes_max
            )
            return list(page)

        return await self._read(work)

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
        arguments: list[Any] = [namespace_id]
        condition = selected(filter, filter.condition, DIALECT, arguments)
        beyond = " AND (close_time_ns, start_time_ns, run_id) < (?, ?, ?)" if after else ""
        sql = f"SELECT {COLUMNS} FROM visibility WHERE namespace_id = ? AND {condition}{beyond} {_ORDER}"
        arguments += [*(after or ()), limit]

        def work(db: sqlite3.Connection) -> list[VisibilityRow]:
            rows = map(shown, db.execute(sql, arguments))
            return list(bounded(rows, bytes_max, lambda row: row.large_bytes))

        return await self._read(work)

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        [(found,)] = await self._counted(namespace_id, filter, "", "")
        return found or 0

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        assert filter.group_by is not None
        expression = group_expression(filter.group_by, DIALECT)
        rows = await self._counted(
            namespace_id, filter, f"{expression} AS value,", "GROUP BY 1 ORDER BY 1"
        )
        return [(value, found) for value, found in rows if found]

    async def _counted(
        self, namespace_id: str, filter: Filter, columns: str, clauses: str
    ) -> list[Any]:
        arguments: list[Any] = [namespace_id]
        statuses = statuses_only(filter)
        if statuses is not None:
            table, counted, wanted = "visibility_counts", "sum(runs)", statuses
        else:
            table, counted, wanted = "visibility", "count(*)", filter.condition
        sql = (
            f"SELECT {columns} {counted} FROM {table} WHERE namespace_id = ?"
            f" AND {selected(filter, wanted, DIALECT, arguments)} {clauses}"
        )
        return await self._read(lambda db: db.execute(sql, arguments).fetchall())

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return await self._by_run_id("attributes = '0' AND", limit, after)

    async def stored_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return await self._by_run_id("", limit, after)

    async def _by_run_id(self, condition: str, limit: int, after: str) -> list[VisibilityRow]:
        sql = (
            f"SELECT {COLUMNS} FROM visibility WHERE {condition} run_id > ? ORDER BY run_id LIMIT ?"
        )
        rows = await self._read(lambda db: db.execute(sql, (after, limit)).fetchall())
        return [shown(row) for row in rows]

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        sql = (
            f"SELECT {transactions.KEY} FROM executions"
            f" WHERE run_id > ? AND status <> {DELETED} ORDER BY run_id LIMIT ?"
        )
        last = after.run_id if after is not None else ""
        rows = await self._read(lambda db: db.execute(sql, (last, limit)).fetchall())
        return [ExecutionKey(*row) for row in rows]

    async def has_external_visibility(self) -> bool:
        sql = "SELECT external_visibility FROM cluster"
        return bool(await self._read(lambda db: db.execute(sql).fetchone()[0]))

    async def set_external_visibility(self, is_external: bool) -> None:
        sql = "UPDATE cluster SET external_visibility = ?"
        await self._write(lambda db: db.execute(sql, (is_external,)))

    async def outbox(self, limit: int) -> list[OutboxRow]:
        sql = f"SELECT {_OUTBOX} FROM visibility_outbox ORDER BY position LIMIT ?"
        rows = await self._read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [OutboxRow(*row) for row in rows]

    async def outbox_size(self) -> OutboxSize:
        row = await self._read(lambda db: db.execute(_OUTBOX_SIZE).fetchone())
        return OutboxSize(*row)

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        sql, rows = "DELETE FROM visibility_outbox WHERE position = ?", [(n,) for n in positions]
        await self._write(lambda db: db.executemany(sql, rows))

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        sql, arguments = _LONGEST_CLOSED, list[Any]((namespace_id, until_ns))
        if archetype is not None:
            sql += " AND archetype = ?"
            arguments.append(archetype)
        if after is not None and archetype is not None:
            sql += " AND (close_time_ns, start_time_ns, run_id) > (?, ?, ?)"
            arguments += after[1:]
        elif after is not None:
            sql += f" AND ({_LISTED}) > (?, ?, ?, ?)"
            arguments += after
        sql += f" ORDER BY {_LISTED} LIMIT ?"
        rows = await self._read(lambda db: db.execute(sql, [*arguments, limit]).fetchall())
        return [ListedRun(*row) for row in rows]

    # Namespaces and the cluster

    async def namespaces(self) -> list[NamespaceRow]:
        def work(db: sqlite3.Connection) -> list[NamespaceRow]:
            rows = db.execute("SELECT namespace_id, name, data, version FROM namespaces")
            return [NamespaceRow(*row) for row in rows]

        return await self._read(work)

    async def put_namespace(self, row: NamespaceRow) -> None:
        def work(db: sqlite3.Connection) -> None:
            if row.version == 1:
                db.execute("INSERT INTO namespaces VALUES (?, ?, ?, ?)", row)
                return
            changed = db.execute(
                "UPDATE namespaces SET name = ?, data = ?, version = ?"
                " WHERE namespace_id = ? AND version = ?",
                (row.name, row.data, row.version, row.namespace_id, row.version - 1),
            ).rowcount
            if not changed:
                raise Conflict(f"namespace {row.name} was changed meanwhile")

        await self._write(work)

    async def delete_namespace(self, namespace_id: str) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM namespaces WHERE namespace_id = ?", (namespace_id,))

        await self._write(work)

    async def cluster_id(self, proposed: str) -> str:
        def work(db: sqlite3.Connection) -> str:
            db.execute("UPDATE cluster SET cluster_id = ? WHERE cluster_id = ''", (proposed,))
            found: str = db.execute("SELECT cluster_id FROM cluster").fetchone()[0]
            return found

        return await self._write(work)
