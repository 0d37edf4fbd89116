"""One node: the engine, its task queues and queries, behind the calls that the frontend makes.

Everything here may be called from one event loop only. Refusals are `Rejected`.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from perdure.core.errors import Code, Rejected, no_workflow_task
from perdure.core.execution.environment import Environment
from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.core.execution.request import Request
from perdure.core.matching.backlog import Weights
from perdure.core.matching.task_queue import PollerInfo
from perdure.core.workflow.activities.attempts import ActivityTask, StartActivity
from perdure.core.workflow.effects import (
    OUTGOING_REQUESTS,
    AnswerQuery,
    AnswerUpdate,
    DispatchActivityTask,
    DispatchQuery,
    DispatchWorkflowTask,
    InvokeCallback,
)
from perdure.core.workflow.records import encode_events
from perdure.core.workflow.returning import Return, ReturnActivity, ReturnWorkflowTask
from perdure.core.workflow.tasks.start import StartWorkflowTask, TaskStarted
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.clock import Clock
from perdure.runtime.completion_pages import CompletionPages
from perdure.runtime.delivery.giving_back import GiveBacks
from perdure.runtime.delivery.outbound import Callbacks
from perdure.runtime.delivery.queries import Queries
from perdure.runtime.delivery.requests import OutgoingRequests
from perdure.runtime.delivery.updates import Updates
from perdure.runtime.executions import Executions
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.maintenance.namespace_deletion import NamespaceDeletion
from perdure.runtime.maintenance.retention import Remover, Retention
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.matching.task_queues import (
    ActivityOffer,
    Offer,
    QueryOffer,
    QueueName,
    TaskQueues,
    WorkflowOffer,
)
from perdure.runtime.namespaces import Namespaces
from perdure.runtime.replies import (
    ActivityTaskReply,
    QueryTaskReply,
    WorkflowTaskReply,
)
from perdure.runtime.shard.engine import Engine
from perdure.runtime.supervision import for_ever
from perdure.runtime.visibility import index_old_rows
from perdure.store.port import Store

#: A task is started already, or the run has moved on, or has just been ended.
_STALE = (Code.NOT_FOUND, Code.INVALID_ARGUMENT)


class Node:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: ConfiguredLimits,
        *,
        owner: str,
        randomness: random.Random | None = None,
        runs_max: int = 4096,
        lists: VisibilityReplicator | None = None,
    ) -> None:
        self._random = randomness if randomness is not None else random.Random()
        self.namespaces = Namespaces(store, self.fresh_id, clock.now_ns)
        self.limits = limits
        self._environments: dict[str, Environment] = {}
        self.clock = clock
        self.store = store
        self.engine = Engine(
            store,
            clock,
            self._environment_of,
            owner=owner,
            deliver=self._deliver,
            custom_attributes=self.namespaces.custom_attributes,
            runs_max=runs_max,
        )
        self.executions = Executions(self.engine)
        self.task_queues = TaskQueues(
            clock, self._configured_per_second, self._fairness_weights, self._key_rates
        )
        self.queries = Queries(
            self.executions, self.task_queues, lambda: self.limits.query_window_s
        )
        self.outgoing_requests = OutgoingRequests(self.executions, self.namespaces.name_of)
        self.callbacks = Callbacks(self.executions, self.chance)
        self.updates = Updates(self.executions)
        self.completion_pages = CompletionPages()
        remover = Remover(self.executions, store)
        self.retention = Retention(
            self.executions, store, self.namespaces, remover, lambda: self.limits.config
        )
        self.namespace_deletion = NamespaceDeletion(
            self.executions, store, self.namespaces, remover, lists
        )
        self.lists = lists
        if lists is not None:
            self.namespaces.lists_show = lists.show
        self.engine.ownership.forgot = self._forget
        self.engine.ownership.prepare = self._prepare
        self._deliverers: Mapping[type[Effect], Callable[[ExecutionKey, Any], None]] = {
            DispatchWorkflowTask: self.task_queues.offer_workflow_task,
            DispatchActivityTask: self.task_queues.offer_activity_task,
            DispatchQuery: self.queries.dispatch,
            AnswerQuery: self.queries.answered,
            AnswerUpdate: self.updates.notify,
            InvokeCallback: self.callbacks.deliver,
            **dict.fromkeys(OUTGOING_REQUESTS, self.outgoing_requests.deliver),
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when this node serves. Raises `StoreError`; waits while another node holds every lease."""
        self._tasks = [
            for_ever(lambda: self.task_queues.sweep(self.executions)),
            for_ever(self.namespaces.keep_fresh),
            for_ever(self.retention.keep),
            for_ever(self.namespace_deletion.keep),
        ]
        if (lists := self.lists) is not None:
            self._tasks.append(for_ever(lambda: lists.keep(self.engine)))
        await self.engine.start()

    async def _prepare(self) -> None:
        await self.namespaces.load()
        await index_old_rows(self.store, self.engine.leases.held, self.namespaces.custom_attributes)

    def drain(self) -> None:
        """End whatever waits for others; requests are still answered."""
        for waited_on in (self.task_queues, self.executions, self.queries, self.updates):
            waited_on.drain()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.outgoing_requests.stop()
        await self.callbacks.stop()
        await self.engine.stop()

    def configure(self, config: DynamicConfig) -> None:
        """From now on do as `config` says."""
        self.limits.change(config)
        self._environments = {}

    def _environment_of(self, namespace_id: str) -> Environment:
        environment = self._environments.get(namespace_id)
        if environment is None:
            name = self.namespaces.name_of(namespace_id)
            environment = Environment(
                self.limits.of(name),
                self.fresh_id,
                self.namespaces.search_attribute_types,
                self.namespaces.retention_ns,
                self.namespaces.id_of,
                self.namespaces.is_current_attribute,
                self.nonce,
            )
            if name:  # Without a name, nobody here knows the namespace yet.
                self._environments[namespace_id] = environment
        return environment

    def _forget(self) -> None:
        for each in (self.updates, self.queries, self.task_queues):
            each.forget()

    def fresh_id(self) -> str:
        """Return a UUID that is larger than those before: rows of runs that are busy now lie side by side."""
        milliseconds = self.clock.now_ns() // 1_000_000
        number = milliseconds << 80 | self._random.getrandbits(80)
        number = number & ~(0xF << 76) | 0x7 << 76
        digits = f"{number & ~(0x3 << 62) | 0x2 << 62:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def nonce(self) -> int:
        """Return a number that names one start of a task; never 0."""
        return self._random.getrandbits(62) + 1

    def chance(self) -> float:
        """Return a number from 0 up to 1, drawn at random."""
        return self._random.random()

    def _configured_per_second(self, name: QueueName) -> float | None:
        config = self.namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        if config is None or not config.queue_rate_limit.HasField("rate_limit"):
            return None
        return config.queue_rate_limit.rate_limit.requests_per_second

    def _key_rates(self, name: QueueName) -> tuple[float | None, Weights]:
        config = self.namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        if config is None or not config.fairness_keys_rate_limit_default.HasField("rate_limit"):
            return None, {}
        limit = config.fairness_keys_rate_limit_default.rate_limit
        return limit.requests_per_second, config.fairness_weight_overrides

    def _fairness_weights(self, name: QueueName) -> Weights | None:
        namespace = self.namespaces.name_of(name.namespace_id)
        if not self.limits.is_fair(namespace, name.name, name.kind):
            return None
        config = self.namespaces.task_queue_config(name.namespace_id, name.kind, name.name)
        return config.fairness_weight_overrides if config is not None else {}

    def _deliver(self, key: ExecutionKey, effect: Effect) -> None:
        self._deliverers[type(effect)](key, effect)

    # Polling

    async def poll_workflow_task(
        self,
        name: QueueName,
        info: PollerInfo,
        deadline: float,
        version_stamp: bytes | None,
        give_backs: GiveBacks,
    ) -> WorkflowTaskReply | QueryTaskReply | None:
        """Return a task for this poller; None if there is none until `deadline` (loop time).

        The caller calls `give_backs` if the task does not reach the worker, also if this raises.
        """
        while True:
            self.executions.check_serving()
            offer = await self.task_queues.poll(name, info, deadline)
            if offer is None:
                return None
            if isinstance(offer, QueryOffer):
                query = await self.queries.take(name, offer)
                if query is not None:
                    give_backs.append(partial(self.queries.give_back, name, offer))
                    return query
                continue
            assert isinstance(offer, WorkflowOffer)
            request = StartWorkflowTask(
                scheduled_event_id=offer.scheduled_event_id,
                attempt=offer.attempt,
                identity=info.identity,
                request_id=self.fresh_id(),
                nonce=self.nonce(),
                queue=name.name,
                version_stamp=version_stamp,
            )
            back = ReturnWorkflowTask(request.nonce)
            task = await self._take(name, offer, request, back, give_backs)
            if task is None:
                continue
            assert isinstance(task, TaskStarted)
            backlog = self.task_queues.describe(name).backlog_count
            return await self.workflow_task_reply(offer.key, task, backlog)

    async def _take(
        self,
        name: QueueName,
        offer: Offer,
        request: Request[Any],
        back: Return,
        give_backs: GiveBacks,
    ) -> object:
        """Start a task that was offered; return None if the offer is stale. `back` undoes it."""
        try:
            task = (await self.executions.ask(offer.key, request)).reply
        except BaseException as error:
            if isinstance(error, Rejected) and error.code in _STALE:
                return None
            if not self.executions.tell(offer.key, back):
                self.task_queues.give_back(name, offer)
            raise
        give_backs += self.give_backs(offer.key, back)
        return task

    def give_backs(self, key: ExecutionKey, *backs: Return) -> GiveBacks:
        """Return what undoes the starts that `backs` name."""
        return [partial(self.executions.tell, key, back) for back in backs]

    async def workflow_task_reply(
        self,
        key: ExecutionKey,
        task: TaskStarted,
        backlog_count: int = 0,
        *,
        only_new: bool = False,
        taken_bytes: int = 0,
    ) -> WorkflowTaskReply:
        """Add the history that the worker needs: all of it, or what its cache lacks.

        `taken_bytes`: what else its answer holds.
        """
        first = task.previous_started_event_id + 1 if task.is_sticky or only_new else 1
        limits = self.engine.environment_of(key.namespace_id).limits
        self.executions.check_serving()
        page = await self.executions.page(
            key,
            first,
            task.recorded_until,
            events_max=max(1, limits.task_history_page_size),
            taken_bytes=taken_bytes + _size(task),
        )
        if page.next_event_id == first < task.recorded_until:
            raise no_workflow_task()
        history, next_event_id = page.events, page.next_event_id
        if next_event_id >= task.recorded_until:
            history += encode_events(task.events)
            next_event_id = 0
        return WorkflowTaskReply(key, task, history, next_event_id, page.after_seq, backlog_count)

    async def poll_activity_task(
        self, name: QueueName, info: PollerInfo, deadline: float, give_backs: GiveBacks
    ) -> ActivityTaskReply | None:
        """As `poll_workflow_task`."""
        while True:
            self.executions.check_serving()
            offer = await self.task_queues.poll(name, info, deadline)
            if offer is None:
                return None
            assert isinstance(offer, ActivityOffer)
            request = StartActivity(
                scheduled_event_id=offer.scheduled_event_id,
                attempt=offer.attempt,
                identity=info.identity,
                request_id=self.fresh_id(),
                stamp=offer.stamp,
            )
            back = ReturnActivity(request.request_id)
            task = await self._take(name, offer, request, back, give_backs)
            if task is None:
                continue
            assert isinstance(task, ActivityTask)
            namespace = self.namespaces.name_of(offer.key.namespace_id)
            return ActivityTaskReply(offer.key, namespace, task)


def _size(task: TaskStarted) -> int:
    """Return how many bytes a workflow task has besides its history."""
    return sum(map(len, task.queries.values())) + sum(each.ByteSize() for each in task.messages)
