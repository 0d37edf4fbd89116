"""The waiting tasks of one priority in a task queue: first in, first out, or fairness keys take turns.

Turns: a task stands as far back as its fairness key has had tasks before it, divided by the weight of the key. So each
key has its share of the tasks at the front, however many tasks one key has brought.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

#: Fairness key → its weight, whatever its tasks say.
Weights = Mapping[str, float]
#: Temporal: smaller weights count as this.
WEIGHT_MIN = 0.001
#: Temporal: how far behind one another two tasks of a key stand that weighs 1.
STRIDE = 1000
#: Keys that are remembered, at most, besides those that are ahead of the others.
KEYS_MAX = 1000


class Backlog(Generic[T]):
    """First in, first out. A task that comes twice waits once."""

    __slots__ = ("_since_ns",)

    def __init__(self) -> None:
        #: In the order of their arrival.
        self._since_ns: dict[T, int] = {}

    def __len__(self) -> int:
        return len(self._since_ns)

    def add(self, task: T, now_ns: int, fairness: tuple[str, float] | None) -> None:
        self._since_ns.setdefault(task, now_ns)

    def first(self) -> T:
        return next(iter(self._since_ns))

    def drop_first(self) -> None:
        del self._since_ns[self.first()]

    def remove(self, task: T) -> None:
        """Take out a task that goes although others are before it."""
        del self._since_ns[task]

    def drop(self, is_stale: Callable[[T], bool]) -> None:
        """Forget tasks that nobody waits for any more."""
        self._since_ns = {
            task: since for task, since in self._since_ns.items() if not is_stale(task)
        }

    def tasks(self) -> Iterator[T]:
        """Yield what goes first first."""
        return iter(self._since_ns)

    @property
    def oldest_ns(self) -> int:
        return next(iter(self._since_ns.values()))


class FairBacklog(Backlog[T]):
    __slots__ = ("_base", "_count", "_ordered", "_passes", "_weights")

    def __init__(self, weights: Callable[[], Weights | None]) -> None:
        super().__init__()
        self._weights = weights
        #: (place, number, task): a heap.
        self._ordered: list[tuple[int, int, T]] = []
        self._count = 0
        #: The place that has been reached: nobody may stand before it.
        self._base = 0
        #: Fairness key → the place of its last task.
        self._passes: dict[str, int] = {}

    def add(self, task: T, now_ns: int, fairness: tuple[str, float] | None) -> None:
        if task in self._since_ns:
            return
        self._since_ns[task] = now_ns
        key, weight = fairness or ("", 0.0)
        weight = (self._weights() or {}).get(key, weight)
        stride = max(1, int(STRIDE / max(WEIGHT_MIN, weight))) if weight > 0 else STRIDE
        # Temporal: also the first task of a key stands a stride from the beginning.
        place = max(self._base, self._passes.get(key, 0) + stride)
        self._passes[key] = place
        self._count += 1
        heappush(self._ordered, (place, self._count, task))

    def first(self) -> T:
        return self._ordered[0][2]

    def drop_first(self) -> None:
        self._base, _, task = heappop(self._ordered)
        del self._since_ns[task]
        if len(self._passes) > KEYS_MAX:
            self._passes = {key: place for key, place in self._passes.items() if place > self._base}

    def remove(self, task: T) -> None:
        self.drop(lambda other: other == task)

    def drop(self, is_stale: Callable[[T], bool]) -> None:
        super().drop(is_stale)
        self._ordered = [each for each in self._ordered if each[2] in self._since_ns]
        heapify(self._ordered)

    def tasks(self) -> Iterator[T]:
        return (task for _, _, task in sorted(self._ordered, key=lambda each: each[:2]))
