"""Keeps the executions that were evicted while their tasks wait for a worker, each with its next timer."""

import heapq
from collections.abc import Iterable

from perdure.core.execution.key import ExecutionKey
from perdure.store.port import NEVER_NS

#: When so many more times than executions are kept, the times of executions that were loaded meanwhile are dropped.
STALE_MAX = 2048


class Backlogged:
    def __init__(self) -> None:
        #: Those that were not loaded again, each with its next timer.
        self._next_ns: dict[ExecutionKey, int] = {}
        #: (next timer, key), a heap; also of executions that were loaded again, and not of those without a timer.
        self._times: list[tuple[int, ExecutionKey]] = []

    def __contains__(self, key: ExecutionKey) -> bool:
        return key in self._next_ns

    @property
    def times_count(self) -> int:
        return len(self._times)

    def add(self, key: ExecutionKey, next_ns: int) -> None:
        self._next_ns[key] = next_ns
        if next_ns >= NEVER_NS:
            return
        heapq.heappush(self._times, (next_ns, key))
        if len(self._times) > 2 * len(self._next_ns) + STALE_MAX:
            self._times = [
                (at_ns, each) for each, at_ns in self._next_ns.items() if at_ns < NEVER_NS
            ]
            heapq.heapify(self._times)

    def loaded(self, key: ExecutionKey) -> None:
        """Drop an execution that is in the cache again (no error if it was not here)."""
        self._next_ns.pop(key, None)

    def take_due(self, until_ns: int) -> list[ExecutionKey]:
        """Return the executions whose next timer comes by then. They stay here until they are `loaded`."""
        keys = []
        while self._times and self._times[0][0] <= until_ns:
            key = heapq.heappop(self._times)[1]
            if key in self._next_ns:
                keys.append(key)
        return keys

    def retry(self, keys: Iterable[ExecutionKey], at_ns: int) -> None:
        """Make executions due again then: they could not be loaded."""
        for key in keys:
            heapq.heappush(self._times, (at_ns, key))

    def clear(self) -> None:
        self._next_ns.clear()
        self._times.clear()
