"""Clients query a workflow, and wait until one of its workers answers."""

import asyncio

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import QueryResultType
from temporalio.api.errordetails.v1 import QueryFailedFailure
from temporalio.api.query.v1 import QueryRejected, WorkflowQueryResult
from temporalio.api.workflowservice.v1 import QueryWorkflowRequest, QueryWorkflowResponse

from perdure.core.errors import Code, Rejected, invalid_argument
from perdure.core.limits import Limits
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.validation.fields import check_execution, check_size

#: Temporal: a call without a deadline may take this long.
DEFAULT_TIMEOUT_S = 30.0
#: A query ends this long before the caller's deadline, so that the caller gets an answer.
MARGIN_S = 0.02


class WorkflowQueries:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._node = context.node

    async def QueryWorkflow(
        self, request: QueryWorkflowRequest, call: Call
    ) -> QueryWorkflowResponse:
        namespace = self._context.namespace(request.namespace)
        limits = self._context.limits(request.namespace)
        if limits.refuses_queries:
            raise invalid_argument(
                "Namespace is not allowed to query, please contact temporal team to re-enable queries."
            )
        execution = _check_query(request, limits)
        now = asyncio.get_running_loop().time()
        deadline = call.deadline - MARGIN_S if call.deadline else now + DEFAULT_TIMEOUT_S
        answer = await self._node.queries.ask(
            self._node.executions.key(namespace.id, execution.workflow_id, execution.run_id),
            request.query,
            request.query_reject_condition,
            deadline,
        )
        if isinstance(answer, QueryRejected):
            return QueryWorkflowResponse(query_rejected=answer)
        result = WorkflowQueryResult.FromString(answer)
        if result.result_type == QueryResultType.QUERY_RESULT_TYPE_FAILED:
            raise Rejected(
                Code.INVALID_ARGUMENT,
                result.error_message,
                QueryFailedFailure(failure=result.failure if result.HasField("failure") else None),
            )
        response = QueryWorkflowResponse()
        if result.HasField("answer"):
            response.query_result.CopyFrom(result.answer)
        return response


def _check_query(request: QueryWorkflowRequest, limits: Limits) -> WorkflowExecution:
    execution = check_execution(request)
    if not request.HasField("query"):
        raise invalid_argument("WorkflowQuery is not set on request.")
    if not request.query.query_type:
        raise invalid_argument("QueryType is not set on request.")
    check_size(request.query.query_args, limits)
    return execution
