"""Bugs on purpose that keep something from going on, or let a reset rest on what never was; see `planted.py`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.history.v1 import HistoryEvent

from perdure.core.workflow import completion
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.tasks.start import held_back_of
from perdure.runtime.shard import resets
from perdure.runtime.shard.cached import CachedExecution
from perdure.runtime.shard.reset_journals import RunJournal
from perdure.runtime.shard.resets import Resets
from perdure.testing.simulator.planted_control import several

Plant = Callable[[], AbstractContextManager[Any]]
_CONTINUED_AS_NEW = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW


def _nobody_is_woken() -> Any:
    """News that comes while a worker holds the task brings about no other one."""
    original = completion._next_task

    def next_task(step: HistoryStep, request: CompleteWorkflowTask, at_ns: int) -> Any:
        if request.force_new_task or step.in_flight.updates:
            return original(step, request, at_ns)
        step.flush()
        return None

    return patch.object(completion, "_next_task", next_task)


def _reset_goes_round_behind_a_deleted_run() -> Any:
    """It looks for the run that its base went on as, for ever."""
    read, is_complete = Resets._read, Resets._is_complete

    def following(self: Resets, chain: list[Any]) -> str:
        last = self._engine.cache.peek(chain[-1].key)
        goes_on = last is not None and last.execution.state.status == _CONTINUED_AS_NEW
        return last.execution.state.new_run_id if last is not None and goes_on else ""

    async def read_on(self: Resets, chain: list[Any]) -> None:
        await read(self, chain)
        if following(self, chain):
            await self._engine.find(chain[-1].key._replace(run_id=following(self, chain)))

    return several(
        patch.object(resets, "_PASSES_MAX", 10**9),
        patch.object(Resets, "_read", read_on),
        patch.object(
            Resets,
            "_is_complete",
            lambda self, chain: not following(self, chain) and is_complete(self, chain),
        ),
    )


def _reset_takes_over_what_is_not_durable() -> Any:
    """That a worker had begun the task is in the past of the new run, and never was in that of the base run."""
    original = Resets._carry_out

    def carry_out(
        self: Resets, base: CachedExecution, current: Any, chain: list[Any], *more: Any
    ) -> Any:
        for event in held_back_of(base.execution):
            copy = HistoryEvent()
            copy.CopyFrom(event)
            chain[0].prefix.append(copy)
            chain[0].last_event_id += 1
        chain[0].is_whole = True
        base.execution.in_flight.started = None
        return original(self, base, current, chain, *more)

    return patch.object(Resets, "_carry_out", carry_out)


def _reset_forgets_what_comes_while_it_reads() -> Any:
    """The new run has only those signals that a slice has seen."""

    def complete(self: RunJournal, cached: CachedExecution | None) -> bool:
        self.is_whole = True
        return True

    return patch.object(RunJournal, "complete", complete)


STUCK: dict[str, Plant] = {
    "what comes while a worker holds the task wakes nobody": _nobody_is_woken,
    "a reset goes round behind a deleted run": _reset_goes_round_behind_a_deleted_run,
    "a reset takes over what is not durable": _reset_takes_over_what_is_not_durable,
    "a reset forgets what comes while it reads": _reset_forgets_what_comes_while_it_reads,
}
