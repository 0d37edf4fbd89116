"""The cache of executions: which are in memory, and what is known of those that are not.

**Invariant:** an execution that has a timer before the horizon is in memory. So is one that has pending effects, unless
all of them wait in this node's task queues. Others have a `due_at` in their row that is beyond the horizon,
or are backlogged: loaded when a worker polls its task, before its next timer, or as soon as its range is claimed again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from perdure.core.errors import Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.runtime.clock import Clock
from perdure.runtime.shard.backlogged import Backlogged
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cached import CachedExecution

#: The runs of one business id share it: archetype, namespace id, business id.
BusinessKey = tuple[int, str, str]


class ExecutionCache:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, CachedExecution] = {}
        #: The run id of the current run; "" if it is known that there is none.
        self._current: dict[BusinessKey, str] = {}
        self._absent: list[BusinessKey] = []
        #: Older runs have smaller numbers than this. For places where the current run was deleted.
        self._numbers: dict[BusinessKey, int] = {}
        #: The readings that are under way: for each, the places of executions that left memory since it began.
        self._readings: list[set[BusinessKey]] = []
        #: Executions that are due before this are in memory.
        self.horizon_ns = 0
        self.backlogged = Backlogged()
        #: The batches of executions that were thrown away, which may not be durable yet.
        self._not_durable: dict[BusinessKey, OpenBatch[CachedExecution]] = {}
        #: Grows whenever memory is thrown away: what was read before is worth nothing then.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def peek(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the run if it is in memory."""
        if not key.run_id:
            return self._runs.get(self._current.get(key.business_key, ""))
        cached = self._runs.get(key.run_id)
        return cached if cached is not None and cached.key == key else None

    def is_backlogged(self, key: ExecutionKey) -> bool:
        """Whether this execution was evicted while its tasks wait for a worker."""
        return key in self.backlogged

    def is_cached(self, cached: CachedExecution) -> bool:
        return self._runs.get(cached.key.run_id) is cached

    def add_current(self, cached: CachedExecution) -> None:
        """A new run of its workflow id."""
        cached.used_at_ns = self._clock.monotonic_ns()
        self._runs[cached.key.run_id] = cached
        self._current[cached.key.business_key] = cached.key.run_id

    def number_kept(self, key: ExecutionKey) -> int:
        """Return the number of the deleted run that was the current one last; 0 if there is none."""
        return self._numbers.get(key.business_key, 0)

    def runs(self) -> Iterator[CachedExecution]:
        return iter(self._runs.values())

    def is_known_absent(self, key: ExecutionKey) -> bool:
        return not key.run_id and self._current.get(key.business_key) == ""

    def add_loaded(self, cached: CachedExecution) -> None:
        """An execution came in from the store."""
        cached.used_at_ns = self._clock.monotonic_ns()
        self._runs[cached.key.run_id] = cached
        self.backlogged.loaded(cached.key)

    def note_current(self, key: ExecutionKey, run_id: str) -> None:
        """The store says which run is the current one of its place; memory may know better."""
        if not self._current.get(key.business_key):
            self._current[key.business_key] = run_id

    def note_absent(self, key: ExecutionKey, number: int | None) -> None:
        """The store has no current run at this place; `number` is that of a deleted one."""
        place = key.business_key
        if place not in self._current:
            self._current[place] = ""
            self._absent.append(place)
            if number is not None:
                self._numbers[place] = number

    def forget_absent(self) -> None:
        """Forget which places have no current run."""
        for place in self._absent:
            self._numbers.pop(place, None)
            if self._current.get(place) == "":
                del self._current[place]
        self._absent.clear()

    # Leaving memory

    def forget(self, cached: CachedExecution) -> None:
        """Throw one run away. It is loaded again when somebody asks, once what it wrote is durable."""
        self.drop(cached)
        if cached.batch is not None:
            self._not_durable[cached.key.business_key] = cached.batch

    def tombstone(self, key: ExecutionKey, batch: OpenBatch[CachedExecution]) -> None:
        """A run that is not in memory goes with `batch`: who asks for it waits until it is gone."""
        place = key.business_key
        for stale in self._readings:
            stale.add(place)
        self._not_durable[place] = batch

    def forget_all(self) -> list[CachedExecution]:
        """Throw memory away; return what was in it."""
        self.generation += 1
        lost = list(self._runs.values())
        self._runs.clear()
        self.backlogged.clear()
        self._not_durable.clear()
        self._current.clear()
        self._absent.clear()
        self._numbers.clear()
        return lost

    def drop(self, cached: CachedExecution) -> None:
        del self._runs[cached.key.run_id]
        place = cached.key.business_key
        for stale in self._readings:
            stale.add(place)
        if self._current.get(place) == cached.key.run_id:
            del self._current[place]

    def discard(self, cached: CachedExecution) -> None:
        """Take back `add_loaded`."""
        del self._runs[cached.key.run_id]

    @contextmanager
    def reading(self) -> Iterator[set[BusinessKey]]:
        """Watch a reading of the store: what is yielded are the places whose executions leave memory meanwhile."""
        stale: set[BusinessKey] = set()
        self._readings.append(stale)
        try:
            yield stale
        finally:
            self._readings = [each for each in self._readings if each is not stale]

    async def wait_until_durable(self, keys: Iterable[ExecutionKey]) -> None:
        """Return when the store knows all that executions at these places have written before they left memory."""
        for key in keys:
            place = key.business_key
            while (batch := self._not_durable.get(place)) is not None:
                if not batch.is_finished:
                    with suppress(Rejected):  # Memory is thrown away then, and what is read counts.
                        await batch.durable()
                # Not before: others may ask for the same, and must wait, too.
                if self._not_durable.get(place) is batch:
                    del self._not_durable[place]

    def committed(self, batch: OpenBatch[CachedExecution]) -> None:
        """`batch` is durable: nobody need wait for it any more."""
        if self._not_durable:
            self._not_durable = {
                place: each for place, each in self._not_durable.items() if each is not batch
            }
