"""Clients list and count workflow executions. A list shows what was done before it was asked for.

Filters are read in `core/visibility`; here is what the RPCs make of them.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
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

from perdure.core.errors import invalid_argument, permission_denied
from perdure.core.limits import Limits
from perdure.core.times import set_duration, set_timestamp, timestamp_ns
from perdure.core.visibility.attributes import FIELDS, Attribute
from perdure.core.visibility.filters import (
    EVERYTHING,
    IN_NO_DIVISION,
    All,
    Between,
    Compare,
    Condition,
    Filter,
    IsNull,
    Operator,
)
from perdure.core.visibility.indexing import cleaned
from perdure.core.visibility.parsing import parse_filter
from perdure.core.visibility.values import INT64_MAX, STATUS_NAMES
from perdure.frontend.call import Call
from perdure.frontend.context import Services
from perdure.frontend.protobuf_wire import field, fitting
from perdure.frontend.tokens import ListToken, encode, page_token
from perdure.runtime.namespaces import Namespace
from perdure.runtime.shard.group_commit import unavailable
from perdure.runtime.shard.histories import PAGE_BYTES_MAX
from perdure.store.port import NEVER_NS, StoreError, VisibilityRow
from perdure.store.visibility_rows import list_bytes

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Temporal: frontend.visibilityArchivalQueryMaxPageSize.
ARCHIVED_PAGE_SIZE_MAX = 10_000
#: Of the years that a time may be in, in seconds since 1970.
_INFO_FIELDS = WorkflowExecutionInfo.DESCRIPTOR.fields_by_name
_MEMO_FIELD = _INFO_FIELDS["memo"].number
_ATTRIBUTES_FIELD = _INFO_FIELDS["search_attributes"].number
_LIST_FIELDS = ListWorkflowExecutionsResponse.DESCRIPTOR.fields_by_name
_EXECUTIONS_FIELD = _LIST_FIELDS["executions"].number
_TOKEN_FIELD = _LIST_FIELDS["next_page_token"].number
YEAR_1_S = -62_135_596_800
YEAR_10000_S = 253_402_300_800
_RUNNING = WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING


class Visibility:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._store = services.node.store
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
        namespace = self._services.namespace(request.namespace)
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
        namespace = self._services.namespace(request.namespace)
        _check_allowed(request, self._services.limits(request.namespace))
        filter = _all_of(
            Compare(_attribute("ExecutionStatus"), Operator.EQUAL, _RUNNING),
            *_between("StartTime", request),
            *_named(request),
        )
        return await self._page(
            namespace, filter, request.maximum_page_size, request.next_page_token
        )

    async def ListClosedWorkflowExecutions(
        self, request: ListClosedWorkflowExecutionsRequest, call: Call
    ) -> bytes:
        namespace = self._services.namespace(request.namespace)
        _check_allowed(request, self._services.limits(request.namespace))
        conditions = [
            Compare(_attribute("ExecutionStatus"), Operator.NOT_EQUAL, _RUNNING),
            # Says where the closed ones begin in the order of lists.
            IsNull(_attribute("CloseTime"), is_negated=True),
            *_between("CloseTime", request),
            *_named(request),
        ]
        if request.WhichOneof("filters") == "status_filter":
            status = request.status_filter.status
            if status in (0, _RUNNING):
                raise invalid_argument("StatusFilter must be specified and must be not Running.")
            if status not in STATUS_NAMES:
                raise invalid_argument(
                    f"invalid query: invalid expression: invalid ExecutionStatus value '{status}'"
                )
            conditions.append(Compare(_attribute("ExecutionStatus"), Operator.EQUAL, status))
        return await self._page(
            namespace, _all_of(*conditions), request.maximum_page_size, request.next_page_token
        )

    async def ListArchivedWorkflowExecutions(
        self, request: ListArchivedWorkflowExecutionsRequest, call: Call
    ) -> ListArchivedWorkflowExecutionsResponse:
        self._services.namespace(request.namespace)
        if request.page_size > ARCHIVED_PAGE_SIZE_MAX:
            raise invalid_argument(f"PageSize is larger than allowed {ARCHIVED_PAGE_SIZE_MAX}.")
        raise invalid_argument("Cluster is not configured for visibility archival.")

    async def _filtered(
        self, request: ListWorkflowExecutionsRequest | ScanWorkflowExecutionsRequest
    ) -> bytes:
        namespace = self._services.namespace(request.namespace)
        filter = await self._filter(namespace, request.query)
        return await self._page(namespace, filter, request.page_size, request.next_page_token)

    async def _filter(self, namespace: Namespace, query: str) -> Filter:
        if not query.strip():
            return EVERYTHING
        if not self._has_grammar:
            # Temporal's clients seldom filter: what reads filters is loaded by the first, and holds up nobody else.
            await _loaded(_load_grammar)
            self._has_grammar = True
        return parse_filter(query, namespace.filter_fields())

    async def _page(
        self, namespace: Namespace, filter: Filter, page_size: int, encoded_token: bytes
    ) -> bytes:
        """Return the answer serialized: the fields of all calls that list workflow executions are the same."""
        longest = self._services.limits(namespace.name).visibility_page_size
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
        is_read_in_part = sum(map(list_bytes, rows)) >= PAGE_BYTES_MAX
        # Temporal: a full page has a token, also if nothing comes after it.
        if len(infos) < len(rows) or len(rows) == size or is_read_in_part:
            last = rows[len(infos) - 1]
            token = ListToken(last.close_time_ns, last.start_time_ns, last.run_id)
            answer += field(_TOKEN_FIELD, encode(token))
        return answer


async def _loaded(load: Callable[[], None]) -> None:
    """Have code loaded that is seldom needed. Raises `Rejected` if its files cannot be opened now."""
    try:
        await asyncio.to_thread(load)
    except (ImportError, OSError) as error:
        log.warning("what reads list filters was not loaded", error=str(error))
        raise unavailable(f"what reads list filters cannot be loaded: {error}") from error


async def _read(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except StoreError as error:
        raise unavailable(f"the store cannot be read: {error}") from error


def _load_grammar() -> None:
    import perdure.core.visibility.grammar  # noqa: F401


def _attribute(field: str) -> Attribute:
    assert field in FIELDS
    return Attribute(field, field)


def _all_of(*conditions: Condition) -> Filter:
    return Filter(All((IN_NO_DIVISION, *conditions)))


_ByFields = ListOpenWorkflowExecutionsRequest | ListClosedWorkflowExecutionsRequest


def _between(field: str, request: _ByFields) -> list[Condition]:
    attribute, times = _attribute(field), request.start_time_filter
    earliest = _time_ns(times.earliest_time) if times.HasField("earliest_time") else None
    latest = _time_ns(times.latest_time) if times.HasField("latest_time") else None
    if earliest is not None and latest is not None:
        if earliest > latest:
            raise invalid_argument(
                "EarliestTime in StartTimeFilter should not be larger than LatestTime."
            )
        return [Between(attribute, earliest, latest)]
    if earliest is not None:
        return [Compare(attribute, Operator.GREATER_OR_EQUAL, earliest)]
    if latest is not None:
        return [Compare(attribute, Operator.LESS_OR_EQUAL, latest)]
    return []


def _time_ns(time: Timestamp) -> int:
    """Return a time, or the nearest that 64 bits can hold. Raises `Rejected` for one that cannot be written."""
    if not YEAR_1_S <= time.seconds < YEAR_10000_S:
        raise invalid_argument(
            f"invalid query: invalid expression: unable to parse datetime '{time.seconds}'"
        )
    return max(-INT64_MAX, min(INT64_MAX, timestamp_ns(time)))


def _check_allowed(request: _ByFields, limits: Limits) -> None:
    if limits.refuses_filtered_lists and request.WhichOneof("filters"):
        raise permission_denied("List is disabled on this namespace.")


def _named(request: _ByFields) -> list[Condition]:
    match request.WhichOneof("filters"):
        case "execution_filter":
            field, name = "WorkflowId", request.execution_filter.workflow_id
        case "type_filter":
            field, name = "WorkflowType", request.type_filter.name
        case _:
            return []
    return [Compare(_attribute(field), Operator.EQUAL, cleaned(name))]


def _keyword(text: str) -> Payload:
    return Payload(
        metadata={"encoding": b"json/plain", "type": b"Keyword"},
        data=json.dumps(text, ensure_ascii=False).encode(),
    )


def execution_info(row: VisibilityRow, attribute_names: Mapping[str, str] | None = None) -> bytes:
    """Return a serialized `WorkflowExecutionInfo`. `attribute_names`: see `Namespace.stored_attribute_names`."""
    info = WorkflowExecutionInfo(
        status=WorkflowExecutionStatus.ValueType(row.status),
        task_queue=row.task_queue,
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
    parts = info.SerializeToString(), field(_MEMO_FIELD, row.memo)
    attributes = _shown_attributes(row.search_attributes, attribute_names)
    return b"".join((*parts, field(_ATTRIBUTES_FIELD, attributes)))


def _shown_attributes(stored: bytes, names: Mapping[str, str] | None) -> bytes:
    if names is None:
        return stored
    found = SearchAttributes.FromString(stored).indexed_fields
    shown = {names[name]: payload for name, payload in found.items() if name in names}
    return SearchAttributes(indexed_fields=shown).SerializeToString()
