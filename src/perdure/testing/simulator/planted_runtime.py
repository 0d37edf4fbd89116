"""Bugs on purpose in the engine, in how it commits and reloads, and in the store; see `planted.py`."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from temporalio.api.enums.v1 import EventType

from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.workflow import (
    children,
    concepts,
    machine,
    queries,
    signals,
    timers,
)
from perdure.core.workflow.activities import attempts
from perdure.core.workflow.effects import DispatchActivityTask
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle import next_run, start_policy
from perdure.runtime.delivery.queries import Queries
from perdure.runtime.delivery.requests import OutgoingRequests
from perdure.runtime.matching.task_queues import WORKFLOW_QUEUE, QueueName, TaskQueues
from perdure.runtime.shard.batch import OpenBatch
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.eviction import Eviction
from perdure.runtime.shard.group_commit import GroupCommit
from perdure.runtime.shard.leases import Leases
from perdure.runtime.shard.ownership import Ownership
from perdure.store.memory import MemoryStore
from perdure.store.port import Batch

Plant = Callable[[], Any]


def _store_ignores_epochs() -> Any:
    original = MemoryStore.commit

    async def commit(self: MemoryStore, batch: Batch) -> None:
        batch.leases = tuple(self._leases)
        await original(self, batch)

    return patch.object(MemoryStore, "commit", commit)


def _reply_before_commit() -> Any:
    async def until_durable(self: Engine, live: object) -> None:
        """Nobody waits."""

    return patch.object(Engine, "until_durable", until_durable)


def _cache_survives_a_failed_commit() -> Any:
    def failed(self: Engine, batches: list[OpenBatch[CachedExecution]], error: Exception) -> None:
        for batch in batches:
            batch.finish(None)

    return patch.object(Engine, "commit_failed", failed)


def _no_effects_after_a_restart() -> Any:
    def adopt(self: Engine, live: CachedExecution) -> None:
        for timer in machine.pending_timers(live.execution, self.clock.now_ns()):
            self.timers.ask(live, timer)

    return patch.object(Engine, "_adopt", adopt)


def _no_timers_after_a_restart() -> Any:
    def adopt(self: Engine, live: CachedExecution) -> None:
        self._send(live, machine.pending_effects(live.execution, self.clock.now_ns()))

    return patch.object(Engine, "_adopt", adopt)


def _due_too_late() -> Any:
    original = Eviction._next_due_ns

    def late(self: Eviction, live: Any) -> int:
        due_ns = original(self, live)
        return due_ns + 10**13 if due_ns else 0

    return patch.object(Eviction, "_next_due_ns", late)


def _signals_come_twice() -> Any:
    original = signals.signal

    def twice(step: Any, request: Any) -> None:
        step.state.signals.pop(request.request_id, None)
        original(step, request)

    return patch.dict(machine.REQUESTS, {signals.Signal: twice})


def _activity_start_not_refused() -> Any:
    original = attempts.start

    def start(step: Any, request: Any) -> Any:
        activity = step.state.activities.get(request.scheduled_event_id)
        if activity is not None:
            activity.started_at_ns = 0
        return original(step, request)

    return patch.dict(machine.REQUESTS, {attempts.StartActivity: start})


def _activity_is_given_out_again() -> Any:
    """A started activity is dispatched again after a restart, and may be started again."""

    def pending_effects(run: Any, now_ns: int) -> list[Any]:
        return [
            DispatchActivityTask(each.task_queue, each.scheduled_event_id, each.attempt)
            for each in run.state.activities.values()
        ]

    @contextmanager
    def both() -> Iterator[None]:
        with (
            patch.dict(concepts.RULES.pending_effects_of, {attempts.CONCEPT.name: pending_effects}),
            _activity_start_not_refused(),
        ):
            yield

    return both()


def _stale_lease_is_trusted() -> Any:
    return patch.object(Leases, "is_certain", lambda self: True)


def _query_does_not_wait_for_the_task() -> Any:
    def query(step: Any, request: Any) -> None:
        step.emit(
            queries._dispatch(step.state, request.query_id, request.query.SerializeToString())
        )

    return patch.dict(machine.REQUESTS, {queries.Query: query})


def _stale_timer_is_not_recognised() -> Any:
    """It is known by nothing but its kind: the one that was set again under the same id fires in its place."""

    def fire(step: Any, timer: Timer) -> None:
        running = list(step.state.timers.values())
        if running:
            event_id, fire_at_ns = running[0].started_event_id, running[0].fire_at_ns
            timers.fire(step, timer._replace(event_id=event_id, fire_at_ns=fire_at_ns))

    return patch.dict(machine.TIMERS, {TimerKind.USER_TIMER: fire})


def _timer_fires_twice() -> Any:
    def fired(state: Any, event: Any) -> None:
        """The timer stays."""

    return patch.dict(machine.APPLIERS, {EventType.EVENT_TYPE_TIMER_FIRED: fired})


def _activity_start_is_not_persisted() -> Any:
    original = machine.transition

    def unrecorded(run: Any, request: Any, **others: Any) -> Any:
        outcome = original(run, request, **others)
        if isinstance(request, attempts.StartActivity):
            outcome.events = outcome.internal = b""
        return outcome

    return patch("perdure.core.workflow.machine.transition", unrecorded)


def _buffered_events_are_lost() -> Any:
    """A flush keeps the first only."""
    original = HistoryStep.flush

    def flush(self: HistoryStep) -> bool:
        del self.state.buffered[1:]
        return original(self)

    return patch.object(HistoryStep, "flush", flush)


def _starts_come_twice() -> Any:
    """A retried start is not recognised by its request id."""
    original = start_policy.decide

    def decide(current: Any, *, request_id: str, **others: Any) -> Any:
        return original(current, request_id="", **others)

    return patch("perdure.core.workflow.start_workflow.decide", decide)


def _sticky_queue_has_no_fallback() -> Any:
    """A task waits for the worker that had the run in its cache, for ever."""

    def offer(self: TaskQueues, namespace_id: str, sticky_queue: str, task_queue: str) -> Any:
        name = sticky_queue or task_queue
        return self._queue(QueueName(namespace_id, name, WORKFLOW_QUEUE))

    @contextmanager
    def both() -> Iterator[None]:
        stays = {TimerKind.STICKY_SCHEDULE_TO_START: lambda step, timer: None}
        with (
            patch.object(TaskQueues, "_served_or_normal", offer),
            patch.dict(machine.TIMERS, stays),
        ):
            yield

    return both()


def _commits_go_on_after_a_failure() -> Any:
    """The batches that waited behind a failed one are written all the same."""
    return patch.object(GroupCommit, "abandon", lambda self: [])


def _serves_without_a_lease() -> Any:
    """As a server did here once: a recovery that is overtaken by another loss ends in serving without a lease."""

    async def resume(self: Ownership, generation: int) -> bool:
        await self.prepare()
        self.is_serving = True
        await self._take_over()
        return True

    return patch.object(Ownership, "_resume", resume)


def _queries_see_what_is_not_durable() -> Any:
    original = Queries._task

    async def task(self: Queries, offer: Any) -> Any:
        async def at_once(live: object) -> None:
            """Nobody waits."""

        with patch.object(self._executions._engine, "until_durable", at_once):
            return await original(self, offer)

    return patch.object(Queries, "_task", task)


def _nobody_hears_of_the_end() -> Any:
    return patch.dict(concepts.RULES.on_close, {children.CONCEPT.name: lambda step: None})


def _requests_are_not_repeated() -> Any:
    async def run(self: OutgoingRequests, key: Any, outgoing: Any, generation: int) -> None:
        with suppress(Exception):
            await self._carry_out(key, outgoing)

    return patch.object(OutgoingRequests, "_run", run)


def _parent_hears_of_a_run_that_goes_on() -> Any:
    original = children.effects_of

    def effects_of(state: Any) -> list[Any]:
        goes_on, state.new_run_id = state.new_run_id, ""
        try:
            return original(state)
        finally:
            state.new_run_id = goes_on

    return patch.object(children, "effects_of", effects_of)


def _next_run_comes_in_a_later_commit() -> Any:
    original = Engine._carry_out

    def carry_out(self: Engine, live: CachedExecution, outcome: Any) -> None:
        new_run, outcome.new_run = outcome.new_run, None
        original(self, live, outcome)
        if new_run is not None:
            key = live.key._replace(run_id=new_run.run_id)

            def create() -> None:
                with suppress(Exception):
                    self.begin(key, live.run_number + 1, new_run.start)

            asyncio.get_running_loop().call_later(0.2, create)

    return patch.object(Engine, "_carry_out", carry_out)


def _retries_for_ever() -> Any:
    """The attempt is not counted."""
    original = next_run.inherited

    def inherited(*arguments: Any) -> Any:
        new = original(*arguments)
        new.attempt = 1
        return new

    return patch.object(next_run, "inherited", inherited)


def _task_lost_with_its_poller() -> Any:
    return patch.object(TaskQueues, "requeue", lambda self, name, task: None)


def _a_commit_drops_a_row() -> Any:
    original = GroupCommit._next

    def shorter(self: GroupCommit[CachedExecution]) -> OpenBatch[CachedExecution] | None:
        batch = original(self)
        if batch is not None and len(batch.rows.journal) > 1:
            batch.rows.journal.pop()
        return batch

    return patch.object(GroupCommit, "_next", shorter)


RUNTIME: dict[str, Plant] = {
    "the store takes commits under an old epoch": _store_ignores_epochs,
    "a reply does not wait for its commit": _reply_before_commit,
    "memory is kept after a failed commit": _cache_survives_a_failed_commit,
    "a commit drops a row": _a_commit_drops_a_row,
    "pending effects are not delivered after a restart": _no_effects_after_a_restart,
    "timers are not asked for after a restart": _no_timers_after_a_restart,
    "a run is due later than its first timer": _due_too_late,
    "a start's request id is not looked at": _starts_come_twice,
    "a signal's request id is not remembered": _signals_come_twice,
    "buffered events are lost": _buffered_events_are_lost,
    "an activity's start is not persisted": _activity_start_is_not_persisted,
    "a started activity is dispatched again": _activity_is_given_out_again,
    "a timer that has fired stays": _timer_fires_twice,
    "a stale timer is not recognised": _stale_timer_is_not_recognised,
    "a sticky queue has no fallback": _sticky_queue_has_no_fallback,
    "a query does not wait for the workflow task": _query_does_not_wait_for_the_task,
    "a closed run tells neither parent nor children": _nobody_hears_of_the_end,
    "the parent hears of a run that goes on": _parent_hears_of_a_run_that_goes_on,
    "the next run comes in a later commit": _next_run_comes_in_a_later_commit,
    "attempts of a run are not counted": _retries_for_ever,
}

#: Behind each of these stands a second defence.
RARELY_NOTICED: dict[str, Plant] = {
    "a lease is trusted for ever": _stale_lease_is_trusted,
    "commits go on after one that failed": _commits_go_on_after_a_failure,
    "a node serves without a lease": _serves_without_a_lease,
    "a query's history is not durable": _queries_see_what_is_not_durable,
    "a request to another execution is tried once": _requests_are_not_repeated,
    "a task is lost with the poller that took it": _task_lost_with_its_poller,
}
