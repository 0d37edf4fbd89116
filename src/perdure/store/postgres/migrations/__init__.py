"""Upgrades the tables of a PostgreSQL database by numbered SQL files. `schema_version` holds their numbers."""

from collections.abc import Sequence

import asyncpg

from perdure.store.migrations import Migration, check_version, migrations
from perdure.store.postgres.connections import Borrowed, Connection, connect, guarded

MIGRATIONS = migrations("perdure.store.postgres")
NEWEST = len(MIGRATIONS)
#: "perd": the lock that keeps two upgrades of one database apart.
_LOCK = 0x70657264
_BOOK = "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL)"


async def version(url: str) -> int | None:
    """Return the version of the tables; None if the database has none. Raise `StoreError`."""
    connection = await connect(url)
    try:
        with guarded():
            return await found_version(connection)
    finally:
        await connection.close()


async def found_version(connection: "Connection | Borrowed") -> int | None:
    try:
        found: int | None = await connection.fetchval("SELECT max(version) FROM schema_version")
    except asyncpg.UndefinedTableError:
        return None
    return found


async def upgrade(url: str, steps: Sequence[Migration] = MIGRATIONS) -> tuple[int, int]:
    """Apply the missing migrations, all or none. Return the versions before (0: no tables) and after."""
    connection = await connect(url)
    try:
        with guarded():
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute(_BOOK)
                before = await found_version(connection) or 0
                if before > len(steps):
                    check_version(before, len(steps))
                for step in steps[before:]:
                    await connection.execute(step.sql)
                    await connection.execute(
                        "INSERT INTO schema_version VALUES ($1, clock_timestamp())", step.version
                    )
                return before, len(steps)
    finally:
        await connection.close()


async def check(url: str) -> None:
    """Raise `StoreError` unless this version of perdure can run on the database as it is."""
    check_version(await version(url), NEWEST)
