"""Bugs on purpose that keep something from going on, or let a reset rest on what never was; see `planted.py`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow.handing_out import held_back_of
from perdure.runtime import resets
from perdure.runtime.list_follower import ListFollower
from perdure.runtime.live import LiveRun
from perdure.runtime.resets import Resets
from perdure.runtime.residency import Residency
from perdure.testing.simulator.planted_control import several

Plant = Callable[[], AbstractContextManager[Any]]
_CONTINUED_AS_NEW = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW


def _nobody_is_woken() -> Any:
    """A run that has left memory comes back when somebody asks for it, and not when it is due."""
    original = Residency._load_due

    async def load_due(
        self: Residency, leases: Any, after_ns: int, until_ns: int, generation: int
    ) -> int:
        return 0 if after_ns >= 0 else await original(self, leases, after_ns, until_ns, generation)

    return patch.object(Residency, "_load_due", load_due)


def _reset_goes_round_behind_a_deleted_run() -> Any:
    """It looks for the run that its base went on as, for ever."""
    original = Resets._is_complete

    def is_complete(self: Resets, chain: list[Any]) -> bool:
        last = self._engine.residency.peek(chain[-1].key)
        goes_on = last is not None and last.state.status == _CONTINUED_AS_NEW
        return not goes_on and original(self, chain)

    return several(
        patch.object(resets, "_PASSES_MAX", 10**9),
        patch.object(Resets, "_is_complete", is_complete),
    )


def _reset_takes_over_what_is_not_durable() -> Any:
    """That a worker had begun the task is in the past of the new run, and never was in that of the base run."""
    original = Resets._carry_out

    def carry_out(self: Resets, base: LiveRun, current: Any, chain: list[Any], *more: Any) -> Any:
        for event in held_back_of(base.run):
            copy = HistoryEvent()
            copy.CopyFrom(event)
            chain[0].events.append(copy)
        chain[0].is_whole = True
        base.run.in_flight.started = None
        return original(self, base, current, chain, *more)

    return patch.object(Resets, "_carry_out", carry_out)


def _rows_that_move_count_as_new() -> Any:
    """Lists that have just moved seem to show all of the time before."""

    async def show(self: ListFollower, until_ns: int) -> bool:
        first = await self._store.outbox(1)
        return not first or first[0].written_at_ns == 0 or first[0].written_at_ns > until_ns

    return patch.object(ListFollower, "show", show)


STUCK: dict[str, Plant] = {
    "a run that is due is not woken": _nobody_is_woken,
    "a reset goes round behind a deleted run": _reset_goes_round_behind_a_deleted_run,
    "a reset takes over what is not durable": _reset_takes_over_what_is_not_durable,
    "rows that move count as new": _rows_that_move_count_as_new,
}
