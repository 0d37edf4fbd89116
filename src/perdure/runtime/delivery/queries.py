"""Queries and the callers that wait for their answers. Nothing here outlives a connection."""

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
from perdure.runtime.matching.task_queues import QueryOffer, QueueName, TaskQueues
from perdure.runtime.replies import QueryTaskReply
from perdure.runtime.shard.engine import Engine
from perdure.runtime.shard.histories import Histories, Page

#: Temporal: so long before its caller gives up, a query is refused that no worker can have seen.
EARLY_S = 1.0


@dataclass(slots=True)
class _Waiting:
    answer: asyncio.Future[bytes]
    #: Loop time.
    deadline: float
    offer: QueryOffer | None = None
    effect: DispatchQuery | None = None
    fall_back: asyncio.TimerHandle | None = None
    give_up: asyncio.TimerHandle | None = None


class Queries:
    def __init__(
        self,
        engine: Engine,
        task_queues: TaskQueues,
        histories: Histories,
        window_s: Callable[[], float],
    ) -> None:
        """`window_s`: who has not polled for so long is no longer there."""
        self._window_s = window_s
        self._engine = engine
        self._task_queues = task_queues
        self._histories = histories
        self._waiting: dict[str, _Waiting] = {}
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
        query_id = self._engine.environment_of(key.namespace_id).fresh_id()
        waiting = self._waiting[query_id] = _Waiting(loop.create_future(), deadline)
        timeout = loop.call_at(deadline, self._expire, query_id)
        try:
            until_ns = self._engine.clock.now_ns() + int((deadline - loop.time()) * 1e9)
            request = Query(query_id, query, reject_condition, until_ns)
            rejected = await self._engine.ask(key, request)
            if rejected is not None:
                assert isinstance(rejected, QueryRejected)
                return rejected
            return await waiting.answer
        finally:
            timeout.cancel()
            waiting.answer.cancel()  # It may hold a refusal that nobody waits for.
            if waiting.answer.done() and not waiting.answer.cancelled():
                waiting.answer.exception()
            del self._waiting[query_id]
            if waiting.fall_back is not None:
                waiting.fall_back.cancel()
            if waiting.give_up is not None:
                waiting.give_up.cancel()
            if waiting.offer is not None and waiting.effect is not None:
                self._task_queues.withdraw_query(waiting.effect, waiting.offer)
            live = self._engine.cache.peek(key)
            if live is not None and query_id in live.run.in_flight.queries:
                self._engine.advance(live, AbandonQuery(query_id))

    def dispatch(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        waiting = self._waiting.get(effect.query_id)
        if waiting is None or waiting.answer.done():
            return
        waiting.effect = effect
        waiting.offer = self._task_queues.offer_query(key, effect)
        loop = asyncio.get_running_loop()
        if waiting.offer.is_sticky:
            patience_s = effect.sticky_schedule_to_start_ns / 1e9
            waiting.fall_back = loop.call_later(patience_s, self._fall_back, key, effect)
            return
        waiting.give_up = loop.call_at(waiting.deadline - EARLY_S, self._give_up, key, effect)
        if effect.sticky_queue:
            loop.call_soon(self._lose_worker, key, effect.sticky_queue)

    async def take(self, name: QueueName, offer: QueryOffer) -> QueryTaskReply | None:
        """Return what the worker needs that has taken this offer; None if nobody waits for the answer."""
        waiting = self._waiting.get(offer.query_id)
        if waiting is None or waiting.answer.done():
            return None
        try:
            return await self._task(offer)
        except BaseException as error:
            if isinstance(error, Rejected) and error.code is not Code.UNAVAILABLE:
                return None
            # The next worker may come further: this one is gone, or the store is for a moment.
            self.give_back(name, offer)
            raise

    def give_back(self, name: QueueName, offer: QueryOffer) -> None:
        """The worker that has taken this offer is gone."""
        waiting = self._waiting.get(offer.query_id)
        if waiting is not None and waiting.offer == offer and not waiting.answer.done():
            self._task_queues.give_back(name, offer)

    async def _task(self, offer: QueryOffer) -> QueryTaskReply:
        live = await self._engine.get(offer.key)
        state = live.state
        end_event_id = state.next_event_id
        await self._engine.until_durable(live)
        page = Page(b"", 0)
        if not offer.is_sticky:
            limits = self._engine.environment_of(offer.key.namespace_id).limits
            page = await self._histories.page(
                live,
                1,
                end_event_id,
                events_max=max(1, limits.query_history_page_size),
                taken_bytes=len(offer.query),
            )
            if page.next_event_id >= end_event_id:
                page = page._replace(next_event_id=0)
        return QueryTaskReply(
            key=offer.key,
            query_id=offer.query_id,
            query=WorkflowQuery.FromString(offer.query),
            workflow_type=state.workflow_type,
            task_queue=state.task_queue,
            previous_started_event_id=state.previous_started_event_id,
            history=page.events,
            next_event_id=page.next_event_id,
            after_seq=page.after_seq,
        )

    def _fall_back(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        waiting = self._waiting.get(effect.query_id)
        if waiting is None or waiting.offer is None or waiting.answer.done():
            return
        self._task_queues.withdraw_query(effect, waiting.offer)
        self._lose_worker(key, effect.sticky_queue)
        self.dispatch(key, effect._replace(sticky_queue=""))

    def _give_up(self, key: ExecutionKey, effect: DispatchQuery) -> None:
        if self._task_queues.is_polled(key.namespace_id, effect.task_queue, self._window_s()):
            return
        why = "no poller seen for task queue recently, worker may be down"
        self._settle(effect.query_id, Rejected(Code.FAILED_PRECONDITION, why))

    def _lose_worker(self, key: ExecutionKey, sticky_queue: str) -> None:
        """Temporal: a worker that does not take a query gets no more tasks of the run first."""
        live = self._engine.cache.peek(key)
        if live is not None and live.state.is_open and live.state.sticky_queue == sticky_queue:
            self._engine.advance(live, ResetSticky())

    def answered(self, effect: AnswerQuery) -> None:
        """The answer came along with a workflow task."""
        if effect.refusal is not None:
            self._settle(effect.query_id, effect.refusal)
        elif effect.result is not None:
            self._settle(effect.query_id, effect.result)

    def respond(self, query_id: str, result: bytes) -> None:
        """A worker answers a query that was dispatched by itself."""
        if not self._settle(query_id, result):
            raise Rejected(Code.NOT_FOUND, "query task not found, or already expired")

    def drain(self) -> None:
        """Refuse all that wait: no worker can answer any more."""
        self._is_draining = True
        for query_id in list(self._waiting):
            self._settle(query_id, going())

    def forget(self) -> None:
        """Memory is thrown away: nobody will answer, and who waits must ask again."""
        for query_id in self._waiting:
            self._settle(query_id, Rejected(Code.UNAVAILABLE, "query was aborted"))

    def _settle(self, query_id: str, result: bytes | Rejected) -> bool:
        waiting = self._waiting.get(query_id)
        if waiting is None or waiting.answer.done():
            return False
        if isinstance(result, Rejected):
            waiting.answer.set_exception(result)
        else:
            waiting.answer.set_result(result)
        return True

    def _expire(self, query_id: str) -> None:
        self._settle(
            query_id,
            Rejected(Code.DEADLINE_EXCEEDED, "query timed out before a worker could process it"),
        )
