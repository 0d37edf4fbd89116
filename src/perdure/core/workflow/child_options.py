"""The options of a worker's command to start a child: what is refused, and what is filled in."""

from temporalio.api.command.v1 import StartChildWorkflowExecutionCommandAttributes
from temporalio.api.enums.v1 import (
    ParentClosePolicy,
    TaskQueueKind,
    WorkflowIdReusePolicy,
    WorkflowTaskFailedCause,
)
from temporalio.api.history.v1 import StartChildWorkflowExecutionInitiatedEventAttributes

from perdure.core import cron
from perdure.core.limits import Limits
from perdure.core.search_attributes import drop_nothing
from perdure.core.search_attributes import fault as search_attributes_fault
from perdure.core.times import duration_ns, set_duration
from perdure.core.workflow.history_step import BadCommand, HistoryStep
from perdure.core.workflow.reach import reached_namespace_id
from perdure.core.workflow.validation import (
    NUL,
    check_size,
    duration_fault,
    retry_policy_fault,
    task_queue_fault,
    with_defaults,
)

CAUSE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_START_CHILD_EXECUTION_ATTRIBUTES
COMMAND = "StartChildWorkflowExecutionCommand"


def check_command(step: HistoryStep, wanted: StartChildWorkflowExecutionCommandAttributes) -> str:
    """Refuse what the real server refuses, in its order; fill in what is inherited.

    Return the id of the namespace that the child is to be in.
    """
    state, limits = step.state, step.environment.limits
    namespace_id = reached_namespace_id(step, wanted.namespace, CAUSE)
    wanted.namespace = wanted.namespace or state.namespace
    workflow_id, kind, namespace = wanted.workflow_id, wanted.workflow_type.name, wanted.namespace
    where = f"WorkflowId={workflow_id} WorkflowType={kind} Namespace={namespace}"
    if not workflow_id:
        raise BadCommand(
            CAUSE,
            f"Required field WorkflowId is not set on {COMMAND}."
            f" WorkflowType={kind} Namespace={namespace}",
        )
    if not kind:
        raise BadCommand(
            CAUSE,
            f"Required field WorkflowType is not set on {COMMAND}."
            f" WorkflowId={workflow_id} Namespace={namespace}",
        )
    _check_names(step, wanted)
    for name, timeout in (
        ("WorkflowExecutionTimeout", wanted.workflow_execution_timeout),
        ("WorkflowRunTimeout", wanted.workflow_run_timeout),
        ("WorkflowTaskTimeout", wanted.workflow_task_timeout),
    ):
        fault = duration_fault(timeout)
        if fault is not None:
            raise BadCommand(CAUSE, f"Invalid {name} on {COMMAND}: {fault}. {where}")
    if wanted.HasField("retry_policy"):
        with_defaults(wanted.retry_policy, step.environment.limits.workflow_retries)
        fault = retry_policy_fault(wanted.retry_policy)
        if fault is not None:
            raise BadCommand(CAUSE, f"invalid WorkflowRetryPolicy on {COMMAND}: {fault}. {where}")
    fault = cron.fault(wanted.cron_schedule)
    if fault is not None:
        raise BadCommand(CAUSE, f"invalid CronSchedule on {COMMAND}: {fault}. {where}")
    fault = search_attributes_fault(
        wanted.search_attributes.indexed_fields,
        step.environment.search_attribute_types(namespace_id),
        namespace,
        limits,
    )
    if fault is not None:
        # Temporal: names are looked up before anything else is looked at.
        is_unknown = fault.startswith("Namespace ")
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_BAD_SEARCH_ATTRIBUTES,
            fault
            if is_unknown
            else f"invalid SearchAttributes on StartChildWorkflowCommand: {fault}. {where}",
        )
    if not wanted.task_queue.name:
        wanted.task_queue.name = state.task_queue
    fault = task_queue_fault(wanted.task_queue, limits.max_id_length, state.task_queue)
    if fault is not None:
        kind_name = TaskQueueKind.Name(
            wanted.task_queue.kind or TaskQueueKind.TASK_QUEUE_KIND_NORMAL
        )
        shown = f'name:"{wanted.task_queue.name}" kind:{kind_name}'
        raise BadCommand(
            CAUSE, f"invalid TaskQueue on {COMMAND}: {fault}. {where} TaskQueue={shown}"
        )
    _check_room(step, wanted)
    return namespace_id


def _check_names(step: HistoryStep, wanted: StartChildWorkflowExecutionCommandAttributes) -> None:
    workflow_id, kind, namespace = wanted.workflow_id, wanted.workflow_type.name, wanted.namespace
    limit = step.environment.limits.max_id_length
    for name, value in (("WorkflowId", workflow_id), ("WorkflowType", kind)):
        if NUL in value:
            raise BadCommand(CAUSE, f"{name} on {COMMAND} must not contain a NUL character.")
    length = len(workflow_id.encode())
    if length > limit:
        raise BadCommand(
            CAUSE,
            f"WorkflowId on {COMMAND} exceeds length limit. WorkflowId={workflow_id}"
            f" Length={length} Limit={limit} WorkflowType={kind} Namespace={namespace}",
        )
    length = len(kind.encode())
    if length > limit:
        raise BadCommand(
            CAUSE,
            f"WorkflowType on {COMMAND} exceeds length limit. WorkflowId={workflow_id}"
            f" WorkflowType={kind} Length={length} Limit={limit} Namespace={namespace}",
        )


def _check_room(step: HistoryStep, wanted: StartChildWorkflowExecutionCommandAttributes) -> None:
    limits = step.environment.limits
    for part, size in (("Input", limits.blob_size), ("Memo", limits.memo_size)):
        message = f"{COMMAND}Attributes. {part} exceeds size limit."
        check_size(size, CAUSE, getattr(wanted, part.lower()), message)
    limit = limits.max_pending_children
    if 0 < limit <= len(step.state.children):
        raise BadCommand(
            WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_PENDING_CHILD_WORKFLOWS_LIMIT_EXCEEDED,
            f"the number of pending child workflow executions, {len(step.state.children)},"
            f" has reached the per-workflow limit of {limit}",
        )


def initiated_attributes(
    wanted: StartChildWorkflowExecutionCommandAttributes, namespace_id: str, limits: Limits
) -> StartChildWorkflowExecutionInitiatedEventAttributes:
    execution_timeout = duration_ns(wanted.workflow_execution_timeout)
    run_timeout = duration_ns(wanted.workflow_run_timeout)
    if execution_timeout:
        run_timeout = min(run_timeout or execution_timeout, execution_timeout)
    task_timeout = (
        duration_ns(wanted.workflow_task_timeout) or limits.default_workflow_task_timeout_ns
    )
    if run_timeout:
        task_timeout = min(task_timeout, run_timeout)
    attributes = StartChildWorkflowExecutionInitiatedEventAttributes(
        namespace=wanted.namespace,
        namespace_id=namespace_id,
        workflow_id=wanted.workflow_id,
        workflow_type=wanted.workflow_type,
        task_queue=wanted.task_queue,
        control=wanted.control,
        cron_schedule=wanted.cron_schedule,
        inherit_build_id=wanted.inherit_build_id,
        parent_close_policy=(
            wanted.parent_close_policy or ParentClosePolicy.PARENT_CLOSE_POLICY_TERMINATE
            if limits.heeds_parent_close_policy
            else ParentClosePolicy.PARENT_CLOSE_POLICY_ABANDON
        ),
        workflow_id_reuse_policy=(
            wanted.workflow_id_reuse_policy
            or WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
        ),
    )
    attributes.task_queue.kind = TaskQueueKind.TASK_QUEUE_KIND_NORMAL
    if wanted.HasField("workflow_execution_timeout"):
        attributes.workflow_execution_timeout.CopyFrom(wanted.workflow_execution_timeout)
    set_duration(attributes.workflow_run_timeout, run_timeout)
    set_duration(attributes.workflow_task_timeout, task_timeout)
    for part in ("input", "header", "memo", "search_attributes", "retry_policy", "priority"):
        if wanted.HasField(part):
            getattr(attributes, part).CopyFrom(getattr(wanted, part))
    drop_nothing(attributes)
    return attributes
