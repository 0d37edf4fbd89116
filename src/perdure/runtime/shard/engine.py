"""Takes requests through transitions and commits to replies and effects.

    request → the execution (from memory or the store) → transition → the open batch → durable → reply and effects

**Invariant:** nobody learns of what is not durable. A reply waits for the batch that holds the execution's latest
transition, also when the request itself recorded nothing: what it answers from may rest on that batch.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

import structlog

from perdure.core.errors import Code, Rejected
from perdure.core.execution.decision import BusinessIdRequest, Decision
from perdure.core.execution.environment import Environment
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect, Outcome, Timer
from perdure.core.execution.request import Request, View
from perdure.runtime.call_notes import NOTES, note_step
from perdure.runtime.clock import Clock
from perdure.runtime.replies import not_found
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cache import ExecutionCache
from perdure.runtime.shard.cached import CachedExecution, Prepared
from perdure.runtime.shard.eviction import Eviction
from perdure.runtime.shard.group_commit import GroupCommit
from perdure.runtime.shard.leases import Leases
from perdure.runtime.shard.loading import Loading
from perdure.runtime.shard.ownership import Ownership
from perdure.runtime.shard.renewal import LoopRenewal, Renewal, ThreadRenewal
from perdure.runtime.shard.timers import Timers
from perdure.runtime.shard.writing import Writing
from perdure.runtime.supervision import for_ever
from perdure.runtime.visibility import CustomAttributes
from perdure.store.port import ExecutionRow, RenewalPath, Store

log = structlog.get_logger(__name__)
R = TypeVar("R")


class Answer(NamedTuple, Generic[R]):
    """The reply to a request or view, and the key of the run that gave it."""

    reply: R
    key: ExecutionKey


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
        custom_attributes: CustomAttributes = lambda _: {},
        executions_max: int = 4096,
        renewal_path: RenewalPath | None = None,
    ) -> None:
        """`environment_of` returns the environment of transitions in the namespace with an id.

        `renewal_path`: a thread renews the leases over it; None: the event loop does, with `store`.
        """
        self.clock = clock
        self.store = store
        self.environment_of = environment_of
        self._deliver = deliver
        self.leases = Leases(store, owner, clock)
        self.renewal: Renewal = (
            ThreadRenewal(renewal_path, clock) if renewal_path else LoopRenewal(store, clock)
        )
        self.commits: GroupCommit[CachedExecution] = GroupCommit(store, lambda: self.leases.held)
        self.cache = ExecutionCache(clock)
        self.timers = Timers(clock, self._fire)
        self.loading = Loading(self.cache, store, clock, self._adopt)
        self.eviction = Eviction(self.cache, self.commits, clock, executions_max)
        self.ownership = Ownership(self.leases, self.cache, self.loading, self.commits, self.timers)
        self.writing = Writing(self.cache, self.commits, clock, environment_of, custom_attributes)
        self._tasks: list[asyncio.Task[None]] = []

    # Life

    async def serve(self) -> None:
        """Claim what is free and answer requests. Waits while another node holds everything. Raises `StoreError`."""
        await self.ownership.claim()
        self._tasks = [
            for_ever(lambda: self.commits.run(self)),
            for_ever(lambda: self.renewal.keep(self.leases, self.ownership.lose_lease)),
            for_ever(lambda: self.loading.look_ahead(self.ownership.served)),
            for_ever(self.eviction.sweep),
        ]
        self.ownership.serve()

    async def take_over(self) -> None:
        """Load what is due, after `serve`; until then timers and tasks of executions may come late."""
        await self.ownership.take_over()

    async def stop(self) -> None:
        """Finish the commits in flight and give the leases back."""
        await self.ownership.stop_serving()
        await self.commits.drain()
        tasks = self._tasks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.ownership.release()

    @property
    def generation(self) -> int:
        """Grows whenever memory is thrown away."""
        return self.cache.generation

    @property
    def is_serving(self) -> bool:
        return self.ownership.is_serving

    @property
    def is_ready(self) -> bool:
        """Whether it serves, and has taken over all that is due."""
        return self.ownership.has_taken_over

    def commit_failed(self, batches: list[OpenBatch[CachedExecution]], error: Exception) -> None:
        """The outcome of a commit is unknown: forget everything, claim again, and read the truth."""
        log.error("commit failed", error=str(error), error_type=type(error).__name__)
        self.ownership.lose_everything(batches, f"the store did not take the change: {error}")

    # Asking

    def _at_hand(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the execution if it is in memory. Raises `Rejected` if this node does not own it."""
        self.ownership.check_owner(key)
        cached = self.cache.peek(key)
        if cached is not None:
            cached.used_at_ns = self.clock.monotonic_ns()
        return cached

    async def find(self, key: ExecutionKey) -> CachedExecution | None:
        """Return the execution or None. The caller goes on without waiting, or asks again."""
        cached = self._at_hand(key)
        if cached is None:
            cached = await self.loading.find(key)
            self.ownership.check_owner(key)
            if cached is not None:
                cached.used_at_ns = self.clock.monotonic_ns()
        return cached

    async def get(self, key: ExecutionKey) -> CachedExecution:
        """Return the execution; raise `Rejected` if there is none."""
        cached = await self.find(key)
        if cached is None:
            await self.until_durable(None)  # Another node may have started it since.
            raise not_found(key)
        return cached

    async def ask(self, key: ExecutionKey, request: Request[R]) -> Answer[R]:
        """Return the answer to `request` once all that it rests on is durable. Raises `Rejected`."""
        if isinstance(request, BusinessIdRequest):
            return await self._ask_business_id(key, request)
        cached = self._at_hand(key) or await self.get(key)
        try:
            reply = self.advance(cached, request)
        except Rejected as refusal:
            if refusal.code is not Code.INTERNAL:  # That one rests on nothing.
                await self.until_durable(cached)
            raise
        await self.until_durable(cached)
        if isinstance(reply, Rejected):
            raise reply
        return Answer(reply, cached.key)

    async def read(self, key: ExecutionKey, view: View[R]) -> Answer[R]:
        """Return what `view` sees of the execution, once that is durable. Raises `Rejected`."""
        cached = self._at_hand(key) or await self.get(key)
        environment = self.environment_of(key.namespace_id)
        try:
            seen = view.look(cached.execution, now_ns=self.clock.now_ns(), environment=environment)
        finally:
            # A refusal rests on the execution, too.
            await self.until_durable(cached)
        return Answer(seen, cached.key)

    async def _ask_business_id(self, key: ExecutionKey, request: BusinessIdRequest[R]) -> Answer[R]:
        """Let the current run of a business id decide, also if there is none; write all of it with one commit."""
        current = answering = await self.find(key)
        try:
            decision = request.decide(
                None if current is None else current.execution,
                now_ns=self.clock.now_ns(),
                environment=self.environment_of(key.namespace_id),
            )
            if decision.begin is not None:
                answering = self._begin_next(key, current, decision)
            assert answering is not None
            reply = decision.reply(
                answering.execution, self._advance_through(answering, decision.after)
            )
        finally:
            # A refusal rests on the current run, too.
            await self.until_durable(answering)
        return Answer(reply, answering.key)

    def _begin_next(
        self, key: ExecutionKey, current: CachedExecution | None, decision: Decision[Any]
    ) -> CachedExecution:
        """Begin the next run of a business id, after the current one has made room for it."""
        assert decision.begin is not None
        number = 0
        if current is not None:
            number = current.run_number
            for request in decision.before:
                self.advance(current, request)
        return self.begin(key._replace(run_id=decision.run_id), number + 1, decision.begin())

    def _advance_through(
        self, cached: CachedExecution, requests: Iterable[Request[Any]]
    ) -> list[object]:
        """Return the replies to `requests`, up to the first refusal, which comes last."""
        replies: list[object] = []
        for request in requests:
            try:
                replies.append(self.advance(cached, request))
            except Rejected as refusal:
                replies.append(refusal)
                break
        return replies

    async def until_durable(self, cached: CachedExecution | None) -> None:
        """Return when all of `cached` is durable, and no other node can have later transitions. Raises `Rejected`."""
        if cached is None or cached.batch is None:
            self.ownership.check_certain()
            return
        # A commit proves that this node owned the range when it was sent, and nothing of later questions.
        was_sent, batch = cached.batch.is_sealed, cached.batch
        await batch.durable()
        if was_sent:
            self.ownership.check_certain()

    # Moving executions forward. Nothing below waits.

    def advance(self, cached: CachedExecution, request: Request[Any] | Timer) -> Any:
        """Take one step of one execution. Raises `Rejected`; the execution has not changed then."""
        cached.story.append((type(request), cached.seq))
        try:
            outcome = cached.archetype.transition(
                cached.execution,
                request,
                now_ns=self.clock.now_ns(),
                environment=self.environment_of(cached.key.namespace_id),
            )
        except Rejected:
            raise
        except Exception as error:
            log.exception(
                "bug: a transition failed; the execution is loaded again", **_story(cached)
            )
            self.cache.forget(cached)
            cached.notify(everybody=True)
            # It may have timers and pending effects, and no request may ever come for it.
            self.loading.reload(cached.key)
            raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
        cached.summary = cached.archetype.summary(cached.execution)
        cached.is_being_evicted = False
        try:
            self._carry_out(cached, outcome)
        except Exception as error:
            log.exception("bug: an outcome was not carried out", **_story(cached))
            # The open batch holds a part of it: nothing of that must be written.
            self.ownership.lose_everything([], "internal error")
            raise Rejected(Code.INTERNAL, f"internal error: {error}") from error
        if (notes := NOTES.get()) is not None:
            note_step(notes, cached.execution, request, is_recorded=outcome.is_recorded)
        return outcome.reply

    def begin(
        self,
        key: ExecutionKey,
        run_number: int,
        start: Request[Any],
        prepared: Prepared | None = None,
    ) -> CachedExecution:
        """Begin a new run of a business id, which becomes the current one. `start` is not refused.

        `prepared`: the rows of earlier requests; with those of `start` they are one transition.
        """
        run_number = max(run_number, self.cache.number_kept(key) + 1)
        if prepared is None:
            cached = CachedExecution(key, run_number)
        else:
            cached = CachedExecution.prepared(key, run_number, prepared)
        self.cache.add_current(cached)
        self.advance(cached, start)
        # Not before: an execution without a beginning must not be written.
        row = ExecutionRow(*key, run_number, cached.summary.status, 0, b"", 0)
        self.commits.batch().rows.executions.append(row)
        return cached

    def _carry_out(self, cached: CachedExecution, outcome: Outcome) -> None:
        for timer in outcome.timers:
            self.timers.ask(cached, timer)
        if outcome.is_recorded:
            batch = self.writing.write(cached, outcome)
            if outcome.effects:
                batch.effects.append((cached, outcome.effects))
        elif outcome.effects:
            if cached.batch is not None:
                cached.batch.effects.append((cached, outcome.effects))
            else:
                self._send(cached, outcome.effects)
        if outcome.new_run is not None:
            self.begin(
                cached.key._replace(run_id=outcome.new_run.run_id),
                cached.run_number + 1,
                outcome.new_run.start,
            )

    def _adopt(self, cached: CachedExecution) -> None:
        """An execution came in from the store: set its timers again, and deliver its pending effects again."""
        now_ns = self.clock.now_ns()
        for timer in cached.archetype.pending_timers(cached.execution, now_ns):
            self.timers.ask(cached, timer)
        self._send(cached, cached.archetype.pending_effects(cached.execution, now_ns))

    def _fire(self, cached: CachedExecution, timer: Timer) -> None:
        if not self.is_serving or not self.cache.is_cached(cached):
            return
        with suppress(Rejected):  # A bug, which is logged: the timers of others go on.
            self.advance(cached, timer)

    def committed(self, batch: OpenBatch[CachedExecution]) -> None:
        """`batch` is durable: deliver its effects, wake followers, let evicted executions go."""
        try:
            self._carry_on(batch)
        except Exception:
            log.exception("bug: the effects of a commit were not delivered")
            self.ownership.lose_everything([], "internal error")

    def _carry_on(self, batch: OpenBatch[CachedExecution]) -> None:
        if self.is_serving:  # If not, the next owner delivers them.
            for cached, effects in batch.effects:
                self._send(cached, effects)
        for cached in batch.executions.values():
            cached.notify()
        self.cache.committed(batch)
        self.eviction.committed(batch)
        if self.timers.is_overgrown():
            now_ns = self.clock.now_ns()
            self.timers.replace(
                (cached, timer)
                for cached in self.cache.executions()
                for timer in cached.archetype.pending_timers(cached.execution, now_ns)
            )

    def _send(self, cached: CachedExecution, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._deliver(cached.key, effect)
            except Exception:
                # Commits go on: the next caller must not wait for ever because of it.
                log.exception(
                    "bug: an effect was not delivered",
                    effect=type(effect).__name__,
                    **_story(cached),
                )


def _story(cached: CachedExecution) -> dict[str, object]:
    """Return the fields of a bug's log line: the execution, and its latest requests."""
    about = cached.archetype.about(cached.execution)
    # An execution whose first step fails does not know its own ids.
    named = {**cached.key._asdict(), **{name: value for name, value in about.items() if value}}
    return {**named, "seq": cached.seq, "story": cached.story_text()}
