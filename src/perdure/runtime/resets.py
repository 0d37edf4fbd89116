"""Take a workflow back to one of its workflow tasks: read what happened, then begin the new run in one step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import History, HistoryEvent

from perdure.core.errors import invalid_argument
from perdure.core.workflow.execution import RESETTER, Terminate
from perdure.core.workflow.handing_out import held_back_of
from perdure.core.workflow.options import UpdateOptions
from perdure.core.workflow.resetting import NoteReset, Rebuild, check_prefix
from perdure.core.workflow.versioning import check_override
from perdure.runtime.engine import Engine
from perdure.runtime.journal import journal_rows
from perdure.runtime.live import LiveRun
from perdure.store.port import RunKey

_CONTINUED_AS_NEW = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Reset:
    #: The first event that the new run does not share with the base run.
    event_id: int
    reason: str
    request_id: str
    #: `ResetReapplyExcludeType`s of what is not applied again.
    excluded: frozenset[int]
    #: Gives what is made to the new run, once it has what is applied again. Raises `Rejected`.
    operations: Callable[[], Sequence[UpdateOptions]] = tuple


class _Journal:
    """The events of one run, read as far as they are known; what is added meanwhile is in memory."""

    def __init__(self, engine: Engine, key: RunKey) -> None:
        self.key = key
        self._engine = engine
        self._after_seq = 0
        self.events: list[HistoryEvent] = []
        #: The last event of each transition.
        self._ends: set[int] = set()

    async def read(self) -> None:
        """Read all that is stored. Raises `Rejected`."""
        while True:
            rows = await journal_rows(
                self._engine.store, self.key, after_seq=self._after_seq, limit=_ROWS_AT_ONCE
            )
            for row in rows:
                self._after_seq = row.seq
                self._add(row.first_event_id, row.events)
            if len(rows) < _ROWS_AT_ONCE:
                return

    def _add(self, first_event_id: int, events: bytes) -> None:
        if first_event_id <= len(self.events):
            return
        self.events += History.FromString(events).events
        self._ends.add(len(self.events))

    def complete(self, live: LiveRun) -> list[HistoryEvent] | None:
        """Return all events until now; None if so many were added since that more must be read."""
        for first_event_id, _, events in live.tail:
            if first_event_id <= len(self.events) + 1:
                self._add(first_event_id, events)
        return self.events if len(self.events) == live.state.next_event_id - 1 else None

    def ends_a_transition(self, event_id: int) -> bool:
        return event_id in self._ends


class Resets:
    def __init__(self, engine: Engine, fresh_id: Callable[[], str]) -> None:
        self._engine = engine
        self._fresh_id = fresh_id

    async def reset(self, key: RunKey, reset: Reset) -> str:
        """Return the id of the new run. Raises `Rejected`."""
        engine = self._engine
        base = await engine.get(key)
        current = await engine.find(key._replace(run_id=""))
        known = _known(current, reset.request_id)
        if known:
            await engine.settle(current)
            return known
        if not 1 < reset.event_id < base.state.next_event_id + len(held_back_of(base.run)):
            await engine.settle(base)
            raise invalid_argument(
                "Workflow task finish ID must be > 1 && <= workflow last event ID."
            )
        operations = reset.operations()
        for operation in operations:
            if operation.options.HasField("versioning_override"):
                check_override(operation.options.versioning_override, base.state.task_queue)
        chain = [_Journal(engine, base.key)]
        while True:
            await self._read(chain)
            # Nothing is waited for from here on: all of it is one commit, or nothing.
            base = await engine.get(base.key)
            current = await engine.find(key._replace(run_id=""))
            known = _known(current, reset.request_id)
            if known:
                await engine.settle(current)
                return known
            if self._is_complete(chain):
                live = self._carry_out(base, current, chain, reset, operations)
                await engine.settle(live)
                return live.key.run_id

    async def _read(self, chain: list[_Journal]) -> None:
        """Read the base run and those that it went on as. Adds to `chain` what is found."""
        for number, journal in enumerate(chain):
            live = await self._engine.find(journal.key)
            if live is None:
                del chain[number:]
                return
            await self._engine.settle(live)
            await journal.read()
            following = live.state.new_run_id
            went_on = live.state.status == _CONTINUED_AS_NEW
            if went_on and following and number == len(chain) - 1:
                chain.append(_Journal(self._engine, journal.key._replace(run_id=following)))

    def _is_complete(self, chain: list[_Journal]) -> bool:
        """Whether all that has happened was read."""
        for journal in chain:
            live = self._engine.residency.peek(journal.key)
            if live is None or journal.complete(live) is None:
                return False
        return live is None or live.state.status != _CONTINUED_AS_NEW

    def _carry_out(
        self,
        base: LiveRun,
        current: LiveRun | None,
        chain: list[_Journal],
        reset: Reset,
        operations: Sequence[UpdateOptions],
    ) -> LiveRun:
        journal, length = chain[0], reset.event_id - 1
        prefix = [*journal.events, *held_back_of(base.run)][:length]
        check_prefix(prefix, ends_a_transition=journal.ends_a_transition(length))
        engine, state, run_id = self._engine, base.state, self._fresh_id()
        engine.advance(base, NoteReset(run_id))
        run_number = base.run_number
        if current is not None:
            run_number = current.run_number
            if current.state.is_open:
                engine.advance(current, Terminate(reset.reason, None, RESETTER))
        # With what that has recorded: signals, for one, that came while a worker held the task.
        events = [event for each in chain for event in self._all_of(each)]
        return engine.create(
            base.key._replace(run_id=run_id),
            run_number + 1,
            Rebuild(
                namespace_id=state.namespace_id,
                namespace=state.namespace,
                workflow_id=state.workflow_id,
                run_id=run_id,
                base_run_id=base.key.run_id,
                earlier_run_ids=tuple(state.base_run_ids),
                prefix=events[:length],
                since=events[length:],
                excluded=reset.excluded,
                start_request_id=state.start_request_id,
                request_id=reset.request_id,
                reason=reset.reason,
                operations=operations,
            ),
        )

    def _all_of(self, journal: _Journal) -> list[HistoryEvent]:
        live = self._engine.residency.peek(journal.key)
        events = journal.complete(live) if live is not None else None
        assert events is not None, "what was complete a moment ago"
        return events


def _known(current: LiveRun | None, request_id: str) -> str:
    """Return the current run if this very request has made it."""
    if current is None:
        return ""
    state = current.state
    is_known = request_id in (state.reset_request_id, state.start_request_id)
    return current.key.run_id if is_known else ""
