"""Loads executions into the cache: for a request, after a claim, and before their next timer."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from perdure.core.archetypes import ARCHETYPES
from perdure.core.errors import Code, Rejected, unavailable
from perdure.core.execution.key import ExecutionKey
from perdure.runtime.clock import Clock
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import FOLDED_IN_ONE_TURN, CachedExecution, execution_of
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    SHARD_KEY_END,
    DuePlace,
    Lease,
    LoadedRun,
    Store,
    StoreError,
    Unavailable,
)

log = structlog.get_logger(__name__)

LOAD_AT_ONCE_MAX = 256
LOAD_FEWER_BY = 16
#: So many are folded before others get a turn.
LOADED_IN_ONE_TURN = 16
#: Executions that are due within this time are kept in memory.
HORIZON_NS = 40 * 10**9
LOOK_AHEAD_EVERY_S = 10.0
#: An execution that a bug has thrown out of memory is loaded again after so long.
RELOAD_S = 10.0


class Loading:
    """Reads executions into `cache`, and passes each of them to `adopted`."""

    def __init__(
        self,
        cache: ExecutionCache,
        store: Store,
        clock: Clock,
        adopted: Callable[[CachedExecution], None],
    ) -> None:
        self._cache = cache
        self._store = store
        self._clock = clock
        self._adopted = adopted
        #: A long journal is folded in such slices. Simulated worlds have smaller ones.
        self.slice_events = FOLDED_IN_ONE_TURN
        self._wanted: dict[ExecutionKey, asyncio.Future[bool]] = {}
        self._loads: set[asyncio.Task[None]] = set()

    async def find(self, key: ExecutionKey) -> CachedExecution | None:
        """Return an execution that is not in memory, from the store; None if there is none.

        Nothing happens between the return and the caller's next step: what it sees is current.
        """
        generation = self._cache.generation
        while not self._cache.is_known_absent(key):
            is_there = await self._load(key)
            self._cache.check_generation(generation)
            cached = self._cache.peek(key)
            if cached is not None or not is_there:
                return cached
            # It is there and not in memory: it was dropped before this caller had its turn.
        return None

    def _load(self, key: ExecutionKey) -> asyncio.Future[bool]:
        """Ask for an execution; say whether there is one. One query reads all requests of one turn of the loop."""
        future = self._wanted.get(key)
        if future is None:
            loop = asyncio.get_running_loop()
            if not self._wanted:
                loop.call_soon(self._start_loading, self._cache.generation)
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
            log.exception("bug: executions cannot be read")
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
        """Read executions into the cache; return which of them there are, or that a bug made one of them unreadable.

        `generation` is that of the lease under which they were asked for: under another one, or none, what is read
        may belong to somebody else.
        """
        there: dict[ExecutionKey, bool | Rejected] = {}
        while keys:
            chunk, keys = keys[:LOAD_AT_ONCE_MAX], keys[LOAD_AT_ONCE_MAX:]
            await self._cache.wait_until_durable(chunk)
            with self._cache.reading() as stale:
                found = await self._store.load(chunk)
                for number, (key, stored) in enumerate(zip(chunk, found, strict=True)):
                    if number % LOADED_IN_ONE_TURN == 0 and number:
                        await asyncio.sleep(0)
                    try:
                        execution = await self._execution_of(stored)
                        if generation != self._cache.generation:
                            raise StoreError("this node has lost its lease meanwhile")
                        if key.business_key in stale:
                            keys.append(key)  # Thrown away while it was read: this is too old.
                            continue
                        there[key] = self._take_in(key, stored, execution)
                    except StoreError:
                        raise
                    except Exception as error:
                        # The others must not suffer from it: those that are due, for one.
                        log.exception("bug: an execution cannot be read", **key._asdict())
                        there[key] = Rejected(Code.INTERNAL, f"internal error: {error}")
        return there

    async def _execution_of(self, stored: LoadedRun | None) -> Any:
        """Return the execution that is stored; None if there is none, or memory has it and may know better."""
        if stored is None or stored.row.status == DELETED or stored.row.run_id in self._cache:
            return None
        return await execution_of(stored, self.slice_events)

    def _take_in(self, key: ExecutionKey, stored: LoadedRun | None, execution: Any) -> bool:
        """Return whether there is such an execution."""
        if stored is None or stored.row.status == DELETED:
            if not key.run_id:
                self._cache.note_absent(key, None if stored is None else stored.row.run_number)
            return False
        run_id = stored.row.run_id
        if run_id not in self._cache:
            cached = CachedExecution.loaded(key._replace(run_id=run_id), stored, execution)
            self._cache.add_loaded(cached)
            try:
                self._adopted(cached)
            except Exception:
                self._cache.discard(cached)
                raise
        if not key.run_id:
            self._cache.note_current(key, run_id)
        return True

    # Taking over

    async def take_over(self, leases: Iterable[Lease]) -> int:
        """Load every execution of the ranges that is due. Return how many."""
        until_ns = self._clock.now_ns() + HORIZON_NS
        self._cache.horizon_ns = until_ns
        return await self._load_due(leases, (0, ""), until_ns, self._cache.generation)

    async def look_ahead(self, leases: Callable[[], Iterable[Lease]]) -> None:
        """Move the horizon on, for ever: load executions before they are due. No `leases`: it does not serve."""
        while True:
            await asyncio.sleep(LOOK_AHEAD_EVERY_S)
            generation = self._cache.generation
            after_ns, until_ns = self._cache.horizon_ns, self._clock.now_ns() + HORIZON_NS
            held = tuple(leases())
            if not held or until_ns <= after_ns:
                continue
            # First the horizon, then the reading: an eviction meanwhile sees the new one.
            self._cache.horizon_ns = until_ns
            try:
                await self._load_due(held, (after_ns + 1, ""), until_ns, generation)
                await self._load_backlogged(until_ns, generation)
            except StoreError as error:
                self._cache.horizon_ns = after_ns
                log.warning("due executions not loaded", error=str(error))

    async def _load_due(
        self, leases: Iterable[Lease], begin: DuePlace, until_ns: int, generation: int
    ) -> int:
        loaded = 0
        for lease in leases:
            after = begin
            while True:
                due = await self._store.due(
                    lease.lo, min(lease.hi, SHARD_KEY_END), after, until_ns, LOAD_AT_ONCE_MAX
                )
                if not due:
                    break
                keys = [each.key for each in due if each.key.run_id not in self._cache]
                await self._load_many(keys, generation)
                loaded += len(keys)
                after = due[-1].place
        return loaded

    async def _load_many(self, keys: list[ExecutionKey], generation: int) -> None:
        """Load executions, fewer at once if the store gives up: some may be so large that many take too long."""
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
        keys = self._cache.backlogged.take_due(until_ns)
        try:
            await self._load_many(
                [key for key in keys if key.run_id not in self._cache], generation
            )
        except StoreError:
            self._cache.backlogged.retry(keys, until_ns)
            raise

    def reload(self, key: ExecutionKey) -> None:
        """Load an execution after a while, without a request; again and again while it cannot be read."""
        generation = self._cache.generation

        def load() -> None:
            if generation == self._cache.generation:
                self._load(key).add_done_callback(look)

        def look(loaded: asyncio.Future[bool]) -> None:
            if not loaded.cancelled() and loaded.exception() is not None:
                self.reload(key)

        asyncio.get_running_loop().call_later(RELOAD_S, load)

    async def removable(self, keys: list[ExecutionKey]) -> list[ExecutionKey]:
        """Return those that are closed without pending effects, and that are not in memory. Raises `StoreError`.

        Nothing happens between the return and the caller's next step.
        """
        generation = self._cache.generation
        await self._cache.wait_until_durable(keys)
        with self._cache.reading() as stale:
            found = await self._store.load(keys)
        if generation != self._cache.generation:
            raise StoreError("this node has lost its lease meanwhile")
        return [
            key
            for key, stored in zip(keys, found, strict=True)
            if stored is not None
            and stored.row.status not in (*ARCHETYPES[key.archetype].open_statuses, DELETED)
            and stored.row.due_at_ns == NEVER_NS
            and key.run_id not in self._cache
            and key.business_key not in stale
        ]


def _refuse(future: asyncio.Future[bool], refusal: Rejected) -> None:
    if not future.done():
        future.set_exception(refusal)
        future.exception()  # Seen: a caller may be gone.
