"""Rows in one SQLite file (WAL, fsync on every commit), or in memory.

A file has two connections: one writes, the other reads, so that a long history does not hold up a commit. A database
in memory has one.

**Invariant:** one process has the file (see `lock`), so every claim gets the whole key space, and an epoch is enough
to fence off what an earlier claim of this process left behind.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter, statuses_only
from perdure.store.filter_sql import group_expression, selected
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    SHARD_KEY_END,
    UNBOUNDED,
    Batch,
    Conflict,
    DueRun,
    ExecutionRow,
    JournalRow,
    Lease,
    LeaseLost,
    ListedPlace,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    OutboxRow,
    OutboxSize,
    StoreError,
    Unavailable,
    VisibilityRow,
    check_covered,
)
from perdure.store.sqlite import schema
from perdure.store.sqlite.connections import PRAGMAS, Connection, identity, in_transaction
from perdure.store.sqlite.filters import DIALECT
from perdure.store.sqlite.lock import FileLock
from perdure.store.visibility_rows import COLUMNS, WRITTEN, bounded, list_bytes, shown, stored

T = TypeVar("T")

#: Pages that are cut off in one transaction, and which part of a file may be free.
SHRINK_PAGES_MAX = 256
KEPT_FREE_PART = 4
_INCREMENTAL = 2

_LEASE = "SELECT 1 FROM cluster WHERE owner = ? AND epoch = ?"
_KEY = ", ".join(ExecutionKey._fields)
_EXECUTION = ", ".join(ExecutionRow._fields)
_INSERT_EXECUTION = (
    f"INSERT INTO executions ({_EXECUTION}) VALUES ({', '.join('?' * len(ExecutionRow._fields))})"
)
_INSERT_JOURNAL = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?)"
_UPDATE_EXECUTION = "UPDATE executions SET status = ?, due_at_ns = ?, snapshot = ?, snapshot_seq = ? WHERE run_id = ?"
_BOUND = {"attributes": "nullif(?, '')"}
_PUT_VISIBILITY = (
    f"INSERT INTO visibility ({WRITTEN})"
    f" VALUES ({', '.join(_BOUND.get(name, '?') for name in VisibilityRow._fields)})"
    f" ON CONFLICT (run_id) DO UPDATE SET"
    f" {', '.join(f'{name} = excluded.{name}' for name in VisibilityRow._fields)}"
)
_OUTBOX = ", ".join(OutboxRow._fields)
_OUTBOX_SIZE = (
    "SELECT count(*), coalesce((SELECT written_at_ns FROM visibility_outbox ORDER BY position LIMIT 1), 0)"
    " FROM visibility_outbox"
)
_PUT_OUTBOX = "INSERT INTO visibility_outbox (run_id, data, written_at_ns) VALUES (?, ?, ?)"
_BURY = (
    f"UPDATE executions SET status = {DELETED}, due_at_ns = {NEVER_NS}, snapshot = x'', snapshot_seq = 0"
    " WHERE run_id = ?"
)
_PLACE = "executions WHERE archetype = ? AND namespace_id = ? AND business_id = ?"
_IS_USED = f"SELECT 1 FROM {_PLACE} AND status <> {DELETED} LIMIT 1"
_LATEST = f"SELECT run_id FROM {_PLACE} ORDER BY run_number DESC LIMIT 1"
_ORDER = "ORDER BY close_time_ns DESC, start_time_ns DESC, run_id DESC LIMIT ?"

_LISTED = "archetype, close_time_ns, start_time_ns, run_id"
_LONGEST_CLOSED = (
    f"SELECT {_LISTED}, workflow_id, history_size_bytes, state_transition_count FROM visibility"
    " WHERE namespace_id = ? AND close_time_ns <= ?"
)


class SqliteStore:
    def __init__(self, path: str | None, *, pragmas: Mapping[str, str] | None = None) -> None:
        """`path` None: in memory. `pragmas` replace those of `PRAGMAS`; an unknown one is refused by `open`."""
        self._path = path
        self._pragmas = PRAGMAS | dict(pragmas or {})
        self._lock: FileLock | None = None
        #: Of the file: its device and number there.
        self._identity: tuple[int, int] | None = None
        self._writer: Connection | None = None
        self._reader: Connection | None = None

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
        """Raise `Unavailable` if the file has gone: SQLite itself would go on writing to it."""
        if self._path is not None and identity(self._path) != self._identity:
            raise Unavailable(f"{self._path}: the file is not there any more")

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

        return await self._write(work)

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        await self._write(lambda db: _check_leases(db, leases))

    async def release(self, leases: Sequence[Lease]) -> None:
        def work(db: sqlite3.Connection) -> None:
            for lease in leases:
                db.execute(
                    "UPDATE cluster SET owner = '' WHERE owner = ? AND epoch = ?",
                    (lease.owner, lease.epoch),
                )

        await self._write(work)

    # The journal

    async def commit(self, batch: Batch) -> None:
        await self._write(lambda db: _commit(db, batch))

    async def shrink(self) -> bool:
        assert self._writer is not None, "not open"
        try:
            return await self._writer.use(_shrink)
        except sqlite3.Error as error:
            raise Unavailable(str(error)) from error

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        return await self._read(lambda db: [_load(db, key) for key in keys])

    async def due(self, lo: int, hi: int, after_ns: int, until_ns: int, limit: int) -> list[DueRun]:
        def work(db: sqlite3.Connection) -> list[DueRun]:
            rows = db.execute(
                f"SELECT due_at_ns, {_KEY} FROM executions"
                f" WHERE due_at_ns > ?1 AND due_at_ns < {NEVER_NS}"
                " AND shard_key >= ?3 AND shard_key < ?4"
                " AND due_at_ns <= min(?2, coalesce((SELECT due_at_ns FROM executions"
                f"  WHERE due_at_ns > ?1 AND due_at_ns < {NEVER_NS}"
                "  AND shard_key >= ?3 AND shard_key < ?4"
                "  ORDER BY due_at_ns LIMIT 1 OFFSET ?5), ?2)) ORDER BY due_at_ns",
                (after_ns, until_ns, lo, hi, max(limit - 1, 0)),
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
        bytes_max: int = UNBOUNDED,
    ) -> list[JournalRow]:
        order = "DESC" if reverse else "ASC"
        comparison = "<" if reverse else ">"
        if reverse and not after_seq:
            after_seq = NEVER_NS

        def work(db: sqlite3.Connection) -> list[JournalRow]:
            rows = db.execute(
                "SELECT run_id, seq, first_event_id, event_count, events FROM journal"
                f" WHERE run_id = ? AND seq {comparison} ? AND event_count > 0"
                f" ORDER BY seq {order} LIMIT ?",
                (run_id, after_seq, limit),
            )
            found = (JournalRow._make((shard_key, *row, b"")) for row in rows)
            return list(bounded(found, bytes_max, lambda row: len(row.events)))

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
            return list(bounded(map(shown, db.execute(sql, arguments)), bytes_max, list_bytes))

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

    async def unindexed_visibility(self, limit: int) -> list[VisibilityRow]:
        sql = f"SELECT {COLUMNS} FROM visibility WHERE attributes = '0' ORDER BY run_id LIMIT ?"
        rows = await self._read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [shown(row) for row in rows]

    async def stored_visibility(self, limit: int) -> list[VisibilityRow]:
        sql = f"SELECT {COLUMNS} FROM visibility LIMIT ?"
        rows = await self._read(lambda db: db.execute(sql, (limit,)).fetchall())
        return [shown(row) for row in rows]

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        sql = (
            f"SELECT {_KEY} FROM executions"
            f" WHERE run_id > ? AND status <> {DELETED} ORDER BY run_id LIMIT ?"
        )
        last = after.run_id if after is not None else ""
        rows = await self._read(lambda db: db.execute(sql, (last, limit)).fetchall())
        return [ExecutionKey(*row) for row in rows]

    async def lists_elsewhere(self) -> bool:
        sql = "SELECT external_visibility FROM cluster"
        return bool(await self._read(lambda db: db.execute(sql).fetchone()[0]))

    async def set_lists_elsewhere(self, are_elsewhere: bool) -> None:
        sql = "UPDATE cluster SET external_visibility = ?"
        await self._write(lambda db: db.execute(sql, (are_elsewhere,)))

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


def _check_leases(db: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    for lease in leases:
        if db.execute(_LEASE, (lease.owner, lease.epoch)).fetchone() is None:
            raise LeaseLost(f"{lease.owner} has not the epoch {lease.epoch} any more")


def _commit(db: sqlite3.Connection, batch: Batch) -> None:
    check_covered(batch)
    _check_leases(db, batch.leases)
    if batch.executions:
        db.executemany(_INSERT_EXECUTION, batch.executions)
    if batch.journal:
        db.executemany(_INSERT_JOURNAL, [row[1:] for row in batch.journal])
    if batch.updates:
        db.executemany(
            _UPDATE_EXECUTION,
            [
                (row.status, row.due_at_ns, row.snapshot, row.snapshot_seq, row.run_id)
                for row in batch.updates
            ],
        )
    if batch.visibility:
        db.executemany(_PUT_VISIBILITY, [stored(row) for row in batch.visibility])
    if batch.outbox:
        db.executemany(
            "DELETE FROM visibility WHERE run_id = ?", [(row.run_id,) for row in batch.outbox]
        )
        db.executemany(_PUT_OUTBOX, [row[1:] for row in batch.outbox])
    if batch.deletes:
        _delete(db, batch.deletes)


def _delete(db: sqlite3.Connection, keys: Sequence[ExecutionKey]) -> None:
    run_ids = [(key.run_id,) for key in keys]
    db.executemany("DELETE FROM journal WHERE run_id = ?", run_ids)
    db.executemany("DELETE FROM visibility WHERE run_id = ?", run_ids)
    db.executemany(_BURY, run_ids)
    kept = set()
    for place in {key.business_key for key in keys}:
        if db.execute(_IS_USED, place).fetchone() is None:
            db.execute(f"DELETE FROM {_PLACE}", place)
        else:
            kept.add(db.execute(_LATEST, place).fetchone())
    db.executemany(
        "DELETE FROM executions WHERE run_id = ?", [each for each in run_ids if each not in kept]
    )


def _shrink(db: sqlite3.Connection) -> bool:
    """Cut free pages off the file. Some stay: rows to come will need them, and a file that is cut grows again."""
    kind, free, pages = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("auto_vacuum", "freelist_count", "page_count")
    )
    surplus = free - pages // KEPT_FREE_PART
    if kind != _INCREMENTAL or surplus <= 0:
        return False
    # Only a script runs the pragma to its end; it is a transaction of its own.
    db.executescript(f"PRAGMA incremental_vacuum({min(surplus, SHRINK_PAGES_MAX)})")
    return surplus > SHRINK_PAGES_MAX


def _load(db: sqlite3.Connection, key: ExecutionKey) -> LoadedRun | None:
    if key.run_id:
        found = db.execute(
            f"SELECT {_EXECUTION} FROM executions"
            " WHERE run_id = ? AND archetype = ? AND namespace_id = ? AND business_id = ?",
            (key.run_id, *key.business_key),
        ).fetchone()
    else:
        found = db.execute(
            f"SELECT {_EXECUTION} FROM {_PLACE} ORDER BY run_number DESC LIMIT 1",
            key.business_key,
        ).fetchone()
    if found is None:
        return None
    row = ExecutionRow(*found)
    journal = db.execute(
        "SELECT run_id, seq, first_event_id, event_count, events, internal FROM journal"
        " WHERE run_id = ? AND seq > ? ORDER BY seq",
        (row.run_id, row.snapshot_seq),
    )
    return LoadedRun(row, [JournalRow(row.shard_key, *rest) for rest in journal])
