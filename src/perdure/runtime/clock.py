"""Reads the time: the only module that may."""

import time
from typing import Protocol

#: Not every system has the one that goes on while it sleeps.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    def now_ns(self) -> int:
        """Return the nanoseconds since the epoch. They never go back, so the events of a run are in order."""

    def monotonic_ns(self) -> int:
        """Return the nanoseconds since some moment, also those in which the machine slept: leases ran on meanwhile."""


class SystemClock:
    """The system's clock; when that is set back, this one goes on at half the speed until they agree again.

    If it stood still, no timer would fire until then.
    """

    def __init__(self) -> None:
        self._last_ns = 0
        #: (monotonic time, time) when the system's clock was set back; None if it was not.
        self._set_back: tuple[int, int] | None = None

    def now_ns(self) -> int:
        now = time.time_ns()
        if now < self._last_ns:
            if self._set_back is None:
                self._set_back = (time.monotonic_ns(), self._last_ns)
            since_ns, from_ns = self._set_back
            now = max(self._last_ns, from_ns + (time.monotonic_ns() - since_ns) // 2)
        else:
            self._set_back = None
        self._last_ns = now
        return now

    def monotonic_ns(self) -> int:
        return time.clock_gettime_ns(_STEADY)
