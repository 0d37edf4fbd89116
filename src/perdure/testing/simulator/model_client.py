"""A client that follows one workflow through its life: it asks until it is answered, and believes every answer."""

import asyncio
import json
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowExecutionStatus,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
    ListWorkflowExecutionsRequest,
    QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.program import (
    NAMESPACE,
    SIGNAL,
    check_result,
    program_of,
)
from perdure.testing.simulator.retrying_caller import AGAIN
from perdure.testing.simulator.starting_client import StartingClient

PAGE_EVENTS = 7
UPDATE_COMPLETED = (
    UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
)
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
_CLOSING = (
    COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
)


class ModelClient(StartingClient):
    async def live(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 20))
        await self.start()
        for number in range(self._random.randint(0, 3) + self._program.count(SIGNAL)):
            await asyncio.sleep(self._random.uniform(0, 15))
            if not await self.signal(f"s{number}"):
                return
            for what, likely in (
                (self._query, 0.4),
                (self._history, 0.3),
                (self._describe, 0.3),
                (self._read_back, 0.2),
                (lambda number=number: self.update(f"u{number}"), 0.4),
                (lambda number=number: self.attach(number), 0.15),
                (self._reset, 0.05),
                (self._terminate, 0.02),
                (self._cancel, 0.03),
            ):
                if self._random.random() < likely:
                    await what()

    # Changes

    async def signal(self, name: str) -> bool:
        """Return whether there was still a run to signal."""
        request = SignalWorkflowExecutionRequest(
            namespace=NAMESPACE, signal_name=name, request_id=f"{self.workflow_id}/{name}"
        )
        request.workflow_execution.workflow_id = self.workflow_id
        if not await self._insist_if_open(request):
            return False
        self._witness.signals.add((self.workflow_id, name))
        if self._random.random() < 0.2:
            await self.call_once(request)  # A retry whose first answer was lost.
        return True

    async def _reset(self) -> None:
        """Take the current run back to one of its workflow tasks."""
        events = await self._history()
        run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id
        new_run_id = await self.reset(
            WorkflowExecution(workflow_id=self.workflow_id),
            events,
            namespace=NAMESPACE,
            request_id=f"{self.workflow_id}/reset/{self._random.getrandbits(32)}",
        )
        assert new_run_id != run_id

    async def _terminate(self) -> None:
        request = TerminateWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        if await self._insist_if_open(request):
            self._witness.terminated.add(self.workflow_id)

    async def _cancel(self) -> None:
        request = RequestCancelWorkflowExecutionRequest(
            namespace=NAMESPACE, request_id=f"{self.workflow_id}/cancel"
        )
        request.workflow_execution.workflow_id = self.workflow_id
        await self.insist(request)
        # Temporal: to ask a closed run to stop is no error, and has no effect.
        info = await self._describe()
        if info.status == WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING:
            self._witness.cancelled.add(self.workflow_id)

    # Reads

    def _known_signals(self) -> set[str]:
        return {
            name for workflow_id, name in self._witness.signals if workflow_id == self.workflow_id
        }

    async def _query(self) -> None:
        """Query the workflow. A later run may answer, but no signal to this one may be missing."""
        request = QueryWorkflowRequest(
            namespace=NAMESPACE, query=WorkflowQuery(query_type="signals")
        )
        request.execution.workflow_id = self.workflow_id
        known = self._known_signals()
        reply = await self.call_once(request)
        if reply is None or reply.HasField("query_rejected"):
            return  # While it is paused, it does not answer.
        if not self._goes_on:
            seen = set(json.loads(reply.query_result.payloads[0].data))
            assert known <= seen, f"{self.workflow_id}: a query does not see {known - seen}"

    async def _describe(self, tries: int = 1000) -> Any:
        """Describe the workflow. The description is not older than what anybody has seen."""
        request = DescribeWorkflowExecutionRequest(namespace=NAMESPACE)
        request.execution.workflow_id = self.workflow_id
        shown = {run_id: max(events) for run_id, events in self._witness.shown.items() if events}
        try:
            reply = await self.insist(request, tries=tries)
        except Rejected as refusal:
            if tries == 1 and refusal.code in AGAIN:
                return None
            raise
        info = reply.workflow_execution_info
        seen = shown.get(info.execution.run_id, 0)
        assert info.history_length >= seen, (
            f"{self.workflow_id}: {info.history_length} events described, {seen} seen before"
        )
        return info

    async def glance(self) -> None:
        """Describe it if it is there, with one try."""
        if self._is_started.is_set():
            await self._describe(tries=1)

    async def _history(self) -> list[HistoryEvent]:
        """Return the history of the current run, page by page."""
        request = GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, maximum_page_size=PAGE_EVENTS
        )
        request.execution.workflow_id = self.workflow_id
        request.execution.run_id = (await self._describe()).execution.run_id
        events: list[HistoryEvent] = []
        while True:
            page = await self.insist(request)
            events += page.history.events
            if not page.next_page_token:
                break
            request.next_page_token = page.next_page_token
        self._witness.saw_history(request.execution.run_id, events)
        return events

    async def _history_from_the_end(self, run_id: str) -> list[HistoryEvent]:
        """Return the history of the run, the last event first, page by page."""
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=NAMESPACE, maximum_page_size=PAGE_EVENTS
        )
        request.execution.workflow_id = self.workflow_id
        request.execution.run_id = run_id
        events: list[HistoryEvent] = []
        while True:
            page = await self.insist(request)
            events += page.history.events
            if not page.next_page_token:
                break
            request.next_page_token = page.next_page_token
        self._witness.saw_history(run_id, events[::-1])
        return events

    async def _read_back(self) -> None:
        await self._history_from_the_end((await self._describe()).execution.run_id)

    async def follow(self) -> None:
        """Read the first run's history as it grows, until it has ended."""
        await self._is_started.wait()
        if not self._witness.started[self.workflow_id]:
            return  # The answer to the start did not say which run was the first.
        request = GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE, maximum_page_size=PAGE_EVENTS, wait_new_event=True
        )
        request.execution.workflow_id = self.workflow_id
        request.execution.run_id = self._witness.started[self.workflow_id]
        events: list[HistoryEvent] = []
        while True:
            page = await self.insist(request, timeout_s=30.0)
            events += page.history.events
            ids = [event.event_id for event in events]
            assert ids == list(range(1, len(ids) + 1)), (
                f"{self.workflow_id}: pages do not fit: {ids}"
            )
            if not page.next_page_token:
                break
            request.next_page_token = page.next_page_token
        assert events[-1].event_type in _CLOSING, f"{self.workflow_id}: the last page came early"
        self._witness.saw_history(request.execution.run_id, events)

    async def wait_for_end(self) -> None:
        """Ask for nothing but the last event of the first run."""
        await self._is_started.wait()
        if not self._witness.started[self.workflow_id]:
            return  # The answer to the start did not say which run was the first.
        request = GetWorkflowExecutionHistoryRequest(
            namespace=NAMESPACE,
            wait_new_event=True,
            history_event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT,
        )
        request.execution.workflow_id = self.workflow_id
        request.execution.run_id = self._witness.started[self.workflow_id]
        while True:
            page = await self.insist(request, timeout_s=30.0)
            if page.history.events:
                break
            assert page.next_page_token, f"{self.workflow_id}: no end, and no way to go on"
            request.next_page_token = page.next_page_token
        [event] = page.history.events
        assert event.event_type in _CLOSING, f"{self.workflow_id}: {event} is no end"
        if not self._goes_on:
            # A client that does not say that it follows retries is shown something else than there is.
            self._witness.saw_history(request.execution.run_id, [event])

    async def look_back(self) -> None:
        """Everything has ended: what it came to is right, and descriptions and lists say so."""
        events = await self._history()
        info = await self._describe()
        last = events[-1]
        assert events[::-1] == await self._history_from_the_end(info.execution.run_id)
        assert info.history_length == len(events) == last.event_id
        if last.event_type == COMPLETED:
            check_result(events)
        program = program_of(events)
        assert self._program[len(self._program) - len(program) :] == program, "another's program"
        listed = await self.insist(ListWorkflowExecutionsRequest(namespace=NAMESPACE))
        statuses = {each.execution.run_id: each.status for each in listed.executions}
        assert statuses[info.execution.run_id] == info.status, "the list shows another status"
        assert info.status != WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_RUNNING

    # Calls

    async def _insist_if_open(self, request: Any) -> bool:
        """Return whether there was an open run."""
        try:
            await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.NOT_FOUND:
                raise
            return False
        return True
