"""Clients list and count workflow executions. A list shows all changes that were durable when the call came.

`core/visibility` parses the filters.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from temporalio.api.common.v1 import Payload
from temporalio.api.workflowservice.v1 import (
    CountWorkflowExecutionsRequest,
    CountWorkflowExecutionsResponse,
    ListArchivedWorkflowExecutionsRequest,
    ListArchivedWorkflowExecutionsResponse,
    ListClosedWorkflowExecutionsRequest,
    ListOpenWorkflowExecutionsRequest,
    ListWorkflowExecutionsRequest,
    ListWorkflowExecutionsResponse,
    ScanWorkflowExecutionsRequest,
)

from perdure.core.errors import invalid_argument, permission_denied, unavailable
from perdure.core.limits import Limits
from perdure.core.visibility.filters import (
    EVERYTHING,
    Filter,
)
from perdure.core.visibility.parsing import parse_filter
from perdure.core.visibility.values import STATUS_NAMES
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import field, fitting
from perdure.frontend.tokens import ListToken, encode, page_token
from perdure.frontend.visibility.execution_info import execution_info
from perdure.frontend.visibility.field_filters import (
    ListByFieldsRequest,
    closed_executions,
    open_executions,
)
from perdure.runtime.executions import PAGE_BYTES_MAX
from perdure.runtime.namespaces import Namespace
from perdure.store.port import NEVER_NS, StoreError

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Temporal: frontend.visibilityArchivalQueryMaxPageSize.
ARCHIVED_PAGE_SIZE_MAX = 10_000
_LIST_FIELDS = ListWorkflowExecutionsResponse.DESCRIPTOR.fields_by_name
_EXECUTIONS_FIELD = _LIST_FIELDS["executions"].number
_TOKEN_FIELD = _LIST_FIELDS["next_page_token"].number


class WorkflowLists:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.node.store
        self._has_grammar = False

    # By a filter

    async def ListWorkflowExecutions(
        self, request: ListWorkflowExecutionsRequest, call: Call
    ) -> bytes:
        return await self._filtered(request)

    async def ScanWorkflowExecutions(
        self, request: ScanWorkflowExecutionsRequest, call: Call
    ) -> bytes:
        return await self._filtered(request)

    async def CountWorkflowExecutions(
        self, request: CountWorkflowExecutionsRequest, call: Call
    ) -> CountWorkflowExecutionsResponse:
        namespace = self._context.namespace(request.namespace)
        filter = await self._filter(namespace, request.query)
        if filter.group_by is None:
            count = await _read(self._store.count_visibility(namespace.id, filter))
            return CountWorkflowExecutionsResponse(count=count)
        groups = await _read(self._store.count_groups(namespace.id, filter))
        response = CountWorkflowExecutionsResponse(count=sum(count for _, count in groups))
        for value, count in groups:
            group = response.groups.add(count=count)
            group.group_values.append(
                _keyword(STATUS_NAMES[value] if isinstance(value, int) else value)
            )
        return response

    # By fields of the request

    async def ListOpenWorkflowExecutions(
        self, request: ListOpenWorkflowExecutionsRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        _check_allowed(request, self._context.limits(request.namespace))
        filter = open_executions(request)
        return await self._page(
            namespace, filter, request.maximum_page_size, request.next_page_token
        )

    async def ListClosedWorkflowExecutions(
        self, request: ListClosedWorkflowExecutionsRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        _check_allowed(request, self._context.limits(request.namespace))
        filter = closed_executions(request)
        return await self._page(
            namespace, filter, request.maximum_page_size, request.next_page_token
        )

    async def ListArchivedWorkflowExecutions(
        self, request: ListArchivedWorkflowExecutionsRequest, call: Call
    ) -> ListArchivedWorkflowExecutionsResponse:
        self._context.namespace(request.namespace)
        if request.page_size > ARCHIVED_PAGE_SIZE_MAX:
            raise invalid_argument(f"PageSize is larger than allowed {ARCHIVED_PAGE_SIZE_MAX}.")
        raise invalid_argument("Cluster is not configured for visibility archival.")

    async def _filtered(
        self, request: ListWorkflowExecutionsRequest | ScanWorkflowExecutionsRequest
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        filter = await self._filter(namespace, request.query)
        return await self._page(namespace, filter, request.page_size, request.next_page_token)

    async def _filter(self, namespace: Namespace, query: str) -> Filter:
        if not query.strip():
            return EVERYTHING
        if not self._has_grammar:
            # Clients seldom filter: the first filter loads the grammar, and no other call waits for that.
            await _loaded(_load_grammar)
            self._has_grammar = True
        return parse_filter(query, namespace.filter_fields())

    async def _page(
        self, namespace: Namespace, filter: Filter, page_size: int, encoded_token: bytes
    ) -> bytes:
        """Return the answer serialized. The responses of all list calls have the same fields."""
        longest = self._context.limits(namespace.name).visibility_page_size
        size = page_size if 0 < page_size < longest else longest
        after = None
        if encoded_token:
            token = page_token(encoded_token, ListToken)
            after = token.close_time_ns or NEVER_NS, token.start_time_ns, token.run_id
        rows = await _read(
            self._store.list_visibility(
                namespace.id,
                limit=size,
                after=after,
                filter=filter,
                bytes_max=PAGE_BYTES_MAX,
            )
        )
        names = namespace.stored_attribute_names()
        infos = list(fitting(execution_info(row, names) for row in rows))
        answer = b"".join(field(_EXECUTIONS_FIELD, info) for info in infos)
        is_read_in_part = sum(row.large_bytes for row in rows) >= PAGE_BYTES_MAX
        # Temporal: a full page has a token, even if no row comes after it.
        if len(infos) < len(rows) or len(rows) == size or is_read_in_part:
            last = rows[len(infos) - 1]
            token = ListToken(last.close_time_ns, last.start_time_ns, last.run_id)
            answer += field(_TOKEN_FIELD, encode(token))
        return answer


async def _loaded(load: Callable[[], None]) -> None:
    """Load code that is seldom needed, beside the event loop. Raises `Rejected` if its files cannot be opened."""
    try:
        await asyncio.to_thread(load)
    except (ImportError, OSError) as error:
        log.warning("cannot load the grammar of list filters", error=str(error))
        raise unavailable(f"cannot load the grammar of list filters: {error}") from error


async def _read(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except StoreError as error:
        raise unavailable(f"the store cannot be read: {error}") from error


def _load_grammar() -> None:
    import perdure.core.visibility.grammar  # noqa: F401


def _check_allowed(request: ListByFieldsRequest, limits: Limits) -> None:
    if limits.refuses_filtered_lists and request.WhichOneof("filters"):
        raise permission_denied("List is disabled on this namespace.")


def _keyword(text: str) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain", "type": b"Keyword"},
        data=json.dumps(text, ensure_ascii=False).encode(),
    )
