"""The internal records, which a journal row holds besides history events, and the encoding of rows.

Internal records are facts that history does not show but a restart must not lose. They are written as MessagePack
through msgspec; a record keeps its tag and the meaning of its fields for ever, since journals outlive releases.

A row's `internal` bytes are a list of (position, record): the record was made after `position` events of the row.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.execution.journal import Codec
from perdure.core.workflow.state import RequestIdInfo, RunState


class Identified(msgspec.Struct, frozen=True, tag="id"):
    """The ids of the run. The first record of every journal."""

    namespace_id: str
    namespace: str
    workflow_id: str
    run_id: str


class Buffered(msgspec.Struct, frozen=True, tag="buf"):
    """An event arrived while a worker held the workflow task."""

    event: HistoryEvent


class Flushed(msgspec.Struct, frozen=True, tag="flush"):
    """The next `count` events of this row are the buffered ones: their effect on the state was applied on arrival."""

    count: int


class Unbuffered(msgspec.Struct, frozen=True, tag="unbuf"):
    """A buffered event was taken back: the timer whose firing it reported is cancelled."""

    index: int


class TaskRescheduled(msgspec.Struct, frozen=True, tag="wft"):
    """A transient workflow task: scheduled, without an event until it completes."""

    attempt: int
    scheduled_at_ns: int
    original_scheduled_at_ns: int
    start_to_close_ns: int


class TaskConverted(msgspec.Struct, frozen=True, tag="wft!"):
    """The workflow task was a speculative one, and no worker held it when it became a normal one."""


class TaskDropped(msgspec.Struct, frozen=True, tag="wftx"):
    """A transient workflow task failed or timed out: there is no event for it."""

    next_attempt: int


class StickySet(msgspec.Struct, frozen=True, tag="sticky"):
    """The worker's own queue for the next workflow tasks; an empty name takes it away."""

    queue: str = ""
    schedule_to_start_ns: int = 0


class ActivityStarted(msgspec.Struct, frozen=True, tag="act+"):
    """A worker was given this attempt."""

    scheduled_event_id: int
    started_at_ns: int
    request_id: str
    identity: str


class ActivityHeartbeat(msgspec.Struct, frozen=True, tag="beat"):
    scheduled_event_id: int
    at_ns: int
    details: bytes
    has_details: bool
    identity: str = ""


class ActivityRetried(msgspec.Struct, frozen=True, tag="act~"):
    """An attempt ended; the next one is due at `scheduled_at_ns`."""

    scheduled_event_id: int
    attempt: int
    scheduled_at_ns: int
    retry_interval_ns: int
    completed_at_ns: int
    last_failure: bytes
    last_worker_identity: str = ""


class ActivityReturned(msgspec.Struct, frozen=True, tag="act-"):
    """The worker that was given this attempt was gone before it had it: it waits again."""

    scheduled_event_id: int


class ProblemsReported(msgspec.Struct, frozen=True, tag="prob"):
    """Lists show from here on that workflow tasks keep failing, and why; empty: no more."""

    values: tuple[str, ...]


class ActivityPaused(msgspec.Struct, frozen=True, tag="act||"):
    """It is not to be started until somebody says so; an attempt that runs may end."""

    scheduled_event_id: int
    at_ns: int
    identity: str
    reason: str
    request_id: str


class ActivityUnpaused(msgspec.Struct, frozen=True, tag="act>"):
    scheduled_event_id: int
    request_id: str = ""


class ActivityRescheduled(msgspec.Struct, frozen=True, tag="act@"):
    """The attempt that waits is another one, or due at another time."""

    scheduled_event_id: int
    attempt: int
    scheduled_at_ns: int
    forgets_details: bool = False


class ActivityReset(msgspec.Struct, frozen=True, tag="act0"):
    """Attempts are counted anew."""

    scheduled_event_id: int
    resets_heartbeat: bool
    request_id: str = ""


class ActivityChanged(msgspec.Struct, frozen=True, tag="act="):
    """Its options are others: `attributes` is a serialized `ActivityTaskScheduledEventAttributes`."""

    scheduled_event_id: int
    attributes: bytes
    request_id: str = ""


class ActivityPutOff(msgspec.Struct, frozen=True, tag="act:"):
    """The attempt that waits is due at another time: its retry policy has changed."""

    scheduled_event_id: int
    scheduled_at_ns: int


class RequestAttached(msgspec.Struct, frozen=True, tag="req"):
    """A start request with this id was answered with this run."""

    request_id: str
    info: RequestIdInfo


class CallbackAttempted(msgspec.Struct, frozen=True, tag="cb"):
    """A callback about the end of the run was invoked, or could not be."""

    #: Place in `RunState.callbacks`.
    number: int
    at_ns: int
    #: Serialized `Failure`; empty if it succeeded.
    failure: bytes = b""
    #: 0: there is no other attempt.
    next_attempt_at_ns: int = 0


class ChildOpen(msgspec.Struct, frozen=True, tag="child?"):
    """The child was asked, and had not closed."""

    initiated_event_id: int


class ChildReleased(msgspec.Struct, frozen=True, tag="child-"):
    """This run has closed, and the child knows what that means for it."""

    initiated_event_id: int


class ParentNotified(msgspec.Struct, frozen=True, tag="told"):
    """The parent knows how this run ended."""


class ExternalRequested(msgspec.Struct, frozen=True, tag="ext"):
    """The id that a signal or request to another run goes by."""

    initiated_event_id: int
    request_id: str


class Rebuilt(msgspec.Struct, frozen=True, tag="rebuilt"):
    """All events up to here are another run's, which was reset: the last of `base_run_ids`."""

    #: It was a reset itself of the one before, and so on.
    base_run_ids: tuple[str, ...]
    at_ns: int
    request_id: str


class WasReset(msgspec.Struct, frozen=True, tag="reset"):
    """The workflow goes on, from somewhere in this run, as another one."""

    run_id: str
    request_id: str = ""


class UpdateDropped(msgspec.Struct, frozen=True, tag="upd-"):
    """An update that an event had admitted was rejected: there is no event for that."""

    update_id: str
    #: Serialized `Outcome`, for the callbacks.
    outcome: bytes = b""


class DeletionRequested(msgspec.Struct, frozen=True, tag="del"):
    """The run is closed, and goes as soon as it has no pending effects."""


class Parted(msgspec.Struct, frozen=True, tag="part"):
    """The transition goes on in the next row."""


Internal = (
    Identified
    | Parted
    | Buffered
    | Flushed
    | Unbuffered
    | TaskRescheduled
    | TaskConverted
    | TaskDropped
    | ProblemsReported
    | StickySet
    | ActivityStarted
    | ActivityHeartbeat
    | ActivityRetried
    | ActivityReturned
    | ActivityPaused
    | ActivityUnpaused
    | ActivityRescheduled
    | ActivityReset
    | ActivityChanged
    | ActivityPutOff
    | RequestAttached
    | CallbackAttempted
    | ChildOpen
    | ChildReleased
    | ParentNotified
    | ExternalRequested
    | Rebuilt
    | WasReset
    | UpdateDropped
    | DeletionRequested
)
Record = HistoryEvent | Internal

#: A row: its event count, its events and its internal records.
Part = tuple[int, bytes, bytes]
#: A transition with more events, or more bytes of them, is written as several rows, each within both bounds unless one
#: event alone is larger. A page of history reads whole rows, so it must not need one that is much larger than itself.
PART_EVENTS_MAX = 256
PART_BYTES_MAX = 1024 * 1024
#: Begins each event of a serialized `History`: field 1, with a length.
_EVENTS_TAG = 0x0A


CODEC = Codec(RunState, Internal)
encode_internal = CODEC.encode_internal
encode_state = CODEC.encode_state
decode_state = CODEC.decode_state


def encode_events(events: Sequence[HistoryEvent]) -> bytes:
    """Return the bytes of a `History` with these events. Two such strings joined are a history again."""
    parts: list[bytes] = []
    for event in events:
        # One by one: a `History` would copy them all first, which takes longer than to encode them.
        encoded = event.SerializeToString()
        parts += (_beginning(len(encoded)), encoded)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _beginning(length: int) -> bytes:
    """Return the bytes before an event of this length in a serialized history: the field's tag, and the length."""
    beginning = bytearray((_EVENTS_TAG,))
    while length > 0x7F:
        beginning.append(length & 0x7F | 0x80)
        length >>= 7
    beginning.append(length)
    return bytes(beginning)


def ends_of_events(events: bytes) -> list[int]:
    """Return where each event of a serialized history ends, in one pass that looks at lengths only.

    Journals of earlier releases have rows of 50,000 events, so a turn of this loop does as little as it can.
    """
    ends: list[int] = []
    at, size = 0, len(events)
    while at < size:
        assert events[at] == _EVENTS_TAG
        length = events[at + 1]
        at += 2
        if length >= 0x80:
            length, shift, byte = length & 0x7F, 7, 0x80
            while byte >= 0x80:
                byte = events[at]
                at += 1
                length |= (byte & 0x7F) << shift
                shift += 7
        at += length
        ends.append(at)
    return ends


def in_parts(
    events: bytes,
    internal: bytes,
    *,
    events_max: int = PART_EVENTS_MAX,
    bytes_max: int = PART_BYTES_MAX,
) -> Iterator[Part]:
    """Yield the rows that a transition with events becomes: each but the last ends with `Parted`."""
    ends = [0, *ends_of_events(events)]
    inner = deque(CODEC.decode_internal(internal))
    first = 0
    for last in range(1, len(ends)):
        is_last = last == len(ends) - 1
        fits = last - first < events_max and (is_last or ends[last + 1] - ends[first] <= bytes_max)
        if not is_last and fits:
            continue
        own: list[tuple[int, Internal]] = []
        while inner and (is_last or inner[0][0] < last):
            at, record = inner.popleft()
            own.append((at - first, record))
        if not is_last:
            own.append((last - first, Parted()))
        yield last - first, events[ends[first] : ends[last]], encode_internal(own)
        first = last


def goes_on(internal: bytes) -> bool:
    """Return whether the transition of a row with these internal records goes on in the next row."""
    records = CODEC.decode_internal(internal)
    return bool(records) and type(records[-1][1]) is Parted


def decode_row(events: bytes, internal: bytes) -> Iterator[Record]:
    """Yield the records of one journal row in the order in which they were made."""
    history = History.FromString(events).events if events else ()
    inner = CODEC.decode_internal(internal)
    position = 0
    for at, record in inner:
        yield from history[position:at]
        position = at
        yield record
    yield from history[position:]
