"""The port of the store: the rows that the runtime keeps in a database, and the calls that write and read them.

Every store (memory, SQLite, PostgreSQL) keeps the promises written here; `tests/store/` runs one suite over all of
them. The port knows no SQL and no rules of an execution: a store keeps rows.

Units: times are nanoseconds since the epoch, in UTC. A `shard_key` is `core.execution.key.shard_key(...)`, 0 … 2³²-1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.core.visibility.filters import EVERYTHING, Filter

#: `due_at_ns` of a run that only a request can move.
NEVER_NS = 2**63 - 1
SHARD_KEY_END = 2**32
#: The status of a row that only keeps the number of a deleted run, see `Batch.deletes`.
DELETED = -1
#: A page without a bound in bytes.
UNBOUNDED = 2**62


class StoreError(Exception):
    """The store could not do what the caller asked for."""


class Unavailable(StoreError):
    """The database cannot be reached, is full or gave up. The outcome of a commit is then unknown.

    After a failed commit the owner must `claim` again before it reads. The claim waits for, or fences off, any
    transaction that is still under way, so later reads are final.
    """


class LeaseLost(StoreError):
    """Another node owns the range, or this node has claimed it again. Nothing was written."""


class Conflict(StoreError):
    """A row that must be new exists already: a run, a journal row or a namespace name. Nothing was written."""


class Lease(NamedTuple):
    """The right to write rows with `lo <= shard_key < hi`, until another node claims them."""

    lo: int
    hi: int
    owner: str
    #: Grows with every claim. The store refuses a commit under an older epoch.
    epoch: int


def cover_all(leases: Iterable[Lease]) -> bool:
    """Return whether these leases, taken at one time, cover the whole key space."""
    return sum(lease.hi - lease.lo for lease in leases) == SHARD_KEY_END


class ExecutionRow(NamedTuple):
    """One run: its `ExecutionKey`, its state when the snapshot was taken, and when it is due."""

    shard_key: int
    archetype: int
    namespace_id: str
    business_id: str
    run_id: str
    #: 1, 2, 3 … for the runs of one archetype and business id. The largest is the current run.
    run_number: int
    #: The archetype's own (a workflow's: `temporal.api.enums.v1.WorkflowExecutionStatus`), or `DELETED`.
    status: int
    #: The owner must have the run in memory by then. 0: now. It may load the run earlier, but never later.
    due_at_ns: int
    #: The state after the journal row `snapshot_seq`. Empty, with `snapshot_seq` 0, before the first snapshot.
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
    """The records of one transition, or a part of them. `seq` counts 1, 2, 3 … within a run, without a gap."""

    shard_key: int
    run_id: str
    seq: int
    #: The id of the first history event of this row, or of the next one to come when `event_count` is 0.
    first_event_id: int
    event_count: int
    #: A serialized `temporal.api.history.v1.History`: to join rows, join their bytes. Empty for none.
    events: bytes
    #: Internal records, encoded by `core.workflow.records`. Empty for none.
    internal: bytes


class VisibilityRow(NamedTuple):
    """All that list and count calls read of one run. A transition that changes it writes the whole row, by run id.

    The fields are named as filters name them: `workflow_id` (`WorkflowId`) is the business id of any archetype.
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
    #: The values that filters compare (`core.visibility.indexing`), as JSON; empty for none. Reads leave it out.
    attributes: str = ""
    #: The last field: rows in an outbox from before there were archetypes do not have it.
    archetype: int = WORKFLOW

    @property
    def large_bytes(self) -> int:
        """Return the size of the fields that may be large."""
        return len(self.memo) + len(self.search_attributes)


class OutboxRow(NamedTuple):
    """One change of visibility, on its way to a second database."""

    #: Grows with every row, and is never used twice. The store chooses it, and ignores the value in a batch.
    position: int
    run_id: str
    #: The row, encoded by `store.split`; empty for a deleted run.
    data: bytes
    #: 0: before visibility moved to the second database; nobody knows when.
    written_at_ns: int


#: A place in the order of `longest_closed`: the first four fields of a `ListedRun`.
ListedPlace = tuple[int, int, int, str]


class ListedRun(NamedTuple):
    """The fields of a visibility row that find a run, and that say about how much its deletion costs."""

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
    #: Encoded by `runtime.namespaces`; the store does not look inside.
    data: bytes
    #: Starts at 1 and grows by 1 with every update.
    version: int


#: A place in the order of `due`: due time, run id. (due time, "") is before all runs of that time.
DuePlace = tuple[int, str]


class LoadedRun(NamedTuple):
    """A stored run: its row, and the journal rows after `row.snapshot_seq`, in order."""

    row: ExecutionRow
    journal: Sequence[JournalRow]


class DueRun(NamedTuple):
    due_at_ns: int
    key: ExecutionKey

    @property
    def place(self) -> DuePlace:
        return self.due_at_ns, self.key.run_id


@dataclass(slots=True)
class Batch:
    """One transaction: the store writes all of it, or nothing."""

    #: Leases that cover every `shard_key` below. The commit fails with `LeaseLost` if one is no longer current.
    leases: tuple[Lease, ...] = ()
    #: New runs. `Conflict` if (archetype, business id, run number) or the run id exists.
    executions: list[ExecutionRow] = field(default_factory=list)
    #: `Conflict` if (run id, seq) exists.
    journal: list[JournalRow] = field(default_factory=list)
    #: Runs of this batch's `executions` or of earlier ones. The last of several updates of one run counts.
    updates: list[ExecutionUpdate] = field(default_factory=list)
    #: The last of several rows of one run counts.
    visibility: list[VisibilityRow] = field(default_factory=list)
    #: Runs to delete, with all their rows; gone ones are no error. The rest of the batch has no rows of these runs.
    #: No older run becomes the current one: while a business id has other runs, the row of its latest run stays, with
    #: the status `DELETED` and without a snapshot, so that the next run gets a larger number.
    deletes: list[ExecutionKey] = field(default_factory=list)
    #: Changes for a second visibility database, one row a run. The rows of these runs in `visibility` are deleted.
    outbox: Sequence[OutboxRow] = ()


def check_covered(batch: Batch) -> None:
    """Raise `LeaseLost` unless every row of `batch` lies in one of its leases: each write is fenced."""
    if not batch.leases and (batch.visibility or batch.outbox):
        raise LeaseLost("no lease is held")
    keys = {row.shard_key for row in batch.journal}
    keys.update(row.shard_key for row in batch.executions)
    keys.update(update.shard_key for update in batch.updates)
    keys.update(key.shard_key for key in batch.deletes)
    for key in keys:
        if not any(lease.lo <= key < lease.hi for lease in batch.leases):
            raise LeaseLost(f"no lease covers {key:#x}")


class RenewalPath(Protocol):
    """Renews the leases of one store apart from all of its other calls, and over a connection of its own.

    Its calls block. One thread makes them, while an event loop uses the store itself.
    """

    def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        """Like `Store.renew`. It tries for a few seconds at most: a later answer would be of no use."""

    def close(self) -> None:
        """Close the connection, if there is one. A later `renew` opens another."""


class Store(Protocol):
    """All methods but `close` raise `Unavailable` when the database cannot be reached.

    They retry for no longer than it takes to open one new connection: the caller backs off. A cancelled commit is
    written whole, or not at all.
    """

    async def open(self) -> None:
        """Connect and check the schema. Raise `StoreError` with one clear line (newer schema, locked file …)."""

    async def close(self) -> None: ...

    # Leases

    async def claim(self, owner: str, ttl_ns: int) -> tuple[Lease, ...]:
        """Take, for `ttl_ns`, every range that is free, expired or already `owner`'s, with a new epoch.

        The database's clock decides about expiry. The result is () when others hold all ranges. The claim waits for,
        or makes impossible, any commit that is still under way with an older epoch of the returned ranges. A store
        that belongs to one process (memory, a locked file) takes every range at once.
        """

    async def renew(self, leases: Sequence[Lease], ttl_ns: int) -> None:
        """Push the expiry of all `leases` to `ttl_ns` from now; raise `LeaseLost` if one is no longer current."""

    async def release(self, leases: Sequence[Lease]) -> None:
        """Make the ranges free at once. It is no error if they are lost already."""

    # The journal

    async def commit(self, batch: Batch) -> None:
        """Write `batch` in one durable transaction. Raise `LeaseLost`, `Conflict` or `Unavailable`."""

    async def shrink(self) -> bool:
        """Give a bounded part of the space of deleted rows back to the disk; return whether there is more.

        A store that does so by itself, or cannot do it, returns False.
        """

    async def load(self, keys: Sequence[ExecutionKey]) -> list[LoadedRun | None]:
        """Return one result for each key, in order; None where there is no such run.

        A row with the status `DELETED` is no run either: the caller gets it for its number alone.
        """

    async def due(
        self, lo: int, hi: int, after: DuePlace, until_ns: int, limit: int
    ) -> list[DueRun]:
        """Return up to `limit` runs with lo <= shard_key < hi and due_at_ns <= until_ns after a place, in order.

        The caller goes on with `after` = the place of the last run.
        """

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
        """Return up to `limit` journal rows that hold events, seq > after_seq ascending.

        Reverse: seq < after_seq descending (`after_seq` 0: from the end). `internal` may be left empty unless
        `with_internal`.
        The result ends with the row that holds the event `until_event_id`, and with the row with which its events
        reach `bytes_max` bytes; the store reads the events of no other row. Rows beyond `until_event_id` do not come.
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
        The result ends with the row with which its `large_bytes` reach `bytes_max`.
        """

    async def count_visibility(self, namespace_id: str, filter: Filter = EVERYTHING) -> int: ...

    async def count_groups(self, namespace_id: str, filter: Filter) -> list[tuple[int | str, int]]:
        """Return each value of `filter.group_by` in order, and how many rows have it; "" stands for no value."""

    async def unindexed_visibility(self, limit: int, after: str = "") -> list[VisibilityRow]:
        """Return rows from before `attributes` was kept: filters find them only after they are written again.

        They come in the order of their run ids, those after the run id `after`.
        """

    async def longest_closed(
        self,
        namespace_id: str,
        *,
        archetype: int | None = WORKFLOW,
        until_ns: int,
        limit: int,
        after: ListedPlace | None,
    ) -> list[ListedRun]:
        """Return runs with close time <= until_ns, in the reverse order of `list_visibility`.

        `archetype` None: all archetypes, one after the other. `until_ns` = `NEVER_NS`: also open runs. `after` is the
        place of the last row of the page before.
        """

    # Namespaces and the cluster

    async def namespaces(self) -> list[NamespaceRow]: ...

    async def put_namespace(self, row: NamespaceRow) -> None:
        """Insert (version 1) or update (the stored version must be `row.version - 1`); else raise `Conflict`."""

    async def delete_namespace(self, namespace_id: str) -> None:
        """Delete the row of the namespace alone. It is no error if there is none."""

    async def cluster_id(self, proposed: str) -> str:
        """Return the id of the cluster; `proposed` becomes the id if there is none yet."""
