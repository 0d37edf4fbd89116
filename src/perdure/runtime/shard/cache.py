"""The execution cache: which executions are in memory, and what is known of the others.

**Invariant:** an execution that has a timer before the horizon is in memory. So is one that has pending effects, unless
all of them wait in this node's task queues. Others have a `due_at` in their row that is beyond the horizon,
or are backlogged: loaded when a worker polls its task, before its next timer, or as soon as its range is claimed again.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from perdure.core.errors import Rejected, unavailable
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
        self._executions: dict[str, CachedExecution] = {}
        #: The run id of the current run; "" if it is known that there is none.
        self._current: dict[BusinessKey, str] = {}
        self._absent: list[BusinessKey] = []
        #: Older runs have smaller numbers than this. For places where the current run was deleted.
        self._numbers: dict[BusinessKey, int] = {}
        #: The readings that are under way: for each, the places of executions that left memory since it began.
        self._readings: list[set[BusinessKey]] = []
        #: Executions that are due before this are in memory.
        self.horizon_ns = 0
        #: Executions that were evicted while their tasks wait for a worker.
        self.backlogged = Backlogged()
        #: The batches of executions that were thrown away, which may not be durable yet.
        self._not_durable: dict[BusinessKey, OpenBatch[CachedExecution]] = {}
        #: Grows whenever memory is thrown away: a reading that began before is void.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._executions)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._executions

    def peek(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the execution if it is in memory."""
        if not key.run_id:
            return self._executions.get(self._current.get(key.business_key, ""))
        cached = self._executions.get(key.run_id)
        return cached if cached is not None and cached.key == key else None

    def is_cached(self, cached: CachedExecution) -> bool:
        return self._executions.get(cached.key.run_id) is cached

    def add_current(self, cached: CachedExecution) -> None:
        """Add a new execution, which is the current run of its business id."""
        cached.used_at_ns = self._clock.monotonic_ns()
        self._executions[cached.key.run_id] = cached
        self._current[cached.key.business_key] = cached.key.run_id

    def number_kept(self, key: ExecutionKey) -> int:
        """Return the number of the deleted run that was the current one last; 0 if there is none."""
        return self._numbers.get(key.business_key, 0)

    def executions(self) -> Iterator[CachedExecution]:
        return iter(self._executions.values())

    def is_known_absent(self, key: ExecutionKey) -> bool:
        return not key.run_id and self._current.get(key.business_key) == ""

    def add_loaded(self, cached: CachedExecution) -> None:
        """Add an execution that was read from the store."""
        cached.used_at_ns = self._clock.monotonic_ns()
        self._executions[cached.key.run_id] = cached
        self.backlogged.loaded(cached.key)

    def note_current(self, key: ExecutionKey, run_id: str) -> None:
        """Keep the current run that the store knows for a business id; memory may know better."""
        if not self._current.get(key.business_key):
            self._current[key.business_key] = run_id

    def note_absent(self, key: ExecutionKey, number: int | None) -> None:
        """Keep that the store has no current run of a business id; `number` is that of a deleted one."""
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
        """Drop one execution. It is loaded again when a request comes, once its batch is durable."""
        self.drop(cached)
        if cached.batch is not None:
            self._not_durable[cached.key.business_key] = cached.batch

    def tombstone(self, key: ExecutionKey, batch: OpenBatch[CachedExecution]) -> None:
        """Mark an execution that is not in memory and is deleted with `batch`: its callers wait for that."""
        place = key.business_key
        for stale in self._readings:
            stale.add(place)
        self._not_durable[place] = batch

    def check_generation(self, generation: int) -> None:
        """Raise `Rejected` if memory was thrown away since then: what was read from it may never have been durable."""
        if generation != self.generation:
            raise unavailable("this node has lost its lease meanwhile")

    def forget_all(self) -> list[CachedExecution]:
        """Throw memory away; return the executions that were in it."""
        self.generation += 1
        lost = list(self._executions.values())
        self._executions.clear()
        self.backlogged.clear()
        self._not_durable.clear()
        self._current.clear()
        self._absent.clear()
        self._numbers.clear()
        return lost

    def drop(self, cached: CachedExecution) -> None:
        del self._executions[cached.key.run_id]
        place = cached.key.business_key
        for stale in self._readings:
            stale.add(place)
        if self._current.get(place) == cached.key.run_id:
            del self._current[place]

    def discard(self, cached: CachedExecution) -> None:
        """Take back `add_loaded`."""
        del self._executions[cached.key.run_id]

    @contextmanager
    def reading(self) -> Iterator[set[BusinessKey]]:
        """Watch a reading of the store: yield the set of places whose executions leave memory meanwhile."""
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
        """Let nobody wait for `batch` any more: it is durable."""
        if self._not_durable:
            self._not_durable = {
                place: each for place, each in self._not_durable.items() if each is not batch
            }
