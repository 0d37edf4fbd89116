"""Makes the new run of a reset step by step, off to the side: nobody knows of it, and nothing of it is written yet.

A history of 50,000 events takes a third of a second to take over. In one step nobody else would be answered meanwhile.
The steps may be taken over any time, since what they rest on is durable and does not change; the last one is the
engine's: it makes all of them one transition, in one commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent

from perdure.core.archetypes import ARCHETYPES
from perdure.core.errors import Rejected, invalid_argument, unavailable
from perdure.core.workflow.lifecycle.reset import Rebuild, RebuildUntil
from perdure.core.workflow.lifecycle.reset_prefix import Prefix
from perdure.core.workflow.options_update import UpdateOptions
from perdure.core.workflow.state import RunState
from perdure.runtime.shard.cached import CachedExecution, Prepared
from perdure.runtime.shard.engine import Engine

#: A step takes over so many events; the loop is free for others between two steps.
SLICE_EVENTS = 256
#: So far ahead of the current run are the task ids of a new run that is begun before the current one has ended.
TASK_IDS_AHEAD = 2**20


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


class Rebuilding:
    """Use it from one task, and throw it away when the generation of the engine changes."""

    def __init__(self, engine: Engine, base: CachedExecution, reset: Reset) -> None:
        self._engine = engine
        self._base_key = base.key
        self._state: RunState = base.execution.state
        self.reset = reset
        self.run_id = engine.environment_of(base.key.namespace_id).fresh_id()
        self._archetype = ARCHETYPES[base.key.archetype]
        self._execution = self._archetype.new()
        self._rows: list[tuple[int, bytes, bytes]] = []
        self._prefix = Prefix()
        #: How many of the events after the prefix are reapplied.
        self.reapplied_count = 0
        #: The task ids of the new run come after this; 0 while it shares all it has with its base.
        self._after_task_id = 0

    @property
    def prefix_length(self) -> int:
        return self.reset.event_id - 1

    def take_over(self, events: Sequence[HistoryEvent]) -> None:
        """Take over the events of the prefix that follow."""
        self._advance(self._request(RebuildUntil.PREFIX, prefix=tuple(events)))
        self._prefix.add(events)

    def check(self, rest: Sequence[HistoryEvent], *, ends_a_transition: bool) -> None:
        """Raise `Rejected` if a run cannot go on after the prefix, the `rest` of which is not taken over yet."""
        prefix = self._prefix.copy()
        prefix.add(rest)
        prefix.check(ends_a_transition=ends_a_transition)
        limits = self._engine.environment_of(self._base_key.namespace_id).limits
        if not limits.resets_with_pending_children and prefix.has_pending_children:
            raise invalid_argument("WorkflowResetter encountered pending child workflows.")

    @property
    def is_apart(self) -> bool:
        return self._after_task_id > 0

    def reapply(self, since: Sequence[HistoryEvent], current: CachedExecution) -> None:
        """Reapply some of the events after the prefix, all of which is taken over and checked."""
        if not self.is_apart:
            self._after_task_id = current.execution.state.last_task_id + TASK_IDS_AHEAD
        self._advance(
            self._request(RebuildUntil.SINCE, since=tuple(since), after_task_id=self._after_task_id)
        )
        self.reapplied_count += len(since)

    def check_task_ids(self, current: CachedExecution) -> None:
        """Raise `Rejected` if the current run comes too near the task ids that the new run has."""
        if self.is_apart and (
            current.execution.state.last_task_id + TASK_IDS_AHEAD // 2 > self._after_task_id
        ):
            raise unavailable("the workflow goes on faster than it is read")

    def begin(
        self,
        run_number: int,
        *,
        prefix: Sequence[HistoryEvent],
        since: Sequence[HistoryEvent],
        after_task_id: int,
        operations: Sequence[UpdateOptions],
    ) -> CachedExecution:
        """Take the last step, with all that earlier ones left over: the new run is in the open batch, whole."""
        request = self._request(
            RebuildUntil.END,
            prefix=tuple(prefix),
            since=tuple(since),
            after_task_id=after_task_id,
            operations=tuple(operations),
        )
        key = self._base_key._replace(run_id=self.run_id)
        return self._engine.begin(key, run_number, request, Prepared(self._execution, self._rows))

    def _request(
        self,
        until: RebuildUntil,
        *,
        prefix: tuple[HistoryEvent, ...] = (),
        since: tuple[HistoryEvent, ...] = (),
        after_task_id: int = 0,
        operations: tuple[UpdateOptions, ...] = (),
    ) -> Rebuild:
        state = self._state
        return Rebuild(
            namespace_id=state.namespace_id,
            namespace=state.namespace,
            workflow_id=state.workflow_id,
            run_id=self.run_id,
            base_run_id=self._base_key.run_id,
            earlier_run_ids=tuple(state.base_run_ids),
            prefix=prefix,
            since=since,
            excluded=self.reset.excluded,
            start_request_id=state.start_request_id,
            request_id=self.reset.request_id,
            reason=self.reset.reason,
            after_task_id=after_task_id,
            operations=operations,
            until=until,
            last_started_event_id=self._prefix.last_started_event_id,
            taken_over_bytes=self._prefix.size_bytes,
        )

    def _advance(self, request: Rebuild) -> None:
        # Its timers and effects are those that the last step finds in the state.
        outcome = self._archetype.transition(
            self._execution,
            request,
            now_ns=self._engine.clock.now_ns(),
            environment=self._engine.environment_of(self._base_key.namespace_id),
        )
        self._rows += self._archetype.rows(outcome)
