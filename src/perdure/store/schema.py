"""Reads and upgrades the version of a database's tables, for the command line."""

from perdure.store.open import is_postgres, sqlite_path


async def version(url: str) -> int | None:
    """Return the version of the tables; None if the database has none. Raise `StoreError`."""
    if is_postgres(url):
        from perdure.store.postgres import migrations as postgres

        return await postgres.version(url)
    from perdure.store.sqlite import schema as sqlite

    return sqlite.version(sqlite_path(url))


async def upgrade(url: str) -> tuple[int, int]:
    """Apply the missing migrations; the data stays. Return the versions before (0: no tables) and after."""
    if is_postgres(url):
        from perdure.store.postgres import migrations as postgres

        return await postgres.upgrade(url)
    from perdure.store.sqlite import schema as sqlite

    return sqlite.upgrade(sqlite_path(url))


async def check(url: str) -> None:
    """Raise `StoreError` unless this version of perdure can run on the database as it is."""
    if is_postgres(url):
        from perdure.store.postgres import migrations as postgres

        await postgres.check(url)
        return
    from perdure.store.sqlite import schema as sqlite

    sqlite.check(sqlite_path(url))
