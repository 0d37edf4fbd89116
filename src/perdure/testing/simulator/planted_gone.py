"""Bugs on purpose in what removes runs and namespaces, and in eager starts; see `planted.py`."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Timer, TimerKind
from perdure.core.workflow import machine
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.records import DeletionRequested
from perdure.runtime.maintenance.namespace_deletion import NamespaceDeletion
from perdure.runtime.maintenance.retention import Retention
from perdure.runtime.namespaces import Namespaces
from perdure.runtime.shard.cache import ExecutionCache
from perdure.store.memory import MemoryStore

Plant = Callable[[], Any]


def _lists_show_what_is_deleted() -> Any:
    original = MemoryStore._delete

    def delete(self: MemoryStore, keys: Sequence[ExecutionKey]) -> None:
        shown = {key.run_id: self._visibility.get(key.run_id) for key in keys}
        original(self, keys)
        self._visibility.update({run_id: row for run_id, row in shown.items() if row is not None})

    return patch.object(MemoryStore, "_delete", delete)


def _journal_of_what_is_deleted_stays() -> Any:
    original = MemoryStore._delete

    def delete(self: MemoryStore, keys: Sequence[ExecutionKey]) -> None:
        journals = {key.run_id: self._journal.get(key.run_id) for key in keys}
        original(self, keys)
        self._journal.update({run_id: rows for run_id, rows in journals.items() if rows})

    return patch.object(MemoryStore, "_delete", delete)


def _numbers_of_deleted_runs_are_used_again() -> Any:
    return patch.object(ExecutionCache, "number_kept", lambda self, key: 0)


def _deletion_is_not_remembered() -> Any:
    """A run with pending effects, when somebody deletes it, stays."""
    return patch.dict(machine.APPLIERS, {DeletionRequested: lambda state, record: None})


def _closed_runs_go_too_early() -> Any:
    return patch.object(Namespaces, "retention_ns", lambda self, namespace_id: 1)


def _closed_runs_stay() -> Any:
    async def sweep(self: Retention) -> int:
        return 0

    return patch.object(Retention, "sweep", sweep)


def _namespace_goes_without_its_runs() -> Any:
    async def empty(self: NamespaceDeletion, *arguments: Any) -> int:
        return 0

    return patch.object(NamespaceDeletion, "_empty", empty)


def _first_task_never_times_out() -> Any:
    """A client that gets it with the answer to a start may lose it."""
    original = machine.TIMERS[TimerKind.WORKFLOW_TASK_TIMEOUT]

    def time_out(step: HistoryStep, timer: Timer) -> None:
        if (timer.event_id, timer.attempt) != (2, 1):
            original(step, timer)

    return patch.dict(machine.TIMERS, {TimerKind.WORKFLOW_TASK_TIMEOUT: time_out})


GONE: dict[str, Plant] = {
    "lists show what is deleted": _lists_show_what_is_deleted,
    "the journal of what is deleted stays": _journal_of_what_is_deleted_stays,
    "numbers of deleted runs are used again": _numbers_of_deleted_runs_are_used_again,
    "the deletion of a run with pending effects is forgotten": _deletion_is_not_remembered,
    "closed runs go too early": _closed_runs_go_too_early,
    "closed runs stay": _closed_runs_stay,
    "a namespace goes without its runs": _namespace_goes_without_its_runs,
    "the task of an eager start never times out": _first_task_never_times_out,
}
