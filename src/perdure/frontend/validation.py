"""What a request must look like before anybody acts on it. Texts and order of the checks are the real server's.

Nothing here knows a run: what depends on its state is refused by the core.
"""

import re
from collections.abc import Mapping
from typing import Any

import structlog
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.enums.v1 import (
    IndexedValueType,
    ResetReapplyType,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.workflow.v1 import PostResetOperation, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    PauseWorkflowExecutionRequest,
    QueryWorkflowRequest,
    ResetWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UnpauseWorkflowExecutionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)

from perdure.core import cron
from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.core.search_attributes import fault as search_attributes_fault
from perdure.core.workflow.options_update import UpdateOptions
from perdure.core.workflow.validation import (
    NUL,
    duration_fault,
    internal_queue_fault,
    retry_policy_fault,
    with_defaults,
)
from perdure.core.workflow.versioning import check_override
from perdure.frontend.callbacks import check_callbacks, check_variants
from perdure.frontend.links import check_links, check_links_beside
from perdure.frontend.queue_names import PART_PREFIX

log = structlog.get_logger(__name__)

FAIRNESS_KEY_BYTES_MAX = 64
_HEX = "[0-9a-fA-F]"
_HYPHENATED = rf"{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}"
_UUID = re.compile(
    rf"{_HYPHENATED}|{_HEX}{{32}}|\{{{_HYPHENATED}\}}|urn:uuid:{_HYPHENATED}", re.ASCII
)

Conflict = WorkflowIdConflictPolicy
Reuse = WorkflowIdReusePolicy
Policies = tuple[WorkflowIdReusePolicy.ValueType, WorkflowIdConflictPolicy.ValueType]
#: Names of the custom search attributes of a namespace, and their types.
Types = Mapping[str, IndexedValueType.ValueType]


def is_too_long(text: str, limits: Limits) -> bool:
    limit = limits.max_id_length
    return len(text) > limit // 4 and len(text.encode()) > limit


def check_no_nul(text: str, what: str) -> None:
    if NUL in text:
        raise invalid_argument(f"{what} must not contain a NUL character.")


# What many requests have


def check_identity(identity: str, limits: Limits) -> None:
    if is_too_long(identity, limits):
        raise invalid_argument("Identity length exceeds limit.")


def check_run_id(run_id: str, message: str = "Invalid RunId.") -> None:
    if run_id and not _UUID.fullmatch(run_id):
        raise invalid_argument(message)


def check_execution(
    request: Any, name: str = "execution", bad_run_id: str = "Invalid RunId."
) -> WorkflowExecution:
    """Return the execution that `request` names in its field `name`."""
    if not request.HasField(name):
        raise invalid_argument("Execution is not set on request.")
    execution: WorkflowExecution = getattr(request, name)
    if not execution.workflow_id:
        raise invalid_argument("WorkflowId is not set on request.")
    check_no_nul(execution.workflow_id, "WorkflowId")
    check_run_id(execution.run_id, bad_run_id)
    return execution


def check_task_queue(request: Any, limits: Limits, *, is_part: bool = False) -> None:
    """Check the queue that a request names: that of a poll or a description may be the server's own.

    A description may name a part of one (`is_part`).
    """
    if not request.HasField("task_queue"):
        raise invalid_argument("taskQueue is not set")
    name = request.task_queue.name
    if not name:
        raise invalid_argument("missing task queue name")
    if is_too_long(name, limits):
        raise invalid_argument("taskQueue length exceeds limit")
    check_no_nul(name, "TaskQueue")
    if not is_part and name.startswith(PART_PREFIX):
        raise invalid_argument(f"task queue name cannot start with reserved prefix {PART_PREFIX}")


def check_callers_task_queue(request: Any, limits: Limits) -> None:
    """Check a queue on which a caller wants something to be done."""
    check_task_queue(request, limits)
    fault = internal_queue_fault(request.task_queue.name)
    if fault is not None:
        raise invalid_argument(fault)


def check_size(blob: Message, limits: Limits) -> None:
    _check_bytes(blob, limits.blob_size, limits.blob_size_warn, "Blob data")


def check_memo(memo: Message, limits: Limits) -> None:
    _check_bytes(memo, limits.memo_size, limits.memo_size_warn, "Memo")


def _check_bytes(blob: Message, limit: int, warn: int, what: str) -> None:
    size = blob.ByteSize()
    if 0 < limit < size:
        raise invalid_argument(f"{what} size exceeds limit.")
    if 0 < warn < size:
        log.warning(f"{what} size exceeds the warning limit", size=size, limit=warn)


# Starting


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
    _check_not_built(request)
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
    _check_not_built(request)
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


def check_priority(priority: Priority) -> None:
    if priority.priority_key < 0:
        raise invalid_argument("priority key can't be negative")
    if len(priority.fairness_key.encode()) > FAIRNESS_KEY_BYTES_MAX:
        raise invalid_argument("fairness key length exceeds limit")
    if priority.fairness_weight < 0:
        raise invalid_argument("must be greater than zero")


def _check_override(request: Any) -> None:
    if request.HasField("versioning_override"):
        check_override(request.versioning_override, request.task_queue.name)


def _check_not_built(request: Any) -> None:
    if request.HasField("time_skipping_config"):
        raise Rejected(
            Code.UNIMPLEMENTED, "The Time-Skipping feature is not enabled for namespace."
        )


def mask_fields(mask: FieldMask) -> frozenset[str]:
    """Return the paths in camel case, however they were written."""
    return frozenset(
        ".".join(_camel(part) for part in path.split(".")) for path in mask.paths if path
    )


def _camel(words: str) -> str:
    first, *rest = words.split("_")
    return first[:1].lower() + first[1:] + "".join(word[:1].upper() + word[1:] for word in rest)


# Options


def check_options(
    request: UpdateWorkflowExecutionOptionsRequest,
) -> tuple[WorkflowExecution, frozenset[str]]:
    """Return the execution, and which options are to be changed."""
    if not request.workflow_execution.workflow_id:
        raise invalid_argument("WorkflowId is not set on request.")
    if not request.HasField("update_mask"):
        raise invalid_argument("UpdateMask is required")
    if not request.HasField("workflow_execution_options"):
        raise invalid_argument("WorkflowExecutionOptions is required")
    options = request.workflow_execution_options
    _check_mask(options, request.update_mask, "error parsing UpdateMask")
    check_priority(options.priority)
    _check_not_built(options)
    execution = check_execution(request, "workflow_execution", "RunId is not valid UUID.")
    return execution, _option_fields(request.update_mask)


def _check_mask(options: WorkflowExecutionOptions, mask: FieldMask, what: str) -> None:
    for path in mask.paths:
        if not _is_path(options, path):
            kind = options.DESCRIPTOR.full_name
            # Temporal: with this blank, of Go's protobuf library.
            raise invalid_argument(f'{what}: proto:\xa0invalid path "{path}" for message "{kind}"')


def _option_fields(mask: FieldMask) -> frozenset[str]:
    fields = mask_fields(mask)
    for path in fields:
        first, _, rest = path.partition(".")
        if first not in ("priority", "versioningOverride"):
            raise Rejected(Code.UNIMPLEMENTED, f"{path} is not implemented")
        if first == "versioningOverride" and rest:
            why = "fields must be updated together"
            if rest not in ("behavior", "deployment"):
                why = "doesn't support partial updates"
            raise invalid_argument(f"error applying update_options: versioning_override {why}")
    return fields


def _is_path(message: Message, path: str) -> bool:
    descriptor: Any = message.DESCRIPTOR
    for name in path.split("."):
        if descriptor is None or name not in descriptor.fields_by_name:
            return False
        descriptor = descriptor.fields_by_name[name].message_type
    return True


# Pauses


def check_pause(
    request: PauseWorkflowExecutionRequest | UnpauseWorkflowExecutionRequest, limits: Limits
) -> WorkflowExecution:
    for name in ("reason", "request_id", "identity"):
        if is_too_long(getattr(request, name), limits):
            raise invalid_argument(f"{name.replace('_', ' ')} is too long.")
    if not request.workflow_id:
        raise invalid_argument("Can't load workflow execution.  WorkflowId not set.")
    check_no_nul(request.workflow_id, "WorkflowId")
    check_run_id(request.run_id, "RunId is not valid UUID.")
    return WorkflowExecution(workflow_id=request.workflow_id, run_id=request.run_id)


# Resets


def check_reset(request: ResetWorkflowExecutionRequest, limits: Limits) -> WorkflowExecution:
    if not request.request_id:
        raise invalid_argument("RequestId is not set on request.")
    if is_too_long(request.request_id, limits):
        raise invalid_argument("RequestId length exceeds limit.")
    execution = check_execution(request, "workflow_execution")
    if request.reset_reapply_type not in ResetReapplyType.values():
        raise invalid_argument(f"unknown ResetReapplyType: {request.reset_reapply_type}")
    return execution


def check_operation(operation: PostResetOperation) -> UpdateOptions:
    """Return the change of options to make after a reset. To be asked of a run that is there."""
    variant = operation.WhichOneof("variant")
    if variant == "update_workflow_options":
        wanted = operation.update_workflow_options
        options = wanted.workflow_execution_options
        _check_mask(options, wanted.update_mask, "error applying update_options")
        return UpdateOptions(options, _option_fields(wanted.update_mask), "")
    # Temporal: with the name that this has in its own language.
    words = "".join(word.capitalize() for word in (variant or "").split("_"))
    name = f"*workflow.PostResetOperation_{words}_" if variant else "<nil>"
    raise invalid_argument(f"unsupported post reset operation: {name}")


# Signals and queries


def check_signal(request: SignalWorkflowExecutionRequest, limits: Limits) -> WorkflowExecution:
    execution = check_execution(request, "workflow_execution")
    if not request.signal_name:
        raise invalid_argument("SignalName is not set on request.")
    if is_too_long(request.signal_name, limits):
        raise invalid_argument("SignalName length exceeds limit.")
    if is_too_long(request.request_id, limits):
        raise invalid_argument("RequestId length exceeds limit.")
    check_links(request.links, limits)
    check_size(request.input, limits)
    return execution


def check_query(request: QueryWorkflowRequest, limits: Limits) -> WorkflowExecution:
    execution = check_execution(request)
    if not request.HasField("query"):
        raise invalid_argument("WorkflowQuery is not set on request.")
    if not request.query.query_type:
        raise invalid_argument("QueryType is not set on request.")
    check_size(request.query.query_args, limits)
    return execution
