"""Resets a workflow to one of its workflow tasks: reads its journal, then begins the new run in one step."""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.errors import Rejected, invalid_argument, unavailable
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.lifecycle.close import RESETTER, Terminate
from perdure.core.workflow.lifecycle.reset import (
    NoteReset,
    Rebuild,
    check_prefix,
    has_pending_children,
)
from perdure.core.workflow.options_update import UpdateOptions
from perdure.core.workflow.tasks.start import held_back_of
from perdure.core.workflow.versioning import check_override
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.journal import journal_rows

_CONTINUED_AS_NEW = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
_ROWS_AT_ONCE = 256
#: How often to read the events that were added during the last reading.
_PASSES_MAX = 100


@dataclass(frozen=True, slots=True)
class Reset:
    #: The first event that the new run does not share with the base run.
    event_id: int
    reason: str
    request_id: str
    #: `ResetReapplyExcludeType`s of the events that are not reapplied.
    excluded: frozenset[int]
    #: Requests to the new run once events are reapplied; a refusal is raised if the base run is there.
    operations: Sequence[UpdateOptions | Rejected] = ()


class _Journal:
    """The events of one run, read as far as they are known; what is added meanwhile is in memory."""

    def __init__(self, engine: Engine, key: ExecutionKey) -> None:
        self.key = key
        self._engine = engine
        self._after_seq = 0
        self.events: list[HistoryEvent] = []
        #: The last event of each transition.
        self._ends: set[int] = set()
        #: The run is closed, and all of it was read: it need not be in memory any more.
        self.is_whole = False
        #: The run as which it went on by itself, if that is there.
        self.following = ""

    async def read(self, cached: CachedExecution) -> None:
        """Read all that is stored. Raises `Rejected`."""
        was_open, status, following = (
            cached.execution.state.is_open,
            cached.execution.state.status,
            cached.execution.state.new_run_id,
        )
        await self._engine.until_durable(cached)
        while True:
            rows = await journal_rows(
                self._engine.store, self.key, after_seq=self._after_seq, limit=_ROWS_AT_ONCE
            )
            for row in rows:
                self._after_seq = row.seq
                self._add(row.first_event_id, row.events)
            if len(rows) < _ROWS_AT_ONCE:
                break
        # Some of it is missing if the run was deleted meanwhile.
        self.is_whole = not was_open and self._has_all_of(cached)
        if status == _CONTINUED_AS_NEW:
            self.following = following

    def _add(self, first_event_id: int, events: bytes) -> None:
        if first_event_id <= len(self.events):
            return
        self.events += History.FromString(events).events
        self._ends.add(len(self.events))

    def complete(self, cached: CachedExecution | None) -> list[HistoryEvent] | None:
        """Return all events until now; None if so many were added since that more must be read."""
        if self.is_whole:
            return self.events
        if cached is None:
            return None
        for first_event_id, _, events in cached.tail:
            if first_event_id <= len(self.events) + 1:
                self._add(first_event_id, events)
        return self.events if self._has_all_of(cached) else None

    def _has_all_of(self, cached: CachedExecution) -> bool:
        return len(self.events) == cached.summary.next_event_id - 1

    def ends_a_transition(self, event_id: int) -> bool:
        return event_id in self._ends


class Resets:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
        chain = [_Journal(engine, base.key)]
        generation = engine.generation
        for _ in range(_PASSES_MAX):
            await self._read(chain)
            # Nothing is waited for from here on: all of it is one commit, or nothing.
            if generation != engine.generation:
                # Some of what was read from memory may never have been durable.
                raise unavailable("this node has lost its lease meanwhile")
            base = await engine.get(base.key)
            current = await engine.find(key._replace(run_id=""))
            known = _known(base, current, reset.request_id)
            if known:
                await engine.until_durable(base)
                await engine.until_durable(current)
                return known
            is_current = engine.cache.peek(base.key) is base
            if is_current and self._is_complete(chain):
                cached = self._carry_out(base, current, chain, reset, operations)
                await engine.until_durable(cached)
                return cached.key.run_id
        raise unavailable("the workflow goes on faster than it is read")

    async def _read(self, chain: list[_Journal]) -> None:
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
                chain.append(_Journal(self._engine, journal.key._replace(run_id=journal.following)))

    def _is_complete(self, chain: list[_Journal]) -> bool:
        """Whether all that has happened was read."""
        peek = self._engine.cache.peek
        if any(journal.complete(peek(journal.key)) is None for journal in chain):
            return False
        last = chain[-1]
        return last.is_whole or _is_at_the_end(peek(last.key))

    def _carry_out(
        self,
        base: CachedExecution,
        current: CachedExecution | None,
        chain: list[_Journal],
        reset: Reset,
        operations: Sequence[UpdateOptions],
    ) -> CachedExecution:
        journal, length = chain[0], reset.event_id - 1
        prefix = [*journal.events, *held_back_of(base.execution)][:length]
        check_prefix(prefix, ends_a_transition=journal.ends_a_transition(length))
        engine, state = self._engine, base.execution.state
        environment = engine.environment_of(base.key.namespace_id)
        run_id, limits = environment.fresh_id(), environment.limits
        if not limits.resets_with_pending_children and has_pending_children(prefix):
            raise invalid_argument("WorkflowResetter encountered pending child workflows.")
        engine.advance(base, NoteReset(run_id, reset.request_id))
        run_number = base.run_number
        if current is not None:
            run_number = current.run_number
            if current.execution.state.is_open:
                engine.advance(current, Terminate(reset.reason, None, RESETTER))
        # With the events that this has recorded: signals, for one, that came while a worker had the task.
        events = [event for each in chain for event in self._all_of(each)]
        return engine.begin(
            base.key._replace(run_id=run_id),
            run_number + 1,
            Rebuild(
                namespace_id=state.namespace_id,
                namespace=state.namespace,
                workflow_id=state.workflow_id,
                run_id=run_id,
                base_run_id=base.key.run_id,
                earlier_run_ids=tuple(state.base_run_ids),
                prefix=tuple(events[:length]),
                since=tuple(events[length:]),
                excluded=reset.excluded,
                start_request_id=state.start_request_id,
                request_id=reset.request_id,
                reason=reset.reason,
                after_task_id=(current or base).execution.state.last_task_id,
                operations=tuple(operations),
            ),
        )

    def _all_of(self, journal: _Journal) -> list[HistoryEvent]:
        events = journal.complete(self._engine.cache.peek(journal.key))
        assert events is not None, "what was complete a moment ago"
        return events


def _is_at_the_end(cached: CachedExecution | None) -> bool:
    """Return whether this run has not gone on as another one."""
    return cached is not None and cached.summary.status != _CONTINUED_AS_NEW


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
