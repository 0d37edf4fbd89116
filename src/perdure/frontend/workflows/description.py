"""Clients describe a workflow execution."""

from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)

from perdure.core.workflow.views import Describe
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution


class WorkflowDescriptions:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def DescribeWorkflowExecution(
        self, request: DescribeWorkflowExecutionRequest, call: Call
    ) -> DescribeWorkflowExecutionResponse:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        key = self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id)
        return (await self._node.executions.read(key, Describe())).reply
