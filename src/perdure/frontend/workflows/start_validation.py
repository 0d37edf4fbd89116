"""The checks of a request that starts a workflow, in the real server's order."""

from collections.abc import Mapping
from typing import Any

from temporalio.api.enums.v1 import (
    IndexedValueType,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.workflowservice.v1 import (
    SignalWithStartWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
)

from perdure.core import cron
from perdure.core.errors import invalid_argument
from perdure.core.limits import Limits
from perdure.core.search_attributes import fault as search_attributes_fault
from perdure.core.workflow.validation import duration_fault, retry_policy_fault, with_defaults
from perdure.core.workflow.versioning import check_override
from perdure.frontend.validation.callbacks import check_callbacks, check_variants
from perdure.frontend.validation.fields import (
    check_memo,
    check_no_nul,
    check_no_time_skipping,
    check_priority,
    check_size,
    is_too_long,
)
from perdure.frontend.validation.links import check_links, check_links_beside
from perdure.frontend.validation.task_queues import check_callers_task_queue

Conflict = WorkflowIdConflictPolicy
Reuse = WorkflowIdReusePolicy
Policies = tuple[WorkflowIdReusePolicy.ValueType, WorkflowIdConflictPolicy.ValueType]
#: Names of the custom search attributes of a namespace, and their types.
Types = Mapping[str, IndexedValueType.ValueType]


def check_start(request: StartWorkflowExecutionRequest, types: Types, limits: Limits) -> Policies:
    """Check a start, fill in its retry policy, and return its policies, complete."""
    reuse, conflict = _complete_policies(request, Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL)
    _check_workflow_id(request.workflow_id, limits)
    _check_retry_policy(request, limits)
    _check_start_delay(request)
    _check_cron(request.cron_schedule)
    if not request.workflow_type.name:
        raise invalid_argument("WorkflowType is not set on request.")
    if is_too_long(request.workflow_type.name, limits):
        raise invalid_argument("WorkflowType length exceeds limit.")
    check_no_nul(request.workflow_type.name, "WorkflowType")
    check_callers_task_queue(request, limits)
    _check_timeouts(request)
    if is_too_long(request.request_id, limits):
        raise invalid_argument("RequestId length exceeds limit.")
    _check_policies(request, reuse)
    options = request.on_conflict_options
    if options.attach_completion_callbacks and not options.attach_request_id:
        raise invalid_argument(
            "attaching request ID is required for attaching completion callbacks"
        )
    _check_search_attributes(request, types, limits)
    check_priority(request.priority)
    check_callbacks(request.completion_callbacks, limits)
    check_links_beside(request.links, request.completion_callbacks, limits)
    check_no_time_skipping(request)
    _check_override(request)
    check_memo(request.memo, limits)
    check_size(request.input, limits)
    check_variants(request.completion_callbacks)
    return reuse, conflict


def check_signal_with_start(
    request: SignalWithStartWorkflowExecutionRequest, types: Types, limits: Limits
) -> Policies:
    reuse, conflict = _complete_policies(request, Conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING)
    _check_cron(request.cron_schedule)
    _check_workflow_id(request.workflow_id, limits)
    if not request.signal_name:
        raise invalid_argument("signal not set")
    _check_length("signal name", request.signal_name, limits)
    if not request.workflow_type.name:
        raise invalid_argument("workflow type not set")
    _check_length("workflow type name", request.workflow_type.name, limits)
    check_no_nul(request.workflow_type.name, "WorkflowType")
    check_callers_task_queue(request, limits)
    _check_length("Request ID", request.request_id, limits)
    _check_timeouts(request)
    _check_retry_policy(request, limits)
    _check_start_delay(request)
    _check_policies(request, reuse)
    if conflict == Conflict.WORKFLOW_ID_CONFLICT_POLICY_FAIL:
        raise invalid_argument(
            "Invalid WorkflowIDConflictPolicy: WORKFLOW_ID_CONFLICT_POLICY_FAIL"
            " is not supported for this operation."
        )
    _check_search_attributes(request, types, limits)
    check_priority(request.priority)
    check_links(request.links, limits)
    check_no_time_skipping(request)
    _check_override(request)
    check_size(request.signal_input, limits)
    check_size(request.input, limits)
    check_memo(request.memo, limits)
    return reuse, conflict


def _check_workflow_id(workflow_id: str, limits: Limits) -> None:
    if not workflow_id:
        raise invalid_argument("WorkflowId is not set on request.")
    _check_length("WorkflowId", workflow_id, limits)
    check_no_nul(workflow_id, "WorkflowId")


def _check_length(what: str, text: str, limits: Limits) -> None:
    if is_too_long(text, limits):
        raise invalid_argument(
            f"{what} exceeds maximum allowed length ({len(text.encode())}/{limits.max_id_length})"
        )


def _complete_policies(request: Any, default: WorkflowIdConflictPolicy.ValueType) -> Policies:
    """Temporal: "terminate if running" is the older way to say two things at once."""
    reuse, conflict = request.workflow_id_reuse_policy, request.workflow_id_conflict_policy
    terminates = reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
    if conflict == Conflict.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED:
        conflict = (
            Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING if terminates else default
        )
    if terminates or reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED:
        reuse = Reuse.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
    return reuse, conflict


def _check_policies(request: Any, reuse: WorkflowIdReusePolicy.ValueType) -> None:
    conflict = request.workflow_id_conflict_policy
    if (
        request.workflow_id_reuse_policy == Reuse.WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING
        and conflict != Conflict.WORKFLOW_ID_CONFLICT_POLICY_UNSPECIFIED
    ):
        raise invalid_argument(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_TERMINATE_IF_RUNNING"
            " cannot be used together with a WorkflowIDConflictPolicy"
        )
    if (
        reuse == Reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        and conflict == Conflict.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING
    ):
        raise invalid_argument(
            "Invalid WorkflowIDReusePolicy: WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE cannot be used"
            " together with WorkflowIdConflictPolicy WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING"
        )


def _check_retry_policy(request: Any, limits: Limits) -> None:
    if not request.HasField("retry_policy"):
        return
    with_defaults(request.retry_policy, limits.workflow_retries)
    fault = retry_policy_fault(request.retry_policy)
    if fault is not None:
        raise invalid_argument(fault)


def _check_start_delay(request: Any) -> None:
    if not request.HasField("workflow_start_delay"):
        return
    if request.cron_schedule:
        raise invalid_argument("CronSchedule and WorkflowStartDelay may not be used together.")
    _check_duration("WorkflowStartDelaySeconds", request.workflow_start_delay)


def _check_timeouts(request: Any) -> None:
    _check_duration("WorkflowExecutionTimeoutSeconds", request.workflow_execution_timeout)
    _check_duration("WorkflowRunTimeoutSeconds", request.workflow_run_timeout)
    _check_duration("WorkflowTaskTimeoutSeconds", request.workflow_task_timeout)


def _check_duration(name: str, duration: Any) -> None:
    fault = duration_fault(duration)
    if fault is not None:
        raise invalid_argument(f"An invalid {name} is set on request. cause: {fault}")


def _check_cron(schedule: str) -> None:
    fault = cron.fault(schedule)
    if fault is not None:
        raise invalid_argument(fault)


def _check_search_attributes(request: Any, types: Types, limits: Limits) -> None:
    fault = search_attributes_fault(
        request.search_attributes.indexed_fields, types, request.namespace, limits
    )
    if fault is not None:
        raise invalid_argument(fault)


def _check_override(request: Any) -> None:
    if request.HasField("versioning_override"):
        check_override(request.versioning_override, request.task_queue.name)
