"""An attempt of an activity ended badly: is there another one, and when?"""

from dataclasses import dataclass

from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure

from perdure.core.times import duration_ns
from perdure.core.workflow.pending import PendingActivity, RetryPolicy
from perdure.core.workflow.validation import TIMEOUT_TYPE_NAMES, TIMEOUT_TYPE_PREFIX


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state` is IN_PROGRESS if there is another attempt, after `backoff_ns`."""

    state: RetryState.ValueType
    backoff_ns: int = 0


def verdict(activity: PendingActivity, failure: Failure, now_ns: int) -> Verdict:
    """Decide whether `activity` is tried again after `failure`."""
    if activity.cancel_requested_event_id:
        return Verdict(RetryState.RETRY_STATE_CANCEL_REQUESTED)
    if failure.HasField("timeout_failure_info") and failure.timeout_failure_info.timeout_type in (
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START,
        TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE,
    ):
        return Verdict(RetryState.RETRY_STATE_TIMEOUT)
    if not is_retryable(failure, activity.retry_policy.non_retryable_error_types):
        return Verdict(RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE)
    if activity.paused_at_ns:
        return Verdict(RetryState.RETRY_STATE_IN_PROGRESS)
    expires_at_ns = (
        activity.first_scheduled_at_ns + activity.schedule_to_close_ns
        if activity.schedule_to_close_ns
        else 0
    )
    return next_backoff(
        activity.retry_policy, activity.attempt, failure, now_ns=now_ns, expires_at_ns=expires_at_ns
    )


def next_backoff(
    policy: RetryPolicy, attempt: int, failure: Failure, *, now_ns: int, expires_at_ns: int
) -> Verdict:
    """Return when to try again after `attempt`. A delay that the application asked for overrides the policy's."""
    if 0 < policy.maximum_attempts <= attempt:
        return Verdict(RetryState.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED)
    info = failure.application_failure_info
    if failure.HasField("application_failure_info") and info.HasField("next_retry_delay"):
        backoff_ns = duration_ns(info.next_retry_delay)
    else:
        backoff_ns = exponential_ns(policy, attempt)
    if expires_at_ns and now_ns + backoff_ns > expires_at_ns:
        return Verdict(RetryState.RETRY_STATE_TIMEOUT)
    return Verdict(RetryState.RETRY_STATE_IN_PROGRESS, backoff_ns)


def exponential_ns(policy: RetryPolicy, attempt: int) -> int:
    try:
        interval = int(policy.initial_interval_ns * policy.backoff_coefficient ** (attempt - 1))
    except (OverflowError, ValueError):  # A coefficient may be no number at all.
        interval = policy.maximum_interval_ns
    if policy.maximum_interval_ns:
        interval = min(interval, policy.maximum_interval_ns)
    return interval


def is_retryable(failure: Failure, non_retryable_types: tuple[str, ...]) -> bool:
    """Temporal: what is not known to be final may be tried again."""
    match failure.WhichOneof("failure_info"):
        case "terminated_failure_info" | "canceled_failure_info":
            return False
        case "timeout_failure_info":
            timeout = failure.timeout_failure_info.timeout_type
            if timeout not in (
                TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE,
                TimeoutType.TIMEOUT_TYPE_HEARTBEAT,
            ):
                return False
            return TIMEOUT_TYPE_PREFIX + TIMEOUT_TYPE_NAMES[timeout] not in non_retryable_types
        case "server_failure_info":
            return not failure.server_failure_info.non_retryable
        case "application_failure_info":
            info = failure.application_failure_info
            return not info.non_retryable and info.type not in non_retryable_types
    return True
