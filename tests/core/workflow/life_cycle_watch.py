"""Follow the steps of a run through the tables of `life_cycles.py`: what happens must be in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perdure.core.execution.step import Checkpoint
from perdure.core.workflow import machine
from perdure.core.workflow.completion import CompleteWorkflowTask
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.life_cycles import (
    ANYTHING,
    LIFE_CYCLES,
    NONE,
    RUN_CLOSES,
    Row,
    cause_of,
)
from perdure.core.workflow.records import Record
from perdure.core.workflow.state import Run, RunState
from perdure.core.workflow.tasks.fail import FailWorkflowTask

#: By the name of the life cycle: every row that was seen since the process began.
SEEN: dict[str, set[Row]] = {each.name: set() for each in LIFE_CYCLES}


class _Watch:
    """One step of one run."""

    def __init__(self, run: Run, request: object) -> None:
        self._run, self._request = run, request
        self._was_open = run.state.is_open
        self._first = self._last = self._look()
        self._rows: list[tuple[str, Row]] = []

    def _look(self) -> list[dict[Any, str]]:
        return [dict(each.look(self._run)) for each in LIFE_CYCLES]

    def note(self, cause: str) -> None:
        now = self._look()
        for each, before, after in zip(LIFE_CYCLES, self._last, now, strict=True):
            for item in before.keys() | after.keys():
                row = Row(before.get(item, NONE), cause, after.get(item, NONE))
                if row.before != row.after:
                    self._rows.append((each.name, row))
        self._last = now

    def without_a_record(self) -> None:
        """Note what the request itself has changed, in memory."""
        if self._was_open and not self._run.state.is_open:
            cause = RUN_CLOSES
        elif (
            self._run.in_flight.speculative is None
            and any(state.startswith("speculative") for state in self._last[0].values())
            and not isinstance(self._request, CompleteWorkflowTask | FailWorkflowTask)
        ):
            cause = ANYTHING
        else:
            cause = cause_of(self._request)
        self.note(cause)

    def roll_back(self) -> None:
        self._rows.clear()
        self._last = self._first

    def check(self) -> None:
        tables = {each.name: each.rows for each in LIFE_CYCLES}
        for name, row in self._rows:
            SEEN[name].add(row)
            assert row in tables[name], f"not in the life cycle of a {name}: {row}"


@contextmanager
def watched(run: Run, request: object) -> Iterator[None]:
    """Check what the step in the body does."""
    watch = _Watch(run, request)
    apply, roll_back = machine.apply, HistoryStep.roll_back

    def applied(state: RunState, record: Record) -> None:
        is_live = state is run.state
        if is_live:
            watch.without_a_record()
        apply(state, record)
        if is_live:
            watch.note(cause_of(record))

    def rolled_back(step: HistoryStep, checkpoint: Checkpoint) -> None:
        roll_back(step, checkpoint)
        watch.roll_back()

    try:
        machine.apply, HistoryStep.roll_back = applied, rolled_back  # type: ignore[method-assign]
        yield
    finally:
        machine.apply, HistoryStep.roll_back = apply, roll_back  # type: ignore[method-assign]
    watch.without_a_record()
    watch.check()
