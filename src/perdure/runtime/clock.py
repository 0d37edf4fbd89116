"""The only module that may read the time."""

import time
from typing import Protocol


class Clock(Protocol):
    def now_ns(self) -> int:
        """Nanoseconds since the epoch. Never goes back, so that a run's events are in order."""

    def monotonic_ns(self) -> int: ...


class SystemClock:
    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        now = time.time_ns()
        if now < self._last_ns:
            return self._last_ns
        self._last_ns = now
        return now

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()
