"""What a worker answers and is too large is not refused: a failure that says so takes its place.

What a client sends and is too large is refused, in `validation.py`.
"""

from google.protobuf.message import Message
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQueryResult

from perdure.core.limits import Limits
from perdure.core.workflow.activities.attempts import (
    CancelActivity,
    CompleteActivity,
    FailActivity,
    HeartbeatActivity,
)
from perdure.core.workflow.failures import (
    TOO_LARGE_CANCEL_DETAILS,
    TOO_LARGE_HEARTBEAT,
    TOO_LARGE_RESULT,
    server_failure,
    too_large,
)

ActivityNews = CompleteActivity | FailActivity | CancelActivity | HeartbeatActivity


def is_too_large(blob: Message | None, limits: Limits) -> bool:
    return blob is not None and 0 < limits.blob_size < blob.ByteSize()


def bounded(news: ActivityNews, limits: Limits) -> tuple[ActivityNews, list[Failure]]:
    """Return what is to be recorded, and what the worker must be told if that is something else."""
    if isinstance(news, FailActivity):
        return _bounded_failure(news, limits)
    if isinstance(news, CompleteActivity):
        blob, why = news.result, TOO_LARGE_RESULT
    elif isinstance(news, CancelActivity):
        blob, why = news.details, TOO_LARGE_CANCEL_DETAILS
    else:
        blob, why = news.details, TOO_LARGE_HEARTBEAT
    if not is_too_large(blob, limits):
        return news, []
    failure = server_failure(why)
    return FailActivity(news.ref, failure, news.identity), [failure]


def _bounded_failure(news: FailActivity, limits: Limits) -> tuple[FailActivity, list[Failure]]:
    failure, details, told = news.failure, news.last_heartbeat_details, []
    if is_too_large(details, limits):
        details = None
        told.append(server_failure(TOO_LARGE_HEARTBEAT))
    if failure is not None and is_too_large(failure, limits):
        failure = bounded_failure(failure, limits)
        told.append(failure)
    if not told:
        return news, told
    return FailActivity(news.ref, failure, news.identity, details, news.worker_version), told


def bounded_failure(failure: Failure, limits: Limits) -> Failure:
    """Return `failure`, or what stands for it if it is too large."""
    if not is_too_large(failure, limits):
        return failure
    return too_large(failure, limits.blob_size_warn, is_final=True)


def bounded_answer(result: WorkflowQueryResult, limits: Limits) -> WorkflowQueryResult:
    if not is_too_large(result.answer, limits):
        return result
    return WorkflowQueryResult(
        result_type=QueryResultType.QUERY_RESULT_TYPE_FAILED,
        error_message="Blob data size exceeds limit.",
    )
