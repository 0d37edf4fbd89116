"""Lists show which workflows cannot go on: their workflow tasks have failed or timed out again and again."""

import json

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import WorkflowTaskFailedCause

from perdure.core.execution.concept import Concept
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.records import ProblemsReported
from perdure.core.workflow.state import Run, RunState

REPORTED = "TemporalReportedProblems"

# What other concepts use


#: Temporal: a task that nobody takes from a sticky queue is no problem, so there is one kind only.
TIMED_OUT = ("category=WorkflowTaskTimedOut", "cause=WorkflowTaskTimedOutCauseStartToClose")


def failed(cause: WorkflowTaskFailedCause.ValueType) -> tuple[str, ...]:
    """Return what is said of a workflow task that has failed for this cause."""
    name = str(cause)  # A worker may be newer than this server.
    if cause in WorkflowTaskFailedCause.values():
        name = WorkflowTaskFailedCause.Name(cause).removeprefix("WORKFLOW_TASK_FAILED_CAUSE_")
    words = "".join(word.capitalize() for word in name.split("_"))
    return "category=WorkflowTaskFailed", f"cause=WorkflowTaskFailedCause{words}"


def report(step: HistoryStep) -> None:
    """Another workflow task has failed or timed out.

    Temporal: attempts that leave no event count, but the cause that is shown is that of the last event.
    """
    enough, values = step.environment.limits.reported_task_failures, step.state.last_problem
    if values and 0 < enough <= step.state.failed_task_count:
        known = step.state.search_attributes.get(REPORTED)
        if known != _payload(values):
            step.record_internal(ProblemsReported(values))


def forget(step: HistoryStep) -> None:
    """A workflow task was completed."""
    if REPORTED in step.state.search_attributes:
        step.record_internal(ProblemsReported(()))


def _payload(values: tuple[str, ...]) -> bytes:
    return Payload(
        metadata={"encoding": b"json/plain", "type": b"KeywordList"},
        data=json.dumps(values, separators=(",", ":")).encode(),
    ).SerializeToString(deterministic=True)


# How records change the state


def reported(state: RunState, record: ProblemsReported) -> None:
    if record.values:
        state.search_attributes[REPORTED] = _payload(record.values)
    else:
        state.search_attributes.pop(REPORTED, None)


# What must hold


def check(run: Run) -> None:
    assert run.state.failed_task_count >= 0


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "reported problems",
    check=check,
    appliers={ProblemsReported: reported},
)
