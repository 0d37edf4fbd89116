"""Resets a workflow to one of its workflow tasks: makes the new run in slices, then begins it in one commit."""

import asyncio
from collections.abc import Sequence

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.errors import Rejected, invalid_argument, unavailable
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.lifecycle.close import RESETTER, Terminate
from perdure.core.workflow.lifecycle.reset import NoteReset
from perdure.core.workflow.options_update import UpdateOptions
from perdure.core.workflow.tasks.start import held_back_of
from perdure.core.workflow.versioning import check_override
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.rebuilding import SLICE_EVENTS, Rebuilding, Reset
from perdure.runtime.shard.reset_journals import CONTINUED_AS_NEW, RunJournal

#: How often to read the events that were added during the last reading.
_PASSES_MAX = 100


class Resets:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: See `SLICE_EVENTS`. Simulated worlds have smaller slices.
        self.slice_events = SLICE_EVENTS

    async def reset(self, key: ExecutionKey, reset: Reset) -> str:
        """Return the id of the new run. Raises `Rejected`."""
        engine = self._engine
        base = await engine.get(key)
        current = await engine.find(key._replace(run_id=""))
        known = _known(base, current, reset.request_id)
        if known:
            await engine.until_durable(base)
            await engine.until_durable(current)
            return known
        if (
            not 1
            < reset.event_id
            < base.execution.state.next_event_id + len(held_back_of(base.execution))
        ):
            await engine.until_durable(base)
            raise invalid_argument(
                "Workflow task finish ID must be > 1 && <= workflow last event ID."
            )
        operations = []
        for operation in reset.operations:
            if isinstance(operation, Rejected):
                raise operation
            operations.append(operation)
        for operation in operations:
            if operation.options.HasField("versioning_override"):
                check_override(
                    operation.options.versioning_override, base.execution.state.task_queue
                )
        new = Rebuilding(engine, base, reset)
        chain = [RunJournal(engine, base.key, self.slice_events, new)]
        generation = engine.generation
        for _ in range(_PASSES_MAX):
            await self._read(chain)
            await self._reapply_ahead(chain, new, current or base)
            # Nothing is waited for from here on: all of it is one commit, or nothing.
            engine.cache.check_generation(generation)
            base = await engine.get(base.key)
            current = await engine.find(key._replace(run_id=""))
            known = _known(base, current, reset.request_id)
            if known:
                await engine.until_durable(base)
                await engine.until_durable(current)
                return known
            is_current = engine.cache.peek(base.key) is base
            if is_current and self._is_complete(chain) and self._is_nearly_done(chain, new):
                cached = self._carry_out(base, current, chain, new, operations)
                await engine.until_durable(cached)
                return cached.key.run_id
        raise unavailable("the workflow goes on faster than it is read")

    async def _read(self, chain: list[RunJournal]) -> None:
        """Read the base run and the runs after it. Adds those that it finds to `chain`.

        Temporal: a deleted run, and the runs after it, are unknown.
        """
        for number, journal in enumerate(chain):
            if journal.is_whole:
                continue
            ask = self._engine.find if number else self._engine.get
            cached = await ask(journal.key)
            if cached is None:
                del chain[number:]
                chain[-1].following = ""
                return
            await journal.read(cached)
            if journal.following and journal is chain[-1]:
                following = journal.key._replace(run_id=journal.following)
                chain.append(RunJournal(self._engine, following, self.slice_events))

    async def _reapply_ahead(
        self, chain: list[RunJournal], new: Rebuilding, current: CachedExecution
    ) -> None:
        """Reapply all but the last of many events. Raises `Rejected`."""
        base, since = chain[0], _since(chain)
        base.hand_over()
        if len(since) < new.reapplied_count:
            # The new run has signals of a run that is gone by now. The caller asks again.
            raise unavailable("a run of the workflow was deleted while it was read")
        if not base.has_whole_prefix:
            return
        generation = self._engine.generation
        while len(since) - new.reapplied_count > self.slice_events:
            if not new.is_apart:
                new.check((), ends_a_transition=base.ends_a_transition)
            begun = new.reapplied_count
            new.reapply(since[begun : begun + self.slice_events], current)
            await asyncio.sleep(0)
            self._engine.cache.check_generation(generation)

    def _is_complete(self, chain: list[RunJournal]) -> bool:
        """Whether all that has happened was read."""
        peek = self._engine.cache.peek
        if not all(journal.complete(peek(journal.key)) for journal in chain):
            return False
        last = chain[-1]
        return last.is_whole or _is_at_the_end(peek(last.key))

    def _is_nearly_done(self, chain: list[RunJournal], new: Rebuilding) -> bool:
        """Whether the last step has little to do."""
        return len(_since(chain)) - new.reapplied_count <= 2 * self.slice_events

    def _carry_out(
        self,
        base: CachedExecution,
        current: CachedExecution | None,
        chain: list[RunJournal],
        new: Rebuilding,
        operations: Sequence[UpdateOptions],
    ) -> CachedExecution:
        engine, journal = self._engine, chain[0]
        if not new.is_apart:
            left_count = max(0, new.prefix_length - journal.last_event_id)
            held_back = held_back_of(base.execution)[:left_count]
            new.check((*journal.prefix, *held_back), ends_a_transition=journal.ends_a_transition)
        new.check_task_ids(current or base)
        try:
            engine.advance(base, NoteReset(new.run_id, new.reset.request_id))
            if current is not None and current.execution.state.is_open:
                engine.advance(current, Terminate(new.reset.reason, None, RESETTER))
            # With the events that this has recorded: signals, for one, that came while a worker had the task.
            for each in chain:
                each.add_recorded(engine.cache.peek(each.key))
            latest = current or base
            return new.begin(
                latest.run_number + 1,
                prefix=journal.prefix,
                since=_since(chain)[new.reapplied_count :],
                after_task_id=latest.execution.state.last_task_id,
                operations=operations,
            )
        except Exception:
            # The open batch may hold a part of it: the workflow would have ended, and not go on.
            engine.ownership.lose_everything([], "internal error")
            raise


def _since(chain: list[RunJournal]) -> list[HistoryEvent]:
    """Return the events after the prefix that may be reapplied, in their order."""
    return [event for journal in chain for event in journal.since]


def _is_at_the_end(cached: CachedExecution | None) -> bool:
    """Return whether this run has not gone on as another one."""
    return cached is not None and cached.summary.status != CONTINUED_AS_NEW


def _known(base: CachedExecution, current: CachedExecution | None, request_id: str) -> str:
    """Return the id of the run that an earlier call with this request id has made; "" if there is none.

    Temporal: only if it is the current run, so a request that comes again after another one makes one more run.
    """
    known: str = base.execution.state.resets.get(request_id, "")
    if known or current is None:
        return known
    state = current.execution.state
    is_known = request_id in (state.reset_request_id, state.start_request_id)
    return current.key.run_id if is_known else ""
