"""Durations and timestamps of the API as integers of nanoseconds."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND_NS = 1_000_000_000
#: A hundred years: a time of today and this fit 64 bits together.
LONGEST_NS = 100 * 365 * 24 * 3600 * SECOND_NS


def duration_ns(duration: Duration) -> int:
    """Return a duration, or the longest that times can be reckoned with."""
    nanoseconds = duration.seconds * SECOND_NS + duration.nanos
    if -LONGEST_NS <= nanoseconds <= LONGEST_NS:
        return nanoseconds
    return LONGEST_NS if nanoseconds > 0 else -LONGEST_NS


def timestamp_ns(timestamp: Timestamp) -> int:
    return timestamp.seconds * SECOND_NS + timestamp.nanos


def set_duration(duration: Duration, nanoseconds: int) -> None:
    """Set `duration`, also when 0: the message is then present and empty, as the API's histories have it."""
    duration.seconds, duration.nanos = divmod(nanoseconds, SECOND_NS)
    if nanoseconds == 0:
        duration.SetInParent()


def set_timestamp(timestamp: Timestamp, nanoseconds: int) -> None:
    timestamp.seconds, timestamp.nanos = divmod(nanoseconds, SECOND_NS)
