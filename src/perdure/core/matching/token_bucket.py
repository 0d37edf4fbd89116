"""A rate limit: so many a second, and never more than a second's worth at once. The caller passes the time."""

import math

SECOND_NS = 10**9


class TokenBucket:
    """Full at first, so that a queue that was idle may give out a second's worth without delay.

    Kept as one number, the time at which the bucket is full again: no clock ticks here.
    """

    __slots__ = ("_full_at_ns", "_interval_ns", "_slack_ns", "per_second")

    def __init__(self, per_second: float) -> None:
        assert per_second >= 0
        self.per_second = per_second
        self._full_at_ns = 0
        self._interval_ns = math.ceil(SECOND_NS / per_second) if per_second else 0
        #: The bucket holds `capacity` tokens: one is taken, and the others may be gone already.
        self._slack_ns = (self.capacity - 1) * self._interval_ns

    def at_rate(self, per_second: float, now_ns: int) -> "TokenBucket":
        """Return a bucket of another rate that has no more in it than this one."""
        changed = TokenBucket(per_second)
        empty_ns = now_ns + changed.capacity * changed._interval_ns
        changed._full_at_ns = min(self._full_at_ns, empty_ns) if self.per_second else empty_ns
        return changed

    @property
    def capacity(self) -> int:
        return max(1, math.ceil(self.per_second)) if self.per_second else 0

    def ready_at_ns(self) -> int | None:
        """Return when there is a token, perhaps long ago; None if there never is one."""
        return self._full_at_ns - self._slack_ns if self.per_second else None

    def has_token(self, now_ns: int) -> bool:
        return bool(self.per_second) and self._full_at_ns - self._slack_ns <= now_ns

    def take(self, now_ns: int) -> None:
        assert self.has_token(now_ns)
        self._full_at_ns = max(self._full_at_ns, now_ns) + self._interval_ns
