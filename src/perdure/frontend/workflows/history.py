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
from perdure.core.workflow.lifecycle.execution import TIMED_OUT
from perdure.core.workflow.records import encode_events
from perdure.core.workflow.tasks.start import held_back_of, unrecorded
from perdure.frontend.call import Call
from perdure.frontend.context import Context
from perdure.frontend.protobuf_wire import with_submessage
from perdure.frontend.tokens import HistoryToken, ReverseHistoryToken, encode, page_token
from perdure.frontend.validation.fields import check_execution
from perdure.runtime.shard.cached import CachedExecution

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
        self._node = context.node

    async def GetWorkflowExecutionHistory(
        self, request: GetWorkflowExecutionHistoryRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        token = _token(request.next_page_token, execution.run_id, HistoryToken)
        run_id = token.run_id if token else execution.run_id
        key = self._node.engine.key(namespace.id, execution.workflow_id, run_id)
        live = await self._run(key)
        deadline = _long_poll_deadline(call, self._context.limits(request.namespace))
        if (
            request.history_event_filter_type
            == HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT
        ):
            follows = _FOLLOWS in call.metadata.get("supported-features", "").split(",")
            return await self._close_event(live, request.wait_new_event, deadline, follows)
        if request.wait_new_event:
            return await self._followed(live, request, token, deadline)
        return await self._page(live, request.maximum_page_size, token, follows=False)

    async def _run(self, key: ExecutionKey) -> CachedExecution:
        live = await self._node.engine.get(key)
        await self._node.engine.until_durable(live)
        return live

    async def _page(
        self, live: CachedExecution, page_size: int, token: HistoryToken | None, *, follows: bool
    ) -> bytes:
        """Return what there is now, without waiting. `live` is settled."""
        first, after_seq = (token.next_event_id, token.after_seq) if token else (1, 0)
        end = live.state.next_event_id
        is_closed = not live.state.is_open
        limits = self._context.limits(live.state.namespace)
        at_the_end = (unrecorded if limits.shows_transient_tasks else held_back_of)(live.run)
        events_max = _page_events(page_size, limits)
        await self._node.engine.until_durable(live)
        page = await self._node.histories.page(
            live,
            first,
            end,
            events_max=events_max,
            after_seq=after_seq,
        )
        events, next_event_id = page.events, max(page.next_event_id, first)
        is_last = next_event_id >= end
        if is_last and not follows:
            events += encode_events(at_the_end)
        response = GetWorkflowExecutionHistoryResponse()
        if not is_last or (follows and not is_closed):
            response.next_page_token = encode(
                HistoryToken(live.key.run_id, next_event_id, page.after_seq, follows)
            )
        return self._response(response, events, live)

    def _response(
        self, response: GetWorkflowExecutionHistoryResponse, events: bytes, live: CachedExecution
    ) -> bytes:
        """Add the events to the response: raw, or decoded, as the namespace is configured."""
        if events and self._context.limits(live.state.namespace).sends_raw_history:
            blob = DataBlob(encoding_type=EncodingType.ENCODING_TYPE_PROTO3, data=events)
            response.raw_history.append(blob)
            events = b""
        return with_submessage(response, _HISTORY_FIELD, events)

    async def _followed(
        self,
        live: CachedExecution,
        request: GetWorkflowExecutionHistoryRequest,
        token: HistoryToken | None,
        deadline: float,
    ) -> bytes:
        first = token.next_event_id if token else 1
        while live.state.is_open and live.state.next_event_id <= first:
            if not await self._node.histories.wait_for_event(live, deadline):
                break
            live = await self._run(live.key)
        return await self._page(live, request.maximum_page_size, token, follows=True)

    async def _close_event(
        self, live: CachedExecution, waits: bool, deadline: float, follows: bool
    ) -> bytes:
        while live.state.is_open:
            if not await self._node.histories.wait_for_event(live, deadline, only_the_end=True):
                break
            live = await self._run(live.key)
        response = GetWorkflowExecutionHistoryResponse()
        if live.state.is_open:
            if waits:
                response.next_page_token = encode(HistoryToken(live.key.run_id, 1, follows=True))
            return with_submessage(response, _HISTORY_FIELD, b"")
        await self._node.engine.until_durable(live)  # It may have closed just now.
        events = await self._node.histories.last_event(live)
        is_raw = self._context.limits(live.state.namespace).sends_raw_history
        # Temporal: a raw event is never replaced.
        if live.state.new_run_id and not follows and not is_raw:
            events = encode_events([_continued_as_new(History.FromString(events).events[0])])
        return self._response(response, events, live)

    async def GetWorkflowExecutionHistoryReverse(
        self, request: GetWorkflowExecutionHistoryReverseRequest, call: Call
    ) -> bytes:
        namespace = self._context.namespace(request.namespace)
        execution = check_execution(request)
        token = _token(request.next_page_token, execution.run_id, ReverseHistoryToken)
        run_id = token.run_id if token else execution.run_id
        live = await self._run(self._node.engine.key(namespace.id, execution.workflow_id, run_id))
        end = token.next_event_id if token else live.state.next_event_id
        before_seq = token.before_seq if token else 0
        # Temporal: from this end, a workflow task that is in memory only is not shown.
        at_the_end = () if token else held_back_of(live.run)
        await self._node.engine.until_durable(live)
        page = await self._node.histories.page_back(
            live,
            end,
            events_max=_page_events(
                request.maximum_page_size, self._context.limits(request.namespace)
            ),
            before_seq=before_seq,
        )
        response = GetWorkflowExecutionHistoryReverseResponse()
        if page.next_event_id > 1:
            response.next_page_token = encode(
                ReverseHistoryToken(live.key.run_id, page.next_event_id, page.after_seq)
            )
        return with_submessage(response, _REVERSE_FIELD, encode_events(at_the_end) + page.events)


def _continued_as_new(event: HistoryEvent) -> HistoryEvent:
    """Temporal: a client that cannot follow a failed run to its retry gets a continued-as-new event instead."""
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


def _long_poll_deadline(call: Call, limits: Limits) -> float:
    now = asyncio.get_running_loop().time()
    latest = now + limits.long_poll_ns / 1e9
    if call.deadline is None:
        return latest
    return max(now, min(call.deadline - LONG_POLL_MARGIN_S, latest))
