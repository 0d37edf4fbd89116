"""Bugs on purpose: how many worlds notice each? `python -m perdure.testing.simulator.planted [SEEDS] [--write]`.

A simulator that finds nothing is either in front of a server without bugs or blind; this says which. `--write` puts the
table into docs/simulation.md.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from perdure.core.workflow import activities, children, machine, queries, signals, timers
from perdure.core.workflow.outcome import DispatchActivityTask
from perdure.runtime.engine import Engine
from perdure.runtime.errands import Errands
from perdure.runtime.group_commit import GroupCommit, OpenBatch
from perdure.runtime.leases import Leases
from perdure.runtime.residency import Residency
from perdure.runtime.task_queues import TaskQueues
from perdure.store.memory import MemoryStore
from perdure.testing.simulator.simulate import tried

SEEDS = 40
PAGE = Path(__file__).parents[4] / "docs" / "simulation.md"
MARK = "<!-- planted -->"

Plant = Callable[[], Any]


def _store_ignores_epochs() -> Any:
    return patch.object(MemoryStore, "_check", lambda self, leases: None)


def _reply_before_commit() -> Any:
    async def settle(self: Engine, live: object) -> None:
        """Nobody waits."""

    return patch.object(Engine, "settle", settle)


def _cache_survives_a_failed_commit() -> Any:
    def failed(self: Engine, batches: list[OpenBatch], error: Exception) -> None:
        for batch in batches:
            batch.settle(None)

    return patch.object(Engine, "commit_failed", failed)


def _no_effects_after_a_restart() -> Any:
    return patch.object(machine, "owed", lambda run, now_ns: [])


def _no_timers_after_a_restart() -> Any:
    return patch("perdure.runtime.engine.needed_timers", lambda run, now_ns: [])


def _due_too_late() -> Any:
    original = Residency._next_due_ns

    def late(self: Residency, live: Any) -> int:
        due_ns = original(self, live)
        return due_ns + 10**13 if due_ns else 0

    return patch.object(Residency, "_next_due_ns", late)


def _signals_come_twice() -> Any:
    original = signals.signal

    def twice(step: Any, request: Any) -> None:
        step.state.signal_request_ids.discard(request.request_id)
        original(step, request)

    return patch.dict(machine.REQUESTS, {signals.Signal: twice})


def _activity_start_not_refused() -> Any:
    original = activities.start

    def start(step: Any, request: Any) -> Any:
        activity = step.state.activities.get(request.scheduled_event_id)
        if activity is not None:
            activity.started_at_ns = 0
        return original(step, request)

    return patch.dict(machine.REQUESTS, {activities.StartActivity: start})


def _activity_is_given_out_again() -> Any:
    """A started activity is dispatched again after a restart, and may be started again."""

    def owed(state: Any, now_ns: int) -> list[Any]:
        return [
            DispatchActivityTask(each.task_queue, each.scheduled_event_id, each.attempt)
            for each in state.activities.values()
        ]

    @contextmanager
    def both() -> Iterator[None]:
        with patch.object(activities, "owed", owed), _activity_start_not_refused():
            yield

    return both()


def _stale_lease_is_trusted() -> Any:
    return patch.object(Leases, "is_certain", lambda self: True)


def _query_does_not_wait_for_the_task() -> Any:
    def query(step: Any, request: Any) -> None:
        step.send(
            queries._dispatch(step.state, request.query_id, request.query.SerializeToString())
        )

    return patch.dict(machine.REQUESTS, {queries.Query: query})


def _timer_fires_twice() -> Any:
    def fired(state: Any, event: Any) -> None:
        """The timer stays."""

    kind = next(kind for kind, applier in timers.APPLIERS.items() if applier is timers.fired)
    return patch.dict(machine.APPLIERS, {kind: fired})


def _parent_is_not_told() -> Any:
    return patch.object(children, "let_go", lambda step: None)


def _errands_are_not_repeated() -> Any:
    async def run(self: Errands, key: Any, errand: Any, generation: int) -> None:
        try:
            await self._carry_out(key, errand)
        except Exception:
            return

    return patch.object(Errands, "_run", run)


def _task_lost_with_its_poller() -> Any:
    return patch.object(TaskQueues, "give_back", lambda self, name, offer: None)


def _one_batch_overtakes_another() -> Any:
    original = GroupCommit._next

    def last_first(self: GroupCommit) -> OpenBatch | None:
        batch = original(self)
        if batch is not None and len(batch.rows.journal) > 1:
            batch.rows.journal.pop()
        return batch

    return patch.object(GroupCommit, "_next", last_first)


BUGS: dict[str, Plant] = {
    "the store takes commits under an old epoch": _store_ignores_epochs,
    "a reply does not wait for its commit": _reply_before_commit,
    "memory is kept after a failed commit": _cache_survives_a_failed_commit,
    "what a run owes is not delivered after a restart": _no_effects_after_a_restart,
    "timers are not asked for after a restart": _no_timers_after_a_restart,
    "a run is due later than its first timer": _due_too_late,
    "a signal's request id is not remembered": _signals_come_twice,
    "an activity may be started twice": _activity_start_not_refused,
    "a started activity is dispatched again": _activity_is_given_out_again,
    "a lease is trusted for ever": _stale_lease_is_trusted,
    "a query does not wait for the workflow task": _query_does_not_wait_for_the_task,
    "a timer that has fired stays": _timer_fires_twice,
    "a closed child does not tell its parent": _parent_is_not_told,
    "an errand is tried once": _errands_are_not_repeated,
    "a task is lost with the poller that took it": _task_lost_with_its_poller,
    "a commit drops a row": _one_batch_overtakes_another,
}


def notices(bug: str, seed: int) -> bool:
    """Whether the world of this seed ends badly with the bug in it."""
    with BUGS[bug]():
        return bool(tried(seed)[2])


def _count(case: tuple[str, int]) -> tuple[str, bool]:
    return case[0], notices(*case)


def main(arguments: list[str]) -> int:
    seeds = int(next((each for each in arguments if each.isdigit()), SEEDS))
    counts = dict.fromkeys(BUGS, 0)
    with multiprocessing.Pool(os.cpu_count(), maxtasksperchild=8) as pool:
        cases = [(bug, seed) for bug in BUGS for seed in range(seeds)]
        for bug, noticed in pool.imap_unordered(_count, cases):
            counts[bug] += noticed
    lines = [f"| planted bug | noticed by, of {seeds} worlds |", "| --- | --- |"]
    lines += [f"| {bug} | {count} |" for bug, count in counts.items()]
    table = "\n".join(lines)
    print(table)
    if "--write" in arguments:
        before, _, _ = PAGE.read_text().partition(MARK)
        PAGE.write_text(f"{before}{MARK}\n\n{table}\n")
    return 1 if 0 in counts.values() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
