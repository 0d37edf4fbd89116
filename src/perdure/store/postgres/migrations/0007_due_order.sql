-- A node that takes a range over reads what is due page by page, also within one time: many runs are due at 0.

DROP INDEX executions_due;
CREATE INDEX executions_due ON executions (due_at_ns, run_id, shard_key) WHERE due_at_ns < 9223372036854775807;
