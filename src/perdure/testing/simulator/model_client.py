"""A client that sees one workflow through its life: it asks until it is answered, and believes what it is told."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

from temporalio.api.enums.v1 import (
    EventType,
    HistoryEventFilterType,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowExecutionStatus,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    GetWorkflowExecutionHistoryRequest,
    ListWorkflowExecutionsRequest,
    QueryWorkflowRequest,
    RequestCancelWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    TerminateWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.caller import AGAIN, Caller
from perdure.testing.simulator.model_worker import ModelWorker
from perdure.testing.simulator.program import (
    CONTINUE,
    FAIL,
    FLAKY,
    NAMESPACE,
    POLICY,
    QUEUE,
    SCHEDULE,
    SIGNAL,
    STEPS,
    STOP,
    TELL,
    WEIGHTS,
    check_result,
    program_of,
)
from perdure.testing.simulator.receivers import HOSTS, REFUSED
from perdure.testing.simulator.witness import Server, Witness

PAGE_EVENTS = 7
UPDATE_COMPLETED = (
    UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
)
TASK_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
COMPLETED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED
_CLOSING = (
    COMPLETED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW,
)


class ModelClient(Caller):
    def __init__(
        self,
        workflow_id: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
        *,
        others: Sequence[str],
        worker: ModelWorker,
    ) -> None:
        #: Works where this client is, and takes tasks that come with the answer to a start.
        self._worker = worker
        self.workflow_id = workflow_id
        super().__init__(server, witness, randomness)
        steps = randomness.choices(STEPS, weights=WEIGHTS, k=randomness.randint(1, 6))
        steps = [
            f"{step} {randomness.choice(others)}" if step in (TELL, STOP) else step
            for step in steps
        ]
        self._is_started = asyncio.Event()
        self._program = [step for step in steps if step != CONTINUE or randomness.random() < 0.7]
        self._is_retried = bool({FAIL, FLAKY} & set(steps)) and randomness.random() < 0.8
        self._is_by_schedule = randomness.random() < 0.1
        #: The first run may not be the last.
        self._goes_on = CONTINUE in self._program or self._is_retried or self._is_by_schedule

    async def live(self) -> None:
        await asyncio.sleep(self._random.uniform(0, 20))
        await self._start()
        for number in range(self._random.randint(0, 3) + self._program.count(SIGNAL)):
            await asyncio.sleep(self._random.uniform(0, 15))
            if not await self.signal(f"s{number}"):
                return
            for what, likely in (
                (self._query, 0.4),
                (self._history, 0.3),
                (self._describe, 0.3),
                (lambda number=number: self._update(f"u{number}"), 0.4),
                (lambda number=number: self._attach(number), 0.15),
                (self._reset, 0.05),
                (self._terminate, 0.02),
                (self._cancel, 0.03),
            ):
                if self._random.random() < likely:
                    await what()

    # What changes something

    def _start_request(self, request_id: str) -> StartWorkflowExecutionRequest:
        request = StartWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_id=self.workflow_id,
            request_id=request_id,
        )
        request.workflow_type.name = "Program"
        request.task_queue.name = QUEUE
        request.input.payloads.add(data=json.dumps(self._program).encode())
        for number in range(self._random.choice((0, 1, 2))):
            refused = REFUSED if self._random.random() < 0.2 else ""
            url = f"{self._random.choice(HOSTS)}/{request_id}/{number}{refused}"
            request.completion_callbacks.add().nexus.url = url
        return request

    def _saw_callbacks(self, request: StartWorkflowExecutionRequest) -> None:
        """It was acknowledged."""
        for callback in request.completion_callbacks:
            self._witness.callbacks.add((self.workflow_id, callback.nexus.url))

    async def _start(self) -> None:
        request = self._start_request(f"{self.workflow_id}/start")
        request.request_eager_execution = self._random.random() < 0.3
        if self._is_retried:
            request.retry_policy.CopyFrom(POLICY)
        if self._is_by_schedule:
            request.cron_schedule = SCHEDULE
        run_id = ""
        try:
            reply = await self.insist(request)
            run_id = reply.run_id
            if reply.eager_workflow_task.task_token:
                await self._worker.work_eagerly(reply.eager_workflow_task)
            if self._random.random() < 0.2 and not self._goes_on:
                second = await self.insist(request)
                assert second.run_id == run_id, "one start, two runs"
        except Rejected as refusal:
            # It has gone on as a new run since an earlier try, which does not know the request any more.
            if refusal.code is not Code.ALREADY_EXISTS or not self._goes_on:
                raise
        self._saw_callbacks(request)
        self._witness.started[self.workflow_id] = run_id
        self._is_started.set()
        if self._witness.lists_follow:
            return
        listed = await self.insist(ListWorkflowExecutionsRequest(namespace=NAMESPACE))
        found = {info.execution.workflow_id for info in listed.executions}
        assert self.workflow_id in found, f"{self.workflow_id} was started, and no list shows it"

    async def _attach(self, number: int) -> None:
        """Start it once more, and so attach other callbacks to the run that there is."""
        request = self._start_request(f"{self.workflow_id}/attach{number}")
        conflict, reuse = WorkflowIdConflictPolicy, WorkflowIdReusePolicy
        request.workflow_id_conflict_policy = conflict.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING
        request.workflow_id_reuse_policy = reuse.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
        request.on_conflict_options.attach_request_id = True
        request.on_conflict_options.attach_completion_callbacks = True
        try:
            reply = await self.insist(request)
        except Rejected as refusal:
            if refusal.code is not Code.ALREADY_EXISTS:
                raise
            return
        assert not reply.started, f"{self.workflow_id} was started anew"
        self._saw_callbacks(request)

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

    async def _update(self, update_id: str) -> None:
        request = UpdateWorkflowExecutionRequest(namespace=NAMESPACE)
        request.workflow_execution.workflow_id = self.workflow_id
        request.request.meta.update_id = update_id
        request.request.input.name = "update"
        try:
            reply = await self.insist(request, tries=5)
        except Rejected as refusal:
            if refusal.code not in (Code.NOT_FOUND, Code.FAILED_PRECONDITION, *AGAIN):
                raise
            return
        if reply.stage == UPDATE_COMPLETED:
            assert reply.outcome.WhichOneof("value"), f"{update_id} has ended, and with nothing"
        if reply.outcome.HasField("success"):
            assert reply.outcome.success.payloads[0].data.decode() == update_id
            self._witness.updates.add((self.workflow_id, update_id))

    async def _reset(self) -> None:
        """Take the current run back to one of its workflow tasks."""
        events = await self._history()
        run_id = events[0].workflow_execution_started_event_attributes.original_execution_run_id
        tasks = [event.event_id for event in events if event.event_type == TASK_STARTED]
        if not tasks:
            return
        request = ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            request_id=f"{self.workflow_id}/reset/{self._random.getrandbits(32)}",
            workflow_task_finish_event_id=self._random.choice(tasks) + 1,
        )
        request.workflow_execution.workflow_id = self.workflow_id
        try:
            reply = await self.insist(request)
        except Rejected as refusal:
            # The run that was looked at is not the current one any more.
            if refusal.code is not Code.INVALID_ARGUMENT:
                raise
            return
        assert reply.run_id != run_id
        self._witness.resets.add(reply.run_id)

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

    # What looks

    def _known_signals(self) -> set[str]:
        return {
            name for workflow_id, name in self._witness.signals if workflow_id == self.workflow_id
        }

    async def _query(self) -> None:
        """What a query shows may be of a later run, but no signal to this one may be missing."""
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
        """What is described is not older than what somebody has seen."""
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

    async def follow(self) -> None:
        """Read the first run's history as it grows, until it has ended."""
        await self._is_started.wait()
        if not self._witness.started[self.workflow_id]:
            return  # Which run was the first one, nobody was told.
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
            return  # Which run was the first one, nobody was told.
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
