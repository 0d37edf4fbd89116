"""The meaning of a start request, given the runs before it: a new run, the one there is, or a refusal."""

from dataclasses import dataclass

from temporalio.api.common.v1 import Link
from temporalio.api.enums.v1 import (
    ContinueAsNewInitiator,
    EventType,
    TaskQueueKind,
    WorkflowExecutionStatus,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.errordetails.v1 import WorkflowExecutionAlreadyStartedFailure
from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
from temporalio.api.sdk.v1 import UserMetadata
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.core import cron
from perdure.core.errors import Code, Rejected, busy_workflow
from perdure.core.execution.request import Request
from perdure.core.limits import Limits
from perdure.core.times import duration_ns, set_duration, set_timestamp
from perdure.core.workflow.signals import Signal
from perdure.core.workflow.state import RunState
from perdure.core.workflow.validation import with_defaults
from perdure.core.workflow.versioning import recorded

_FAILED = {
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
    WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Start(Request[None]):
    """Begin a run. `attributes` are complete and belong to this request."""

    namespace_id: str
    namespace: str
    workflow_id: str
    run_id: str
    attributes: WorkflowExecutionStartedEventAttributes
    request_id: str
    user_metadata: UserMetadata | None = None
    links: tuple[Link, ...] = ()
    #: A signal that arrives together with the start.
    signal: Signal | None = None
    #: The caller who starts the run takes its first workflow task at once, if the attributes say so.
    eager_nonce: int = 0
    #: `last_task_id` of the run before.
    after_task_id: int = 0


@dataclass(frozen=True, slots=True)
class StartNew:
    """Begin a new run; first terminate the current one if `terminate_current`."""

    terminate_current: bool = False


@dataclass(frozen=True, slots=True)
class UseCurrent:
    """Answer with the current run."""

    #: This very request started it.
    is_retry: bool


def decide(
    current: RunState | None,
    *,
    request_id: str,
    reuse: WorkflowIdReusePolicy.ValueType,
    conflict: WorkflowIdConflictPolicy.ValueType,
    now_ns: int,
    limits: Limits,
) -> StartNew | UseCurrent:
    """Raise `Rejected` if the policies forbid a new run. The policies are complete (no unspecified ones)."""
    if current is None:
        return StartNew()
    known = current.request_ids.get(request_id) if request_id else None
    if known is not None:
        return UseCurrent(known.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED)
    since_ns = now_ns - current.start_time_ns
    too_soon = limits.checks_reuse_interval and (
        since_ns <= limits.workflow_id_reuse_minimal_interval_ns > 0
    )
    if current.is_open:
        if conflict == WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING:
            return UseCurrent(is_retry=False)
        if conflict == WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING:
            if too_soon:
                raise _too_many("restarts", current, since_ns)
            return StartNew(terminate_current=True)
        raise already_started("Workflow execution is already running.", current)
    if reuse == WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE:
        raise already_started(
            "Workflow execution already finished.",
            current,
            " Workflow Id reuse policy: reject duplicate workflow Id.",
        )
    if (
        reuse == WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
        and current.status not in _FAILED
    ):
        raise already_started(
            "Workflow execution already finished successfully.",
            current,
            " Workflow Id reuse policy: allow duplicate workflow Id if last run failed.",
        )
    if too_soon:
        raise _too_many("starts", current, since_ns)
    return StartNew()


def already_started(what: str, current: RunState, why: str = "") -> Rejected:
    return Rejected(
        Code.ALREADY_EXISTS,
        f"{what} WorkflowId: {current.workflow_id}, RunId: {current.run_id}.{why}",
        WorkflowExecutionAlreadyStartedFailure(
            start_request_id=current.start_request_id,
            run_id=current.run_id,
            first_execution_run_id=current.first_run_id,
        ),
    )


def _too_many(what: str, current: RunState, since_ns: int) -> Rejected:
    return busy_workflow(
        f"Too many {what} for workflow {current.workflow_id}."
        f" Time since last start: {since_ns // 1_000_000} ms"
    )


def started_attributes(
    request: StartWorkflowExecutionRequest | SignalWithStartWorkflowExecutionRequest,
    run_id: str,
    *,
    now_ns: int,
    limits: Limits,
) -> WorkflowExecutionStartedEventAttributes:
    """Return the started event of a new run, with every default filled in."""
    execution_timeout = duration_ns(request.workflow_execution_timeout)
    run_timeout = duration_ns(request.workflow_run_timeout)
    if execution_timeout:
        run_timeout = min(run_timeout or execution_timeout, execution_timeout)
    task_timeout = (
        duration_ns(request.workflow_task_timeout) or limits.default_workflow_task_timeout_ns
    )
    task_timeout = min(task_timeout, limits.max_workflow_task_timeout_ns)
    if run_timeout:
        task_timeout = min(task_timeout, run_timeout)
    attributes = WorkflowExecutionStartedEventAttributes(
        workflow_type=request.workflow_type,
        task_queue=request.task_queue,
        original_execution_run_id=run_id,
        first_execution_run_id=run_id,
        identity=request.identity,
        attempt=1,
        workflow_id=request.workflow_id,
        cron_schedule=request.cron_schedule,
    )
    if execution_timeout or request.HasField("workflow_execution_timeout"):
        set_duration(attributes.workflow_execution_timeout, execution_timeout)
    if run_timeout or request.HasField("workflow_run_timeout"):
        set_duration(attributes.workflow_run_timeout, run_timeout)
    set_duration(attributes.workflow_task_timeout, task_timeout)
    attributes.task_queue.kind = request.task_queue.kind or TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    for part in ("input", "header", "memo", "search_attributes", "priority"):
        if request.HasField(part):
            getattr(attributes, part).CopyFrom(getattr(request, part))
    if request.HasField("versioning_override"):
        attributes.versioning_override.CopyFrom(recorded(request.versioning_override))
    if request.HasField("retry_policy"):
        attributes.retry_policy.CopyFrom(request.retry_policy)
        with_defaults(attributes.retry_policy, limits.workflow_retries)
    if isinstance(request, StartWorkflowExecutionRequest):
        if request.HasField("continued_failure"):
            attributes.continued_failure.CopyFrom(request.continued_failure)
        if request.HasField("last_completion_result"):
            attributes.last_completion_result.CopyFrom(request.last_completion_result)
        attributes.completion_callbacks.extend(request.completion_callbacks)
    delay = duration_ns(request.workflow_start_delay)
    eager = isinstance(request, StartWorkflowExecutionRequest) and request.request_eager_execution
    attributes.eager_execution_accepted = eager and limits.enable_eager_workflow_start
    if request.cron_schedule:
        attributes.initiator = ContinueAsNewInitiator.CONTINUE_AS_NEW_INITIATOR_CRON_SCHEDULE
        delay = cron.backoff_ns(request.cron_schedule, now_ns, now_ns) or 0
    set_duration(attributes.first_workflow_task_backoff, delay)
    if delay:
        attributes.eager_execution_accepted = False
    if execution_timeout:
        # Temporal: a start delay counts against it, and it is kept to the millisecond.
        ends_at_ns = round(now_ns + execution_timeout, -6)
        set_timestamp(attributes.workflow_execution_expiration_time, ends_at_ns)
    return attributes
