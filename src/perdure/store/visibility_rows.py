"""How databases keep a row of lists: what is open closes last, so that an index has the order of lists."""

from typing import Any

from perdure.store.port import NEVER_NS, VisibilityRow

#: What is given back: all but `attributes`, the last field.
COLUMNS = ", ".join(VisibilityRow._fields[:-1])


def stored(row: VisibilityRow) -> VisibilityRow:
    return row if row.close_time_ns else row._replace(close_time_ns=NEVER_NS)


def shown(columns: Any) -> VisibilityRow:
    """Return the row that the values of `COLUMNS` mean."""
    row = VisibilityRow(*columns)
    return row._replace(close_time_ns=0) if row.close_time_ns == NEVER_NS else row
