"""Composes one node: the engine, task queues, deliverers and background work, behind one object for the frontend.

Everything here may be called from one event loop only. Refusals are `Rejected`.
"""

import asyncio
import random

from perdure.core.execution.key import ExecutionKey
from perdure.core.execution.outcome import Effect
from perdure.dynamic_config import DynamicConfig
from perdure.runtime.clock import Clock
from perdure.runtime.completion_pages import CompletionPages
from perdure.runtime.delivery.families import families
from perdure.runtime.delivery.outbound import OutboundCalls
from perdure.runtime.delivery.queries import Queries
from perdure.runtime.delivery.requests import OutgoingRequests
from perdure.runtime.delivery.updates import Updates
from perdure.runtime.environments import Environments, FreshIds
from perdure.runtime.executions import Executions
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.maintenance.namespace_deletion import NamespaceDeletion
from perdure.runtime.maintenance.retention import Remover, Retention
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.matching.polls import Polls
from perdure.runtime.matching.queue_settings import QueueSettings
from perdure.runtime.matching.task_queues import TaskQueues
from perdure.runtime.namespaces import Namespaces
from perdure.runtime.shard.engine import Engine
from perdure.runtime.supervision import for_ever
from perdure.runtime.visibility import index_old_rows
from perdure.store.port import RenewalPath, Store


class Node:
    def __init__(
        self,
        store: Store,
        clock: Clock,
        limits: ConfiguredLimits,
        *,
        owner: str,
        randomness: random.Random | None = None,
        executions_max: int = 4096,
        replicator: VisibilityReplicator | None = None,
        renewal_path: RenewalPath | None = None,
    ) -> None:
        """`replicator`: visibility has a second database. `renewal_path`: a thread renews the leases over it."""
        self.clock = clock
        self.store = store
        self.limits = limits
        self.replicator = replicator
        ids = FreshIds(clock, randomness if randomness is not None else random.Random())
        self.fresh_id, self.nonce, self.chance = ids.fresh_id, ids.nonce, ids.chance
        self.namespaces = Namespaces(store, self.fresh_id, clock.now_ns)
        if replicator is not None:
            self.namespaces.is_shown = replicator.is_shown
        self._environments = Environments(self.namespaces, limits, self.fresh_id, self.nonce)
        self.engine = Engine(
            store,
            clock,
            self._environments.of,
            owner=owner,
            deliver=self._deliver,
            custom_attributes=self.namespaces.custom_attributes,
            executions_max=executions_max,
            renewal_path=renewal_path,
        )
        self.engine.ownership.forgot = self._forget
        self.engine.ownership.prepare = self._prepare
        self.executions = Executions(self.engine)
        self._compose_tasks()
        self._compose_maintenance()
        self.families = families(
            self.task_queues,
            self.outgoing_requests,
            self.outbound_calls,
            self.queries,
            self.updates,
        )
        self._deliverers = self.families.by_type()
        self._background: list[asyncio.Task[None]] = []

    def _compose_tasks(self) -> None:
        """Make everything that effects go to, and that polls take tasks from."""
        settings = QueueSettings(self.namespaces, self.limits)
        self.task_queues = TaskQueues(
            self.clock, settings.configured, settings.weights, settings.key_rates
        )
        self.queries = Queries(
            self.executions, self.task_queues, lambda: self.limits.query_window_s
        )
        self.updates = Updates(self.executions)
        self.outgoing_requests = OutgoingRequests(self.executions, self.namespaces.name_of)
        self.outbound_calls = OutboundCalls(self.executions, self.chance)
        self.polls = Polls(
            self.executions,
            self.task_queues,
            self.queries,
            self.namespaces,
            fresh_id=self.fresh_id,
            nonce=self.nonce,
        )
        self.completion_pages = CompletionPages()

    def _compose_maintenance(self) -> None:
        remover = Remover(self.executions, self.store)
        self.retention = Retention(
            self.executions, self.store, self.namespaces, remover, lambda: self.limits.config
        )
        self.namespace_deletion = NamespaceDeletion(
            self.executions, self.store, self.namespaces, remover, self.replicator
        )

    async def start(self) -> None:
        """Return when this node serves and has taken over all that is due. Raises as `serve` does."""
        await self.serve()
        await self.engine.take_over()

    async def serve(self) -> None:
        """Return when this node answers requests; `engine.take_over` is to follow.

        Raises `StoreError`; waits while another node holds every lease.
        """
        self._background = [
            for_ever(lambda: self.task_queues.sweep(self.executions)),
            for_ever(self.namespaces.keep_fresh),
            for_ever(self.retention.keep),
            for_ever(self.namespace_deletion.keep),
        ]
        if (replicator := self.replicator) is not None:
            self._background.append(for_ever(lambda: replicator.keep(self.engine)))
        await self.engine.serve()

    async def _prepare(self) -> None:
        """The engine has claimed leases: read what it needs before it answers anything."""
        await self.namespaces.load()
        await index_old_rows(self.store, self.engine.leases.held, self.namespaces.custom_attributes)

    def drain(self) -> None:
        """End all calls that wait; the node still answers requests."""
        for waited_on in (self.task_queues, self.executions, self.queries, self.updates):
            waited_on.drain()

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.outgoing_requests.stop()
        await self.outbound_calls.stop()
        await self.engine.stop()

    def configure(self, config: DynamicConfig) -> None:
        """From now on do as `config` says."""
        self.limits.change(config)
        self._environments.forget()

    def _forget(self) -> None:
        """The engine has thrown memory away: so do all that rest on it."""
        for each in (self.updates, self.queries, self.task_queues):
            each.forget()

    def _deliver(self, key: ExecutionKey, effect: Effect) -> None:
        self._deliverers[type(effect)](key, effect)
