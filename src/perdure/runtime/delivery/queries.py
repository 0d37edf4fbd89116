"""Gives queries to workers, and their answers to the callers that wait. Nothing here outlives a connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.api.enums.v1 import QueryRejectCondition
from temporalio.api.query.v1 import QueryRejected, WorkflowQuery

from perdure.core.errors import Code, Rejected, going
from perdure.core.execution.key import ExecutionKey
from perdure.core.workflow.effects import AnswerQuery, DispatchQuery
from perdure.core.workflow.queries import AbandonQuery, Query
from perdure.core.workflow.tasks.schedule import ResetSticky
from perdure.core.workflow.views import ReadQueryTask
from perdure.runtime.executions import Executions, Page
from perdure.runtime.matching.task_queues import QueuedQuery, QueueName, TaskQueues
from perdure.runtime.replies import QueryTaskReply

#: Temporal: so long before its caller gives up, a query is refused that no worker can have seen.
EARLY_S = 1.0


@dataclass(slots=True)
class _WaitingQuery:
    answer: asyncio.Future[bytes]
    #: Loop time.
    deadline: float
    queued: QueuedQuery | None = None
    effect: DispatchQuery | None = None
    fall_back: asyncio.TimerHandle | None = None
    give_up: asyncio.TimerHandle | None = None


class Queries:
    def __init__(
        self,
        executions: Executions,
        task_queues: TaskQueues,
        window_s: Callable[[], float],
    ) -> None:
        """`window_s`: a worker that has not polled for so long is no longer there."""
        self._window_s = window_s
        self._executions = executions
        self._task_queues = task_queues
        self._waiting: dict[str, _WaitingQuery] = {}
        self._is_draining = False

    async def ask(
        self,
        key: ExecutionKey,
        query: WorkflowQuery,
        reject_condition: QueryRejectCondition.ValueType,
        deadline: float,
    ) -> bytes | QueryRejected:
        """Return the serialized `WorkflowQueryResult`. Raises `Rejected`, also at `deadline` (loop time)."""
        if self._is_draining:
            raise going()
        loop = asyncio.get_running_loop()
        query_id = self._executions.environment_of(key.namespace_id).fresh_id()
        waiting = self._waiting[query_id] = _WaitingQuery(loop.create_future(), deadline)
        timeout = loop.call_at(deadline, self._expire, query_id)
        try:
            until_ns = self._executions.clock.now_ns() + int((deadline - loop.time()) * 1e9)
            request = Query(query_id, query, reject_condition, until_ns)
            rejected, key = await self._executions.ask(key, request)
            if rejected is not None:
                return rejected
            return await waiting.answer
        finally:
            timeout.cancel()
            del self._waiting[query_id]
            self._give_up_waiting(key, query_id, waiting)

    def _give_up_waiting(self, key: ExecutionKey, query_id: str, waiting: _WaitingQuery) -> None:
        """Withdraw a query whose caller has its answer, or is gone."""
        answer = waiting.answer
        answer.cancel()
        # This also retrieves a refusal that nobody waits for, so asyncio does not complain.
        is_answered = not answer.cancelled() and answer.exception() is None
        for handle in (waiting.fall_back, waiting.give_up):
            if handle is not None:
                handle.cancel()
        if waiting.queued is not None and waiting.effect is not None:
            self._task_queues.withdraw_query(waiting.effect, waiting.queued)
        elif not is_answered:
            self._executions.tell(key, AbandonQuery(query_id))

    def dispatch(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        waiting = self._waiting.get(effect.query_id)
        if waiting is None or waiting.answer.done():
            return
        waiting.effect = effect
        waiting.queued = self._task_queues.add_query(key, effect)
        loop = asyncio.get_running_loop()
        if waiting.queued.is_sticky:
            patience_s = effect.sticky_schedule_to_start_ns / 1e9
            waiting.fall_back = loop.call_later(patience_s, self._fall_back, key, effect)
            return
        waiting.give_up = loop.call_at(waiting.deadline - EARLY_S, self._give_up, key, effect)
        if effect.sticky_queue:
            loop.call_soon(self._lose_worker, key, effect.sticky_queue)

    async def take(self, name: QueueName, queued: QueuedQuery) -> QueryTaskReply | None:
        """Return the task for the worker that has taken this query; None if nobody waits for the answer."""
        waiting = self._waiting.get(queued.query_id)
        if waiting is None or waiting.answer.done():
            return None
        try:
            return await self._task(queued)
        except BaseException as error:
            if isinstance(error, Rejected) and error.code is not Code.UNAVAILABLE:
                return None
            # The next worker may come further: this one is gone, or the store is for a moment.
            self.requeue(name, queued)
            raise

    def requeue(self, name: QueueName, queued: QueuedQuery) -> None:
        """The worker that has taken this query is gone: the next one gets it."""
        waiting = self._waiting.get(queued.query_id)
        if waiting is not None and waiting.queued == queued and not waiting.answer.done():
            self._task_queues.requeue(name, queued)

    async def _task(self, queued: QueuedQuery) -> QueryTaskReply:
        task, key = await self._executions.read(queued.key, ReadQueryTask())
        page = Page(b"", 0)
        if not queued.is_sticky:
            limits = self._executions.environment_of(key.namespace_id).limits
            page = await self._executions.page(
                key,
                1,
                task.end_event_id,
                events_max=max(1, limits.query_history_page_size),
                taken_bytes=len(queued.query),
            )
            if page.next_event_id >= task.end_event_id:
                page = page._replace(next_event_id=0)
        return QueryTaskReply(
            key=queued.key,
            query_id=queued.query_id,
            query=WorkflowQuery.FromString(queued.query),
            workflow_type=task.workflow_type,
            task_queue=task.task_queue,
            previous_started_event_id=task.previous_started_event_id,
            history=page.events,
            next_event_id=page.next_event_id,
            after_seq=page.after_seq,
        )

    def _fall_back(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        waiting = self._waiting.get(effect.query_id)
        if waiting is None or waiting.queued is None or waiting.answer.done():
            return
        self._task_queues.withdraw_query(effect, waiting.queued)
        self._lose_worker(key, effect.sticky_queue)
        self.dispatch(key, effect._replace(sticky_queue=""))

    def _give_up(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        if self._task_queues.is_polled(key.namespace_id, effect.task_queue, self._window_s()):
            return
        why = "no poller seen for task queue recently, worker may be down"
        self._answer(effect.query_id, Rejected(Code.FAILED_PRECONDITION, why))

    def _lose_worker(self, key: ExecutionKey, sticky_queue: str) -> None:
        """Temporal: a worker that does not take a query gets no more tasks of the run first."""
        self._executions.tell(key, ResetSticky(sticky_queue))

    def answered(self, _: ExecutionKey, effect: AnswerQuery) -> None:
        """Answer the caller: a worker sent the answer with a workflow task, or the run has refused the query."""
        if effect.refusal is not None:
            self._answer(effect.query_id, effect.refusal)
        elif effect.result is not None:
            self._answer(effect.query_id, effect.result)

    def respond(self, query_id: str, result: bytes) -> None:
        """Pass on the answer of a worker to a query that was a task of its own. Raises `Rejected`."""
        if not self._answer(query_id, result):
            raise Rejected(Code.NOT_FOUND, "query task not found, or already expired")

    def drain(self) -> None:
        """Refuse all that wait: no worker can answer any more."""
        self._is_draining = True
        for query_id in list(self._waiting):
            self._answer(query_id, going())

    def forget(self) -> None:
        """Refuse all that wait, since memory is thrown away: the callers ask again."""
        for query_id in self._waiting:
            self._answer(query_id, Rejected(Code.UNAVAILABLE, "query was aborted"))

    def _answer(self, query_id: str, result: bytes | Rejected) -> bool:
        waiting = self._waiting.get(query_id)
        if waiting is None or waiting.answer.done():
            return False
        if isinstance(result, Rejected):
            waiting.answer.set_exception(result)
        else:
            waiting.answer.set_result(result)
        return True

    def _expire(self, query_id: str) -> None:
        self._answer(
            query_id,
            Rejected(Code.DEADLINE_EXCEEDED, "query timed out before a worker could process it"),
        )
