"""Converts visibility rows for a database: an open run closes last there, so an index has the order of lists."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from perdure.store.port import NEVER_NS, VisibilityRow

T = TypeVar("T")

#: Columns to write, and to read back: reads leave `attributes` out.
WRITTEN = ", ".join(VisibilityRow._fields)
COLUMNS = ", ".join("''" if name == "attributes" else name for name in VisibilityRow._fields)


def stored(row: VisibilityRow) -> VisibilityRow:
    return row if row.close_time_ns else row._replace(close_time_ns=NEVER_NS)


def shown(columns: Any) -> VisibilityRow:
    """Return the row for the values of `COLUMNS`."""
    row = VisibilityRow(*columns)
    return row._replace(close_time_ns=0) if row.close_time_ns == NEVER_NS else row


def bounded(rows: Iterable[T], bytes_max: int, size_of: Callable[[T], int]) -> Iterator[T]:
    """Yield rows up to the one with which they reach `bytes_max` bytes. Take no more from `rows`."""
    size = 0
    for row in rows:
        yield row
        size += size_of(row)
        if size >= bytes_max:
            return
