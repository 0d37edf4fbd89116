"""What the runtime tells Prometheus: how long the store takes, and what waits."""

from collections.abc import Iterator, Sequence
from time import perf_counter

from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.metrics import Labels, Registry
from perdure.runtime.node import Node
from perdure.store.port import (
    Batch,
    DueRun,
    JournalRow,
    Lease,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    RunKey,
    Store,
    StoreError,
    VisibilityRow,
)

_KINDS = {1: "Workflow", 2: "Activity"}


class MeasuredStore:
    """A store, and how long its calls take, under the real server's names for that."""

    def __init__(self, store: Store, metrics: Registry) -> None:
        self._store = store
        labels = ("operation", "service_name")
        self._requests = metrics.counter("persistence_requests", *labels)
        self._latency = metrics.histogram("persistence_latency", *labels)
        self._errors = metrics.counter("persistence_error_with_type", "error_type", *labels)
        self._rows = metrics.counter("perdure_journal_rows")
        self.open = store.open
        self.close = store.close
        self.renew = store.renew
        self.release = store.release
        self.namespaces = store.namespaces
        self.cluster_id = store.cluster_id
        self.delete_namespace = store.delete_namespace
        self.shrink = store.shrink

    def _done(self, operation: str, began: float) -> None:
        self._requests.add((operation, "history"))
        self._latency.observe(perf_counter() - began, (operation, "history"))

    def _failed(self, operation: str, error: StoreError) -> None:
        self._errors.add((type(error).__name__, operation, "history"))

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        return await self._store.claim(owner, ttl_ns)

    async def put_namespace(self, row: NamespaceRow) -> None:
        await self._store.put_namespace(row)

    async def commit(self, batch: Batch) -> None:
        began = perf_counter()
        try:
            await self._store.commit(batch)
        except StoreError as error:
            self._failed("Commit", error)
            raise
        finally:
            self._done("Commit", began)
        self._rows.add(amount=len(batch.journal))

    async def load(self, keys: Sequence[RunKey]) -> list[LoadedRun | None]:
        began = perf_counter()
        try:
            return await self._store.load(keys)
        except StoreError as error:
            self._failed("GetWorkflowExecution", error)
            raise
        finally:
            self._done("GetWorkflowExecution", began)

    async def due(self, lo: int, hi: int, after_ns: int, until_ns: int, limit: int) -> list[DueRun]:
        return await self._store.due(lo, hi, after_ns, until_ns, limit)

    async def history(
        self, shard_key: int, run_id: str, *, after_seq: int, limit: int, reverse: bool = False
    ) -> list[JournalRow]:
        began = perf_counter()
        try:
            return await self._store.history(
                shard_key, run_id, after_seq=after_seq, limit=limit, reverse=reverse
            )
        except StoreError as error:
            self._failed("ReadHistoryBranch", error)
            raise
        finally:
            self._done("ReadHistoryBranch", began)

    async def list_visibility(
        self,
        namespace_id: str,
        *,
        limit: int,
        after: tuple[int, int, str] | None,
        filter: Filter = EVERYTHING,
    ) -> list[VisibilityRow]:
        began = perf_counter()
        try:
            return await self._store.list_visibility(
                namespace_id, limit=limit, after=after, filter=filter
            )
        except StoreError as error:
            self._failed("ListWorkflowExecutions", error)
            raise
        finally:
            self._done("ListWorkflowExecutions", began)

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        return await self._store.count_visibility(namespace_id, filter)

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        return await self._store.count_groups(namespace_id, filter)

    async def unindexed_visibility(self, limit: int) -> list[VisibilityRow]:
        return await self._store.unindexed_visibility(limit)

    async def longest_closed(
        self, namespace_id: str, *, until_ns: int, limit: int, after: tuple[int, int, str] | None
    ) -> list[ListedRun]:
        return await self._store.longest_closed(
            namespace_id, until_ns=until_ns, limit=limit, after=after
        )


def measure_node(metrics: Registry, node: Node) -> None:
    """Add what can be read off a node whenever it is asked for."""

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
    metrics.gauge("perdure_runs_in_memory", lambda: [((), len(node.engine.residency))])
    if (lists := node.lists) is not None:
        metrics.gauge("perdure_visibility_lag_seconds", lambda: [((), lists.lag_s)])
        metrics.gauge("perdure_visibility_rows_waiting", lambda: [((), lists.rows_waiting)])
    metrics.gauge("perdure_leases_held", lambda: [((), len(node.engine.leases.held))])
