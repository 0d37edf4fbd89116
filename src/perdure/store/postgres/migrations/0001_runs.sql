-- What a commit writes is keyed by shard_key first: a database that spreads tables over machines can then keep the
-- rows of one range together. Text compares by bytes, as it does in the other stores.

CREATE TABLE executions (
    shard_key bigint NOT NULL,
    namespace_id text COLLATE "C" NOT NULL,
    workflow_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    run_number bigint NOT NULL,
    status integer NOT NULL,
    due_at_ns bigint NOT NULL,
    snapshot bytea NOT NULL,
    snapshot_seq bigint NOT NULL,
    PRIMARY KEY (shard_key, run_id)
    -- Rows are replaced while the run lives: room to do that within the page.
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX executions_by_workflow
    ON executions (shard_key, namespace_id, workflow_id, run_number);
-- In the order in which a node that takes a range over reads it, page by page. Runs that nothing but a request can
-- move are not in it.
CREATE INDEX executions_due ON executions (due_at_ns, shard_key) WHERE due_at_ns < 9223372036854775807;

CREATE TABLE journal (
    shard_key bigint NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    first_event_id bigint NOT NULL,
    event_count integer NOT NULL,
    events bytea NOT NULL,
    internal bytea NOT NULL,
    PRIMARY KEY (shard_key, run_id, seq)
);

CREATE TABLE visibility (
    namespace_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL PRIMARY KEY,
    workflow_id text COLLATE "C" NOT NULL,
    workflow_type text COLLATE "C" NOT NULL,
    task_queue text COLLATE "C" NOT NULL,
    status integer NOT NULL,
    start_time_ns bigint NOT NULL,
    execution_time_ns bigint NOT NULL,
    -- 9223372036854775807 while the run is open, so that open runs come first in a list.
    close_time_ns bigint NOT NULL,
    history_length bigint NOT NULL,
    history_size_bytes bigint NOT NULL,
    state_transition_count bigint NOT NULL,
    memo bytea NOT NULL,
    search_attributes bytea NOT NULL,
    parent_workflow_id text COLLATE "C" NOT NULL,
    parent_run_id text COLLATE "C" NOT NULL,
    root_workflow_id text COLLATE "C" NOT NULL,
    root_run_id text COLLATE "C" NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX visibility_listed ON visibility (namespace_id, close_time_ns, start_time_ns, run_id);

-- Payloads are often compressed or encrypted already: squeezing them again would cost the database's processors much.
ALTER TABLE executions ALTER COLUMN snapshot SET STORAGE EXTERNAL;
ALTER TABLE journal
    ALTER COLUMN events SET STORAGE EXTERNAL,
    ALTER COLUMN internal SET STORAGE EXTERNAL;
ALTER TABLE visibility
    ALTER COLUMN memo SET STORAGE EXTERNAL,
    ALTER COLUMN search_attributes SET STORAGE EXTERNAL;

CREATE TABLE namespaces (
    namespace_id text COLLATE "C" PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    data bytea NOT NULL,
    version bigint NOT NULL
);

-- The leases. Together the ranges cover every shard_key, none twice. A commit locks each range that it relies on, so
-- there is one to begin with: more are worth their cost only when several nodes share the work, and as no other row
-- knows them, they can be split at any time.
CREATE TABLE ranges (
    lo bigint PRIMARY KEY,
    hi bigint NOT NULL CHECK (lo < hi),
    owner text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO ranges VALUES (0, 4294967296, '', 0, '-infinity');

CREATE TABLE cluster (
    id integer PRIMARY KEY CHECK (id = 1),
    cluster_id text COLLATE "C" NOT NULL
);
