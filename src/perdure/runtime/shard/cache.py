"""Which runs are in memory: loaded when somebody asks, taken over with a lease, parked when there are too many.

**Invariant:** a run that has a timer before the horizon is in memory. So is one that owes something, unless all of it
waits in this node's task queues. What is not in memory has a `due_at` in its row that is beyond the horizon, or is
backlogged: loaded when a worker polls its task, before its next timer, or as soon as its range is claimed again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import structlog
from temporalio.api.enums.v1 import WorkflowExecutionStatus

from perdure.core.errors import Code, Rejected
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow import machine
from perdure.core.workflow.effects import DispatchActivityTask, DispatchWorkflowTask
from perdure.runtime.clock import Clock
from perdure.runtime.shard.backlogged import Backlogged
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.group_commit import GroupCommit, OpenBatch, unavailable
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    SHARD_KEY_END,
    ExecutionUpdate,
    Lease,
    LoadedRun,
    Store,
    StoreError,
    Unavailable,
)

log = structlog.get_logger(__name__)

LOAD_AT_ONCE_MAX = 256
LOAD_FEWER_BY = 16
EVICT_AT_ONCE_MAX = 2048
#: Runs that are due within this time are kept in memory.
HORIZON_NS = 40 * 10**9
SWEEP_EVERY_S = 1.0
LOOK_AHEAD_EVERY_S = 10.0
#: A run that was used a moment ago stays.
MIN_IDLE_NS = 3 * 10**9
#: A run that a bug has thrown out of memory is loaded again after so long.
RELOAD_S = 10.0
_WAIT_FOR_A_POLL = (DispatchWorkflowTask, DispatchActivityTask)


class ExecutionCache:
    """The cache of runs. `adopted` is told of every run that comes in from the store."""

    def __init__(
        self,
        store: Store,
        commits: GroupCommit,
        clock: Clock,
        adopted: Callable[[CachedExecution], None],
        *,
        runs_max: int = 4096,
    ) -> None:
        self._store = store
        self._commits = commits
        self._clock = clock
        self._adopted = adopted
        self._runs_max = runs_max
        self._runs: dict[str, CachedExecution] = {}
        #: `ExecutionKey.business_key` → run id of the current run; "" if it is known that there is none.
        self._current: dict[tuple[int, str, str], str] = {}
        self._absent: list[tuple[int, str, str]] = []
        #: What older runs there are have smaller numbers than this. For places where the current run was deleted.
        self._numbers: dict[tuple[int, str, str], int] = {}
        self._wanted: dict[ExecutionKey, asyncio.Future[bool]] = {}
        self._loads: set[asyncio.Task[None]] = set()
        #: Of each reading that is under way, by identity: the places of runs that left memory since it began.
        self._reads: dict[int, set[tuple[int, str, str]]] = {}
        self._horizon_ns = 0
        self._backlogged = Backlogged()
        #: What runs that were thrown away have written, and may not be durable yet. By business key.
        self._not_durable: dict[tuple[int, str, str], OpenBatch] = {}
        #: Grows whenever memory is thrown away: what was read before is worth nothing then.
        self.generation = 0

    def __len__(self) -> int:
        return len(self._runs)

    # Finding

    def peek(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the run if it is in memory."""
        run_id = key.run_id or self._current.get(key.business_key, "")
        live = self._runs.get(run_id)
        if live is None or live.key.business_key != key.business_key:
            return None
        return live

    async def find(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the run, from memory or the store; None if there is none.

        Nothing happens between the return and the caller's next step: what it sees is current.
        """
        generation = self.generation
        live = self.peek(key)
        while live is None and not self._is_known_absent(key):
            is_there = await self._load(key)
            if generation != self.generation:
                raise unavailable("this node has lost its lease meanwhile")
            live = self.peek(key)
            if not is_there:
                break
            # If it is there and not in memory, it was let go before this caller had its turn.
        if live is not None:
            live.used_at_ns = self._clock.monotonic_ns()
        return live

    def waits_for_a_poll(self, key: ExecutionKey) -> bool:
        """Whether this run was let go while its tasks wait for a worker."""
        return key in self._backlogged

    def is_cached(self, live: CachedExecution) -> bool:
        return self._runs.get(live.key.run_id) is live

    def add_current(self, live: CachedExecution) -> None:
        """A new run of its workflow id."""
        live.used_at_ns = self._clock.monotonic_ns()
        self._runs[live.key.run_id] = live
        self._current[live.key.business_key] = live.key.run_id

    def number_kept(self, key: ExecutionKey) -> int:
        """Return the number of the deleted run that was the current one last; 0 if there is none."""
        return self._numbers.get(key.business_key, 0)

    def runs(self) -> Iterator[CachedExecution]:
        return iter(self._runs.values())

    def _is_known_absent(self, key: ExecutionKey) -> bool:
        return not key.run_id and self._current.get(key.business_key) == ""

    # Loading

    def _load(self, key: ExecutionKey) -> asyncio.Future[bool]:
        """Ask for a run; say whether there is one. What is asked for in one turn of the loop is read with one query."""
        future = self._wanted.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            if not self._wanted:
                loop.call_soon(self._start_loading, self.generation)
            future = self._wanted[key] = loop.create_future()
        # A caller that is cancelled must not cancel the others.
        return asyncio.shield(future)

    def _start_loading(self, generation: int) -> None:
        wanted, self._wanted = self._wanted, {}
        task = asyncio.get_running_loop().create_task(self._load_wanted(wanted, generation))
        self._loads.add(task)
        task.add_done_callback(self._loads.discard)

    async def _load_wanted(
        self, wanted: dict[ExecutionKey, asyncio.Future[bool]], generation: int
    ) -> None:
        try:
            found = await self._load_keys(list(wanted), generation)
        except (StoreError, asyncio.CancelledError) as error:
            for future in wanted.values():
                _refuse(future, unavailable(f"the store cannot be read: {error}"))
            return
        except Exception as error:
            log.exception("bug: runs cannot be read")
            for future in wanted.values():
                _refuse(future, Rejected(Code.INTERNAL, f"internal error: {error}"))
            return
        for key, future in wanted.items():
            there = found[key]
            if isinstance(there, Rejected):
                _refuse(future, there)
            elif not future.done():
                future.set_result(there)

    async def _load_keys(
        self, keys: list[ExecutionKey], generation: int
    ) -> dict[ExecutionKey, bool | Rejected]:
        """Read runs into memory; return which of them there are, or that a bug made one of them unreadable.

        `generation` is that of the lease under which they were asked for: under another one, or none, what is read
        may belong to somebody else.
        """
        there: dict[ExecutionKey, bool | Rejected] = {}
        while keys:
            chunk, keys = keys[:LOAD_AT_ONCE_MAX], keys[LOAD_AT_ONCE_MAX:]
            await self._wait_until_durable(chunk)
            stale: set[tuple[int, str, str]] = set()
            self._reads[id(stale)] = stale
            try:
                found = await self._store.load(chunk)
            finally:
                del self._reads[id(stale)]
            if generation != self.generation:
                raise StoreError("this node has lost its lease meanwhile")
            for key, stored in zip(chunk, found, strict=True):
                if key.business_key in stale:
                    keys.append(key)  # Thrown away while it was read: what was read is too old.
                    continue
                try:
                    there[key] = self._take_in(key, stored)
                except Exception as error:
                    # The others must not suffer from it: those that are due, for one.
                    log.exception("bug: a run cannot be read", **key._asdict())
                    there[key] = Rejected(Code.INTERNAL, f"internal error: {error}")
        return there

    def _take_in(self, key: ExecutionKey, stored: LoadedRun | None) -> bool:
        """Return whether there is such a run."""
        place = key.business_key
        if stored is None or stored.row.status == DELETED:
            if not key.run_id and place not in self._current:
                self._current[place] = ""
                self._absent.append(place)
                if stored is not None:
                    self._numbers[place] = stored.row.run_number
            return False
        run_id = stored.row.run_id
        if run_id not in self._runs:
            live = CachedExecution.loaded(key._replace(run_id=run_id), stored)
            live.used_at_ns = self._clock.monotonic_ns()
            self._runs[run_id] = live
            self._backlogged.loaded(live.key)
            try:
                self._adopted(live)
            except Exception:
                del self._runs[run_id]
                raise
        if not key.run_id and not self._current.get(place):
            self._current[place] = run_id
        return True

    async def _wait_until_durable(self, keys: list[ExecutionKey]) -> None:
        for key in keys:
            place = key.business_key
            while (batch := self._not_durable.get(place)) is not None:
                if not batch.is_finished:
                    with suppress(Rejected):  # Memory is thrown away then, and what is read counts.
                        await batch.durable()
                # Not before: others may ask for the same, and must wait, too.
                if self._not_durable.get(place) is batch:
                    del self._not_durable[place]

    # Taking over

    async def take_over(self, leases: Iterable[Lease]) -> int:
        """Load every run of the ranges that is due. Return how many."""
        until_ns = self._clock.now_ns() + HORIZON_NS
        self._horizon_ns = until_ns
        return await self._load_due(leases, -1, until_ns, self.generation)

    async def look_ahead(self, leases: Callable[[], Iterable[Lease]]) -> None:
        """Move the horizon on, for ever: load what becomes due before it does. No `leases` while nobody is served."""
        while True:
            await asyncio.sleep(LOOK_AHEAD_EVERY_S)
            generation = self.generation
            after_ns, until_ns = self._horizon_ns, self._clock.now_ns() + HORIZON_NS
            held = tuple(leases())
            if not held or until_ns <= after_ns:
                continue
            # First the horizon, then the reading: whoever parks a run meanwhile sees the new one.
            self._horizon_ns = until_ns
            try:
                await self._load_due(held, after_ns, until_ns, generation)
                await self._load_backlogged(until_ns, generation)
            except StoreError as error:
                self._horizon_ns = after_ns
                log.warning("due runs not loaded", error=str(error))

    async def _load_due(
        self, leases: Iterable[Lease], after_ns: int, until_ns: int, generation: int
    ) -> int:
        loaded = 0
        for lease in leases:
            after = after_ns
            while True:
                due = await self._store.due(
                    lease.lo, min(lease.hi, SHARD_KEY_END), after, until_ns, LOAD_AT_ONCE_MAX
                )
                if not due:
                    break
                keys = [each.key for each in due if each.key.run_id not in self._runs]
                await self._load_many(keys, generation)
                loaded += len(keys)
                after = due[-1].due_at_ns
        return loaded

    async def _load_many(self, keys: list[ExecutionKey], generation: int) -> None:
        """Load runs, fewer at once if the store gives up: some may be so large that many take too long."""
        at_once = LOAD_AT_ONCE_MAX
        while keys:
            try:
                await self._load_keys(keys[:at_once], generation)
            except Unavailable:
                if at_once == 1:
                    raise
                at_once //= LOAD_FEWER_BY
            else:
                keys = keys[at_once:]

    async def _load_backlogged(self, until_ns: int, generation: int) -> None:
        keys = self._backlogged.take_due(until_ns)
        try:
            await self._load_many([key for key in keys if key.run_id not in self._runs], generation)
        except StoreError:
            self._backlogged.give_back(keys, until_ns)
            raise

    def forget(self, live: CachedExecution) -> None:
        """Throw one run away. It is loaded again when somebody asks, once what it wrote is durable."""
        self._drop(live)
        if live.batch is not None:
            self._not_durable[live.key.business_key] = live.batch

    def reload(self, key: ExecutionKey) -> None:
        """Load a run after a while, though nobody asks for it; again and again while it cannot be read."""
        generation = self.generation

        def load() -> None:
            if generation == self.generation:
                self._load(key).add_done_callback(look)

        def look(loaded: asyncio.Future[bool]) -> None:
            if not loaded.cancelled() and loaded.exception() is not None:
                self.reload(key)

        asyncio.get_running_loop().call_later(RELOAD_S, load)

    async def removable(self, keys: list[ExecutionKey]) -> list[ExecutionKey]:
        """Return those that are closed and owe nothing to anybody, and that are not in memory. Raises `StoreError`.

        Nothing happens between the return and the caller's next step.
        """
        generation = self.generation
        await self._wait_until_durable(keys)
        stale: set[tuple[int, str, str]] = set()
        self._reads[id(stale)] = stale
        try:
            found = await self._store.load(keys)
        finally:
            del self._reads[id(stale)]
        if generation != self.generation:
            raise StoreError("this node has lost its lease meanwhile")
        return [
            key
            for key, stored in zip(keys, found, strict=True)
            if stored is not None
            and stored.row.status
            not in (
                WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING,
                WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_PAUSED,
                DELETED,
            )
            and stored.row.due_at_ns == NEVER_NS
            and key.run_id not in self._runs
            and key.business_key not in stale
        ]

    def tombstone(self, key: ExecutionKey, batch: OpenBatch) -> None:
        """A run that is not in memory goes with `batch`: who asks for it waits until it is gone."""
        place = key.business_key
        for stale in self._reads.values():
            stale.add(place)
        self._not_durable[place] = batch

    def forget_all(self) -> list[CachedExecution]:
        """Throw memory away; return what was in it."""
        self.generation += 1
        lost = list(self._runs.values())
        self._runs.clear()
        self._backlogged.clear()
        self._not_durable.clear()
        self._current.clear()
        self._absent.clear()
        self._numbers.clear()
        return lost

    # Parking

    async def sweep(self) -> None:
        """Keep memory bounded, for ever."""
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            self.make_room()

    def make_room(self) -> None:
        for place in self._absent:
            self._numbers.pop(place, None)
            if self._current.get(place) == "":
                del self._current[place]
        self._absent.clear()
        surplus = len(self._runs) - self._runs_max
        if surplus <= 0:
            return
        idle_since = self._clock.monotonic_ns() - MIN_IDLE_NS
        candidates = [
            live
            for live in self._runs.values()
            if live.used_at_ns < idle_since and live.batch is None and not live.waiters
        ]
        candidates.sort(key=lambda live: live.used_at_ns)
        for live in candidates[: min(surplus, EVICT_AT_ONCE_MAX)]:
            if live.state.is_open:
                try:
                    self._evict(live)
                except Exception:
                    # The others must go all the same.
                    log.exception("bug: a run cannot be parked", **live.key._asdict())
            elif live.due_at_ns > self._horizon_ns:  # Else it still owes something to others.
                self._drop(live)

    def _evict(self, live: CachedExecution) -> None:
        """Write what the run is and when it is due; it leaves memory when that is durable."""
        if self._evict_backlogged(live):
            return
        due_at_ns = self._next_due_ns(live)
        if due_at_ns <= self._horizon_ns:
            return
        if live.due_at_ns == due_at_ns and live.snapshot_seq == live.seq:
            self._drop(live)
            return
        batch = self._commits.batch()
        batch.update(
            ExecutionUpdate(
                *live.key,
                live.state.status,
                due_at_ns,
                live.snapped(),
                live.seq,
            )
        )
        batch.runs[live.key.run_id] = live
        live.batch = batch
        live.due_at_ns = due_at_ns
        live.is_being_evicted = True

    def committed(self, batch: OpenBatch) -> None:
        """`batch` is durable: let go of what it parked, unless it was needed meanwhile."""
        if self._not_durable:
            self._not_durable = {
                place: each for place, each in self._not_durable.items() if each is not batch
            }
        for live in batch.runs.values():
            if not live.is_being_evicted or not self.is_cached(live):
                continue
            live.is_being_evicted = False
            if live.batch is None and live.due_at_ns > self._horizon_ns and not live.waiters:
                self._drop(live)

    def _next_due_ns(self, live: CachedExecution) -> int:
        """Return when the run needs to be in memory: 0 if it must stay now."""
        run = live.run
        now_ns = self._clock.now_ns()
        if not run.in_flight.is_idle:
            return 0
        if machine.pending_effects(run, now_ns):
            return 0
        timers = machine.pending_timers(run, now_ns)
        return min((timer.fire_at_ns for timer in timers), default=NEVER_NS)

    def _evict_backlogged(self, live: CachedExecution) -> bool:
        """Let go of a run that only waits for a worker to poll: its tasks are in the task queues."""
        run, now_ns = live.run, self._clock.now_ns()
        if live.due_at_ns or not run.in_flight.is_idle:
            return False
        pending_effects = machine.pending_effects(run, now_ns)
        if not pending_effects or not all(
            isinstance(effect, _WAIT_FOR_A_POLL) for effect in pending_effects
        ):
            return False
        timers = machine.pending_timers(run, now_ns)
        next_ns = min((timer.fire_at_ns for timer in timers), default=NEVER_NS)
        if next_ns <= self._horizon_ns:
            return False
        self._backlogged.add(live.key, next_ns)
        self._drop(live)
        return True

    def _drop(self, live: CachedExecution) -> None:
        del self._runs[live.key.run_id]
        place = live.key.business_key
        for stale in self._reads.values():
            stale.add(place)
        if self._current.get(place) == live.key.run_id:
            del self._current[place]


def _refuse(future: asyncio.Future[bool], refusal: Rejected) -> None:
    if not future.done():
        future.set_exception(refusal)
        future.exception()  # Seen: a caller may be gone.
