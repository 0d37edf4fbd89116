"""What the runtime needs from a database.

Every store (memory, SQLite, PostgreSQL) keeps the promises written here; `tests/store/` runs one suite
over all of them. Nothing here knows SQL, asyncio or the rules of a workflow: a store keeps rows.

Units: times are nanoseconds since the epoch, in UTC. A `shard_key` is `core.execution.key.shard_key(...)`, 0 … 2³²-1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter

#: `due_at_ns` of a run that nothing but a request can move.
NEVER_NS = 2**63 - 1
SHARD_KEY_END = 2**32
#: Status of a row that only keeps the number of a deleted run, see `Batch.deletes`.
DELETED = -1
#: No bound for the bytes of a page.
UNBOUNDED = 2**62


class StoreError(Exception):
    """The store could not do what was asked of it."""


class Unavailable(StoreError):
    """The database cannot be reached, is full or gave up. For a commit: its outcome is unknown.

    After a failed commit the owner must `claim` again before it reads: the claim waits for, or fences off,
    whatever transaction may still be under way, so that what is read afterwards is the last word.
    """


class LeaseLost(StoreError):
    """Another node owns the range, or this one claimed it again. Nothing was written."""


class Conflict(StoreError):
    """A row that must be new exists already (a run, a journal row, a namespace name). Nothing was written."""


class Lease(NamedTuple):
    """The right to write rows with `lo <= shard_key < hi`, until another node claims them."""

    lo: int
    hi: int
    owner: str
    #: Grows with every claim. A commit under an older epoch is refused.
    epoch: int


def cover_all(leases: Iterable[Lease]) -> bool:
    """Whether these leases, taken at one time, are the whole key space."""
    return sum(lease.hi - lease.lo for lease in leases) == SHARD_KEY_END


class ExecutionRow(NamedTuple):
    """One run: its `ExecutionKey`, and how it was when its snapshot was taken."""

    shard_key: int
    archetype: int
    namespace_id: str
    business_id: str
    run_id: str
    #: 1, 2, 3 … for the runs of one archetype and business id. The largest is the current run.
    run_number: int
    #: `temporal.api.enums.v1.WorkflowExecutionStatus`.
    status: int
    #: The owner must have the run in memory no later than then. 0: now. Early is allowed, late never is.
    due_at_ns: int
    #: State after the journal row `snapshot_seq`; empty with `snapshot_seq` 0 when there is none yet.
    snapshot: bytes
    snapshot_seq: int

    @property
    def key(self) -> ExecutionKey:
        return ExecutionKey(
            self.shard_key, self.archetype, self.namespace_id, self.business_id, self.run_id
        )


class ExecutionUpdate(NamedTuple):
    """Replaces status, due time and snapshot of an existing run."""

    shard_key: int
    archetype: int
    namespace_id: str
    business_id: str
    run_id: str
    status: int
    due_at_ns: int
    snapshot: bytes
    snapshot_seq: int


class JournalRow(NamedTuple):
    """What one transition recorded, or a part of it. `seq` counts 1, 2, 3 … within a run, without a gap."""

    shard_key: int
    run_id: str
    seq: int
    #: The id of the first history event of this row, or of the next one to come when `event_count` is 0.
    first_event_id: int
    event_count: int
    #: A serialized `temporal.api.history.v1.History`: rows can be joined by joining their bytes. Empty for none.
    events: bytes
    #: Internal records, encoded by `core.workflow.records`. Empty for none.
    internal: bytes


class VisibilityRow(NamedTuple):
    """What lists show of one run. Written whole (insert or replace, by run id) with the transition that changes it.

    Filters name its fields: `workflow_id` (`WorkflowId`) is the business id, whatever the archetype.
    """

    namespace_id: str
    run_id: str
    workflow_id: str
    workflow_type: str
    task_queue: str
    status: int
    start_time_ns: int
    execution_time_ns: int
    #: 0 while the run is open.
    close_time_ns: int
    history_length: int
    history_size_bytes: int
    state_transition_count: int
    #: Serialized `temporal.api.common.v1.Memo`; may be empty.
    memo: bytes
    #: Serialized `temporal.api.common.v1.SearchAttributes`; may be empty.
    search_attributes: bytes
    parent_workflow_id: str
    parent_run_id: str
    root_workflow_id: str
    root_run_id: str
    #: What filters compare (`core.visibility.indexing`): JSON, empty for nothing. Stores do not give it back.
    attributes: str = ""
    #: The last field: rows in an outbox from before there were archetypes do not have it.
    archetype: int = WORKFLOW


class OutboxRow(NamedTuple):
    """What lists in another database have to learn of one run."""

    #: Grows with every row, and is never used twice. The store chooses it: whatever a batch says does not count.
    position: int
    run_id: str
    #: Encoded by `store.split`; empty for a run that is gone.
    data: bytes
    #: 0: before lists moved to the other database; nobody knows when.
    written_at_ns: int


class OutboxSize(NamedTuple):
    rows: int
    #: When the row with the smallest position was written; 0 if there is none, or nobody knows.
    oldest_at_ns: int


#: A place in the order of `longest_closed`: the first four fields of a `ListedRun`.
ListedPlace = tuple[int, int, int, str]


class ListedRun(NamedTuple):
    """What it takes to find a run, and to guess what it costs to delete it."""

    archetype: int
    #: `NEVER_NS` while the run is open.
    close_time_ns: int
    start_time_ns: int
    run_id: str
    business_id: str
    history_size_bytes: int
    state_transition_count: int

    @property
    def place(self) -> ListedPlace:
        return self[:4]


class NamespaceRow(NamedTuple):
    namespace_id: str
    name: str
    #: Encoded by the namespace registry; the store does not look inside.
    data: bytes
    #: Starts at 1 and grows by 1 with every update.
    version: int


class LoadedRun(NamedTuple):
    """A run as stored: its row, and the journal rows after `row.snapshot_seq`, in order."""

    row: ExecutionRow
    journal: Sequence[JournalRow]


class DueRun(NamedTuple):
    due_at_ns: int
    key: ExecutionKey


@dataclass(slots=True)
class Batch:
    """One transaction: all of it is written, or none of it."""

    #: Leases that cover every `shard_key` below. The commit fails with `LeaseLost` if one is no longer current.
    leases: tuple[Lease, ...] = ()
    #: New runs. `Conflict` if (archetype, business id, run number) or the run id exists.
    executions: list[ExecutionRow] = field(default_factory=list)
    #: `Conflict` if (run id, seq) exists.
    journal: list[JournalRow] = field(default_factory=list)
    #: Runs of this batch's `executions` or of earlier ones. At most one update per run (the last counts).
    updates: list[ExecutionUpdate] = field(default_factory=list)
    #: At most one row per run (the last counts).
    visibility: list[VisibilityRow] = field(default_factory=list)
    #: Runs that go, with all their rows; nothing happens if they are gone already. Nothing else in the batch is theirs.
    #: No older run becomes the current one by that: while a business id has other runs, the row of its latest stays,
    #: with the status `DELETED` and without a snapshot, so that the next one gets a larger number.
    deletes: list[ExecutionKey] = field(default_factory=list)
    #: For lists in another database. Their runs' rows of `visibility` go. At most one row per run.
    outbox: Sequence[OutboxRow] = ()


def check_covered(batch: Batch) -> None:
    """Raise `LeaseLost` unless every row of `batch` lies in one of its leases: what nothing fences is not written."""
    if not batch.leases and (batch.visibility or batch.outbox):
        raise LeaseLost("no lease is held")
    keys = {row.shard_key for row in batch.journal}
    keys.update(row.shard_key for row in batch.executions)
    keys.update(update.shard_key for update in batch.updates)
    keys.update(key.shard_key for key in batch.deletes)
    for key in keys:
        if not any(lease.lo <= key < lease.hi for lease in batch.leases):
            raise LeaseLost(f"no lease covers {key:#x}")


class Store(Protocol):
    """All methods but `close` raise `Unavailable` when the database cannot be reached.

    They do not retry for longer than it takes to open one new connection: backoff is the caller's.
    Cancelling a call never leaves a half-written batch: it is written whole, or not at all.
    """

    async def open(self) -> None:
        """Connect and check the schema. Raises `StoreError` with one clear line (newer schema, locked file …)."""

    async def close(self) -> None: ...

    # Leases

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        """Take, for `ttl_ns`, every range that is free, expired or already `owner`'s, with a new epoch.

        Expiry is judged by the database's clock. Returns () when others hold them all. Waits for, or makes
        impossible, any commit that is still under way with an older epoch of the ranges that it returns.
        A store that one process has for itself (memory, a locked file) takes every range at once.
        """

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        """Push the expiry of all `leases` to `ttl_ns` from now; raise `LeaseLost` if one is no longer current."""

    async def release(self, leases: Sequence[Lease]) -> None:
        """Make the ranges free at once. Not an error if they are lost already."""

    # The journal

    async def commit(self, batch: Batch) -> None:
        """Write `batch` in one durable transaction. Raises `LeaseLost`, `Conflict` or `Unavailable`."""

    async def shrink(self) -> bool:
        """Give back to the disk a bounded part of what deleted rows took; return whether there is more to give.

        A store that does so by itself, or cannot, returns False.
        """

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        """Return one result for each key, in order; None where there is no such run.

        A row with the status `DELETED` is no run either: it is returned for its number alone.
        """

    async def due(self, lo: int, hi: int, after_ns: int, until_ns: int, limit: int) -> list[DueRun]:
        """Return runs with lo <= shard_key < hi and after_ns < due_at_ns <= until_ns, ordered by due_at_ns.

        At most about `limit` of them, but never only a part of those with one due_at_ns: the caller goes on
        with `after_ns` = the last one's due_at_ns. Exception: rows with due_at_ns = 0 are all returned at once.
        """

    async def history(
        self,
        shard_key: int,
        run_id: str,
        *,
        after_seq: int,
        limit: int,
        reverse: bool = False,
        bytes_max: int = UNBOUNDED,
    ) -> list[JournalRow]:
        """Return up to `limit` journal rows that hold events, seq > after_seq ascending.

        Reverse: seq < after_seq descending (`after_seq` 0: from the end). `internal` may be left empty.
        No row follows the one with which their events have `bytes_max` bytes or more: it is not read either.
        """

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
        """Return rows ordered by (close time, open runs first), start time, run id; all descending.

        `after` is the last row of the page before: (close_time_ns, or NEVER_NS while open; start_time_ns; run_id).
        No row follows the one with which their memos and search attributes have `bytes_max` bytes or more.
        """

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int: ...

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        """Return each value of `filter.group_by` that there is, in order, and how many rows have it; "" for none."""

    async def unindexed_visibility(self, limit: int) -> list[VisibilityRow]:
        """Return rows from before `attributes` was kept: filters cannot find them until they are written again."""

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        """Return runs with close time <= until_ns, in the order of `list_visibility` turned round.

        `archetype` None: all archetypes, one after the other. `until_ns` = `NEVER_NS`: open ones, too. `after` is the
        place of the last row of the page before.
        """

    # Namespaces and the cluster

    async def namespaces(self) -> list[NamespaceRow]: ...

    async def put_namespace(self, row: NamespaceRow) -> None:
        """Insert (version 1) or update (stored version must be `row.version - 1`); else `Conflict`."""

    async def delete_namespace(self, namespace_id: str) -> None:
        """Delete its row alone. Nothing happens if there is none."""

    async def cluster_id(self, proposed: str) -> str:
        """Return the cluster's id; `proposed` becomes it if there is none yet."""


class OutboxStore(Store, Protocol):
    """A store that can also be the main one of two, see `store.split`."""

    async def stored_visibility(self, limit: int) -> list[VisibilityRow]:
        """Return some of the rows of lists that there are, in any namespace."""

    async def runs(self, after: ExecutionKey | None, limit: int) -> list[ExecutionKey]:
        """Return the runs that there are, in an order of the store's own.

        `after` is the last one of the page before.
        """

    async def lists_elsewhere(self) -> bool:
        """Whether rows of lists have gone to a second database, as `set_lists_elsewhere` was told last."""

    async def set_lists_elsewhere(self, are_elsewhere: bool) -> None: ...

    async def outbox(self, limit: int) -> list[OutboxRow]:
        """Return the first rows by position. Those of one run were committed in that order."""

    async def outbox_size(self) -> OutboxSize: ...

    async def trim_outbox(self, positions: Sequence[int]) -> None:
        """Delete exactly these rows. Not an error if they are gone already."""
