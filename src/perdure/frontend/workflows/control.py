"""Clients signal, cancel, terminate, pause and delete a workflow execution."""

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DeleteWorkflowExecutionResponse,
    PauseWorkflowExecutionRequest,
    PauseWorkflowExecutionResponse,
    RequestCancelWorkflowExecutionRequest,
    RequestCancelWorkflowExecutionResponse,
    SignalWorkflowExecutionRequest,
    SignalWorkflowExecutionResponse,
    TerminateWorkflowExecutionRequest,
    TerminateWorkflowExecutionResponse,
    UnpauseWorkflowExecutionRequest,
    UnpauseWorkflowExecutionResponse,
)

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.execution.key import ExecutionKey
from perdure.core.limits import Limits
from perdure.core.workflow.cancellation import RequestCancel
from perdure.core.workflow.lifecycle.close import Terminate
from perdure.core.workflow.lifecycle.pause import Pause, Unpause
from perdure.core.workflow.signals import Signal
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import (
    check_execution,
    check_no_nul,
    check_run_id,
    check_size,
    is_too_long,
)
from perdure.frontend.validation.links import check_links
from perdure.frontend.workflows.event_links import link_to_signal


class WorkflowControl:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def SignalWorkflowExecution(
        self, request: SignalWorkflowExecutionRequest, call: Call
    ) -> SignalWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = _check_signal(request, self._context.limits(request.namespace))
        signal = Signal(
            name=request.signal_name,
            input=request.input if request.HasField("input") else None,
            identity=request.identity,
            request_id=request.request_id,
            header=request.header if request.HasField("header") else None,
            links=tuple(request.links),
        )
        answer = await self._node.executions.ask(self._key(namespace.id, execution), signal)
        return SignalWorkflowExecutionResponse(
            link=link_to_signal(
                request.namespace, execution.workflow_id, answer.key.run_id, request.request_id
            )
        )

    async def RequestCancelWorkflowExecution(
        self, request: RequestCancelWorkflowExecutionRequest, call: Call
    ) -> RequestCancelWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        check_links(request.links, self._context.limits(request.namespace))
        await self._node.executions.ask(
            self._chain(namespace.id, execution, request.first_execution_run_id),
            RequestCancel(
                reason=request.reason,
                identity=request.identity,
                request_id=request.request_id,
                first_execution_run_id=request.first_execution_run_id,
                links=tuple(request.links),
            ),
        )
        return RequestCancelWorkflowExecutionResponse()

    async def TerminateWorkflowExecution(
        self, request: TerminateWorkflowExecutionRequest, call: Call
    ) -> TerminateWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        check_links(request.links, self._context.limits(request.namespace))
        await self._node.executions.ask(
            self._chain(namespace.id, execution, request.first_execution_run_id),
            Terminate(
                reason=request.reason or "terminated by user via frontend",
                details=request.details if request.HasField("details") else None,
                identity=request.identity or "frontend-service",
                first_execution_run_id=request.first_execution_run_id,
                links=tuple(request.links),
            ),
        )
        return TerminateWorkflowExecutionResponse()

    async def PauseWorkflowExecution(
        self, request: PauseWorkflowExecutionRequest, call: Call
    ) -> PauseWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        limits = self._context.limits(request.namespace)
        if not limits.enable_pause:
            raise Rejected(
                Code.UNIMPLEMENTED,
                f"workflow pause is not enabled for namespace: {request.namespace}",
            )
        execution = _check_pause(request, limits)
        await self._node.executions.ask(
            self._key(namespace.id, execution),
            Pause(request.identity, request.reason, request.request_id),
        )
        return PauseWorkflowExecutionResponse()

    async def UnpauseWorkflowExecution(
        self, request: UnpauseWorkflowExecutionRequest, call: Call
    ) -> UnpauseWorkflowExecutionResponse:
        # Temporal: a paused workflow can be unpaused even if pausing is not enabled any more.
        namespace = self._context.namespace(request.namespace)
        execution = _check_pause(request, self._context.limits(request.namespace))
        await self._node.executions.ask(
            self._key(namespace.id, execution),
            Unpause(request.identity, request.reason, request.request_id),
        )
        return UnpauseWorkflowExecutionResponse()

    async def DeleteWorkflowExecution(
        self, request: DeleteWorkflowExecutionRequest, call: Call
    ) -> DeleteWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request, "workflow_execution")
        await self._node.executions.delete(self._key(namespace.id, execution))
        return DeleteWorkflowExecutionResponse()

    def _chain(
        self, namespace_id: str, execution: WorkflowExecution, first_run_id: str
    ) -> ExecutionKey:
        """Temporal: a request that names the first run of a chain means the last run, whatever run id it has."""
        run_id = "" if first_run_id else execution.run_id
        return self._node.executions.key(namespace_id, execution.workflow_id, run_id)

    def _key(self, namespace_id: str, execution: WorkflowExecution) -> ExecutionKey:
        return self._node.executions.key(namespace_id, execution.workflow_id, execution.run_id)


def _check_signal(request: SignalWorkflowExecutionRequest, limits: Limits) -> WorkflowExecution:
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


def _check_pause(
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
