"""Upgrades the tables of a SQLite database by numbered SQL files. `user_version` holds the number of the last one."""

import sqlite3
from contextlib import closing
from pathlib import Path

from perdure.store.migrations import Migration, check_version, migrations
from perdure.store.port import StoreError
from perdure.store.sqlite.lock import FileLock

MIGRATIONS = migrations("perdure.store.sqlite")
NEWEST = len(MIGRATIONS)
#: "perd": marks the file, in its header, as one of perdure.
APPLICATION_ID = 0x70657264


def found_version(db: sqlite3.Connection) -> int | None:
    """Return the version of the tables; None for an empty database. Raise `StoreError` for another program's."""
    number: int = db.execute("PRAGMA user_version").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application == APPLICATION_ID:
        return number
    if number or application or tables:
        raise StoreError("the file is a SQLite database of another program")
    return None


def migrate(db: sqlite3.Connection, steps: tuple[Migration, ...] | None = None) -> tuple[int, int]:
    """Upgrade the tables to the newest version, each step in a transaction of its own. Return both versions."""
    steps = tuple(MIGRATIONS) if steps is None else steps
    before = found_version(db) or 0
    if before > len(steps):
        check_version(before, len(steps))
    for step in steps[before:]:
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {step.sql} PRAGMA application_id = {APPLICATION_ID};"
                f" PRAGMA user_version = {step.version}; COMMIT;"
            )
        except sqlite3.Error as error:
            if db.in_transaction:
                db.rollback()
            raise StoreError(f"migration {step.version} ({step.name}) failed: {error}") from error
    return before, len(steps)


def version(path: str | None) -> int | None:
    if path is None or not Path(path).exists():
        return None
    try:
        with closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as db:
            return found_version(db)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def upgrade(path: str | None) -> tuple[int, int]:
    if path is None:
        raise StoreError("a database in memory has no schema to keep")
    try:
        with FileLock(path), closing(sqlite3.connect(path, isolation_level=None)) as db:
            return migrate(db)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def check(path: str | None) -> None:
    check_version(version(path), NEWEST)
