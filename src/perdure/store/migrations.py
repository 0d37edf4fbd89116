"""Finds the numbered SQL files of a database's tables, and compares versions.

A released file never changes. The database keeps the number of the last file that was applied.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from perdure.store.port import StoreError


class Migration(NamedTuple):
    version: int
    name: str
    sql: str


def migrations(package: str) -> Sequence[Migration]:
    """Return the migrations in the folder `migrations` of a store's package, oldest first."""
    found = []
    for file in files(package).joinpath("migrations").iterdir():
        match = re.fullmatch(r"(\d{4})_(\w+)\.sql", file.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort()
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise StoreError(f"the migrations of {package} are not numbered 1, 2, 3 …")
    return found


def check_version(found: int | None, newest: int) -> None:
    """Raise `StoreError` unless this version of perdure can run on a schema of the version `found`."""
    if found is None:
        raise StoreError("the database has no tables yet: run `perdure schema setup`")
    if found < newest:
        raise StoreError(
            f"the database's tables are of version {found}, older than {newest}: run `perdure schema upgrade`"
        )
    if found > newest:
        raise StoreError(
            f"the database's tables are of version {found}, newer than the {newest} of this perdure:"
            " use a newer perdure"
        )
