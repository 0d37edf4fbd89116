"""A run ends and the workflow goes on: as a retry, as the next run of a cron schedule, or because it asked for it.

The new run is created in the commit that closes this one. It has the same workflow id and an empty history.
"""

from dataclasses import dataclass

from google.protobuf.message import Message
from temporalio.api.common.v1 import Link, Payloads
from temporalio.api.enums.v1 import ContinueAsNewInitiator, RetryState, TaskQueueKind
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes

from perdure.core import cron
from perdure.core.execution.outcome import NewRun
from perdure.core.times import set_duration, set_timestamp
from perdure.core.workflow.activities.retries import Verdict, is_retryable, next_backoff
from perdure.core.workflow.history_step import HistoryStep
from perdure.core.workflow.lifecycle.start_policy import Start
from perdure.core.workflow.state import RunState

_RETRY = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_RETRY
_CRON = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
_NOT_SET = Verdict(RetryState.RETRY_STATE_RETRY_POLICY_NOT_SET)


@dataclass(frozen=True, slots=True)
class Successor:
    """The run that follows."""

    run_id: str
    initiator: ContinueAsNewInitiator.ValueType
    backoff_ns: int


def after_failure(
    step: HistoryStep, failure: Failure
) -> tuple[RetryState.ValueType, Successor | None]:
    """Say what the close event tells of retries, and which run follows one that ends with `failure`."""
    verdict = _verdict(step.state, failure, step.now_ns)
    if verdict.state == RetryState.RETRY_STATE_IN_PROGRESS:
        return verdict.state, Successor(step.environment.fresh_id(), _RETRY, verdict.backoff_ns)
    return verdict.state, after_success(step)


def after_success(step: HistoryStep) -> Successor | None:
    """Return the run that the cron schedule asks for, if there is one."""
    state = step.state
    if not state.cron_schedule:
        return None
    backoff_ns = cron.backoff_ns(state.cron_schedule, state.execution_time_ns, step.now_ns)
    return (
        Successor(step.environment.fresh_id(), _CRON, backoff_ns)
        if backoff_ns is not None
        else None
    )


def begin(
    step: HistoryStep,
    successor: Successor,
    *,
    result: Payloads | None = None,
    failure: Failure | None = None,
) -> None:
    """Have the next run begin as this one did: from what it was started with, not from what became of that."""
    before = WorkflowExecutionStartedEventAttributes.FromString(step.state.started_attributes)
    new = inherited(step, before, successor.run_id, successor.initiator)
    new.cron_schedule = before.cron_schedule
    new.workflow_type.CopyFrom(before.workflow_type)
    new.task_queue.name = before.task_queue.name
    new.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    for part in (
        "workflow_run_timeout",
        "workflow_task_timeout",
        "input",
        "header",
        "memo",
        "search_attributes",
        "retry_policy",
    ):
        _copy(before, part, new)
    _forget_removed(step, new)
    if result is not None:
        new.last_completion_result.CopyFrom(result)
    if failure is not None:
        new.continued_failure.CopyFrom(failure)
    set_duration(new.first_workflow_task_backoff, first_backoff_ns(step, successor.backoff_ns))
    links = [Link.FromString(link) for link in step.state.start_links]
    follow(step, successor.run_id, new, links)


def _forget_removed(step: HistoryStep, new: WorkflowExecutionStartedEventAttributes) -> None:
    """A search attribute that was removed since this run began is not set again, also if there is one of its name."""
    fields, state = new.search_attributes.indexed_fields, step.state
    for name in list(fields):
        if not step.environment.is_current_attribute(state.namespace_id, name, state.start_time_ns):
            del fields[name]
    if not fields:
        new.ClearField("search_attributes")


def last_result(step: HistoryStep) -> Payloads | None:
    """Return the last result of the runs before this one."""
    before = WorkflowExecutionStartedEventAttributes.FromString(step.state.started_attributes)
    return before.last_completion_result if before.HasField("last_completion_result") else None


def inherited(
    step: HistoryStep,
    before: WorkflowExecutionStartedEventAttributes,
    new_run_id: str,
    initiator: ContinueAsNewInitiator.ValueType,
) -> WorkflowExecutionStartedEventAttributes:
    """Return what every new run takes over from the one before: its place in the chain and among its relatives."""
    state = step.state
    new = WorkflowExecutionStartedEventAttributes(
        original_execution_run_id=new_run_id,
        first_execution_run_id=state.first_run_id,
        continued_execution_run_id=state.run_id,
        initiator=initiator,
        attempt=state.attempt + 1 if initiator == _RETRY else 1,
        workflow_id=state.workflow_id,
        parent_workflow_namespace=before.parent_workflow_namespace,
        parent_workflow_namespace_id=before.parent_workflow_namespace_id,
        parent_initiated_event_id=before.parent_initiated_event_id,
    )
    for part in (
        "workflow_execution_timeout",
        "priority",
        "parent_workflow_execution",
        "root_workflow_execution",
    ):
        _copy(before, part, new)
    for callback in state.callbacks:
        if callback.update_id:
            continue  # The update ends with this run.
        new.completion_callbacks.add().MergeFromString(callback.callback)
    if state.execution_expiration_ns:
        set_timestamp(new.workflow_execution_expiration_time, state.execution_expiration_ns)
    new.prev_auto_reset_points.SetInParent()
    for point in state.reset_points:
        rolled = new.prev_auto_reset_points.points.add(
            build_id=point.build_id,
            binary_checksum=point.binary_checksum,
            run_id=point.run_id,
            first_workflow_task_completed_id=point.first_workflow_task_completed_id,
            resettable=point.resettable,
        )
        set_timestamp(rolled.create_time, point.created_at_ns)
        # Temporal: what a reset to it needs is gone when its run's retention is over.
        expires_at_ns = point.expires_at_ns or (
            step.now_ns + step.environment.retention_ns(state.namespace_id)
        )
        set_timestamp(rolled.expire_time, expires_at_ns)
    return new


def first_backoff_ns(step: HistoryStep, wanted_ns: int) -> int:
    """Temporal: a run that lived for too short a time is followed by its successor only when that time is over."""
    state = step.state
    due_ns = state.execution_time_ns
    lived_ns = step.now_ns - (due_ns if due_ns <= step.now_ns else state.start_time_ns)
    return max(wanted_ns, step.environment.limits.workflow_id_reuse_minimal_interval_ns - lived_ns)


def follow(
    step: HistoryStep,
    run_id: str,
    attributes: WorkflowExecutionStartedEventAttributes,
    links: list[Link] | None = None,
) -> None:
    state = step.state
    step.new_run = NewRun(
        run_id,
        Start(
            namespace_id=state.namespace_id,
            namespace=state.namespace,
            workflow_id=state.workflow_id,
            run_id=run_id,
            attributes=attributes,
            request_id=step.environment.fresh_id(),
            links=tuple(links or ()),
        ),
    )


def _verdict(state: RunState, failure: Failure, now_ns: int) -> Verdict:
    policy = state.retry_policy
    if policy is None:
        return _NOT_SET
    if not is_retryable(failure, policy.non_retryable_error_types):
        return Verdict(RetryState.RETRY_STATE_NON_RETRYABLE_FAILURE)
    return next_backoff(
        policy, state.attempt, failure, now_ns=now_ns, expires_at_ns=state.execution_expiration_ns
    )


def _copy(source: Message, part: str, target: Message) -> None:
    if source.HasField(part):
        getattr(target, part).CopyFrom(getattr(source, part))
