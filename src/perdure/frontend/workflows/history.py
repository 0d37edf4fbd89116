"""Clients and workers read a run's history: page by page, from either end, or as it grows.

Pages are bytes from the journal to the socket: events are not decoded on the way. A history shows durable events, and
after them the workflow task that a worker holds.
"""

import asyncio
from typing import TypeVar

from temporalio.api.common.v1 import DataBlob
from temporalio.api.enums.v1 import EncodingType, EventType, HistoryEventFilterType
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    GetWorkflowExecutionHistoryReverseRequest,
    GetWorkflowExecutionHistoryReverseResponse,
)

from perdure.core.errors import invalid_argument
from perdure.core.execution.key import ExecutionKey
from perdure.core.limits import Limits
from perdure.core.workflow.lifecycle.close import TIMED_OUT
from perdure.core.workflow.records import encode_events
from perdure.core.workflow.views import HistoryEnd, ReadHistoryEnd
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import with_submessage
from perdure.frontend.tokens import HistoryToken, ReverseHistoryToken, encode, page_token
from perdure.frontend.validation.fields import check_execution
from perdure.runtime.executions import Answer

#: Temporal: the operator's limit does not bind a client that asks for a number of events. This one does.
_PAGE_EVENTS_MAX = 256
#: A client that can follow a run to the next one sends this feature.
_FOLLOWS = "follows-next-run-id"
#: Temporal: a long poll ends this long before the caller's deadline.
LONG_POLL_MARGIN_S = 1.0

_HISTORY_FIELD = GetWorkflowExecutionHistoryResponse.DESCRIPTOR.fields_by_name["history"].number
_REVERSE_FIELD = GetWorkflowExecutionHistoryReverseResponse.DESCRIPTOR.fields_by_name[
    "history"
].number


Token = TypeVar("Token", HistoryToken, ReverseHistoryToken)


class WorkflowHistory:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._executions = context.node.executions

    async def GetWorkflowExecutionHistory(
        self, request: GetWorkflowExecutionHistoryRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        token = _token(request.next_page_token, execution.run_id, HistoryToken)
        run_id = token.run_id if token else execution.run_id
        key = self._executions.key(namespace.id, execution.workflow_id, run_id)
        limits = self._context.limits(request.namespace)
        end = await self._end(key, limits)
        deadline = self._long_poll_deadline(call, limits)
        if (
            request.history_event_filter_type
            == HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        ):
            follows = _FOLLOWS in call.metadata.get("supported-features", "").split(",")
            return await self._close_event(end, request.wait_new_event, deadline, follows, limits)
        if request.wait_new_event:
            return await self._followed(end, request, token, deadline, limits)
        return await self._page(end, request.maximum_page_size, token, limits, follows=False)

    def _long_poll_deadline(self, call: Call, limits: Limits) -> float:
        now = asyncio.get_running_loop().time()
        latest = now + limits.long_poll_ns / 1e9
        if call.deadline is not None:
            latest = max(now, min(call.deadline - LONG_POLL_MARGIN_S, latest))
        return self._context.spread(now, latest)

    async def _end(self, key: ExecutionKey, limits: Limits) -> Answer[HistoryEnd]:
        return await self._executions.read(key, ReadHistoryEnd(limits.shows_transient_tasks))

    async def _page(
        self,
        end: Answer[HistoryEnd],
        page_size: int,
        token: HistoryToken | None,
        limits: Limits,
        *,
        follows: bool,
    ) -> bytes:
        """Return what there is now, without waiting."""
        (there, key), (first, after_seq) = end, (1, 0)
        if token:
            first, after_seq = token.next_event_id, token.after_seq
        page = await self._executions.page(
            key,
            first,
            there.end_event_id,
            events_max=_page_events(page_size, limits),
            after_seq=after_seq,
        )
        events, next_event_id = page.events, max(page.next_event_id, first)
        is_last = next_event_id >= there.end_event_id
        if is_last and not follows:
            events += encode_events(there.unrecorded)
        response = GetWorkflowExecutionHistoryResponse()
        if not is_last or (follows and there.is_open):
            response.next_page_token = encode(
                HistoryToken(key.run_id, next_event_id, page.after_seq, follows)
            )
        return _response(response, events, limits)

    async def _followed(
        self,
        end: Answer[HistoryEnd],
        request: GetWorkflowExecutionHistoryRequest,
        token: HistoryToken | None,
        deadline: float,
        limits: Limits,
    ) -> bytes:
        first = token.next_event_id if token else 1
        while end.reply.is_open and end.reply.end_event_id <= first:
            last_event_id = end.reply.end_event_id - 1
            has_happened = await self._executions.follow(end.key, last_event_id, deadline)
            end = await self._end(end.key, limits)
            if not has_happened:
                break
        return await self._page(end, request.maximum_page_size, token, limits, follows=True)

    async def _close_event(
        self,
        end: Answer[HistoryEnd],
        waits: bool,
        deadline: float,
        follows: bool,
        limits: Limits,
    ) -> bytes:
        while end.reply.is_open:
            if not await self._executions.follow(end.key, 0, deadline, only_the_end=True):
                break
            end = await self._end(end.key, limits)
        response = GetWorkflowExecutionHistoryResponse()
        if end.reply.is_open:
            if waits:
                response.next_page_token = encode(HistoryToken(end.key.run_id, 1, follows=True))
            return with_submessage(response, _HISTORY_FIELD, b"")
        events = await self._executions.last_event(end.key, end.reply.end_event_id)
        # Temporal: a raw event is never replaced.
        if end.reply.new_run_id and not follows and not limits.sends_raw_history:
            events = encode_events([_continued_as_new(History.FromString(events).events[0])])
        return _response(response, events, limits)

    async def GetWorkflowExecutionHistoryReverse(
        self, request: GetWorkflowExecutionHistoryReverseRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        token = _token(request.next_page_token, execution.run_id, ReverseHistoryToken)
        run_id = token.run_id if token else execution.run_id
        limits = self._context.limits(request.namespace)
        there, key = await self._executions.read(
            self._executions.key(namespace.id, execution.workflow_id, run_id), ReadHistoryEnd()
        )
        # Temporal: from this end, a workflow task that is in memory only is not shown.
        at_the_end = () if token else there.unrecorded
        page = await self._executions.page_back(
            key,
            token.next_event_id if token else there.end_event_id,
            events_max=_page_events(request.maximum_page_size, limits),
            before_seq=token.before_seq if token else 0,
        )
        response = GetWorkflowExecutionHistoryReverseResponse()
        if page.next_event_id > 1:
            response.next_page_token = encode(
                ReverseHistoryToken(key.run_id, page.next_event_id, page.after_seq)
            )
        return with_submessage(response, _REVERSE_FIELD, encode_events(at_the_end) + page.events)


def _response(
    response: GetWorkflowExecutionHistoryResponse, events: bytes, limits: Limits
) -> bytes:
    """Add the events to the response: raw, or decoded, as the namespace is configured."""
    if events and limits.sends_raw_history:
        blob = DataBlob(encoding_type=EncodingType.ENCODING_TYPE_PROTO3, data=events)
        response.raw_history.append(blob)
        events = b""
    return with_submessage(response, _HISTORY_FIELD, events)


def _continued_as_new(event: HistoryEvent) -> HistoryEvent:
    """Temporal: a client that does not know that a run can fail and go on is shown something that it can follow."""
    shown = HistoryEvent(
        event_id=event.event_id,
        event_time=event.event_time,
        event_type=EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
        task_id=event.task_id,
    )
    attributes = shown.workflow_execution_continued_as_new_event_attributes
    match event.WhichOneof("attributes"):
        case "workflow_execution_completed_event_attributes":
            completed = event.workflow_execution_completed_event_attributes
            attributes.new_execution_run_id = completed.new_execution_run_id
            if completed.HasField("result"):
                attributes.last_completion_result.CopyFrom(completed.result)
        case "workflow_execution_failed_event_attributes":
            failed = event.workflow_execution_failed_event_attributes
            attributes.new_execution_run_id = failed.new_execution_run_id
            attributes.failure.CopyFrom(failed.failure)
        case "workflow_execution_timed_out_event_attributes":
            timed_out = event.workflow_execution_timed_out_event_attributes
            attributes.new_execution_run_id = timed_out.new_execution_run_id
            attributes.failure.CopyFrom(TIMED_OUT)
        case _:
            return event
    return shown


def _token(encoded: bytes, run_id: str, kind: type[Token]) -> Token | None:
    if not encoded:
        return None
    token = page_token(encoded, kind)
    if run_id and run_id != token.run_id:
        raise invalid_argument("RunId in the request does not match the NextPageToken.")
    return token


def _page_events(asked_for: int, limits: Limits) -> int:
    return min(asked_for if asked_for > 0 else max(1, limits.history_page_size), _PAGE_EVENTS_MAX)
