"""Opens connections to a SQLite database, and turns their errors into those of `store.port`.

Each connection to a file has a thread of its own. A database in memory runs on the event loop: a thread would cost more
than the work.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from perdure.store.port import Conflict, StoreError, Unavailable

T = TypeVar("T")

#: The pragmas that `--sqlite-pragma` may change, with their defaults.
PRAGMAS = {
    # Incremental, see `transactions.shrink`. It must come first: it has an effect only before a file has tables.
    "auto_vacuum": "2",
    "journal_mode": "wal",
    # A durable commit is on the disk. `normal` would lose the last commits when the machine loses power.
    "synchronous": "full",
    "busy_timeout": "5000",
    "temp_store": "memory",
    "cache_size": "-16384",
    "wal_autocheckpoint": "4000",
    "journal_size_limit": "67108864",
}


class Connection:
    """A connection and, for a file, the one thread that uses it."""

    def __init__(self, path: str | None, pragmas: Mapping[str, str]) -> None:
        self._thread = (
            ThreadPoolExecutor(1, thread_name_prefix="perdure-sqlite") if path is not None else None
        )
        self._db = sqlite3.connect(
            path if path is not None else ":memory:", isolation_level=None, check_same_thread=False
        )
        try:
            for name, value in pragmas.items():
                if name not in PRAGMAS or not value.removeprefix("-").isalnum():
                    raise StoreError(f"SQLite pragma {name}={value} cannot be set")
                self._db.execute(f"PRAGMA {name} = {value}")
        except BaseException:
            self._db.close()
            raise

    async def use(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call `work` with the connection and return its result. A cancelled caller does not stop it."""
        if self._thread is None:
            return work(self._db)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._db)

    async def close(self) -> None:
        if self._thread is None:
            self._db.close()
            return
        await asyncio.get_running_loop().run_in_executor(self._thread, self._db.close)
        self._thread.shutdown()


async def in_transaction(connection: Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Call `work` in one transaction and return its result. Raise `Conflict` or `Unavailable`; then nothing is done."""

    def transaction(db: sqlite3.Connection) -> T:
        db.execute("BEGIN")
        try:
            result = work(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return result

    try:
        return await connection.use(transaction)
    except sqlite3.IntegrityError as error:
        raise Conflict(str(error)) from error
    except sqlite3.Error as error:
        raise Unavailable(str(error)) from error


def identity(path: str) -> tuple[int, int] | None:
    """Return the device of a file and its number there; None if there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
