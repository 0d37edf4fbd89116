"""Clients start a workflow and update it with one call: both happen, or neither does."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.any_pb2 import Any as AnyMessage
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.errordetails.v1 import MultiOperationExecutionFailure
from temporalio.api.failure.v1 import MultiOperationExecutionAborted
from temporalio.api.workflowservice.v1 import (
    ExecuteMultiOperationRequest,
    ExecuteMultiOperationResponse,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.times import duration_ns
from perdure.core.workflow.start_workflow import StartReply, StartWorkflow
from perdure.core.workflow.updates import AdmitUpdate
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution
from perdure.frontend.workflows.event_links import link_to_start
from perdure.frontend.workflows.start_validation import Policies, check_start
from perdure.frontend.workflows.updates import check_update, update_response, wait
from perdure.runtime.delivery.updates import UpdateReply
from perdure.runtime.namespaces import Namespace
from perdure.runtime.replies import StartFailed, UpdateFailed

T = TypeVar("T")

_MESSAGE = "Update-with-Start could not be executed."
_ABORTED_BY_CLOSING = "workflow update was aborted by closing workflow"


class MultiOperation:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def ExecuteMultiOperation(
        self, request: ExecuteMultiOperationRequest, call: Call
    ) -> ExecuteMultiOperationResponse:
        namespace = self._context.namespace(request.namespace)
        operations = request.operations
        if [each.WhichOneof("operation") for each in operations] != [
            "start_workflow",
            "update_workflow",
        ]:
            raise invalid_argument("Operations have to be exactly [Start, Update].")
        start, update = operations[0].start_workflow, operations[1].update_workflow
        policies, stage = self._check(namespace, start, update)
        start.request_id = start.request_id or self._node.fresh_id()
        admit = AdmitUpdate(
            update.request.meta.update_id,
            update.request.SerializeToString(),
            request_id=update.request.request_id,
            callbacks=tuple(update.request.completion_callbacks),
        )
        asked = StartWorkflow(namespace.id, start, *policies, update=admit)
        key = self._node.executions.key(namespace.id, start.workflow_id)
        until = wait(call, stage, self._context.limits(request.namespace))
        has_tried = False
        while True:
            try:
                reply = await self._node.updates.update_with_start(key, asked, until)
                return _response(start, update, *reply)
            except StartFailed as error:
                raise _failed([error.refusal, None]) from error
            except UpdateFailed as error:
                was_closing = error.refusal.message == _ABORTED_BY_CLOSING and not error.started
                if was_closing and not has_tried:
                    has_tried = True
                    continue
                refusal = error.refusal
                if was_closing:
                    # Temporal: the client should try again.
                    refusal = Rejected(Code.ABORTED, refusal.message)
                raise _failed([None, refusal], is_started=error.started) from error

    def _check(
        self,
        namespace: Namespace,
        start: StartWorkflowExecutionRequest,
        update: UpdateWorkflowExecutionRequest,
    ) -> tuple[Policies, int]:
        types = self._context.namespaces.search_attribute_types(namespace.id)

        def check_start_operation() -> Policies:
            if start.namespace and start.namespace != namespace.name:
                raise invalid_argument("Operation namespace did not match request's namespace.")
            start.namespace = namespace.name
            policies = check_start(start, types, self._context.limits(namespace.name))
            if start.cron_schedule:
                raise invalid_argument("CronSchedule is not allowed.")
            if start.request_eager_execution:
                raise invalid_argument("RequestEagerExecution is not supported.")
            if duration_ns(start.workflow_start_delay) > 0:
                raise invalid_argument("WorkflowStartDelay is not supported.")
            return policies

        def check_update_operation() -> int:
            if update.namespace and update.namespace != namespace.name:
                raise invalid_argument("Operation namespace did not match request's namespace.")
            update.namespace = namespace.name
            check_execution(update, "workflow_execution")
            stage = check_update(
                update, self._node.fresh_id(), self._context.limits(namespace.name)
            )
            if update.first_execution_run_id:
                raise invalid_argument("FirstExecutionRunId is not allowed.")
            if update.workflow_execution.run_id:
                raise invalid_argument("RunId is not allowed.")
            return stage

        policies, start_refusal = _tried(check_start_operation)
        stage, update_refusal = _tried(check_update_operation)
        if (
            start_refusal is None
            and update_refusal is None
            and start.workflow_id != update.workflow_execution.workflow_id
        ):
            update_refusal = invalid_argument(
                "WorkflowId is not consistent with previous operation(s)."
            )
        if policies is None or stage is None or update_refusal is not None:
            raise _failed([start_refusal, update_refusal])
        return policies, stage


def _tried(check: Callable[[], T]) -> tuple[T | None, Rejected | None]:
    try:
        return check(), None
    except Rejected as refusal:
        return None, refusal


def _response(
    start: StartWorkflowExecutionRequest,
    update: UpdateWorkflowExecutionRequest,
    started: StartReply,
    updated: UpdateReply,
) -> ExecuteMultiOperationResponse:
    response = ExecuteMultiOperationResponse()
    first = response.responses.add().start_workflow
    first.run_id = started.run_id
    first.first_execution_run_id = started.first_run_id
    first.started = started.started
    first.status = WorkflowExecutionStatus.ValueType(started.status)
    second = response.responses.add().update_workflow
    second.CopyFrom(update_response(update, updated))
    if updated.was_done:
        # Temporal: then there are no links.
        second.ClearField("link")
    else:
        first.link.CopyFrom(link_to_start(start.namespace, start.workflow_id, started.run_id))
    return response


def _failed(refusals: Sequence[Rejected | None], *, is_started: bool = False) -> Rejected:
    """Temporal: the first real refusal gives the code; the other operation is aborted, or was carried out."""
    detail = MultiOperationExecutionFailure()
    code: Code | None = None
    for index, refusal in enumerate(refusals):
        status = detail.statuses.add()
        if refusal is not None:
            code = code or refusal.code
            status.code, status.message = int(refusal.code), refusal.message
            if refusal.detail is not None:
                status.details.add().Pack(refusal.detail)
        elif not (is_started and index == 0):
            status.code, status.message = int(Code.ABORTED), "Operation was aborted."
            packed = AnyMessage()
            packed.Pack(MultiOperationExecutionAborted())
            status.details.append(packed)
    return Rejected(code or Code.ABORTED, _MESSAGE, detail)
