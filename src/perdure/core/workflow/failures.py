"""Failures that the server itself makes: of what a worker sent too much of."""

from temporalio.api.failure.v1 import Failure

TOO_LARGE_FAILURE = "Failure exceeds size limit."
TOO_LARGE_HEARTBEAT = "Heartbeat details exceed size limit."
TOO_LARGE_RESULT = "Complete result exceeds size limit."
TOO_LARGE_CANCEL_DETAILS = "Cancel details exceed size limit."

_CAUSES_MAX = 20


def server_failure(message: str, *, is_final: bool = True) -> Failure:
    failure = Failure(message=message)
    failure.server_failure_info.non_retryable = is_final
    return failure


#: Temporal: the outcome of an update that the workflow has accepted and does not complete before its end.
UNFINISHED_UPDATE = Failure(
    message="Workflow Update failed because the Workflow completed before the Update completed.",
    source="Server",
)
UNFINISHED_UPDATE.application_failure_info.type = "AcceptedUpdateCompletedWorkflow"
UNFINISHED_UPDATE.application_failure_info.non_retryable = True


def too_large(failure: Failure, size: int, *, is_final: bool) -> Failure:
    """Return what stands for a failure that is too large: its beginning, up to some `size` bytes, is the cause."""
    stand_in = server_failure(TOO_LARGE_FAILURE, is_final=is_final)
    stand_in.cause.CopyFrom(_shortened(failure, size, _CAUSES_MAX))
    return stand_in


def _shortened(failure: Failure, left: int, causes_left: int) -> Failure:
    """Temporal: what matters most is kept first, and each part costs some bytes besides its own."""
    short = Failure()

    def cut(text: str) -> str:
        nonlocal left
        kept = text.encode()[: max(left, 0)].decode(errors="ignore")
        if kept:
            left -= len(kept.encode()) + 4
        return kept

    if failure.HasField("application_failure_info"):
        info = failure.application_failure_info
        short.application_failure_info.non_retryable = info.non_retryable
        short.application_failure_info.type = cut(info.type)
        left -= 8
    elif failure.HasField("server_failure_info"):
        short.server_failure_info.non_retryable = failure.server_failure_info.non_retryable
        left -= 4
    short.source = cut(failure.source)
    short.message = cut(failure.message)
    short.stack_trace = cut(failure.stack_trace)
    if failure.HasField("cause") and left > 4 and causes_left > 0:
        short.cause.CopyFrom(_shortened(failure.cause, left - 4, causes_left - 1))
    return short
