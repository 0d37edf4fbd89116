"""Picks the store for a URL. It imports a database's driver only to use it."""

from collections.abc import Mapping

from perdure.store.external_visibility import ServerStore
from perdure.store.port import StoreError

SQLITE_FILE = "sqlite:///"
SQLITE_MEMORY = "sqlite::memory:"


def open_store(
    url: str, *, sqlite_pragmas: Mapping[str, str] | None = None, pool_size: int = 4
) -> ServerStore:
    """Return the store for `url`, not opened yet. Raise `StoreError` for a URL that no store knows."""
    if url == SQLITE_MEMORY or url.startswith(SQLITE_FILE):
        from perdure.store.sqlite.store import SqliteStore

        return SqliteStore(sqlite_path(url), pragmas=sqlite_pragmas or {})
    if is_postgres(url):
        from perdure.store.postgres.store import PostgresStore

        return PostgresStore(url, pool_size=pool_size)
    raise unknown(url)


def sqlite_path(url: str) -> str | None:
    """Return the file that `url` names; None for a database in memory."""
    return None if url == SQLITE_MEMORY else url.removeprefix(SQLITE_FILE)


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql://", "postgres://"))


def unknown(url: str) -> StoreError:
    scheme = url.partition(":")[0]
    return StoreError(f"no store for a URL of the kind {scheme!r}")
