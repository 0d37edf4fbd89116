"""A client asks the workflow something; nothing of it is recorded.

A query must see every event before it. While a workflow task is pending it waits and goes with that task; when there
is none the workflow has seen everything, and the query goes to a worker by itself.
"""

from dataclasses import dataclass

from temporalio.api.enums.v1 import QueryRejectCondition, WorkflowExecutionStatus
from temporalio.api.errordetails.v1 import WorkflowNotReadyFailure
from temporalio.api.query.v1 import QueryRejected, WorkflowQuery, WorkflowQueryResult

from perdure.core.errors import Code, Rejected, busy_workflow, invalid_argument
from perdure.core.execution.concept import Concept
from perdure.core.execution.request import Request
from perdure.core.workflow.effects import AnswerQuery, DispatchQuery
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.state import Run, RunState

#: Temporal: a workflow whose task keeps failing cannot answer; waiting would only time out.
_FAIL_FAST_ATTEMPT = 3
_NEVER_SEEN = "Workflow execution closed before WorkflowTaskStarted event"

# What can be asked


@dataclass(frozen=True, slots=True)
class Query(Request[QueryRejected | None]):
    query_id: str
    query: WorkflowQuery
    reject_condition: QueryRejectCondition.ValueType
    #: When its caller gives up.
    until_ns: int = 0


@dataclass(frozen=True, slots=True)
class AbandonQuery(Request[None]):
    """The caller is gone."""

    query_id: str


def query(step: HistoryStep, request: Query) -> QueryRejected | None:
    """Reply: why the query is rejected as the caller wished, or None: an `AnswerQuery` or `DispatchQuery` follows."""
    state = step.state
    rejected = _rejected(state, request.reject_condition)
    if rejected is not None:
        return rejected
    if state.is_paused:
        # Temporal: whatever the caller wished to be rejected.
        return QueryRejected(status=WorkflowExecutionStatus.ValueType(state.status))
    if not state.is_open and not state.previous_started_event_id:
        raise _not_ready(_NEVER_SEEN)
    waits = state.waits_for_first_task and step.run.pending_task is None
    if waits and state.execution_time_ns > request.until_ns:
        raise _not_ready("Workflow task is not scheduled yet.")
    encoded = request.query.SerializeToString(deterministic=True)
    task = step.run.pending_task
    is_idle = task is None and not state.buffered and not state.waits_for_first_task
    if not state.is_open or is_idle:
        step.emit(_dispatch(step, request.query_id, encoded))
        return None
    if state.workflow_task_attempt >= _FAIL_FAST_ATTEMPT:
        raise _not_ready("Unable to query workflow due to Workflow Task in failed state.")
    if len(step.in_flight.queries) >= step.environment.limits.max_buffered_queries:
        raise busy_workflow(
            "consistent query buffer is full, this may be caused by too many queries and workflow"
            " not able to process query fast enough"
        )
    step.in_flight.queries[request.query_id] = encoded
    return None


def abandon(step: HistoryStep, request: AbandonQuery) -> None:
    step.in_flight.queries.pop(request.query_id, None)


def _not_ready(message: str) -> Rejected:
    return Rejected(Code.FAILED_PRECONDITION, message, WorkflowNotReadyFailure())


def _rejected(state: RunState, condition: QueryRejectCondition.ValueType) -> QueryRejected | None:
    status = WorkflowExecutionStatus.ValueType(state.status)
    if condition == QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_OPEN:
        unwanted = not state.is_open
    elif condition == QueryRejectCondition.QUERY_REJECT_CONDITION_NOT_COMPLETED_CLEANLY:
        unwanted = not state.is_open and (
            status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED
        )
    else:
        unwanted = False
    return QueryRejected(status=status) if unwanted else None


# What other concepts use


def answer(step: HistoryStep, results: dict[str, bytes]) -> None:
    """The worker answered queries along with its task; `results` are serialized `WorkflowQueryResult`s."""
    for query_id, result in results.items():
        if step.in_flight.queries.pop(query_id, None) is not None:
            fault = _size_fault(result, step.environment.limits.blob_size)
            step.emit(AnswerQuery(query_id, None if fault else result, fault))


def _size_fault(result: bytes, limit: int) -> Rejected | None:
    if 0 < limit < len(result) and limit < WorkflowQueryResult.FromString(result).answer.ByteSize():
        return invalid_argument("Blob data size exceeds limit.")
    return None


def release_unanswered(step: HistoryStep) -> None:
    """No workflow task is pending any more: what still waits can be dispatched by itself."""
    for query_id, encoded in step.in_flight.queries.items():
        step.emit(_dispatch(step, query_id, encoded))
    step.in_flight.queries.clear()


def on_close(step: HistoryStep) -> None:
    """The run has closed while queries waited for its next task: a worker answers from history, if one ever saw it."""
    if step.state.previous_started_event_id:
        release_unanswered(step)
        return
    for query_id in step.in_flight.queries:
        step.emit(AnswerQuery(query_id, None, _not_ready(_NEVER_SEEN)))
    step.in_flight.queries.clear()


def _dispatch(step: HistoryStep, query_id: str, encoded: bytes) -> DispatchQuery:
    state = step.state
    is_cached = state.previous_started_event_id and step.environment.limits.sticky_queries
    sticky = state.sticky_queue if is_cached else ""
    patience_ns = state.sticky_schedule_to_start_ns if sticky else 0
    return DispatchQuery(query_id, state.task_queue, sticky, encoded, patience_ns)


# What must hold


def check(run: Run) -> None:
    state = run.state
    if run.in_flight.queries and not (state.is_paused or state.waits_for_first_task):
        assert run.pending_task is not None or state.buffered


CONCEPT: Concept[HistoryStep, Run] = Concept(
    "queries",
    check=check,
    requests={Query: query, AbandonQuery: abandon},
    on_close=on_close,
)
