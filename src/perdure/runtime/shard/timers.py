"""The heap of timers: wakes executions at their times.

Timers are never taken back: one that is no longer needed does nothing when it fires. Nobody is woken for one that is
known to be stale, as most of those are that come to nothing: a task is seldom late. The heap is in memory only;
the state of each execution says which timers it needs, and a restart sets them again. A timer does not keep
its execution in memory.
"""

import asyncio
import heapq
import weakref
from collections.abc import Callable, Iterable
from itertools import count

from perdure.core.execution.outcome import Timer
from perdure.runtime.clock import Clock
from perdure.runtime.shard.cached import CachedExecution

#: At most so many timers fire before others get a turn.
FIRED_AT_ONCE_MAX = 256
#: Timers may be so late when somebody sets the system's clock on, or wakes a machine up.
LOOK_EVERY_S = 5.0
#: Stale timers are dropped from the heap when it has grown by so many since the last time.
GROWTH_BEFORE_CLEANING = 8192


class Timers:
    def __init__(self, clock: Clock, fire: Callable[[CachedExecution, Timer], None]) -> None:
        self._clock = clock
        self._fire = fire
        #: If two timers are due at one time, the lower kind goes first.
        self._heap: list[tuple[int, int, int, weakref.ref[CachedExecution], Timer]] = []
        self._order = count()
        self._handle: asyncio.TimerHandle | None = None
        self._handle_at_ns = 0
        self._clean_at = GROWTH_BEFORE_CLEANING
        self._closed = False

    def __len__(self) -> int:
        return len(self._heap)

    def ask(self, cached: CachedExecution, timer: Timer) -> None:
        entry = (timer.fire_at_ns, timer.kind, next(self._order), cached.reference, timer)
        heapq.heappush(self._heap, entry)
        if self._handle is None or timer.fire_at_ns < self._handle_at_ns:
            self._arm()

    def is_overgrown(self) -> bool:
        return len(self._heap) > self._clean_at

    def replace(self, needed: Iterable[tuple[CachedExecution, Timer]]) -> None:
        """Start anew with what is `needed` now. Called when `is_overgrown`: the cost is spread over the growth."""
        self._heap = [
            (timer.fire_at_ns, timer.kind, next(self._order), cached.reference, timer)
            for cached, timer in needed
        ]
        heapq.heapify(self._heap)
        self._clean_at = 2 * len(self._heap) + GROWTH_BEFORE_CLEANING
        self._arm()

    def close(self) -> None:
        self._closed = True
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._drop_stale()
        if not self._heap or self._closed:
            return
        self._handle_at_ns = self._heap[0][0]
        delay_s = max(0, self._handle_at_ns - self._clock.now_ns()) / 1e9
        # On the way it is looked again: the loop's clock does not jump when the other one does.
        self._handle = asyncio.get_running_loop().call_later(min(delay_s, LOOK_EVERY_S), self._due)

    def _drop_stale(self) -> None:
        """Drop stale timers from the top of the heap."""
        while self._heap:
            *_, reference, timer = self._heap[0]
            cached = reference()
            if cached is not None and not cached.archetype.is_stale(cached.execution, timer):
                return
            heapq.heappop(self._heap)

    def _due(self) -> None:
        self._handle = None
        now_ns = self._clock.now_ns()
        for _ in range(FIRED_AT_ONCE_MAX):
            self._drop_stale()
            if not self._heap or self._heap[0][0] > now_ns:
                break
            _, _, _, reference, timer = heapq.heappop(self._heap)
            cached = reference()
            if cached is not None:
                self._fire(cached, timer)
        self._arm()
