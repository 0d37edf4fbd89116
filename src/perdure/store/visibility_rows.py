"""How databases keep a row of lists: what is open closes last, so that an index has the order of lists."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from perdure.store.port import NEVER_NS, VisibilityRow

T = TypeVar("T")

#: What is written, and what is given back: all but `attributes`.
WRITTEN = ", ".join(VisibilityRow._fields)
COLUMNS = ", ".join("''" if name == "attributes" else name for name in VisibilityRow._fields)


def stored(row: VisibilityRow) -> VisibilityRow:
    return row if row.close_time_ns else row._replace(close_time_ns=NEVER_NS)


def shown(columns: Any) -> VisibilityRow:
    """Return the row that the values of `COLUMNS` mean."""
    row = VisibilityRow(*columns)
    return row._replace(close_time_ns=0) if row.close_time_ns == NEVER_NS else row


def list_bytes(row: VisibilityRow) -> int:
    """Return how large the parts of a row are that may be large."""
    return len(row.memo) + len(row.search_attributes)


def bounded(rows: Iterable[T], bytes_max: int, size_of: Callable[[T], int]) -> Iterator[T]:
    """Yield rows up to the one with which they have `bytes_max` bytes; take no more of `rows` than that."""
    size = 0
    for row in rows:
        yield row
        size += size_of(row)
        if size >= bytes_max:
            return
