"""A store in dictionaries. Tests compare the other stores with it, and the simulator breaks it on purpose.

Nothing survives the process. A server without a file runs on SQLite in memory, not on this store.
"""

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter
from perdure.core.visibility.matching import matches
from perdure.store.external_visibility import OutboxSize
from perdure.store.journal_pages import page_of_rows
from perdure.store.port import (
    DELETED,
    NEVER_NS,
    SHARD_KEY_END,
    UNBOUNDED,
    Batch,
    Conflict,
    DuePlace,
    DueRun,
    ExecutionRow,
    JournalRow,
    Lease,
    LeaseLost,
    ListedPlace,
    ListedRun,
    LoadedRun,
    NamespaceRow,
    OutboxRow,
    VisibilityRow,
    check_covered,
)
from perdure.store.visibility_rows import bounded


class MemoryStore:
    """Keeps the promises of `port.Store`.

    `is_shared`: several nodes use the store, and a node keeps a lease until it expires by `now_ns`.
    """

    def __init__(
        self,
        *,
        now_ns: Callable[[], int] = lambda: 0,
        ranges: int = 1,
        is_shared: bool = False,
    ) -> None:
        self._now_ns = now_ns
        self._is_shared = is_shared
        bounds = [SHARD_KEY_END * index // ranges for index in range(ranges + 1)]
        self._leases = [Lease(lo, hi, "", 0) for lo, hi in pairwise(bounds)]
        self._expires_at_ns = [0] * ranges
        self._executions: dict[str, ExecutionRow] = {}
        #: Run ids by run number, by `ExecutionKey.business_key`; the largest number is the current run's.
        self._runs: dict[tuple[int, str, str], dict[int, str]] = {}
        self._journal: dict[str, list[JournalRow]] = {}
        self._visibility: dict[str, VisibilityRow] = {}
        self._outbox: dict[int, OutboxRow] = {}
        self._outbox_end = 0
        self._namespaces: dict[str, NamespaceRow] = {}
        self._cluster_id = ""
        self._is_external = False

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    # Leases

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        now_ns = self._now_ns()
        claimed = []
        for index, lease in enumerate(self._leases):
            is_free = lease.owner in ("", owner) or self._expires_at_ns[index] <= now_ns
            if is_free or not self._is_shared:
                self._leases[index] = lease._replace(owner=owner, epoch=lease.epoch + 1)
                self._expires_at_ns[index] = now_ns + ttl_ns
                claimed.append(self._leases[index])
        return tuple(claimed)

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        self._check(leases)
        for lease in leases:
            self._expires_at_ns[self._leases.index(lease)] = self._now_ns() + ttl_ns

    async def release(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if lease in self._leases:
                index = self._leases.index(lease)
                self._leases[index] = lease._replace(owner="")
                self._expires_at_ns[index] = 0

    def _check(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            if lease not in self._leases:
                raise LeaseLost(f"{lease.owner} lost {lease.lo:#x} to {lease.hi:#x}")

    # The journal

    async def commit(self, batch: Batch) -> None:
        self._check(batch.leases)
        check_covered(batch)
        self._check_new(batch)
        for row in batch.executions:
            self._executions[row.run_id] = row
            self._runs.setdefault(row.key.business_key, {})[row.run_number] = row.run_id
        for journal_row in batch.journal:
            self._journal.setdefault(journal_row.run_id, []).append(journal_row)
        for update in batch.updates:
            old = self._executions.get(update.run_id)
            if old is not None:
                self._executions[update.run_id] = old._replace(
                    status=update.status,
                    due_at_ns=update.due_at_ns,
                    snapshot=update.snapshot,
                    snapshot_seq=update.snapshot_seq,
                )
        for shown in batch.visibility:
            self._visibility[shown.run_id] = shown
        for waiting in batch.outbox:
            self._visibility.pop(waiting.run_id, None)
            self._outbox_end += 1
            self._outbox[self._outbox_end] = waiting._replace(position=self._outbox_end)
        self._delete(batch.deletes)

    def _delete(self, keys: Sequence[ExecutionKey]) -> None:
        gone = {key.run_id for key in keys}
        for key in keys:
            self._journal.pop(key.run_id, None)
            self._visibility.pop(key.run_id, None)
            row = self._executions.get(key.run_id)
            if row is not None:
                self._executions[key.run_id] = row._replace(
                    status=DELETED, due_at_ns=NEVER_NS, snapshot=b"", snapshot_seq=0
                )
        for place in {key.business_key for key in keys}:
            runs = self._runs.get(place, {})
            is_used = any(self._executions[run_id].status != DELETED for run_id in runs.values())
            latest = max(runs, default=0)
            for number, run_id in list(runs.items()):
                if not is_used or (run_id in gone and number != latest):
                    del self._executions[run_id], runs[number]

    def _check_new(self, batch: Batch) -> None:
        run_ids: set[str] = set()
        numbers: set[tuple[tuple[int, str, str], int]] = set()
        for row in batch.executions:
            number = (row.key.business_key, row.run_number)
            taken = self._runs.get(number[0], {})
            if (
                row.run_id in self._executions
                or row.run_number in taken
                or row.run_id in run_ids
                or number in numbers
            ):
                raise Conflict(f"run {row.run_number} of {row.business_id} ({row.run_id}) exists")
            run_ids.add(row.run_id)
            numbers.add(number)
        seqs = {(row.run_id, row.seq) for row in batch.journal}
        if len(seqs) < len(batch.journal):
            raise Conflict("one journal row twice in a batch")
        for run_id, seq in seqs:
            rows = self._journal.get(run_id)
            if rows and seq <= rows[-1].seq and any(row.seq == seq for row in rows):
                raise Conflict(f"journal row {seq} of run {run_id} exists")

    async def shrink(self) -> bool:
        return False

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        return [self._load(key) for key in keys]

    def _load(self, key: ExecutionKey) -> LoadedRun | None:
        run_id = key.run_id
        if not run_id:
            runs = self._runs.get(key.business_key)
            if not runs:
                return None
            run_id = runs[max(runs)]
        row = self._executions.get(run_id)
        if row is None or row.key.business_key != key.business_key:
            return None
        journal = self._journal.get(run_id, [])
        return LoadedRun(
            row, journal[bisect_right(journal, row.snapshot_seq, key=lambda row: row.seq) :]
        )

    async def due(
        self, lo: int, hi: int, after: DuePlace, until_ns: int, limit: int
    ) -> list[DueRun]:
        found = (
            DueRun(row.due_at_ns, row.key)
            for row in self._executions.values()
            if lo <= row.shard_key < hi and row.due_at_ns <= until_ns
        )
        return sorted(
            (due for due in found if due.place > after and due.due_at_ns < NEVER_NS),
            key=lambda due: due.place,
        )[:limit]

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
        rows = self._journal.get(run_id, [])
        if reverse:
            end = bisect_left(rows, after_seq, key=lambda row: row.seq) if after_seq else len(rows)
            part = rows[:end][::-1]
        else:
            part = rows[bisect_right(rows, after_seq, key=lambda row: row.seq) :]
        found = islice((row for row in part if row.event_count), limit)
        page = page_of_rows(
            found, reverse=reverse, until_event_id=until_event_id, bytes_max=bytes_max
        )
        return list(page)

    # For checks of the stored rows

    def journals(self) -> Iterator[tuple[str, list[JournalRow]]]:
        """Yield every run id with its journal."""
        yield from self._journal.items()

    def journal(self, run_id: str) -> list[JournalRow]:
        return self._journal.get(run_id, [])

    def shown(self, run_id: str) -> VisibilityRow | None:
        return self._visibility.get(run_id)

    def rows(self) -> Iterator[ExecutionRow]:
        yield from self._executions.values()

    # Visibility

    async def list_visibility(
        self,
        namespace_id: str,
        *,
        limit: int,
        after: tuple[int, int, str] | None,
        filter: Filter = EVERYTHING,
        bytes_max: int = UNBOUNDED,
    ) -> list[VisibilityRow]:
        rows = sorted(self._matching(namespace_id, filter), key=_list_order, reverse=True)
        if after is not None:
            rows = [row for row in rows if _list_order(row) < after]
        page = bounded(islice(rows, limit), bytes_max, lambda row: row.large_bytes)
        return [row._replace(attributes="") for row in page]

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int:
        return sum(1 for _ in self._matching(namespace_id, filter))

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        assert filter.group_by is not None
        field = filter.group_by.field
        return sorted(
            Counter(
                _compared(row).get(field, "") for row in self._matching(namespace_id, filter)
            ).items()
        )

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        return []

    def _matching(self, namespace_id: str, filter: Filter) -> Iterator[VisibilityRow]:
        for row in self._visibility.values():
            if (
                row.namespace_id == namespace_id
                and filter.archetype in (None, row.archetype)
                and matches(filter.condition, _compared(row))
            ):
                yield row

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        rows = sorted(
            ListedRun(
                row.archetype,
                *_list_order(row),
                row.workflow_id,
                row.history_size_bytes,
                row.state_transition_count,
            )
            for row in self._visibility.values()
            if row.namespace_id == namespace_id and archetype in (None, row.archetype)
        )
        return [
            row
            for row in rows
            if row.close_time_ns <= until_ns and (after is None or row.place > after)
        ][:limit]

    async def stored_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        rows = (row for run_id, row in sorted(self._visibility.items()) if run_id > after)
        return [row._replace(attributes="") for row in islice(rows, limit)]

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        keys = (
            row.key
            for run_id, row in sorted(self._executions.items())
            if row.status != DELETED and (after is None or run_id > after.run_id)
        )
        return list(islice(keys, limit))

    async def has_external_visibility(self) -> bool:
        return self._is_external

    async def set_external_visibility(self, is_external: bool) -> None:
        self._is_external = is_external

    async def outbox(self, limit: int) -> list[OutboxRow]:
        return list(self._outbox.values())[:limit]

    async def outbox_size(self) -> OutboxSize:
        first = next(iter(self._outbox.values()), None)
        return OutboxSize(len(self._outbox), first.written_at_ns if first is not None else 0)

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        for position in positions:
            self._outbox.pop(position, None)

    # Namespaces and the cluster

    async def namespaces(self) -> list[NamespaceRow]:
        return list(self._namespaces.values())

    async def put_namespace(self, row: NamespaceRow) -> None:
        stored = self._namespaces.get(row.namespace_id)
        version = stored.version if stored is not None else 0
        has_name = any(
            other.name == row.name and other.namespace_id != row.namespace_id
            for other in self._namespaces.values()
        )
        if version != row.version - 1 or has_name:
            raise Conflict(f"namespace {row.name} exists, or was changed meanwhile")
        self._namespaces[row.namespace_id] = row

    async def delete_namespace(self, namespace_id: str) -> None:
        self._namespaces.pop(namespace_id, None)

    async def cluster_id(self, proposed: str) -> str:
        self._cluster_id = self._cluster_id or proposed
        return self._cluster_id


def _list_order(row: VisibilityRow) -> tuple[int, int, str]:
    return row.close_time_ns or NEVER_NS, row.start_time_ns, row.run_id


def _compared(row: VisibilityRow) -> dict[str, Any]:
    """Return the values of a row that filters compare: field → value, without missing ones."""
    found = {
        "WorkflowId": row.workflow_id,
        "RunId": row.run_id,
        "WorkflowType": row.workflow_type,
        "StartTime": row.start_time_ns,
        "ExecutionTime": row.execution_time_ns,
        "ExecutionStatus": row.status,
        "TaskQueue": row.task_queue,
        "RootWorkflowId": row.root_workflow_id,
        "RootRunId": row.root_run_id,
    }
    if row.parent_workflow_id:
        found["ParentWorkflowId"] = row.parent_workflow_id
    if row.parent_run_id:
        found["ParentRunId"] = row.parent_run_id
    if row.close_time_ns:
        found |= {
            "CloseTime": row.close_time_ns,
            "HistoryLength": row.history_length,
            "HistorySizeBytes": row.history_size_bytes,
            "StateTransitionCount": row.state_transition_count,
            "ExecutionDuration": max(0, row.close_time_ns - row.execution_time_ns),
        }
    return found | (json.loads(row.attributes) if row.attributes else {})
