"""Reserves a database file for one process.

SQLite's own locks let two servers take turns on a file, and each of them would believe that it owns every run.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType

from perdure.store.port import StoreError


class FileLock:
    """Holds `PATH.lock`. The lock ends with the process, even a killed one; the file `PATH.lock` stays."""

    def __init__(self, path: str) -> None:
        self._path = path
        # A link leads to the same file.
        real = Path(f"{os.path.realpath(path)}.lock")
        try:
            self._file = os.open(real, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"{path} is in use by another process") from error

    def release(self) -> None:
        os.close(self._file)

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
