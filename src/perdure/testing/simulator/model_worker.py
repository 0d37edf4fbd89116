"""A worker that runs the programs by replaying history, over the same calls as a real one.

It loses answers, repeats them, is sometimes too slow, and forgets what it had in its cache.
"""

import asyncio
import random
from typing import Any

from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryResponse,
    PollActivityTaskQueueRequest,
    PollActivityTaskQueueResponse,
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    RespondActivityTaskCompletedRequest,
    RespondActivityTaskFailedRequest,
    RespondQueryTaskCompletedRequest,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskCompletedResponse,
)

from perdure.core.errors import Code, Rejected
from perdure.testing.simulator.program import (
    FAILURES,
    NAMESPACE,
    QUEUE,
    answer_update,
    decide,
    query_result,
)
from perdure.testing.simulator.witness import Server, Witness

POLL_S = 20.0


class ModelWorker:
    def __init__(
        self,
        name: str,
        server: Server,
        witness: Witness,
        randomness: random.Random,
        namespace: str = NAMESPACE,
    ) -> None:
        self._namespace = namespace
        self._name = name
        self._server = server
        self._witness = witness
        self._random = randomness
        #: What a worker would have in its cache, by run id: the events up to the last task that it completed.
        self._cache: dict[str, list[HistoryEvent]] = {}
        self._sticky_queue = f"{name}-sticky"
        self.is_reliable = False

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
                await self._pause(30.0 if refusal.code is Code.NOT_FOUND else 1.0)

    async def work_eagerly(self, task: PollWorkflowTaskQueueResponse) -> None:
        """Take the task that came with the answer to a start."""
        try:
            while task.task_token:
                task = await self._work(task)
        except Rejected:
            await self._pause(1.0)

    async def _work(self, task: PollWorkflowTaskQueueResponse) -> PollWorkflowTaskQueueResponse:
        """Answer one task; return the next one if the server gives it at once."""
        nothing = PollWorkflowTaskQueueResponse()
        if self._misbehaves(0.05):
            self._cache.clear()
            return nothing  # The worker died with the task in its hand.
        if not task.HasField("query"):
            self._witness.got_workflow_task(task)
        events = await self._history(task)
        if task.HasField("query"):
            await self._answer_query(task, events)
            return nothing
        await asyncio.sleep(self._random.expovariate(1 / 0.01))
        if self._misbehaves(0.03):
            await self._pause(15.0)
        request = self._completion(task, events)
        reply = await self._complete(request)
        run_id = task.workflow_execution.run_id
        if reply.reset_history_event_id:
            del events[reply.reset_history_event_id :]
        self._cache[run_id] = events
        if self._misbehaves(0.05):
            await self._repeat(request)
        if self._misbehaves(0.05):
            self._cache.pop(run_id, None)
            return nothing  # The reply was lost, and with it the next task.
        return reply.workflow_task

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

    async def _complete(
        self, request: RespondWorkflowTaskCompletedRequest
    ) -> RespondWorkflowTaskCompletedResponse:
        for _ in range(5):
            try:
                reply = await self._server.call(request)
                assert isinstance(reply, RespondWorkflowTaskCompletedResponse)
                return reply
            except Rejected as refusal:
                if refusal.code is not Code.UNAVAILABLE:
                    raise
            await self._pause(0.5)
        raise Rejected(Code.UNAVAILABLE, "simulated: given up")

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
            page = await self._server.call(request)
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

    # Activities

    async def run_activities(self) -> None:
        """Take activity tasks for ever."""
        while True:
            request = PollActivityTaskQueueRequest(namespace=self._namespace, identity=self._name)
            request.task_queue.name = QUEUE
            try:
                task = await self._server.call(request, timeout_s=POLL_S)
                assert isinstance(task, PollActivityTaskQueueResponse)
                if task.task_token:
                    await self._act(task)
            except Rejected as refusal:
                await self._pause(30.0 if refusal.code is Code.NOT_FOUND else 1.0)

    async def _act(self, task: PollActivityTaskQueueResponse) -> None:
        self._witness.got_attempt(task)
        if self._misbehaves(0.05):
            return
        await asyncio.sleep(self._random.expovariate(1 / 0.05))
        if self._misbehaves(0.03):
            await self._pause(40.0)  # Longer than it may take.
        request: Any
        if task.attempt <= FAILURES.get(task.activity_type.name, 0):
            failure = Failure(message="not yet")
            failure.application_failure_info.type = "NotYet"
            request = RespondActivityTaskFailedRequest(
                namespace=self._namespace, task_token=task.task_token, failure=failure
            )
        else:
            request = RespondActivityTaskCompletedRequest(
                namespace=self._namespace, task_token=task.task_token
            )
            request.result.payloads.add(data=task.activity_id.encode())
        place = (task.workflow_execution.run_id, task.activity_id)
        # Of an activity that has been begun anew there is the same attempt again.
        is_new = not self._witness.begun_anew[place]
        if await self._insist(request) and is_new and self._misbehaves(0.05):
            await self._repeat(request)

    # Calls

    async def _insist(self, request: Any) -> bool:
        """Return whether the server took it."""
        for _ in range(20):
            try:
                await self._server.call(request)
                return True
            except Rejected as refusal:
                if refusal.code is not Code.UNAVAILABLE:
                    return False
            await self._pause(0.5)
        return False

    async def _repeat(self, request: Any) -> None:
        """An answer that was taken and comes again must not count twice."""
        try:
            await self._server.call(request)
        except Rejected as refusal:
            if refusal.code in (Code.NOT_FOUND, Code.UNAVAILABLE):
                return
            raise AssertionError(f"an answer that came twice: {refusal.message}") from refusal
        raise AssertionError(f"an answer was taken twice: {type(request).__name__}")

    async def _pause(self, max_s: float) -> None:
        await asyncio.sleep(self._random.uniform(0.05, max_s))

    def _misbehaves(self, rate: float) -> bool:
        return not self.is_reliable and self._random.random() < rate
