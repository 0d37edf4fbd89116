"""Rows that differ from one another in every column, so that no two columns can be mixed up."""

from perdure.core.execution.key import WORKFLOW, ExecutionKey
from perdure.store.port import (
    ExecutionRow,
    ExecutionUpdate,
    JournalRow,
    NamespaceRow,
    VisibilityRow,
)

MINUTE_NS = 60 * 10**9


def shard_key_of(workflow_id: str) -> int:
    """Return some number for a workflow id, spread over all that there are."""
    return int.from_bytes((workflow_id * 4).encode()[-4:], "big")


def run(workflow_id: str, number: int = 1, **changes) -> ExecutionRow:
    row = ExecutionRow(
        shard_key=shard_key_of(workflow_id),
        archetype=WORKFLOW,
        namespace_id="namespace-1",
        business_id=workflow_id,
        run_id=f"{workflow_id}-run-{number}",
        run_number=number,
        status=1,
        due_at_ns=0,
        snapshot=b"",
        snapshot_seq=0,
    )
    return row._replace(**changes)


def key(row: ExecutionRow, run_id: str | None = None) -> ExecutionKey:
    return row.key if run_id is None else row.key._replace(run_id=run_id)


def update(row: ExecutionRow, **changes) -> ExecutionUpdate:
    changed = ExecutionUpdate(
        *key(row),
        row.status,
        row.due_at_ns,
        row.snapshot,
        row.snapshot_seq,
    )
    return changed._replace(**changes)


def journal(row: ExecutionRow, seq: int, **changes) -> JournalRow:
    written = JournalRow(
        shard_key=row.shard_key,
        run_id=row.run_id,
        seq=seq,
        first_event_id=seq * 10,
        event_count=3,
        events=f"events {seq}".encode(),
        internal=f"internal {seq}".encode() + b"\0\xff",
    )
    return written._replace(**changes)


def visibility(run_id: str, **changes) -> VisibilityRow:
    row = VisibilityRow(
        namespace_id="namespace-1",
        run_id=run_id,
        workflow_id="workflow of " + run_id,
        workflow_type="type",
        task_queue="queue",
        status=1,
        start_time_ns=11,
        execution_time_ns=12,
        close_time_ns=0,
        history_length=13,
        history_size_bytes=14,
        state_transition_count=15,
        memo=b"memo\0",
        search_attributes=b"attributes\xff",
        parent_workflow_id="parent",
        parent_run_id="parent run",
        root_workflow_id="root",
        root_run_id="root run",
    )
    return row._replace(**changes)


def namespace(name: str, version: int = 1, /, **changes) -> NamespaceRow:
    return NamespaceRow(f"id of {name}", name, b"data\0\xff", version)._replace(**changes)
