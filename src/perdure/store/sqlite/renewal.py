"""Renews leases of a SQLite database. One process has it, so none expires: a renewal looks whether that is so still.

If somebody has removed the lock, and another process has claimed the file, a renewal finds that out.
"""

import sqlite3
from collections.abc import Callable, Sequence

from perdure.store.port import Lease, LeaseLost, Unavailable
from perdure.store.sqlite import transactions

#: A reader of one row waits for nobody in WAL mode. In other modes it waits for so long.
_BUSY_S = 3.0


class FileRenewal:
    """A `RenewalPath` with a connection that reads."""

    def __init__(self, path: str, check_file: Callable[[], None]) -> None:
        """`check_file` raises `Unavailable` if the file is gone."""
        self._path = path
        self._check_file = check_file
        self._db: sqlite3.Connection | None = None

    def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        self._check_file()
        try:
            if self._db is None:
                self._db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
                self._db.execute("PRAGMA query_only = 1")
            transactions.check_leases(self._db, leases)
        except sqlite3.Error as error:
            self.close()
            raise Unavailable(str(error)) from error

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


class MemoryRenewal:
    """A `RenewalPath` for a database in memory: no other connection can reach that."""

    def __init__(self, claimed: Callable[[], Sequence[Lease]]) -> None:
        """`claimed` returns the leases of the last claim that were not released."""
        self._claimed = claimed

    def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        claimed = self._claimed()
        for lease in leases:
            if lease not in claimed:
                raise LeaseLost(f"{lease.owner} no longer holds epoch {lease.epoch}")

    def close(self) -> None:
        pass
