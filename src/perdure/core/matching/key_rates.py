"""The rate limit of each fairness key in a task queue, beside the limit of the whole queue.

Each key has a rate of its own; one that weighs more is as much faster. Kept for each key as one number, the time of its
next task: no clock ticks here.
"""

from collections.abc import Mapping

from perdure.core.matching.backlog import WEIGHT_MIN

SECOND_NS = 10**9
#: Temporal: what a key has left unused for this long comes on top, at once.
BURST_NS = SECOND_NS
#: Keys that are remembered, at most, besides those that must wait or have used some of their burst.
KEYS_MAX = 2000


class KeyRates:
    __slots__ = ("_interval_ns", "_ready_at_ns", "_weights", "per_second")

    def __init__(self, per_second: float, weights: Mapping[str, float]) -> None:
        """`weights` are those of keys that weigh something else than their tasks say."""
        assert per_second > 0
        self.per_second = per_second
        self._weights = weights
        self._interval_ns = int(SECOND_NS / per_second)
        self._ready_at_ns: dict[str, int] = {}

    def at_rate(self, per_second: float, weights: Mapping[str, float], now_ns: int) -> "KeyRates":
        """Return the rates after a change. A key that has to wait waits no longer than for two tasks."""
        changed = KeyRates(per_second, weights)
        latest_ns = now_ns + 2 * changed._interval_ns + BURST_NS
        changed._ready_at_ns = {
            key: min(ready_at_ns, latest_ns) for key, ready_at_ns in self._ready_at_ns.items()
        }
        return changed

    def ready_at_ns(self, key: str) -> int:
        """Return when a task with this key may go, perhaps long ago."""
        return self._ready_at_ns.get(key, 0)

    def take(self, fairness: tuple[str, float] | None, now_ns: int) -> None:
        key, weight = fairness or ("", 0.0)
        weight = self._weights.get(key, weight)
        weight = max(WEIGHT_MIN, weight) if weight > 0 else 1.0
        ready_at_ns = max(now_ns - BURST_NS, self._ready_at_ns.get(key, 0))
        self._ready_at_ns[key] = ready_at_ns + int(self._interval_ns / weight)
        if len(self._ready_at_ns) > KEYS_MAX:
            self._ready_at_ns = {
                key: at_ns for key, at_ns in self._ready_at_ns.items() if at_ns > now_ns - BURST_NS
            }
