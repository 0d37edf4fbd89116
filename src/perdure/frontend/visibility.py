"""Clients list and count workflow executions. A list shows what was started before it was asked for."""

from temporalio.api.common.v1 import Memo, SearchAttributes
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    CountWorkflowExecutionsResponse,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
)

from perdure.core.errors import Code, Rejected
from perdure.core.workflow.times import set_duration, set_timestamp
from perdure.frontend.call import Call
from perdure.frontend.services import Services
from perdure.frontend.tokens import ListToken, encode, list_token
from perdure.runtime.group_commit import unavailable
from perdure.store.port import NEVER_NS, StoreError, VisibilityRow

#: Temporal: frontend.visibilityMaxPageSize.


class Visibility:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.node.store

    async def ListWorkflowExecutions(
        self, request: ListWorkflowExecutionsRequest, call: Call
    ) -> ListWorkflowExecutionsResponse:
        namespace = self._services.namespace(request.namespace)
        _refuse_filter(request.query)
        longest = self._services.limits(request.namespace).visibility_page_size
        size = request.page_size if 0 < request.page_size < longest else longest
        after = None
        if request.next_page_token:
            token = list_token(request.next_page_token)
            after = token.close_time_ns or NEVER_NS, token.start_time_ns, token.run_id
        try:
            rows = await self._store.list_visibility(namespace.id, limit=size + 1, after=after)
        except StoreError as error:
            raise unavailable(f"the store cannot be read: {error}") from error
        response = ListWorkflowExecutionsResponse(
            executions=[execution_info(row) for row in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1]
            response.next_page_token = encode(
                ListToken(last.close_time_ns, last.start_time_ns, last.run_id)
            )
        return response

    async def CountWorkflowExecutions(
        self, request: CountWorkflowExecutionsRequest, call: Call
    ) -> CountWorkflowExecutionsResponse:
        namespace = self._services.namespace(request.namespace)
        _refuse_filter(request.query)
        try:
            count = await self._store.count_visibility(namespace.id)
        except StoreError as error:
            raise unavailable(f"the store cannot be read: {error}") from error
        return CountWorkflowExecutionsResponse(count=count)


def _refuse_filter(query: str) -> None:
    if query.strip():
        raise Rejected(Code.UNIMPLEMENTED, "list filters (query) are not implemented")


def execution_info(row: VisibilityRow) -> WorkflowExecutionInfo:
    info = WorkflowExecutionInfo(
        status=WorkflowExecutionStatus.ValueType(row.status),
        task_queue=row.task_queue,
        memo=Memo.FromString(row.memo),
        search_attributes=SearchAttributes.FromString(row.search_attributes),
        history_length=row.history_length,
        history_size_bytes=row.history_size_bytes,
        state_transition_count=row.state_transition_count,
    )
    info.execution.workflow_id, info.execution.run_id = row.workflow_id, row.run_id
    info.type.name = row.workflow_type
    info.root_execution.workflow_id = row.root_workflow_id
    info.root_execution.run_id = row.root_run_id
    if row.parent_workflow_id:
        info.parent_execution.workflow_id = row.parent_workflow_id
        info.parent_execution.run_id = row.parent_run_id
    set_timestamp(info.start_time, row.start_time_ns)
    set_timestamp(info.execution_time, row.execution_time_ns)
    if row.close_time_ns:
        set_timestamp(info.close_time, row.close_time_ns)
        set_duration(info.execution_duration, max(0, row.close_time_ns - row.execution_time_ns))
    return info
