"""The options of a schedule-activity command: checked, and completed as the API's histories show it."""

from temporalio.api.command.v1 import Command, ScheduleActivityTaskCommandAttributes
from temporalio.api.enums.v1 import TaskQueueKind, WorkflowTaskFailedCause
from temporalio.api.history.v1 import ActivityTaskScheduledEventAttributes

from perdure.core.limits import Limits
from perdure.core.times import duration_ns, set_duration
from perdure.core.workflow.history_step import BadCommand
from perdure.core.workflow.state import RunState
from perdure.core.workflow.validation import (
    duration_fault,
    retry_policy_fault,
    task_queue_fault,
    with_defaults,
)

_CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SCHEDULE_ACTIVITY_ATTRIBUTES


def checked(
    state: RunState, command: Command, limits: Limits
) -> ScheduleActivityTaskCommandAttributes:
    """Return the command's attributes with every timeout, the retry policy and the task queue filled in."""
    if not command.HasField("schedule_activity_task_command_attributes"):
        raise BadCommand(
            _CAUSE,
            "ScheduleActivityTaskCommandAttributes is not set on ScheduleActivityTaskCommand.",
        )
    wanted = command.schedule_activity_task_command_attributes
    _check_task_queue(state, wanted, limits.max_id_length)
    if not wanted.activity_id:
        raise BadCommand(_CAUSE, "activityId is not set")
    if not wanted.activity_type.name:
        raise BadCommand(_CAUSE, "activityType is not set")
    with_defaults(wanted.retry_policy, limits.activity_retries)
    fault = retry_policy_fault(wanted.retry_policy)
    if fault is not None:
        raise BadCommand(_CAUSE, fault)
    for name, value in (
        ("activityId", wanted.activity_id),
        ("activityType", wanted.activity_type.name),
    ):
        length = len(value.encode())
        if length > limits.max_id_length:
            raise BadCommand(
                _CAUSE, f"{name} exceeds length limit. Length={length} Limit={limits.max_id_length}"
            )
    if wanted.priority.priority_key < 0:
        raise BadCommand(_CAUSE, "invalid priorities: priority key can't be negative")
    fill_timeouts(wanted, state.run_timeout_ns)
    return wanted


def _check_task_queue(
    state: RunState, wanted: ScheduleActivityTaskCommandAttributes, max_id_length: int
) -> None:
    queue = wanted.task_queue
    if not wanted.HasField("task_queue"):
        raise BadCommand(_CAUSE, "taskQueue is not set")
    fault = task_queue_fault(queue, max_id_length, state.task_queue)
    if fault is not None:
        raise BadCommand(_CAUSE, fault)
    if queue.kind == TaskQueueKind.TASK_QUEUE_KIND_UNSPECIFIED:
        queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL


def fill_timeouts(
    wanted: ScheduleActivityTaskCommandAttributes | ActivityTaskScheduledEventAttributes,
    run_timeout_ns: int,
) -> None:
    """Temporal: what is not set follows from what is, and nothing outlasts the run."""
    for name, timeout in (
        ("ScheduleToCloseTimeout", wanted.schedule_to_close_timeout),
        ("ScheduleToStartTimeout", wanted.schedule_to_start_timeout),
        ("StartToCloseTimeout", wanted.start_to_close_timeout),
        ("HeartbeatTimeout", wanted.heartbeat_timeout),
    ):
        fault = duration_fault(timeout)
        if fault is not None:
            raise BadCommand(_CAUSE, f"invalid {name}: {fault}")
    to_close = duration_ns(wanted.schedule_to_close_timeout)
    to_start = duration_ns(wanted.schedule_to_start_timeout)
    running = duration_ns(wanted.start_to_close_timeout)
    heartbeat = duration_ns(wanted.heartbeat_timeout)
    if to_close:
        to_start = min(to_start, to_close) if to_start else to_close
        running = min(running, to_close) if running else to_close
    elif running:
        to_close = run_timeout_ns
        to_start = to_start or run_timeout_ns
    else:
        raise BadCommand(
            _CAUSE,
            "a valid StartToCloseTimeout or ScheduleToCloseTimeout must be set on the activity."
            f" ActivityId={wanted.activity_id} ActivityType={wanted.activity_type.name}",
        )
    if run_timeout_ns:
        to_close, to_start, running, heartbeat = (
            min(timeout, run_timeout_ns) for timeout in (to_close, to_start, running, heartbeat)
        )
    set_duration(wanted.schedule_to_close_timeout, to_close)
    set_duration(wanted.schedule_to_start_timeout, to_start)
    set_duration(wanted.start_to_close_timeout, running)
    set_duration(wanted.heartbeat_timeout, min(heartbeat, running))
