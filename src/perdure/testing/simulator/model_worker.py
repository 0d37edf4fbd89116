"""A worker of workflow tasks: it runs the programs by replaying history, and forgets what it had in its cache."""

import asyncio
import random

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    ResetStickyTaskQueueRequest,
    ResetWorkflowExecutionRequest,
    RespondQueryTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskCompletedResponse,
    RespondWorkflowTaskFailedRequest,
    ShutdownWorkerRequest,
    SignalWorkflowExecutionRequest,
)

from perdure.core.errors import Rejected
from perdure.testing.simulator.answers import answer_update, query_result
from perdure.testing.simulator.program import NAMESPACE, QUEUE, decide
from perdure.testing.simulator.unreliable_worker import POLL_S, UnreliableWorker
from perdure.testing.simulator.witness import Server, Witness


class ModelWorker(UnreliableWorker):
    def __init__(
        self,
        name: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
        namespace: str = NAMESPACE,
    ) -> None:
        super().__init__(name, server, witness, randomness, namespace)
        #: The worker's cache, by run id: the events up to the last task that it completed.
        self._cache: dict[str, list[HistoryEvent]] = {}
        self._sticky_queue = f"{name}-sticky"

    # Workflow tasks

    async def run_workflow_tasks(self, *, sticky: bool) -> None:
        """Take tasks for ever, from the common queue or from this worker's own."""
        queue = self._sticky_queue if sticky else QUEUE
        while True:
            request = PollWorkflowTaskQueueRequest(namespace=self._namespace, identity=self._name)
            request.task_queue.name = queue
            try:
                task = await self._server.call(request, timeout_s=POLL_S)
                assert isinstance(task, PollWorkflowTaskQueueResponse)
                while task.task_token:
                    task = await self._work(task)
            except Rejected as refusal:
                await self.pause_after(refusal)

    async def work_eagerly(self, task: PollWorkflowTaskQueueResponse) -> None:
        """Take the task that came with the answer to a start."""
        try:
            while task.task_token:
                task = await self._work(task)
        except Rejected:
            await self.pause(1.0)

    async def _work(self, task: PollWorkflowTaskQueueResponse) -> PollWorkflowTaskQueueResponse:
        """Answer one task; return the next one if the server gives it at once."""
        nothing = PollWorkflowTaskQueueResponse()
        if self.misbehaves(0.05):
            self._cache.clear()
            if self._random.random() < 0.3:
                await self._reset_stuck(task)
            return nothing  # The worker died with the task in its hand.
        if not task.HasField("query"):
            self._witness.got_workflow_task(task)
        events = await self._history(task)
        if task.HasField("query"):
            await self._answer_query(task, events)
            return nothing
        if self.misbehaves(0.03):
            await self._fail(task)
            return nothing
        await asyncio.sleep(self._random.expovariate(1 / 0.01))
        if self.misbehaves(0.03):
            await self.pause(15.0)
        request = self._completion(task, events)
        reply = await self.ask(request)
        assert isinstance(reply, RespondWorkflowTaskCompletedResponse)
        run_id = task.workflow_execution.run_id
        if reply.reset_history_event_id:
            del events[reply.reset_history_event_id :]
        self._cache[run_id] = events
        if self.misbehaves(0.05):
            await self.repeat(request)
        if self.misbehaves(0.05):
            await self._evict(task.workflow_execution)
            return nothing  # The reply was lost, and with it the next task.
        return reply.workflow_task

    async def _fail(self, task: PollWorkflowTaskQueueResponse) -> None:
        """Say that the code of the workflow has failed: another worker gets the task, with the whole history."""
        request = RespondWorkflowTaskFailedRequest(
            namespace=self._namespace,
            task_token=task.task_token,
            identity=self._name,
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        )
        request.failure.message = "simulated: a bug of the workflow"
        self._cache.pop(task.workflow_execution.run_id, None)
        await self.insist(request)

    async def _evict(self, execution: WorkflowExecution) -> None:
        """Forget a run, and say so: its next task goes to any worker."""
        self._cache.pop(execution.run_id, None)
        await self.insist(
            ResetStickyTaskQueueRequest(namespace=self._namespace, execution=execution)
        )

    async def _reset_stuck(self, task: PollWorkflowTaskQueueResponse) -> None:
        """Signal a run whose worker is stuck, and reset it: the signal is buffered, the task's start not durable."""
        execution = task.workflow_execution
        if not execution.workflow_id.startswith("w") or task.HasField("query"):
            return
        signal = SignalWorkflowExecutionRequest(
            namespace=self._namespace,
            workflow_execution=execution,
            signal_name=f"stuck{task.started_event_id}",
            request_id=f"{execution.run_id}/stuck{task.started_event_id}",
        )
        if await self.insist(signal) is None:
            return
        self._witness.signals.add((execution.workflow_id, signal.signal_name))
        reset = ResetWorkflowExecutionRequest(
            namespace=self._namespace,
            workflow_execution=execution,
            request_id=f"{signal.request_id}/reset",
            workflow_task_finish_event_id=task.started_event_id,
        )
        reply = await self.insist(reset)
        if reply is not None:
            self._witness.resets.add(reply.run_id)

    async def leave(self) -> None:
        """Say that this worker ends: nobody waits for it any more."""
        await self.insist(
            ShutdownWorkerRequest(
                namespace=self._namespace,
                identity=self._name,
                sticky_task_queue=self._sticky_queue,
                task_queue=QUEUE,
                reason="simulated: a new version is deployed",
            )
        )

    def _completion(
        self, task: PollWorkflowTaskQueueResponse, events: list[HistoryEvent]
    ) -> RespondWorkflowTaskCompletedRequest:
        request = RespondWorkflowTaskCompletedRequest(
            namespace=self._namespace,
            task_token=task.task_token,
            identity=self._name,
            commands=decide(events),
            return_new_workflow_task=True,
        )
        request.capabilities.discard_speculative_workflow_task_with_events = True
        for message in task.messages:
            answer_update(message, request)
        for query_id in task.queries:
            request.query_results[query_id].CopyFrom(query_result(events))
        request.sticky_attributes.worker_task_queue.name = self._sticky_queue
        request.sticky_attributes.schedule_to_start_timeout.FromSeconds(5)
        return request

    async def _history(self, task: PollWorkflowTaskQueueResponse) -> list[HistoryEvent]:
        """Return the whole history, with what the cache knows of it; ask for all of it if the cache does not."""
        run_id = task.workflow_execution.run_id
        new = list(task.history.events)
        if task.next_page_token:
            new += await self._pages(task, task.next_page_token)
        first = new[0].event_id if new else task.previous_started_event_id + 1
        known: list[HistoryEvent] = []
        if first > 1:
            known = self._cache.get(run_id, [])
            if len(known) < first - 1:
                known = await self._pages(task, b"")
        self._witness.saw_history(run_id, new)
        events = known[: first - 1] + new
        ids = [event.event_id for event in events]
        assert ids == list(range(1, len(ids) + 1)), f"{run_id}: a task's history has gaps: {ids}"
        return events

    async def _pages(self, task: PollWorkflowTaskQueueResponse, token: bytes) -> list[HistoryEvent]:
        events: list[HistoryEvent] = []
        while True:
            request = GetWorkflowExecutionHistoryRequest(
                namespace=self._namespace, next_page_token=token, execution=task.workflow_execution
            )
            page = await self.ask(request)
            assert isinstance(page, GetWorkflowExecutionHistoryResponse)
            events += page.history.events
            token = page.next_page_token
            if not token:
                return events

    async def _answer_query(
        self, task: PollWorkflowTaskQueueResponse, events: list[HistoryEvent]
    ) -> None:
        result = query_result(events)
        await self._server.call(
            RespondQueryTaskCompletedRequest(
                namespace=self._namespace,
                task_token=task.task_token,
                completed_type=result.result_type,
                query_result=result.answer,
            )
        )
