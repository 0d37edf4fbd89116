"""Checks that several commands share. A value that they refuse fails the workflow task with the command's cause."""

import re

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from temporalio.api.common.v1 import RetryPolicy as ApiRetryPolicy
from temporalio.api.enums.v1 import TimeoutType, WorkflowTaskFailedCause
from temporalio.api.taskqueue.v1 import TaskQueue

from perdure.core.limits import RetryDefaults
from perdure.core.times import SECOND_NS, duration_ns
from perdure.core.workflow.history_step import BadCommand
from perdure.core.workflow.pending import RetryPolicy

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: PostgreSQL has no text with it in it.
NUL = "\0"
#: Temporal: longer durations are cut to this (100 years).
DURATION_MAX_S = 100 * 365 * 24 * 3600

#: A retry policy names a timeout as a type of error by this prefix and one of these names.
TIMEOUT_TYPE_PREFIX = "TemporalTimeout:"
TIMEOUT_TYPE_NAMES = {
    TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE: "StartToClose",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START: "ScheduleToStart",
    TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: "ScheduleToClose",
    TimeoutType.TIMEOUT_TYPE_HEARTBEAT: "Heartbeat",
}


def check_id(
    limit: int, cause: WorkflowTaskFailedCause.ValueType, name: str, value: str, command: str
) -> None:
    if not value:
        raise BadCommand(cause, f"{name} is not set on {command}.")
    length = len(value.encode())
    if length > limit:
        raise BadCommand(
            cause,
            f"{name} on {command} exceeds length limit. {name}={value} Length={length} Limit={limit}",
        )


def check_size(
    limit: int, cause: WorkflowTaskFailedCause.ValueType, blob: Message, message: str
) -> None:
    """Temporal: a run whose worker sends what is too big is terminated."""
    if 0 < limit < blob.ByteSize():
        raise BadCommand(cause, message, is_final=True)


def duration_fault(duration: Duration) -> str | None:
    """Return what is wrong with `duration`; cut one that is too long to the longest possible."""
    if duration.seconds * duration.nanos < 0:
        return "duration has seconds and nanos with different signs"
    if duration.seconds < 0 or duration.nanos < 0:
        return "negative duration"
    if duration.seconds >= DURATION_MAX_S:
        duration.seconds, duration.nanos = DURATION_MAX_S, 0
    return None


def task_queue_fault(queue: TaskQueue, max_id_length: int, workflows_queue: str = "") -> str | None:
    """Return what is wrong with a task queue that a worker names, in the API's words, or None.

    `workflows_queue`: that of the workflow which names it, if a workflow does.
    """
    if not queue.name:
        return "missing task queue name"
    if len(queue.name.encode()) > max_id_length:
        return "taskQueue length exceeds limit"
    if NUL in queue.name:
        return "taskQueue must not contain a NUL character"
    if queue.name.startswith("/_sys/"):
        return "task queue name cannot start with reserved prefix /_sys/"
    return internal_queue_fault(queue.name, workflows_queue)


def internal_queue_fault(name: str, workflows_queue: str = "") -> str | None:
    """Return why nothing may be put on a queue that is for the server's own workers; None if it is another one."""
    if not _is_internal(name) or _is_internal(workflows_queue):
        return None
    fault = f"cannot use internal per-namespace task queue:{name}"
    if workflows_queue:
        fault += f" (in parent component task queue: {workflows_queue})"
    return fault


def _is_internal(name: str) -> bool:
    return name.startswith("temporal-sys-per-ns-") or (
        name == "temporal-sys-worker-controller-per-ns-tq"
    )


def is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def retry_policy_fault(policy: ApiRetryPolicy) -> str | None:
    """Return what is wrong with `policy` in the API's words, or None."""
    if policy.maximum_attempts == 1:
        return None  # One attempt: the rest is never looked at.
    fault = duration_fault(policy.initial_interval)
    if fault:
        return f"invalid InitialInterval set on retry policy: {fault}"
    if policy.backoff_coefficient < 1:
        return "BackoffCoefficient cannot be less than 1 on retry policy."
    fault = duration_fault(policy.maximum_interval)
    if fault:
        return f"invalid MaximumInterval set on retry policy: {fault}"
    maximum = duration_ns(policy.maximum_interval)
    if 0 < maximum < duration_ns(policy.initial_interval):
        return "MaximumInterval cannot be less than InitialInterval on retry policy."
    if policy.maximum_attempts < 0:
        return "MaximumAttempts cannot be negative on retry policy."
    for name in policy.non_retryable_error_types:
        kind = name.removeprefix(TIMEOUT_TYPE_PREFIX)
        if kind != name and kind not in TIMEOUT_TYPE_NAMES.values():
            return f"Invalid timeout type value: {kind}."
    return None


def with_defaults(policy: ApiRetryPolicy, defaults: RetryDefaults) -> None:
    """Fill in what is not set."""
    if policy.maximum_attempts == 0:
        policy.maximum_attempts = defaults.maximum_attempts
    if duration_ns(policy.initial_interval) == 0:
        policy.initial_interval.FromNanoseconds(defaults.initial_interval_ns)
    if duration_ns(policy.maximum_interval) == 0:
        total = duration_ns(policy.initial_interval) * defaults.maximum_interval_coefficient
        policy.maximum_interval.FromNanoseconds(min(total, DURATION_MAX_S * SECOND_NS))
    if policy.backoff_coefficient == 0:
        policy.backoff_coefficient = defaults.backoff_coefficient


def retry_policy(policy: ApiRetryPolicy) -> RetryPolicy:
    return RetryPolicy(
        initial_interval_ns=duration_ns(policy.initial_interval),
        backoff_coefficient=policy.backoff_coefficient,
        maximum_interval_ns=duration_ns(policy.maximum_interval),
        maximum_attempts=policy.maximum_attempts,
        non_retryable_error_types=tuple(policy.non_retryable_error_types),
    )
