"""A moving average: how often something happened in the last 30 seconds."""

SECOND_NS = 10**9
#: Temporal: rates are averages over this long.
WINDOW_S = 30


class Rate:
    __slots__ = ("_began_at_ns", "_counts", "_total")

    def __init__(self) -> None:
        #: (second, count in it), oldest first; no more than `WINDOW_S` of them. A queue has six rates, mostly empty: an
        #: empty `deque` takes ten times as much memory as an empty list.
        self._counts: list[list[int]] = []
        self._total = 0
        self._began_at_ns = 0

    def count(self, now_ns: int) -> None:
        second = now_ns // SECOND_NS
        if not self._began_at_ns:
            self._began_at_ns = now_ns
        if self._counts and self._counts[-1][0] == second:
            self._counts[-1][1] += 1
        else:
            self._forget(second)
            self._counts.append([second, 1])
        self._total += 1

    def per_second(self, now_ns: int) -> float:
        self._forget(now_ns // SECOND_NS)
        # Temporal: over the time since the first one, while that is shorter.
        seconds = (now_ns - self._began_at_ns) / SECOND_NS
        return self._total / min(WINDOW_S, max(1.0, seconds))

    def _forget(self, second: int) -> None:
        while self._counts and self._counts[0][0] <= second - WINDOW_S:
            self._total -= self._counts.pop(0)[1]
