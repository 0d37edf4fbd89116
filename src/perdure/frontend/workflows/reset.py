"""Clients reset a workflow to one of its workflow tasks."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType, ResetReapplyType
from temporalio.api.workflow.v1 import PostResetOperation
from temporalio.api.workflowservice.v1 import (
    ResetWorkflowExecutionRequest,
    ResetWorkflowExecutionResponse,
)

from perdure.core.errors import Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.core.workflow.options_update import UpdateOptions
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution, is_too_long
from perdure.frontend.workflows.options import check_mask, option_fields
from perdure.runtime.executions import Reset

#: Temporal: the older way to name the events that a reset does not apply again.
_EXCLUDED = {
    ResetReapplyType.RESET_REAPPLY_TYPE_UNSPECIFIED: (),
    ResetReapplyType.RESET_REAPPLY_TYPE_ALL_ELIGIBLE: (),
    ResetReapplyType.RESET_REAPPLY_TYPE_SIGNAL: (
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ),
    ResetReapplyType.RESET_REAPPLY_TYPE_NONE: (
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ),
}


class WorkflowResets:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def ResetWorkflowExecution(
        self, request: ResetWorkflowExecutionRequest, call: Call
    ) -> ResetWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = _check_reset(request, self._context.limits(request.namespace))
        key = self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id)
        reset = Reset(
            event_id=request.workflow_task_finish_event_id,
            reason=request.reason,
            request_id=request.request_id,
            excluded=frozenset(
                (*request.reset_reapply_exclude_types, *_EXCLUDED[request.reset_reapply_type])
            ),
            operations=[_operation(each) for each in request.post_reset_operations],
        )
        run_id = await self._node.executions.reset(key, reset)
        return ResetWorkflowExecutionResponse(run_id=run_id)


def _check_reset(request: ResetWorkflowExecutionRequest, limits: Limits) -> WorkflowExecution:
    if not request.request_id:
        raise invalid_argument("RequestId is not set on request.")
    if is_too_long(request.request_id, limits):
        raise invalid_argument("RequestId length exceeds limit.")
    execution = check_execution(request, "workflow_execution")
    if request.reset_reapply_type not in ResetReapplyType.values():
        raise invalid_argument(f"unknown ResetReapplyType: {request.reset_reapply_type}")
    return execution


def _operation(operation: PostResetOperation) -> UpdateOptions | Rejected:
    """Return the change of options to make after a reset, or its refusal. Temporal: it counts once the run is found."""
    try:
        return _options_update(operation)
    except Rejected as refusal:
        return refusal


def _options_update(operation: PostResetOperation) -> UpdateOptions:
    variant = operation.WhichOneof("variant")
    if variant == "update_workflow_options":
        wanted = operation.update_workflow_options
        options = wanted.workflow_execution_options
        check_mask(options, wanted.update_mask, "error applying update_options")
        return UpdateOptions(options, option_fields(wanted.update_mask), "")
    # Temporal: the text has the variant's name in Go.
    words = "".join(word.capitalize() for word in (variant or "").split("_"))
    name = f"*workflow.PostResetOperation_{words}_" if variant else "<nil>"
    raise invalid_argument(f"unsupported post reset operation: {name}")
