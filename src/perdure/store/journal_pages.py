"""Ends a page of journal rows where `Store.history` promises it, for the stores that read row by row."""

from collections.abc import Iterable, Iterator

from perdure.store.port import JournalRow


def page_of_rows(
    rows: Iterable[JournalRow], *, reverse: bool, until_event_id: int | None, bytes_max: int
) -> Iterator[JournalRow]:
    """Yield the rows of a page; take no more from `rows`, which are in the order of the page."""
    size = 0
    for row in rows:
        end_event_id = row.first_event_id + row.event_count
        is_last = False
        if until_event_id is not None:
            if end_event_id <= until_event_id if reverse else row.first_event_id > until_event_id:
                return
            is_last = (
                row.first_event_id <= until_event_id if reverse else end_event_id > until_event_id
            )
        yield row
        size += len(row.events)
        if is_last or size >= bytes_max:
            return
