"""A failure replaces a payload of a worker that is too large: the worker's answer is not refused.

Clients' requests with a payload that is too large are refused: see `check_size` in `validation/fields.py`.
"""

from google.protobuf.message import Message
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQueryResult

from perdure.core.limits import Limits
from perdure.core.workflow.activities.attempts import CancelActivity, CompleteActivity, FailActivity
from perdure.core.workflow.activities.heartbeats import HeartbeatActivity
from perdure.core.workflow.failures import (
    TOO_LARGE_CANCEL_DETAILS,
    TOO_LARGE_HEARTBEAT,
    TOO_LARGE_RESULT,
    server_failure,
    too_large,
)

ActivityReport = CompleteActivity | FailActivity | CancelActivity | HeartbeatActivity


def is_too_large(blob: Message | None, limits: Limits) -> bool:
    return blob is not None and 0 < limits.blob_size < blob.ByteSize()


def bounded(report: ActivityReport, limits: Limits) -> tuple[ActivityReport, list[Failure]]:
    """Return the request to record, and the failures in it that replace payloads, for the worker."""
    if isinstance(report, FailActivity):
        return _bounded_failure(report, limits)
    if isinstance(report, CompleteActivity):
        blob, why = report.result, TOO_LARGE_RESULT
    elif isinstance(report, CancelActivity):
        blob, why = report.details, TOO_LARGE_CANCEL_DETAILS
    else:
        blob, why = report.details, TOO_LARGE_HEARTBEAT
    if not is_too_large(blob, limits):
        return report, []
    failure = server_failure(why)
    return FailActivity(report.ref, failure, report.identity), [failure]


def _bounded_failure(report: FailActivity, limits: Limits) -> tuple[FailActivity, list[Failure]]:
    failure, details, replacements = report.failure, report.last_heartbeat_details, []
    if is_too_large(details, limits):
        details = None
        replacements.append(server_failure(TOO_LARGE_HEARTBEAT))
    if failure is not None and is_too_large(failure, limits):
        failure = bounded_failure(failure, limits)
        replacements.append(failure)
    if not replacements:
        return report, replacements
    return FailActivity(
        report.ref, failure, report.identity, details, report.worker_version
    ), replacements


def bounded_failure(failure: Failure, limits: Limits) -> Failure:
    """Return `failure`, or a shorter one if it is too large."""
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
