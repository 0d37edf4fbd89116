"""Requests become transitions, transitions become commits, and commits become replies and effects.

    request → the run (memory, else the store) → transition (never awaits) → the open batch → durable → reply, effects

**Invariant:** nobody learns of what is not durable. A reply waits for the batch that holds the run's latest
transition, also when the request itself recorded nothing: what it answers from may rest on that batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

import structlog

from perdure.core.errors import Code, Rejected
from perdure.core.execution.environment import Environment
from perdure.core.execution.key import WORKFLOW, ExecutionKey, shard_key
from perdure.core.execution.outcome import Effect, Outcome, Timer
from perdure.core.execution.request import Delete, Request
from perdure.core.workflow.lifecycle import deletion
from perdure.core.workflow.lifecycle.reset import Rebuild
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.machine import (
    has_pending_effects,
    pending_effects,
    pending_timers,
    transition,
)
from perdure.core.workflow.records import PART_BYTES_MAX, Part, in_parts
from perdure.core.workflow.state import Run
from perdure.runtime.call_notes import NOTES, note_step
from perdure.runtime.clock import Clock
from perdure.runtime.replies import not_found
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.group_commit import GroupCommit, OpenBatch, unavailable
from perdure.runtime.shard.leases import RETRY_S, Leases
from perdure.runtime.shard.size_warnings import warn_of_size
from perdure.runtime.shard.timers import Timers
from perdure.runtime.supervision import for_ever
from perdure.runtime.visibility import CustomAttributes, visibility_row
from perdure.store.port import (
    NEVER_NS,
    ExecutionRow,
    ExecutionUpdate,
    JournalRow,
    Lease,
    Store,
    StoreError,
)

log = structlog.get_logger(__name__)
T = TypeVar("T")

RETRY_MAX_S = 5.0


class Engine:
    """Owns ranges of the key space and runs the machines in them. Use from one event loop."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        environment_of: Callable[[str], Environment],
        *,
        owner: str,
        deliver: Callable[[ExecutionKey, Effect], None],
        runs_max: int = 4096,
    ) -> None:
        self.clock = clock
        #: What a run may know besides itself, by the id of its namespace.
        self.environment_of = environment_of
        self.store = store
        self._deliver = deliver
        self.leases = Leases(store, owner, clock)
        self._commits = GroupCommit(store, lambda: self.leases.held)
        self.flush = self._commits.flush
        self.cache = ExecutionCache(store, self._commits, clock, self._adopt, runs_max=runs_max)
        self._timers = Timers(clock, self._fire)
        #: Called when memory has been thrown away.
        self.forgot: Callable[[], None] = lambda: None
        #: Called when the lease is ours, before anything is answered. Raises `StoreError`.
        self.prepare: Callable[[], Awaitable[None]] = _nothing_to_prepare
        #: Which search attributes a namespace has.
        self.custom_attributes: CustomAttributes = lambda _: {}
        self._is_serving = False
        self._is_stopping = False
        self._serving = asyncio.Event()
        self._recovering: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    async def start(self) -> None:
        """Claim what is free and serve. Waits while another node holds everything. Raises `StoreError`."""
        waited = False
        while not await self.leases.claim():
            if not waited:
                log.info("waiting for a lease: another node holds the whole key space")
            waited = True
            await asyncio.sleep(RETRY_S)
        await self.prepare()
        self._tasks = [
            for_ever(lambda: self._commits.run(self)),
            for_ever(lambda: self.leases.keep(self._lose_lease)),
            for_ever(lambda: self.cache.look_ahead(self._served)),
            for_ever(self.cache.sweep),
        ]
        self._serve()
        try:
            await self._take_over()
        except Exception as error:
            self._begin_badly(error)

    async def stop(self) -> None:
        """Finish the commits in flight and give the leases back."""
        # First: what goes on by itself would keep commits in flight for ever.
        self._is_serving = False
        self._is_stopping = True
        self._timers.close()
        if self._recovering is not None:
            # It would serve again meanwhile.
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        await self._commits.drain()
        tasks = self._tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await self.leases.release()
        except StoreError as error:
            log.warning("leases not given back", error=str(error))

    def _serve(self) -> None:
        self._is_serving = True
        self._serving.set()

    @property
    def generation(self) -> int:
        """Grows whenever memory is thrown away."""
        return self.cache.generation

    @property
    def is_serving(self) -> bool:
        return self._is_serving

    def _served(self) -> tuple[Lease, ...]:
        return self.leases.held if self._is_serving else ()

    async def _take_over(self) -> None:
        count = await self.cache.take_over(self.leases.held)
        log.info("serving", runs=count)

    async def _lose_lease(self) -> None:
        self._lose_everything([], "another node has taken over")

    def commit_failed(self, batches: list[OpenBatch], error: Exception) -> None:
        """The outcome of a commit is unknown: forget everything, claim again, and read what is true."""
        log.error("commit failed", error=str(error), error_type=type(error).__name__)
        self._lose_everything(batches, f"the store did not take the change: {error}")

    def _lose_everything(self, batches: list[OpenBatch], why: str) -> None:
        self._is_serving = False
        self._serving.clear()
        self.leases.give_up()
        refusal = unavailable(why)
        for batch in [*batches, *self._commits.abandon()]:
            batch.finish(refusal)
        for live in self.cache.forget_all():
            live.notify(everybody=True)
        self.forgot()
        self._timers.replace(())
        is_recovering = self._recovering is not None and not self._recovering.done()
        if not is_recovering and not self._is_stopping:
            self._recovering = asyncio.get_running_loop().create_task(self._recover())

    async def _recover(self) -> None:
        delay_s = RETRY_S
        while True:
            try:
                if await self.leases.claim() and await self._resume(self.generation):
                    return
                delay_s = RETRY_S
            except Exception as error:
                self._begin_badly(error)
                log.warning("this node does not serve yet", retry_in_s=delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            await asyncio.sleep(delay_s)

    async def _resume(self, generation: int) -> bool:
        """Serve again. Return False if everything was lost again meanwhile: nobody else would recover from that."""
        await self.prepare()
        if generation == self.generation:
            self._serve()
            await self._take_over()
        return generation == self.generation

    def _begin_badly(self, error: Exception) -> None:
        """Runs could not be taken over: another try follows, also after a bug. Nobody else would serve them."""
        if isinstance(error, StoreError):
            log.warning("the store is not there yet", error=str(error))
        else:
            log.error("bug: runs were not taken over", exc_info=error)
        self._lose_everything([], f"the store is not there: {error}")

    # Asking

    def key(
        self, namespace_id: str, business_id: str, run_id: str = "", *, archetype: int = WORKFLOW
    ) -> ExecutionKey:
        place = shard_key(namespace_id, business_id)
        return ExecutionKey(place, archetype, namespace_id, business_id, run_id)

    async def find(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the run or None. The caller goes on without waiting, or asks again."""
        self._check_owner(key)
        live = await self.cache.find(key)
        self._check_owner(key)
        return live

    async def get(self, key: ExecutionKey) -> CachedExecution:
        """Return the run; raise `Rejected` if there is none."""
        live = await self.find(key)
        if live is None:
            await self.until_durable(None)  # Another node may have started it since.
            raise not_found(key)
        return live

    async def ask(self, key: ExecutionKey, request: Request[Any]) -> Any:
        """Answer `request` once all that the answer rests on is durable. Raises `Rejected`."""
        live = await self.get(key)
        return await self.answer(live, lambda: self.advance(live, request))

    async def read(self, key: ExecutionKey, look: Callable[[CachedExecution], T]) -> T:
        """Return what `look` makes of the run, as soon as that is durable."""
        live = await self.get(key)
        return await self.answer(live, lambda: look(live))

    async def answer(self, live: CachedExecution | None, decide: Callable[[], T]) -> T:
        """Return (or raise) what `decide` does, once that can be told: it is called at once, and may not wait."""
        try:
            reply = decide()
        except Rejected as refusal:
            if refusal.code is not Code.INTERNAL:  # Else it rests on nothing.
                await self.until_durable(live)
            raise
        await self.until_durable(live)
        if isinstance(reply, Rejected):
            raise reply
        return reply

    async def until_durable(self, live: CachedExecution | None) -> None:
        """Return when everything that is known of `live` is durable, and nobody else can know better."""
        if live is not None and live.batch is not None:
            await live.batch.durable()
        elif not self.leases.is_certain():
            raise unavailable("this node is not certain of its lease")

    def check_serving(self) -> None:
        """Raise `Rejected` while this node owns nothing: a worker that polls it would wait in vain."""
        if not self._is_serving:
            raise unavailable("this node does not serve: it is starting, or has lost the store")

    def _check_owner(self, key: ExecutionKey) -> None:
        self.check_serving()
        if not self.leases.covers(key.shard_key):
            raise unavailable("this node does not own the workflow")

    # Moving runs forward. Nothing below waits.

    def advance(self, live: CachedExecution, request: Request[Any] | Timer) -> Any:
        """Take one step of one run. Raises `Rejected`; the run has not changed then."""
        try:
            outcome = transition(
                live.run,
                request,
                now_ns=self.clock.now_ns(),
                environment=self.environment_of(live.key.namespace_id),
            )
        except Rejected:
            raise
        except Exception as error:
            log.exception(
                "bug: a transition failed; the run is loaded again",
                namespace=live.state.namespace,
                workflow_id=live.key.business_id,
                run_id=live.key.run_id,
                request=type(request).__name__,
                seq=live.seq,
            )
            self.cache.forget(live)
            live.notify(everybody=True)
            # It may have timers, and owe something: nobody else would ask for it.
            self.cache.reload(live.key)
            raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
        live.is_being_evicted = False
        try:
            self._carry_out(live, outcome)
        except Exception as error:
            log.exception("bug: an outcome was not carried out", workflow_id=live.key.business_id)
            # The open batch holds a part of it: nothing of that must be written.
            self._lose_everything([], "internal error")
            raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
        if (notes := NOTES.get()) is not None:
            note_step(notes, live.run, request, is_recorded=outcome.is_recorded)
        return outcome.reply

    def create(self, key: ExecutionKey, run_number: int, start: Start | Rebuild) -> CachedExecution:
        """Begin a new run of a workflow id, which becomes the current one. `start` is not refused."""
        run_number = max(run_number, self.cache.number_kept(key) + 1)
        live = CachedExecution(key, run_number, Run())
        self.cache.add_current(live)
        self.advance(live, start)
        # Not before: a run without a beginning must not be written.
        self._commits.batch().rows.executions.append(ExecutionRow(*key, run_number, 1, 0, b"", 0))
        return live

    async def delete(self, key: ExecutionKey) -> None:
        """Delete a run, or begin to: it goes when what it owes is done. Raises `Rejected` if it is not there."""
        try:
            live = await self.get(key)
        except Rejected as refusal:
            is_unreadable = refusal.code is Code.INTERNAL and self.cache.peek(key) is None
            if not (is_unreadable and key.run_id):
                raise
            # It cannot be read, so nobody knows what it owes; it must not stay for ever for that.
            log.warning("a run that cannot be read is deleted", **key._asdict())
            await self._tombstone(key)
            return
        if live.batch is not None:
            # A run that is not stored yet cannot be deleted: the number that it has taken would be forgotten.
            await live.batch.durable()
            live = await self.get(live.key)
        await self.answer(live, lambda: self.advance(live, Delete()))

    async def _tombstone(self, key: ExecutionKey) -> None:
        batch = self._commits.batch()
        batch.deletes[key.run_id] = key
        self.cache.tombstone(key, batch)
        await batch.durable()

    async def remove_closed(self, keys: list[ExecutionKey]) -> int:
        """Delete runs that are closed, ours, and owe nothing to anybody; return how many are gone, durably.

        Raises `Rejected` or `StoreError`: whatever has become of them, it can be asked for again.
        """
        self.check_serving()
        keys = [key for key in keys if self.leases.covers(key.shard_key)]
        settled = set(await self.cache.removable(keys))
        batch = self._commits.batch()
        gone_count = 0
        for key in keys:
            live = self.cache.peek(key)
            if live is None and key in settled:
                batch.deletes[key.run_id] = key
                self.cache.tombstone(key, batch)
            elif live is not None and not live.state.is_open and live.due_at_ns == NEVER_NS:
                self.advance(live, Delete())
            else:
                continue
            gone_count += 1
        if gone_count:
            await batch.durable()
        return gone_count

    @property
    def rows_written(self) -> int:
        """How many journal rows were written so far: whether others have work for the store, too."""
        return self._commits.rows_written

    def _carry_out(self, live: CachedExecution, outcome: Outcome) -> None:
        for timer in outcome.timers:
            self._timers.ask(live, timer)
        if outcome.is_recorded:
            batch = self._commits.batch()
            self._write(live, batch, outcome)
            if outcome.effects:
                batch.effects.append((live, outcome.effects))
        elif outcome.effects:
            if live.batch is not None:
                live.batch.effects.append((live, outcome.effects))
            else:
                self._send(live, outcome.effects)
        if outcome.new_run is not None:
            assert isinstance(outcome.new_run.start, Start)
            self.create(
                live.key._replace(run_id=outcome.new_run.run_id),
                live.run_number + 1,
                replace(outcome.new_run.start, after_task_id=live.state.last_task_id),
            )

    def _write(self, live: CachedExecution, batch: OpenBatch, outcome: Outcome) -> None:
        is_new = live.seq == 0
        key, state = live.key, live.state
        for row in _rows(live, outcome):
            batch.add(row)
            live.remember(row)
        batch.runs[key.run_id] = live
        live.batch = batch
        warn_of_size(live, outcome, self.environment_of(key.namespace_id).limits)
        is_closing = not state.is_open
        if is_closing or live.due_at_ns or live.needs_snapshot:
            live.due_at_ns = self._closed_due_ns(live) if is_closing else 0
            batch.update(
                ExecutionUpdate(
                    *key,
                    state.status,
                    live.due_at_ns,
                    live.snapped(),
                    live.seq,
                )
            )
        if is_closing or is_new or outcome.shows:
            batch.visibility[key.run_id] = visibility_row(
                state,
                self.custom_attributes,
                shows_external=self.environment_of(
                    key.namespace_id
                ).limits.external_payloads_enabled,
            )
        if deletion.is_due(state):
            batch.deletes[key.run_id] = key
            self.cache.forget(live)

    def _closed_due_ns(self, live: CachedExecution) -> int:
        """Return when a closed run must be in memory: it may owe something to others."""
        now_ns = self.clock.now_ns()
        if has_pending_effects(live.run, now_ns):
            return 0
        return min((each.fire_at_ns for each in pending_timers(live.run, now_ns)), default=NEVER_NS)

    def _adopt(self, live: CachedExecution) -> None:
        """A run came in from the store: ask again for its timers, and deliver again what it owes."""
        now_ns = self.clock.now_ns()
        for timer in pending_timers(live.run, now_ns):
            self._timers.ask(live, timer)
        self._send(live, pending_effects(live.run, now_ns))

    def _fire(self, live: CachedExecution, timer: Timer) -> None:
        if not self._is_serving or not self.cache.is_cached(live):
            return
        with suppress(Rejected):  # A bug, which is logged: the timers of others go on.
            self.advance(live, timer)

    def committed(self, batch: OpenBatch) -> None:
        try:
            self._carry_on(batch)
        except Exception:
            log.exception("bug: what a commit brings about was not done")
            self._lose_everything([], "internal error")

    def _carry_on(self, batch: OpenBatch) -> None:
        if self._is_serving:  # Else whoever serves next owes them.
            for live, effects in batch.effects:
                self._send(live, effects)
        for live in batch.runs.values():
            live.notify()
        self.cache.committed(batch)
        if self._timers.is_overgrown():
            now_ns = self.clock.now_ns()
            self._timers.replace(
                (live, timer)
                for live in self.cache.runs()
                for timer in pending_timers(live.run, now_ns)
            )

    def _send(self, live: CachedExecution, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._deliver(live.key, effect)
            except Exception:
                # Whoever asks next must not wait for ever because of it: commits go on.
                log.exception(
                    "bug: an effect was not delivered",
                    namespace=live.state.namespace,
                    workflow_id=live.key.business_id,
                    run_id=live.key.run_id,
                    effect=type(effect).__name__,
                )


def _rows(live: CachedExecution, outcome: Outcome) -> Iterator[JournalRow]:
    """Yield the rows of one transition, numbered: one, if it is not large."""
    first_event_id = outcome.first_event_id
    parts: Iterable[Part] = ((outcome.event_count, outcome.events, outcome.internal),)
    if len(outcome.events) > PART_BYTES_MAX:
        parts = in_parts(outcome.events, outcome.internal)
    for event_count, events, internal in parts:
        live.seq += 1
        yield JournalRow(
            live.key.shard_key,
            live.key.run_id,
            live.seq,
            first_event_id,
            event_count,
            events,
            internal,
        )
        first_event_id += event_count


async def _nothing_to_prepare() -> None:
    pass
