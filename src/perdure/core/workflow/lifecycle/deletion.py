"""The run is to be forgotten: with its history, and with what lists show of it.

An open run is terminated first, and a closed run first sends what its parent and its children still wait for: nobody
else must notice that it is gone. Then all its rows go at once, so there is no run that is deleted in part.
"""

from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Delete
from perdure.core.workflow import children
from perdure.core.workflow.events import HISTORY_SERVICE
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.close import record_terminated
from perdure.core.workflow.records import DeletionRequested
from perdure.core.workflow.state import Run, RunState

#: Temporal: what a parent reads of a child that was open when it was deleted.
_REASON = "Delete workflow execution"

# What can be asked


def delete(step: HistoryStep, request: Delete) -> None:
    if step.state.is_open:
        record_terminated(step, _REASON, None, HISTORY_SERVICE)
    if not step.state.deletion_requested:
        step.record_internal(DeletionRequested())


# How records change the state


def requested(state: RunState, record: DeletionRequested) -> None:
    state.deletion_requested = True


# What must hold


def check(run: Run) -> None:
    assert not (run.state.is_open and run.state.deletion_requested)


def is_due(state: RunState) -> bool:
    """Whether nothing is to be waited for any more: the run's rows are to be deleted with the next commit."""
    return state.deletion_requested and not children.effects_of(state)


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "deletion",
    check=check,
    requests={Delete: delete},
    appliers={DeletionRequested: requested},
)
