"""Measures the runtime for Prometheus: calls of the store, backlogs of task queues, and the execution cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

from perdure.core.execution.key import ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.metrics.registry import Labels, Registry
from perdure.runtime.node import Node
from perdure.store.port import (
    UNBOUNDED,
    Batch,
    JournalRow,
    LoadedRun,
    Store,
    StoreError,
    VisibilityRow,
)

_KINDS = {1: "Workflow", 2: "Activity"}


class InstrumentedStore:
    """A store that measures how long its calls take, under the real server's names."""

    def __init__(self, store: Store, metrics: Registry) -> None:
        self._store = store
        labels = ("operation", "service_name")
        self._requests = metrics.counter("persistence_requests", *labels)
        self._latency = metrics.histogram("persistence_latency", *labels)
        self._errors = metrics.counter("persistence_error_with_type", "error_type", *labels)
        self._rows = metrics.counter("perdure_journal_rows")
        self.open = store.open
        self.close = store.close
        self.claim = store.claim
        self.renew = store.renew
        self.release = store.release
        self.shrink = store.shrink
        self.due = store.due
        self.count_visibility = store.count_visibility
        self.count_groups = store.count_groups
        self.unindexed_visibility = store.unindexed_visibility
        self.longest_closed = store.longest_closed
        self.namespaces = store.namespaces
        self.put_namespace = store.put_namespace
        self.delete_namespace = store.delete_namespace
        self.cluster_id = store.cluster_id

    @contextmanager
    def _timed(self, operation: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        except StoreError as error:
            self._errors.add((type(error).__name__, operation, "history"))
            raise
        finally:
            self._requests.add((operation, "history"))
            self._latency.observe(perf_counter() - began, (operation, "history"))

    async def commit(self, batch: Batch) -> None:
        with self._timed("Commit"):
            await self._store.commit(batch)
        self._rows.add(amount=len(batch.journal))

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        with self._timed("GetWorkflowExecution"):
            return await self._store.load(keys)

    async def history(
        self,
        shard_key: int,
        run_id: str,
        *,
        after_seq: int,
        limit: int,
        reverse: bool = False,
        with_internal: bool = False,
        until_event_id: int | None = None,
        bytes_max: int = UNBOUNDED,
    ) -> list[JournalRow]:
        with self._timed("ReadHistoryBranch"):
            return await self._store.history(
                shard_key,
                run_id,
                after_seq=after_seq,
                limit=limit,
                reverse=reverse,
                with_internal=with_internal,
                until_event_id=until_event_id,
                bytes_max=bytes_max,
            )

    async def list_visibility(
        self,
        namespace_id: str,
        *,
        limit: int,
        after: tuple[int, int, str] | None,
        filter: Filter = EVERYTHING,
        bytes_max: int = UNBOUNDED,
    ) -> list[VisibilityRow]:
        with self._timed("ListWorkflowExecutions"):
            return await self._store.list_visibility(
                namespace_id, limit=limit, after=after, filter=filter, bytes_max=bytes_max
            )


def measure_node(metrics: Registry, node: Node) -> None:
    """Add the gauges of a node: they are read when Prometheus asks."""

    def backlog(read_age: bool) -> Iterator[tuple[Labels, float]]:
        now_ns = node.clock.now_ns()
        names = {namespace.id: namespace.name for namespace in node.namespaces.listed()}
        for name in list(node.task_queues.names()):
            queue = node.task_queues.describe(name)
            namespace = names.get(name.namespace_id, name.namespace_id)
            number = queue.backlog_age_ns(now_ns) / 1e9 if read_age else queue.backlog_count
            yield (namespace, name.name, _KINDS[name.kind]), number

    labels = ("namespace", "taskqueue", "task_type")
    metrics.gauge("approximate_backlog_count", lambda: backlog(False), *labels)
    metrics.gauge("approximate_backlog_age_seconds", lambda: backlog(True), *labels)
    metrics.gauge("perdure_runs_in_memory", lambda: [((), node.executions.in_memory_count)])
    if (replicator := node.replicator) is not None:
        metrics.gauge("perdure_visibility_lag_seconds", lambda: [((), replicator.lag_s)])
        metrics.gauge("perdure_visibility_rows_waiting", lambda: [((), replicator.rows_waiting)])
    metrics.gauge("perdure_leases_held", lambda: [((), node.executions.leases_count)])
