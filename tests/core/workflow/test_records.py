"""A transition becomes journal rows that are bounded, and that say the same as one row would."""

from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.records import (
    PART_BYTES_MAX,
    PART_EVENTS_MAX,
    Parted,
    StickySet,
    decode_row,
    encode_events,
    encode_internal,
    ends_of_events,
    in_parts,
)


def event(number: int, size: int) -> HistoryEvent:
    made = HistoryEvent(event_id=number)
    made.marker_recorded_event_attributes.marker_name = "m" * size
    return made


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=60),
    places=st.lists(st.integers(0, 60), max_size=20).map(sorted),
    events_max=st.integers(1, 20),
    bytes_max=st.integers(1, 2000),
)
def test_parts_hold_what_the_whole_holds_in_its_order(sizes, places, events_max, bytes_max):
    events = encode_events([event(number, size) for number, size in enumerate(sizes, 1)])
    records = [(min(at, len(sizes)), StickySet(str(n))) for n, at in enumerate(places)]
    internal = encode_internal(records)
    parts = list(in_parts(events, internal, events_max=events_max, bytes_max=bytes_max))
    assert b"".join(part[1] for part in parts) == events
    for count, own, _ in parts:
        assert 1 <= count <= events_max
        assert count == len(ends_of_events(own))
        assert len(own) <= bytes_max or count == 1
    rows = [list(decode_row(own, inner)) for _, own, inner in parts]
    assert [row[-1] for row in rows[:-1]] == [Parted()] * (len(rows) - 1)
    assert [each for row in rows for each in row if each != Parted()] == list(
        decode_row(events, internal)
    )


def test_parts_are_as_few_as_the_bounds_allow():
    events = encode_events([event(number, 10) for number in range(1, 2 * PART_EVENTS_MAX + 2)])
    parts = list(in_parts(events, b""))
    assert [count for count, *_ in parts] == [PART_EVENTS_MAX, PART_EVENTS_MAX, 1]
    events = encode_events([event(number, PART_BYTES_MAX // 4) for number in range(1, 8)])
    assert [count for count, *_ in in_parts(events, b"")] == [3, 3, 1]


@given(st.lists(st.integers(0, 40_000), max_size=30))
def test_events_end_where_they_end(sizes):
    """Lengths of one byte, two and three."""
    made = [event(number, size) for number, size in enumerate(sizes, 1)]
    events = encode_events(made)
    ends = ends_of_events(events)
    assert ends == [len(encode_events(made[:count])) for count in range(1, len(made) + 1)]
