"""Operators change the options of a workflow execution that is open."""

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    UpdateWorkflowExecutionOptionsRequest,
    UpdateWorkflowExecutionOptionsResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.workflow.options_update import UpdateOptions
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import (
    check_execution,
    check_no_time_skipping,
    check_priority,
    mask_fields,
)


class WorkflowOptions:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def UpdateWorkflowExecutionOptions(
        self, request: UpdateWorkflowExecutionOptionsRequest, call: Call
    ) -> UpdateWorkflowExecutionOptionsResponse:
        namespace = self._context.namespace(request.namespace)
        execution, fields = _check_options(request)
        key = self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id)
        wanted = UpdateOptions(request.workflow_execution_options, fields, request.identity)
        options = (await self._node.executions.ask(key, wanted)).reply
        assert isinstance(options, WorkflowExecutionOptions)
        return UpdateWorkflowExecutionOptionsResponse(workflow_execution_options=options)


def _check_options(
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
    check_mask(options, request.update_mask, "error parsing UpdateMask")
    check_priority(options.priority)
    check_no_time_skipping(options)
    execution = check_execution(request, "workflow_execution", "RunId is not valid UUID.")
    return execution, option_fields(request.update_mask)


def check_mask(options: WorkflowExecutionOptions, mask: FieldMask, what: str) -> None:
    for path in mask.paths:
        if not _is_path(options, path):
            kind = options.DESCRIPTOR.full_name
            # Temporal: Go's protobuf library writes this odd blank.
            raise invalid_argument(f'{what}: proto:\xa0invalid path "{path}" for message "{kind}"')


def option_fields(mask: FieldMask) -> frozenset[str]:
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
