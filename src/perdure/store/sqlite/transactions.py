"""The work of a transaction on a SQLite connection: write a batch, load a run, give free pages back."""

import sqlite3
from collections.abc import Container, Sequence
from operator import attrgetter

from perdure.core.execution.key import ExecutionKey
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    Batch,
    ExecutionRow,
    JournalRow,
    Lease,
    LeaseLost,
    LoadedRun,
    VisibilityRow,
    check_covered,
)
from perdure.store.visibility_rows import WRITTEN, stored

#: One transaction cuts off at most so many pages. A file may have one free page in so many.
SHRINK_PAGES_MAX = 256
KEPT_FREE_PART = 4
_INCREMENTAL = 2

_LEASE = "SELECT 1 FROM cluster WHERE owner = ? AND epoch = ?"
KEY = ", ".join(ExecutionKey._fields)
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
#: Fields that change in the visibility row of an open run, as a rule.
_CHANGING = ("memo", "search_attributes", "attributes")
_STEADY = tuple(name for name in VisibilityRow._fields if name not in (*_CHANGING, "run_id"))
#: Changes these if all others are as they were: most indexes then stay as they are, which halves the time.
_CHANGE_VISIBILITY = (
    "UPDATE visibility SET memo = ?, search_attributes = ?, attributes = nullif(?, '')"
    f" WHERE run_id = ? AND {' AND '.join(f'{name} = ?' for name in _STEADY)}"
)
_changed = attrgetter(*_CHANGING, "run_id", *_STEADY)
_PUT_OUTBOX = "INSERT INTO visibility_outbox (run_id, data, written_at_ns) VALUES (?, ?, ?)"
_MARK_DELETED = (
    f"UPDATE executions SET status = {DELETED}, due_at_ns = {NEVER_NS}, snapshot = x'', snapshot_seq = 0"
    " WHERE run_id = ?"
)
_PLACE = "executions WHERE archetype = ? AND namespace_id = ? AND business_id = ?"
_IS_USED = f"SELECT 1 FROM {_PLACE} AND status <> {DELETED} LIMIT 1"
_LATEST = f"SELECT run_id FROM {_PLACE} ORDER BY run_number DESC LIMIT 1"


def check_leases(db: sqlite3.Connection, leases: Sequence[Lease]) -> None:
    """Raise `LeaseLost` unless all leases are current."""
    for lease in leases:
        if db.execute(_LEASE, (lease.owner, lease.epoch)).fetchone() is None:
            raise LeaseLost(f"{lease.owner} no longer holds epoch {lease.epoch}")


def commit(db: sqlite3.Connection, batch: Batch) -> None:
    """Write all parts of a batch. Raise `LeaseLost` if a lease is not current."""
    check_covered(batch)
    check_leases(db, batch.leases)
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
        _put_visibility(db, batch.visibility, {row.run_id for row in batch.executions})
    if batch.outbox:
        db.executemany(
            "DELETE FROM visibility WHERE run_id = ?", [(row.run_id,) for row in batch.outbox]
        )
        db.executemany(_PUT_OUTBOX, [row[1:] for row in batch.outbox])
    if batch.deletes:
        _delete(db, batch.deletes)


def _put_visibility(
    db: sqlite3.Connection, rows: Sequence[VisibilityRow], new_runs: Container[str]
) -> None:
    """Insert or replace rows, one after the other: the last one of a run counts."""
    for row in map(stored, rows):
        may_be_there = row.close_time_ns == NEVER_NS and row.run_id not in new_runs
        if may_be_there and db.execute(_CHANGE_VISIBILITY, _changed(row)).rowcount:
            continue
        db.execute(_PUT_VISIBILITY, row)


def _delete(db: sqlite3.Connection, keys: Sequence[ExecutionKey]) -> None:
    run_ids = [(key.run_id,) for key in keys]
    db.executemany("DELETE FROM journal WHERE run_id = ?", run_ids)
    db.executemany("DELETE FROM visibility WHERE run_id = ?", run_ids)
    db.executemany(_MARK_DELETED, run_ids)
    kept = set()
    for place in {key.business_key for key in keys}:
        if db.execute(_IS_USED, place).fetchone() is None:
            db.execute(f"DELETE FROM {_PLACE}", place)
        else:
            kept.add(db.execute(_LATEST, place).fetchone())
    db.executemany(
        "DELETE FROM executions WHERE run_id = ?", [each for each in run_ids if each not in kept]
    )


def shrink(db: sqlite3.Connection) -> bool:
    """Cut free pages off the file, and return whether there are more to cut.

    Some free pages stay: later rows need them, and a file that is cut to the last page has to grow again.
    """
    kind, free, pages = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("auto_vacuum", "freelist_count", "page_count")
    )
    surplus = free - pages // KEPT_FREE_PART
    if kind != _INCREMENTAL or surplus <= 0:
        return False
    # Only a script runs this pragma to its end. The pragma is a transaction of its own.
    db.executescript(f"PRAGMA incremental_vacuum({min(surplus, SHRINK_PAGES_MAX)})")
    return surplus > SHRINK_PAGES_MAX


def load(db: sqlite3.Connection, key: ExecutionKey) -> LoadedRun | None:
    """Return the run and its journal after the snapshot; None if there is no such run."""
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
