-- Run ids grow with time, so rows of the runs that are busy now lie side by side in each of these trees.

CREATE TABLE executions (
    run_id TEXT PRIMARY KEY NOT NULL,
    shard_key INTEGER NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    run_number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    due_at_ns INTEGER NOT NULL,
    snapshot BLOB NOT NULL,
    snapshot_seq INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX executions_by_workflow ON executions (namespace_id, workflow_id, run_number);
-- Runs that nothing but a request can move are not in it.
CREATE INDEX executions_due ON executions (due_at_ns) WHERE due_at_ns < 9223372036854775807;

CREATE TABLE journal (
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    first_event_id INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    events BLOB NOT NULL,
    internal BLOB NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

CREATE TABLE visibility (
    run_id TEXT PRIMARY KEY NOT NULL,
    namespace_id TEXT NOT NULL,
    workflow_id TEXT NOT NULL,
    workflow_type TEXT NOT NULL,
    task_queue TEXT NOT NULL,
    status INTEGER NOT NULL,
    start_time_ns INTEGER NOT NULL,
    execution_time_ns INTEGER NOT NULL,
    -- 9223372036854775807 while the run is open, so that open runs come first in a list.
    close_time_ns INTEGER NOT NULL,
    history_length INTEGER NOT NULL,
    history_size_bytes INTEGER NOT NULL,
    state_transition_count INTEGER NOT NULL,
    memo BLOB NOT NULL,
    search_attributes BLOB NOT NULL,
    parent_workflow_id TEXT NOT NULL,
    parent_run_id TEXT NOT NULL,
    root_workflow_id TEXT NOT NULL,
    root_run_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX visibility_listed ON visibility (namespace_id, close_time_ns, start_time_ns, run_id);

CREATE TABLE namespaces (
    namespace_id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    data BLOB NOT NULL,
    version INTEGER NOT NULL
) WITHOUT ROWID;

-- One row. The process that holds the file holds the whole key space; the epoch outlives it.
CREATE TABLE cluster (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL
);
INSERT INTO cluster VALUES (1, '', '', 0);
